"""A pack action's document to a `PackAction`: a program of the pack, its schemas, its effect and its limits."""

import hashlib
import posixpath
from collections.abc import Mapping
from typing import Any, Final

from watchkeeper.documents import Envelope, Fields, Kind, Node, path_join, wrong
from watchkeeper.packs.action import PROGRAM_MEMORY_BYTES, PROGRAM_OUTPUT_BYTES, PROGRAM_TIME_MS, PackAction
from watchkeeper.packs.clauses import normal_digest, where_of
from watchkeeper.packs.json_schema import Path, schema_fault
from watchkeeper.packs.runbook import Effect
from watchkeeper.values import digest

TIME_MAX_MS: Final = 3_600_000
MEMORY_MAX_MIB: Final = 16_384
OUTPUT_MAX_KIB: Final = 256
STARTS: Final = (b"#!/", b"\x7fELF")


def load_action(head: Envelope, pack: str, folder: str, files: Mapping[str, bytes]) -> PackAction | None:
    """None when the document has an error. `folder` is the pack's own (`packs/payments`), in which the program lies."""
    spec = head.spec
    before = len(spec.problems)
    name = f"{pack}/{head.name}"
    program = spec.text("program", required=True)
    path = posixpath.normpath(posixpath.join(folder, program))
    if program and not path.startswith(folder + "/"):
        spec.wrong("program", f"{program!r} lies outside the pack")
    elif program and path not in files:
        spec.wrong("program", f"there is no file {path!r}")
    elif program and not files[path].startswith(STARTS):
        spec.wrong(
            "program", f"{path} cannot be started: its first line names no interpreter, such as #!/usr/bin/env python3"
        )
    limits = spec.child("limits")
    found = PackAction(
        name=name,
        pack=pack,
        where=where_of(head.node),
        digest=digest(
            [
                normal_digest("Action", name, head.owner, head.node),
                hashlib.sha256(files.get(path, b"")).hexdigest(),
            ]
        ),
        program=path.removeprefix(folder + "/"),
        effect=spec.choice("effect", Effect, required=True) or Effect.ONCE,
        input=_schema(spec, "input"),
        output=_schema(spec, "output"),
        time_ms=PROGRAM_TIME_MS
        if limits is None
        else limits.duration("time", default=PROGRAM_TIME_MS, least=1, most=TIME_MAX_MS),
        memory_bytes=_size(limits, "memory_mib", 1024 * 1024, PROGRAM_MEMORY_BYTES, MEMORY_MAX_MIB),
        output_bytes=_size(limits, "output_kib", 1024, PROGRAM_OUTPUT_BYTES, OUTPUT_MAX_KIB),
        description=spec.text("description"),
    )
    if limits is not None:
        limits.done()
    spec.done()
    return found if not any(problem.severity == "error" for problem in spec.problems[before:]) else None


def _size(limits: Fields | None, name: str, unit: int, default: int, most: int) -> int:
    if limits is None:
        return default
    return limits.integer(name, default=default // unit, least=1, most=most) * unit


def _schema(spec: Fields, name: str) -> dict[str, Any]:
    """A JSON Schema of an object, found to be one: what is wrong in it is told at its own line."""
    before = len(spec.problems)
    schema = spec.plain(name, required=True)
    node = spec.node_of(name)
    if schema is None or node is None or len(spec.problems) > before:
        return {}
    if not isinstance(schema, dict) or schema.get("type") != "object":
        spec.wrong(name, "expected a JSON Schema of an object: {type: object, properties: {..}}")
        return {}
    fault = schema_fault(schema)
    if fault is not None:
        at, field = _place(node, spec.at(name), fault.path)
        wrong(spec.problems, at, field, f"is no JSON Schema: {fault.why}")
        return {}
    return schema


def _place(node: Node, field: str, path: Path) -> tuple[Node, str]:
    """The node at a path below `node`, or the nearest that was written above it."""
    for step in path:
        if isinstance(step, int):
            found = node.items[step] if node.kind is Kind.LIST and step < len(node.items) else None
            field = f"{field}[{step}]"
        else:
            found = node.find(step)
            field = path_join(field, step)
        if found is None:
            break
        node = found
    return node, field
