"""A disk that loses what was not synced when the power goes: an apsw VFS over memory.

Every write stays *unsynced* until the sync of its file. `cut` names the operation at which the power goes; from then on
every operation fails. `after` is what the platters hold: all that was synced, and of the rest nothing, a prefix, a
random choice of 512-byte sectors, or all of it, as the seed says. Nothing is ever half of a sector.
"""

import itertools
import threading
from pathlib import Path
from random import Random

import apsw

SECTOR = 512
_names = itertools.count()


class _File:
    def __init__(self, durable: bytes | None = None) -> None:
        self.durable = durable  # None: not even its name is on the disk
        self.current = bytearray(durable or b"")
        self.unsynced: list[tuple[int, bytes] | int] = []  # a write, or the size it was cut to

    def write(self, data: bytes, offset: int) -> None:
        if len(self.current) < offset:
            self.current.extend(bytes(offset - len(self.current)))
        self.current[offset : offset + len(data)] = data
        self.unsynced.append((offset, data))

    def truncate(self, size: int) -> None:
        del self.current[size:]
        self.current.extend(bytes(size - len(self.current)))
        self.unsynced.append(size)

    def sync(self) -> None:
        self.durable = bytes(self.current)
        self.unsynced.clear()

    def after(self, dice: Random) -> bytes | None:
        pieces: list[tuple[int, bytes] | int] = []
        for step in self.unsynced:
            if isinstance(step, int):
                pieces.append(step)
                continue
            offset, data = step
            while data:
                count = SECTOR - offset % SECTOR
                pieces.append((offset, data[:count]))
                offset, data = offset + count, data[count:]
        match dice.choice(("none", "none", "prefix", "some", "all")):
            case "none":
                kept = []
            case "prefix":
                kept = pieces[: dice.randint(0, len(pieces))]
            case "some":
                chance = dice.random()
                kept = [piece for piece in pieces if dice.random() < chance]
            case _:
                kept = pieces
        if self.durable is None and not kept:
            return None
        found = _File(self.durable)
        for piece in kept:
            found.truncate(piece) if isinstance(piece, int) else found.write(piece[1], piece[0])
        return bytes(found.current)


class LosingDisk:
    """One power supply. `operations` counts writes, truncations, syncs and deletions; the cut is before a sync, and
    inside anything else.
    """

    def __init__(self, files: dict[str, bytes] | None = None, cut: int | None = None) -> None:
        self.files = {name: _File(data) for name, data in (files or {}).items()}
        self.cut = cut
        self.operations = 0
        self.off = False
        self.lock = threading.Lock()
        self.name = f"losing-{next(_names)}"
        self._vfs = _Vfs(self)

    def after(self, dice: Random) -> dict[str, bytes]:
        """Nobody looks at this disk any more; what is still open on it may close in peace."""
        self.off, self.cut = False, None
        found = {name: self.files[name].after(dice) for name in sorted(self.files)}
        return {name: data for name, data in found.items() if data is not None}

    def tick(self) -> bool:
        """One more operation. True: the power goes in it. Raises when it has gone already."""
        self.alive()
        self.operations += 1
        if self.cut is not None and self.operations >= self.cut:
            self.off = True
        return self.off

    def alive(self) -> None:
        if self.off:
            raise apsw.IOError("the power is off")


def _short(path: str) -> str:
    return path.rpartition("/")[2]


class _Vfs(apsw.VFS):
    def __init__(self, disk: LosingDisk) -> None:
        self.disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name, flags):
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None:
            return apsw.VFSFile("", name, flags)
        self.disk.alive()
        if _short(path) not in self.disk.files and not flags[0] & apsw.SQLITE_OPEN_CREATE:
            raise apsw.CantOpenError(path)
        Path(path).touch()  # the real one, which only lends its locks
        return _Handle(self.disk, _short(path), name, flags)

    def xAccess(self, path, flags):
        return _short(path) in self.disk.files

    def xDelete(self, path, syncdir):
        with self.disk.lock:
            if self.disk.tick():
                raise apsw.IOError("the power is off")
            self.disk.files.pop(_short(path), None)


class _Handle(apsw.VFSFile):
    """Locks and shared memory are those of the real file; its bytes are the disk's."""

    def __init__(self, disk, short, name, flags) -> None:
        super().__init__("", name, flags)
        self.disk = disk
        with disk.lock:
            self.file = disk.files.setdefault(short, _File())

    def excepthook(self, *_args) -> bool:
        return True

    def xRead(self, amount, offset):
        with self.disk.lock:
            self.disk.alive()
            return bytes(self.file.current[offset : offset + amount])

    def xWrite(self, data, offset):
        with self.disk.lock:
            off = self.disk.tick()
            self.file.write(bytes(data), offset)
        if off:
            raise apsw.IOError("the power is off")

    def xTruncate(self, newsize):
        with self.disk.lock:
            off = self.disk.tick()
            self.file.truncate(newsize)
        if off:
            raise apsw.IOError("the power is off")

    def xSync(self, flags):
        with self.disk.lock:
            if self.disk.tick():
                raise apsw.IOError("the power is off")
            self.file.sync()

    def xFileSize(self):
        with self.disk.lock:
            self.disk.alive()
            return len(self.file.current)
