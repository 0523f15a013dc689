"""`metrics:` of watchkeeper.yaml: the window, the age that counts, and the response class of every metric.

A metric that is for manual review may inform a rule, and never lets it act by itself: such a rule asks at most.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.values import Severity

DAY_MS: Final = 86_400_000
WINDOW_MS: Final = 30 * DAY_MS
WINDOW_MIN_MS: Final = 3_600_000
WINDOW_MAX_MS: Final = 90 * DAY_MS
AGE_MS: Final = 600_000  # as old as a reading may be


class Response(StrEnum):
    """What may follow from a metric: action by itself, or a person's look at it."""

    AUTOMATED = "automated"
    MANUAL_REVIEW = "manual review"


class MetricSettings(Struct, frozen=True, kw_only=True):
    """`response` holds only what the file states; `default_response` is for the rest. `down` are the severities of an
    incident that count its service as down. `budget_floor_ppm`: below that much budget left the `budget` guard asks.
    """

    window_ms: int = WINDOW_MS
    max_age_ms: int = AGE_MS
    down: tuple[Severity, ...] = (Severity.CRITICAL, Severity.MAJOR)
    budget_floor_ppm: int = 0
    response: dict[str, Response] = {}
    default_response: Response = Response.MANUAL_REVIEW

    def response_of(self, metric: str) -> Response:
        return self.response.get(metric, self.default_response)
