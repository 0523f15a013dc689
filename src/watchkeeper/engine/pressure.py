"""Pressure: how much arrives now. While a burst lasts, what is less urgent is taken apart a little at a time.

Intake, the pipeline and the effects share one interpreter. A delivery is durable before anybody looks into it, so under
pressure looking can wait: the sender's 2xx and the critical alert cannot.
"""

from typing import Final

from watchkeeper.signals.signal import Delivery
from watchkeeper.signals.turn import class_of
from watchkeeper.values import Instant, ms_between

WINDOW_MS: Final = 250
HIGH: Final = 100  # deliveries in one window, a large one counted for several
LARGE_BYTES: Final = 4_096
LESSER_CLASS: Final = 2  # from here on a delivery can wait: minor, warning, info, and what states no severity
LESSER_AT_ONCE: Final = 4
LESSER_PAUSE_S: Final = 0.02
LESSER_WAIT_MAX_MS: Final = 30_000  # nothing waits longer for the sake of a burst


class Pressure:
    """Times are of the monotonic clock, in milliseconds."""

    def __init__(self) -> None:
        self._window = 0
        self._now = self._before = 0

    def came(self, at_ms: int, size: int) -> None:
        """A delivery of `size` bytes arrived."""
        self._turn(at_ms)
        self._now += weight(size)

    def high(self, at_ms: int) -> bool:
        self._turn(at_ms)
        return self._now >= HIGH or self._before >= HIGH

    def _turn(self, at_ms: int) -> None:
        window = at_ms // WINDOW_MS
        if window != self._window:
            self._before = self._now if window == self._window + 1 else 0
            self._window, self._now = window, 0


def weight(size: int) -> int:
    """A large delivery is as much work as several."""
    return 1 + size // LARGE_BYTES


def urgent_first(deliveries: tuple[Delivery, ...], now: Instant) -> tuple[Delivery, ...]:
    """Of what waits, in its order: all that is urgent, and a few of the rest. All of it once any has waited too long."""
    if any(ms_between(each.received_at, now) > LESSER_WAIT_MAX_MS for each in deliveries):
        return deliveries
    lesser = 0
    found: list[Delivery] = []
    for each in deliveries:
        if class_of(each.priority) >= LESSER_CLASS:
            lesser += weight(len(each.body))
            if lesser > LESSER_AT_ONCE and lesser > weight(len(each.body)):  # the first is taken however large it is
                continue
        found.append(each)
    return tuple(found)


def only_lesser(deliveries: tuple[Delivery, ...]) -> bool:
    return all(class_of(each.priority) >= LESSER_CLASS for each in deliveries)
