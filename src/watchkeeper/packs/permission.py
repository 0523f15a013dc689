"""Whether a declared permission covers a use of an action: at load as far as the text shows, and before each effect.

A bound names an argument and lists what it may be: `methods: [POST]`, `to: target.admin`, `units: [target.unit]`,
`programs: [journalctl]`. A bound that cannot be compared does not cover. Source: CAPABILITIES 6.6.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from watchkeeper.packs.expression import Expression, Known, Template
from watchkeeper.packs.runbook import Permission

# bound -> the argument it is about; any other bound is about the argument of its own name, plural or not
_ARGUMENTS: Final = {
    "methods": "method",
    "method": "method",
    "to": "url",
    "urls": "url",
    "programs": "argv",
    "program": "argv",
}
PARTS_KEPT: Final = 4_096
_METHOD_DEFAULT: Final = "GET"


def permitted(
    permissions: Iterable[Permission], action: str, arguments: Mapping[str, Any], bindings: Mapping[str, Any]
) -> str:
    """Why the use is not covered, as a sentence; "" when a permission covers it. `arguments` are literal."""
    reasons = []
    for permission in permissions:
        if permission.action != action:
            continue
        why = next((why for bound in permission.allowed.items() if (why := _outside(bound, arguments, bindings))), "")
        if not why:
            return ""
        reasons.append(why)
    return reasons[0] if reasons else f"the runbook declares no permission for {action}"


def covered(permissions: Iterable[Permission], action: str, arguments: Mapping[str, Any]) -> str:
    """As `permitted`, from the text alone: "" unless it is certain that no permission covers it."""
    reasons = []
    for permission in permissions:
        if permission.action != action:
            continue
        why = next((why for bound in permission.allowed.items() if (why := _surely_outside(bound, arguments))), "")
        if not why:
            return ""
        reasons.append(why)
    return (
        reasons[0] if reasons else f"no permission for {action}: add {{do: {action}}} with its bounds to `permissions`"
    )


def argument_of(bound: str, arguments: Mapping[str, Any]) -> str:
    if bound in _ARGUMENTS:
        return _ARGUMENTS[bound]
    return bound if bound in arguments or not bound.endswith("s") else bound[:-1]


def _outside(bound: tuple[str, tuple[Any, ...]], arguments: Mapping[str, Any], bindings: Mapping[str, Any]) -> str:
    name, allowed = bound
    argument = argument_of(name, arguments)
    value = arguments.get(argument, _METHOD_DEFAULT if argument == "method" else None)
    texts = []
    for item in allowed:
        answer = item.evaluate(bindings) if not isinstance(item, str) else Known(item)
        if isinstance(answer, Known) and isinstance(answer.value, str) and answer.value:
            texts.append(answer.value)
    if any(_agrees(argument, value, text) for text in texts):
        return ""
    shown = value[0] if argument == "argv" and isinstance(value, (list, tuple)) and value else value
    return f"{argument} {shown!r} is not among its {name}: {', '.join(texts) or 'none could be worked out'}"


def _agrees(argument: str, value: Any, text: str) -> bool:
    match argument:
        case "method":
            return isinstance(value, str) and value.upper() == text.upper()
        case "url":
            return isinstance(value, str) and _under(value, text)
        case "argv":
            return isinstance(value, (list, tuple)) and bool(value) and value[0] == text
        case _:
            return value is not None and str(value) == text


def _under(url: str, base: str) -> bool:
    """Same scheme, host and port, and the path at or below the base's."""
    try:
        origin, user, path = _parts(url)
        origin_of_base, _, path_of_base = _parts(base)
    except ValueError:
        return False
    root = path_of_base.rstrip("/")
    return origin == origin_of_base and user is None and (path == root or path.startswith(root + "/") or not root)


@lru_cache(PARTS_KEPT)
def _parts(url: str) -> tuple[tuple[str, str | None, int | None], str | None, str]:
    """(scheme, host and port; user; path). Raises ValueError."""
    found = urlsplit(url)
    return (found.scheme, found.hostname, found.port), found.username, found.path


def _surely_outside(bound: tuple[str, tuple[Any, ...]], arguments: Mapping[str, Any]) -> str:
    name, allowed = bound
    argument = argument_of(name, arguments)
    value = arguments.get(argument, _METHOD_DEFAULT if argument == "method" else None)
    if isinstance(value, Template) and len(value.pieces) == 1:
        return ""
    if any(not isinstance(item, str) for item in allowed) or isinstance(value, Template):
        return "" if value is not None else f"needs {argument}, which its {name} bound"
    if argument == "argv" and isinstance(value, (list, tuple)) and value and isinstance(value[0], Template):
        return ""
    if any(_agrees(argument, value, item) for item in allowed):
        return ""
    shown = value[0] if argument == "argv" and isinstance(value, (list, tuple)) and value else value
    return f"{argument} {shown!r} is not among the {name} of its permission: {', '.join(allowed)}"


def is_expression(text: str) -> bool:
    """Whether an item of a bound is an expression. `target.unit` is one, `POST` means itself."""
    root, dot, _ = text.partition(".")
    return bool(dot) and root in {"target", "params", "alert", "run"}


def expressions_of(permissions: Iterable[Permission]) -> tuple[Expression, ...]:
    return tuple(
        item
        for permission in permissions
        for items in permission.allowed.values()
        for item in items
        if not isinstance(item, str)
    )
