"""What people do about an incident, and about what could not be read: each a note or a state, and an entry beside it.

The signals have the last word on whether an incident is over: nobody resolves or closes what still fires.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from watchkeeper.approve.people import Actor
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.correlate.incident import Incident, IncidentState
from watchkeeper.engine.answer import No, changed, invalid, missing
from watchkeeper.engine.records import Note, put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.ledger.entry import Kind
from watchkeeper.ports import Commit, Committed
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.signals.signal import DeadLetter
from watchkeeper.values import id_from

COMMENT_CHARS_MAX: Final = 2_000
MERGES_MAX: Final = 100  # one incident into the next, into the next


class Mark(StrEnum):
    """What a note says was done. `note` is a comment and nothing else."""

    NOTE = "note"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CLOSED = "closed"
    ESCALATED = "escalated"


class Incidents:
    def __init__(self, scribe: Scribe, correlation: Correlation, tell: Callable[[Notice], Awaitable[int]]) -> None:
        self._scribe, self._correlation, self._tell = scribe, correlation, tell

    async def find(self, identity: str) -> Incident | None:
        """By its id, or by that of an incident it took in."""
        for _ in range(MERGES_MAX):
            found = self._correlation.incident(identity)
            if found is not None:
                return found
            row = await self._scribe.store.get("incident", identity)
            if row is not None:
                return read(row, Incident)
            merged = await self._scribe.store.get("note", identity)
            if merged is None:
                return None
            identity = read(merged, Note).subject
        return None

    async def mark(self, actor: Actor, identity: str, mark: Mark, comment: str) -> Note | No:
        incident = await self.find(identity)
        if incident is None:
            return missing("incident", identity)
        if len(comment) > COMMENT_CHARS_MAX or (mark is Mark.NOTE and not comment.strip()):
            return invalid("comment", f"1 to {COMMENT_CHARS_MAX} characters")
        if mark in {Mark.RESOLVED, Mark.CLOSED} and incident.state is not IncidentState.RESOLVED:
            return changed(
                f"{incident.firing} of its alerts still fire: it is over when they are. If a source is silent, its "
                "alerts become stale by themselves"
            )
        now = self._scribe.clock.now()
        found = Note(
            id=self._scribe.new_id("nte", now),
            subject=incident.id,
            at=now,
            by=actor.name,
            text=comment,
            kind=mark.value,
        )
        entry = self._scribe.entry(
            Kind.REVIEW, {"incident": incident.id}, actor=actor.name, verdict=mark.value, content={"comment": comment}
        )
        outcome = await self._scribe.commit(Commit(at=now, puts=(put(found),), entries=(entry,)))
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        if mark is Mark.ESCALATED:
            await self._tell(
                Notice(
                    id=id_from("ntc", now, found.id, mark.value),
                    at=now,
                    kind=NoticeKind.ESCALATED,
                    subject=f"{actor.name} asks for help: {incident.title}",
                    text=comment or "No comment was given.",
                    severity=incident.severity,
                    ids={"incident": incident.id},
                    commands=(f"wk incidents show {incident.id}",),
                )
            )
        return found

    async def drop(self, actor: Actor, identity: str, reason: str) -> DeadLetter | No:
        """A dead letter that nobody will mend leaves the list; it stays in the store."""
        row = await self._scribe.store.get("dead_letter", identity)
        if row is None:
            return missing("dead-letter", identity)
        if not reason.strip() or len(reason) > COMMENT_CHARS_MAX:
            return invalid("reason", f"1 to {COMMENT_CHARS_MAX} characters, for the record")
        letter = read(row, DeadLetter)
        entry = self._scribe.entry(
            Kind.REVIEW, {"dead_letter": identity}, actor=actor.name, verdict="dropped", content={"reason": reason}
        )
        now = self._scribe.clock.now()
        outcome = await self._scribe.commit(
            Commit(at=now, puts=(put(letter, expect=row.revision, state="dropped"),), entries=(entry,))
        )
        return letter if isinstance(outcome, Committed) else changed(outcome.why)
