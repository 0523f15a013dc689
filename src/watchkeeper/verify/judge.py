"""One look of a probe against what was expected: healthy, unhealthy, or nothing (it cannot be told).

In: the probe's kind, `expect` as literals, and the values that the prober saw. Out: what was seen, and a sentence that
names the first thing that is not as expected. An expectation that cannot be read sees nothing: it never passes.

| probe   | values seen                                   | expect                                                     |
|---------|-----------------------------------------------|------------------------------------------------------------|
| http    | status, body, headers, took_ms, connected     | status (number, list or "2xx"), contains, json, headers, within_ms |
| tcp     | connected, took_ms                            | within_ms                                                  |
| command | exit, stdout, stderr, took_ms                 | exit (default 0), contains, within_ms                      |
| promql  | samples: [{labels, value}] (value as text)    | value: a comparison such as "< 0.05", or above, below, at_least, at_most, equals; any: true |
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from watchkeeper.verify.sample import Seen

SHOWN_CHARS_MAX: Final = 80  # of somebody's output in a sentence of ours

KNOWN: Final[dict[str, frozenset[str]]] = {
    "http": frozenset({"status", "contains", "json", "headers", "within_ms"}),
    "tcp": frozenset({"within_ms"}),
    "command": frozenset({"exit", "contains", "within_ms"}),
    "promql": frozenset({"value", "above", "below", "at_least", "at_most", "equals", "any"}),
}
STATUS_DEFAULT: Final = "2xx"

_CLASS = re.compile(r"[1-5]xx")
_COMPARISON = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*")
_WORDS: Final = {"above": ">", "below": "<", "at_least": ">=", "at_most": "<=", "equals": "=="}

Judged = tuple[Seen, str]


class _Blind(Exception):
    """Carries the sentence of an expectation that cannot be read; never out of this file."""


def judge(probe: str, expect: Mapping[str, Any], values: Mapping[str, Any]) -> Judged:
    """What the look saw, and why. Never raises for what it is given."""
    known = KNOWN.get(probe)
    if known is None:
        return Seen.NOTHING, f"no probe is called {probe!r}; there are {', '.join(KNOWN)}"
    strange = sorted(set(expect) - known)
    if strange:
        return Seen.NOTHING, f"expect.{strange[0]} means nothing to {probe}; it knows {', '.join(sorted(known))}"
    try:
        match probe:
            case "http":
                wrong = _http(expect, values)
            case "tcp":
                wrong = "" if _value(values, "connected", bool) else str(values.get("why") or "no connection")
            case "command":
                wrong = _command(expect, values)
            case _:
                wrong = _promql(expect, values)
        wrong = wrong or _late(expect, values)
    except _Blind as blind:
        return Seen.NOTHING, str(blind)
    return (Seen.UNHEALTHY, wrong) if wrong else (Seen.HEALTHY, "")


def _http(expect: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    if values.get("connected") is False:
        return str(values.get("why") or "no connection")
    status = _value(values, "status", int)
    wanted = expect.get("status", STATUS_DEFAULT)
    if not any(_status(status, one) for one in (wanted if isinstance(wanted, (list, tuple)) else (wanted,))):
        return f"status {status}, expected {_shown(wanted)}"
    if "contains" in expect:
        missing = _missing(expect["contains"], str(values.get("body", "")), "the body")
        if missing:
            return missing
    headers = {str(name).lower(): str(value) for name, value in _map(values.get("headers", {}), "headers").items()}
    for name, value in _map(expect.get("headers", {}), "expect.headers").items():
        found = headers.get(name.lower())
        if found != str(value):
            return f"header {name} is {_shown(found) if found is not None else 'absent'}, expected {_shown(value)}"
    if "json" in expect:
        return _json(_map(expect["json"], "expect.json"), values.get("body", ""))
    return ""


def _json(wanted: Mapping[str, Any], body: Any) -> str:
    """Each path (`status.db`, `items.0.ok`) equals its value."""
    try:
        document = msgspec.json.decode(body if isinstance(body, bytes) else str(body).encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return f"the body is no JSON: {_shown(body)}"
    for path, value in wanted.items():
        found = _at(document, path.removeprefix("$.").split("."))
        if found is _ABSENT:
            return f"the body has no {path}, expected {_shown(value)}"
        if found != value or isinstance(found, bool) is not isinstance(value, bool):
            return f"{path} is {_shown(found)}, expected {_shown(value)}"
    return ""


_ABSENT: Final = object()


def _at(document: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return _ABSENT
    return document


def _command(expect: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    code = _value(values, "exit", int)
    if code != _number(expect.get("exit", 0), "expect.exit"):
        errors = str(values.get("stderr", "")).strip()
        return f"exit code {code}, expected {expect.get('exit', 0)}" + (f": {_cut(errors)}" if errors else "")
    if "contains" in expect:
        return _missing(expect["contains"], str(values.get("stdout", "")), "the output")
    return ""


def _promql(expect: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Every series holds every comparison; with `any: true` one is enough. No series, or a NaN, is no data."""
    samples = values.get("samples")
    if not isinstance(samples, (list, tuple)) or not samples:
        raise _Blind("the query returned no series")
    tests = [_test(sign, expect[word], f"expect.{word}") for word, sign in _WORDS.items() if word in expect]
    if "value" in expect:
        found = _COMPARISON.fullmatch(str(expect["value"]))
        sign, limit = (found[1], found[2]) if found is not None else ("==", str(expect["value"]))
        tests.append(_test(sign, limit, "expect.value"))
    if not tests:
        raise _Blind("nothing says what the query's value should be; write for example value: '< 0.05'")
    wrong = ""
    for sample in samples:
        value = _decimal(sample.get("value") if isinstance(sample, Mapping) else None, "a sample")
        bad = next((f"{sign} {limit}" for sign, limit in tests if not _holds(value, sign, limit)), "")
        if not bad and expect.get("any") is True:
            return ""
        wrong = wrong or (f"{_series(sample)} is {value}, expected {bad}" if bad else "")
    return wrong


def _series(sample: Mapping[str, Any]) -> str:
    labels = sample.get("labels") or {}
    return "{" + _cut(", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))) + "}"


def _test(sign: str, limit: Any, where: str) -> tuple[str, Decimal]:
    return sign, _decimal(limit, where)


def _holds(value: Decimal, sign: str, limit: Decimal) -> bool:
    match sign:
        case "<":
            return value < limit
        case "<=":
            return value <= limit
        case ">":
            return value > limit
        case ">=":
            return value >= limit
        case "==":
            return value == limit
        case _:
            return value != limit


def _late(expect: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    if "within_ms" not in expect:
        return ""
    most = _number(expect["within_ms"], "expect.within_ms")
    took = _value(values, "took_ms", int)
    return f"it answered in {took} ms, expected within {most} ms" if took > most else ""


def _status(status: int, wanted: Any) -> bool:
    if isinstance(wanted, str) and _CLASS.fullmatch(wanted):
        return status // 100 == int(wanted[0])
    return status == _number(wanted, "expect.status")


def _missing(wanted: Any, text: str, where: str) -> str:
    for part in wanted if isinstance(wanted, (list, tuple)) else (wanted,):
        if str(part) not in text:
            return f"{where} does not contain {_shown(part)}"
    return ""


def _number(value: Any, where: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Blind(f"{where} is {_shown(value)}, not a whole number")
    return value


def _decimal(value: Any, where: str) -> Decimal:
    try:
        found = Decimal(str(value)) if value is not None and not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        found = Decimal("NaN")
    if found.is_nan():
        raise _Blind(f"{where} is {_shown(value)}, not a number")
    return found


def _value(values: Mapping[str, Any], name: str, kind: type) -> Any:
    found = values.get(name)
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        raise _Blind(str(values.get("why") or f"the probe gave no {name}"))
    return found


def _map(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Blind(f"{where} is {_shown(value)}, not a map")
    return value


def _shown(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"
