"""The swap: a restored store takes the place of the one that was there, whole or not at all.

The new store is made ready in a folder beside, under a name that nothing reads. Renaming that folder to `restore.ready` is
the one step that decides: before it the old store stands untouched, after it every next step is done again by whoever
opens the store, until it is through. What was there before moves to a folder of its own and is not deleted.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from watchkeeper.adapters.sqlite.place import DATABASE, settle
from watchkeeper.errors import Rejected

STAGE: Final = "restore.new"
READY: Final = "restore.ready"
SWAP: Final = "swap.json"
LOGS: Final = (f"{DATABASE}-wal", f"{DATABASE}-shm")
BESIDE: Final = ("checkpoint", "ledger.key")  # they go with the database where the backup has them

At = Callable[[str], object]


class Swap(Struct, frozen=True, kw_only=True):
    """`aside` is the folder, in the state folder, that takes what was there. `checkpoint`: another place of it, outside."""

    aside: str
    checkpoint: str = ""


def stage(state: Path) -> Path:
    """A fresh folder to make a store ready in. What an interrupted restore left there goes."""
    found = state / STAGE
    if found.exists():
        shutil.rmtree(found)
    found.mkdir(mode=0o700)
    return found


def decide(state: Path, swap: Swap, at: At = str) -> None:
    """From here on the new store is the store. Everything in the stage is on the disk before."""
    staged = state / STAGE
    log = staged / LOGS[0]
    if log.exists() and log.stat().st_size:
        raise Rejected(f"{log}: the restored store was not closed: nothing was changed; restore again")
    (staged / SWAP).write_bytes(msgspec.json.encode(swap))
    for path in staged.iterdir():
        at(f"sync {path.name}")
        _sync(path)
    settle(staged)
    at("decide")
    os.rename(staged, state / READY)  # noqa: PTH104  the step that decides, by its own name
    settle(state)


def finish(state: Path, at: At = str) -> bool:
    """Carry out what was decided; False when nothing was. Owning the folder is the caller's. Done twice it is done once."""
    ready = state / READY
    if not ready.exists():
        return False
    if not (ready / SWAP).exists():  # it was through, but for this
        ready.rmdir()
        return True
    swap = msgspec.json.decode((ready / SWAP).read_bytes(), type=Swap)
    aside = state / swap.aside
    aside.mkdir(mode=0o700, exist_ok=True)
    if (ready / DATABASE).exists():  # the one in place is the old one
        for name in (DATABASE, *LOGS):
            _move(state / name, aside / name, at)
        settle(aside)
        settle(state)
        _move(ready / DATABASE, state / DATABASE, at)
        settle(state)
    for name in BESIDE:
        if (ready / name).exists():
            if (state / name).exists() and not (aside / name).exists():
                at(f"keep {name}")
                shutil.copy2(state / name, aside / name)
            _outside(swap, ready / name, at)
            _move(ready / name, state / name, at)
    settle(state)
    at("end")
    shutil.rmtree(state / STAGE, ignore_errors=True)
    # Its own description goes last: without it the folder could not be taken up again.
    for path in ready.iterdir():
        if path.name != SWAP:
            path.unlink()
    os.replace(ready / SWAP, aside / SWAP)  # noqa: PTH105
    at("through")
    ready.rmdir()
    settle(state)
    return True


def _outside(swap: Swap, path: Path, at: At) -> None:
    """The other place of the checkpoint is told too: it was ahead of the backup, and the restore is on record."""
    if path.name != "checkpoint" or not swap.checkpoint:
        return
    at("outside")
    outside = Path(swap.checkpoint)
    try:
        if outside.exists():
            shutil.copy2(outside, outside.with_name(f"{outside.name}.{swap.aside}"))
        beside = outside.with_name(f"{outside.name}.new")
        shutil.copyfile(path, beside)
        beside.replace(outside)
    except OSError as failed:
        raise Rejected(
            f"store.checkpoint {outside}: cannot be written ({failed.strerror}): mend that, and start again; the restore "
            f"is carried on then"
        ) from failed


def _move(source: Path, into: Path, at: At) -> None:
    if source.exists():
        at(f"move {source.parent.name}/{source.name}")
        os.replace(source, into)  # noqa: PTH105


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
