"""A backup as a file of whoever asked for it: under its name only once it is whole, looked at, and on the disk.

What an interruption leaves has another name, which no restore takes, and is taken over by the next backup to that name.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO, Final

from watchkeeper.adapters.sqlite import place
from watchkeeper.adapters.sqlite.archive import Manifest
from watchkeeper.adapters.sqlite.restore import check
from watchkeeper.errors import Rejected, Unavailable

PART: Final = ".part"
NOTED: Final = ".checkpoint"
LOOKED: Final = ".check-"

Fill = Callable[[BinaryIO], object]


def write(target: Path, fill: Fill) -> Manifest:
    """Let `fill` write a backup, look at all of it, and give it its name, with its checkpoint in a file beside.

    Raises Unavailable while another process writes one to that name, Rejected when the name is taken; OSError.
    """
    part = target.with_name(f".{target.name}{PART}")
    number = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "r+b") as file:
        if not _owned(number, part):
            raise Unavailable(f"{part}: another backup is being written there: wait for it, or name another file")
        try:
            file.truncate(0)  # of a backup that was interrupted
            fill(file)
            file.flush()
            os.fsync(number)
            found = look(part, target.parent)
            place.keep(target.with_name(f"{target.name}{NOTED}"), found.checkpoint.encode(), mode=0o666)
            if target.exists():
                raise Rejected(f"{target} is there by now: name a new file, so that no backup is overwritten")
            os.replace(part, target)  # noqa: PTH105  the step that decides, by its own name
            place.settle(target.parent)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    return found


def look(source: Path, beside: Path) -> Manifest:
    """Unpack a backup beside, look at every byte and entry, and take it away again. Raises Rejected or Untrusted."""
    with _apart(source, beside) as folder:
        return check(source, folder)


def refuse_part(source: Path) -> None:
    """Raises Rejected for what an interrupted backup left: nobody looked at it, and it may be cut."""
    if source.name.endswith(PART):
        raise Rejected(
            f"{source}: is what an interrupted backup left, and no backup: give another one, or back up again"
        )


@contextmanager
def _apart(source: Path, beside: Path) -> Iterator[Path]:
    """A folder of our own. Those of looks that were killed go first: each holds a copy of everything."""
    prefix = f".{source.name}{LOOKED}"
    for left in beside.glob(f"{escape(prefix)}*"):
        _swept(left)
    folder = beside / f"{prefix}{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _owned(number, folder):
            raise Unavailable(f"{source}: somebody else looks at it at this moment: try again")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(number)


def _swept(folder: Path) -> None:
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(number)


def _owned(number: int, path: Path) -> bool:
    """Alone, and still under that name: who had it before may have given it another one meanwhile."""
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(number), path.stat(follow_symlinks=False))
    except (BlockingIOError, FileNotFoundError):
        return False
