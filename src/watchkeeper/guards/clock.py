"""Whether wall time can be trusted. Freezes, holds and windows mean nothing to a clock that jumps.

Source: SEMANTICS 8; trusted again once it has agreed for 60 s.
"""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.guards.words import clipped
from watchkeeper.values import after_ms

AGREES_MS: Final = 60_000

_TRUSTED: Final = Finding(guard="clock", outcome=Outcome.PASS, reason="Wall time agrees with the monotonic clock.")


def clock(proposal: Proposal, situation: Situation) -> Finding:  # noqa: ARG001  every guard is asked the same way
    seen = situation.clock
    if not seen.trusted:
        return Finding(
            guard="clock",
            outcome=Outcome.HOLD,
            reason=f"Wall time cannot be trusted: {clipped(seen.why) or 'it disagrees with the monotonic clock'}.",
            evidence={"trusted": False},
            unknown=True,
            escalate=True,
            change="Wall time agrees again for 60 s; check time synchronisation on this node.",
        )
    if seen.since_at is not None and situation.at < after_ms(seen.since_at, AGREES_MS):
        return Finding(
            guard="clock",
            outcome=Outcome.HOLD,
            reason="Wall time agrees again, but not yet for 60 s.",
            evidence={"trusted": True},
            unknown=True,
            until_at=after_ms(seen.since_at, AGREES_MS),
            change="Wall time goes on agreeing until 60 s have passed.",
        )
    return _TRUSTED
