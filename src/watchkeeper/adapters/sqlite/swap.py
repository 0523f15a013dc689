"""The swap: a restored store takes the place of the one that was there, whole or not at all.

The new store is made ready in a folder beside, under a name that nothing reads. Renaming that folder to `restore.ready` is
the one step that decides: before it the old store stands untouched, after it every next step is done again by whoever
opens the store, until it is through. What was there before moves to a folder of its own and is not deleted.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import apsw
import msgspec
from msgspec import Struct

from watchkeeper.adapters.sqlite import archive, place
from watchkeeper.adapters.sqlite.place import DATABASE
from watchkeeper.errors import Rejected

STAGE: Final = "restore.new"
READY: Final = "restore.ready"
SWAP: Final = "swap.json"
ASIDE: Final = "before-restore-"
LOGS: Final = (f"{DATABASE}-wal", f"{DATABASE}-shm")
BESIDE: Final = ("checkpoint", "ledger.key")  # they go with the database where the backup has them

EPOCH_MAX: Final = 1_000  # restores of one home; a greater number was read from damage

At = Callable[[str], object]


class Swap(Struct, frozen=True, kw_only=True):
    """`aside` is the folder, in the state folder, that takes what was there. `checkpoint`: another place of it, outside.
    `epoch` is that of the new store: it is remembered when that store cannot be read any more.
    """

    aside: str
    checkpoint: str = ""
    epoch: int = 0


class Finished(StrEnum):
    """What the one who opens a folder found of an interrupted restore, and did about it."""

    NOTHING = "nothing"
    LEFT = "left"  # it had not decided: the store is the one that was there, and what was made ready is gone
    CARRIED_ON = "carried on"  # it had decided: the store is the one from the backup


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
        place.sync(path)
    place.settle(staged)
    at("decide")
    os.rename(staged, state / READY)  # noqa: PTH104  the step that decides, by its own name
    place.settle(state)


def finish(state: Path, at: At = str) -> Finished:
    """Carry out what was decided, and take away what was not. Owning the folder is the caller's. Done twice it is done once.

    Raises Rejected where the other place of the checkpoint cannot be written, or for a folder that no restore leaves.
    """
    ready = state / READY
    if not ready.exists():
        return _left(state)
    if not (ready / SWAP).exists():
        if (ready / DATABASE).exists():
            raise Rejected(
                f"{ready}: holds a store and not the word what is to become of it, which no restore leaves: move that "
                "folder away, and run 'wk restore FILE' again"
            )
        shutil.rmtree(ready)  # it was through, but for this
        place.settle(state)
        return Finished.CARRIED_ON
    swap = msgspec.json.decode((ready / SWAP).read_bytes(), type=Swap)
    aside = state / swap.aside
    aside.mkdir(mode=0o700, exist_ok=True)
    place.settle(state)
    if (ready / DATABASE).exists():  # the one in place is the old one
        for name in (DATABASE, *LOGS):
            _move(state / name, aside / name, at)
        place.settle(aside)
        place.settle(state)
        _move(ready / DATABASE, state / DATABASE, at)
        place.settle(state)
    for name in BESIDE:
        if (ready / name).exists():
            if (state / name).exists() and not (aside / name).exists():
                at(f"keep {name}")
                place.keep(aside / name, (state / name).read_bytes())
            _outside(swap, ready / name, at)
            _move(ready / name, state / name, at)
    place.settle(state)
    at("end")
    shutil.rmtree(state / STAGE, ignore_errors=True)
    # Its own description goes last: without it the folder could not be taken up again.
    for path in ready.iterdir():
        if path.name != SWAP:
            path.unlink()
    place.settle(ready)
    os.replace(ready / SWAP, aside / SWAP)  # noqa: PTH105
    at("through")
    ready.rmdir()
    place.settle(state)
    return Finished.CARRIED_ON


def _left(state: Path) -> Finished:
    """What was made ready and never decided is a copy of everything: it must not lie about."""
    staged = state / STAGE
    if not staged.exists():
        return Finished.NOTHING
    shutil.rmtree(staged)
    return Finished.LEFT


def epoch_before(state: Path) -> int:
    """The highest epoch that a store of this folder is known to have had. What cannot be read says nothing: it may be the
    damaged store that is to be replaced.
    """
    found = [0]
    with suppress(apsw.Error, IndexError):
        if (state / DATABASE).exists():
            found.append(archive.epoch_of(state / DATABASE))
    for path in state.glob(f"{ASIDE}*/{SWAP}"):
        with suppress(OSError, msgspec.MsgspecError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Swap).epoch)
    return max(number for number in found if number <= EPOCH_MAX)


def _outside(swap: Swap, path: Path, at: At) -> None:
    """The other place of the checkpoint is told too: it was ahead of the backup, and the restore is on record."""
    if path.name != "checkpoint" or not swap.checkpoint:
        return
    at("outside")
    outside, body = Path(swap.checkpoint), path.read_bytes()
    kept = outside.with_name(f"{outside.name}.{swap.aside}")
    try:
        if outside.exists() and not kept.exists() and outside.read_bytes() != body:
            place.keep(kept, outside.read_bytes(), mode=0o666)
        at("tell outside")
        place.keep(outside, body, mode=0o666)
    except OSError as failed:
        raise Rejected(
            f"store.checkpoint {outside}: cannot be written ({failed.strerror}): mend that, and start again; the restore "
            f"is carried on then"
        ) from failed


def _move(source: Path, into: Path, at: At) -> None:
    if source.exists():
        at(f"move {source.parent.name}/{source.name}")
        os.replace(source, into)  # noqa: PTH105
