"""Reading what was timed: latencies of the pipeline and signals over time, by the minute or by the hour."""

from typing import Final

from msgspec import Struct

from watchkeeper.engine.answer import No, invalid
from watchkeeper.engine.engine import Engine
from watchkeeper.learn.timing import HOUR_MS, MINUTE_MS, NEWS, STAGES, Point, Slot, point, slots, summed
from watchkeeper.values import Instant

# window -> its length, and that of one stretch of it
TIMED: Final = {
    "1h": (HOUR_MS, MINUTE_MS),
    "24h": (24 * HOUR_MS, HOUR_MS),
    "7d": (7 * 24 * HOUR_MS, 6 * HOUR_MS),
}


class StageView(Struct, frozen=True, kw_only=True):
    """One stage. `whole` is the window as one; `points` are its stretches, oldest first. Lengths in microseconds."""

    stage: str
    what: str
    whole: Point
    points: tuple[Point, ...]


class Latency(Struct, frozen=True, kw_only=True):
    """`exact_to_ppm`: a quantile is read from a bucket, and is at most so much too long; never too short."""

    at: Instant
    window: str
    every_ms: int
    stages: tuple[StageView, ...]
    exact_to_ppm: int = 125_000


class Came(Struct, frozen=True, kw_only=True):
    """One stretch. `counts`: signals by what they were; `watched` False: the node did not run, so nobody knows."""

    at: Instant
    watched: bool
    counts: dict[str, int]


class Traffic(Struct, frozen=True, kw_only=True):
    """Signals. `peak` is the most of one stretch, `total` the window's, both over all that they were."""

    at: Instant
    window: str
    every_ms: int
    what: dict[str, str]
    counts: dict[str, int]
    total: int
    peak: int
    points: tuple[Came, ...]


class TimingReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def latency(self, window: str) -> Latency | No:
        if window not in TIMED:
            return _unknown(window)
        now, (window_ms, every_ms) = self._engine.clock.now(), TIMED[window]
        found = self._slots(now, window_ms, every_ms)
        ran = [slot for _, slot in found if slot is not None]
        whole = summed(ran) if ran else None
        return Latency(
            at=now,
            window=window,
            every_ms=every_ms,
            stages=tuple(
                StageView(
                    stage=stage,
                    what=what,
                    whole=point(found[0][0], whole, stage),
                    points=tuple(point(at, slot, stage) for at, slot in found),
                )
                for stage, what in STAGES.items()
            ),
        )

    def traffic(self, window: str) -> Traffic | No:
        if window not in TIMED:
            return _unknown(window)
        now, (window_ms, every_ms) = self._engine.clock.now(), TIMED[window]
        found = self._slots(now, window_ms, every_ms)
        counts = summed(slot for _, slot in found if slot is not None).signals
        points = tuple(
            Came(at=at, watched=slot is not None, counts=dict(slot.signals) if slot is not None else {})
            for at, slot in found
        )
        return Traffic(
            at=now,
            window=window,
            every_ms=every_ms,
            what=dict(NEWS),
            counts={name: counts.get(name, 0) for name in NEWS},
            total=sum(counts.values()),
            peak=max(sum(each.counts.values()) for each in points),
            points=points,
        )

    def _slots(self, now: Instant, window_ms: int, every_ms: int) -> list[tuple[Instant, Slot | None]]:
        timing = self._engine.scribe.timing
        timing.alive(now)
        return slots(timing.hours, now, window_ms, every_ms)


def _unknown(window: str) -> No:
    return invalid("window", f"{window!r} is none of {', '.join(TIMED)}")
