"""Values that every stage shares: instants, durations, ids, labels, and the one canonical encoding.

Conventions, in the whole project:

- An *instant* is an aware `datetime` in UTC; names end in `_at`.
- A *duration* is an `int` of milliseconds; names end in `_ms`. No floats in anything that is hashed;
  ratios are integers in parts per million (`_ppm`).
- Nouns are `class X(Struct, frozen=True, kw_only=True)`. Fields are added at the end, with a default.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

Labels = dict[str, str]
Instant = datetime

INTEGER_MAX: Final = 2**53  # beyond it a JSON reader may round; nothing hashed may hold more

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Severity(StrEnum):
    """How bad, in the words of the field. Ordered by `SEVERITY_ORDER`, worst first."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    WARNING = "warning"
    INFO = "info"


SEVERITY_ORDER: Final = tuple(Severity)

_SEVERITY_WORDS: Final[dict[str, Severity]] = {
    **{severity.value: severity for severity in Severity},
    "page": Severity.CRITICAL,
    "fatal": Severity.CRITICAL,
    "emergency": Severity.CRITICAL,
    "disaster": Severity.CRITICAL,
    "p1": Severity.CRITICAL,
    "high": Severity.MAJOR,
    "error": Severity.MAJOR,
    "p2": Severity.MAJOR,
    "average": Severity.MINOR,
    "medium": Severity.MINOR,
    "p3": Severity.MINOR,
    "warn": Severity.WARNING,
    "low": Severity.WARNING,
    "p4": Severity.WARNING,
    "none": Severity.INFO,
    "information": Severity.INFO,
    "informational": Severity.INFO,
    "p5": Severity.INFO,
}


def severity_of(labels: Mapping[str, str]) -> Severity:
    """The severity a label set states; `warning` when it states none or a word nobody knows."""
    return _SEVERITY_WORDS.get(labels.get("severity", "").strip().lower(), Severity.WARNING)


class Window(Struct, frozen=True, kw_only=True):
    """A span of time, `from_at` included, `until_at` excluded. Open-ended when `until_at` is None."""

    from_at: Instant
    until_at: Instant | None = None

    def holds(self, at: Instant) -> bool:
        return self.from_at <= at and (self.until_at is None or at < self.until_at)


def instant(text: str) -> Instant:
    """RFC 3339 text with a zone, to aware UTC. Raises ValueError for anything else, a naive time included."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError(f"{text!r} has no time zone; write for example 2026-03-01T10:00:00Z")
        return found.astimezone(UTC)
    except OverflowError as beyond:  # an offset that leads before the first year, or after the last
        raise ValueError(f"{text!r} lies outside the calendar; write for example 2026-03-01T10:00:00Z") from beyond
    except ValueError as wrong:
        if "write for example" in str(wrong):
            raise
        raise ValueError(f"{text!r} is not an instant; write for example 2026-03-01T10:00:00Z") from wrong


def rfc3339(at: Instant) -> str:
    """RFC 3339 in UTC with microseconds and a `Z`: the only spelling that is ever hashed."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return f"{utc.isoformat(timespec='microseconds')[:-6]}Z"


def ms_between(earlier: Instant, later: Instant) -> int:
    """Whole milliseconds from `earlier` to `later`; negative when they are the other way round."""
    return (later - earlier) // _MILLISECOND


def after_ms(at: Instant, duration_ms: int) -> Instant:
    return at + timedelta(milliseconds=duration_ms)


_MILLISECOND: Final = timedelta(milliseconds=1)
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")
_UNIT_MS: Final = (86_400_000, 3_600_000, 60_000, 1_000, 1)
DURATION_MAX_MS: Final = 3_660 * 86_400_000  # ten years: beyond it somebody mistyped


def duration_ms(text: str) -> int:
    """`500ms`, `30s`, `5m`, `1h30m`, `7d` to milliseconds. Raises ValueError with an example."""
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r} is not a duration; write for example 500ms, 30s, 5m, 1h30m or 7d")
    total = sum(int(count) * unit for count, unit in zip(found.groups(), _UNIT_MS, strict=True) if count)
    if total > DURATION_MAX_MS:
        raise ValueError(f"{text!r} is longer than ten years")
    return total


def duration_text(duration_ms: int) -> str:
    """Milliseconds to the shortest exact spelling that `duration_ms` reads back; `0s` for zero."""
    rest, words = duration_ms, ""
    for unit, name in zip(_UNIT_MS, ("d", "h", "m", "s", "ms"), strict=True):
        count, rest = divmod(rest, unit)
        if count:
            words += f"{count}{name}"
    return words or "0s"


def id_new(prefix: str, at: Instant, entropy: bytes) -> str:
    """`<prefix>_<uuidv7>`: sorts by time. `entropy` is ten bytes: the shell's dice, or a digest.

    Source: RFC 9562 section 5.7.
    """
    time = f"{(at - EPOCH) // _MILLISECOND:012x}"
    dice = entropy.hex()
    return f"{prefix}_{time[:8]}-{time[8:]}-7{dice[1:4]}-{_VARIANT[dice[4]]}{dice[5:8]}-{dice[8:20]}"


_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def id_from(prefix: str, at: Instant, *parts: str) -> str:
    """An id that is a function of what it names, so that working something out twice names it once."""
    return id_new(prefix, at, hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest())


def id_time(identity: str) -> Instant | None:
    """When the thing that an id names began, to the millisecond; None for an id that says nothing of time."""
    found = _UUID7.fullmatch(identity.rpartition("_")[2])
    return after_ms(EPOCH, int(found[1] + found[2], 16)) if found is not None else None


_UUID7: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def id_short(identity: str) -> str:
    """`run_…c3f8e1`: how an id is shown to people."""
    prefix, _, rest = identity.partition("_")
    return f"{prefix}_…{rest[-6:]}" if rest else identity


# -- the one encoding ------------------------------------------------------------------------------


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical form")


_canonical: Final = msgspec.json.Encoder(order="sorted", enc_hook=_plain)


def canonical(value: Any) -> bytes:
    """The bytes that are hashed and signed: JSON, keys sorted, no spaces, no floats.

    For strings, integers within 2^53, booleans, null, lists and maps with ASCII keys these are the bytes
    of RFC 8785 (a property test holds it to that). Raises TypeError for a value with no such form.
    """
    return _canonical.encode(value)


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes, as lower-case hex."""
    return hashlib.sha256(canonical(value)).hexdigest()
