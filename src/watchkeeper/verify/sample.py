"""Samples and the three-valued result of a verification."""

from enum import StrEnum

from msgspec import Struct

from watchkeeper.values import Instant


class Seen(StrEnum):
    """One look: healthy, unhealthy, or none (the probe itself could not look)."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    NOTHING = "nothing"


class Result(StrEnum):
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    INCONCLUSIVE = "inconclusive"


class Sample(Struct, frozen=True, kw_only=True):
    at: Instant
    seen: Seen
    why: str = ""
    took_ms: int = 0
