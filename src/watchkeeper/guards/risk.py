"""The risk class of the runbook: a class that may not act by itself asks, whoever starts it."""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.packs.rule import Mode, Risk

_NAMES: Final = ("configuration",)
_MAY_ACT: Final = {
    risk: Finding(
        guard="risk",
        outcome=Outcome.PASS,
        reason=f"{risk.value.capitalize()} risk may act by itself here.",
        names=_NAMES,
    )
    for risk in Risk
}


def risk(proposal: Proposal, situation: Situation) -> Finding:
    """A person's own run included: the ladder does not bind a person, the second pair of eyes does."""
    ceiling = situation.ladder.risk_ceiling
    if ceiling is Mode.AUTO:
        return _MAY_ACT[proposal.risk]
    return Finding(
        guard="risk",
        outcome=Outcome.ASK,
        reason=f"{proposal.runbook} is of {proposal.risk.value} risk, and that class may go no further than {ceiling.value} here.",
        evidence={"risk": proposal.risk.value, "ceiling": ceiling.value},
        names=_NAMES,
        change=f"The policy lets {proposal.risk.value} risk act here, or the runbook risks less.",
    )
