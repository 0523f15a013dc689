"""Many rows for one statement: their short columns as JSON, their bodies end to end in one blob.

The statement reads `value->>n` for the columns, and `substr(?2, from, count)` for each body, counted from 1.
"""

# ruff: noqa: S608  names of tables and columns come from KINDS, values are bound

from functools import cache
from typing import Final

import msgspec

from watchkeeper.adapters.sqlite.schema import column, table
from watchkeeper.ports import KINDS

_encode: Final = msgspec.json.Encoder().encode


class Rows:
    __slots__ = ("_bodies", "_end", "_rows")

    def __init__(self) -> None:
        self._rows: list[tuple[str | int, ...]] = []
        self._bodies: list[bytes] = []
        self._end = 1

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, columns: tuple[str | int, ...], *bodies: bytes) -> None:
        """The row's JSON is its columns, then (from, count) for each body."""
        for body in bodies:
            columns = (*columns, self._end, len(body))
            self._bodies.append(body)
            self._end += len(body)
        self._rows.append(columns)

    def bound(self) -> tuple[str, bytes]:
        # One byte more than the bodies have: SQLite's substr of an empty blob is NULL, of any other it is empty.
        return _encode(self._rows).decode(), b"".join((*self._bodies, b"\0"))


@cache
def put_sql(kind: str) -> str:
    """Write documents of a kind. A row: position, id, revisions to add, its keys in order, its body."""
    keys = KINDS[kind]
    names = "".join(f", {column(key)}" for key in keys)
    values = "".join(f", value->>{3 + at}" for at in range(len(keys)))
    body = 3 + len(keys)
    updates = "".join(f", {column(key)} = excluded.{column(key)}" for key in keys)
    return (
        f"INSERT INTO {table(kind)} (position, id, revision{names}, body) "
        f"SELECT value->>0, value->>1, value->>2{values}, substr(?2, value->>{body}, value->>{body + 1}) "
        f"FROM jsonb_each(?1) WHERE true "
        f"ON CONFLICT (id) DO UPDATE SET revision = revision + excluded.revision, body = excluded.body{updates}"
    )
