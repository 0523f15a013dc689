"""Where the store lies: a folder of this machine that one process owns."""

import ctypes
import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Final

from watchkeeper.errors import Rejected, Unavailable

DATABASE: Final = "watchkeeper.db"
LOCK: Final = "store.lock"

# A network file system promises neither the locks nor the order of writes that a database lives by.
# Source: statfs(2), linux/magic.h; sqlite.org/howtocorrupt.html section 2.
_NETWORK: Final = {
    0x6969: "NFS",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB",
    0x517B: "SMB",
    0x65735546: "FUSE",
    0x01021997: "9P",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
}


class Held:
    """The folder is ours until `release` or the end of the process, however it ends."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def take(folder: Path) -> Held:
    """Make the folder (mode 0700) if it is missing, and own it.

    Raises Unavailable when another process owns it, Rejected when it lies on a network file system.
    """
    _made(folder)
    kind = _NETWORK.get(magic(folder))
    if kind is not None:
        raise Rejected(
            f"store {folder}: lies on a network file system ({kind}), which can lose what was written: "
            "give a folder on a local disk"
        )
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as refused:
        owner = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        if refused.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise Rejected(f"store {folder}: cannot be locked: {refused.strerror}") from refused
        raise Unavailable(
            f"store {folder}: process {owner} owns it and one process may: stop that one, or use another --home"
        ) from refused
    os.ftruncate(handle, 0)
    os.pwrite(handle, b"%d\n" % os.getpid(), 0)
    return Held(handle)


def make(folder: Path) -> Path:
    """The database's path; an empty file of mode 0600 when it is new, which its log takes over."""
    path = folder / DATABASE
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return path


def _made(folder: Path) -> None:
    """With the folders above it that are missing, each by a durable name: a store is lost with the name of its folder."""
    missing: list[Path] = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for number, each in enumerate(reversed(missing), start=1):
        each.mkdir(exist_ok=True, mode=0o700 if number == len(missing) else 0o777)
        settle(each.parent)


def keep(path: Path, body: bytes, *, mode: int = 0o600) -> None:
    """A small file, whole or not at all, and durable with its name once this returns."""
    beside = path.with_name(f"{path.name}.new")
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(number, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)  # noqa: PTH105  the step that decides, by its own name
    settle(path.parent)


def sync(path: Path) -> None:
    """What is in the file is on the disk once this returns; its name is the folder's (`settle`)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def settle(folder: Path) -> None:
    """Make the names in the folder durable: a database whose name is lost with the power is lost."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def magic(folder: Path) -> int:
    """The magic number of the folder's file system; 0 where the system does not tell (anything but Linux)."""
    if not sys.platform.startswith("linux"):
        return 0
    answer = ctypes.create_string_buffer(256)  # struct statfs is 120 bytes; its first word is f_type
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(folder), answer) != 0:
        code = ctypes.get_errno()
        raise Rejected(f"store {folder}: its file system cannot be asked: {os.strerror(code)}")
    return ctypes.c_long.from_buffer(answer).value & 0xFFFFFFFF
