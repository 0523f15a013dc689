"""Whether a number with an age can be used at all: what was never read, or too long ago, is unknown."""

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Measured
from watchkeeper.guards.words import clipped
from watchkeeper.values import Instant, duration_text, ms_between


def unusable(guard: str, subject: str, measured: Measured, now: Instant) -> Finding | None:
    """`hold: unknown` with the age of the reading; None when it may be used."""
    if measured.value is None or measured.as_of is None:
        why = "was never read" if measured.as_of is None else "could not be read"
    else:
        age_ms = ms_between(measured.as_of, now)
        if age_ms <= measured.age_max_ms:
            return None
        why = f"was read {duration_text(age_ms // 1000 * 1000)} ago and counts for {duration_text(measured.age_max_ms)}"
    return Finding(
        guard=guard,
        outcome=Outcome.HOLD,
        reason=f"{subject} is unknown: {clipped(measured.name)} {why}.",
        evidence={"known": False, "name": measured.name},
        unknown=True,
        change=f"{clipped(measured.name)} is read again.",
    )
