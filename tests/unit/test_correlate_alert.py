from datetime import UTC, datetime, timedelta

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from watchkeeper.correlate.alert import (
    DELIVERIES_MAX,
    Alert,
    AlertState,
    Mapped,
    alert_of,
    ended_at,
    fold,
    span_end,
    state_at,
)
from watchkeeper.correlate.track import (
    STATEMENTS_MAX,
    TRACK_BYTES_MAX,
    Statement,
    Track,
    episodes,
    with_statement,
)
from watchkeeper.ports import DOCUMENT_BYTES_MAX
from watchkeeper.signals.signal import Kind, Signal, Standing
from watchkeeper.values import Severity

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
PAY = Mapped(entity="component:pay", stale_after_ms=3_600_000)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def firing(received: float = 5, **changes: object) -> Signal:
    fields = {
        "id": f"sig-{received}-{sorted(changes)}",
        "delivery": f"dlv-{received:06}",
        "source": "am-1",
        "group": "am",
        "received_at": at(received),
        "kind": Kind.ALERT,
        "fingerprint": "00000000000000aa",
        "standing": Standing.FIRING,
        "labels": {"alertname": "Down", "service": "pay", "severity": "critical"},
        "annotations": {},
        "starts_at": at(0),
        **changes,
    }
    return Signal(**fields)


def resolved(received: float, ended: float | None = None, **changes: object) -> Signal:
    stated = None if ended is None else at(ended)
    return firing(received, standing=Standing.RESOLVED, ends_at=stated, **changes)


def folded(*signals: Signal) -> Alert:
    found = None
    for signal in signals:
        found = fold(found, signal, PAY)
    assert found is not None
    return found


def test_an_alert_names_one_episode():
    one = folded(firing(5))
    assert one.id == folded(firing(900)).id
    assert one.id != folded(firing(5, starts_at=at(1))).id
    assert one.id != folded(firing(5, group="other")).id
    assert (one.entity, one.symptom, one.severity) == (
        "component:pay",
        "Down on component:pay",
        Severity.CRITICAL,
    )


def test_repeated_delivery_only_renews():
    found = folded(firing(5), firing(500))
    assert (found.first_seen_at, found.last_seen_at, found.stale_at) == (at(5), at(500), at(4_100))
    assert found.deliveries == ("dlv-000005", "dlv-000500")
    assert found.state is AlertState.FIRING


def test_deliveries_are_counted_up_to_a_bound():
    found = folded(*(firing(n) for n in range(DELIVERIES_MAX + 5)))
    assert len(found.deliveries) == DELIVERIES_MAX
    assert found.deliveries[-1] == "dlv-000036"


@pytest.mark.parametrize("late", [-60, 0, 60, 300])
def test_a_firing_statement_up_to_five_minutes_after_the_resolution_is_late(late):
    found = folded(firing(5), resolved(100, 95), firing(100 + late))
    assert found.state is AlertState.RESOLVED
    assert found.resolved_at == at(95)


def test_a_firing_statement_more_than_five_minutes_after_it_fires_again():
    again = folded(firing(5), resolved(100, 95), firing(400.001))
    assert again.state is AlertState.FIRING
    assert again.resolved_at is None
    assert folded(firing(5), resolved(100, 95), firing(400.001), resolved(400.002)).state is AlertState.RESOLVED


@pytest.mark.parametrize(
    ("received", "ended", "expected"),
    [(600, 300, 300), (600, 299.999, 600), (600, 900, 900), (600, 900.001, 600), (600, None, 600), (100, -1, 100)],
)
def test_the_senders_end_counts_within_five_minutes_and_not_before_the_start(received, ended, expected):
    assert folded(firing(5), resolved(received, ended)).resolved_at == at(expected)


@pytest.mark.parametrize(("start", "began"), [(305, 305), (305.001, 5), (-86_400, -86_400)])
def test_a_start_far_in_our_future_is_distrusted(start, began):
    assert folded(firing(5, starts_at=at(start))).began_at == at(began)


def test_the_newest_statement_gives_the_words():
    calm = {"alertname": "Down", "service": "pay", "severity": "warning"}
    assert folded(firing(50, labels=calm), firing(5)).severity is Severity.WARNING
    assert folded(firing(5, labels=calm), firing(50)).severity is Severity.CRITICAL


def test_unseen_for_too_long_it_is_stale_and_renewed_it_fires():
    found = folded(firing(5))
    assert state_at(found, at(3_604.999)) is AlertState.FIRING
    assert state_at(found, at(3_605)) is AlertState.STALE
    assert ended_at(found, at(3_605)) == at(3_605)
    assert ended_at(found, at(3_604)) is None
    assert state_at(folded(firing(5), firing(3_605)), at(3_605)) is AlertState.FIRING
    over = folded(firing(5), resolved(60, 50))
    assert state_at(over, at(9_999)) is AlertState.RESOLVED
    assert (ended_at(over, at(9_999)), span_end(over)) == (at(50), at(60))


def test_a_resolution_whose_firing_was_never_seen_is_a_resolved_alert():
    assert folded(resolved(60, 50)).state is AlertState.RESOLVED


@pytest.mark.parametrize(
    ("labels", "place"),
    [
        ({"alertname": "A", "instance": "i", "job": "j", "service": "s"}, "unmapped:service=s"),
        ({"alertname": "A", "instance": "i", "job": "j"}, "unmapped:job=j"),
        ({"alertname": "A", "instance": "i"}, "unmapped:instance=i"),
        ({"alertname": "A"}, "unmapped:alertname=A"),
        ({"x": "y"}, "unmapped:"),
    ],
)
def test_an_unmapped_alert_has_a_place_made_of_its_labels(labels, place):
    assert alert_of(firing(labels=labels), Mapped()).place == place


# -- senders that state no start -------------------------------------------------------------------


def tracked(*signals: Signal) -> Track:
    track = Track(group="am", fingerprint="00000000000000aa")
    for signal in signals:
        track = with_statement(track, Statement(signal=signal, mapped=PAY))
    return track


def down(seconds: float) -> Signal:
    return firing(seconds, starts_at=at(seconds), start_stated=False)


def up(seconds: float) -> Signal:
    return resolved(seconds, starts_at=at(seconds), start_stated=False)


def spans(track: Track) -> list[tuple[float, float | None]]:
    return [
        ((a.starts_at - T0).total_seconds(), (a.resolved_at - T0).total_seconds() if a.resolved_at else None)
        for a in episodes(track.statements)
    ]


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ([], []),
        ([up(1)], []),
        ([down(1)], [(1, None)]),
        ([down(1), down(2)], [(1, None)]),
        ([down(1), up(2)], [(1, 2)]),
        ([down(1), up(2), up(3)], [(1, 3)]),
        ([down(1), up(2), down(3)], [(1, 2), (3, None)]),
        ([down(3), up(2), down(1)], [(1, 2), (3, None)]),
        ([up(1), down(1)], [(1, 1)]),
    ],
)
def test_episodes_follow_from_the_order_of_what_was_said(signals, expected):
    assert spans(tracked(*signals)) == expected


def test_the_senders_time_orders_within_five_minutes_of_receipt():
    late_word = firing(500, starts_at=at(250), start_stated=False)
    assert spans(tracked(down(200), up(300), late_word)) == [(200, 300)]
    too_late = firing(500, starts_at=at(199), start_stated=False)
    assert spans(tracked(down(200), up(300), too_late)) == [(200, 300), (500, None)]


def test_the_last_word_decides_even_when_an_older_one_arrived_much_later():
    early_up = resolved(700, 990, starts_at=at(700), start_stated=False)
    late_down = firing(1_250, starts_at=at(980), start_stated=False)
    (found,) = episodes(tracked(late_down, early_up).statements)
    assert found.state is AlertState.RESOLVED
    assert found.resolved_at == at(990)


def test_a_track_is_bounded_repeats_go_first_and_the_start_stays():
    track = tracked(*(down(n) for n in range(STATEMENTS_MAX + 20)))
    assert len(track.statements) == STATEMENTS_MAX
    assert spans(track) == [(0, None)]
    assert episodes(track.statements)[0].last_seen_at == at(STATEMENTS_MAX + 19)


def test_then_whole_episodes_from_the_oldest():
    track = tracked(*(down(n) if n % 2 == 0 else up(n) for n in range(STATEMENTS_MAX + 1)))
    assert len(track.statements) == STATEMENTS_MAX - 1
    assert spans(track)[0] == (2, 3)


WORDY = {"annotations": {f"note{number}": "x" * 4096 for number in range(128)}}  # the most that one statement may say


def test_a_track_is_bounded_by_its_bytes_too_and_the_last_word_of_an_episode_stays():
    track = tracked(*(replace(down(n), **WORDY) for n in range(STATEMENTS_MAX)))
    assert len(track.statements) == 4, f"one more would pass {TRACK_BYTES_MAX}"
    assert spans(track) == [(0, None)]
    track = tracked(*(replace(down(n) if n % 2 == 0 else up(n), **WORDY) for n in range(STATEMENTS_MAX)))
    assert spans(track)[-1] == (STATEMENTS_MAX - 2, STATEMENTS_MAX - 1)
    assert len(encode(track)) < DOCUMENT_BYTES_MAX


def test_the_largest_track_is_a_document_however_its_texts_are_spelt():
    worst = {
        name: {f"{'n' * 250}{number}": "\x01" * 4096 for number in range(128)} for name in ("labels", "annotations")
    }
    track = tracked(*(replace(down(n) if n % 2 == 0 else up(n), **worst) for n in range(6)))
    assert len(track.statements) >= 2
    assert len(encode(track)) < DOCUMENT_BYTES_MAX


def test_a_statement_heard_twice_changes_nothing():
    track = tracked(down(1))
    assert with_statement(track, track.statements[0]) is track
