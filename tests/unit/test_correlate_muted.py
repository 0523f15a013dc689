"""When a word of an event recorder stands, and when it is over: both sides of each limit."""

from datetime import datetime, timedelta

import pytest

from recorder_events import AT, FINGERPRINT
from watchkeeper.correlate.muted import REASONS_MAX, Muted, let_go, muted, newer, standing
from watchkeeper.signals.recorded import Because, Letting, Muting, Silence

MINUTE = timedelta(minutes=1)
INTERVAL = 5 * MINUTE
EMPTY = Muted(id=f"am/{FINGERPRINT}", source="am", fingerprint=FINGERPRINT)


def word(at: datetime = AT, *, late: timedelta = timedelta(), name: str = "s1", because=Because.SILENCED) -> Muting:
    return Muting(fingerprint=FINGERPRINT, labels={"a": "b"}, because=because, name=name, at=at, received_at=at + late)


def gone(at: datetime, *, resolved: bool, late: timedelta = timedelta()) -> Letting:
    return Letting(fingerprint=FINGERPRINT, resolved=resolved, at=at, received_at=at + late)


def stands(
    found: Muted,
    now: datetime = AT,
    *,
    recorder_at: datetime = AT,
    silences: tuple[Silence, ...] = (),
    since: datetime | None = None,
) -> bool:
    known = {each.id: each for each in silences}
    ms = int(INTERVAL.total_seconds() * 1000)
    return bool(standing(found, known, now, group_interval_ms=ms, recorder_at=recorder_at, since=since))


def test_what_was_said_stands():
    assert stands(muted(EMPTY, word()))
    assert not stands(EMPTY)


@pytest.mark.parametrize(("ends", "held"), [(MINUTE, True), (timedelta(0), False), (-MINUTE, False)])
def test_a_silence_is_over_at_its_end(ends, held):
    silence = Silence(id="s1", ends_at=AT + ends)
    assert stands(muted(EMPTY, word()), silences=(silence,)) is held
    inhibited = muted(EMPTY, word(because=Because.INHIBITED))
    assert stands(inhibited, silences=(silence,)), "an inhibition has no end of its own"


def test_a_silence_without_an_end_stands():
    assert stands(muted(EMPTY, word()), silences=(Silence(id="s1"),))


@pytest.mark.parametrize(("after", "held"), [(-MINUTE, True), (timedelta(0), False), (MINUTE, False)])
def test_an_alert_that_resolved_after_the_word_is_over(after, held):
    assert stands(let_go(muted(EMPTY, word()), gone(AT + after, resolved=True))) is held


@pytest.mark.parametrize(
    ("after", "held"), [(INTERVAL - timedelta(milliseconds=1), True), (INTERVAL, False), (-INTERVAL, True)]
)
def test_a_notification_counts_from_a_whole_interval_on(after, held):
    """One that goes out sooner may have been made before the alert was muted, and waited for its receiver."""
    found = let_go(muted(EMPTY, word()), gone(AT + after, resolved=False))
    assert stands(found, recorder_at=AT + after) is held


@pytest.mark.parametrize(("went_on", "held"), [(3 * INTERVAL - timedelta(seconds=1), True), (3 * INTERVAL, False)])
def test_a_recorder_that_goes_on_without_it_ends_it(went_on, held):
    assert stands(muted(EMPTY, word()), AT + went_on, recorder_at=AT + went_on) is held


@pytest.mark.parametrize(("quiet", "held"), [(10 * INTERVAL - timedelta(seconds=1), True), (10 * INTERVAL, False)])
def test_a_recorder_that_is_quiet_is_believed_for_longer(quiet, held):
    assert stands(muted(EMPTY, word()), AT + quiet, recorder_at=AT) is held


@pytest.mark.parametrize(("since", "held"), [(-MINUTE, True), (timedelta(0), True), (MINUTE, False)])
def test_what_was_asked_later_knows_better(since, held):
    assert stands(muted(EMPTY, word()), since=AT + since) is held


def test_a_word_again_renews_and_an_older_one_changes_nothing():
    newer_ = muted(EMPTY, word(AT + INTERVAL))
    assert muted(muted(EMPTY, word()), word(AT + INTERVAL)) == newer_
    assert muted(newer_, word()) == newer_
    assert muted(newer_, word(AT + INTERVAL)) == newer_


def test_a_clock_that_is_far_off_is_believed_that_it_is_muted_but_not_that_it_is_no_more():
    near, far = timedelta(minutes=5), timedelta(minutes=6)
    believed = muted(EMPTY, word(AT - near, late=near))
    assert (believed.reasons[0].at, believed.reasons[0].seen_at) == (AT - near, AT - near)
    distrusted = muted(EMPTY, word(AT - far, late=far))
    assert (distrusted.reasons[0].at, distrusted.reasons[0].seen_at) == (AT, AT)
    ahead = muted(EMPTY, word(AT + near, late=-near))
    assert (ahead.reasons[0].at, ahead.reasons[0].seen_at) == (AT + near, AT)
    assert let_go(EMPTY, gone(AT, resolved=True, late=near)).resolved_at == AT
    assert let_go(EMPTY, gone(AT, resolved=True, late=far)) == EMPTY
    assert let_go(EMPTY, gone(AT, resolved=False, late=far)) == EMPTY


def test_only_the_newest_reasons_are_kept():
    found = EMPTY
    for number in range(REASONS_MAX + 2):
        found = muted(found, word(AT + number * MINUTE, name=f"s{number:02}"))
    assert [each.name for each in found.reasons] == [f"s{number:02}" for number in range(2, REASONS_MAX + 2)]


def test_the_later_state_of_a_silence_wins_whichever_came_first():
    old = Silence(id="s1", ends_at=AT + INTERVAL, updated_at=AT)
    shorter = Silence(id="s1", ends_at=AT + MINUTE, updated_at=AT + MINUTE)
    assert newer(newer(None, old), shorter) == newer(newer(None, shorter), old) == shorter
