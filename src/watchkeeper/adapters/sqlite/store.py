"""The store of one machine: a SQLite file in the state folder, owned by this process."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self

import apsw

from watchkeeper.adapters.judge import micros, size_of
from watchkeeper.adapters.listing import bounded, checked, position
from watchkeeper.adapters.sqlite import archive, place, reads, sequencer, swap
from watchkeeper.adapters.sqlite.batch import Batch
from watchkeeper.adapters.sqlite.connect import remark, shut, translated, writing
from watchkeeper.adapters.sqlite.readers import Readers
from watchkeeper.adapters.sqlite.schema import migrate
from watchkeeper.adapters.sqlite.writer import Die, Writer, die
from watchkeeper.errors import Rejected
from watchkeeper.ledger.tree import Frontier
from watchkeeper.ports import (
    ENTRIES_MAX,
    HASHES_MAX,
    ClaimRow,
    Commit,
    Committed,
    EntryRow,
    Forget,
    Page,
    Refused,
    Row,
    Size,
)
from watchkeeper.signals.signal import Delivery
from watchkeeper.values import Instant


class SqliteStore:
    """Satisfies `ports.Store`. Called on one event loop."""

    def __init__(
        self,
        path: Path,
        held: place.Held,
        connection: apsw.Connection,
        readers: Readers,
        start: sequencer.Start,
        die: Die,
    ) -> None:
        self.path = path
        self.finished = swap.Finished.NOTHING  # of a restore that was interrupted
        self.remark = remark()  # about the library, for a person; empty when there is nothing
        self._held = held
        self._readers = readers
        self._frontier = start.frontier  # this and the pending hashes change on the writer's thread alone
        self._pending = deque(start.pending)
        self._writer = Writer(connection, start.known, path, die, self._pending.extend)

    @classmethod
    def open(cls, folder: Path, *, die: Die = die, vfs: str | None = None) -> Self:
        """Own `folder` (made, mode 0700, when missing), bring its tables up to this release, start the writer.

        `die` is told one sentence when a write fails, and must not return in production. Blocks for the recovery of
        the log. Raises Unavailable when another process owns the folder, Rejected for a network file system or the
        store of a newer release, Untrusted for a damaged file.
        """
        with ExitStack() as undo:
            held = place.take(folder)
            undo.callback(held.release)
            finished = swap.finish(folder)
            path = place.make(folder)
            try:
                connection = writing(path, vfs)
                undo.callback(shut, connection)
                migrate(connection, str(path))
                start = sequencer.load(connection)
                readers = Readers(path, vfs)
            except apsw.Error as broken:
                raise translated(broken, path) from broken
            place.settle(folder)
            undo.pop_all()
        store = cls(path, held, connection, readers, start, die)
        store.finished = finished
        return store

    # -- writing -----------------------------------------------------------------------------------

    async def commit(self, commit: Commit) -> Committed | Refused:
        """A caller that is cancelled meanwhile has not undone its commit."""
        return await self._writer.submit(commit)

    async def integrate(self, limit: int = 10_000) -> int:
        done = 0
        while self._pending and done < limit:  # what was acknowledged is in there: no transaction to find nothing
            step = min(limit - done, sequencer.INTEGRATE_MAX)
            moved, _ = await self._writer.job(partial(self._grow, step), self._grown)
            done += moved
            if moved < step:
                break
        return done

    async def erase(self, order: str, indexes: Sequence[int]) -> int:
        def run(connection: apsw.Connection) -> tuple[int, tuple[int, ...]]:
            return sequencer.erase(connection, order, indexes, self._frontier.size)

        gone, _ = await self._writer.job(run, self._erased)
        return int(gone)

    async def prune(self, before: Instant, *, deliveries: bool = True) -> int:
        run = partial(sequencer.prune, before_us=micros(before), deliveries=deliveries)
        gone: int = await self._writer.job(run)
        return gone

    async def forget(self, forget: Forget) -> Committed | Refused:
        if forget.commit.entries:
            raise Rejected("store: what is forgotten writes no entries: commit them before")
        size_of(forget.commit)
        secure = forget.secure

        def forgotten(answer: tuple[Batch, Committed | Refused]) -> None:
            batch, said = answer
            if isinstance(said, Committed):
                batch.adopt()
                if secure:
                    self._writer.empty_log()

        run = partial(sequencer.forget, known=self._writer.known, wanted=forget)
        _, said = await self._writer.job(run, forgotten)
        answer: Committed | Refused = said
        return answer

    def _grow(self, limit: int, connection: apsw.Connection) -> tuple[int, Frontier]:
        leaves = list(islice(self._pending, limit))
        grown = sequencer.integrate(connection, self._frontier, leaves) if leaves else self._frontier
        return len(leaves), grown

    def _grown(self, answer: tuple[int, Frontier]) -> None:
        done, self._frontier = answer
        for _ in range(done):
            self._pending.popleft()

    def _erased(self, answer: tuple[int, tuple[int, ...]]) -> None:
        """Keys that went are forgotten, and the log that still has copies of what went is emptied."""
        known = self._writer.known
        known.day_keys = {day: key for day, key in known.day_keys.items() if key[0] not in answer[1]}
        self._writer.empty_log()

    # -- reading -----------------------------------------------------------------------------------

    async def get(self, kind: str, identity: str) -> Row | None:
        checked(kind, None)
        return await self._readers.read(partial(reads.get, kind=kind, identity=identity))

    async def find(
        self,
        kind: str,
        where: Mapping[str, str | Sequence[str]] | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
        oldest_first: bool = False,
    ) -> Page:
        keys, start, most = checked(kind, where), position(after), bounded(limit)
        what = partial(reads.find, kind=kind, where=keys, after=start, limit=most, oldest_first=oldest_first)
        return await self._readers.read(what)

    async def count(
        self, kind: str, where: Mapping[str, str | Sequence[str]] | None = None, *, since: str | None = None
    ) -> int:
        what = partial(reads.count, kind=kind, where=checked(kind, where), since=position(since))
        return await self._readers.read(what)

    async def versions(self) -> dict[str, int]:
        return dict(self._writer.known.versions)

    async def journal(self, run: str) -> tuple[bytes, ...]:
        return await self._readers.read(partial(reads.journal, run=run))

    async def claims(self, at: Instant, prefix: str = "") -> tuple[ClaimRow, ...]:
        return await self._readers.read(partial(reads.claims, at_us=micros(at), prefix=prefix))

    async def deliveries(self, limit: int) -> tuple[Delivery, ...]:
        return await self._readers.read(partial(reads.deliveries, limit=bounded(limit)))

    async def deliveries_waiting(self) -> int:
        return await self._readers.read(reads.deliveries_waiting)

    async def longest_waiting(self, limit: int) -> tuple[Delivery, ...]:
        return await self._readers.read(partial(reads.longest_waiting, limit=bounded(limit)))

    async def delivery(self, identity: str) -> Delivery | None:
        return await self._readers.read(partial(reads.delivery, identity=identity))

    # -- the ledger --------------------------------------------------------------------------------

    async def pending_entries(self) -> tuple[tuple[Instant, bytes], ...]:
        return await self._readers.read(reads.pending_entries)

    async def tree_size(self) -> int:
        return self._frontier.size

    async def frontier(self) -> Frontier:
        return self._frontier

    async def entries(self, first: int, limit: int) -> tuple[EntryRow, ...]:
        return await self._readers.read(partial(reads.entries, first=first, limit=bounded(limit, ENTRIES_MAX)))

    async def entries_of(self, name: str, identity: str) -> tuple[EntryRow, ...]:
        what = partial(reads.entries_of, name=name, identity=identity, limit=ENTRIES_MAX)
        return await self._readers.read(what)

    async def entries_on(self, day: str) -> tuple[tuple[int, int], ...]:
        return await self._readers.read(partial(reads.entries_on, day=day))

    async def leaf_hashes(self, first: int, limit: int) -> tuple[bytes, ...]:
        return await self.kept_hashes(0, first, limit)

    async def kept_hashes(self, level: int, first: int, limit: int) -> tuple[bytes, ...]:
        count = bounded(limit, HASHES_MAX)
        return await self._readers.read(partial(reads.kept_hashes, level=level, first=first, count=count))

    # -- the whole ---------------------------------------------------------------------------------

    async def old_deliveries(self, before: Instant, limit: int, after: str = "") -> tuple[Delivery, ...]:
        what = partial(reads.old_deliveries, before_us=micros(before), limit=bounded(limit), after=after)
        return await self._readers.read(what)

    async def used_bytes(self) -> int:
        return await self._readers.read(reads.used_bytes)

    async def sizes(self) -> tuple[Size, ...]:
        return await self._readers.read_apart(reads.sizes)

    async def copy(self, into: Path) -> None:
        """A consistent copy while everything goes on. Raises Rejected when there is no room for it."""
        await asyncio.to_thread(archive.copy, self.path, into)

    async def size_bytes(self) -> int:
        return await self._readers.read(partial(reads.size_bytes, path=self.path))

    async def close(self) -> None:
        """What waits is written first; then the log is emptied into the file and the folder released."""
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._writer.close)
        self._held.release()
