"""Whether the pack may be used here: signed by somebody this environment trusts, and not revoked since."""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.guards.words import clipped

_NAMES: Final = ("configuration",)
_NO_POLICY: Final = Finding(
    guard="trust",
    outcome=Outcome.PASS,
    reason="No trust policy is set; every pack of the active configuration is accepted.",
    names=_NAMES,
    configured=False,
)


def trust(proposal: Proposal, situation: Situation) -> Finding:
    if situation.untrusted:
        return Finding(
            guard="trust",
            outcome=Outcome.REFUSE,
            reason=f"Pack {proposal.pack} {proposal.pack_version} is not trusted here: {clipped(situation.untrusted)}.",
            evidence={"pack": proposal.pack, "version": proposal.pack_version},
            names=_NAMES,
            change="A signed, unrevoked version of the pack is applied.",
            escalate=True,
        )
    if not situation.trusted_pack:
        return _NO_POLICY
    return Finding(
        guard="trust",
        outcome=Outcome.PASS,
        reason=f"Pack {proposal.pack} {proposal.pack_version} is trusted: {clipped(situation.trusted_pack)}.",
        evidence={"pack": proposal.pack, "version": proposal.pack_version},
        names=_NAMES,
    )
