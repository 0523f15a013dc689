"""A folder on a disk that loses what was not synced when the power goes: names as well as bytes.

`os` is watched while real code works in a real folder. A name (made, moved, taken away) is on the disk once its folder was
synced, bytes once their file was. `cut` names the operation before which the power goes. `after` is then what the disk
holds: all that was synced, and of the rest nothing, a beginning, a choice, or all, as the seed says; each name whole, each
file in sectors. Names that were changed one after the other keep that order; others do not.
Source: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

SECTOR = 512
ROOT = 0
WATCHED = ("fsync", "link", "mkdir", "remove", "rename", "replace", "rmdir", "unlink")

Place = tuple[int, str]  # the folder, and the name in it


class PowerCut(BaseException):
    pass


class LosingFolder:
    def __init__(self, root: Path, cut: int | None = None) -> None:
        self.root, self.cut = root, cut
        self.operations = 0
        self.off = False
        self.names: dict[Place, int] = {}
        self.inodes: dict[int, int] = {}
        self.paths: dict[int, Path] = {ROOT: root}
        self.folders = {ROOT}
        self.pending: list[dict[Place, int | None]] = []
        self._next = ROOT + 1
        self._look()
        self.pending.clear()
        self.durable_names = dict(self.names)
        self.synced = {each: path.read_bytes() for each, path in self.paths.items() if each not in self.folders}
        self.gone: dict[int, bytes] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        kept = {name: getattr(os, name) for name in WATCHED}
        for name in WATCHED:
            setattr(os, name, self._watching(name, kept[name]))
        try:
            yield
        finally:
            for name in WATCHED:
                setattr(os, name, kept[name])

    def _watching(self, name: str, real):
        def call(*given, **named):
            path = self._path(given[0], named.get("dir_fd"))
            last = given[1] if name in {"rename", "replace"} else given[0]
            if path is None or not path.is_relative_to(self.root):
                return real(*given, **named)
            self._tick()
            self._look()
            if name == "fsync":
                real(*given)
                self._sync(path)
                return None
            lost = self._path(last, named.get("dir_fd"))
            moved = self._of(path) if name in {"rename", "replace"} else None
            if name in {"remove", "rename", "replace", "unlink"} and lost is not None and lost.is_file():
                self.gone[self._of(lost)] = lost.read_bytes()
            answer = real(*given, **named)
            self._look(moved)
            return answer

        return call

    def _tick(self) -> None:
        self.operations += 1
        self.off = self.off or self.operations == self.cut
        if self.off:
            raise PowerCut

    @staticmethod
    def _path(given, dir_fd) -> Path | None:
        if isinstance(given, int):
            return Path(f"/proc/self/fd/{given}").readlink()
        path = Path(os.fsdecode(given))
        if dir_fd is not None:
            path = Path(f"/proc/self/fd/{dir_fd}").readlink() / path
        return path.absolute()

    def _of(self, path: Path) -> int:
        return next(each for each, where in self.paths.items() if where == path)

    def _look(self, moved: int | None = None) -> None:
        """Note each name that is another than at the last look. A moved one is one change, whole or not at all."""
        found: dict[Place, int] = {}
        paths = {ROOT: self.root}
        left = [ROOT]
        while left:
            folder = left.pop()
            for entry in sorted(os.scandir(paths[folder]), key=lambda each: each.name):
                place, status = (folder, entry.name), entry.stat(follow_symlinks=False)
                known = self.names.get(place)
                if known is None or self.inodes[known] != status.st_ino:
                    known = moved if moved is not None and self.inodes[moved] == status.st_ino else self._fresh(status)
                found[place], paths[known] = known, Path(entry.path)
                if known in self.folders:
                    left.append(known)
        changes = {
            place: found.get(place) for place in {*self.names, *found} if self.names.get(place) != found.get(place)
        }
        together = {
            place: to for place, to in changes.items() if moved is not None and moved in {to, self.names.get(place)}
        }
        if together:
            self.pending.append(together)
        self.pending += [{place: to} for place, to in sorted(changes.items()) if place not in together]
        self.names, self.paths = found, paths

    def _fresh(self, status: os.stat_result) -> int:
        number, self._next = self._next, self._next + 1
        self.inodes[number] = status.st_ino
        if stat.S_ISDIR(status.st_mode):
            self.folders.add(number)
        return number

    def _sync(self, path: Path) -> None:
        number = self._of(path)
        if number not in self.folders:
            self.synced[number] = path.read_bytes()
            return
        wanted: set[Place] = set()
        kept = []
        for change in reversed(self.pending):  # with all that these names went through before
            if any(folder == number for folder, _ in change) or wanted & set(change):
                wanted |= set(change)
                kept.append(change)
        for change in reversed(kept):
            self._carry(self.durable_names, change)
            self.pending.remove(change)

    @staticmethod
    def _carry(names: dict[Place, int], change: dict[Place, int | None]) -> None:
        for place, to in change.items():
            if to is None:
                names.pop(place, None)
            else:
                names[place] = to

    def after(self, into: Path, dice: Random) -> None:
        """What the disk holds, as a folder."""
        names = dict(self.durable_names)
        how = dice.choice(("none", "beginning", "some", "some", "all"))
        most, chance = dice.randint(0, len(self.pending)), dice.random()
        lost: set[Place] = set()
        for number, change in enumerate(self.pending):
            keeps = {"none": False, "beginning": number < most, "some": dice.random() < chance, "all": True}[how]
            if keeps and not lost & set(change):
                self._carry(names, change)
            else:
                lost |= set(change)
        into.mkdir(mode=0o700)
        self._write(ROOT, into, names, dice)

    def _write(self, folder: int, into: Path, names: dict[Place, int], dice: Random) -> None:
        for (parent, name), number in names.items():
            if parent != folder:
                continue
            if number in self.folders:
                (into / name).mkdir(mode=0o700)
                self._write(number, into / name, names, dice)
            else:
                (into / name).touch(mode=0o600)
                (into / name).write_bytes(self._bytes(number, dice))

    def _bytes(self, number: int, dice: Random) -> bytes:
        path, synced = self.paths.get(number), self.synced.get(number, b"")
        current = path.read_bytes() if path is not None else self.gone.get(number, synced)
        match dice.choice(("synced", "beginning", "sectors", "all")):
            case "synced":
                return synced
            case "beginning":
                return current[: dice.randint(0, len(current))] if current != synced else synced
            case "sectors":
                chance = dice.random()
                starts = range(0, len(current), SECTOR)
                return b"".join(
                    (current if dice.random() < chance else synced.ljust(len(current), b"\0"))[at : at + SECTOR]
                    for at in starts
                )
            case _:
                return current
