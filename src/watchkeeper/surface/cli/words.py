"""Words on a terminal: times, ids, verdicts, tables. Shape and word first, colour last.

What came from outside is written so that it cannot move the cursor or turn the line around.
"""

import re
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchkeeper.surface.cli.place import here
from watchkeeper.values import duration_text, id_short

LEAST: Final = 12  # columns that a clipped cell keeps
GAP: Final = "  "
GLUE: Final = "\u2060"  # keeps the words of a command on one line while a sentence is folded
_ID: Final = re.compile(r"\b[a-z]{3}_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_MOVES: Final = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
_LOOSE: Final = re.compile(
    "\x1b(?!\\[[0-9;]*m)|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
_BEYOND: Final = re.compile("[^\x00-\x7e]")
_COMMAND: Final = re.compile(r"\bwk(?: [^\s]+){1,3}")

_STYLES: Final = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "inverse": "7",
}
# word -> shape, the same in ASCII, style. Amber means a person, blue the machine's hand, red broken now.
_MARKS: Final[dict[str, tuple[str, str, str]]] = {
    "act": ("▶", ">", "blue"),
    "ask": ("◆", "?", "yellow"),
    "suggest": ("◇", "*", "blue"),
    "observe": ("○", "o", "dim"),
    "hold": ("‖", "=", "bold"),
    "refuse": ("■", "#", "inverse"),
    "pass": ("✓", "+", "green"),
    "running": ("▶", ">", "blue"),
    "queued": ("○", "o", ""),
    "waiting": ("◆", "?", "yellow"),
    "paused": ("‖", "=", "bold"),
    "in_doubt": ("◆", "?", "yellow"),
    "succeeded": ("✓", "+", "green"),
    "undone": ("↺", "<", "yellow"),
    "failed": ("✗", "x", "red"),
    "undo_failed": ("✗", "x", "red"),
    "stopped": ("■", "#", "red"),
    "firing": ("✗", "x", "red"),
    "resolved": ("✓", "+", "green"),
    "healthy": ("✓", "+", "green"),
    "unhealthy": ("✗", "x", "red"),
    "degraded": ("△", "!", "yellow"),
    "failing": ("✗", "x", "red"),
    "pending": ("◆", "?", "yellow"),
    "approved": ("✓", "+", "green"),
    "rejected": ("✗", "x", ""),
    "done": ("✓", "+", "green"),
    "proven": ("✓", "+", "green"),
    "declared": ("◇", "*", "yellow"),
    "uncovered": ("✗", "x", "red"),
    "all": ("✓", "+", "green"),
    "some": ("△", "!", "yellow"),
    "none": ("—", "-", ""),
    "expired": ("✗", "x", "red"),
    "review_due": ("◆", "?", "yellow"),
    "critical": ("✗", "x", "red"),
    "true": ("✓", "+", ""),
    "false": ("✗", "x", "bold"),
    "unknown": ("?", "?", "yellow"),
    "broken": ("✗", "x", "red"),
}
_ASCII: Final = str.maketrans({"…": "~", "·": "-", "─": "-", "—": "-", "→": ">", "✓": "+", "✗": "x", "−": "-"})


# -- one value -----------------------------------------------------------------------------------------


def safe(text: object) -> str:
    """Text from outside on one line: control and direction characters drawn as visible marks."""
    if text is None:
        return ""
    return "".join(char if char.isprintable() or char == "\u00ad" else _drawn(char) for char in str(text))


def brief(text: object) -> str:
    """A sentence from the record for a listing: safe, and its ids as people are shown them."""
    return _ID.sub(lambda found: id_short(found[0]), safe(text))


def _drawn(char: str) -> str:
    code = ord(char)
    if char in "\n\r\t":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    return f"<U+{code:04X}>"


def short(identity: object) -> str:
    return safe(id_short(str(identity))) if identity else ""


def style(text: str, *names: str) -> str:
    codes = ";".join(_STYLES[name] for name in names if name)
    return f"\x1b[{codes}m{text}\x1b[0m" if codes and here().colour else text


def mark(word: object) -> str:
    """A word of ours with its shape: `▶ act`."""
    text = str(word or "")
    if text not in _MARKS:
        return safe(text)
    shape, letter, _ = _MARKS[text]
    return f"{letter if here().plain else shape} {text.replace('_', ' ')}"


def _style_of(word: object) -> str:
    return _MARKS.get(str(word or ""), ("", "", ""))[2]


def coloured(word: object) -> str:
    return style(mark(word), _style_of(word))


def at(text: object) -> str:
    """A stored instant in the reader's zone (`--utc`: in UTC): the time today, the day too otherwise."""
    found = moment(text)
    if found is None:
        return ""
    zone = UTC if here().utc else None
    local, now = found.astimezone(zone), datetime.now(UTC).astimezone(zone)
    mark_utc = "Z" if here().utc else ""
    if local.date() == now.date():
        return f"{local:%H:%M:%S}{mark_utc}"
    day = f"{local.day} {local:%b}" if local.year == now.year else f"{local:%Y-%m-%d}"
    return f"{day} {local:%H:%M}{mark_utc}"


def moment(text: object) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def span(milliseconds: int) -> str:
    """`49 s`, `4 min`, `2 h 52 min`: a length of time as it is said."""
    seconds = max(0, milliseconds) // 1000
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours = seconds // 60, seconds // 3600
    if hours < 1:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{hours // 24} d"


def ago(text: object) -> str:
    found = moment(text)
    if found is None:
        return ""
    return f"{span(int((datetime.now(UTC) - found).total_seconds() * 1000))} ago"


def left(text: object) -> str:
    """How long until an instant; `over` when it has passed."""
    found = moment(text)
    if found is None:
        return ""
    remaining_ms = int((found - datetime.now(UTC)).total_seconds() * 1000)
    return f"in {span(remaining_ms)}" if remaining_ms > 0 else "over"


def count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def bare(reference: object) -> str:
    """`resource:default/web-1` as people say it."""
    return safe(str(reference or "").rpartition("/")[2] or str(reference or ""))


def size(number: int) -> str:
    value, unit = float(number), "bytes"
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{int(value)} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def lasts(milliseconds: object) -> str:
    return duration_text(int(milliseconds)) if isinstance(milliseconds, int) else ""


def scope(found: object) -> str:
    """A scope as people read it; an empty one is everything."""
    if not isinstance(found, Mapping):
        return safe(found)
    parts = [f"{name} {bare(value) if ':' in str(value) else safe(value)}" for name, value in found.items() if value]
    return ", ".join(parts) or "everything"


# -- printing ------------------------------------------------------------------------------------------


def say(text: str = "") -> None:
    """A line on stdout."""
    print(_still(text))


def tell(text: str) -> None:
    """A line beside the answer, on stderr."""
    print(_still(text), file=sys.stderr)


def _still(text: str) -> str:
    """What is printed moves no cursor, whoever wrote it and whether or not it was made `safe`: colours are all that passes."""
    text = _LOOSE.sub(lambda found: _drawn(found[0]), text)
    return text.translate(_ASCII) if here().plain else text


def wrapped(text: str, indent: str = "", *, first: str | None = None) -> None:
    """A sentence, folded to the terminal's width."""
    lead = indent if first is None else first
    if not here().width:
        say(f"{lead}{text}")
        return
    lines = textwrap.wrap(
        _COMMAND.sub(lambda found: found[0].replace(" ", GLUE), text),
        here().width,
        initial_indent=lead,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines or [lead]:
        say(line.replace(GLUE, " "))


def as_json(value: Any) -> None:
    """The same values, spelt so that a terminal shows them: what would move its cursor or turn the line around is an escape,
    and where there is no UTF-8, everything beyond ASCII.
    """
    text = msgspec.json.format(msgspec.json.encode(value)).decode()
    hidden = _BEYOND if here().plain else _MOVES
    sys.stdout.write(hidden.sub(lambda found: _spelt(found[0]), text) + "\n")


def _spelt(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))


class Column(Struct, frozen=True, kw_only=True):
    """`flex`: gives way first when the terminal is narrow. `spare`: left out when there is no room for all. `right`: numbers. `style`: the cell's own word picks it."""

    name: str
    flex: bool = False
    right: bool = False
    styled: bool = False
    spare: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """A table without lines. A cell that holds one of our words is drawn with its shape. Columns empty in every row
    are left out.
    """
    kept_rows = [list(row) for row in rows]
    drawn = [
        [mark(cell) if column.styled else brief(cell) for column, cell in zip(columns, row, strict=True)]
        for row in kept_rows
    ]
    kept = [place for place in range(len(columns)) if not drawn or any(row[place] for row in drawn)]
    widths = {place: max([wide(columns[place].name), *(wide(row[place]) for row in drawn)]) for place in kept}
    kept = _narrow(columns, widths)
    say(style(_line([_cell(columns[place].name, widths[place], columns[place].right) for place in kept]), "dim"))
    for source, row in zip(kept_rows, drawn, strict=True):
        cells = []
        for place in kept:
            text = _cell(row[place], widths[place], columns[place].right)
            cells.append(style(text, _style_of(source[place])) if columns[place].styled else text)
        say(_line(cells))


def pairs(found: Iterable[tuple[str, object]]) -> None:
    """Facts under each other; those that are empty are left out."""
    rows = [(name, brief(value)) for name, value in found if value not in (None, "", [], {}, ())]
    most = max((wide(name) for name, _ in rows), default=0)
    for name, value in rows:
        wrapped(value, " " * (most + 2), first=f"{name}{' ' * (most - wide(name))}  ")


def wide(text: str) -> int:
    """Columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def clipped(text: str, width: int) -> str:
    if wide(text) <= width:
        return text
    kept, used = [], 0
    for char in text:
        used += wide(char)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def _cell(text: str, width: int, right: bool) -> str:
    shown = clipped(text, width)
    space = " " * (width - wide(shown))
    return f"{space}{shown}" if right else f"{shown}{space}"


def _line(cells: Sequence[str]) -> str:
    return GAP.join(cells).rstrip()


def _narrow(columns: Sequence[Column], widths: dict[int, int]) -> list[int]:
    """The columns that are shown. What is too much is taken from spare columns, last first, then from flexible ones."""
    room = here().width
    if not room:
        return list(widths)
    for place in reversed([place for place in widths if columns[place].spare]):
        if _least(columns, widths) <= room:
            break
        del widths[place]
    over = sum(widths.values()) + len(GAP) * (len(widths) - 1) - room
    while over > 0:
        able = [place for place in widths if widths[place] > _least_of(columns[place], widths[place])]
        if not able:
            break
        widths[max(able, key=lambda place: widths[place])] -= 1
        over -= 1
    return list(widths)


def _least(columns: Sequence[Column], widths: Mapping[int, int]) -> int:
    """The narrowest a table can be without losing what stands in a cell that is never clipped."""
    return sum(_least_of(columns[place], width) for place, width in widths.items()) + len(GAP) * (len(widths) - 1)


def _least_of(column: Column, width: int) -> int:
    return min(width, max(LEAST, wide(column.name))) if column.flex else width
