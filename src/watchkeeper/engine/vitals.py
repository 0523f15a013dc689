"""What this node's own probes last saw of each entity, and what that makes of its health.

Several probes may look at one entity. It is unhealthy when one of them says so; else unknown when one has not seen
anything for three of its turns, or ever; and healthy only when all of them say so.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from watchkeeper.engine.records import HealthRecord
from watchkeeper.guards.situation import Health
from watchkeeper.values import Instant, ms_between

HEALTH_AGE_FACTOR: Final = 3  # a probe that missed three turns says nothing any more


class Vital(Struct, frozen=True):
    """`at` is when the look was that decides; None when nobody ever looked."""

    health: Health
    at: Instant | None = None
    why: str = ""


UNSEEN: Final = Vital(Health.UNKNOWN)


class Vitals:
    """A record without the name of a probe is somebody's word (a scenario's, a backtest's), and stands beside the probes."""

    def __init__(self) -> None:
        self._by: dict[str, dict[str, HealthRecord]] = {}
        self._watched: dict[str, set[str]] = {}

    def __iter__(self) -> Iterator[str]:
        """The entities that a probe looked at, or is to look at."""
        return iter(dict.fromkeys((*self._by, *self._watched)))

    def watch(self, probes: Iterable[tuple[str, str]]) -> None:
        """These (entity, probe) look from now on, and no other."""
        self._watched = defaultdict(set)
        for ref, probe in probes:
            self._watched[ref].add(probe)
        for ref in [*self._by]:
            kept = {"", *self._watched.get(ref, ())}
            self._by[ref] = {probe: record for probe, record in self._by[ref].items() if probe in kept}
            if not self._by[ref]:
                del self._by[ref]

    def saw(self, record: HealthRecord) -> HealthRecord | None:
        """Returns what that probe saw before."""
        by = self._by.setdefault(record.entity, {})
        last, by[record.probe] = by.get(record.probe), record
        return last

    def of(self, ref: str, now: Instant) -> Vital:
        by = self._by.get(ref, {})
        seen = [_vital(record, now) for record in by.values()]
        if unseen := self._watched.get(ref, set()) - by.keys():
            seen.append(Vital(Health.UNKNOWN, None, f"{', '.join(sorted(unseen))} saw nothing yet"))
        return max(seen, key=lambda each: _WORSE[each.health], default=UNSEEN)


def _vital(record: HealthRecord, now: Instant) -> Vital:
    if ms_between(record.at, now) > HEALTH_AGE_FACTOR * record.every_ms:
        return Vital(Health.UNKNOWN, record.at, record.why)
    return Vital(Health.HEALTHY if record.healthy else Health.UNHEALTHY, record.at, record.why)


_WORSE: Final = {Health.HEALTHY: 0, Health.UNKNOWN: 1, Health.UNHEALTHY: 2}
