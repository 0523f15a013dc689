"""An approval: named findings of one decision, answered by people, for one binding digest (SEMANTICS 5).

`request` makes it, `approve.answer` adds a person's word, `lapse` ends it when the world has moved on, `uncovered` says
which findings it does not answer. All pure: the engine stores what comes back.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from watchkeeper.approve.roles import Verb
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.decide.episode import severity_fell
from watchkeeper.guards.finding import Finding, Outcome, answer_key
from watchkeeper.guards.words import names_of, when
from watchkeeper.values import Instant, Severity, after_ms, digest, id_from, ms_between


class State(StrEnum):
    """`void`: what it was bound to changed. `lapsed`: nobody needs it any more. Both did nothing."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    LAPSED = "lapsed"
    VOID = "void"


class FourEyes(StrEnum):
    """`none`: the requester was the only identity, outside production, and answered for itself."""

    KEPT = "kept"
    NONE = "none"


class Question(Struct, frozen=True, kw_only=True):
    """One finding that asks. `key` is `guard:evidence digest`."""

    guard: str
    key: str
    reason: str


class Answer(Struct, frozen=True, kw_only=True):
    """`digest` is the binding that was displayed to the person."""

    identity: str
    name: str
    verb: Verb
    at: Instant
    digest: str
    comment: str = ""


class Approval(Struct, frozen=True, kw_only=True):
    """`by` are groups and names of whom `count` different ones are needed; empty: anybody with the permission.
    `requester` is the identity that wants the run, `automation` when no person does. `start_by_at` is set by the last
    approval. `path` is the step that asks, "" when the decision does; `shown` are then the values the card carries.
    """

    id: str
    decision: str
    run: str
    rule: str
    runbook: str
    binding: str
    findings: tuple[Question, ...]
    asked_at: Instant
    expires_at: Instant
    start_by_ms: int
    by: tuple[str, ...] = ()
    count: int = 1
    requester: str = "automation"
    production: bool = True
    emergency: bool = False
    severity: Severity = Severity.INFO
    configuration: str = ""
    epoch: int = 0
    episode: str = ""
    service: str = ""
    team: str = ""
    targets: tuple[str, ...] = ()
    state: State = State.PENDING
    answers: tuple[Answer, ...] = ()
    four_eyes: FourEyes = FourEyes.KEPT
    ended_at: Instant | None = None
    start_by_at: Instant | None = None
    why: str = ""
    path: str = ""
    shown: dict[str, Any] = {}
    incident: str = ""


class Present(Struct, frozen=True, kw_only=True):
    """What is so now, for `lapse`. `firing` False: resolved or unseen. `binding` "" where it was not worked out again."""

    configuration: str
    epoch: int
    firing: bool = True
    severity: Severity | None = None
    binding: str = ""
    changed: tuple[str, ...] = ()


# -- asking ------------------------------------------------------------------------------------------


def request(
    decision: Decision,
    *,
    run: str,
    epoch: int,
    by: tuple[str, ...] = (),
    count: int = 1,
    answered: tuple[str, ...] = (),
) -> Approval:
    """The request of a decision whose verdict is `ask`, for every finding that asks and is not in `answered`.

    A freeze among them makes it an emergency: who approves it needs that permission too.
    """
    assert decision.verdict is Verdict.ASK, "only an ask is answered by an approval"
    assert decision.approve_by_at is not None
    questions = _questions(decision.findings, answered)
    return _asked(
        decision,
        run=run,
        epoch=epoch,
        by=by,
        count=count,
        at=decision.at,
        expires_at=decision.approve_by_at,
        questions=questions,
        binding=decision.binding,
        identity=("", *[each.key for each in questions]),
    )


def request_step(
    decision: Decision,
    *,
    run: str,
    epoch: int,
    path: str,
    by: tuple[str, ...],
    count: int,
    within_ms: int,
    shown: dict[str, Any],
    at: Instant,
) -> Approval:
    """The request of a runbook's own `approve` step. It is bound to what it shows as well."""
    key = f"step:{path}:{digest(shown)}"
    question = Question(guard="step", key=key, reason=f"Step {path} of {decision.runbook} asks before it goes on.")
    asked = _asked(
        decision,
        run=run,
        epoch=epoch,
        by=by,
        count=count,
        at=at,
        expires_at=after_ms(at, within_ms),
        questions=(question,),
        binding=digest([decision.binding, path, shown]),
        identity=(path, key),
    )
    return msgspec.structs.replace(asked, path=path, shown=shown)


def _asked(
    decision: Decision,
    *,
    run: str,
    epoch: int,
    by: tuple[str, ...],
    count: int,
    at: Instant,
    expires_at: Instant,
    questions: tuple[Question, ...],
    binding: str,
    identity: tuple[str, ...],
) -> Approval:
    assert count >= 1, "an approval by nobody is none"
    return Approval(
        id=id_from("apr", at, decision.id, run, *identity),
        decision=decision.id,
        run=run,
        rule=decision.rule,
        runbook=decision.runbook,
        binding=binding,
        findings=questions,
        asked_at=at,
        expires_at=expires_at,
        start_by_ms=_start_by_ms(decision),
        by=by,
        count=count,
        requester=decision.actor.removeprefix("person:"),
        production=any(target.production for target in decision.targets),
        emergency=any(each.guard == "freeze" for each in questions),
        severity=decision.severity,
        configuration=decision.configuration,
        epoch=epoch,
        episode=decision.episode,
        service=decision.targets[0].service,
        team=decision.owner,
        targets=tuple(target.name for target in decision.targets),
        incident=decision.incident,
    )


def _start_by_ms(decision: Decision) -> int:
    assert decision.start_by_at is not None
    return ms_between(decision.at, decision.start_by_at)


def _questions(findings: Iterable[Finding], answered: tuple[str, ...]) -> tuple[Question, ...]:
    asking = [(each, answer_key(each)) for each in findings if each.outcome is Outcome.ASK]
    return tuple(Question(guard=each.guard, key=key, reason=each.reason) for each, key in asking if key not in answered)


# -- ending ------------------------------------------------------------------------------------------


def lapse(approval: Approval, present: Present, now: Instant) -> Approval:
    """The approval as it stands now: unchanged, lapsed or void with why. One that was given dies in the same way until
    its run starts; the engine stops asking once it has started.
    """
    if approval.state not in {State.PENDING, State.APPROVED}:
        return approval
    state, why = _ends(approval, present, now)
    if not why:
        return approval
    return msgspec.structs.replace(approval, state=state, ended_at=now, why=why)


def _ends(approval: Approval, present: Present, now: Instant) -> tuple[State, str]:
    if present.epoch != approval.epoch:
        return State.VOID, "The store was restored; approvals from before it are void."
    if present.configuration != approval.configuration:
        return State.LAPSED, "The configuration changed. It is decided afresh."
    if present.binding and present.binding != approval.binding:
        changed = f"{names_of(present.changed)} changed" if present.changed else "What it was bound to changed"
        return State.VOID, f"{changed}. Review the new request."
    if not present.firing:
        return State.LAPSED, "No longer needed: the alert resolved."
    if present.severity is not None and severity_fell(approval.severity, present.severity):
        return State.LAPSED, f"Severity fell from {approval.severity.value} to {present.severity.value}."
    if approval.state is State.PENDING and now >= approval.expires_at:
        return State.LAPSED, f"Nobody answered by {when(approval.expires_at, now)}. Nothing was done."
    if approval.start_by_at is not None and now >= approval.start_by_at:
        return State.LAPSED, f"Approved, but it did not start by {when(approval.start_by_at, now)}. Nothing was done."
    return approval.state, ""


# -- what it covers ----------------------------------------------------------------------------------


def answered(approvals: Iterable[Approval]) -> tuple[str, ...]:
    """The keys of findings that given approvals answer: `Situation.answered`. A freeze only by an emergency approval."""
    keys = {
        question.key
        for approval in approvals
        if approval.state is State.APPROVED
        for question in approval.findings
        if question.guard != "freeze" or approval.emergency
    }
    return tuple(sorted(keys))


def uncovered(approval: Approval, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings that still stand in the way: an ask that is not in the approval asks anew; hold and refuse always do."""
    keys = answered((approval,))
    return tuple(
        each
        for each in findings
        if each.outcome in {Outcome.REFUSE, Outcome.HOLD}
        or (each.outcome is Outcome.ASK and answer_key(each) not in keys)
    )
