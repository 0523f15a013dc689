"""The JSON Schemas of pack actions: whether one is a schema at all, and whether a value is what it describes.

Draft 2020-12, closed in itself: `$ref` leads into its own `$defs` and nowhere else, so a schema means on every node
what it meant when it was reviewed, and nothing is ever fetched. `format` is a comment and is not checked.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
TYPES: Final = ("object", "array", "string", "integer", "number", "boolean", "null")
DEPTH_MAX: Final = 24  # of a schema: a document ends at 32
PATTERN_CHARS_MAX: Final = 256
WHY_CHARS_MAX: Final = 300

Check = Callable[[Any], str | None]
Path = tuple[str | int, ...]

_NAMES: Final = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_VALUES: Final = frozenset({"enum", "const", "default", "examples"})
_DEFINED: Final = re.compile(r"#/\$defs/([A-Za-z0-9_.-]+)")
_LEADING_OUT: Final = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor")


class Fault(Struct, frozen=True, kw_only=True):
    """What is wrong with a schema, and where: keys and positions from its root."""

    path: Path
    why: str


def schema_fault(schema: Mapping[str, Any]) -> Fault | None:
    """The first thing that keeps `schema` from being one, or None."""
    found = next(_closed(schema, schema, (), 0), None)
    if found is not None:
        return found
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    meta = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    error = best_match(meta.iter_errors(schema))
    if error is not None:
        path = tuple(error.absolute_path)
        why = (
            f"expected a type of {', '.join(TYPES)}, got {error.instance!r}"
            if path[-1:] == ("type",)
            else error.message
        )
        return Fault(path=path, why=_short(why))
    wrong = checker(schema)({})
    return Fault(path=(), why=wrong) if wrong is not None and wrong.startswith(_ENDLESS) else None


def checker(schema: Mapping[str, Any]) -> Check:
    """What is wrong with a value, with the path to it; None when nothing is. `schema` was found to be one."""
    from jsonschema.exceptions import best_match

    validator = _validator()(dict(schema))

    def check(value: Any) -> str | None:
        try:
            error = best_match(validator.iter_errors(value))
        except RecursionError:
            return f"{_ENDLESS}: a `$ref` leads back to itself, or the value is nested too deep"
        if error is None:
            return None
        where = error.json_path.removeprefix("$").removeprefix(".")
        return _short(f"{where}: {error.message}" if where else error.message)

    return check


_ENDLESS: Final = "checking it does not end"


@cache
def _validator() -> "Callable[[dict[str, Any]], Validator]":
    from jsonschema import Draft202012Validator
    from referencing import Registry

    nowhere: Registry[Any] = Registry()  # the default one would fetch what it does not know
    return lambda schema: Draft202012Validator(schema, registry=nowhere)


def _closed(node: Any, root: Mapping[str, Any], path: Path, depth: int, *, names: bool = False) -> Iterator[Fault]:
    """Words that lead out of the schema, and bounds. In a mapping of `names` to schemas a key is no word."""
    if depth > DEPTH_MAX:
        yield Fault(path=path, why=f"is nested deeper than {DEPTH_MAX}")
        return
    if isinstance(node, list):
        for position, item in enumerate(node):
            yield from _closed(item, root, (*path, position), depth + 1)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        here = (*path, key)
        if names:
            yield from _closed(value, root, here, depth + 1)
        elif key == "$ref":
            if why := _dangling(value, root):
                yield Fault(path=here, why=why)
        elif key == "$schema":
            if value != DRAFT:
                yield Fault(path=here, why=f"expected {DRAFT}, got {value!r}")
        elif key in _LEADING_OUT:
            yield Fault(path=here, why=f"{key} is not used here: write what is shared under `$defs`")
        elif key == "pattern" and isinstance(value, str) and len(value) > PATTERN_CHARS_MAX:
            yield Fault(path=here, why=f"has more than {PATTERN_CHARS_MAX} characters")
        elif key not in _VALUES:
            yield from _closed(value, root, here, depth + 1, names=key in _NAMES)


def _dangling(reference: Any, root: Mapping[str, Any]) -> str:
    defined = root.get("$defs")
    names = sorted(defined) if isinstance(defined, dict) else []
    found = _DEFINED.fullmatch(reference) if isinstance(reference, str) else None
    if found is not None and found[1] in names:
        return ""
    if isinstance(reference, str) and not reference.startswith("#"):
        return f"{reference!r} leads out of this file, and nothing is fetched: write it under `$defs`"
    has = ", ".join(f"#/$defs/{name}" for name in names) or "none"
    return f"{reference!r} is not in this schema; it has {has}"


def _short(text: str) -> str:
    return text if len(text) <= WHY_CHARS_MAX else text[: WHY_CHARS_MAX - 1] + "…"
