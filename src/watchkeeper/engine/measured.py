"""What a decision sees of the metrics: bindings for a rule's expressions, and the error budget of its targets.

A value is plain, or `Unknown` with its reason: never read, read too long ago, or nothing to measure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from watchkeeper.engine.measuring import FRESH_MS, Measuring
from watchkeeper.engine.objectives import Objective, Objectives
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.guards.situation import Measured, Target
from watchkeeper.home.configuration import Configuration
from watchkeeper.learn.availability import Availability
from watchkeeper.learn.measures import PPM, Mean
from watchkeeper.packs.expression import Unknown
from watchkeeper.packs.metrics import METRICS
from watchkeeper.values import duration_text, ms_between

NO_SERVICE: Final = Unknown("the alert names no service of the catalogue")


class MetricsSeen(Mapping[str, Any]):
    """`metrics` of one service: each worked out only when an expression asks for it."""

    def __init__(self, value: Callable[[str], Any]) -> None:
        self._value = value

    def __getitem__(self, name: str) -> Any:
        if name not in METRICS:
            raise KeyError(name)
        return self._value(name)

    def __iter__(self) -> Iterator[str]:
        return iter(METRICS)

    def __len__(self) -> int:
        return len(METRICS)


class MeasuredInputs:
    def __init__(self, scribe: Scribe, world: World, measuring: Measuring, objectives: Objectives) -> None:
        self._scribe, self._world = scribe, world
        self._measuring, self._objectives = measuring, objectives
        self._slos: tuple[str, int, dict[str, Any]] = ("", 0, {})

    def metrics(self, target: Target | None) -> Mapping[str, Any]:
        """Of the service that the alert's entity is, or is a member of."""
        if target is None:
            return MetricsSeen(lambda _: NO_SERVICE)
        ref = target.service or target.ref
        return MetricsSeen(lambda name: self.metric(ref, name))

    def metric(self, ref: str, name: str) -> Any:
        settings = self._world.configuration.settings.metrics
        if name == "budget_left":
            return self._budget_left(ref)
        found = self._measuring.of(ref, settings.window_ms)
        if name == "uptime":
            return self._uptime(found, settings.max_age_ms)
        if name == "incidents":
            return found.incidents
        mean = means(found)[name]
        if mean.mean_ms is None:
            return Unknown(f"nothing to measure in the last {duration_text(settings.window_ms)}")
        return timedelta(milliseconds=mean.mean_ms)

    def slos(self) -> dict[str, Any]:
        """`slo`: every objective by name. The same map for a few seconds: many rules look at it."""
        at_ms, digest = self._scribe.clock.monotonic_ms(), self._world.configuration.digest
        if self._slos[0] != digest or at_ms - self._slos[1] >= FRESH_MS:
            self._slos = (digest, at_ms, {each.slo.name: _seen(each) for each in self._objectives.all()})
        return self._slos[2]

    def budget(self, targets: Iterable[Target]) -> Measured | None:
        """The tightest error budget of the targets' services: one that is unknown first, then the least above its floor."""
        services = dict.fromkeys(target.service or target.ref for target in targets)
        found = [each for service in services for each in self._objectives.of(service)]
        if not found:
            return None
        worst = min(found, key=lambda each: (each.known, _room(each), each.slo.name))
        return Measured(
            name=worst.slo.name,
            value=worst.budget.left_ppm if worst.as_of is not None else None,
            as_of=worst.as_of,
            age_max_ms=worst.slo.max_age_ms,
            limit=worst.slo.floor_ppm or None,
        )

    def _budget_left(self, ref: str) -> Any:
        found = self._objectives.of(ref)
        if not found:
            return Unknown("the service has no SLO")
        unknown = next((each for each in found if not each.known), None)
        if unknown is not None:
            return Unknown(f"SLO {unknown.slo.name}: {unknown.why}")
        return min(share(each.budget.left_ppm) for each in found)

    def _uptime(self, found: Availability, max_age_ms: int) -> Any:
        if found.uptime_ppm is None or found.as_of is None:
            return Unknown("nobody has looked at the service")
        age_ms = ms_between(found.as_of, self._scribe.clock.now())
        if age_ms > max_age_ms:
            age = duration_text(age_ms // 1000 * 1000)
            return Unknown(f"the last look was {age} ago, and counts for {duration_text(max_age_ms)}")
        return share(found.uptime_ppm)


def unmeasured(configuration: Configuration, targets: Iterable[Target]) -> Measured | None:
    """The budget that a configuration asks for, where nothing can be read: the first of its objectives by name."""
    services = {target.service or target.ref for target in targets}
    slo = next((each for _, each in sorted(configuration.slos.items()) if each.entity in services), None)
    if slo is None:
        return None
    return Measured(name=slo.name, value=None, as_of=None, age_max_ms=slo.max_age_ms, limit=slo.floor_ppm or None)


def means(found: Availability) -> dict[str, Mean]:
    """The mean times by the names that people know them by."""
    return {
        "mttd": found.detect,
        "mtta": found.acknowledge,
        "mttr": found.restore,
        "failover": found.failover,
    }


def share(ppm: int | None) -> float:
    """Parts per million as an expression sees them; only here does a share become a fraction."""
    return (ppm or 0) / PPM


def _room(found: Objective) -> int:
    return (found.budget.left_ppm or 0) - found.slo.floor_ppm


def _seen(found: Objective) -> dict[str, Any]:
    if not found.known:
        unknown = Unknown(found.why)
        return {"target": share(found.slo.target_ppm), **dict.fromkeys(("attainment", "budget_left", "burn"), unknown)}
    return {
        "target": share(found.slo.target_ppm),
        "attainment": share(found.budget.attainment_ppm),
        "budget_left": share(found.budget.left_ppm),
        "burn": {
            name: share(value) if value is not None else Unknown("nothing was counted in this window")
            for name, value in found.budget.burn_ppm.items()
        },
    }
