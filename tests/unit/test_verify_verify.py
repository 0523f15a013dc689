"""Verifications: a row of healthy looks, inside a deadline, still so after a soak."""

from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.packs.runbook import Verification
from watchkeeper.verify.sample import Result, Sample, Seen
from watchkeeper.verify.verify import begin, next_at, observe, result, why

T0 = datetime(2026, 3, 1, tzinfo=UTC)
SEEN = {"H": Seen.HEALTHY, "U": Seen.UNHEALTHY, "N": Seen.NOTHING}


def at(s):
    return T0 + timedelta(seconds=s)


def spec(**more):
    more = {"successes": 3, "every_ms": 1_000, "within_ms": 10_000, "soak_ms": 0, **more}
    return Verification(probe="http", arguments={}, **more)


def play(looks, **more):
    """One look a second from 0 on; then silence until nothing can change any more."""
    state = begin(spec(**more), T0)
    for second, letter in enumerate(looks):
        if result(state, at(second)) is not None:
            break
        state = observe(state, Sample(at=at(second), seen=SEEN[letter], why=f"{letter} at {second}"))
    return state, result(state, at(10_000))


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ("HHH", Result.HEALTHY),
        ("UUUUHHH", Result.HEALTHY),
        ("HH", Result.INCONCLUSIVE),
        ("HHNHH", Result.INCONCLUSIVE),  # a look that saw nothing breaks the row
        ("HUHUHUHUHUHU", Result.UNHEALTHY),
        ("HHUHH", Result.UNHEALTHY),  # it came up and fell: flapping is no recovery
        ("UUUUUUUUUUU", Result.UNHEALTHY),
        ("NNNNNNNNNNN", Result.INCONCLUSIVE),  # no data never passes, and never condemns
        ("", Result.INCONCLUSIVE),
        ("UNN", Result.UNHEALTHY),
        ("UNNN", Result.INCONCLUSIVE),  # as many blind looks as a pass needs healthy ones
        ("UUUUUUUUUHH", Result.INCONCLUSIVE),  # on its way up when time ran out
        ("NNNNNNNNHHH", Result.HEALTHY),  # the third at 10 s is still inside
        ("NNNNNNNNNHHH", Result.INCONCLUSIVE),  # the third at 11 s is not
    ],
)
def test_three_in_a_row_within_ten_seconds(looks, found):
    assert play(looks)[1] is found


def test_no_result_before_the_deadline():
    state = begin(spec(), T0)
    assert result(state, at(10)) is None
    assert result(state, at(10.001)) is Result.INCONCLUSIVE


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ("HHHHHHHH", Result.HEALTHY),
        ("HHHHHHH", None),  # five seconds after the row are not over: 2 s + 5 s = 7 s
        ("HHHHHU", Result.UNHEALTHY),
        ("HHHHNHHHHHHHHHH", Result.HEALTHY),
    ],
)
def test_a_soak_must_end_with_a_healthy_look(looks, found):
    state = begin(spec(soak_ms=5_000), T0)
    for second, letter in enumerate(looks):
        state = observe(state, Sample(at=at(second), seen=SEEN[letter]))
    if found is None:
        assert result(state, at(len(looks) - 1)) is None
    else:
        assert result(state, at(10_000)) is found


def test_a_soak_may_end_after_the_deadline_but_not_without_a_look():
    state = begin(spec(soak_ms=60_000), T0)
    for second in range(3):
        state = observe(state, Sample(at=at(second), seen=Seen.HEALTHY))
    assert result(state, at(61)) is None
    assert result(state, at(74)) is None
    assert result(state, at(75)) is Result.INCONCLUSIVE
    state = observe(state, Sample(at=at(62), seen=Seen.HEALTHY))
    assert result(state, at(62)) is Result.HEALTHY


def test_a_result_of_healthy_is_final():
    state, found = play("HHH")
    assert observe(state, Sample(at=at(4), seen=Seen.UNHEALTHY)) is state
    assert found is Result.HEALTHY


def test_looks_follow_one_another_and_one_comes_at_the_end_of_the_soak():
    state = begin(spec(successes=1, soak_ms=1_500), T0)
    assert next_at(state) == at(0)
    state = observe(state, Sample(at=at(0), seen=Seen.UNHEALTHY))
    assert next_at(state) == at(1)
    state = observe(state, Sample(at=at(1), seen=Seen.HEALTHY))
    assert next_at(state) == at(2)
    state = observe(state, Sample(at=at(2), seen=Seen.HEALTHY))
    assert next_at(state) == at(2.5)
    state = observe(state, Sample(at=at(2.5), seen=Seen.HEALTHY))
    assert result(state, at(2.5)) is Result.HEALTHY
    assert next_at(state) == at(3.5)


def test_zero_successes_still_need_one_look():
    assert play("", successes=0)[1] is Result.INCONCLUSIVE
    assert play("H", successes=0)[1] is Result.HEALTHY


@pytest.mark.parametrize(
    ("looks", "more", "words"),
    [
        ("HHH", {}, "healthy 3 times in a row"),
        ("HHHHHHHH", {"soak_ms": 5_000}, "healthy 8 times in a row, still so after 5000 ms"),
        ("UUUUUUUUUUU", {}, "seen unhealthy within 10000 ms (0 of 11 looks healthy): U at 10"),
        ("NN", {}, "nothing was seen within 10000 ms: N at 1"),
        ("", {}, "nothing was seen within 10000 ms: no look was taken"),
        ("HHN", {}, "not healthy 3 times in a row within 10000 ms (2 of 3 looks healthy): N at 2"),
    ],
)
def test_the_sentence_says_what_was_seen(looks, more, words):
    state, found = play(looks, **more)
    assert why(state, found) == words


def test_the_sentence_without_a_reason():
    state = begin(spec(successes=1), T0)
    state = observe(state, Sample(at=at(0), seen=Seen.UNHEALTHY))
    assert why(state, Result.UNHEALTHY).endswith("no reason given")
    assert state.deadline_at == at(10)


def test_a_row_that_is_complete_only_after_the_deadline_does_not_pass():
    state = begin(spec(successes=1), T0)
    assert result(observe(state, Sample(at=at(10), seen=Seen.HEALTHY)), at(10)) is Result.HEALTHY
    assert result(observe(state, Sample(at=at(10.001), seen=Seen.HEALTHY)), at(11)) is Result.INCONCLUSIVE
