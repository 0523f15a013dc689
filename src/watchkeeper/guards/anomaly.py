"""Whether automation acts as often as it usually does for this rule and time of week."""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.measured import unusable
from watchkeeper.guards.situation import Proposal, Situation

_NONE: Final = Finding(
    guard="anomaly", outcome=Outcome.PASS, reason="Nothing watches how often this acts.", configured=False
)


def anomaly(proposal: Proposal, situation: Situation) -> Finding:
    """`value` and `limit` are in the unit that the measure's name states; a value above the limit asks."""
    measured = situation.anomaly
    if measured is None:
        return _NONE
    unknown = unusable("anomaly", "Whether this is unusual", measured, situation.at)
    if unknown is not None:
        return unknown
    if measured.limit is None:
        return Finding(
            guard="anomaly",
            outcome=Outcome.HOLD,
            reason=f"Whether this is unusual is unknown: {measured.name} has no limit.",
            evidence={"known": False, "name": measured.name},
            unknown=True,
            change=f"{measured.name} gets a limit.",
        )
    value = measured.value or 0
    evidence = {"name": measured.name, "limit": measured.limit, "seen": {"value": value}}
    if value > measured.limit:
        return Finding(
            guard="anomaly",
            outcome=Outcome.ASK,
            reason=f"{proposal.rule} acts unusually often: {measured.name} is {value:,}, the limit is {measured.limit:,}.",
            evidence=evidence,
            change=f"{measured.name} falls to {measured.limit:,} or below.",
        )
    return Finding(
        guard="anomaly",
        outcome=Outcome.PASS,
        reason=f"It acts as often as usual: {measured.name} is {value:,}, the limit is {measured.limit:,}.",
        evidence=evidence,
    )
