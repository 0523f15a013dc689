"""`anomaly:` of watchkeeper.yaml: whether and how it is watched how often rules are called for."""

from datetime import tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

DAY_MS: Final = 86_400_000
WEEKS_MIN: Final = 4  # of the same window, before anything is called unusual
WEEKS_MAX: Final = 26


class AnomalySettings(Struct, frozen=True, kw_only=True):
    """On average at most one false alarm in `false_alarm_every_ms` on the whole node. A window is compared with the same
    one of up to `weeks` weeks before. `zone`: whose days, hours and Mondays.
    """

    watch: bool = True
    false_alarm_every_ms: int = 30 * DAY_MS
    weeks: int = 8
    zone: str = "UTC"


def zone_of(name: str) -> tzinfo | None:
    """None when no time zone is called so."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
