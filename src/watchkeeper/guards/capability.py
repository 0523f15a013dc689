"""Whether the targets can be automated at all, and whether this release can do what the runbook asks."""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Situation, Target
from watchkeeper.guards.words import names_of
from watchkeeper.packs.runbook import Effect, Via

REALTIME: Final = "realtime"
DELAYED: Final = "delayed"


def capability(proposal: Proposal, situation: Situation) -> Finding:
    """The strictest of its questions answers. An entity without a reach is observed only: no step runs on it."""
    targets = proposal.targets
    names = tuple([f"target:{target.ref}" for target in targets])
    if proposal.unbuilt:
        return _refuse(
            f"{proposal.runbook} uses what this release cannot do yet: {names_of(proposal.unbuilt)}.",
            {"unbuilt": list(proposal.unbuilt)},
            names,
            "The runbook does without it, or a release that has it is installed.",
        )
    delayed: Target | None = None
    for target in targets:
        if target.automation == DELAYED:
            delayed = delayed or target
        elif target.automation != REALTIME:
            return _refuse(
                f"{target.name} is not automated (watchkeeper.dev/automation: {target.automation}). "
                f"Hand its checklist to {target.owner or 'its owner'}.",
                {"target": target.ref, "automation": target.automation},
                names,
                f"The catalogue declares {target.name} as realtime or delayed.",
                escalate=True,
            )
        if not target.reach:
            return _refuse(
                f"{target.name} has no watchkeeper.dev/reach, so it is only observed.",
                {"target": target.ref, "reach": ""},
                names,
                f"The catalogue declares how {target.name} is reached: {', '.join(Via)}.",
            )
    local = None if situation.local_allowed else _local_in_production(proposal)
    if local:
        return _refuse(
            f"Step {local} would run on this node itself (via: local), which is not allowed in production.",
            {"step": local, "via": Via.LOCAL.value},
            names,
            "The step is reached another way, or via: local is allowed in watchkeeper.yaml.",
        )
    if situation.unreached is not None:
        gap = situation.unreached
        return _refuse(
            f"{gap.name} cannot be reached by {gap.via}: {gap.why}.",
            {"target": gap.target, "via": gap.via, "attribute": gap.attribute},
            names,
            f"The catalogue declares the {gap.attribute} of {gap.name}.",
        )
    if delayed is not None:
        return Finding(
            guard="capability",
            outcome=Outcome.ASK,
            reason=f"{delayed.name} is automated with a delay: a person says yes first.",
            evidence={"targets": [target.ref for target in targets if target.automation == DELAYED]},
            names=names,
            change=f"The catalogue declares {delayed.name} as realtime.",
        )
    return Finding(
        guard="capability",
        outcome=Outcome.PASS,
        reason="Every target is automated and can be reached." if len(targets) > 1 else _reached(targets[0]),
        names=names,
    )


def _reached(target: Target) -> str:
    return f"{target.name} is automated and reached by {target.reach}."


def _local_in_production(proposal: Proposal) -> str:
    """The first step that would change something from this node on behalf of production; "" when none would."""
    for need in proposal.needs:
        if need.via is Via.LOCAL and need.effect is not Effect.READ:
            return need.step if any(target.production for target in proposal.targets) else ""
    return ""


def _refuse(
    reason: str, evidence: dict[str, object], names: tuple[str, ...], change: str, *, escalate: bool = False
) -> Finding:
    return Finding(
        guard="capability",
        outcome=Outcome.REFUSE,
        reason=reason,
        evidence=evidence,
        names=names,
        change=change,
        escalate=escalate,
    )
