"""Whether somebody answers for this automation. Without an owner there is nobody to ask and nobody to tell."""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Situation

_NAMES: Final = ("configuration",)


def ownership(proposal: Proposal, situation: Situation) -> Finding:
    subject = proposal.rule or proposal.runbook
    if not proposal.owner:
        return Finding(
            guard="ownership",
            outcome=Outcome.REFUSE,
            reason=f"Nobody owns {subject}.",
            evidence={"owner": ""},
            names=_NAMES,
            change=f"{subject} names its owner.",
        )
    if not situation.owner_known:
        return Finding(
            guard="ownership",
            outcome=Outcome.REFUSE,
            reason=f"{proposal.owner} owns {subject}, but the catalogue does not know {proposal.owner}.",
            evidence={"owner": proposal.owner},
            names=_NAMES,
            change=f"The catalogue declares {proposal.owner}, or {subject} names another owner.",
        )
    return Finding(guard="ownership", outcome=Outcome.PASS, reason=f"{proposal.owner} owns {subject}.", names=_NAMES)
