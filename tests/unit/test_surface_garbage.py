"""The collector on our terms: small looks while there is work, what outlives them is set aside, everything when there is none."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from watchkeeper.surface.garbage import FORCED_AT, GROWN_MIN, MIDDLE, NEVER, YOUNG, Garbage


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    threshold, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*threshold)
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def test_the_interpreter_looks_at_everything_only_when_it_is_told_to():
    Garbage(lambda: True).settle()
    assert gc.get_threshold() == (YOUNG, MIDDLE, NEVER)


def test_what_outlives_two_looks_is_set_aside():
    Garbage(lambda: True).settle()
    kept: list[list[object]] = [[] for _ in range(1_000)]
    before = gc.get_freeze_count()
    gc.collect(0)
    assert gc.get_freeze_count() == before
    gc.collect(1)
    assert gc.get_freeze_count() - before >= len(kept)


@pytest.mark.parametrize(
    ("grown", "idle", "due"),
    [
        (GROWN_MIN - 1, True, False),
        (GROWN_MIN, True, True),
        (GROWN_MIN, False, False),
        (FORCED_AT - 1, False, False),
        (FORCED_AT, False, True),
    ],
)
def test_everything_is_looked_at_when_enough_was_set_aside_and_nothing_is_to_be_done(
    monkeypatch: pytest.MonkeyPatch, grown: int, idle: bool, due: bool
):
    garbage = Garbage(lambda: idle)
    garbage._set_aside = 2 * GROWN_MIN
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 2 * GROWN_MIN + grown)
    assert garbage.is_due() is due


def test_a_look_at_everything_finds_cycles_that_were_set_aside():
    class Cycle:
        pass

    garbage = Garbage(lambda: True)
    garbage.settle()
    one = Cycle()
    one.itself = one  # type: ignore[attr-defined]
    gc.collect(1)
    gone = []

    weakref.finalize(one, gone.append, True)
    del one
    gc.collect(1)
    assert not gone
    garbage.look()
    assert gone == [True]
