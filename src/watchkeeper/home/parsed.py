"""Files that were read before need not be read again: their trees, kept under the digest of path and bytes.

Reading YAML is nine tenths of compiling a home. Whoever has a place to keep bytes (the state folder, the store) hands
in what it kept and takes back what is new; a kept tree that cannot be read is read from its file again.
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from watchkeeper.documents import Entry, Kind, Node, Problem, read

FORM: Final = "1"  # of what is kept; another form is another key
_KINDS: Final = tuple(Kind)
_NUMBERS: Final = {kind: number for number, kind in enumerate(_KINDS)}
_TRUE: Final = frozenset(("true", "True", "TRUE"))


class Parsed:
    """A reader with a memory. `fresh` holds what was read from files, to be kept; `used` the keys that were asked for."""

    def __init__(self, kept: Mapping[str, bytes] | None = None) -> None:
        self._kept = kept or {}
        self.fresh: dict[str, bytes] = {}
        self.used: set[str] = set()

    def read(self, path: str, data: bytes, problems: list[Problem]) -> tuple[Node, ...]:
        """As `documents.read`. A file with problems is never kept, so that they are told each time."""
        key = key_of(path, data)
        self.used.add(key)
        if key in self._kept:
            try:
                return decode(path, self._kept[key])
            except (msgspec.DecodeError, ValueError, TypeError, IndexError, ArithmeticError):
                pass  # not what was kept: the file itself says it
        before = len(problems)
        nodes = read(path, data, problems)
        if len(problems) == before:
            self.fresh[key] = encode(nodes)
        return nodes


def key_of(path: str, data: bytes) -> str:
    return hashlib.sha256(b"\0".join((FORM.encode(), path.encode("utf-8", "surrogatepass"), data))).hexdigest()


def encode(nodes: tuple[Node, ...]) -> bytes:
    return msgspec.msgpack.encode([_plain(node) for node in nodes])


def decode(path: str, kept: bytes) -> tuple[Node, ...]:
    """Raises an error of msgspec or a ValueError, TypeError or IndexError for bytes that `encode` never wrote."""
    found = msgspec.msgpack.decode(kept)
    return tuple(_node(path, plain) for plain in found)


def _plain(node: Node) -> list[Any]:
    head: list[Any] = [_NUMBERS[node.kind], node.line, node.column]
    match node.kind:
        case Kind.LIST:
            head.append([_plain(item) for item in node.items])
        case Kind.MAPPING:
            head.append([[entry.key, entry.line, entry.column, _plain(entry.value)] for entry in node.entries])
        case _:
            head.append(node.raw)
    return head


def _node(path: str, plain: list[Any]) -> Node:
    number, line, column, rest = plain
    kind = _KINDS[number]
    match kind:
        case Kind.LIST:
            return Node(
                file=path, kind=kind, line=line, column=column, items=tuple([_node(path, item) for item in rest])
            )
        case Kind.MAPPING:
            entries = [
                Entry(key=key, line=at, column=place, value=_node(path, value)) for key, at, place, value in rest
            ]
            return Node(file=path, kind=kind, line=line, column=column, entries=tuple(entries))
        case _:
            return Node(file=path, kind=kind, line=line, column=column, scalar=_scalar(kind, rest), raw=rest)


def _scalar(kind: Kind, raw: str) -> str | int | Decimal | bool | None:
    match kind:
        case Kind.TEXT:
            return raw
        case Kind.INTEGER:
            return int(raw, 16 if raw[:2] == "0x" else 8 if raw[:2] == "0o" else 10)
        case Kind.FRACTION:
            return Decimal(raw)
        case Kind.BOOLEAN:
            return raw in _TRUE
        case _:
            return None
