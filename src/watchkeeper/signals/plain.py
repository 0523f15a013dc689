"""Plain JSON values to the texts and instants that a signal holds."""

from datetime import UTC, datetime
from typing import Any, Final

from watchkeeper.errors import Malformed
from watchkeeper.values import Instant, Labels, instant

# Above this a number of seconds would lie beyond the year 2286: such a number counts milliseconds.
_SECONDS_MAX: Final = 10_000_000_000


def label_text(value: Any) -> str | None:
    """The text of a label: texts as they are, numbers in JSON's spelling, true and false; None for anything else."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return None


def labels_from(value: Any, path: str) -> Labels:
    """An object of plain values as labels; {} for none. Raises Malformed with the path of a value that is not plain."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(path, "is no object of names and texts")
    found: Labels = {}
    for name, inner in value.items():
        text = "" if inner is None else label_text(inner)
        if text is None:
            raise Malformed(f"{path}.{name}", "is neither text, number nor boolean")
        found[name] = text
    return found


def instant_from(value: Any, path: str) -> Instant:
    """RFC 3339 with a zone, or a Unix time in seconds or milliseconds. Raises Malformed for anything else."""
    try:
        if isinstance(value, str) and not value.isdecimal():
            return instant(value)
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            seconds = float(value)
            if abs(seconds) >= _SECONDS_MAX:
                seconds /= 1000
            return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as wrong:
        raise Malformed(path, f"is no time: {wrong}") from wrong
    raise Malformed(path, "is no time; expected RFC 3339 text or a Unix time")
