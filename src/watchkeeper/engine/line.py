"""A line: what waits to be worked on, in the order of `signals.turn`, with arrivals and departures in between.

`take` removes, and counts the places it gives, so the share of what has waited longest holds over many small takes.
`look` is for one place that became free: it names who would have it, and who after that, and all of them go on waiting. Memory is a few words for each that waits.
"""

import heapq
from typing import Final

from msgspec.structs import replace

from watchkeeper.signals.turn import Waiting, by_age, by_rank, is_aged, is_for_the_aged
from watchkeeper.values import Instant

SPARE_MAX: Final = 64  # entries of a heap that may be out of date before it is built again, beside as many as wait

Key = tuple[int, Instant, int, str]
Age = tuple[Instant, int, str]


class Line:
    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._ranked: list[Key] = []
        self._oldest: list[Age] = []
        self._given = 0
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, identity: str) -> bool:
        return identity in self._waiting

    def best(self) -> int | None:
        """The rank of the most urgent; None when nobody waits."""
        return self._first_by_rank().rank if self._waiting else None

    def since(self, identity: str) -> Instant | None:
        found = self._waiting.get(identity)
        return None if found is None else found.since_at

    def add(self, identity: str, rank: int, since_at: Instant) -> None:
        """One that waits already keeps the time since when it does, and takes the new rank."""
        before = self._waiting.get(identity)
        if before is None:
            self._number += 1
            found = Waiting(id=identity, rank=rank, since_at=since_at, number=self._number)
        elif before.rank == rank:
            return
        else:
            found = replace(before, rank=rank)
        self._waiting[identity] = found
        heapq.heappush(self._ranked, by_rank(found))
        if before is None:
            heapq.heappush(self._oldest, by_age(found))
        self._tidy()

    def discard(self, identity: str) -> None:
        self._waiting.pop(identity, None)
        self._tidy()

    def take(self, most: int, now: Instant) -> list[str]:
        """The next ones, at most so many; they wait no more."""
        found: list[str] = []
        while self._waiting and len(found) < most:
            one = self._next(now)
            del self._waiting[one.id]
            found.append(one.id)
        self._tidy()
        return found

    def look(self, most: int, now: Instant) -> list[str]:
        """Who is next for one free place, then who would be after that."""
        place, found = self._given, list[Waiting]()
        while self._waiting and len(found) < most:
            found.append(self._next(now))
            del self._waiting[found[-1].id]
        for one in found:
            self._waiting[one.id] = one
            heapq.heappush(self._ranked, by_rank(one))
            heapq.heappush(self._oldest, by_age(one))
        self._given = place + 1
        self._tidy()
        return [one.id for one in found]

    def _next(self, now: Instant) -> Waiting:
        place, self._given = self._given, self._given + 1
        if is_for_the_aged(place):
            oldest = self._first_by_age()
            if is_aged(oldest, now):
                return oldest
        return self._first_by_rank()

    def _first_by_rank(self) -> Waiting:
        while True:
            one = self._waiting.get(self._ranked[0][-1])
            if one is not None and by_rank(one) == self._ranked[0]:
                return one
            heapq.heappop(self._ranked)

    def _first_by_age(self) -> Waiting:
        while True:
            one = self._waiting.get(self._oldest[0][-1])
            if one is not None and by_age(one) == self._oldest[0]:
                return one
            heapq.heappop(self._oldest)

    def _tidy(self) -> None:
        """Heaps hold what has left, too; when that is more than half of them they are built again."""
        most = 2 * len(self._waiting) + SPARE_MAX
        if len(self._ranked) > most:
            self._ranked = [by_rank(one) for one in self._waiting.values()]
            heapq.heapify(self._ranked)
        if len(self._oldest) > most:
            self._oldest = [by_age(one) for one in self._waiting.values()]
            heapq.heapify(self._oldest)
