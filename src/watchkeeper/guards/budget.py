"""The error budget of the service. A spent one means that somebody should look before anything else is risked.

Source: SRE Workbook, "Example Error Budget Policy": a spent budget stops risky changes.
"""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.measured import unusable
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.guards.words import percent

_NONE: Final = Finding(guard="budget", outcome=Outcome.PASS, reason="No error budget is declared.", configured=False)


def budget(proposal: Proposal, situation: Situation) -> Finding:  # noqa: ARG001  every guard is asked the same way
    """`value` is the budget left in parts per million; `limit` the floor, by default nothing left."""
    measured = situation.budget
    if measured is None:
        return _NONE
    unknown = unusable("budget", "The error budget", measured, situation.at)
    if unknown is not None:
        return unknown
    left = measured.value or 0
    spent = left <= 0 if measured.limit is None else left < measured.limit
    floor = measured.limit or 0
    if spent:
        return Finding(
            guard="budget",
            outcome=Outcome.ASK,
            reason=f"The error budget is spent: {percent(left)} is left, and the floor for acting is {percent(floor)}.",
            evidence={"name": measured.name, "floor_ppm": floor, "seen": {"left_ppm": left}},
            change=f"More than {percent(floor)} of the budget is left.",
        )
    return Finding(
        guard="budget",
        outcome=Outcome.PASS,
        reason=f"The error budget is above the floor for acting: {percent(left)} is left, the floor is {percent(floor)}.",
        evidence={"name": measured.name, "floor_ppm": floor, "seen": {"left_ppm": left}},
    )
