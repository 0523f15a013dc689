"""The hand-over: an urgent alert goes from the intake to the pipeline without being read from the store again.

It is durable before it is handed over. What does not fit, is large or less urgent stays in the store, where the pipeline finds
it in its turn: nothing rests on this but time.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from watchkeeper.engine.pressure import LESSER_CLASS, weight
from watchkeeper.signals.signal import Delivery
from watchkeeper.signals.turn import class_of

HANDED_MAX: Final = 64  # deliveries, each smaller than `pressure.LARGE_BYTES`
PIECE_BYTES_MAX: Final = 12_288  # of deliveries that are taken apart at a time; one that is larger is alone


class Handover:
    """`in_store`: something may wait in the store that is not here, so it must be read; at a start nobody knows.

    A delivery is `coming` while it is on its way to the disk. The pipeline may find it in the store before its sender is
    answered: then it is not handed over too.
    """

    def __init__(self) -> None:
        self.in_store = True
        self._coming: set[str] = set()
        self._waiting: dict[str, Delivery] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def comes(self, identity: str) -> None:
        """It is on its way to the disk: `add` or `unknown` follows."""
        self._coming.add(identity)

    def add(self, delivery: Delivery) -> None:
        """It is durable."""
        if delivery.id not in self._coming:
            return
        self._coming.discard(delivery.id)
        fits = len(self._waiting) < HANDED_MAX and weight(len(delivery.body)) == 1
        if fits and class_of(delivery.priority) < LESSER_CLASS:
            self._waiting[delivery.id] = delivery
        else:
            self.in_store = True

    def unknown(self, identity: str) -> None:
        """Nobody waits for it any more: whether it is durable is seen in the store."""
        if identity in self._coming:
            self._coming.discard(identity)
            self.in_store = True

    def discard(self, identity: str) -> None:
        """It was found in the store."""
        self._coming.discard(identity)
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
        alike = [each for each in self._waiting.values() if each.priority == best]
        found = tuple(next(pieces(alike), ()))
        for each in found:
            del self._waiting[each.id]
        return found


def pieces(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """In their order, each of one rank and of at most PIECE_BYTES_MAX, or one delivery."""
    piece: list[Delivery] = []
    size = 0
    for each in deliveries:
        more = len(each.body)
        if piece and (size + more > PIECE_BYTES_MAX or each.priority != piece[0].priority):
            yield piece
            piece, size = [], 0
        piece.append(each)
        size += more
    if piece:
        yield piece
