"""The sequencer's work and the other jobs of the writer: integrate, erase, prune; and what is known at the start."""

# ruff: noqa: S608  names of tables and columns come from KINDS, values are bound

import json
from collections.abc import Sequence
from typing import Any, Final

import apsw
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from watchkeeper.adapters.judge import FOREVER_US
from watchkeeper.adapters.sqlite.batch import Batch, Known
from watchkeeper.adapters.sqlite.contents import ORDERS
from watchkeeper.adapters.sqlite.rows import Rows
from watchkeeper.errors import Rejected, Untrusted
from watchkeeper.ledger.entry import ranges
from watchkeeper.ledger.tree import Frontier, grow, leaf_hash, unpacked
from watchkeeper.ports import Committed, Forget, Refused

INTEGRATE_MAX: Final = 2_000  # entries in one transaction, so that commits are not kept waiting
ERASE_MAX: Final = 100_000

_KEEP: Final = (
    "INSERT INTO kept_hash (level, place, hash) SELECT value->>0, value->>1, substr(?2, value->>2, value->>3) "
    "FROM jsonb_each(?1)"
)

_JOURNALS: Final = "DELETE FROM journal WHERE run IN (SELECT value FROM json_each(?))"
_DELIVERIES: Final = "DELETE FROM delivery WHERE taken = 1 AND id IN (SELECT value FROM json_each(?))"
_REWRITE: Final = "UPDATE journal SET body = ? WHERE run = ? AND number = ?"


class Start(Struct, frozen=True, kw_only=True):
    """What the writer carries in memory: see `Known`, and the tree with its pending leaf hashes."""

    known: Known
    frontier: Frontier
    pending: tuple[bytes, ...]


def load(connection: apsw.Connection) -> Start:
    size, packed = _one(connection, "SELECT size, frontier FROM tree")
    entries = _one(connection, "SELECT coalesce(max(place) + 1, 0) FROM entry")[0]
    known = Known(
        versions=dict(connection.execute("SELECT key, number FROM version")),
        position=_one(connection, "SELECT number FROM counter WHERE name = 'position'")[0],
        place=max(entries, size),
        key_number=_one(connection, "SELECT coalesce(max(number), 0) FROM day_key")[0],
    )
    for number, day, key in connection.execute("SELECT number, day, key FROM day_key ORDER BY number"):
        known.day_keys[day] = (number, AESGCM(key))
    bodies = [body for (body,) in connection.execute("SELECT body FROM entry WHERE place >= ? ORDER BY place", (size,))]
    if len(bodies) != known.place - size or not all(isinstance(body, bytes) for body in bodies):
        raise Untrusted(f"ledger: of the entries from {size} to {known.place - 1} some are not there: restore a backup")
    return Start(known=known, frontier=unpacked(size, packed), pending=tuple(leaf_hash(bytes(body)) for body in bodies))


def integrate(connection: apsw.Connection, frontier: Frontier, leaves: Sequence[bytes]) -> Frontier:
    """Give the next entries their place under the root. `leaves`: their hashes, in the order of their places."""
    grown, kept = grow(frontier, leaves)
    rows = Rows()
    for hash_ in kept:
        rows.add((hash_.level, hash_.index), hash_.hash)
    connection.execute(_KEEP, rows.bound())
    connection.execute("UPDATE tree SET size = ?, frontier = ?", (grown.size, grown.packed()))
    return grown


def erase(connection: apsw.Connection, order: str, indexes: Sequence[int], size: int) -> tuple[int, tuple[int, ...]]:
    """Contents go, entries stay. Gives how many went, and the numbers of the day keys that went with the last of theirs.

    Raises Rejected for an entry that is not in the tree, and for an order of erasure: it is what proves the others.
    """
    if len(indexes) > ERASE_MAX:
        raise Rejected(f"erase {order}: names {len(indexes)} entries, at most {ERASE_MAX} at once: split it")
    spans = ranges(indexes)
    if spans and (spans[0][0] < 0 or spans[-1][1] >= size):
        raise Rejected(f"erase {order}: entry {spans[-1][1]} is not in the tree of {size} entries")
    connection.execute("PRAGMA secure_delete = ON")
    try:
        wanted = json.dumps(spans)
        within = "FROM jsonb_each(?1) w CROSS JOIN entry e ON e.place BETWEEN w.value->>0 AND w.value->>1"
        kept = connection.execute(
            f"SELECT e.place {within} JOIN day_key d ON d.number = e.day_key WHERE d.day = ?2 LIMIT 1", (wanted, ORDERS)
        ).get
        if kept is not None:
            raise Rejected(f"erase {order}: entry {kept} is itself an order of erasure, which is never erased")
        connection.execute(
            f"UPDATE entry SET sealed = NULL, erased = ?2 WHERE sealed IS NOT NULL AND place IN (SELECT e.place {within})",
            (wanted, order),
        )
        gone = connection.changes()
        spent = (
            "SELECT number FROM day_key d WHERE day <> ?1 AND NOT EXISTS "
            "(SELECT 1 FROM entry e WHERE e.day_key = d.number AND e.sealed IS NOT NULL)"
        )
        rows: Any = connection.execute(spent, (ORDERS,)).fetchall()
        keys = tuple(int(number) for (number,) in rows)
        connection.execute("DELETE FROM day_key WHERE number IN (SELECT value FROM json_each(?))", (json.dumps(keys),))
    finally:
        connection.execute("PRAGMA secure_delete = OFF")
    return gone, keys


def prune(connection: apsw.Connection, before_us: int, *, deliveries: bool = True) -> int:
    """Windows that closed, and deliveries that were taken apart and came, before that moment."""
    connection.execute("DELETE FROM claim WHERE until_us <> ?2 AND until_us <= ?1", (before_us, FOREVER_US))
    gone = connection.changes()
    if not deliveries:
        return gone
    connection.execute("DELETE FROM delivery WHERE taken = 1 AND received_us < ?", (before_us,))
    return gone + connection.changes()


def forget(connection: apsw.Connection, known: Known, wanted: Forget) -> tuple[Batch, Committed | Refused]:
    """Inside the caller's transaction: the commit, and what goes with it. Nothing is written when the commit is refused."""
    batch = Batch(known)
    batch.read(connection, [wanted.commit])
    answer = batch.apply(wanted.commit, ())
    if isinstance(answer, Refused):
        return batch, answer
    if wanted.secure:
        connection.execute("PRAGMA secure_delete = ON")
    try:
        batch.write(connection)
        if wanted.runs:
            connection.execute(_JOURNALS, (json.dumps(wanted.runs),))
        if wanted.deliveries:
            connection.execute(_DELIVERIES, (json.dumps(wanted.deliveries),))
        for event in wanted.rewrites:
            connection.execute(_REWRITE, (event.body, event.run, event.number))
    finally:
        if wanted.secure:
            connection.execute("PRAGMA secure_delete = OFF")
    return batch, answer


def _one(connection: apsw.Connection, sql: str) -> Any:
    return connection.execute(sql).fetchall()[0]
