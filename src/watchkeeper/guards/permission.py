"""Whether whoever acts may do this: authorization's answer, and each step's declared permission."""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Need, Proposal, Situation
from watchkeeper.guards.words import clipped, count_of

_NAMES: Final = ("configuration",)
_NO_STEPS: Final = Finding(
    guard="permission", outcome=Outcome.PASS, reason="No step needs a permission.", names=_NAMES, configured=False
)


def permission(proposal: Proposal, situation: Situation) -> Finding:
    """At *continue* the proposal carries only the step that comes next (`order.for_step`)."""
    if situation.denied:
        return Finding(
            guard="permission",
            outcome=Outcome.REFUSE,
            reason=f"{proposal.actor} may not run {proposal.runbook}: {clipped(situation.denied)}.",
            evidence={"actor": proposal.actor, "runbook": proposal.runbook},
            names=_NAMES,
            change="A policy that permits it is applied.",
        )
    for need in proposal.needs:
        if not need.permitted:
            return Finding(
                guard="permission",
                outcome=Outcome.REFUSE,
                reason=f"Step {need.step} may not use {need.action}: {_why(need)}.",
                evidence={"step": need.step, "action": need.action, "via": need.via.value},
                names=_NAMES,
                change=f"{proposal.runbook} declares a permission for {need.action}, and a reviewer applies it.",
            )
    if not proposal.needs:
        return _NO_STEPS
    return Finding(
        guard="permission",
        outcome=Outcome.PASS,
        reason=f"{count_of(len(proposal.needs), 'step')} within the permissions of {proposal.runbook}.",
        names=_NAMES,
    )


def _why(need: Need) -> str:
    return clipped(need.why_not) or "the runbook declares no permission for it"
