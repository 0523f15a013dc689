"""Words that guards share: names in a row, instants, parts per million."""

from collections.abc import Sequence

from watchkeeper.values import Instant

NAMES_SHOWN_MAX = 3
TEXT_SHOWN_MAX = 200


def names_of(names: Sequence[str], conjunction: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`, `a, b, c and 4 more`; "none" when empty."""
    if not names:
        return "none"
    shown = list(names[:NAMES_SHOWN_MAX])
    more = len(names) - len(shown)
    if more:
        shown.append(f"{more} more")
        conjunction = "and"
    if len(shown) == 1:
        return shown[0]
    return f"{', '.join(shown[:-1])} {conjunction} {shown[-1]}"


def count_of(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def clipped(text: str) -> str:
    """A person's or a sender's text inside a sentence: one line, no full stop at the end, bounded."""
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= TEXT_SHOWN_MAX else line[: TEXT_SHOWN_MAX - 1] + "…"


def when(at: Instant, now: Instant) -> str:
    """`03:20 UTC` on the same day, otherwise `4 Mar 2026, 03:20 UTC`."""
    if at.date() == now.date():
        return f"{at:%H:%M} UTC"
    return f"{day(at)}, {at:%H:%M} UTC"


def day(at: Instant) -> str:
    return f"{at.day} {at:%b %Y}"


def percent(ppm: int) -> str:
    """Parts per million as `61 %`, `99.95 %`: exact, without a tail of zeros."""
    sign, ppm = ("-", -ppm) if ppm < 0 else ("", ppm)
    whole, rest = divmod(ppm, 10_000)
    tail = f"{rest:04d}".rstrip("0")
    return f"{sign}{whole}.{tail} %" if tail else f"{sign}{whole} %"
