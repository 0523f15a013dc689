"""A person leads the investigation: automation waits for these services."""

from typing import Final

from watchkeeper.guards.cover import covered
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Hold, Proposal, Situation
from watchkeeper.guards.words import clipped, count_of, when

RESTORE: Final = "restore"  # the origin of the hold that a restore leaves behind
_NAMES: Final = ("hold",)
_NONE: Final = Finding(
    guard="hold",
    outcome=Outcome.PASS,
    reason="Nobody holds automation.",
    names=_NAMES,
    change="Somebody takes the lead.",
)


def hold(proposal: Proposal, situation: Situation) -> Finding:
    """A hold suspends automation, so it does not stand in the way of its own author; anybody else waits for it."""
    if not situation.holds:
        return _NONE
    found = [each for each in situation.holds if _in_force(each, situation) and covered(each.scope, proposal)]
    binding = [each for each in found if proposal.actor != f"person:{each.by}"]
    if not binding:
        own = f"{proposal.actor.partition(':')[2]} holds automation here and acts in person."
        none = f"None of {count_of(len(situation.holds), 'hold')} covers these targets."
        return Finding(
            guard="hold",
            outcome=Outcome.PASS,
            reason=own if found else none,
            evidence={"holds": [each.id for each in situation.holds]},
            names=_NAMES,
        )
    last = max(binding, key=lambda each: (each.until_at, each.id))
    if last.origin == RESTORE:
        return Finding(
            guard="hold",
            outcome=Outcome.HOLD,
            reason=f"The store was restored at {when(last.at, situation.at)}, and automation is held since: {clipped(last.reason)}.",
            evidence={"holds": [each.id for each in binding]},
            until_at=last.until_at,
            names=_NAMES,
            change="An admin resumes automation: wk resume --after-restore; it is then decided afresh.",
        )
    return Finding(
        guard="hold",
        outcome=Outcome.HOLD,
        reason=f"{last.by} leads here until {when(last.until_at, situation.at)}: {clipped(last.reason)}.",
        evidence={"holds": [each.id for each in binding]},
        until_at=last.until_at,
        names=_NAMES,
        change=f"{last.by} lifts the hold, or it expires; it is then decided afresh.",
    )


def _in_force(each: Hold, situation: Situation) -> bool:
    """None runs out by a clock that cannot be trusted: a run that goes on is not asked about the clock."""
    return each.lifted_at is None and (situation.at < each.until_at or not situation.clock.trusted)
