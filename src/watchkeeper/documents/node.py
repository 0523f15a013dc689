"""A document as it stands in its file: each key and value with its place.

In: bytes of YAML (JSON is YAML too). Out: a tree of `Node`s, or one `Unreadable`.

The language is YAML 1.2 with everything removed that hides what a file says: no anchors, aliases, tags,
directives or merge keys, no duplicate keys, no invisible characters. A plain scalar is null, a boolean, an
integer or a decimal fraction by the core schema and else the text that was written: `yes`, `on`,
`2026-01-01` and `1e3` are texts. Keys are always texts.
Source: YAML 1.2.2 section 10.3 (core schema), less octal-by-zero, exponents, infinities and not-a-number.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from watchkeeper.documents.problem import Problem
from watchkeeper.errors import Malformed

FILE_BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 32  # lists and mappings inside each other
NODES_MAX: Final = 200_000  # keys and values a file: reading stays within seconds
NUMBER_CHARS_MAX: Final = 40
SHOWN_CHARS_MAX: Final = 40  # of somebody's text in a message of ours


class Kind(StrEnum):
    """What a value is. The words appear in messages."""

    TEXT = "text"
    INTEGER = "integer"
    FRACTION = "fraction"
    BOOLEAN = "boolean"
    NULL = "null"
    LIST = "list"
    MAPPING = "mapping"


class Node(Struct, frozen=True, kw_only=True, gc=False):
    """A value and its place.

    `scalar` holds a str, int, Decimal, bool or None as `kind` says; `items` the values of a list, `entries` the
    pairs of a mapping in the order written. `raw` is a scalar as it stands in the file, so that a message can
    show `1.10` and not `1.1`. `line` and `column` count from 1.
    """

    file: str
    kind: Kind
    line: int
    column: int
    scalar: str | int | Decimal | bool | None = None
    raw: str = ""
    items: tuple["Node", ...] = ()
    entries: tuple["Entry", ...] = ()

    def __str__(self) -> str:
        """How a message names this value: `the number 5`, `the text 'abc'`, `a list`."""
        match self.kind:
            case Kind.TEXT:
                shown = self.raw if len(self.raw) <= SHOWN_CHARS_MAX else self.raw[: SHOWN_CHARS_MAX - 1] + "…"
                return f"the text {shown!r}"
            case Kind.INTEGER | Kind.FRACTION:
                return f"the number {self.raw}"
            case Kind.BOOLEAN:
                return f"the boolean {self.raw}"
            case Kind.NULL:
                return "nothing"
            case Kind.LIST:
                return "a list"
            case Kind.MAPPING:
                return "a mapping"

    def find(self, key: str) -> "Node | None":
        """The value of `key`; None when this is no mapping or has no such key."""
        return next((entry.value for entry in self.entries if entry.key == key), None)


class Entry(Struct, frozen=True, kw_only=True, gc=False):
    """A pair of a mapping. The key's own place is kept: that is where an unknown field is reported."""

    key: str
    line: int
    column: int
    value: Node


class Unreadable(Malformed):
    """A file that is no document of ours. `problem` says where and why."""

    def __init__(self, problem: Problem) -> None:
        where = f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file
        super().__init__(where, problem.message)
        self.problem = problem


# C0 and C1 controls but tab and line ends; bidirectional controls; zero-width and line separators; lone
# surrogates. Source: "Trojan Source" (CVE-2021-42574); Unicode TR36 for the zero-width ones.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", re.ASCII)
_FRACTION: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]{1,4})?", re.ASCII)
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER_STARTS: Final = frozenset("0123456789+-.")


def parse(path: str, data: bytes) -> tuple[Node, ...]:
    """The documents of a file, in order; empty documents are left out. `path` is only named in messages.

    Raises Unreadable (a Malformed) at the first thing that cannot be read.
    """
    text = _text(path, data)
    try:
        return _Composer(path, text).documents()
    except MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        why = " ".join(str(part) for part in (wrong.context, wrong.problem) if part)
        if mark is not None and text[: mark.index].endswith("$"):
            why += ": quote a value with ${ } inside { } or [ ]"
        elif mark is not None and text[mark.index : mark.index + 1] == "\t":
            why = "a tab stands where YAML wants spaces: indent with spaces"
        raise _unreadable(path, line, column, f"this is not YAML: {why or 'unreadable'}") from wrong
    except (YAMLError, ValueError, OverflowError, LookupError, AttributeError, AssertionError, TypeError) as wrong:
        # The library's scanner lets a few plain Python errors through on broken escapes and tags.
        raise _unreadable(path, 0, 0, f"this is not YAML: {str(wrong) or type(wrong).__name__}") from wrong


def read(path: str, data: bytes, problems: list[Problem]) -> tuple[Node, ...]:
    """`parse` for loaders: an unreadable file adds its problem and gives no documents."""
    try:
        return parse(path, data)
    except Unreadable as wrong:
        problems.append(wrong.problem)
        return ()


def _text(path: str, data: bytes) -> str:
    if len(data) > FILE_BYTES_MAX:
        raise _unreadable(
            path, 0, 0, f"the file has {len(data)} bytes, more than {FILE_BYTES_MAX}: split it into several files"
        )
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as wrong:
        line, column = _place(data[: wrong.start].decode("utf-8", "replace"))
        raise _unreadable(path, line, column, "this is not UTF-8: save the file as UTF-8") from wrong
    if found := _INVISIBLE.search(text):
        raise _unreadable(path, *_place(text[: found.start()]), _invisible(found.group()))
    return text


def seen(text: str) -> str:
    """A text for a file: what `read` would refuse, because nobody sees it, is U+FFFD."""
    return _INVISIBLE.sub("\ufffd", text)


def _place(before: str) -> tuple[int, int]:
    lines = re.split(r"\r\n|\r|\n", before)
    return len(lines), len(lines[-1]) + 1


def _invisible(character: str) -> str:
    return (
        f"the character U+{ord(character):04X} cannot be seen and may hide what the file says: remove it, or encode it"
    )


def _unreadable(path: str, line: int, column: int, why: str) -> Unreadable:
    return Unreadable(Problem(file=path, line=line, column=column, field="", message=why))


class _Composer:
    """Events to nodes, once, with an eye on every bound. `Any` is the library's untyped event."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.nodes = 0
        self.events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)

    def documents(self) -> tuple[Node, ...]:
        found = []
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if event.version is not None or event.tags:
                    raise self.refuse(event, "a directive (%YAML, %TAG) is not read here: remove it")
            elif isinstance(event, (ScalarEvent, MappingStartEvent, SequenceStartEvent, AliasEvent)):
                root = self.node(event, 1)
                if root.kind is not Kind.NULL:
                    found.append(root)
        return tuple(found)

    def node(self, event: Any, depth: int) -> Node:
        self.admit(event)
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if isinstance(event, ScalarEvent):
            return self.scalar(event, line, column)
        if depth > DEPTH_MAX:
            raise self.refuse(event, f"lists and mappings are nested deeper than {DEPTH_MAX}: flatten this")
        if isinstance(event, SequenceStartEvent):
            items = []
            while not isinstance(event := next(self.events), SequenceEndEvent):
                items.append(self.node(event, depth + 1))
            return Node(file=self.path, kind=Kind.LIST, line=line, column=column, items=tuple(items))
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            entry = self.entry(event, depth)
            if (first := entries.get(entry.key)) is not None:
                raise self.refuse(
                    event, f"the key {entry.key!r} stands twice, first in line {first.line}: keep one of them"
                )
            entries[entry.key] = entry
        return Node(file=self.path, kind=Kind.MAPPING, line=line, column=column, entries=tuple(entries.values()))

    def entry(self, event: Any, depth: int) -> Entry:
        self.admit(event)
        if not isinstance(event, ScalarEvent):
            raise self.refuse(event, "a key must be a text, not a list or a mapping (quote ${ } and {{ }} values)")
        plain = not event.style
        if plain and event.value == "<<":
            raise self.refuse(event, "merge keys (<<) are not read here: write the fields out")
        if not event.value:
            raise self.refuse(event, "a key is missing before the colon")
        self.visible(event)
        mark = event.start_mark
        value = self.node(next(self.events), depth + 1)
        return Entry(key=event.value, line=mark.line + 1, column=mark.column + 1, value=value)

    def scalar(self, event: Any, line: int, column: int) -> Node:
        raw: str = event.value
        kind, value = Kind.TEXT, raw
        if not event.style:
            kind, value = self.plain(event, raw)
        self.visible(event)
        return Node(file=self.path, kind=kind, line=line, column=column, scalar=value, raw=raw)

    def plain(self, event: Any, raw: str) -> tuple[Kind, Any]:
        if raw in _WORDS:
            word = _WORDS[raw]
            return (Kind.NULL if word is None else Kind.BOOLEAN), word
        if raw[0] not in _NUMBER_STARTS:
            return Kind.TEXT, raw
        integer, fraction = _INTEGER.fullmatch(raw), _FRACTION.fullmatch(raw)
        if not integer and not fraction:
            return Kind.TEXT, raw
        if len(raw) > NUMBER_CHARS_MAX:
            raise self.refuse(event, f"a number of {len(raw)} characters: quote it if it is a text")
        if integer:
            return Kind.INTEGER, int(raw, 16 if raw[:2] == "0x" else 8 if raw[:2] == "0o" else 10)
        return Kind.FRACTION, Decimal(raw)

    def admit(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > NODES_MAX:
            raise self.refuse(event, f"the file has more than {NODES_MAX} keys and values: split it into several files")
        if event.anchor is not None:
            raise self.refuse(event, "anchors (&) and aliases (*) are not read here: write the value out, or quote it")
        if event.ctag is not None:
            raise self.refuse(event, "tags (!) are not read here: remove it, or quote the value")

    def visible(self, event: Any) -> None:
        # Only an escape in double quotes can still bring one in; the text of the file itself was looked at.
        if event.style == '"' and (found := _INVISIBLE.search(event.value)):
            raise self.refuse(event, _invisible(found.group()))

    def refuse(self, event: Any, why: str) -> Unreadable:
        mark = event.start_mark
        return _unreadable(self.path, mark.line + 1, mark.column + 1, why)
