"""Whether the reason to act is still there: the alert fires, was seen lately, and does not flap."""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.guards.words import clipped, when

_NO_ALERT: Final = Finding(
    guard="still_firing",
    outcome=Outcome.PASS,
    reason="No alert stands behind this: somebody asked for it.",
    configured=False,
)
_FIRING: Final = Finding(guard="still_firing", outcome=Outcome.PASS, reason="The alert fires.", change="It resolves.")


def still_firing(proposal: Proposal, situation: Situation) -> Finding:  # noqa: ARG001  every guard is asked the same way
    alert = situation.alert
    if alert is None:
        return _NO_ALERT
    if not alert.firing:
        return Finding(
            guard="still_firing",
            outcome=Outcome.REFUSE,
            reason="No longer needed: the alert resolved.",
            evidence={"alert": alert.id, "firing": False},
            change="The alert fires again; that is a new episode.",
        )
    if alert.stale:
        return Finding(
            guard="still_firing",
            outcome=Outcome.HOLD,
            reason=f"The alert was last seen at {when(alert.last_seen_at, situation.at)}: nobody knows whether it still fires.",
            evidence={"alert": alert.id, "stale": True},
            unknown=True,
            change=f"{alert.source} sends the alert again, or says that it resolved.",
        )
    if alert.flapping:
        return Finding(
            guard="still_firing",
            outcome=Outcome.HOLD,
            reason=f"The alert flaps: {clipped(alert.flapping)}.",
            evidence={"alert": alert.id, "flapping": True},
            change="The alert stays in one state.",
        )
    return _FIRING
