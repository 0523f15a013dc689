"""The clock guard on both sides of its three limits."""

from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.engine.clock import ClockGuard

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Clocks:
    """A guard, and the two clocks that it looks at."""

    def __init__(self) -> None:
        self.guard, self.wall_ms, self.monotonic_ms = ClockGuard(), 0, 0
        self.look()

    def look(self, *, passed_ms: int = 0, jump_ms: int = 0) -> tuple[bool, str]:
        self.monotonic_ms += passed_ms
        self.wall_ms += passed_ms + jump_ms
        state = self.guard.look(START + timedelta(milliseconds=self.wall_ms), self.monotonic_ms)
        return state.trusted, state.why


def test_clocks_that_agree_are_trusted() -> None:
    clocks = Clocks()
    assert all(clocks.look(passed_ms=250) == (True, "") for _ in range(100))


@pytest.mark.parametrize(("back_ms", "trusted"), [(5_000, True), (5_001, False)])
def test_five_seconds_behind_the_highest_seen_is_the_most(back_ms: int, trusted: bool) -> None:
    assert Clocks().look(jump_ms=-back_ms)[0] is trusted


def test_steps_back_add_up_against_the_highest_seen() -> None:
    clocks = Clocks()
    assert clocks.look(jump_ms=-3_000)[0]
    assert clocks.look(jump_ms=-3_000) == (False, "the clock of this node is 6 s behind a time it has already shown")


@pytest.mark.parametrize(("ahead_ms", "trusted"), [(30_000, True), (30_001, False)])
def test_thirty_seconds_against_the_monotonic_clock_is_the_most(ahead_ms: int, trusted: bool) -> None:
    assert Clocks().look(passed_ms=250, jump_ms=ahead_ms)[0] is trusted


def test_a_jump_says_how_far() -> None:
    assert Clocks().look(jump_ms=45_000) == (False, "the clock of this node jumped by 45 s")


def test_a_machine_that_slept_is_no_jump_when_both_clocks_slept() -> None:
    assert Clocks().look(passed_ms=3_600_000) == (True, "")


def test_it_is_trusted_again_after_a_minute_of_agreement_and_no_sooner() -> None:
    clocks = Clocks()
    assert not clocks.look(jump_ms=40_000)[0]
    assert not clocks.look(passed_ms=250)[0]
    assert not clocks.look(passed_ms=59_999)[0]
    assert clocks.look(passed_ms=1) == (True, "")


def test_another_jump_begins_the_minute_anew() -> None:
    clocks = Clocks()
    clocks.look(jump_ms=40_000)
    clocks.look(passed_ms=250)
    clocks.look(passed_ms=30_000)
    assert not clocks.look(jump_ms=-40_000)[0]
    clocks.look(passed_ms=250)
    assert not clocks.look(passed_ms=59_999)[0]
    assert clocks.look(passed_ms=1)[0]


def test_a_clock_that_was_set_back_and_stays_there_is_trusted_in_the_end() -> None:
    clocks = Clocks()
    clocks.look(jump_ms=-3_600_000)
    clocks.look(passed_ms=250)
    assert clocks.look(passed_ms=60_000)[0]
