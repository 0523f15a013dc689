"""The expression language: CEL on Google's C++ core, behind the `Compiler` and `Expression` of the packs.

What the library does, and what is made of it here:

- An error while evaluating comes back as a value of type ERROR: it becomes `Unknown` when an input with an age was
  touched that is not known, `Broken` otherwise. A passed iteration budget raises RuntimeError: `Broken`.
- A name is declared with its dots (`params.grace`, `alert.labels`), so that the type checker knows each field and a
  misspelt one does not compile. Only labels and target attributes are open.
- A misspelt *label* compiles: `references` lists what an expression mentions, for `check` to compare with what was
  seen. The checked tree is read from the library's own protocol-buffer form, which is stable wire format.
- A text is cut at a zero byte on its way in (`gold`, zero, `x` would equal `gold`): such an input breaks the expression.
- An absent label equals the empty text, as in Prometheus: the labels an expression mentions are filled in.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

from watchkeeper.errors import Malformed
from watchkeeper.packs.expression import Answer, Broken, Known, Unknown

SOURCE_BYTES_MAX: Final = 2_048
COMPREHENSIONS_MAX: Final = 4  # each may multiply the size of its input; four of them stay far from hurting
ITERATIONS_MAX: Final = 10_000  # the library's own budget, named here and held to by the contract tests
ENVIRONMENTS_MAX: Final = 1_024  # compiled scopes kept; a scope is 60 µs to make again
EXPRESSIONS_MAX: Final = 20_000  # compiled expressions kept, some kilobytes each
ERRORS_SHOWN_MAX: Final = 3
UNKNOWN_DEPTH_MAX: Final = 8
SCOPE_SHOWN_MAX: Final = 24
SOURCE_SHOWN_CHARS_MAX: Final = 160

# `labels` is a map of text where an absent key is "". `aged` is a map whose missing key is *unknown*, not an error;
# `aged double` and its like are single values that may be unknown.
_TYPES: Final[dict[str, str]] = {
    "labels": "map<string, string>",
    "aged": "map<string, dyn>",
    "aged int": "int",
    "aged double": "double",
    "aged duration": "duration",
    "map": "map<string, dyn>",
    "list": "list<dyn>",
    "string": "string",
    "int": "int",
    "double": "double",
    "bool": "bool",
    "timestamp": "timestamp",
    "duration": "duration",
    "dyn": "dyn",
}
_TEXTS: Final = frozenset({"labels", "map", "aged", "string", "dyn"})
_ANSWERS: Final = {"bool": bool, "string": str, "int": int}
_ERROR: Final = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_UNDECLARED: Final = re.compile(r"undeclared reference to '([^']*)' \(in container ''\)")
_STATUS: Final = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_FOREIGN: Final = "Non-CEL value type"


class CelExpression:
    """One compiled expression: about 10 µs an evaluation. Never raises."""

    __slots__ = ("_aged", "_expects", "_inputs", "_plain", "_program", "_reached", "references", "source")

    def __init__(
        self, source: str, program: Any, names: Mapping[str, str], references: tuple[tuple[str, ...], ...], expects: str
    ) -> None:
        self.source = source
        self.references = references
        self._program = program
        self._expects = _ANSWERS.get(expects)
        self._inputs = _inputs(names, references)
        self._reached = tuple(
            (name := _variable(names, reference), reference[name.count(".") + 1 :]) for reference in references
        )
        self._plain = _plain(source, names, references) if self._expects in {None, str} else ()

        self._aged = tuple(
            (name, tuple(rest for other, rest in self._reached if other == name))
            for name, _, type_name, _ in self._inputs
            if type_name == "aged"
        )

    def __repr__(self) -> str:
        return f"CelExpression({self.source!r})"

    def evaluate(self, bindings: Mapping[str, Any]) -> Answer:
        if self._plain:
            found: Any = bindings
            for part in self._plain:
                if type(found) is not dict or part not in found:
                    break
                found = found[part]
            else:
                if type(found) is str and found.isascii() and "\0" not in found:
                    return Known(found)
        data: dict[str, Any] = {}
        for name, path, type_name, mentioned in self._inputs:
            value: Any = bindings
            for part in path:
                if not isinstance(value, Mapping) or part not in value:
                    break
                value = value[part]
            else:
                data[name] = {**mentioned, **value} if type_name == "labels" else value
        known = data
        if self._aged:
            known = {**data, **{name: _mentioned(data[name], rests) for name, rests in self._aged if name in data}}
        for name, rest in self._reached:
            if name in data and _cut_short(data[name], rest):
                return Broken(f"{_shown(self.source)}: {name} holds a zero byte, which no text here may")
        try:
            answer = self._program.eval(data=known)
            kind = answer.type()
            if kind == cel.Type.ERROR:
                return self._error(str(answer.value()), data)
            plain = answer.plain_value()
        except (RuntimeError, ValueError, TypeError, OverflowError) as broken:
            why = str(broken)
            if "Iteration budget exceeded" in why:
                why = f"more than {ITERATIONS_MAX} iterations"
            return Broken(f"{_shown(self.source)}: {_STATUS.sub('', why)}")
        if self._expects is not None and type(plain) is not self._expects:
            return Broken(
                f"{_shown(self.source)}: expected {self._expects.__name__}, the answer is {type(plain).__name__} {plain!r}"
            )
        return Known(plain)

    def _error(self, why: str, data: Mapping[str, Any]) -> Answer:
        for name, path, type_name, _ in self._inputs:
            for reference in self.references:
                if reference[: len(path)] != path:
                    continue
                found = _unknown(data.get(name), reference[len(path) :], aged=type_name.startswith("aged"))
                if found is not None:
                    return Unknown(f"{'.'.join(reference)}: {found}")
        why = _STATUS.sub("", _STATUS.sub("", why))
        absent = re.search(r'No value with name "([^"]*)" found', why)
        if absent:
            why = f"{absent[1]} has no value"
        elif _FOREIGN in why:
            why = "an input is of a type that expressions do not know"
        return Broken(f"{_shown(self.source)}: {why}")


def _plain(source: str, names: Mapping[str, str], references: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """The path of an expression that is nothing but a text looked up by its dots; else (). Whatever is found there and
    is no plain text goes through the library.
    """
    if len(references) != 1 or source != ".".join(references[0]):
        return ()
    return references[0] if names[_variable(names, references[0])] in _TEXTS else ()


class CelCompiler:
    """Compiles and type-checks. Compiled scopes are shared: two rules with the same names cost one scope."""

    def compile(self, source: str, names: Mapping[str, str], expects: str) -> CelExpression:
        return _compiled(source, tuple(sorted(names.items())), expects)


@lru_cache(maxsize=EXPRESSIONS_MAX)
def _compiled(source: str, scope: tuple[tuple[str, str], ...], expects: str) -> CelExpression:
    """One expression, shared by all who write the same: it holds no state. A refusal is not kept."""
    names = dict(scope)
    if len(source.encode("utf-8", "surrogatepass")) > SOURCE_BYTES_MAX:
        raise Malformed("", f"the expression is longer than {SOURCE_BYTES_MAX} bytes; split it into clauses")
    if not source.strip():
        raise Malformed("", "the expression is empty")
    environment = _environment(scope)
    try:
        program = environment.compile(source)
        tree = program.serialize()
    except (RuntimeError, ValueError, TypeError) as wrong:
        raise Malformed("", _sentence(source, str(wrong), names)) from wrong
    wanted = _TYPES[expects]
    found = program.return_type()
    if wanted != "dyn" and found != cel.Type.DYN and found != cel.Type(wanted):
        raise Malformed("", f"{_shown(source)} answers {str(found).lower()}, expected {expects}")
    references = _references(source, tree, names)
    return CelExpression(source, program, names, references, expects)


@lru_cache(maxsize=ENVIRONMENTS_MAX)
def _environment(names: tuple[tuple[str, str], ...]) -> Any:
    return cel.NewEnv(variables={name: cel.Type(_TYPES[kind]) for name, kind in names})


_Input = tuple[str, tuple[str, ...], str, dict[str, str]]


def _inputs(names: Mapping[str, str], references: tuple[tuple[str, ...], ...]) -> tuple[_Input, ...]:
    """The variables an expression uses: name, path in the bindings, type, and the labels to fill in."""
    used: dict[str, _Input] = {}
    for reference in references:
        name = _variable(names, reference)
        path = tuple(name.split("."))
        _, _, _, mentioned = used.setdefault(name, (name, path, names[name], {}))
        if names[name] == "labels" and len(reference) > len(path):
            mentioned[reference[len(path)]] = ""
    return tuple(used.values())


def _variable(names: Mapping[str, str], reference: tuple[str, ...]) -> str:
    """The declared name a reference starts with: the longest one, as the type checker resolves it."""
    for length in range(len(reference), 0, -1):
        name = ".".join(reference[:length])
        if name in names:
            return name
    raise Malformed("", f"{'.'.join(reference)} is not in scope")


def _unknown(value: Any, rest: tuple[str, ...], *, aged: bool) -> str | None:
    """Why the input at `rest` below `value` is not known; None when it is."""
    for part in rest:
        if isinstance(value, Unknown):
            return value.why
        if not isinstance(value, Mapping) or part not in value:
            return "no reading" if aged else None
        value = value[part]
    if value is None and aged:
        return "no reading"
    return _within(value, UNKNOWN_DEPTH_MAX)


def _mentioned(value: Any, rests: tuple[tuple[str, ...], ...]) -> Any:
    """Of an input with an age only what the expression mentions: what it does not look at may well be unknown, and the
    library takes no map that holds such a value.
    """
    if not isinstance(value, Mapping) or () in rests:
        return value
    found: dict[str, Any] = {}
    for head in dict.fromkeys(rest[0] for rest in rests):
        if head in value and not isinstance(value[head], Unknown):
            found[head] = _mentioned(value[head], tuple(rest[1:] for rest in rests if rest[0] == head))
    return found


def _within(value: Any, depth: int) -> str | None:
    if isinstance(value, Unknown):
        return value.why
    if depth == 0:
        return None
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return next((why for item in inner if (why := _within(item, depth - 1)) is not None), None)


def _cut_short(value: Any, rest: tuple[str, ...]) -> bool:
    """Whether the value at `rest` holds a text with a zero byte."""
    for part in rest:
        if not isinstance(value, Mapping):
            return False
        value = value.get(part)
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(_cut_short(key, ()) or _cut_short(inner, ()) for key, inner in value.items())
    return isinstance(value, (list, tuple)) and any(_cut_short(inner, ()) for inner in value)


def _shown(source: str) -> str:
    return repr(source if len(source) <= SOURCE_SHOWN_CHARS_MAX else source[: SOURCE_SHOWN_CHARS_MAX - 1] + "…")


def _sentence(source: str, raw: str, names: Mapping[str, str]) -> str:
    parts = []
    for _, column, what in _ERROR.findall(raw)[:ERRORS_SHOWN_MAX]:
        lost = _UNDECLARED.search(what)
        if lost:
            parts.append(f"column {column}: {lost[1]!r} is not in scope; {_near(lost[1], names)}")
        else:
            parts.append(f"column {column}: {what}" if int(column) > 0 else what)
    if not parts:
        parts.append(_STATUS.sub("", raw.splitlines()[0] if raw else "cannot be compiled"))
    return f"{_shown(source)}: {'; '.join(parts)}"


def _near(lost: str, names: Mapping[str, str]) -> str:
    root = lost.partition(".")[0]
    same = sorted(name for name in names if name == root or name.startswith(root + "."))
    shown = same or sorted({name.partition(".")[0] for name in names})
    more = f" and {len(shown) - SCOPE_SHOWN_MAX} more" if len(shown) > SCOPE_SHOWN_MAX else ""
    return f"in scope: {', '.join(shown[:SCOPE_SHOWN_MAX]) or 'nothing'}{more}"


# The checked tree, in the wire format of cel.expr.CheckedExpr. Source: cel-spec, proto/cel/expr/syntax.proto.
_ANY_VALUE: Final = 2
_CHECKED_EXPR: Final = 4
_CONST, _IDENT, _SELECT, _CALL, _LIST, _STRUCT, _COMPREHENSION = 3, 4, 5, 6, 7, 8, 9
_CONST_STRING: Final = 6
_EXPRESSIONS: Final = {
    _SELECT: (1,),
    _CALL: (1, 3),
    _LIST: (1,),
    _COMPREHENSION: (2, 4, 5, 6, 7),
}


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of one message; bytes for what has a length, integers else."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(data):
        tag = varint()
        match tag & 7:
            case 0:
                yield tag >> 3, varint()
            case 1:
                at += 8
            case 2:
                length = varint()
                yield tag >> 3, data[at : at + length]
                at += length
            case _:
                at += 4


def _one(data: bytes, number: int) -> Any:
    return next((value for found, value in _fields(data) if found == number), None)


def _references(source: str, tree: bytes, names: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Every input an expression mentions, as a path: `("alert", "labels", "tier")`. Sorted, each once."""
    found: set[tuple[str, ...]] = set()
    comprehensions = 0
    waiting: list[tuple[bytes, frozenset[str]]] = [(_one(_one(tree, _ANY_VALUE), _CHECKED_EXPR), frozenset())]
    while waiting:
        node, local = waiting.pop()
        path, tested = _path(node, local)
        if path is not None:
            kind = names.get(_variable(names, path))
            if tested and kind == "labels":
                raise Malformed(
                    "", f'{_shown(source)}: has() of a label; an absent label equals "", compare it with ""'
                )
            found.add(path)
            continue
        for number, body in _fields(node):
            if number == _STRUCT:
                waiting += [
                    (value, local)
                    for at, entry in _fields(body)
                    if at == 2
                    for inner, value in _fields(entry)
                    if inner in {3, 4}
                ]
                continue
            if number == _CALL and _one(body, 2) == b"_[_]":
                _refuse_computed_label(source, body, local, names)
            if number == _COMPREHENSION:
                comprehensions += 1
                bound = {value.decode() for at, value in _fields(body) if at in {1, 3, 8}}
                outer = local
                local = local | bound
                waiting += [
                    (value, outer if at in {2, 4} else local) for at, value in _fields(body) if at in {2, 4, 5, 6, 7}
                ]
                continue
            waiting += (
                [(value, local) for at, value in _fields(body) if at in _EXPRESSIONS.get(number, ())]
                if isinstance(body, bytes)
                else []
            )
    if comprehensions > COMPREHENSIONS_MAX:
        raise Malformed("", f"{_shown(source)}: {comprehensions} loops; at most {COMPREHENSIONS_MAX} an expression")
    return tuple(sorted(found))


def _refuse_computed_label(source: str, call: bytes, local: frozenset[str], names: Mapping[str, str]) -> None:
    first = next(value for at, value in _fields(call) if at == 3)
    path, _ = _path(first, local)
    if path is not None and names.get(".".join(path)) == "labels":
        raise Malformed("", f"{_shown(source)}: a label's name must be written out, not computed")


def _path(node: bytes, local: frozenset[str]) -> tuple[tuple[str, ...] | None, bool]:
    """The path of a chain of selections that starts at an input, and whether `has()` asks for it; None for others."""
    tail: list[str] = []
    tested = False
    while True:
        kind, body = next(
            ((number, value) for number, value in _fields(node) if number in {_IDENT, _SELECT, _CALL}), (0, b"")
        )
        match kind:
            case 4:
                name = _one(body, 1).decode()
                if name in local or name.partition(".")[0] in local:
                    return None, False
                return (*name.lstrip(".").split("."), *reversed(tail)), tested
            case 5:
                tail.append(_one(body, 2).decode())
                tested = tested or bool(_one(body, 3))
                node = _one(body, 1)
            case 6 if _one(body, 2) == b"_[_]":
                operands = [value for at, value in _fields(body) if at == 3]
                constant = _one(operands[1], _CONST)
                text = None if constant is None else _one(constant, _CONST_STRING)
                if text is None:
                    return None, False
                tail.append(text.decode())
                node = operands[0]
            case _:
                return None, False
