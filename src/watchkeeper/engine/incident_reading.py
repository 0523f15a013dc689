"""One incident in full: its timeline, its figures, and the trail of everything that belongs to it.

The trail runs signals -> alerts -> decisions -> approvals -> runs -> steps and effects -> ledger entries, by time. It
is read from what is stored, so it is the same tomorrow as tonight.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from watchkeeper.approve.approval import Approval
from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.firing import STEPS_MAX
from watchkeeper.correlate.incident import Incident
from watchkeeper.correlate.timeline import EventKind, TimelineEvent, ordered, progress, told_by_alerts
from watchkeeper.decide.decision import Decision
from watchkeeper.decide.explain import sentence
from watchkeeper.engine.answer import No
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.handling import Handlings
from watchkeeper.engine.incidents import Mark
from watchkeeper.engine.reading import Listed, Reader, View, approval_view, decision_view
from watchkeeper.engine.records import ChangeRecord, Note, RunRecord, kind_of, read
from watchkeeper.engine.retention import absent
from watchkeeper.engine.runner import decode
from watchkeeper.execute.run import Event, Intended, Status
from watchkeeper.execute.words import NOT_VERIFIED, NOTHING
from watchkeeper.learn.measures import measures
from watchkeeper.ledger import entry as entries
from watchkeeper.ports import EntryRow
from watchkeeper.signals.signal import Signal
from watchkeeper.values import Instant, after_ms, instant

CHANGES_BEFORE_MS: Final = 3_600_000  # a change of the hour before may be why
CHANGES_SHOWN_MAX: Final = 100
PARTS_MAX: Final = 10_000  # of each kind, in one trail; beyond it `complete` is false
ALTERNATIVES_MAX: Final = 1_000  # ids in one question to the store
RANKED_MAX: Final = 1_000  # incidents that are put in the order of the business at once

Document = TypeVar("Document", bound=Struct)


class TrailItem(Struct, frozen=True, kw_only=True):
    """One thing that belongs to the incident. `ids` say what it is about; `index` is set on ledger entries."""

    at: Instant
    kind: str
    id: str
    actor: str
    sentence: str
    ids: dict[str, str] = {}
    index: int | None = None


class Trail(Struct, frozen=True, kw_only=True):
    incident: str
    items: tuple[TrailItem, ...]
    complete: bool = True


class _Parts(Struct):
    incident: Incident
    alerts: tuple[Alert, ...]
    decisions: tuple[Decision, ...]
    approvals: tuple[Approval, ...]
    runs: tuple[RunRecord, ...]
    notes: tuple[Note, ...]


_ORDER: Final = ("signal", "alert", "note", "decision", "approval", "run", "step", "effect", "entry")
_MARKS: Final = {
    Mark.ACKNOWLEDGED: EventKind.ACKNOWLEDGED,
    Mark.CLOSED: EventKind.CLOSED,
    Mark.RESOLVED: EventKind.NOTE,
    Mark.ESCALATED: EventKind.NOTE,
    Mark.NOTE: EventKind.NOTE,
}


class IncidentReader:
    def __init__(self, engine: Engine, reader: Reader) -> None:
        self._engine, self._reader = engine, reader
        self._handlings = Handlings(engine)

    async def incidents(
        self, where: Mapping[str, str], *, after: str | None, limit: int, handling: bool = False, pressing: bool = False
    ) -> Listed:
        """`handling`: with what is being done about each, and what of the business it touches. `pressing`: the most pressing
        first, by the transactions they touch, of the newest RANKED_MAX; without a cursor.
        """
        found = await self._reader.incidents(where, after=after, limit=RANKED_MAX if pressing else limit)
        if not handling and not pressing:
            return found
        rows = [msgspec.json.decode(each, type=Incident) for each in found.items]
        if pressing:
            rows = self._handlings.pressing(rows)[:limit]
        if not handling:
            return Listed(items=tuple(rows))
        handled = await self._handlings.of(rows)
        items = tuple({**msgspec.to_builtins(row), "handling": each} for row, each in zip(rows, handled, strict=True))
        return Listed(items=items, next=None if pressing else found.next)

    async def incident(self, identity: str) -> View | No:
        parts = await self._parts(identity)
        if parts is None:
            return await absent(self._engine.store, "incident", identity)
        now = self._engine.clock.now()
        timeline = ordered((*told_by_alerts(parts.alerts, now), *_told(parts)))
        how_far = progress(parts.incident, timeline)
        handling = (await self._handlings.of((parts.incident,)))[0]
        trend = self._handlings.trend(parts.incident, parts.alerts, STEPS_MAX)
        return {
            **msgspec.to_builtins(parts.incident),
            "phase": how_far.phase.value,
            "progress": how_far,
            "measures": measures((how_far,)),
            "timeline": timeline,
            "links": self._engine.correlation.links(parts.incident.id),
            "alerts_total": parts.incident.alerts,
            "alerts": [self._reader.alert_view(alert) for alert in parts.alerts],
            "decisions": [decision_view(decision) for decision in parts.decisions],
            "approvals": [approval_view(approval) for approval in parts.approvals],
            "runs": [await self._reader.run_view(record) for record in parts.runs],
            "notes": parts.notes,
            "changes": await self._changes(parts),
            "handling": msgspec.structs.replace(handling, trend=trend),
            "looked": self._handlings.looked(parts.incident.entity, trend.from_at, trend.until_at),
        }

    async def _changes(self, parts: _Parts) -> list[ChangeRecord]:
        """What was changed on its entities from an hour before it began until its end, newest first."""
        begin = after_ms(parts.incident.began_at, -CHANGES_BEFORE_MS)
        end = parts.incident.resolved_at or self._engine.clock.now()
        found: list[ChangeRecord] = []
        for entity in dict.fromkeys(alert.entity for alert in parts.alerts if alert.entity):
            page = await self._engine.store.find("change", {"service": entity}, limit=CHANGES_SHOWN_MAX)
            found += [read(row, ChangeRecord) for row in page.items]
        within = [each for each in found if each.at <= end and (each.ended_at is None or each.ended_at >= begin)]
        return sorted(within, key=lambda each: each.at, reverse=True)[:CHANGES_SHOWN_MAX]

    async def trail(self, identity: str) -> Trail | No:
        parts = await self._parts(identity)
        if parts is None:
            return await absent(self._engine.store, "incident", identity)
        alerts = [alert.id for alert in parts.alerts]
        signals = [signal async for signal in self._every(Signal, "alert", alerts)]
        items = [_of_signal(signal) for signal in signals]
        items += [_of_alert(alert) for alert in parts.alerts]
        items += [_of_note(note) for note in parts.notes]
        items += [_of_decision(decision) for decision in parts.decisions]
        items += [item for approval in parts.approvals for item in _of_approval(approval)]
        for record in parts.runs:
            items += _of_run(record)
            bodies = await self._engine.store.journal(record.id)
            items += _of_events(record, [decode.decode(body) for body in bodies])
        rows: dict[int, EntryRow] = {}
        for name, ids in (
            ("incident", [parts.incident.id]),
            ("decision", [decision.id for decision in parts.decisions]),
            ("run", [record.id for record in parts.runs]),
            ("approval", [approval.id for approval in parts.approvals]),
        ):
            for each in ids:
                rows |= {row.index: row for row in await self._engine.store.entries_of(name, each)}
        items += [_of_entry(row) for row in rows.values()]
        found = tuple(sorted(items, key=lambda item: (item.at, _ORDER.index(item.kind), item.index or 0, item.id)))
        counts = (signals, parts.alerts, parts.decisions, parts.approvals, parts.runs, parts.notes)
        return Trail(incident=parts.incident.id, items=found, complete=all(len(each) < PARTS_MAX for each in counts))

    async def _parts(self, identity: str) -> _Parts | None:
        incident = await self._engine.incidents.find(identity)
        if incident is None:
            return None
        names, notes = await self._names(incident.id)
        alerts = self._engine.correlation.members(incident.id) or tuple(
            [alert async for alert in self._every(Alert, "incident", names)]
        )
        decisions = {each.id: each async for each in self._every(Decision, "incident", names)}
        decisions |= {each.id: each async for each in self._every(Decision, "alert", [alert.id for alert in alerts])}
        by_time = sorted(decisions.values(), key=lambda each: (each.at, each.id))
        approvals = [each async for each in self._every(Approval, "decision", [each.id for each in by_time])]
        runs = [each async for each in self._every(RunRecord, "decision", [each.id for each in by_time])]
        return _Parts(
            incident=incident,
            alerts=alerts,
            decisions=tuple(by_time),
            approvals=tuple(sorted(approvals, key=lambda each: each.asked_at)),
            runs=tuple(sorted(runs, key=lambda each: each.at)),
            notes=tuple(sorted(notes, key=lambda note: note.at)),
        )

    async def _names(self, identity: str) -> tuple[tuple[str, ...], tuple[Note, ...]]:
        """Every id that this incident has had, and what was noted under them."""
        names, notes, newest = {identity: None}, [], [identity]
        while newest and len(names) < PARTS_MAX:
            found = [note async for note in self._every(Note, "subject", newest)]
            notes += found
            newest = [note.id for note in found if note.kind == EventKind.MERGED and note.id not in names]
            names.update(dict.fromkeys(newest))
        return tuple(names), tuple(notes)

    async def _every(self, document: type[Document], key: str, values: Sequence[str]) -> AsyncIterator[Document]:
        """Those of a kind whose `key` is one of `values`; none for no values. At most PARTS_MAX."""
        count = 0
        for start in range(0, len(values), ALTERNATIVES_MAX):
            where: Mapping[str, Sequence[str]] = {key: list(values[start : start + ALTERNATIVES_MAX])}
            after: str | None = None
            while count < PARTS_MAX:
                page = await self._engine.store.find(kind_of(document), where, after=after, limit=1_000)
                for row in page.items:
                    count += 1
                    yield read(row, document)
                after = page.next
                if after is None:
                    break


def _told(parts: _Parts) -> Iterable[TimelineEvent]:
    """What people and automation did, as the timeline has it."""
    for note in parts.notes:
        kind = EventKind.MERGED if note.kind == EventKind.MERGED else _MARKS[Mark(note.kind)]
        text = note.text if note.kind in {Mark.NOTE.value, EventKind.MERGED.value} else f"{note.kind}: {note.text}"
        yield TimelineEvent(at=note.at, actor=note.by, kind=kind, sentence=text.rstrip(": "), ids=(note.id,))
    for decision in parts.decisions:
        yield TimelineEvent(
            at=decision.at,
            actor=decision.actor,
            kind=EventKind.DECIDED,
            sentence=sentence(decision),
            ids=(decision.id,),
        )
    for record in parts.runs:
        yield TimelineEvent(
            at=record.at,
            actor=record.actor,
            kind=EventKind.RUN,
            sentence=f"{record.runbook} on {', '.join(record.targets)}",
            ids=(record.id,),
        )
        if record.ended_at is not None:
            # What nobody verified mitigated nothing that anybody knows of.
            repaired = record.status == Status.SUCCEEDED and not record.state.endswith((NOT_VERIFIED, NOTHING))
            yield TimelineEvent(
                at=record.ended_at,
                actor=record.actor,
                kind=EventKind.MITIGATED if repaired else EventKind.RUN,
                sentence=f"{record.runbook} {record.status}" + (f": {record.why}" if record.why else ""),
                ids=(record.id,),
            )


def _of_signal(signal: Signal) -> TrailItem:
    name = signal.labels.get("alertname", "signal")
    return TrailItem(
        at=signal.received_at,
        kind="signal",
        id=signal.id,
        actor=signal.source,
        sentence=f"{name} {signal.standing.value}",
        ids={"delivery": signal.delivery},
    )


def _of_alert(alert: Alert) -> TrailItem:
    return TrailItem(
        at=alert.first_seen_at,
        kind="alert",
        id=alert.id,
        actor=alert.source,
        sentence=f"{alert.symptom}, severity {alert.severity.value}",
    )


def _of_note(note: Note) -> TrailItem:
    return TrailItem(
        at=note.at, kind="note", id=note.id, actor=note.by, sentence=f"{note.kind}: {note.text}".rstrip(": ")
    )


def _of_decision(decision: Decision) -> TrailItem:
    return TrailItem(
        at=decision.at,
        kind="decision",
        id=decision.id,
        actor=decision.actor,
        sentence=sentence(decision),
        ids={"alert": decision.alert, "situation": decision.situation},
    )


def _of_approval(approval: Approval) -> Iterable[TrailItem]:
    ids = {"decision": approval.decision, **({"run": approval.run} if approval.run else {})}
    asked = f"asked: {approval.findings[0].reason}" if approval.findings else "asked"
    yield TrailItem(
        at=approval.asked_at, kind="approval", id=approval.id, actor=approval.requester, sentence=asked, ids=ids
    )
    for given in approval.answers:
        said = f"{given.verb.value}: {given.comment}".rstrip(": ")
        yield TrailItem(at=given.at, kind="approval", id=approval.id, actor=given.name, sentence=said, ids=ids)
    if approval.ended_at is not None and approval.why:
        yield TrailItem(
            at=approval.ended_at,
            kind="approval",
            id=approval.id,
            actor="automation",
            sentence=f"{approval.state.value}: {approval.why}",
            ids=ids,
        )


def _of_run(record: RunRecord) -> Iterable[TrailItem]:
    ids = {"decision": record.decision}
    opened = f"{record.runbook} on {', '.join(record.targets)}"
    yield TrailItem(at=record.at, kind="run", id=record.id, actor=record.actor, sentence=opened, ids=ids)
    if record.ended_at is not None:
        ended = " ".join(part for part in (record.status, record.why, record.state) if part)
        yield TrailItem(at=record.ended_at, kind="run", id=record.id, actor=record.actor, sentence=ended, ids=ids)


def _of_events(record: RunRecord, events: Sequence[Event]) -> Iterable[TrailItem]:
    """The journal: an intent is the beginning of an effect, everything else about a step is a step's."""
    for number, event in enumerate(events):
        plain: dict[str, Any] = msgspec.to_builtins(event)
        path = plain.get("path", "")
        if not path:
            continue
        effect = isinstance(event, Intended)
        word = str(plain["event"]) + (" (undo)" if plain.get("undo") else "")
        why = plain.get("why") or plain.get("error") or ""
        yield TrailItem(
            at=event.at,
            kind="effect" if effect else "step",
            id=f"{record.id}#{number}",
            actor=str(plain.get("by") or record.actor),
            sentence=f"{path} {word}" + (f": {why}" if why else ""),
            ids={"run": record.id, "step": path, **({"key": str(plain["key"])} if effect else {})},
        )


def _of_entry(row: EntryRow) -> TrailItem:
    found = entries.read(row.body)
    return TrailItem(
        at=instant(found.at),
        kind="entry",
        id=str(row.index),
        actor=found.actor,
        sentence=f"{found.kind} {found.verdict}".rstrip(),
        ids=dict(found.ids),
        index=row.index,
    )
