"""Reading the ledger: entries, checkpoints, proofs, and whether it still says what it said."""

import base64
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchkeeper.engine.answer import No, invalid
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.reading import Listed, View
from watchkeeper.engine.sequencer import with_kept
from watchkeeper.errors import Untrusted
from watchkeeper.ledger import entry as entries
from watchkeeper.ledger.checkpoint import pasted
from watchkeeper.ledger.entry import Content
from watchkeeper.ledger.fault import Fault
from watchkeeper.ledger.tree import consistency_proof, inclusion_proof, leaf_hash, root_at
from watchkeeper.ports import EntryRow

VERIFY_PAGE: Final = 1_000
FAULTS_MAX: Final = 64


class Verified(Struct, frozen=True, kw_only=True):
    """What one pass over entries, kept hashes and contents found. `against` is the answer to a checkpoint that was given."""

    ok: bool
    size: int
    root: str
    faults: tuple[Any, ...]
    contents_matched: int
    contents_erased: int
    pending: int
    checkpoint: str
    against: Any = None


class LedgerReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def entries(self, first: int, limit: int) -> Listed:
        """Oldest first, from an index on: an entry's place never changes."""
        rows = await self._engine.store.entries(first, limit)
        size = await self._engine.store.tree_size()
        last = rows[-1].index + 1 if rows else first
        return Listed(items=tuple(_entry(row) for row in rows), next=str(last) if rows and last < size else None)

    async def newest(self, limit: int, before: int | None) -> Listed:
        """Newest first, like every other list; `before` is the index that the page ends below."""
        size = await self._engine.store.tree_size()
        end = size if before is None else min(before, size)
        first = max(0, end - limit)
        rows = await self._engine.store.entries(first, end - first) if end > first else ()
        return Listed(items=tuple(_entry(row) for row in reversed(rows)), next=str(first) if first > 0 else None)

    async def checkpoint(self) -> View:
        """The newest signed note, what it says, and the key that signed it."""
        await self._engine.sequencer.step()
        frontier = await self._engine.store.frontier()
        sequencer = self._engine.sequencer
        return {
            "note": sequencer.checkpoint,
            "size": frontier.size,
            "root": _b64(frontier.root()),
            "origin": sequencer.key.name,
            "key": sequencer.key.text(),
        }

    async def proof(self, index: int, size: int | None) -> View | No:
        """That an entry is in the tree: its exact bytes (`raw`), its leaf, the way up, and the root it leads to: that of
        the checkpoint beside it, unless another `size` is asked for.
        """
        await self._engine.sequencer.step()
        checkpoint, whole = self._engine.sequencer.checkpoint, await self._engine.store.tree_size()
        of = int(checkpoint.split("\n")[1]) if size is None and checkpoint else whole if size is None else size
        if not 0 <= index < of <= whole:
            return invalid("index", f"entry {index} is not in a tree of {of} entries; the tree has {whole}")
        rows = await self._engine.store.entries(index, 1)
        proof = await with_kept(self._engine.store, lambda kept: inclusion_proof(kept, index, of))
        root = await with_kept(self._engine.store, lambda kept: root_at(kept, of))
        return {
            "index": index,
            "size": of,
            "leaf": _b64(leaf_hash(rows[0].body)),
            "proof": [_b64(each) for each in proof],
            "root": _b64(root),
            "entry": _entry(rows[0]),
            "raw": _b64(rows[0].body),
            "key": self._engine.sequencer.key.text(),
            "checkpoint": checkpoint,
        }

    async def consistency(self, start: int, end: int | None) -> View | No:
        whole = await self._engine.store.tree_size()
        of = whole if end is None else end
        if not 0 <= start <= of <= whole:
            return invalid("from", f"a tree of {whole} entries has no states of {start} and {of} entries in that order")
        proof = await with_kept(self._engine.store, lambda kept: consistency_proof(kept, start, of))
        old = await with_kept(self._engine.store, lambda kept: root_at(kept, start))
        new = await with_kept(self._engine.store, lambda kept: root_at(kept, of))
        return {
            "from": start,
            "to": of,
            "old_root": _b64(old),
            "root": _b64(new),
            "proof": [_b64(each) for each in proof],
        }

    async def verify(self, against: str = "") -> Verified:
        """One pass over everything, a page at a time, so that the engine goes on beside it. Offline and with kept
        checkpoints it says more: `wk ledger verify` on an export.
        """
        await self._engine.sequencer.step()
        size = await self._engine.store.tree_size()
        faults: list[Any] = []
        matched = erased = 0
        async for row in self._rows(size):
            found = _judge(row)
            if found is not None:
                faults.append(found)
            matched += row.content is not None
            erased += row.erased
            if len(faults) >= FAULTS_MAX:
                break
        frontier = await self._engine.store.frontier()
        if not faults and frontier.size >= size:
            try:
                root = await with_kept(self._engine.store, lambda kept: root_at(kept, frontier.size))
            except Untrusted as missing:
                faults.append({"what": "kept_hash", "sentence": str(missing), "first": None, "last": None})
            else:
                if root != frontier.root():
                    faults.append(
                        {"what": "head", "sentence": "the stored root is not that of the kept hashes", "first": None}
                    )
        compared = await self._against(against) if against.strip() else None
        pending = await self._engine.store.pending_entries()
        return Verified(
            ok=not faults and (compared is None or bool(compared["ok"])),
            size=size,
            root=_b64(frontier.root()),
            faults=tuple(faults),
            contents_matched=matched,
            contents_erased=erased,
            pending=len(pending),
            checkpoint=self._engine.sequencer.checkpoint,
            against=compared,
        )

    async def _against(self, text: str) -> View:
        compared = await self._engine.sequencer.against(pasted(text))
        fault: Fault | None = compared.fault
        return {
            "ok": fault is None,
            "size": compared.old.size if compared.old is not None else None,
            "sentence": fault.sentence
            if fault is not None
            else f"the ledger goes on from the {compared.old.size if compared.old else 0} entries of that checkpoint",
            "proof": [_b64(each) for each in compared.proof],
        }

    async def _rows(self, size: int) -> AsyncIterator[EntryRow]:
        at = 0
        while at < size:
            rows = await self._engine.store.entries(at, min(VERIFY_PAGE, size - at))
            if not rows:
                return
            for row in rows:
                yield row
            at = rows[-1].index + 1


def _judge(row: EntryRow) -> View | None:
    """What is wrong with one entry: its bytes against its leaf, its content against its commitment."""
    if leaf_hash(row.body) != row.leaf:
        sentence = f"entry {row.index}: its bytes are not those that were hashed"
        return {"what": "altered", "sentence": sentence, "first": row.index, "last": row.index}
    if row.content is None or row.salt is None:
        if row.erased:
            return None
        sentence = f"entry {row.index}: its content is gone and no order of erasure names it"
        return {"what": "content_missing", "sentence": sentence, "first": row.index, "last": row.index}
    if not entries.matches(entries.read(row.body), Content(salt=row.salt, body=row.content)):
        sentence = f"entry {row.index}: its content is not what it commits to"
        return {"what": "content_altered", "sentence": sentence, "first": row.index, "last": row.index}
    return None


def _entry(row: EntryRow) -> View:
    found = entries.read(row.body)
    return {
        "index": row.index,
        **msgspec.to_builtins(found),
        "leaf": _b64(row.leaf),
        "content": msgspec.Raw(row.content) if row.content is not None else None,
        "salt": row.salt.hex() if row.salt is not None else "",
        "erased": row.erased,
        "order": row.order,
    }


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
