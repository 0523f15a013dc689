"""`breakers:` of watchkeeper.yaml: after how many failures what is left alone, for how long, and when the brake goes on."""

from typing import Final

from msgspec import Struct

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
FAILURES_KEPT_MAX: Final = 64  # of one breaker, the newest; so no threshold is higher


class BrakeSettings(Struct, frozen=True, kw_only=True):
    """Counted over `within_ms`. `targets`: distinct targets on which one rule failed brake that rule. `rules`: distinct
    rules that failed in one region, on as many targets, brake that region. `open_max`: breakers that opened together
    brake everything.
    """

    within_ms: int = 30 * MINUTE_MS
    targets: int = 5
    rules: int = 3
    open_max: int = 10


class BreakerSettings(Struct, frozen=True, kw_only=True):
    """`failures` within `within_ms` open a breaker for `open_ms`; each trial that fails doubles that, up to
    `open_max_ms`.
    """

    failures: int = 3
    within_ms: int = 30 * MINUTE_MS
    open_ms: int = 10 * MINUTE_MS
    open_max_ms: int = 4 * HOUR_MS
    brake: BrakeSettings = BrakeSettings()
