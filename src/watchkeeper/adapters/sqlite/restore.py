"""Putting a store back from a backup: offline, verified before anything is touched, whole or not at all.

In: a state folder that nobody serves, a backup, and what is to be written into the store before it is the store. Out: the
store in place; what was there before in a folder beside. See `swap` for what an interruption leaves.
"""

import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from watchkeeper.adapters.sqlite import archive, place, swap
from watchkeeper.adapters.sqlite.archive import CHECKPOINT, KEY, Manifest
from watchkeeper.adapters.sqlite.store import SqliteStore
from watchkeeper.errors import Malformed, Rejected, Untrusted
from watchkeeper.ledger import checkpoint as checkpoints
from watchkeeper.ledger.note import PublicKey, public_key

ReadKey = Callable[[Path], tuple[bytes, str]]  # the seed and the name of the log. Raises Rejected

CHECKPOINT_BYTES_MAX: Final = 65_536


class Backed(Struct, frozen=True, kw_only=True):
    """What a backup is, once all of it was looked at: with the key of its ledger, and the newest checkpoint that was kept
    outside the database (`lost_size` -1: there was none). `epoch` is the highest that a store in this home had: the next
    one is above it, whatever the backup says, so that nothing from before a restore binds after a second one.
    """

    manifest: Manifest
    seed: bytes
    origin: str
    lost_size: int
    lost_checkpoint: str
    epoch: int = 0


class Marked(Struct, frozen=True, kw_only=True):
    """What the store says of itself now: the name of the restore, the checkpoint of its ledger, and its epoch."""

    name: str
    checkpoint: str
    epoch: int


Mark = Callable[[SqliteStore, Backed], Awaitable[Marked]]


def check(source: Path, folder: Path) -> Manifest:
    """Unpack a backup and look at all of it: what `restore` does first. Raises Rejected or Untrusted."""
    manifest = archive.unpack(source, folder)
    proven = archive.prove(folder / place.DATABASE)
    if (proven.size, proven.root.hex()) != (manifest.size, manifest.root):
        raise Untrusted(f"{source}: its ledger has {proven.size} entries, and its manifest names another root or size")
    said = checkpoints.read(manifest.checkpoint)
    if (said.size, said.root.hex(), said.origin) != (manifest.size, manifest.root, manifest.node):
        raise Untrusted(f"{source}: its checkpoint is not that of its ledger")
    return manifest


async def restore(
    state: Path,
    source: Path,
    *,
    key: Path | None,
    outside: str,
    read_key: ReadKey,
    mark: Mark,
    at: swap.At = str,
) -> tuple[Backed, Path | None]:
    """`key` is a copy of ledger.key kept apart from the backup; `outside` the other place of the checkpoint, "" for none.
    Answers with the folder that holds the store that was there, None when there was none.

    Raises Unavailable while a node runs, Rejected or Untrusted for a backup that cannot be: then nothing was changed.
    """
    held = place.take(state)
    try:
        swap.finish(state, at)
        staged = swap.stage(state)
        try:
            backed = _backed(state, staged, source, key, outside, read_key)
            store = SqliteStore.open(staged)
            try:
                marked = await mark(store, backed)
            finally:
                await store.close()
            (staged / CHECKPOINT).write_text(marked.checkpoint, encoding="utf-8")
        except BaseException:  # also when cancelled: half a store is none
            shutil.rmtree(staged, ignore_errors=True)
            raise
        had = (state / place.DATABASE).exists()
        aside = f"{swap.ASIDE}{marked.name}"
        swap.decide(state, swap.Swap(aside=aside, checkpoint=outside, epoch=marked.epoch), at)
        swap.finish(state, at)
        return backed, state / aside if had else None
    finally:
        held.release()


def _backed(state: Path, staged: Path, source: Path, key: Path | None, outside: str, read_key: ReadKey) -> Backed:
    manifest = check(source, staged)
    seed, origin = _key(state, staged, key, manifest, read_key)
    public = public_key(origin, seed)
    checkpoints.verify(manifest.checkpoint, (public,), origin)
    before = sorted(state.glob(f"{swap.ASIDE}*/{CHECKPOINT}"))  # of a restore that is now repeated
    size, note = _lost([state / CHECKPOINT, *before, *([Path(outside)] if outside else [])], public, origin)
    epoch = swap.epoch_before(state)
    return Backed(manifest=manifest, seed=seed, origin=origin, lost_size=size, lost_checkpoint=note, epoch=epoch)


def _key(state: Path, staged: Path, key: Path | None, manifest: Manifest, read_key: ReadKey) -> tuple[bytes, str]:
    """The key of the ledger in the backup: given, in the backup, or in place. One that is in place stays."""
    own = state / KEY
    places = [*([key] if key is not None else []), staged / KEY, own]
    found = next((path for path in places if path.exists()), None)
    if found is None:
        raise Rejected(
            f"the backup holds no {KEY}, and there is none in {state}: give the copy that you kept with --key FILE; "
            "without it the record cannot go on under its name"
        )
    seed, origin = read_key(found)
    if own.exists() and read_key(own)[1] != manifest.node:
        raise Rejected(
            f"{state} holds the store of node {read_key(own)[1]}, the backup is of {manifest.node}: restore it into a home "
            "of its own"
        )
    if origin != manifest.node:
        raise Rejected(f"{found}: is the key of node {origin}, the backup is of {manifest.node}: give that one's")
    if own.exists():
        (staged / KEY).unlink(missing_ok=True)
    elif found != staged / KEY:
        (staged / KEY).touch(mode=0o600)
        (staged / KEY).write_bytes(found.read_bytes())
    return seed, origin


def _lost(places: list[Path], key: PublicKey, origin: str) -> tuple[int, str]:
    """The newest checkpoint that was kept outside the database; what nobody signed says nothing."""
    newest = (-1, "")
    for path in places:
        with suppress(OSError, Malformed, Untrusted, UnicodeDecodeError):
            with path.open(encoding="utf-8") as file:
                text = file.read(CHECKPOINT_BYTES_MAX)
            said = checkpoints.verify(text, (key,), origin)
            if said.size > newest[0]:
                newest = (said.size, text)
    return newest
