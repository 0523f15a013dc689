"""Whether a fingerprint goes up and down too often to be believed.

In: the episodes of one fingerprint. Out: `Flapping`, an explanation whichever way it answers.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from watchkeeper.correlate.alert import Alert, AlertState
from watchkeeper.values import Instant, after_ms, duration_text, rfc3339

TRANSITIONS_MAX: Final = 6  # three times down and up
WINDOW_MS: Final = 1_800_000


class Flapping(Struct, frozen=True, kw_only=True):
    """`until_at`: when, with no further transition, it counts as calm again."""

    flapping: bool
    transitions: int
    window_ms: int
    sentence: str
    until_at: Instant | None = None


def flapping(
    episodes: Iterable[Alert], now: Instant, transitions_max: int = TRANSITIONS_MAX, window_ms: int = WINDOW_MS
) -> Flapping:
    """`transitions_max` or more transitions, by our receipt, in (now - window, now]: flapping."""
    since_at = after_ms(now, -window_ms)
    seen = sorted(at for alert in episodes for at in _transitions(alert) if since_at < at <= now)
    window = duration_text(window_ms)
    counted = f"{len(seen)} transitions in {window}"
    if len(seen) < transitions_max:
        return Flapping(
            flapping=False,
            transitions=len(seen),
            window_ms=window_ms,
            sentence=f"not flapping: {counted}, fewer than {transitions_max}",
        )
    until_at = after_ms(seen[-transitions_max], window_ms)
    return Flapping(
        flapping=True,
        transitions=len(seen),
        window_ms=window_ms,
        until_at=until_at,
        sentence=f"flapping: {counted}, at least {transitions_max}; calm at {rfc3339(until_at)[11:16]} UTC if nothing more changes",
    )


def _transitions(alert: Alert) -> Iterable[Instant]:
    if alert.fired_at is not None:
        yield alert.first_seen_at
    if alert.state is AlertState.RESOLVED and alert.cleared_at is not None:
        yield alert.cleared_at
