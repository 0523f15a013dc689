"""The hand-over: an urgent alert goes from the intake to the pipeline without being read from the store again.

It is durable before it is handed over. What does not fit, is large or less urgent stays in the store, where the pipeline finds
it in its turn: nothing rests on this but time.
"""

from typing import Final

from watchkeeper.engine.pressure import LESSER_CLASS, weight
from watchkeeper.signals.signal import Delivery
from watchkeeper.signals.turn import class_of

HANDED_MAX: Final = 64  # deliveries, each smaller than `pressure.LARGE_BYTES`
PIECE_WEIGHT_MAX: Final = 7  # of deliveries that are taken apart at a time, see `weight`; one that is heavier is alone


class Handover:
    """`coming` are the ids of deliveries on their way to the disk: found in the store first, they are not handed over."""

    def __init__(self) -> None:
        self.coming: set[str] = set()
        self._waiting: dict[str, Delivery] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, delivery: Delivery) -> None:
        """It is durable."""
        fits = len(self._waiting) < HANDED_MAX and weight(len(delivery.body)) == 1
        if fits and delivery.id in self.coming and class_of(delivery.priority) < LESSER_CLASS:
            self._waiting[delivery.id] = delivery

    def discard(self, identity: str) -> None:
        """It was found in the store."""
        self.coming.discard(identity)
        self._waiting.pop(identity, None)

    def best(self) -> int | None:
        """The rank of the most urgent; None when nothing waits."""
        return min((each.priority for each in self._waiting.values()), default=None)

    def goes_before(self, rank: int, weighs: int = 1) -> bool:
        """Whether anything here is more urgent than `rank`; or as urgent, where what is compared weighs more than one alert:
        whoever would take a large delivery apart looks first at the one alert that says as much.
        """
        best = self.best()
        return best is not None and (best < rank or (best == rank and weighs > 1))

    def take(self) -> tuple[Delivery, ...]:
        """The most urgent, and those of its rank that came next: one piece."""
        best = self.best()
        found = [each for each in self._waiting.values() if each.priority == best][:PIECE_WEIGHT_MAX]
        for each in found:
            del self._waiting[each.id]
        return tuple(found)
