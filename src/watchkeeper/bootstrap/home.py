"""A home as a folder of files: written, read, compiled, and every problem of it."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.adapters.folder import Folder
from watchkeeper.adapters.secrets import SecretStore
from watchkeeper.adapters.ssh import EXTRA as SSH_EXTRA
from watchkeeper.adapters.ssh import installed as ssh_installed
from watchkeeper.adapters.topics import TOPICS, topic_files
from watchkeeper.catalog.entity import EntityKind, Reach
from watchkeeper.documents import Problem, ProblemSeverity, errors
from watchkeeper.errors import Rejected
from watchkeeper.home.configuration import Compiled, compile_home
from watchkeeper.home.parsed import Parsed
from watchkeeper.home.starter import starter
from watchkeeper.packs.load_step import walk
from watchkeeper.packs.runbook import Via

STATE: Final = ".watchkeeper"


class Trees:
    """Parsed files kept beside the store, so that `up` reads a large home in the time of a small one."""

    def __init__(self, state: Path) -> None:
        self._path = state / "parsed"
        try:
            kept = msgspec.msgpack.decode(self._path.read_bytes(), type=dict[str, bytes])
        except (OSError, msgspec.DecodeError):
            kept = {}
        self._kept = kept

    def compile(self, files: Mapping[str, bytes], compiler: CelCompiler) -> Compiled:
        parsed = Parsed(self._kept)
        compiled = compile_home(files, compiler, read=parsed.read)
        now = {key: tree for key, tree in {**self._kept, **parsed.fresh}.items() if key in parsed.used}
        if now != self._kept:
            self._kept = now
            beside = self._path.with_suffix(".new")
            with suppress(OSError):  # it is a memory, nothing depends on it
                beside.write_bytes(msgspec.msgpack.encode(now))
                beside.replace(self._path)
        return compiled


def state_of(home: Path) -> Path:
    """Where the state lives: beside what people write, ignored by git, closed to others."""
    return home / STATE


def init(home: Path, files: Mapping[str, bytes] | None = None) -> tuple[str, ...]:
    """Write a home that works at once, the starter unless other files are given; the paths written. Files that exist are
    left as they are.
    """
    home.mkdir(parents=True, exist_ok=True)
    return Folder(home).write(starter() if files is None else files)


def examples() -> tuple[str, ...]:
    """The topics of `example`."""
    return tuple(TOPICS)


def example(topic: str) -> dict[str, bytes]:
    """Path -> content of an example home. Raises KeyError for a topic that does not exist."""
    return topic_files(topic)


def check(home: Path, seen_labels: frozenset[str] = frozenset()) -> Compiled:
    """The folder compiled, with every problem. Raises Rejected when there is no such folder."""
    files, problems = Folder(home).read()
    compiled = compile_home(files, CelCompiler(), seen_labels)
    unread = {each.file for each in problems}
    told = [each for each in compiled.problems if each.line or each.file not in unread]  # not "is missing" as well
    return replace(
        compiled,
        configuration=None if errors(problems) else compiled.configuration,
        problems=(*problems, *told, *_without_extra(compiled)),
    )


def _without_extra(compiled: Compiled) -> tuple[Problem, ...]:
    """A warning a runbook that this node, as it is installed, could not carry out."""
    if compiled.configuration is None or ssh_installed():
        return ()
    reached = any(entity.reach is Reach.SSH for entity in compiled.configuration.catalog.entities.values())
    found = []
    for runbook in compiled.configuration.rulebook.runbooks.values():
        ways = [step.via or (Via.SSH if reached else None) for step in walk(runbook.steps) if step.call is not None]
        if Via.SSH in ways:
            file, _, line = runbook.where.rpartition(":")
            message = f"runbook {runbook.name} is refused on this node: {SSH_EXTRA}"
            found.append(
                Problem(
                    file=file,
                    line=int(line),
                    column=1,
                    field="spec.steps",
                    message=message,
                    severity=ProblemSeverity.WARNING,
                )
            )
    return tuple(found)


def read_home(folder: Path) -> dict[str, bytes]:
    """The files of a folder as a home. Raises Rejected with the first that cannot be read."""
    files, problems = Folder(folder).read()
    if wrong := errors(problems):
        raise Rejected(str(wrong[0]))
    return files


def names_of(home: Path) -> frozenset[str]:
    """Every word by which a home's catalogue knows an entity, groups as `group:name` too. Raises Rejected for a home with
    errors.
    """
    compiled = check(home)
    if compiled.configuration is None:
        raise Rejected(f"{home} has errors, mend them first ('wk check'): {compiled.errors[0]}")
    catalog = compiled.configuration.catalog
    groups = (f"group:{entity.name}" for entity in catalog.entities.values() if entity.kind is EntityKind.GROUP)
    return frozenset((*catalog.named, *catalog.entities, *groups))


def errors_with(home: Path | None, files: Mapping[str, bytes]) -> tuple[Problem, ...]:
    """What would be wrong with a home that had these files as well; None: with these files alone."""
    there = read_home(home) if home is not None else {}
    return compile_home({**there, **files}, CelCompiler()).errors


def write_new(folder: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Write files that are not there; the paths written. Raises Rejected, and writes nothing, when one of them is."""
    there = sorted(path for path in files if (folder / path).exists())
    if there:
        raise Rejected(
            f"{folder / there[0]} is there already{f', and {len(there) - 1} more' if len(there) > 1 else ''}: nothing was "
            "written; give another folder with --into, or move it away"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return Folder(folder).write(files)


def secret_store(home: Path) -> SecretStore:
    return SecretStore(home)


def compile_files(files: Mapping[str, bytes]) -> Compiled:
    """Files as a configuration, as a node would have it."""
    return compile_home(files, CelCompiler())


def describe(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "field": problem.field,
        "message": problem.message,
        "expected": problem.expected,
        "severity": problem.severity.value,
    }
