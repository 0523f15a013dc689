"""Erasing by order: what is found is shown first and named by a digest; the order is in the ledger before anything goes.

The tree holds commitments, so it verifies as before when the contents beside it are gone. An order that was interrupted is
carried on at the next start. What something open rests on stays, and is said. Source: SEMANTICS 12 and 13.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.approve.people import Actor
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.answer import No, changed, invalid, missing
from watchkeeper.engine.clock import Clock
from watchkeeper.engine.records import ErasureRecord, Tombstone, put, read
from watchkeeper.engine.retention import ERASABLE, ERASABLE_TYPES, stays
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.sequencer import Sequencer
from watchkeeper.engine.spelling import Spelling, folded
from watchkeeper.engine.sweeper import Sweeper
from watchkeeper.engine.world import World
from watchkeeper.ledger.entry import SALT_BYTES, Kind, erasure, ranges
from watchkeeper.ledger.entry import read as read_entry
from watchkeeper.ports import Commit, Committed, Drop, Forget, Row
from watchkeeper.signals.signal import Signal
from watchkeeper.values import Instant, Labels, digest, id_time

log = structlog.get_logger("watchkeeper.erasing")

SUBJECT_CHARS_MIN: Final = 3  # less would be found everywhere
SUBJECT_CHARS_MAX: Final = 200
REASON_CHARS_MAX: Final = 500
IDS_MAX: Final = 1_000
LABELS_MAX: Final = 20  # of one query
FOUND_MAX: Final = 50_000  # documents of one order: a larger one is split by --before or by ids
PAGE: Final = 200
BATCH_MAX: Final = 200
KEPT_SHOWN_MAX: Final = 50

_PREFIXES: Final = {
    "sig": "signal",
    "alr": "alert",
    "inc": "incident",
    "dec": "decision",
    "run": "run",
    "apr": "approval",
    "ded": "dead_letter",
    "ddl": "dead_letter",
    "msg": "message",
    "nte": "note",
    "fbk": "feedback",
    "chg": "change",
    "dlv": "delivery",
}
_BELOW: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    # kind -> (kind of what belongs to it, the key it is listed by)
    "incident": (
        ("alert", "incident"),
        ("decision", "incident"),
        ("run", "incident"),
        ("note", "subject"),
        ("message", "subject"),
    ),
    "alert": (("signal", "alert"), ("decision", "alert")),
    "decision": (("run", "decision"), ("approval", "decision"), ("feedback", "decision"), ("message", "subject")),
    "run": (("approval", "run"), ("note", "subject"), ("message", "subject")),
}
_LEDGERED: Final = ("incident", "decision", "run", "approval")  # names in the ids of entries


class Wanted(Struct, frozen=True, kw_only=True):
    """At least one of `subject` (a text, found anywhere, whatever its case), `ids`, `labels` (all of which a signal or an
    alert carries), and `kind` with `source` or `before`.
    """

    subject: str = ""
    ids: tuple[str, ...] = ()
    kind: str = ""
    source: str = ""
    before: Instant | None = None
    labels: Labels = {}


class Stays(Struct, frozen=True, kw_only=True):
    kind: str
    id: str
    why: str


class Found(Struct, frozen=True, kw_only=True):
    """What would go. `digest` names exactly this."""

    digest: str
    counts: dict[str, int]
    stays: tuple[Stays, ...]
    documents: tuple[tuple[str, str], ...]
    entries: tuple[tuple[int, int], ...]

    @property
    def nothing(self) -> bool:
        return not self.documents and not self.entries


class Erasing:
    def __init__(self, scribe: Scribe, clock: Clock, world: World, sequencer: Sequencer, sweeper: Sweeper) -> None:
        self._scribe, self._clock, self._world = scribe, clock, world
        self._sequencer, self._sweeper = sequencer, sweeper
        self.goes: Callable[[str, str], None] = lambda _kind, _identity: None  # told before it is gone

    async def find(self, wanted: Wanted) -> Found | No:
        """Changes nothing."""
        if no := self._refused(wanted):
            return no
        await self._sequencer.step()
        rows: dict[tuple[str, str], None] = {}
        entries: set[int] = set()
        for identity in wanted.ids:
            if no := await self._named(identity, rows, entries):
                return no
        if wanted.subject:
            await self._said(wanted.subject, rows, entries)
        if wanted.labels:
            await self._labelled(wanted.labels, rows, entries)
        if wanted.kind:
            async for row in self._of_kind(wanted.kind):
                if await self._fits(wanted, row):
                    rows[wanted.kind, row.id] = None
        if len(rows) > FOUND_MAX:
            return invalid("subject", f"names {len(rows)} documents, at most {FOUND_MAX} go by one order: split it")
        needed = await self._sweeper.needed(self._clock.now())
        goes: list[tuple[str, str]] = []
        kept: list[Stays] = []
        for kind, identity in sorted(rows):
            found = await self._scribe.store.get(kind, identity) if kind != "delivery" else None
            why = stays(kind, found, needed) if found is not None else ""
            if why:
                kept.append(Stays(kind=kind, id=identity, why=why))
            else:
                goes.append((kind, identity))
        spans = tuple(ranges(entries))
        counts = Counter(kind for kind, _ in goes)
        counts["content"] = len(entries)
        return Found(
            digest=digest([[list(each) for each in goes], [list(each) for each in spans]]),
            counts={kind: rows for kind, rows in sorted(counts.items()) if rows},
            stays=tuple(kept[:KEPT_SHOWN_MAX]),
            documents=tuple(goes),
            entries=spans,
        )

    async def erase(self, actor: Actor, wanted: Wanted, shown: str, reason: str) -> ErasureRecord | No:
        """Exactly what was shown. When it answers, it is gone from this store; backups and exports are others' matter."""
        if not reason.strip() or len(reason) > REASON_CHARS_MAX:
            return invalid("reason", f"1 to {REASON_CHARS_MAX} characters, for the record; it stays for ever")
        if wanted.subject and folded(wanted.subject) in folded(reason):
            return invalid(
                "reason", "holds what is to be erased, and the record keeps the reason for ever: say it without"
            )
        found = await self.find(wanted)
        if isinstance(found, No):
            return found
        if found.digest != shown:
            return changed("what would go is not what was shown: look again", digest=found.digest)
        if found.nothing:
            return changed("there is nothing to erase")
        now = self._clock.now()
        identity = self._scribe.new_id("ers", now)
        indexes = [index for first, last in found.entries for index in range(first, last + 1)]
        order = erasure(
            identity, indexes, reason=reason, at=now, actor=actor.name, salt=self._scribe.secret(SALT_BYTES)
        )
        record = ErasureRecord(
            id=identity, at=now, by=actor.name, counts=found.counts, documents=found.documents, entries=found.entries
        )
        outcome = await self._scribe.commit(Commit(at=now, puts=(put(record),), entries=(order,)))
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        return await self._carry_out(record)

    async def carry_on(self) -> None:
        """At the start: orders that an earlier process did not live to carry out."""
        page = await self._scribe.store.find("erasure", {"state": "open"}, limit=100, oldest_first=True)
        for row in page.items:
            record = read(row, ErasureRecord)
            log.warning("an order of erasure is carried on", order=record.id)
            await self._carry_out(record)

    async def _carry_out(self, record: ErasureRecord) -> ErasureRecord:
        """Whatever of it was done before is passed over."""
        await self._sequencer.step()
        indexes = [index for first, last in record.entries for index in range(first, last + 1)]
        for start in range(0, len(indexes), FOUND_MAX):
            await self._scribe.store.erase(record.id, indexes[start : start + FOUND_MAX])
        for start in range(0, len(record.documents), BATCH_MAX):
            await self._forget(record, record.documents[start : start + BATCH_MAX])
        done = replace(record, open=False, documents=(), done_at=self._clock.now())
        await self._scribe.store.commit(Commit(at=self._clock.now(), puts=(put(done),)))
        self._scribe.forget()
        log.info("erased", order=record.id, **record.counts)
        return done

    async def _forget(self, record: ErasureRecord, part: Iterable[tuple[str, str]]) -> None:
        now = self._clock.now()
        drops: list[Drop] = []
        runs: list[str] = []
        deliveries: list[str] = []
        stones: list[Tombstone] = []
        for kind, identity in part:
            stones.append(
                Tombstone(
                    id=f"{kind}:{identity}",
                    kind=kind,
                    day="",
                    rows=1,
                    kept_ms=0,
                    gone_at=now,
                    why="order",
                    order=record.id,
                )
            )
            if kind == "delivery":
                deliveries.append(identity)
                continue
            self.goes(kind, identity)
            drops.append(Drop(kind=kind, id=identity))
            if kind == "run":
                runs.append(identity)
            if kind == "decision":
                row = await self._scribe.store.get("decision", identity)
                if row is not None:
                    drops.append(Drop(kind="situation", id=read(row, Decision).situation))
                drops.append(Drop(kind="judged", id=identity))
        commit = Commit(at=now, puts=tuple(put(each) for each in stones), drops=tuple(drops))
        outcome = await self._scribe.store.forget(
            Forget(commit=commit, runs=tuple(runs), deliveries=tuple(deliveries), secure=True)
        )
        assert isinstance(outcome, Committed), outcome  # it expects nothing

    # What is asked for.

    def _refused(self, wanted: Wanted) -> No | None:
        if self._world.configuration.settings.retention.legal_hold:
            return No(
                status=409,
                title="legal hold",
                detail="retention.legal_hold stands in watchkeeper.yaml: nothing is erased until it is lifted and applied",
            )
        if not wanted.subject and not wanted.ids and not wanted.kind and not wanted.labels:
            return invalid("subject", "say what: a subject, ids, labels, or a kind with a source or a time")
        if len(wanted.labels) > LABELS_MAX:
            return invalid("labels", f"names {len(wanted.labels)}, at most {LABELS_MAX} at once")
        empty = sorted(name for name, value in wanted.labels.items() if not name or not value)
        if empty:
            return invalid("labels", f"{empty[0]!r} has no value, and a label that is absent equals an empty one")
        if wanted.subject and not SUBJECT_CHARS_MIN <= len(wanted.subject) <= SUBJECT_CHARS_MAX:
            return invalid("subject", f"has {SUBJECT_CHARS_MIN} to {SUBJECT_CHARS_MAX} characters")
        if len(wanted.ids) > IDS_MAX:
            return invalid("ids", f"names {len(wanted.ids)}, at most {IDS_MAX} at once")
        if wanted.kind and wanted.kind not in ERASABLE:
            return invalid("kind", f"{wanted.kind!r} is none of {', '.join(sorted(ERASABLE))}")
        if wanted.kind and not wanted.source and wanted.before is None:
            return invalid("kind", "needs a source or a time beside it: a kind alone is everything there is of it")
        if wanted.source and wanted.kind not in {"signal", "dead_letter", "change"}:
            return invalid("source", "goes with the kinds signal, dead_letter and change")
        return None

    async def _named(self, identity: str, rows: dict[tuple[str, str], None], entries: set[int]) -> No | None:
        """One id, and what belongs to it; a number is that of an entry in the ledger."""
        if identity.isascii() and identity.isdigit():
            found = await self._scribe.store.entries(int(identity), 1) if len(identity) <= 15 else ()
            if not found or found[0].index != int(identity):
                return missing("entry", identity)
            if read_entry(found[0].body).kind == Kind.ERASE:
                return invalid("ids", f"entry {identity} is itself an order of erasure, which is never erased")
            entries.update({int(identity)} if found[0].content is not None else ())
            return None
        kind = _PREFIXES.get(identity.partition("_")[0], "")
        if not kind:
            return invalid("ids", f"{identity[:80]!r} is no id of something that may be erased")
        there = await (
            self._scribe.store.delivery(identity) if kind == "delivery" else self._scribe.store.get(kind, identity)
        )
        if there is None:
            return missing(kind.replace("_", "-"), identity)
        await self._with_all(kind, identity, rows, entries)
        return None

    async def _with_all(self, kind: str, identity: str, rows: dict[tuple[str, str], None], entries: set[int]) -> None:
        if (kind, identity) in rows:
            return
        rows[kind, identity] = None
        if kind in _LEDGERED:
            for entry in await self._scribe.store.entries_of(kind, identity):
                if entry.content is not None and read_entry(entry.body).kind != Kind.ERASE:
                    entries.add(entry.index)
        if kind == "signal":
            row = await self._scribe.store.get("signal", identity)
            if row is not None:
                rows["delivery", read(row, Signal).delivery] = None
        for below, key in _BELOW.get(kind, ()):
            after: str | None = None
            while True:
                page = await self._scribe.store.find(below, {key: identity}, after=after, limit=PAGE)
                for row in page.items:
                    await self._with_all(below, row.id, rows, entries)
                after = page.next
                if after is None:
                    break

    async def _said(self, subject: str, rows: dict[tuple[str, str], None], entries: set[int]) -> None:
        """Everything whose bytes hold the text: one look at all there is."""
        text = Spelling(subject)
        store = self._scribe.store
        for kind in sorted(ERASABLE_TYPES):
            async for row in self._of_kind(kind):
                said = text.within(row.body)
                said = said or (kind == "run" and await self._in_journal(row.id, text))
                said = said or (kind == "decision" and await self._in_situation(row, text))
                if said and kind in {"decision", "run"}:
                    await self._with_all(kind, row.id, rows, entries)
                elif said:
                    rows[kind, row.id] = None
        after = ""
        while page := await store.old_deliveries(self._clock.now(), PAGE, after):
            for delivery in page:
                if text.within(delivery.body):
                    rows["delivery", delivery.id] = None
            after = page[-1].id
        size, at = await store.tree_size(), 0
        while at < size:
            found = await store.entries(at, PAGE)
            for entry in found:
                said = entry.content is not None and text.within(entry.content)
                if said and read_entry(entry.body).kind != Kind.ERASE:
                    entries.add(entry.index)
            at = found[-1].index + 1 if found else size

    async def _labelled(self, labels: Labels, rows: dict[tuple[str, str], None], entries: set[int]) -> None:
        """Signals and alerts that carry all of these labels, with what belongs to them; an incident when nothing else is in
        it.
        """
        for kind in ("alert", "signal"):
            async for row in self._of_kind(kind):
                carried = read(row, ERASABLE_TYPES[kind]).labels
                if all(carried.get(name) == value for name, value in labels.items()):
                    await self._with_all(kind, row.id, rows, entries)
        async for row in self._of_kind("incident"):
            if await self._all_go(row.id, rows):
                await self._with_all("incident", row.id, rows, entries)

    async def _all_go(self, incident: str, rows: dict[tuple[str, str], None]) -> bool:
        after: str | None = None
        some = False
        while True:
            page = await self._scribe.store.find("alert", {"incident": incident}, after=after, limit=PAGE)
            if any(("alert", row.id) not in rows for row in page.items):
                return False
            some = some or bool(page.items)
            after = page.next
            if after is None:
                return some

    async def _in_journal(self, run: str, text: Spelling) -> bool:
        return any(text.within(body) for body in await self._scribe.store.journal(run))

    async def _in_situation(self, row: Row, text: Spelling) -> bool:
        found = await self._scribe.store.get("situation", read(row, Decision).situation)
        judged = await self._scribe.store.get("judged", row.id)
        return any(each is not None and text.within(each.body) for each in (found, judged))

    async def _fits(self, wanted: Wanted, row: Row) -> bool:
        document: Any = read(row, ERASABLE_TYPES[wanted.kind])
        at = id_time(row.id)
        if wanted.source and document.source != wanted.source:
            return False
        return wanted.before is None or (at is not None and at < wanted.before)

    async def _of_kind(self, kind: str) -> AsyncIterator[Row]:
        after: str | None = None
        while True:
            page = await self._scribe.store.find(kind, after=after, limit=PAGE, oldest_first=True)
            for row in page.items:
                yield row
            after = page.next
            if after is None:
                return
