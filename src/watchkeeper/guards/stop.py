"""The kill switch. It holds and does not refuse: a stop says nothing against the proposal, and when it is lifted
what still matters is decided afresh. Nothing that was held is ever replayed.
"""

from typing import Final

from watchkeeper.guards.cover import covered
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.guards.words import clipped, count_of, when

_NAMES: Final = ("stop",)
_RUNNING: Final = Finding(
    guard="stop", outcome=Outcome.PASS, reason="Automation is on.", names=_NAMES, change="Somebody stops automation."
)


def stop(proposal: Proposal, situation: Situation) -> Finding:
    """Binds people's runs as well as automation's."""
    if not situation.stops:
        return _RUNNING
    pressed = [each for each in situation.stops if each.lifted_at is None and covered(each.scope, proposal)]
    if not pressed:
        return Finding(
            guard="stop",
            outcome=Outcome.PASS,
            reason=f"None of {count_of(len(situation.stops), 'stop')} in force covers these targets.",
            evidence={"stops": [each.id for each in situation.stops]},
            names=_NAMES,
        )
    first = pressed[0]
    return Finding(
        guard="stop",
        outcome=Outcome.HOLD,
        reason=f"{first.by} stopped automation at {when(first.at, situation.at)}: {clipped(first.reason)}.",
        evidence={"stops": [each.id for each in pressed]},
        names=_NAMES,
        change="Somebody resumes automation; it is then decided afresh.",
    )
