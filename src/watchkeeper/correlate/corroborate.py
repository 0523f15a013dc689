"""Whether enough independent observers see the same symptom (alert name and service).

In: the alerts of a symptom by group. Out: `Corroboration`. Groups count, not senders: an Alertmanager pair is one.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from watchkeeper.correlate.alert import Alert, AlertState, state_at
from watchkeeper.values import Instant, after_ms, duration_text


class Corroboration(Struct, frozen=True, kw_only=True):
    enough: bool
    groups: tuple[str, ...]
    wanted: int
    within_ms: int
    sentence: str


def corroborate(
    symptom: str, by_group: Mapping[str, Iterable[Alert]], *, wanted: int, within_ms: int, now: Instant
) -> Corroboration:
    """A group counts while it says firing, and for `within_ms` after it last said so, by our receipt."""
    since_at = after_ms(now, -within_ms)
    groups = tuple(sorted(g for g, alerts in by_group.items() if any(_sees(a, since_at, now) for a in alerts)))
    enough = len(groups) >= wanted
    named = ", ".join(groups) or "none"
    verdict = "corroborated" if enough else "not corroborated"
    return Corroboration(
        enough=enough,
        groups=groups,
        wanted=wanted,
        within_ms=within_ms,
        sentence=f"{symptom}: {verdict}: {len(groups)} of {wanted} groups within {duration_text(within_ms)} ({named})",
    )


def _sees(alert: Alert, since_at: Instant, now: Instant) -> bool:
    if alert.fired_at is None or alert.first_seen_at > now:
        return False
    return state_at(alert, now) is AlertState.FIRING or alert.fired_at >= since_at
