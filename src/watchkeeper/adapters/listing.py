"""How every store lists: cursors, bounds, and what may be asked for."""

from collections.abc import Mapping, Sequence
from typing import Final

from watchkeeper.errors import Malformed, Rejected
from watchkeeper.ports import KINDS, LIST_LIMIT_MAX, Page, Row
from watchkeeper.values import INTEGER_MAX

PAGE_BYTES_MAX: Final = 32 * 1024 * 1024  # a page ends after the row that passes it, and names the next one
VALUES_MAX: Final = 1_000  # alternatives for one key


def checked(kind: str, where: Mapping[str, str | Sequence[str]] | None) -> Mapping[str, str | Sequence[str]]:
    """Raises Rejected for a kind or key that no document has."""
    known = KINDS.get(kind)
    if known is None:
        raise Rejected(f"{kind!r} is not a kind of document")
    for key, wanted in (where or {}).items():
        if key not in known:
            raise Rejected(f"{kind} is not listed by {key!r}, only by {', '.join(known) or 'nothing'}")
        if not isinstance(wanted, str) and len(wanted) > VALUES_MAX:
            raise Rejected(f"{kind}.{key}: {len(wanted)} alternatives, at most {VALUES_MAX}")
    return where or {}


def bounded(limit: int, most: int = LIST_LIMIT_MAX) -> int:
    if not 1 <= limit <= most:
        raise Rejected(f"limit {limit}: a page has 1 to {most} rows")
    return limit


def position(cursor: str | None) -> int | None:
    """The place a cursor stands for. Raises Malformed for text that is no cursor of ours."""
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 16 or int(cursor) > INTEGER_MAX:
        raise Malformed("after", f"{cursor[:40]!a} is not a cursor: give the 'next' of the page before")
    return int(cursor)


def cut(rows: Sequence[Row], limit: int) -> Page:
    """A page out of at most `limit` + 1 rows in order; fewer when their bodies pass PAGE_BYTES_MAX."""
    size = 0
    for at, row in enumerate(rows[:limit], start=1):
        size += len(row.body)
        if size > PAGE_BYTES_MAX or (at == limit and len(rows) > limit):
            return Page(items=tuple(rows[:at]), next=str(row.position))
    return Page(items=tuple(rows))
