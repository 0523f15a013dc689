"""Under pressure what is less urgent waits, and never for long."""

from datetime import timedelta

from watchkeeper.engine.pressure import (
    HIGH,
    LARGE_BYTES,
    LESSER_AT_ONCE,
    LESSER_WAIT_MAX_MS,
    WINDOW_MS,
    Pressure,
    only_lesser,
    urgent_first,
)
from watchkeeper.signals.signal import Delivery
from watchkeeper.signals.turn import rank_of
from watchkeeper.values import EPOCH


def delivery(number: int, priority: int, body: bytes = b"{}") -> Delivery:
    return Delivery(
        id=f"dlv_{number}",
        source="default",
        format="alertmanager",
        received_at=EPOCH,
        headers={},
        body=body,
        sha256="",
        priority=rank_of(priority, 15),
    )


def test_pressure_is_what_came_in_this_window_or_the_one_before() -> None:
    pressure = Pressure()
    for _ in range(HIGH - 1):
        pressure.came(WINDOW_MS, 10)
    assert not pressure.high(WINDOW_MS)
    pressure.came(WINDOW_MS, 10)
    assert pressure.high(WINDOW_MS)
    assert pressure.high(3 * WINDOW_MS - 1), "one window later it is still under way"
    assert not pressure.high(3 * WINDOW_MS), "then it is over"


def test_a_silence_ends_it_at_once() -> None:
    pressure = Pressure()
    for _ in range(HIGH):
        pressure.came(0, 10)
    assert pressure.high(0)
    assert not pressure.high(10 * WINDOW_MS)


def test_a_large_delivery_counts_for_several() -> None:
    pressure = Pressure()
    pressure.came(0, (HIGH - 1) * LARGE_BYTES - 1)
    assert not pressure.high(0)
    pressure = Pressure()
    pressure.came(0, (HIGH - 1) * LARGE_BYTES)
    assert pressure.high(0)


def test_all_that_is_urgent_and_a_few_of_the_rest_in_their_order() -> None:
    waiting = tuple(delivery(number, number // 10) for number in range(40))
    taken = urgent_first(waiting, EPOCH + timedelta(milliseconds=LESSER_WAIT_MAX_MS))
    assert taken == waiting[: 20 + LESSER_AT_ONCE]
    assert not only_lesser(taken)
    assert only_lesser(urgent_first(waiting[20:], EPOCH))


def test_nothing_waits_beyond_its_bound() -> None:
    waiting = tuple(delivery(number, 3) for number in range(40))
    assert len(urgent_first(waiting, EPOCH + timedelta(milliseconds=LESSER_WAIT_MAX_MS))) == LESSER_AT_ONCE
    assert urgent_first(waiting, EPOCH + timedelta(milliseconds=LESSER_WAIT_MAX_MS + 1)) == waiting


def test_one_large_delivery_is_enough_at_once() -> None:
    large = b" " * (LESSER_AT_ONCE * LARGE_BYTES)
    waiting = tuple(delivery(number, 3, large) for number in range(4))
    assert urgent_first(waiting, EPOCH) == waiting[:1]
    assert urgent_first((delivery(9, 3), *waiting), EPOCH) == (delivery(9, 3),)
