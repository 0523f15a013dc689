"""A home folder on disk: read whole, within bounds, and written once by `wk init`.

Only plain files inside the folder are read. A link that leads out, a device, a pipe or a socket refuses the folder,
because what was checked must be what is applied. State (`.watchkeeper/`), version control and editors' leavings are
not part of a home.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from watchkeeper.documents import Problem, ProblemSeverity
from watchkeeper.documents.node import FILE_BYTES_MAX
from watchkeeper.errors import Rejected, Unavailable
from watchkeeper.home.configuration import BYTES_MAX, FILES_MAX

STATE: Final = ".watchkeeper"
DEPTH_MAX: Final = 8
ENTRIES_MAX: Final = 100_000  # looked at, whether they are read or not
FILE_MAX: Final = 16 * 1024 * 1024  # a pack's program; YAML is bounded by its own reader at 1 MiB

READ: Final = ("catalog", "packs", "policy", "calendars", "slos")
NEAR: Final = 0.85  # how alike a name is that is taken for a slip
ROOT_FILES: Final = ("watchkeeper.yaml", "exclusions.yaml", "transactions.yaml")


class Folder:
    """The files of a home, and the problems of those that cannot be read. The two are of one moment as far as a
    folder that others write can be; what counts is the digest of what was read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self) -> tuple[dict[str, bytes], tuple[Problem, ...]]:
        """Path -> bytes, in path order. Raises Rejected when this is no folder, Unavailable when it cannot be read now."""
        try:
            root = self.root.resolve(strict=True)
        except (OSError, RuntimeError) as missing:
            raise Rejected(f"{self.root}: there is no such folder: run 'wk init {self.root}'") from missing
        if not root.is_dir():
            raise Rejected(f"{self.root}: this is no folder")
        files: dict[str, bytes] = {}
        problems: list[Problem] = []
        if root.stat().st_mode & stat.S_IWOTH:
            told = "every user of this machine may write into this folder, and so into what is applied: chmod o-w"
            problems.append(_problem(self.root.name or "/", told, ProblemSeverity.WARNING))
        total = 0
        try:
            for path, name in sorted(self._walk(root, problems), key=lambda pair: pair[1]):
                if len(files) >= FILES_MAX:
                    problems.append(_problem(name, f"the home holds more than {FILES_MAX} files"))
                    break
                data = _bytes(path, name, problems)
                if data is None:
                    continue
                total += len(data)
                if total > BYTES_MAX:
                    problems.append(_problem(name, f"the home holds more than {BYTES_MAX} bytes"))
                    break
                files[name] = data
        except OSError as failed:
            raise Unavailable(f"{self.root}: cannot be read: {failed.strerror}: {failed.filename}") from failed
        return files, tuple(problems)

    def _walk(self, root: Path, problems: list[Problem]) -> Iterator[tuple[Path, str]]:
        waiting = [(root, 0)]
        seen = 0
        while waiting:
            folder, depth = waiting.pop()
            for entry in os.scandir(folder):
                seen += 1
                name = Path(entry.path).relative_to(root).as_posix()
                if seen > ENTRIES_MAX:
                    problems.append(
                        _problem(name, f"the folder holds more than {ENTRIES_MAX} entries: is this a home?")
                    )
                    return
                if not _part(name):
                    problems += _meant(entry, name)
                    continue
                if not name.isprintable() or "\\" in name:
                    problems.append(
                        _problem(
                            name.encode("unicode_escape").decode(), "the name of this file cannot be shown: rename it"
                        )
                    )
                elif entry.is_symlink():
                    problems += _link(entry, name, root)
                elif entry.is_dir(follow_symlinks=False):
                    if depth >= DEPTH_MAX:
                        problems.append(_problem(name, f"folders are nested deeper than {DEPTH_MAX}"))
                    else:
                        waiting.append((Path(entry.path), depth + 1))
                else:
                    yield Path(entry.path), name

    def write(self, files: Mapping[str, bytes]) -> tuple[str, ...]:
        """Write what is not there yet; an existing file is never changed. The paths written, in order."""
        written = []
        for name in sorted(files):
            path = self.root / name
            if not path.resolve().is_relative_to(self.root.resolve()):
                raise Rejected(f"{name}: leads out of {self.root}")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644)
            except FileExistsError:
                continue
            except OSError as failed:
                raise Rejected(f"{path}: cannot be written: {failed.strerror}") from failed
            with os.fdopen(handle, "wb") as file:
                file.write(files[name])
            written.append(name)
        return tuple(written)

    def state(self) -> Path:
        """The state folder, made when it is missing, mode 0700."""
        path = self.root / STATE
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        return path


def _part(name: str) -> bool:
    """Whether a path belongs to a home: known folders and files, no hidden ones, no editors' leavings."""
    parts = name.split("/")
    if any(part.startswith((".", "#")) or part.endswith(("~", ".swp", ".orig", ".rej")) for part in parts):
        return False
    return name in ROOT_FILES or parts[0] in READ


def _meant(entry: os.DirEntry[str], name: str) -> list[Problem]:
    """What stands at the root under almost a name of a home is told: an `exclusions.yml` that nobody reads would exclude
    nothing. Such a file refuses the folder; a folder may be somebody else's, and is a warning.
    """
    if "/" in name or name.startswith("."):
        return []
    if entry.is_dir(follow_symlinks=False):
        close = get_close_matches(name.lower(), READ, n=1, cutoff=NEAR)
        message = f"is not read: did you mean {close[0]}/?" if close else ""
        return [_problem(name, message, ProblemSeverity.WARNING)] if close else []
    stem, dot, ending = name.lower().rpartition(".")
    if not dot or ending not in {"yaml", "yml", "json"}:
        return []
    close = get_close_matches(stem, [each.removesuffix(".yaml") for each in ROOT_FILES], n=1, cutoff=NEAR)
    return (
        [_problem(name, f"is not read: the file of a home is {close[0]}.yaml: rename it, or move it away")]
        if close
        else []
    )


def _link(entry: os.DirEntry[str], name: str, root: Path) -> list[Problem]:
    """A link is refused: one that leads out would bring in what nobody reviewed, one inside says a thing twice."""
    try:
        inside = Path(entry.path).resolve().is_relative_to(root)
    except (OSError, RuntimeError):
        inside = False
    why = (
        "is a symbolic link: write the file itself"
        if inside
        else "is a symbolic link that leads out of the home: copy what it points to"
    )
    return [_problem(name, why)]


def _bytes(path: Path, name: str, problems: list[Problem]) -> bytes | None:
    """The content of a plain file. It is opened without following links, so that it cannot be swapped for one."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    except OSError as failed:
        problems.append(_problem(name, f"cannot be read: {failed.strerror}"))
        return None
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            problems.append(_problem(name, "is no plain file (a device, a pipe or a socket): remove it"))
            return None
        most = FILE_BYTES_MAX if name.endswith((".yaml", ".yml")) else FILE_MAX
        data = file.read(most + 1)
    if len(data) > most:
        problems.append(_problem(name, f"has more than {most} bytes: split it into several files"))
        return None
    return data


def _problem(name: str, message: str, severity: ProblemSeverity = ProblemSeverity.ERROR) -> Problem:
    return Problem(file=name, line=0, column=0, field="", message=message, severity=severity)
