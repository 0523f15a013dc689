"""A service-level objective as frozen values: what counts as good, out of what, how much of it was promised.

The files are OpenSLO's; `load_slos` reads them. Source: OpenSLO specification, v1.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.home.metrics import Response
from watchkeeper.packs.runbook import SecretRef

BURN_WINDOWS: Final[dict[str, int]] = {
    # Source: SRE Workbook, "Alerting on SLOs", multiwindow, multi-burn-rate alerts.
    "5m": 300_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "6h": 21_600_000,
    "3d": 259_200_000,
}
EVERY_MS: Final = 60_000


class Measure(StrEnum):
    """What this node knows by itself of a service. Samples are the looks of its own checks, times are milliseconds."""

    HEALTHY_SAMPLES = "healthy_samples"
    UNHEALTHY_SAMPLES = "unhealthy_samples"
    SAMPLES = "samples"
    UP_TIME = "up_time"
    DOWN_TIME = "down_time"
    KNOWN_TIME = "known_time"


class Origin(StrEnum):
    WATCHKEEPER = "watchkeeper"
    PROMETHEUS = "prometheus"


class Server(Struct, frozen=True, kw_only=True):
    """A Prometheus that may be asked. `bearer` is a reference to the credential, never a value."""

    name: str
    url: str
    bearer: SecretRef | None = None
    timeout_ms: int = 10_000


class Indicator(Struct, frozen=True, kw_only=True):
    """`part` is good, or bad when `part_is_bad`; both of the same origin. Measures of this node in `part_measure` and
    `total_measure`; queries, with `WINDOW` where the window stands, in `part_query` and `total_query`.
    """

    origin: Origin
    part_is_bad: bool = False
    part_measure: Measure | None = None
    total_measure: Measure | None = None
    part_query: str = ""
    total_query: str = ""
    server: Server | None = None


class Slo(Struct, frozen=True, kw_only=True):
    """`entity` is the catalogue's reference of the service. `target_ppm` lies between 0 and 1,000,000, both excluded.

    `digest` covers all that decides a reading, so that one taken under another definition is never used.
    """

    name: str
    entity: str
    target_ppm: int
    window_ms: int
    indicator: Indicator
    response: Response
    max_age_ms: int
    floor_ppm: int
    digest: str
    title: str = ""
    description: str = ""
    every_ms: int = EVERY_MS
    where: str = ""

    @property
    def source(self) -> str:
        """Where its numbers come from, as a listing says it."""
        server = self.indicator.server
        return f"prometheus {server.name}" if server is not None else "own checks"
