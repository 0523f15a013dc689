"""The guards in their one fixed order, and which of them are asked at which moment (SEMANTICS 2)."""

from collections.abc import Callable
from typing import Final

import msgspec

from watchkeeper.guards.anomaly import anomaly
from watchkeeper.guards.attempts import attempts
from watchkeeper.guards.autonomy import autonomy
from watchkeeper.guards.blast_radius import blast_radius
from watchkeeper.guards.breaker import breaker
from watchkeeper.guards.budget import budget
from watchkeeper.guards.capability import capability
from watchkeeper.guards.clock import clock
from watchkeeper.guards.corroboration import corroboration
from watchkeeper.guards.dependency import dependency
from watchkeeper.guards.deploy import deploy
from watchkeeper.guards.exclusion import exclusion
from watchkeeper.guards.finding import Finding, Moment, Outcome, answer_key
from watchkeeper.guards.freeze import freeze
from watchkeeper.guards.hold import hold
from watchkeeper.guards.maintenance import maintenance
from watchkeeper.guards.ownership import ownership
from watchkeeper.guards.permission import permission
from watchkeeper.guards.risk import risk
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.guards.still_firing import still_firing
from watchkeeper.guards.stop import stop
from watchkeeper.guards.trust import trust
from watchkeeper.guards.words import clipped

Guard = Callable[[Proposal, Situation], Finding]

ORDER: Final[tuple[Guard, ...]] = (
    stop,
    trust,
    clock,
    exclusion,
    capability,
    permission,
    ownership,
    still_firing,
    hold,
    freeze,
    maintenance,
    deploy,
    attempts,
    breaker,
    blast_radius,
    dependency,
    corroboration,
    budget,
    anomaly,
    risk,
    autonomy,
)

ROOM: Final = "room"  # a version that is raised when a run ends and something waits for its place

NAMES: Final = tuple(guard.__name__ for guard in ORDER)

AT: Final[dict[Moment, tuple[Guard, ...]]] = {
    Moment.DECIDE: ORDER,
    Moment.START: ORDER,
    Moment.CONTINUE: (stop, trust, exclusion, permission, hold, freeze),
    Moment.UNDO: (stop, exclusion),
}


def ask(moment: Moment, proposal: Proposal, situation: Situation) -> tuple[Finding, ...]:
    """Every guard of the moment, whatever the ones before it said: a record holds all reasons, not the first."""
    findings = tuple([guard(proposal, situation) for guard in AT[moment]])
    if situation.unread:
        findings = tuple([_unread(finding, situation) for finding in findings])
    if situation.contended:
        findings = tuple([_contended(finding, situation) for finding in findings])
    return findings


def for_step(proposal: Proposal, step: str) -> Proposal:
    """The proposal with only what this step requires: what *continue* asks of `permission`.

    A step that no need names is judged by all of them, so that a path nobody expected is not a step without bounds.
    """
    needs = tuple(need for need in proposal.needs if need.step == step)
    return msgspec.structs.replace(proposal, needs=needs or proposal.needs)


def first_no(findings: tuple[Finding, ...], answered: tuple[str, ...] = ()) -> Finding | None:
    """What stands in the way of an effect, strictest first; None when it may go. `answered` is `Situation.answered`.

    For *start*, *continue* and *undo*: an ask that no approval answered stands in the way too.
    """
    for outcome in (Outcome.REFUSE, Outcome.HOLD, Outcome.ASK):
        for finding in findings:
            if finding.outcome is outcome and not (outcome is Outcome.ASK and answer_key(finding) in answered):
                return finding
    return None


def _contended(finding: Finding, situation: Situation) -> Finding:
    """Limits are claimed, not checked: what found no room waits for some, and says whose it is (SEMANTICS 3)."""
    if finding.guard != attempts.__name__ or finding.outcome is Outcome.REFUSE:
        return finding
    return Finding(
        guard=finding.guard,
        outcome=Outcome.HOLD,
        reason=f"Contention: {clipped(situation.contended)}.",
        evidence={"contention": True},
        names=(*finding.names, ROOM),
        change="Another run ends, and there is room; it is then decided afresh.",
    )


def _unread(finding: Finding, situation: Situation) -> Finding:
    """A guard whose configured input could not be read holds, unless it refuses for another reason."""
    why = situation.unread.get(finding.guard)
    if why is None or finding.outcome is Outcome.REFUSE:
        return finding
    return Finding(
        guard=finding.guard,
        outcome=Outcome.HOLD,
        reason=f"What {finding.guard.replace('_', ' ')} looks at could not be read: {clipped(why)}.",
        evidence={"known": False},
        until_at=finding.until_at,
        names=finding.names,
        unknown=True,
        change="It can be read again.",
    )
