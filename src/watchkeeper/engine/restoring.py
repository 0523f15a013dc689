"""Restoring: what a store that was put back from a backup must know of itself before anything acts on it again.

History is not rolled back in silence: the record goes on with an entry that says what was lost. The epoch rises, so that
no approval and no command from before it binds; open runs are in doubt, because what they did after the backup is
unknown; and automation is held until an admin says that somebody looked. Source: SEMANTICS 13.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.approve.approval import Approval, State
from watchkeeper.engine.records import RunRecord, kind_of, put, read
from watchkeeper.engine.runner import encode
from watchkeeper.engine.scribe import Scribe
from watchkeeper.errors import Rejected
from watchkeeper.execute.run import Restored, Status
from watchkeeper.guards.hold import RESTORE
from watchkeeper.guards.situation import Hold, Scope
from watchkeeper.ledger.entry import Kind
from watchkeeper.ports import Append, Commit, Committed
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.values import Instant, Severity, id_from, rfc3339

BATCH_MAX: Final = 200
NO_END: Final = datetime(9999, 12, 31, tzinfo=UTC)


class Lost(Struct, frozen=True, kw_only=True):
    """What the restore takes back: how large the record was, by the newest checkpoint that was found; -1: none was."""

    size: int = -1
    checkpoint: str = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """`entries_lost` is None where nothing says how many there were."""

    restore: str
    epoch: int
    runs: tuple[str, ...]
    approvals: int
    size: int
    entries_lost: int | None


async def restored(
    scribe: Scribe, *, by: str, reason: str, made_at: Instant, lost: Lost, epoch_before: int = 0
) -> Outcome:
    """Write all of it into the store, which nobody else uses yet. Raises Rejected when the store does not take it.

    `epoch_before`: the highest epoch that this home is known to have had; a backup from before it would give it again.
    """
    now, store = scribe.clock.now(), scribe.store
    scribe.versions.update(await store.versions())
    while scribe.versions.get("epoch", 0) < epoch_before:
        await _write(scribe, Commit(at=now, bumps=("epoch",)))
    epoch = scribe.versions.get("epoch", 0) + 1
    size = await store.tree_size() + len(await store.pending_entries())
    identity = scribe.new_id("rst", now)
    entries_lost = max(0, lost.size - size) if lost.size >= 0 else None
    why = f"restored at {rfc3339(now)[:16]}Z from a backup of {rfc3339(made_at)[:16]}Z: what happened in between is unknown"
    hold = Hold(
        id=scribe.new_id("hld", now),
        scope=Scope(),
        by="restore",
        reason=reason,
        at=now,
        until_at=NO_END,
        origin=RESTORE,
    )
    content = {
        "reason": reason,
        "backup_made_at": made_at,
        "size": size,
        "epoch": epoch,
        "lost_size": lost.size,
        "lost_checkpoint": lost.checkpoint,
    }
    entry = scribe.entry(Kind.RESTORE, {"restore": identity, "hold": hold.id}, actor=by, content=content)
    await _write(scribe, Commit(at=now, puts=(put(hold),), bumps=("epoch", "hold"), entries=(entry,)))
    runs: list[str] = []
    async for record in _all(scribe, RunRecord, {"state": "open"}):
        event = Restored(at=now, epoch=epoch, why=why)
        number = len(await store.journal(record.id))
        append = Append(run=record.id, number=number, body=encode(event))
        doubted = replace(record, status=Status.IN_DOUBT.value)
        await _write(scribe, Commit(at=now, puts=(put(doubted),), appends=(append,)))
        runs.append(record.id)
    approvals = 0
    async for approval in _all(scribe, Approval, {"state": [State.PENDING.value, State.APPROVED.value]}):
        if approval.state is State.APPROVED and approval.run and not approval.path:
            continue  # it was answered, and led to its run
        void = replace(approval, state=State.VOID, ended_at=now, why="The store was restored from a backup.")
        await _write(scribe, Commit(at=now, puts=(put(void),)))
        approvals += 1
    while await store.integrate():
        pass
    return Outcome(
        restore=identity, epoch=epoch, runs=tuple(runs), approvals=approvals, size=size, entries_lost=entries_lost
    )


async def _all(scribe: Scribe, document: type[Any], where: dict[str, Any]) -> AsyncIterator[Any]:
    """Read first, then given: what is written meanwhile leaves the list that is read."""
    found: list[Any] = []
    after: str | None = None
    while True:
        page = await scribe.store.find(kind_of(document), where, after=after, limit=BATCH_MAX)
        found += [read(row, document) for row in page.items]
        after = page.next
        if after is None:
            break
    for each in found:
        yield each


async def _write(scribe: Scribe, commit: Commit) -> None:
    outcome = await scribe.commit(commit)
    if not isinstance(outcome, Committed):
        raise Rejected(f"the restored store refuses a write: {outcome.why}")


def held_since(hold: Hold, now: Instant) -> Notice:
    """Told at each start while it stands: the night shift must not wonder why nothing acts."""
    return Notice(
        id=id_from("ntc", now, hold.id, "restored"),
        at=now,
        kind=NoticeKind.RESTORED,
        subject="Automation is held: the store was restored from a backup",
        text=f"{hold.reason.rstrip('.')}. What happened after the backup is unknown: look at runs in doubt, then resume.",
        severity=Severity.CRITICAL,
        ids={"hold": hold.id},
        commands=("wk runs --status in_doubt", "wk resume --after-restore --reason ..."),
    )
