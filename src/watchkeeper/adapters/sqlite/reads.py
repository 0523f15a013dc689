"""What is read: functions of a connection that only reads, each one statement and all of its rows."""

# ruff: noqa: S608  names of tables and columns come from KINDS, values are bound

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchkeeper.adapters.judge import FOREVER_US
from watchkeeper.adapters.listing import PAGE_BYTES_MAX, cut
from watchkeeper.adapters.sqlite.contents import opened
from watchkeeper.adapters.sqlite.schema import column, table
from watchkeeper.ledger.entry import ranges
from watchkeeper.ledger.entry import read as read_entry
from watchkeeper.ports import KINDS, ClaimRow, EntryRow, Page, Row, Size
from watchkeeper.signals.signal import Delivery
from watchkeeper.values import EPOCH, Instant, id_time

Where = Mapping[str, str | Sequence[str]]
Binding = str | int

PENDING_MAX: Final = 10_000

_DELIVERY: Final = "id, source, format, received_us, headers, body, sha256, priority, name"
_ENTRY: Final = (
    "SELECT e.place, e.body, coalesce(k.hash, x''), e.sealed, e.erased, d.key FROM entry e "
    "LEFT JOIN kept_hash k ON k.level = 0 AND k.place = e.place LEFT JOIN day_key d ON d.number = e.day_key "
)

_USED: Final = (
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
_SIZES: Final = {
    "journal": "SELECT count(*), coalesce(sum(length(body)), 0), NULL FROM journal",
    "delivery": (
        "SELECT count(*), coalesce(sum(length(body)), 0), "
        "(SELECT received_us FROM delivery ORDER BY position LIMIT 1) FROM delivery"
    ),
    "entry": "SELECT count(*), coalesce(sum(length(body)), 0), (SELECT at_us FROM entry ORDER BY place LIMIT 1) FROM entry",
    "content": (
        "SELECT count(sealed), coalesce(sum(length(sealed)), 0), "
        "(SELECT at_us FROM entry WHERE sealed IS NOT NULL ORDER BY place LIMIT 1) FROM entry"
    ),
}


def get(connection: apsw.Connection, kind: str, identity: str) -> Row | None:
    sql = f"SELECT id, revision, position, body FROM {table(kind)} WHERE id = ?"
    found = connection.execute(sql, (identity,)).fetchall()
    return _row(found[0]) if found else None


def find(
    connection: apsw.Connection, kind: str, where: Where, *, after: int | None, limit: int, oldest_first: bool
) -> Page:
    """`after` is the position of the last row of the page before."""
    clauses, bindings = _clauses(where)
    if after is not None:
        clauses.append("position > ?" if oldest_first else "position < ?")
        bindings.append(after)
    sql = (
        f"SELECT id, revision, position, body FROM {table(kind)}{_where(clauses)} "
        f"ORDER BY position {'ASC' if oldest_first else 'DESC'} LIMIT ?"
    )
    rows: list[Row] = []
    size = 0
    for found in connection.execute(sql, (*bindings, limit + 1)):
        rows.append(_row(found))
        size += len(rows[-1].body)
        if size > PAGE_BYTES_MAX:
            break
    return cut(rows, limit)


def count(connection: apsw.Connection, kind: str, where: Where, since: int | None = None) -> int:
    """Of several keys each one's index is read by itself: to look a key up in its row reads past the whole document. A key
    that is to be absent is in no index, and is looked up.
    """
    absent = {
        key: value for key, value in where.items() if not value or (not isinstance(value, str) and not all(value))
    }
    present = [{key: value} for key, value in where.items() if key not in absent] or [{}]
    parts: list[str] = []
    every: list[Binding] = []
    for keys in ({**present[0], **absent}, *present[1:]):
        clauses, bindings = _clauses(keys)
        if since is not None:
            clauses.append("position > ?")
            bindings.append(since)
        parts.append(f"SELECT position FROM {table(kind)}{_where(clauses)}")
        every += bindings
    found: int = connection.execute(f"SELECT count(*) FROM ({' INTERSECT '.join(parts)})", every).get
    return found


def journal(connection: apsw.Connection, run: str) -> tuple[bytes, ...]:
    return tuple(
        body for (body,) in connection.execute("SELECT body FROM journal WHERE run = ? ORDER BY number", (run,))
    )


def claims(connection: apsw.Connection, at_us: int, prefix: str) -> tuple[ClaimRow, ...]:
    sql = (
        "SELECT key, run, units, until_us FROM claim WHERE until_us > ?1 AND key >= ?2 "
        "AND substr(CAST(key AS BLOB), 1, ?4) = ?3 ORDER BY position"
    )
    start = prefix.encode()  # as bytes: SQLite counts the characters of a text up to a NUL only
    return tuple(
        ClaimRow(key=key, run=run, units=units, until_at=None if until_us == FOREVER_US else instant_of(until_us))
        for key, run, units, until_us in connection.execute(sql, (at_us, prefix, start, len(start)))
    )


def deliveries(connection: apsw.Connection, limit: int) -> tuple[Delivery, ...]:
    """Fewer than `limit` when their bodies are large; at least one when any waits."""
    sql = f"SELECT {_DELIVERY} FROM delivery WHERE taken = 0 ORDER BY priority, position LIMIT ?"
    found: list[Delivery] = []
    size = 0
    for row in connection.execute(sql, (limit,)):
        found.append(_delivery(row))
        size += len(found[-1].body)
        if size > PAGE_BYTES_MAX:
            break
    return tuple(found)


def deliveries_waiting(connection: apsw.Connection) -> int:
    found: int = connection.execute("SELECT count(*) FROM delivery WHERE taken = 0").get
    return found


def longest_waiting(connection: apsw.Connection, limit: int) -> tuple[Delivery, ...]:
    """One look into the index for each priority: the pending ones are many, their priorities few."""
    places: list[int] = []
    priority = -1
    while True:
        sql = "SELECT min(priority) FROM delivery WHERE taken = 0 AND priority > ?"
        priority = connection.execute(sql, (priority,)).get
        if priority is None:
            break
        sql = "SELECT position FROM delivery WHERE taken = 0 AND priority = ? ORDER BY position LIMIT ?"
        places.extend(place for (place,) in connection.execute(sql, (priority, limit)))
    found: list[Delivery] = []
    for place in sorted(places)[:limit]:
        row = connection.execute(f"SELECT {_DELIVERY} FROM delivery WHERE position = ?", (place,)).fetchall()
        found.extend(_delivery(each) for each in row)
    return tuple(found)


def delivery(connection: apsw.Connection, identity: str) -> Delivery | None:
    found = connection.execute(f"SELECT {_DELIVERY} FROM delivery WHERE id = ?", (identity,)).fetchall()
    return _delivery(found[0]) if found else None


def pending_entries(connection: apsw.Connection) -> tuple[tuple[Instant, bytes], ...]:
    sql = "SELECT at_us, body FROM entry WHERE place >= (SELECT size FROM tree) ORDER BY place LIMIT ?"
    return tuple((instant_of(at_us), body) for at_us, body in connection.execute(sql, (PENDING_MAX,)))


def entries(connection: apsw.Connection, first: int, limit: int) -> tuple[EntryRow, ...]:
    """Fewer than `limit` when their contents are large; at least one when there is any."""
    sql = f"{_ENTRY} WHERE e.place >= ? AND e.place < (SELECT size FROM tree) ORDER BY e.place LIMIT ?"
    return _entries(connection.execute(sql, (first, limit)))


def entries_of(connection: apsw.Connection, name: str, identity: str, limit: int) -> tuple[EntryRow, ...]:
    sql = (
        f"{_ENTRY} JOIN entry_id i ON i.place = e.place WHERE i.name = ? AND i.identity = ? "
        "AND i.place < (SELECT size FROM tree) ORDER BY i.place LIMIT ?"
    )
    return _entries(connection.execute(sql, (name, identity, limit)))


def kept_hashes(connection: apsw.Connection, level: int, first: int, count: int) -> tuple[bytes, ...]:
    sql = "SELECT hash FROM kept_hash WHERE level = ? AND place >= ? AND place < ? ORDER BY place"
    return tuple(hash_ for (hash_,) in connection.execute(sql, (level, first, first + count)))


def entries_on(connection: apsw.Connection, day: str) -> tuple[tuple[int, int], ...]:
    """Integrated entries whose content is under a key of that day, as inclusive ranges."""
    sql = (
        "SELECT e.place FROM day_key d CROSS JOIN entry e ON e.day_key = d.number WHERE d.day = ? AND d.day <> 'orders' "
        "AND e.sealed IS NOT NULL AND e.place < (SELECT size FROM tree)"
    )
    return tuple(ranges(place for (place,) in connection.execute(sql, (day,))))


def size_bytes(connection: apsw.Connection, path: Path) -> int:
    """The file and its log."""
    pages: int = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").get
    log = Path(f"{path}-wal")
    return pages + (log.stat().st_size if log.exists() else 0)


def used_bytes(connection: apsw.Connection) -> int:
    found: int = connection.execute(_USED).get
    return found


def old_deliveries(connection: apsw.Connection, before_us: int, limit: int, after: str = "") -> tuple[Delivery, ...]:
    sql = (
        f"SELECT {_DELIVERY} FROM delivery WHERE taken = 1 AND received_us < ?1 "
        "AND position > coalesce((SELECT position FROM delivery WHERE id = ?3), 0) ORDER BY position LIMIT ?2"
    )
    return tuple(_delivery(row) for row in connection.execute(sql, (before_us, limit, after)))


def sizes(connection: apsw.Connection) -> tuple[Size, ...]:
    """Length of the bodies alone: what the pages and indexes around them take is in `used_bytes`."""
    found: list[Size] = []
    for kind in KINDS:
        name = table(kind)
        sql = f"SELECT count(*), coalesce(sum(length(body)), 0), (SELECT id FROM {name} ORDER BY position LIMIT 1) FROM {name}"
        counted: Any = connection.execute(sql).fetchall()[0]
        rows, size, first = counted
        found.append(Size(kind=kind, rows=rows, bytes=size, oldest_at=id_time(first or "")))
    for kind, sql in _SIZES.items():
        counted = connection.execute(sql).fetchall()[0]
        rows, size, first_us = counted
        found.append(
            Size(kind=kind, rows=rows, bytes=size, oldest_at=None if first_us is None else instant_of(first_us))
        )
    return tuple(each for each in found if each.rows)


def instant_of(micros: int) -> Instant:
    return EPOCH + timedelta(microseconds=micros)


def _clauses(where: Where) -> tuple[list[str], list[Binding]]:
    clauses: list[str] = []
    bindings: list[Binding] = []
    for key, wanted in where.items():
        values = [wanted] if isinstance(wanted, str) else list(wanted)
        field = column(key)
        if len(values) == 1:
            clauses.append(f"{field} = ?")
        else:
            clauses.append(f"{field} IN ({', '.join('?' * len(values))})")
        bindings.extend(values)
        if values and all(values):
            clauses.append(f"{field} <> ''")  # tells the planner that the partial index has them all
    return clauses, bindings


def _where(clauses: list[str]) -> str:
    return f" WHERE {' AND '.join(clauses)}" if clauses else ""


def _row(found: Any) -> Row:
    identity, revision, position, body = found
    return Row(id=identity, revision=revision, position=position, body=body)


_headers: Final = msgspec.json.Decoder(dict[str, str]).decode


def _delivery(found: Any) -> Delivery:
    identity, source, format_, received_us, headers, body, sha256, priority, name = found
    return Delivery(
        id=identity,
        source=source,
        format=format_,
        received_at=instant_of(received_us),
        headers=_headers(headers),
        body=body,
        sha256=sha256,
        priority=priority,
        name=name,
    )


def _entries(found: Any) -> tuple[EntryRow, ...]:
    rows: list[EntryRow] = []
    size = 0
    keys: dict[bytes, AESGCM] = {}
    for place, body, leaf, sealed, erased, key in found:
        content = None
        if sealed is not None and key is not None:
            opener = keys.get(key) or keys.setdefault(key, AESGCM(key))
            content = opened(opener, sealed, read_entry(body).digest)
        rows.append(
            EntryRow(
                index=place,
                body=body,
                leaf=leaf,
                content=content.body if content else None,
                salt=content.salt if content else None,
                erased=bool(erased),
                order=erased,
            )
        )
        size += len(body) + len(sealed or b"")
        if size > PAGE_BYTES_MAX:
            break
    return tuple(rows)
