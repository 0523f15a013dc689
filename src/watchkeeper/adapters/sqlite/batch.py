"""A batch: commits that share one durable write, each judged by itself, all written by a dozen statements.

Every statement lets go of the interpreter and has to get it back, which beside a busy event loop costs up to its
switch interval (5 ms measured a statement). So a batch reads what its checks need at once, judges in memory, and
writes whole tables' rows at once: the number of statements does not grow with the batch.

In: `Waiting` commits and what is `Known`. Out: a `Committed` or `Refused` each, and rows in the transaction.
"""

# ruff: noqa: S608  names of tables and columns come from KINDS, values are bound

import os
from asyncio import Future
from collections.abc import Sequence
from typing import Any, Final

import apsw
import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchkeeper.adapters.judge import FOREVER_US, judge, micros
from watchkeeper.adapters.sqlite.contents import KEY_BYTES, NONCE_BYTES, day_of, seal
from watchkeeper.adapters.sqlite.rows import Rows, put_sql
from watchkeeper.adapters.sqlite.schema import table
from watchkeeper.ledger.entry import Content, Entry
from watchkeeper.ledger.tree import leaf_hash
from watchkeeper.ports import KINDS, Commit, Committed, Put, Refused
from watchkeeper.signals.signal import Delivery

_EVENTS: Final = (
    "SELECT json_group_array(json_array(j.run, j.number)) FROM jsonb_each(?1) w "
    "CROSS JOIN journal j ON j.run = w.value->>0 AND j.number = w.value->>1"
)
_CLAIMED: Final = (
    "SELECT json_group_array(json_array(w.value->>0, w.value->>1, (SELECT coalesce(sum(c.units), 0) FROM claim c "
    "WHERE c.key = w.value->>0 AND c.until_us > w.value->>1))) FROM jsonb_each(?1) w"
)
_HELD: Final = (
    "SELECT json_group_array(json_array(c.run, c.key, c.units)) FROM jsonb_each(?1) w "
    f"CROSS JOIN claim c ON c.run = w.value AND c.until_us = {FOREVER_US}"
)
_JOURNAL: Final = (
    "INSERT INTO journal (position, run, number, body) "
    "SELECT value->>0, value->>1, value->>2, substr(?2, value->>3, value->>4) FROM jsonb_each(?1)"
)
_CLAIM: Final = (
    "INSERT INTO claim (position, key, run, units, until_us) "
    "SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM jsonb_each(?1)"
)
_LIVE: Final = (
    "SELECT json_group_array(json_array(c.run, c.key, c.units)) FROM jsonb_each(?1) w "
    "CROSS JOIN claim c ON c.run = w.value->>0 AND c.until_us > w.value->>1"
)
_VOID: Final = "DELETE FROM claim WHERE run IN (SELECT value FROM jsonb_each(?1))"
_RELEASE: Final = f"DELETE FROM claim WHERE until_us = {FOREVER_US} AND run IN (SELECT value FROM jsonb_each(?1))"
_VERSION: Final = (
    "INSERT INTO version (key, number) SELECT value->>0, value->>1 FROM jsonb_each(?1) WHERE true "
    "ON CONFLICT (key) DO UPDATE SET number = excluded.number"
)
_DAY_KEY: Final = (
    "INSERT INTO day_key (number, day, key) SELECT value->>0, value->>1, unhex(value->>2) FROM jsonb_each(?1)"
)
_ENTRY: Final = (
    "INSERT INTO entry (place, at_us, day_key, body, sealed) SELECT value->>0, value->>1, value->>2, "
    "substr(?2, value->>3, value->>4), substr(?2, value->>5, value->>6) FROM jsonb_each(?1)"
)
_ENTRY_ID: Final = (
    "INSERT INTO entry_id (name, identity, place) SELECT value->>0, value->>1, value->>2 FROM jsonb_each(?1)"
)
_DELIVERY: Final = (
    "INSERT OR IGNORE INTO delivery "
    "(position, id, priority, received_us, source, format, name, sha256, headers, taken, body) "
    "SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, "
    "value->>9, substr(?2, value->>10, value->>11) FROM jsonb_each(?1)"
)
_TAKEN: Final = "UPDATE delivery SET taken = 1 WHERE id IN (SELECT value FROM jsonb_each(?1))"
_POSITION: Final = "UPDATE counter SET number = ?1 WHERE name = 'position'"

NONCES_DRAWN: Final = 32

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class Waiting:
    """A commit on its way to the disk, and who waits for it. `leaves`: its entries' bytes. `size`: to bound memory."""

    __slots__ = ("commit", "future", "leaves", "size")

    def __init__(
        self, commit: Commit, leaves: tuple[bytes, ...], size: int, future: "Future[Committed | Refused]"
    ) -> None:
        self.commit = commit
        self.leaves = leaves
        self.size = size
        self.future = future


class Known:
    """What the one writer need not look up, because nobody else can change it."""

    __slots__ = ("day_keys", "key_number", "place", "position", "versions")

    def __init__(self, *, versions: dict[str, int], position: int, place: int, key_number: int) -> None:
        self.versions = versions
        self.position = position  # the last one given
        self.place = place  # of the next entry
        self.key_number = key_number  # the last one given
        self.day_keys: dict[str, tuple[int, AESGCM]] = {}


class _Document:
    """What the batch leaves of one document. `fresh`: an older row goes first. `added`: revisions on top of it."""

    __slots__ = ("added", "fresh", "position", "put")

    def __init__(self) -> None:
        self.added = 0
        self.fresh = False
        self.position = 0
        self.put: Put | None = None


class Batch:
    """Implements `judge.View`: the store as it is after the commits of this batch that were let in."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self.position = known.position
        self.leaves: list[bytes] = []  # leaf hashes of the entries, in order
        self.sealed_at: list[tuple[int, bytes]] = []
        self.dirty = False
        self._versions: dict[str, int] = {}
        self._revisions: dict[tuple[str, str], int] = {}
        self._documents: dict[tuple[str, str], _Document] = {}
        self._events: set[tuple[str, int]] = set()
        self._claimed: dict[tuple[str, int], int] = {}
        self._held: dict[str, dict[str, int]] = {}
        self._freed: dict[str, int] = {}
        self._claims: dict[str, list[tuple[int, str, int, int]]] = {}  # key -> (position, run, units, until)
        self._claimers: dict[str, set[str]] = {}
        self._released: dict[str, None] = {}
        self._live: dict[str, dict[str, int]] = {}
        self._freed_of: dict[str, dict[str, int]] = {}  # run -> what its release in this batch freed
        self._voided: dict[str, None] = {}
        self._day_keys: dict[str, tuple[int, bytes, AESGCM]] = {}
        self._journal = Rows()
        self._entries = Rows()
        self._entry_ids: list[tuple[str, str, int]] = []
        self._nonces: list[bytes] = []
        self._deliveries: dict[str, tuple[int, Delivery]] = {}
        self._taken: list[str] = []  # of those stored before this batch
        self._taken_here: set[str] = set()

    # -- read --------------------------------------------------------------------------------------

    def read(self, connection: apsw.Connection, commits: Sequence[Commit]) -> None:
        """Fetch what the checks of these commits will ask."""
        events = [(event.run, event.number) for commit in commits for event in commit.appends]
        if events:
            self._events = {(run, number) for run, number in _ask(connection, _EVENTS, events)}
        wants = {(claim.key, micros(commit.at)) for commit in commits for claim in commit.claims}
        if wants:
            self._claimed = {(key, at): units for key, at, units in _ask(connection, _CLAIMED, list(wants))}
            releases = [run for commit in commits for run in commit.releases]
            if releases:
                for run, key, units in _ask(connection, _HELD, list(set(releases))):
                    held = self._held.setdefault(run, {})
                    held[key] = held.get(key, 0) + units
            voids = {run: micros(commit.at) for commit in commits for run in commit.voids}
            if voids:
                for run, key, units in _ask(connection, _LIVE, list(voids.items())):
                    live = self._live.setdefault(run, {})
                    live[key] = live.get(key, 0) + units
        expected: dict[str, set[str]] = {}
        for commit in commits:
            for put in commit.puts:
                if put.expect is not None:
                    expected.setdefault(put.kind, set()).add(put.id)
        for kind, ids in expected.items():
            sql = (
                f"SELECT json_group_array(json_array(d.id, d.revision)) FROM jsonb_each(?1) w "
                f"CROSS JOIN {table(kind)} d ON d.id = w.value"
            )
            for identity, revision in _ask(connection, sql, list(ids)):
                self._revisions[(kind, identity)] = revision

    def version(self, key: str) -> int:
        found = self._versions.get(key)
        return self._known.versions.get(key, 0) if found is None else found

    def has_event(self, run: str, number: int) -> bool:
        return (run, number) in self._events

    def revision(self, kind: str, identity: str) -> int:
        stored = self._revisions.get((kind, identity), 0)
        here = self._documents.get((kind, identity))
        if here is None:
            return stored
        return here.added if here.fresh else stored + here.added

    def claimed(self, key: str, at_us: int) -> int:
        units = self._claimed.get((key, at_us), 0) - self._freed.get(key, 0)
        for _, _, more, until_us in self._claims.get(key, ()):
            if until_us > at_us:
                units += more
        return units

    # -- judge -------------------------------------------------------------------------------------

    def apply(self, commit: Commit, leaves: tuple[bytes, ...]) -> Committed | Refused:
        """Judge one commit, and let it in: the commits after it see it."""
        refused = judge(commit, self)
        if refused is not None:
            return refused
        self.dirty = True
        versions = {}
        for key in commit.bumps:
            versions[key] = self._versions[key] = self.version(key) + 1
        for put in commit.puts:
            self._put(put)
        for drop in commit.drops:
            here = self._document(drop.kind, drop.id)
            here.fresh, here.added, here.put = True, 0, None
        for event in commit.appends:
            self._events.add((event.run, event.number))
            self._journal.add((self._next(), event.run, event.number), event.body)
        for claim in commit.claims:
            until_us = FOREVER_US if claim.until_at is None else micros(claim.until_at)
            self._claims.setdefault(claim.key, []).append((self._next(), claim.run, claim.units, until_us))
            self._claimers.setdefault(claim.run, set()).add(claim.key)
        for run in commit.releases:
            if run not in commit.voids:
                self._release(run)
        for run in commit.voids:
            self._void(run)
        if commit.entries:
            at_us = micros(commit.at)
            for (entry, content), body in zip(commit.entries, leaves, strict=True):
                self._seal(commit, entry, content, body, at_us)
        for delivery in commit.accepts:
            self._deliveries.setdefault(delivery.id, (self._next(), delivery))
        for identity in commit.taken:
            self._taken.append(identity)
            if identity in self._deliveries:
                self._taken_here.add(identity)
        return Committed(position=self._next(), versions=versions)

    def _next(self) -> int:
        self.position += 1
        return self.position

    def _document(self, kind: str, identity: str) -> _Document:
        here = self._documents.get((kind, identity))
        if here is None:
            here = self._documents[(kind, identity)] = _Document()
        return here

    def _put(self, put: Put) -> None:
        here = self._document(put.kind, put.id)
        position = self._next()
        if here.put is None:
            here.position = position
        here.added += 1
        here.put = put

    def _release(self, run: str) -> None:
        self._released[run] = None
        self._freed_of[run] = self._held.pop(run, {})
        for key, units in self._freed_of[run].items():
            self._freed[key] = self._freed.get(key, 0) + units
        for key in self._claimers.pop(run, ()):
            self._claims[key] = [claim for claim in self._claims[key] if claim[1] != run or claim[3] != FOREVER_US]

    def _void(self, run: str) -> None:
        self._voided[run] = None
        self._held.pop(run, None)
        already = self._freed_of.pop(run, {})
        for key, units in self._live.pop(run, {}).items():
            self._freed[key] = self._freed.get(key, 0) + units - already.get(key, 0)
        for key in self._claimers.pop(run, ()):
            self._claims[key] = [claim for claim in self._claims[key] if claim[1] != run]

    def _seal(self, commit: Commit, entry: Entry, content: Content, body: bytes, at_us: int) -> None:
        number, key = self._day_key(day_of(entry, commit.at))
        place = self._known.place + len(self.leaves)
        self._entries.add((place, at_us, number), body, seal(key, entry, content, self._nonce()))
        self.leaves.append(leaf_hash(body))
        self.sealed_at.append((at_us, body))
        self._entry_ids.extend((name, identity, place) for name, identity in entry.ids.items())

    def _nonce(self) -> bytes:
        """Drawn for many entries at once: each draw lets go of the interpreter and waits to get it back."""
        if not self._nonces:
            drawn = os.urandom(NONCE_BYTES * NONCES_DRAWN)
            self._nonces = [drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)]
        return self._nonces.pop()

    def _day_key(self, day: str) -> tuple[int, AESGCM]:
        found = self._known.day_keys.get(day)
        if found is not None:
            return found
        fresh = self._day_keys.get(day)
        if fresh is None:
            raw = os.urandom(KEY_BYTES)
            fresh = self._day_keys[day] = (self._known.key_number + 1 + len(self._day_keys), raw, AESGCM(raw))
        return fresh[0], fresh[2]

    # -- write -------------------------------------------------------------------------------------

    def write(self, connection: apsw.Connection) -> None:
        """Inside the caller's transaction."""
        run = connection.execute
        kinds: dict[str, Rows] = {}
        gone: dict[str, list[str]] = {}
        for (kind, identity), here in self._documents.items():
            if here.fresh:
                gone.setdefault(kind, []).append(identity)
            if here.put is not None:
                keys = here.put.keys
                values = [keys.get(key, "") for key in KINDS[kind]]
                kinds.setdefault(kind, Rows()).add((here.position, identity, here.added, *values), here.put.body)
        for kind, ids in gone.items():
            run(f"DELETE FROM {table(kind)} WHERE id IN (SELECT value FROM jsonb_each(?1))", (_json(ids),))
        for kind, rows in kinds.items():
            run(put_sql(kind), rows.bound())
        if self._journal:
            run(_JOURNAL, self._journal.bound())
        if self._released:
            run(_RELEASE, (_json(list(self._released)),))
        if self._voided:
            run(_VOID, (_json(list(self._voided)),))
        claims = [(at, key, *rest) for key, found in self._claims.items() for at, *rest in found]
        if claims:
            run(_CLAIM, (_json(claims),))
        if self._versions:
            run(_VERSION, (_json(list(self._versions.items())),))
        if self._day_keys:
            fresh = [(number, day, raw.hex()) for day, (number, raw, _) in self._day_keys.items()]
            run(_DAY_KEY, (_json(fresh),))
        if self._entries:
            run(_ENTRY, self._entries.bound())
            run(_ENTRY_ID, (_json(self._entry_ids),))
        if self._taken:
            run(_TAKEN, (_json(self._taken),))
        if self._deliveries:
            run(_DELIVERY, self._delivery_rows().bound())
        run(_POSITION, (self.position,))

    def _delivery_rows(self) -> Rows:
        rows = Rows()
        for position, found in self._deliveries.values():
            headers = _json(found.headers) if found.headers else "{}"
            start = (position, found.id, found.priority, micros(found.received_at), found.source, found.format)
            taken = int(found.id in self._taken_here)
            rows.add((*start, found.name, found.sha256, headers, taken), found.body)
        return rows

    def adopt(self) -> None:
        """The COMMIT has returned: what this batch changed is known from now on."""
        known = self._known
        known.versions.update(self._versions)
        known.position = self.position
        known.place += len(self.leaves)
        known.key_number += len(self._day_keys)
        known.day_keys.update({day: (number, key) for day, (number, _, key) in self._day_keys.items()})


def _ask(connection: apsw.Connection, sql: str, wanted: Sequence[Any]) -> list[Any]:
    found: list[Any] = _decode(connection.execute(sql, (_json(wanted),)).get)
    return found


def _json(value: Any) -> str:
    return _encode(value).decode()
