"""Nodes to typed values, with every problem collected and none raised.

    fields = Fields(node, problems)
    rule = Rule(name=fields.text("name", required=True), settle_ms=fields.duration("settle", default=300_000))
    fields.done()

A reader never stops: a field that cannot be read adds a problem and answers its default, so that one look at a
file tells all of it. The caller builds its noun only if no error was added. A key whose value is nothing counts as absent.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final, TypeVar, overload

from watchkeeper.documents.node import Entry, Kind, Node
from watchkeeper.documents.problem import Problem, ProblemSeverity
from watchkeeper.values import DURATION_MAX_MS, INTEGER_MAX, Instant, duration_ms, duration_text, instant

TEXT_CHARS_MAX: Final = 4096
LIST_ITEMS_MAX: Final = 1000
UNKNOWN_FIELDS_MAX: Final = 50  # that are named one by one
PPM: Final = 1_000_000

E = TypeVar("E", bound=StrEnum)
D = TypeVar("D")

_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,4}))?%", re.ASCII)


def percent_ppm(text: str) -> int:
    """`99.95%` to 999500 parts per million. Raises ValueError beyond 100% or four decimals."""
    found = _PERCENT.fullmatch(text)
    ppm = int(found[1]) * 10_000 + int((found[2] or "").ljust(4, "0")) if found else -1
    if not 0 <= ppm <= PPM:
        raise ValueError(f"{text!r} is not a percentage from 0% to 100%; write for example 99.9%")
    return ppm


def percent_text(ppm: int) -> str:
    """999500 to `99.95%`: the spelling `percent_ppm` reads back."""
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`: did you mean 'x'?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f": did you mean {near[0]!r}?" if near else ""


def wrong(
    problems: list[Problem],
    at: Node | Entry,
    field: str,
    message: str,
    *,
    expected: str = "",
    severity: ProblemSeverity = ProblemSeverity.ERROR,
) -> None:
    """Add a problem at the place of a value, or of a key (`Entry`)."""
    problems.append(
        Problem(
            file=at.file if isinstance(at, Node) else at.value.file,
            line=at.line,
            column=at.column,
            field=field,
            message=message,
            expected=expected,
            severity=severity,
        )
    )


class Fields:
    """The fields of one mapping, read by name. `path` is the dotted path of the mapping in its document.

    What was asked for is remembered: `done()` reports the keys that nobody asked for.
    """

    def __init__(self, node: Node, problems: list[Problem], path: str = "") -> None:
        self.node = node
        self.problems = problems
        self.path = path
        self.known: set[str] = set()
        self._entries = {entry.key: entry for entry in node.entries}
        self._errors_before = len(problems)
        if node.kind is not Kind.MAPPING:
            self._unexpected(node, path, "a mapping", None)

    # -- what is there ---------------------------------------------------------------------------

    def at(self, name: str) -> str:
        """The dotted path of a field here; names that are no words are bracketed: `metadata.labels["a.b/c"]`."""
        return path_join(self.path, name)

    def node_of(self, name: str) -> Node | None:
        """The node of a field, for readers of their own. None when absent or nothing; counts as asked for."""
        self.known.add(name)
        entry = self._entries.get(name)
        return None if entry is None or entry.value.kind is Kind.NULL else entry.value

    def has(self, name: str) -> bool:
        return self.node_of(name) is not None

    @property
    def clean(self) -> bool:
        """No error was added to the list since this reader was made."""
        return all(p.severity is not ProblemSeverity.ERROR for p in self.problems[self._errors_before :])

    # -- scalars ---------------------------------------------------------------------------------

    @overload
    def text(
        self,
        name: str,
        *,
        required: bool = ...,
        pattern: re.Pattern[str] | None = ...,
        expected: str = ...,
        most: int = ...,
    ) -> str: ...
    @overload
    def text(
        self,
        name: str,
        *,
        default: D,
        required: bool = ...,
        pattern: re.Pattern[str] | None = ...,
        expected: str = ...,
        most: int = ...,
    ) -> str | D: ...
    def text(
        self,
        name: str,
        *,
        default: Any = "",
        required: bool = False,
        pattern: re.Pattern[str] | None = None,
        expected: str = "a string",
        most: int = TEXT_CHARS_MAX,
    ) -> Any:
        """A string; `most` in characters. `expected` says in words what `pattern` admits."""
        node = self._wanted(name, required, expected)
        if node is None:
            return default
        found = text_of(node, self.problems, self.at(name), pattern=pattern, expected=expected, most=most)
        return default if found is None else found

    @overload
    def integer(self, name: str, *, required: bool = ..., least: int = ..., most: int = ...) -> int: ...
    @overload
    def integer(self, name: str, *, default: D, required: bool = ..., least: int = ..., most: int = ...) -> int | D: ...
    def integer(
        self, name: str, *, default: Any = 0, required: bool = False, least: int = 0, most: int = INTEGER_MAX
    ) -> Any:
        """An integer from `least` to `most`, both included."""
        words = f"an integer from {least} to {most}" if most < INTEGER_MAX else f"an integer of at least {least}"
        node = self._wanted(name, required, words)
        if node is None:
            return default
        if node.kind is not Kind.INTEGER or not isinstance(node.scalar, int) or not least <= node.scalar <= most:
            return self._unexpected(node, self.at(name), words, default)
        return node.scalar

    @overload
    def boolean(self, name: str, *, required: bool = ...) -> bool: ...
    @overload
    def boolean(self, name: str, *, default: D, required: bool = ...) -> bool | D: ...
    def boolean(self, name: str, *, default: Any = False, required: bool = False) -> Any:
        node = self._wanted(name, required, "true or false")
        if node is None:
            return default
        if node.kind is not Kind.BOOLEAN:
            return self._unexpected(node, self.at(name), "true or false", default)
        return node.scalar

    @overload
    def duration(self, name: str, *, required: bool = ..., least: int = ..., most: int = ...) -> int: ...
    @overload
    def duration(
        self, name: str, *, default: D, required: bool = ..., least: int = ..., most: int = ...
    ) -> int | D: ...
    def duration(
        self, name: str, *, default: Any = 0, required: bool = False, least: int = 0, most: int = DURATION_MAX_MS
    ) -> Any:
        """A duration such as `1h30m`, in milliseconds; so are `default`, `least` and `most`."""
        words = "a duration such as 500ms, 30s, 5m, 1h30m or 7d"
        found = self._parsed(name, required, words, duration_ms)
        if found is None:
            return default
        if not least <= found <= most:
            span = f"a duration from {duration_text(least)} to {duration_text(most)}"
            return self._unexpected(self._entries[name].value, self.at(name), span, default)
        return found

    @overload
    def percent(self, name: str, *, required: bool = ...) -> int: ...
    @overload
    def percent(self, name: str, *, default: D, required: bool = ...) -> int | D: ...
    def percent(self, name: str, *, default: Any = 0, required: bool = False) -> Any:
        """A percentage such as `99.95%`, in parts per million; so is `default`."""
        found = self._parsed(name, required, "a percentage such as 99.9%", percent_ppm)
        return default if found is None else found

    @overload
    def instant(self, name: str, *, required: bool = ...) -> Instant | None: ...
    @overload
    def instant(self, name: str, *, default: D, required: bool = ...) -> Instant | D: ...
    def instant(self, name: str, *, default: Any = None, required: bool = False) -> Any:
        """RFC 3339 with a zone, to aware UTC."""
        found = self._parsed(name, required, "an instant such as 2026-03-01T10:00:00Z", instant)
        return default if found is None else found

    @overload
    def choice(self, name: str, words: type[E], *, required: bool = ...) -> E | None: ...
    @overload
    def choice(self, name: str, words: type[E], *, default: D, required: bool = ...) -> E | D: ...
    def choice(self, name: str, words: type[E], *, default: Any = None, required: bool = False) -> Any:
        """One of the words of an enum."""
        known = [word.value for word in words]
        expected = f"one of {', '.join(known)}"
        node = self._wanted(name, required, expected)
        if node is None:
            return default
        if node.kind is Kind.TEXT and node.raw in known:
            return words(node.raw)
        hint = suggestion(node.raw, known) if node.kind is Kind.TEXT else ""
        return self._unexpected(node, self.at(name), expected, default, hint)

    # -- lists and mappings ----------------------------------------------------------------------

    def texts(
        self,
        name: str,
        *,
        default: tuple[str, ...] = (),
        required: bool = False,
        one_will_do: bool = False,
        pattern: re.Pattern[str] | None = None,
        expected: str = "a string",
        most: int = LIST_ITEMS_MAX,
    ) -> tuple[str, ...]:
        """A list of strings, at most `most`; `one_will_do` also takes a single string for a list of one."""
        node = self._wanted(name, required, "a list of strings")
        if node is None:
            return default
        if one_will_do and node.kind is Kind.TEXT:
            items: tuple[Node, ...] = (node,)
        else:
            items = self._list(node, name, "a list of strings", most)
        found = tuple(
            text_of(
                item,
                self.problems,
                self.at(name) if item is node else f"{self.at(name)}[{position}]",
                pattern=pattern,
                expected=expected,
            )
            for position, item in enumerate(items)
        )
        return tuple(text for text in found if text is not None)

    def labels(self, name: str, *, required: bool = False, most: int = LIST_ITEMS_MAX) -> dict[str, str]:
        """A mapping of strings to strings."""
        return {
            key: text
            for key, node in self.mapping(name, required=required, most=most)
            if (text := text_of(node, self.problems, path_join(self.at(name), key))) is not None
        }

    def mapping(self, name: str, *, required: bool = False, most: int = LIST_ITEMS_MAX) -> tuple[tuple[str, Node], ...]:
        """The pairs of a mapping whose keys are the writer's own, in the order written."""
        node = self._wanted(name, required, "a mapping")
        if node is None:
            return ()
        if node.kind is not Kind.MAPPING:
            return self._unexpected(node, self.at(name), "a mapping", ())
        if len(node.entries) > most:
            wrong(self.problems, node, self.at(name), f"holds {len(node.entries)} keys, more than {most}")
            return ()
        return tuple((entry.key, entry.value) for entry in node.entries)

    def child(self, name: str, *, required: bool = False) -> "Fields | None":
        """The fields of a mapping inside this one; None when it is absent or something else. Call its `done()`."""
        node = self._wanted(name, required, "a mapping")
        if node is None:
            return None
        if node.kind is not Kind.MAPPING:
            return self._unexpected(node, self.at(name), "a mapping", None)
        return Fields(node, self.problems, self.at(name))

    def children(self, name: str, *, required: bool = False, most: int = LIST_ITEMS_MAX) -> "dict[str, Fields]":
        """A mapping of the writer's own keys to mappings: `environments: {prod: {...}}`."""
        found = {}
        for key, node in self.mapping(name, required=required, most=most):
            child = Fields(node, self.problems, path_join(self.at(name), key))
            if node.kind is Kind.MAPPING:
                found[key] = child
        return found

    def many(self, name: str, *, required: bool = False, most: int = LIST_ITEMS_MAX) -> "tuple[Fields, ...]":
        """A list of mappings; items that are something else are reported and left out."""
        found = []
        for position, item in enumerate(self.items(name, required=required, most=most)):
            child = Fields(item, self.problems, f"{self.at(name)}[{position}]")
            if item.kind is Kind.MAPPING:
                found.append(child)
        return tuple(found)

    def items(self, name: str, *, required: bool = False, most: int = LIST_ITEMS_MAX) -> tuple[Node, ...]:
        """The nodes of a list, for readers of their own; their paths are `f"{fields.at(name)}[{position}]"`."""
        node = self._wanted(name, required, "a list")
        return () if node is None else self._list(node, name, "a list", most)

    def plain(self, name: str, *, required: bool = False) -> Any:
        """A free value (a step's `with`) as dict, list, str, int, bool or None; see `plain_of`."""
        node = self._wanted(name, required, "a value")
        return None if node is None else plain_of(node, self.problems, self.at(name))

    # -- the end ---------------------------------------------------------------------------------

    def wrong(self, name: str, message: str, *, expected: str = "") -> None:
        """Report an error at a field, or at the mapping when the field is absent or `name` is empty."""
        self._say(name, message, expected, ProblemSeverity.ERROR)

    def warn(self, name: str, message: str, *, expected: str = "") -> None:
        self._say(name, message, expected, ProblemSeverity.WARNING)

    def done(self) -> None:
        """Report each key that nobody asked for, with the known one that is nearest."""
        unknown = [entry for entry in self._entries.values() if entry.key not in self.known]
        for entry in unknown[:UNKNOWN_FIELDS_MAX]:
            hint = suggestion(entry.key, self.known - self._entries.keys()) or suggestion(entry.key, self.known)
            said = f"unknown field{hint or f': known here are {_listed(self.known)}'}"
            wrong(self.problems, entry, self.at(entry.key), said)
        if len(unknown) > UNKNOWN_FIELDS_MAX:
            self.wrong("", f"has {len(unknown) - UNKNOWN_FIELDS_MAX} more unknown fields")

    # -- inside ----------------------------------------------------------------------------------

    def _say(self, name: str, message: str, expected: str, severity: ProblemSeverity) -> None:
        entry = self._entries.get(name)
        wrong(
            self.problems,
            entry.value if entry else self.node,
            self.at(name) if name else self.path,
            message,
            expected=expected,
            severity=severity,
        )

    def _wanted(self, name: str, required: bool, expected: str) -> Node | None:
        node = self.node_of(name)
        if node is None and required and self.node.kind is Kind.MAPPING:
            wrong(self.problems, self.node, self.at(name), f"is missing: expected {expected}", expected=expected)
        return node

    def _parsed(self, name: str, required: bool, expected: str, read: Callable[[str], D]) -> D | None:
        node = self._wanted(name, required, expected)
        if node is None:
            return None
        if node.kind is not Kind.TEXT:
            self._unexpected(node, self.at(name), expected, None)
            return None
        try:
            return read(node.raw)
        except ValueError:
            self._unexpected(node, self.at(name), expected, None)
            return None

    def _list(self, node: Node, name: str, expected: str, most: int) -> tuple[Node, ...]:
        if node.kind is not Kind.LIST:
            return self._unexpected(node, self.at(name), expected, ())
        if len(node.items) > most:
            wrong(self.problems, node, self.at(name), f"holds {len(node.items)} items, more than {most}")
            return ()
        return node.items

    def _unexpected(self, node: Node, field: str, expected: str, default: D, hint: str = "") -> D:
        wrong(self.problems, node, field, f"expected {expected}, got {node}{hint}", expected=expected)
        return default


def path_join(path: str, name: str) -> str:
    """A dotted path one level deeper; a name that is no word is bracketed and quoted."""
    if not re.fullmatch(r"[\w-]+", name):
        return f'{path}["{name}"]'
    return f"{path}.{name}" if path else name


def text_of(
    node: Node,
    problems: list[Problem],
    field: str,
    *,
    pattern: re.Pattern[str] | None = None,
    expected: str = "a string",
    most: int = TEXT_CHARS_MAX,
) -> str | None:
    """The string a node holds; None, with a problem added, when it holds anything else."""
    if node.kind is not Kind.TEXT:
        quote = ", quote it" if node.kind in {Kind.INTEGER, Kind.FRACTION, Kind.BOOLEAN} else ""
        wrong(problems, node, field, f"expected {expected}, got {node}{quote}", expected=expected)
        return None
    if len(node.raw) > most:
        wrong(problems, node, field, f"has {len(node.raw)} characters, more than {most}")
        return None
    if pattern is not None and not pattern.fullmatch(node.raw):
        wrong(problems, node, field, f"expected {expected}, got {node}", expected=expected)
        return None
    return node.raw


def plain_of(node: Node, problems: list[Problem], field: str) -> Any:
    """A node as dict, list, str, int, bool or None.

    Fractions and integers beyond 2^53 are reported: what is hashed holds neither, so they are written as texts.
    """
    match node.kind:
        case Kind.MAPPING:
            return {e.key: plain_of(e.value, problems, path_join(field, e.key)) for e in node.entries}
        case Kind.LIST:
            return [plain_of(item, problems, f"{field}[{position}]") for position, item in enumerate(node.items)]
        case Kind.FRACTION:
            wrong(problems, node, field, f"expected a string or an integer, got {node}, quote it")
            return node.raw
        case Kind.INTEGER if isinstance(node.scalar, int) and abs(node.scalar) > INTEGER_MAX:
            wrong(problems, node, field, f"expected an integer within 2^53, got {node}, quote it")
            return node.raw
        case _:
            return node.scalar


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)) or "none"
