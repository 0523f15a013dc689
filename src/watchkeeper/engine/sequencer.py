"""The one sequencer: takes pending entries into the tree, and signs what the tree has become.

The newest checkpoint travels with notices, tickets and approvals: whoever kept one can show that nothing before it
was altered. It is also kept in a file outside the database, so that a database that was put back is noticed.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import structlog

from watchkeeper.ledger.checkpoint import Checkpoint, sign
from watchkeeper.ledger.note import PublicKey, public_key
from watchkeeper.ledger.tree import Frontier, Kept
from watchkeeper.ledger.verify import Comparison, against
from watchkeeper.ports import Store

log = structlog.get_logger("watchkeeper.ledger")

EVERY_S: Final = 0.2  # `verify` complains of entries that wait longer than a second
KEEP_EVERY_S: Final = 5.0
READS_MAX: Final = 10_000  # of kept hashes for one proof; a tree of 2^62 needs far fewer

Answer = TypeVar("Answer")


class Sequencer:
    """`keep` writes the checkpoint outside the database; None where there is no outside (tests, dry runs)."""

    def __init__(self, store: Store, origin: str, seed: bytes, keep: Callable[[str], None] | None = None) -> None:
        self._store, self._origin, self._seed, self._keep = store, origin, seed, keep
        self.checkpoint = ""
        self.size = 0
        self.key: PublicKey = public_key(origin, seed)

    async def work(self) -> None:
        kept_s = 0.0
        while True:
            await asyncio.sleep(EVERY_S)
            await self.step()
            kept_s += EVERY_S
            if kept_s >= KEEP_EVERY_S and self._keep is not None and self.checkpoint:
                kept_s = 0.0
                await asyncio.to_thread(self._keep, self.checkpoint)

    async def step(self) -> None:
        """Integrate all that is pending, and sign the tree when it grew."""
        while await self._store.integrate():
            pass
        frontier = await self._store.frontier()
        if frontier.size != self.size or not self.checkpoint:
            self.size = frontier.size
            self.checkpoint = self.signed(frontier)

    def signed(self, frontier: Frontier) -> str:
        """The checkpoint of another state of this log: of a copy of its store."""
        return sign(Checkpoint(origin=self._origin, size=frontier.size, root=frontier.root()), self._seed)

    async def against(self, text: str) -> Comparison:
        """Whether the tree still holds what an older checkpoint saw."""
        frontier = await self._store.frontier()
        root = frontier.root()
        return await with_kept(
            self._store,
            lambda kept: against(text, keys=(self.key,), size=frontier.size, root=root, kept=kept, origin=self._origin),
        )


class _Missing(Exception):
    def __init__(self, level: int, first: int, count: int) -> None:
        super().__init__(f"kept hashes {level}/{first}+{count}")
        self.wanted = (level, first, count)


async def with_kept(store: Store, work: Callable[[Kept], Answer]) -> Answer:
    """Run a pure function that reads kept hashes over a store that is read asynchronously: what it misses is fetched,
    then it is run again. Proofs read a few dozen hashes, so this costs a few reads.
    """
    known: dict[tuple[int, int, int], Sequence[bytes]] = {}

    def kept(level: int, first: int, count: int) -> Sequence[bytes]:
        found = known.get((level, first, count))
        if found is None:
            raise _Missing(level, first, count)
        return found

    for _ in range(READS_MAX):
        try:
            return work(kept)
        except _Missing as missing:
            known[missing.wanted] = await store.kept_hashes(*missing.wanted)
    raise AssertionError(f"a proof read more than {READS_MAX} ranges of hashes")


def keep_in(*paths: Path) -> Callable[[str], None]:
    """Writes the checkpoint beside the database, and where else it is to be kept; each whole or not at all, whatever
    happens to the power: a node does not start behind a checkpoint, nor with one that it cannot read.
    """
    kept: dict[Path, str] = {}

    def keep(text: str) -> None:
        for path in paths:
            if kept.get(path) == text and path.exists():
                continue  # an idle node does not wake the disk
            beside = path.with_suffix(".new")
            try:
                with beside.open("w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(path)
                kept[path] = text
            except OSError as failed:
                log.warning("the checkpoint could not be kept", path=str(path), why=str(failed))

    return keep
