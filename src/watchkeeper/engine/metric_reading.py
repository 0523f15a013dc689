"""Reading metrics and objectives: each value with its unit, its age, its response class, and why it is unknown when it is."""

from typing import Any, Final

from msgspec import Struct

from watchkeeper.catalog.catalog import by_alias, by_ref
from watchkeeper.engine.answer import No, invalid, missing
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.measured import means
from watchkeeper.engine.objectives import Objective
from watchkeeper.engine.reading import Listed
from watchkeeper.home.metrics import WINDOW_MAX_MS, WINDOW_MIN_MS, MetricSettings
from watchkeeper.learn.availability import Availability
from watchkeeper.packs.metrics import METRICS
from watchkeeper.values import Instant, duration_ms, duration_text, ms_between

FAILOVERS_SHOWN_MAX: Final = 50
NOTHING: Final = "nothing to measure in this window"


class MetricView(Struct, frozen=True, kw_only=True):
    """`unit` is ppm, ms or count. `value` None: it is unknown, and `unknown` says why. `count`: over how many."""

    name: str
    unit: str
    value: int | None
    response: str
    as_of: Instant | None
    age_ms: int | None
    count: int | None = None
    unknown: str = ""


class ServiceMetrics(Struct, frozen=True, kw_only=True):
    """One service over one window. `basis`: what says whether it was up (checks, incidents, none)."""

    service: str
    name: str
    at: Instant
    from_at: Instant
    window_ms: int
    basis: str
    metrics: tuple[MetricView, ...]
    up_ms: int
    down_ms: int
    unknown_ms: int
    looks: dict[str, int]
    open_incidents: int
    failovers_failed: int
    active_in: str = ""
    failovers: tuple[Any, ...] = ()


class SloView(Struct, frozen=True, kw_only=True):
    """One objective. `burn_ppm` by window: 1,000,000 is burn rate 1. `unknown` says why its numbers do not count, and
    `failing` why its source could not be read at the last try.
    """

    name: str
    title: str
    description: str
    service: str
    source: str
    response: str
    window_ms: int
    target_ppm: int
    attainment_ppm: int | None
    left_ppm: int | None
    floor_ppm: int
    burn_ppm: dict[str, int | None]
    as_of: Instant | None
    age_ms: int | None
    max_age_ms: int
    unknown: str = ""
    failing: str = ""
    spent_at: Instant | None = None
    where: str = ""


class MetricReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def services(self, window: str) -> Listed | No:
        """Every service of which anything was measured, or that has an SLO."""
        window_ms = self._window(window)
        if isinstance(window_ms, No):
            return window_ms
        slos = self._engine.world.configuration.slos.values()
        refs = sorted({*self._engine.measuring.services(), *(slo.entity for slo in slos)})
        return Listed(items=tuple(self._service(ref, window_ms, failovers=0) for ref in refs))

    def service(self, name: str, window: str) -> ServiceMetrics | No:
        window_ms = self._window(window)
        if isinstance(window_ms, No):
            return window_ms
        catalog = self._engine.world.configuration.catalog
        entity = by_ref(catalog, name) or by_alias(catalog, name)
        if entity is None:
            return missing("service", name)
        return self._service(entity.ref, window_ms, failovers=FAILOVERS_SHOWN_MAX)

    def _window(self, text: str) -> int | No:
        """As asked for, else that of the home."""
        if not text:
            return self._settings.window_ms
        try:
            found = duration_ms(text)
        except ValueError as why:
            return invalid("window", str(why))
        if not WINDOW_MIN_MS <= found <= WINDOW_MAX_MS:
            return invalid(
                "window", f"{text} lies outside {duration_text(WINDOW_MIN_MS)} to {duration_text(WINDOW_MAX_MS)}"
            )
        return found

    @property
    def _settings(self) -> MetricSettings:
        return self._engine.world.configuration.settings.metrics

    def _service(self, ref: str, window_ms: int, *, failovers: int) -> ServiceMetrics:
        found = self._engine.measuring.of(ref, window_ms)
        entity = self._engine.world.configuration.catalog.entities[ref]
        return ServiceMetrics(
            service=ref,
            name=entity.name,
            at=found.at,
            from_at=found.from_at,
            window_ms=window_ms,
            basis=found.basis.value,
            metrics=tuple(self._metric(name, found) for name in METRICS),
            up_ms=found.up_ms,
            down_ms=found.down_ms,
            unknown_ms=found.unknown_ms,
            looks={"good": found.looks.good, "bad": found.looks.bad, "blind": found.looks.blind},
            open_incidents=found.open,
            failovers_failed=found.failovers_failed,
            active_in=self._engine.measuring.failovers.active(ref),
            failovers=tuple(reversed(self._engine.measuring.failovers.of(ref)[-failovers:])) if failovers else (),
        )

    def _metric(self, name: str, found: Availability) -> MetricView:
        response = self._settings.response_of(name).value
        match name:
            case "uptime":
                return _view(name, "ppm", found.uptime_ppm, response, found.as_of, found.at, none="nobody has looked")
            case "incidents":
                return _view(name, "count", found.incidents, response, found.at, found.at)
            case "budget_left":
                return self._budget(name, found, response)
            case _:
                mean = means(found)[name]
                return _view(name, "ms", mean.mean_ms, response, found.at, found.at, count=mean.count)

    def _budget(self, name: str, found: Availability, response: str) -> MetricView:
        """That of the SLO with the least left; unknown when one of them is. Its window is the objective's own."""
        every = self._engine.objectives.of(found.service)
        if not every:
            return _view(name, "ppm", None, response, None, found.at, none="the service has no SLO")
        worst = min(every, key=lambda each: (each.known, each.budget.left_ppm or 0, each.slo.name))
        value = worst.budget.left_ppm if worst.known else None
        return _view(
            name,
            "ppm",
            value,
            response,
            worst.as_of,
            found.at,
            none=f"SLO {worst.slo.name}: {worst.why}",
            count=len(every),
        )

    def slos(self, service: str) -> Listed | No:
        if not service:
            return Listed(items=tuple(self._slo(each) for each in self._engine.objectives.all()))
        catalog = self._engine.world.configuration.catalog
        entity = by_ref(catalog, service) or by_alias(catalog, service)
        if entity is None:
            return missing("service", service)
        return Listed(items=tuple(self._slo(each) for each in self._engine.objectives.of(entity.ref)))

    def slo(self, name: str) -> SloView | No:
        found = self._engine.objectives.get(name)
        return self._slo(found) if found is not None else missing("slo", name)

    def _slo(self, found: Objective) -> SloView:
        slo, now = found.slo, self._engine.clock.now()
        return SloView(
            name=slo.name,
            title=slo.title,
            description=slo.description,
            service=slo.entity,
            source=slo.source,
            response=slo.response.value,
            window_ms=slo.window_ms,
            target_ppm=slo.target_ppm,
            attainment_ppm=found.budget.attainment_ppm,
            left_ppm=found.budget.left_ppm,
            floor_ppm=slo.floor_ppm,
            burn_ppm=found.budget.burn_ppm,
            as_of=found.as_of,
            age_ms=_age_ms(found.as_of, now),
            max_age_ms=slo.max_age_ms,
            unknown=found.why,
            failing=found.failing,
            spent_at=found.spent_at,
            where=slo.where,
        )


def _view(
    name: str,
    unit: str,
    value: int | None,
    response: str,
    as_of: Instant | None,
    now: Instant,
    *,
    none: str = NOTHING,
    count: int | None = None,
) -> MetricView:
    return MetricView(
        name=name,
        unit=unit,
        value=value,
        response=response,
        as_of=as_of,
        age_ms=_age_ms(as_of, now),
        count=count,
        unknown=none if value is None else "",
    )


def _age_ms(as_of: Instant | None, now: Instant) -> int | None:
    return None if as_of is None else max(0, ms_between(as_of, now))
