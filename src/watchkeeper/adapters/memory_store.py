"""The store in memory: the same answers as on disk, for tests, dry runs and simulation. Deterministic, and gone at exit.

A simulation stops the world around any commit: `between` is told of each one before it is judged and after it is
durable, and what it raises goes to the caller. Raised after, it is the crash in which the commit holds and nobody was
told. `snapshot` and `restore` go back to a moment.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Final, Self

from msgspec import Struct

from watchkeeper.adapters.judge import FOREVER_US, judge, leaves, micros, size_of
from watchkeeper.adapters.listing import PAGE_BYTES_MAX, bounded, checked, cut, position
from watchkeeper.errors import Rejected, Unavailable
from watchkeeper.ledger.entry import Content, Kind, ranges
from watchkeeper.ledger.tree import Frontier, grow, leaf_hash
from watchkeeper.ports import (
    ENTRIES_MAX,
    HASHES_MAX,
    KINDS,
    ClaimRow,
    Commit,
    Committed,
    EntryRow,
    Forget,
    Page,
    Put,
    Refused,
    Row,
    Size,
)
from watchkeeper.signals.signal import Delivery
from watchkeeper.values import Instant, id_time

PENDING_MAX: Final = 10_000


class Moment(StrEnum):
    BEFORE = "before"  # nothing of the commit has happened
    AFTER = "after"  # it is durable; its caller has not been told


Between = Callable[[Moment, Commit], object]


class _Document(Struct, frozen=True):
    row: Row
    keys: Mapping[str, str]


class _Entry(Struct, frozen=True):
    at: Instant
    day: str
    ids: Mapping[str, str]
    body: bytes
    content: Content | None
    order: str = ""


class _World(Struct):
    """Everything, in dicts of frozen values: a copy of the dicts is a copy of the world."""

    position: int = 0
    versions: dict[str, int] = {}
    documents: dict[str, dict[str, _Document]] = {}
    journal: dict[str, dict[int, bytes]] = {}
    claims: dict[int, ClaimRow] = {}
    deliveries: dict[str, tuple[int, Delivery]] = {}
    waiting: dict[str, None] = {}
    entries: list[_Entry] = []
    frontier: Frontier = Frontier()
    kept: dict[tuple[int, int], bytes] = {}

    def copy(self) -> "_World":
        return _World(
            position=self.position,
            versions=dict(self.versions),
            documents={kind: dict(found) for kind, found in self.documents.items()},
            journal={run: dict(found) for run, found in self.journal.items()},
            claims=dict(self.claims),
            deliveries=dict(self.deliveries),
            waiting=dict(self.waiting),
            entries=list(self.entries),
            frontier=self.frontier,
            kept=dict(self.kept),
        )

    # -- judge.View

    def version(self, key: str) -> int:
        return self.versions.get(key, 0)

    def has_event(self, run: str, number: int) -> bool:
        return number in self.journal.get(run, ())

    def revision(self, kind: str, identity: str) -> int:
        found = self.documents[kind].get(identity)
        return found.row.revision if found else 0

    def claimed(self, key: str, at_us: int) -> int:
        return sum(claim.units for claim in self.claims.values() if claim.key == key and _until_us(claim) > at_us)


class Snapshot(Struct, frozen=True):
    """A moment to go back to. Its inside is nobody's business."""

    world: _World


class MemoryStore:
    """Satisfies `ports.Store`."""

    def __init__(self, between: Between | None = None) -> None:
        self.between = between
        self._world = _World(documents={kind: {} for kind in KINDS})
        self._closed = False

    def snapshot(self) -> Snapshot:
        return Snapshot(self._world.copy())

    def restore(self, snapshot: Snapshot) -> None:
        """The same snapshot may be restored again."""
        self._world = snapshot.world.copy()

    def reopened(self) -> Self:
        """The store as the next process finds it: what was committed, and no hook of the last one."""
        self._closed = True
        found = type(self)()
        found._world = self._world  # noqa: SLF001  another one of us
        return found

    # -- writing -----------------------------------------------------------------------------------

    async def commit(self, commit: Commit) -> Committed | Refused:
        answer = self.commit_now(commit)
        await asyncio.sleep(0)  # as on disk, others run before the answer is heard
        return answer

    def commit_now(self, commit: Commit) -> Committed | Refused:
        """`commit` for callers without a loop."""
        size_of(commit)
        entries = leaves(commit)
        self._open()
        if self.between is not None:
            self.between(Moment.BEFORE, commit)
        answer = judge(commit, self._world) or self._apply(commit, entries)
        if self.between is not None:
            self.between(Moment.AFTER, commit)
        return answer

    def _apply(self, commit: Commit, entries: tuple[bytes, ...]) -> Committed:
        world = self._world
        bumped = {}
        for key in commit.bumps:
            bumped[key] = world.versions[key] = world.version(key) + 1
        for put in commit.puts:
            self._put(put)
        for drop in commit.drops:
            world.documents[drop.kind].pop(drop.id, None)
        for event in commit.appends:
            self._next()
            world.journal.setdefault(event.run, {})[event.number] = event.body
        for claim in commit.claims:
            row = ClaimRow(key=claim.key, run=claim.run, units=claim.units, until_at=claim.until_at)
            world.claims[self._next()] = row
        if commit.releases or commit.voids:
            runs, void = set(commit.releases), set(commit.voids)
            ended = [
                at
                for at, claim in world.claims.items()
                if claim.run in void or (claim.run in runs and claim.until_at is None)
            ]
            for at in ended:
                del world.claims[at]
        for (entry, content), body in zip(commit.entries, entries, strict=True):
            day = "" if entry.kind == Kind.ERASE else commit.at.strftime("%Y-%m-%d")
            world.entries.append(_Entry(commit.at, day, entry.ids, body, content))
        for delivery in commit.accepts:
            at = self._next()
            if delivery.id not in world.deliveries:
                world.deliveries[delivery.id] = (at, delivery)
                world.waiting[delivery.id] = None
        for identity in commit.taken:
            world.waiting.pop(identity, None)
        return Committed(position=self._next(), versions=bumped)

    def _put(self, put: Put) -> None:
        found = self._world.documents[put.kind]
        old, here = found.get(put.id), self._next()
        row = Row(
            id=put.id,
            revision=old.row.revision + 1 if old else 1,
            position=old.row.position if old else here,
            body=put.body,
        )
        found[put.id] = _Document(row, put.keys)

    def _next(self) -> int:
        self._world.position += 1
        return self._world.position

    async def integrate(self, limit: int = 10_000) -> int:
        self._open()
        world = self._world
        first = world.frontier.size
        hashes = [leaf_hash(entry.body) for entry in world.entries[first : first + limit]]
        world.frontier, kept = grow(world.frontier, hashes)
        world.kept.update({(found.level, found.index): found.hash for found in kept})
        return len(hashes)

    async def erase(self, order: str, indexes: Sequence[int]) -> int:
        self._open()
        world, gone = self._world, 0
        spans, size = ranges(indexes), world.frontier.size
        if spans and (spans[0][0] < 0 or spans[-1][1] >= size):
            raise Rejected(f"erase {order}: entry {spans[-1][1]} is not in the tree of {size} entries")
        kept = [index for index in sorted(set(indexes)) if not world.entries[index].day]
        if kept:
            raise Rejected(f"erase {order}: entry {kept[0]} is itself an order of erasure, which is never erased")
        for index in set(indexes):
            old = world.entries[index]
            if old.content is not None:
                world.entries[index] = _Entry(old.at, old.day, old.ids, old.body, None, order)
                gone += 1
        return gone

    async def forget(self, forget: Forget) -> Committed | Refused:
        if forget.commit.entries:
            raise Rejected("store: what is forgotten writes no entries: commit them before")
        size_of(forget.commit)
        self._open()
        world = self._world
        refused = judge(forget.commit, world)
        if refused is not None:
            return refused
        answer = self._apply(forget.commit, ())
        for run in forget.runs:
            world.journal.pop(run, None)
        for event in forget.rewrites:
            if event.number in world.journal.get(event.run, ()):
                world.journal[event.run] = {**world.journal[event.run], event.number: event.body}
        for identity in forget.deliveries:
            if identity not in world.waiting:
                world.deliveries.pop(identity, None)
        return answer

    async def old_deliveries(self, before: Instant, limit: int, after: str = "") -> tuple[Delivery, ...]:
        most = bounded(limit)
        start = self._world.deliveries[after][0] if after in self._world.deliveries else 0
        found = [
            pair
            for identity, pair in self._world.deliveries.items()
            if identity not in self._world.waiting and pair[1].received_at < before and pair[0] > start
        ]
        return tuple(delivery for _, delivery in sorted(found, key=lambda pair: pair[0])[:most])

    async def prune(self, before: Instant, *, deliveries: bool = True) -> int:
        self._open()
        world, before_us = self._world, micros(before)
        closed = [at for at, claim in world.claims.items() if _until_us(claim) <= before_us]
        old = [
            identity
            for identity, (_, delivery) in world.deliveries.items()
            if deliveries and identity not in world.waiting and delivery.received_at < before
        ]
        for at in closed:
            del world.claims[at]
        for identity in old:
            del world.deliveries[identity]
        return len(closed) + len(old)

    # -- reading -----------------------------------------------------------------------------------

    async def get(self, kind: str, identity: str) -> Row | None:
        checked(kind, None)
        self._open()
        found = self._world.documents[kind].get(identity)
        return found.row if found else None

    async def find(
        self,
        kind: str,
        where: Mapping[str, str | Sequence[str]] | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
        oldest_first: bool = False,
    ) -> Page:
        start, most = position(after), bounded(limit)
        rows = self._matching(kind, where)
        rows.sort(key=lambda row: row.position, reverse=not oldest_first)
        if start is not None:
            rows = [row for row in rows if (row.position > start if oldest_first else row.position < start)]
        return cut(rows[: most + 1], most)

    async def count(
        self, kind: str, where: Mapping[str, str | Sequence[str]] | None = None, *, since: str | None = None
    ) -> int:
        start = position(since) or 0
        return sum(row.position > start for row in self._matching(kind, where))

    def _matching(self, kind: str, where: Mapping[str, str | Sequence[str]] | None) -> list[Row]:
        wanted = {key: {value} if isinstance(value, str) else set(value) for key, value in checked(kind, where).items()}
        self._open()
        return [
            found.row
            for found in self._world.documents[kind].values()
            if all(found.keys.get(key, "") in values for key, values in wanted.items())
        ]

    async def versions(self) -> dict[str, int]:
        return dict(self._world.versions)

    async def journal(self, run: str) -> tuple[bytes, ...]:
        self._open()
        return tuple(body for _, body in sorted(self._world.journal.get(run, {}).items()))

    async def claims(self, at: Instant, prefix: str = "") -> tuple[ClaimRow, ...]:
        self._open()
        at_us, found = micros(at), self._world.claims.values()
        return tuple(claim for claim in found if claim.key.startswith(prefix) and _until_us(claim) > at_us)

    async def deliveries(self, limit: int) -> tuple[Delivery, ...]:
        most = bounded(limit)
        self._open()
        waiting = [self._world.deliveries[identity] for identity in self._world.waiting]
        found, size = [], 0
        for _, delivery in sorted(waiting, key=lambda pair: (pair[1].priority, pair[0]))[:most]:
            found.append(delivery)
            size += len(delivery.body)
            if size > PAGE_BYTES_MAX:
                break
        return tuple(found)

    async def deliveries_waiting(self) -> int:
        self._open()
        return len(self._world.waiting)

    async def longest_waiting(self, limit: int) -> tuple[Delivery, ...]:
        most = bounded(limit)
        self._open()
        found = [self._world.deliveries[identity] for identity in islice(self._world.waiting, most)]
        return tuple(delivery for _, delivery in found)

    async def delivery(self, identity: str) -> Delivery | None:
        self._open()
        found = self._world.deliveries.get(identity)
        return found[1] if found else None

    # -- the ledger --------------------------------------------------------------------------------

    async def pending_entries(self) -> tuple[tuple[Instant, bytes], ...]:
        first = self._world.frontier.size
        return tuple((entry.at, entry.body) for entry in self._world.entries[first : first + PENDING_MAX])

    async def tree_size(self) -> int:
        return self._world.frontier.size

    async def frontier(self) -> Frontier:
        return self._world.frontier

    async def entries(self, first: int, limit: int) -> tuple[EntryRow, ...]:
        last = min(first + bounded(limit, ENTRIES_MAX), self._world.frontier.size)
        return self._rows(range(first, last))

    async def entries_of(self, name: str, identity: str) -> tuple[EntryRow, ...]:
        entries = self._world.entries[: self._world.frontier.size]
        found = [index for index, entry in enumerate(entries) if entry.ids.get(name) == identity]
        return self._rows(found[:ENTRIES_MAX])

    def _rows(self, indexes: Sequence[int]) -> tuple[EntryRow, ...]:
        self._open()
        rows, size = [], 0
        for index in indexes:
            entry = self._world.entries[index]
            rows.append(
                EntryRow(
                    index=index,
                    body=entry.body,
                    leaf=self._world.kept[(0, index)],
                    content=entry.content.body if entry.content else None,
                    salt=entry.content.salt if entry.content else None,
                    erased=bool(entry.order),
                    order=entry.order,
                )
            )
            size += len(entry.body) + (len(entry.content.body) if entry.content else 0)
            if size > PAGE_BYTES_MAX:
                break
        return tuple(rows)

    async def entries_on(self, day: str) -> tuple[tuple[int, int], ...]:
        entries = self._world.entries[: self._world.frontier.size]
        return tuple(ranges(index for index, entry in enumerate(entries) if entry.day == day and entry.content))

    async def leaf_hashes(self, first: int, limit: int) -> tuple[bytes, ...]:
        return await self.kept_hashes(0, first, limit)

    async def kept_hashes(self, level: int, first: int, limit: int) -> tuple[bytes, ...]:
        wanted = range(first, first + bounded(limit, HASHES_MAX))
        return tuple(self._world.kept[(level, index)] for index in wanted if (level, index) in self._world.kept)

    # -- the whole ---------------------------------------------------------------------------------

    async def size_bytes(self) -> int:
        world = self._world
        return (
            sum(len(found.row.body) for kind in world.documents.values() for found in kind.values())
            + sum(len(body) for events in world.journal.values() for body in events.values())
            + sum(len(delivery.body) for _, delivery in world.deliveries.values())
            + sum(len(entry.body) + (len(entry.content.body) if entry.content else 0) for entry in world.entries)
        )

    async def used_bytes(self) -> int:
        return await self.size_bytes()

    async def sizes(self) -> tuple[Size, ...]:
        world, found = self._world, []
        for kind, documents in world.documents.items():
            rows = sorted((each.row for each in documents.values()), key=lambda row: row.position)
            oldest_at = id_time(rows[0].id) if rows else None
            found.append(Size(kind=kind, rows=len(rows), bytes=sum(len(row.body) for row in rows), oldest_at=oldest_at))
        bodies = [body for events in world.journal.values() for body in events.values()]
        found.append(Size(kind="journal", rows=len(bodies), bytes=sum(map(len, bodies))))
        kept = sorted(world.deliveries.values(), key=lambda pair: pair[0])
        received_at = kept[0][1].received_at if kept else None
        size = sum(len(delivery.body) for _, delivery in kept)
        found.append(Size(kind="delivery", rows=len(kept), bytes=size, oldest_at=received_at))
        entries = world.entries
        size, first_at = sum(len(each.body) for each in entries), entries[0].at if entries else None
        found.append(Size(kind="entry", rows=len(entries), bytes=size, oldest_at=first_at))
        sealed = [each for each in entries if each.content is not None]
        size = sum(len(each.content.body) for each in sealed if each.content is not None)
        sealed_at = sealed[0].at if sealed else None
        found.append(Size(kind="content", rows=len(sealed), bytes=size, oldest_at=sealed_at))
        return tuple(each for each in found if each.rows)

    async def close(self) -> None:
        self._closed = True

    def _open(self) -> None:
        if self._closed:
            raise Unavailable("store in memory: is closed")


def _until_us(claim: ClaimRow) -> int:
    return FOREVER_US if claim.until_at is None else micros(claim.until_at)


class Forgetful(MemoryStore):
    """Keeps what a decision is admitted by, versions and claims, and nothing else: for a long history in little memory."""

    async def commit(self, commit: Commit) -> Committed | Refused:
        return self.commit_now(
            Commit(
                at=commit.at,
                expects=commit.expects,
                bumps=commit.bumps,
                claims=commit.claims,
                releases=commit.releases,
                voids=commit.voids,
            )
        )
