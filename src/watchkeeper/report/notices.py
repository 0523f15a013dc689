"""Notices: what a person is told, and when. Sentences come from the record; nothing is worked out again here.

Source: SEMANTICS 14, "Telling": an ask at once; a hold or a refusal on something critical or major after
`tell_after`, once an episode; what escalates at once.
"""

from enum import StrEnum
from shlex import quote
from typing import Final

from msgspec import Struct

from watchkeeper.approve.approval import Approval
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.execute.run import Status
from watchkeeper.execute.words import NOT_VERIFIED, NOTHING
from watchkeeper.home.exclusion import Exclusion
from watchkeeper.home.exclusion import State as ExclusionState
from watchkeeper.values import Instant, Severity, id_from, id_short, rfc3339

TOLD_SEVERITIES: Final = frozenset({Severity.CRITICAL, Severity.MAJOR})
TARGETS_NAMED_MAX: Final = 5


class NoticeKind(StrEnum):
    """What routes match by `kind`."""

    ASK = "ask"
    HELD = "held"
    REFUSED = "refused"
    ESCALATED = "escalated"
    IN_DOUBT = "in_doubt"
    RUN_FAILED = "run_failed"
    RUN_ENDED = "run_ended"
    LAPSED = "lapsed"
    BROKEN_RULE = "broken_rule"
    STOPPED = "stopped"
    ROOM = "room"
    RESTORED = "restored"
    EXCLUSION = "exclusion"
    TEST = "test"
    BREAKER = "breaker"
    BRAKE = "brake"
    CALENDAR = "calendar"
    PROMOTED = "promoted"
    DEMOTED = "demoted"
    ANOMALY = "anomaly"


class Notice(Struct, frozen=True, kw_only=True):
    """A message to a person, as a route delivers it. `after_ms`: it waits so long, and is dropped when what it tells
    is over by then. `team` is the owner, for routes by team. `checkpoint` is the ledger's newest one.
    """

    id: str
    at: Instant
    kind: NoticeKind
    subject: str
    text: str
    severity: Severity
    team: str = ""
    service: str = ""
    ids: dict[str, str] = {}
    commands: tuple[str, ...] = ()
    checkpoint: str = ""
    delayed: bool = False


def of_exclusion(exclusion: Exclusion, state: ExclusionState, due_at: Instant) -> Notice:
    """An exclusion whose end or review has passed, for its owner. The id is that of the day: told twice is told once."""
    expired = state is ExclusionState.EXPIRED
    since = exclusion.until_at if expired or exclusion.review_at is None else exclusion.review_at
    what = "has expired and binds all the same" if expired else "is due for review"
    until = f"It binds until {exclusion.until_at:%Y-%m-%d}. " if not expired else ""
    return Notice(
        id=id_from("ntc", due_at, exclusion.id, state.value),
        at=due_at,
        kind=NoticeKind.EXCLUSION,
        subject=f"Exclusion {exclusion.id} {what}",
        text=f"{exclusion.reason} ({exclusion.control}; since {since:%Y-%m-%d}). {until}Renew it or remove it in "
        f"exclusions.yaml, and apply that; {exclusion.approver} approved it. You are told daily until then.",
        severity=Severity.MAJOR,
        team=exclusion.owner,
        ids={"exclusion": exclusion.id},
        commands=("wk exclusions", "wk plan", "wk apply --reason ..."),
    )


def targets_text(decision: Decision) -> str:
    names = [target.name for target in decision.targets]
    if len(names) > TARGETS_NAMED_MAX:
        return f"{', '.join(names[:TARGETS_NAMED_MAX])} and {len(names) - TARGETS_NAMED_MAX} more"
    return ", ".join(names) or "no target"


def of_approval(approval: Approval, decision: Decision) -> Notice:
    until = f" Answer by {rfc3339(decision.approve_by_at)[11:16]} UTC." if decision.approve_by_at is not None else ""
    return Notice(
        id=id_from("ntc", decision.at, approval.id, "ask"),
        at=decision.at,
        kind=NoticeKind.ASK,
        subject=f"Approve {decision.runbook} on {targets_text(decision)}?",
        text=f"{decision.reason} Rule {decision.rule}, {decision.severity.value}.{until}",
        severity=decision.severity,
        team=decision.owner,
        service=decision.targets[0].service if decision.targets else "",
        ids=_ids(decision, approval=approval.id),
        commands=(f"wk approve {approval.id}", f"wk reject {approval.id}", f"wk explain {decision.id}"),
    )


def of_decision(decision: Decision) -> tuple[Notice, ...]:
    """A page at once for what escalates; a delayed word for a hold or refusal on something critical or major."""
    match decision.verdict:
        case Verdict.REFUSE | Verdict.HOLD:
            pass
        case _:
            return ()
    if decision.escalate:
        kind, delayed = NoticeKind.ESCALATED, False
        subject = f"A person is needed: {decision.symptom or targets_text(decision)}"
    elif decision.severity in TOLD_SEVERITIES:
        held = decision.verdict is Verdict.HOLD
        kind, delayed = (NoticeKind.HELD if held else NoticeKind.REFUSED), True
        subject = f"{'Held' if held else 'Refused'} {decision.runbook} on {targets_text(decision)}"
    else:
        return ()
    return (
        Notice(
            id=id_from("ntc", decision.at, decision.episode, decision.rule, kind.value),
            at=decision.at,
            kind=kind,
            subject=subject,
            text=f"{decision.reason} Rule {decision.rule}, {decision.severity.value}.",
            severity=decision.severity,
            team=decision.owner,
            service=decision.targets[0].service if decision.targets else "",
            ids=_ids(decision),
            commands=(f"wk explain {decision.id}",),
            delayed=delayed,
        ),
    )


def of_doubt(run: str, decision: Decision, path: str, why: str, at: Instant) -> Notice:
    """At once, and again every 30 minutes until a person has said what became of it. `path` "": the whole run."""
    if not path:
        return _of_restored(run, decision, why, at)
    return Notice(
        id=id_from("ntc", at, run, path, "doubt"),
        at=at,
        kind=NoticeKind.IN_DOUBT,
        subject=f"In doubt: step {path} of {decision.runbook} on {targets_text(decision)}",
        text=f"{why} Look at the target, then say what happened; nothing more is done until then.",
        severity=decision.severity,
        team=decision.owner,
        service=decision.targets[0].service if decision.targets else "",
        ids=_ids(decision, run=run),
        commands=(
            f"wk runs settle {run} --step {quote(path)} --happened yes --reason ...",
            f"wk runs settle {run} --step {quote(path)} --happened no --reason ...",
            f"wk runs show {run}",
        ),
    )


def of_breaker(
    breaker: str, key: str, why: str, until_at: Instant | None, decision: Decision, run: str, since_at: Instant
) -> Notice:
    """Once, when it opens: not again for each trial that fails."""
    until = f" until {rfc3339(until_at)[11:16]} UTC, then tried once" if until_at is not None else ""
    last = f" The last: {why.rstrip('.')}." if why else ""
    return Notice(
        id=id_from("ntc", since_at, breaker, "opened"),
        at=since_at,
        kind=NoticeKind.BREAKER,
        subject=f"Left alone: {key}",
        text=f"It failed again and again, so it is left alone{until}.{last}",
        severity=decision.severity,
        team=decision.owner,
        service=decision.targets[0].service if decision.targets else "",
        ids={"breaker": breaker, "run": run, "decision": decision.id},
        commands=(f"wk breakers show {breaker}", f"wk breakers close {breaker} --reason ..."),
    )


def of_brake(brake: str, why: str, since_at: Instant) -> Notice:
    """Once, when it is pulled. Too much fails together for automation to go on by itself."""
    return Notice(
        id=id_from("ntc", since_at, brake, "pulled"),
        at=since_at,
        kind=NoticeKind.BRAKE,
        subject="The brake is on: a person is needed",
        text=f"{why[:1].upper()}{why[1:].rstrip('.')}. Restarts there are held; runbooks of class failover ask.",
        severity=Severity.CRITICAL,
        ids={"brake": brake},
        commands=("wk breakers", f"wk breakers release {brake} --reason ..."),
    )


def _of_restored(run: str, decision: Decision, why: str, at: Instant) -> Notice:
    return Notice(
        id=id_from("ntc", at, run, "restored"),
        at=at,
        kind=NoticeKind.IN_DOUBT,
        subject=f"In doubt since the restore: {decision.runbook} on {targets_text(decision)}",
        text=f"{why.rstrip('.')}. Look at the target, then let it go on from where the backup says, or close it.",
        severity=decision.severity,
        team=decision.owner,
        service=decision.targets[0].service if decision.targets else "",
        ids=_ids(decision, run=run),
        commands=(
            f"wk runs show {run}",
            f"wk runs resume {run} --reason ...",
            f"wk runs close {run} --force --reason ...",
        ),
    )


def of_calendar(name: str, why: str, at: Instant) -> Notice:
    """Once, when it cannot be read any more: what it covers is held until it can."""
    return Notice(
        id=id_from("ntc", at, name, "unreadable"),
        at=at,
        kind=NoticeKind.CALENDAR,
        subject=f"Calendar {name} cannot be read",
        text=f"{why[:1].upper()}{why[1:].rstrip('.')}. What it covers is held until it can be read again.",
        severity=Severity.MAJOR,
        commands=(f"wk calendars show {name}", f"wk calendars read {name}"),
    )


BAD_ENDS: Final = frozenset({Status.FAILED, Status.UNDO_FAILED, Status.STOPPED, Status.UNDONE, Status.CLOSED})


def of_end(run: str, decision: Decision, status: Status, why: str, state: str, at: Instant) -> Notice | None:
    """Every end that a person has to know of. Success is a quiet line that only routes which ask for it carry."""
    if status in {Status.LAPSED, Status.CANCELLED}:
        return None
    bad = status in BAD_ENDS
    words = {
        Status.UNDO_FAILED: "Undo failed",
        Status.UNDONE: "Undone",
        Status.STOPPED: "Stopped",
        Status.CLOSED: "Closed",
    }
    word = words.get(status, "Failed" if bad else _good(state))
    return Notice(
        id=id_from("ntc", at, run, "end"),
        at=at,
        kind=NoticeKind.RUN_FAILED if bad else NoticeKind.RUN_ENDED,
        subject=f"{word}: {decision.runbook} on {targets_text(decision)}",
        text=". ".join(part.rstrip(".") for part in (why, state) if part) + "."
        if why or state
        else f"{id_short(run)} ended {status.value}.",
        severity=Severity.CRITICAL if status is Status.UNDO_FAILED else decision.severity,
        team=decision.owner,
        service=decision.targets[0].service if decision.targets else "",
        ids=_ids(decision, run=run),
        commands=(f"wk runs show {run}",),
    )


def _good(state: str) -> str:
    """A run that nobody verified, or that sent nothing, repaired nothing that anybody knows of."""
    if state.endswith(NOT_VERIFIED):
        return "Done, not verified"
    return "Looked, sent nothing" if state.endswith(NOTHING) else "Repaired"


def _ids(decision: Decision, **more: str) -> dict[str, str]:
    found = {"decision": decision.id, "alert": decision.alert, "incident": decision.incident, **more}
    return {name: value for name, value in found.items() if value}
