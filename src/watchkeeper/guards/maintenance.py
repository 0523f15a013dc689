"""Announced maintenance: alerts of these targets are expected, and other hands are on them."""

from typing import Final

from watchkeeper.guards.cover import covered
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.guards.words import clipped, count_of, when

_NAMES: Final = ("configuration", "maintenance")
_NONE: Final = Finding(
    guard="maintenance", outcome=Outcome.PASS, reason="No maintenance is announced.", names=_NAMES, configured=False
)


def maintenance(proposal: Proposal, situation: Situation) -> Finding:
    if not situation.maintenance:
        return _NONE
    now = situation.at
    under_way = [
        each for each in situation.maintenance if each.from_at <= now < each.until_at and covered(each.scope, proposal)
    ]
    if not under_way:
        return Finding(
            guard="maintenance",
            outcome=Outcome.PASS,
            reason=f"None of {count_of(len(situation.maintenance), 'maintenance window')} covers these targets now.",
            evidence={"windows": [each.id for each in situation.maintenance]},
            names=_NAMES,
        )
    last = max(under_way, key=lambda each: (each.until_at, each.id))
    return Finding(
        guard="maintenance",
        outcome=Outcome.HOLD,
        reason=f"Maintenance until {when(last.until_at, now)}: {clipped(last.reason)}.",
        evidence={"windows": [each.id for each in under_way]},
        until_at=last.until_at,
        names=_NAMES,
        change="The maintenance window ends.",
    )
