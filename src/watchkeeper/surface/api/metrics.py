"""Figures for Prometheus, read from the engine when somebody asks. Nothing is counted twice and nothing is global.

Source: https://prometheus.io/docs/practices/naming/
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from watchkeeper.engine.breaker_reading import STATES
from watchkeeper.engine.engine import Engine
from watchkeeper.execute.run import ENDED
from watchkeeper.learn.brake import Brakes
from watchkeeper.learn.breaker import standing
from watchkeeper.learn.timing import Spread, bound_us

MEDIA: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
PREFIX: Final = "watchkeeper"


class _Found:
    """A registry's collector over figures that were read beforehand."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = tuple(found)

    def collect(self) -> Iterable[Metric]:
        return self._found

    def describe(self) -> Iterable[Metric]:
        return ()


class Metrics:
    def __init__(self, engine: Engine, version: str, refused: Callable[[], Mapping[str, int]] = dict) -> None:
        self._engine, self._version, self._refused = engine, version, refused

    async def text(self) -> bytes:
        found = CollectorRegistry(auto_describe=False)
        found.register(_Found([metric async for metric in self._read()]))
        return generate_latest(found)

    async def _read(self) -> AsyncIterator[Metric]:
        engine, store = self._engine, self._engine.store
        build = GaugeMetricFamily(f"{PREFIX}_build", "What runs.", labels=["version", "configuration"])
        build.add_metric([self._version, engine.world.configuration.digest[:12]], 1)
        yield build
        ready, wrong = engine.ready()
        yield _gauge("ready", "1 when this node does all of its work.", int(ready))
        yield _labelled("not_ready", "What is wrong.", "what", dict.fromkeys(wrong, 1))
        yield _counter("deliveries_accepted", "Deliveries made durable by this process.", engine.intake.accepted)
        yield _counter("deliveries_taken", "Deliveries taken apart by this process.", engine.pipeline.taken)
        yield _gauge("deliveries_pending", "Deliveries accepted and not taken apart.", engine.intake.pending)
        decisions = CounterMetricFamily(f"{PREFIX}_decisions", "Decisions of this process.", labels=["verdict"])
        for verdict, count in sorted(engine.judge.counts.items()):
            decisions.add_metric([verdict], count)
        yield decisions
        runs: dict[str, int] = {}
        for live in engine.runner.live.values():
            runs[live.run.status.value] = runs.get(live.run.status.value, 0) + 1
        yield _labelled("runs_open", "Runs under way.", "status", runs)
        ended = {each.value: await store.count("run", {"status": each.value}) for each in sorted(ENDED)}
        yield _labelled("runs_ended", "Runs in the store that ended.", "status", ended)
        yield _gauge("alerts_firing", "Alerts that fire.", await store.count("alert", {"state": "firing"}))
        yield _gauge("incidents_open", "Incidents that are open.", await store.count("incident", {"state": "open"}))
        yield _gauge(
            "approvals_pending", "Requests nobody answered.", await store.count("approval", {"state": "pending"})
        )
        yield _gauge("proposals_held", "Held decisions.", len(engine.world.waiting))
        yield _gauge(
            "dead_letters_open", "Parts nobody could read.", await store.count("dead_letter", {"state": "open"})
        )
        yield _gauge("messages_pending", "Messages not sent yet.", await store.count("message", {"state": "pending"}))
        yield _gauge("routes_failing", "Routes whose last attempt failed.", len(engine.outbox.failing))
        yield _gauge(
            "routes_left_alone", "Routes that are tried by one message only.", len(engine.outbox.routes.left_alone())
        )
        world = engine.world
        limits = {"stop": len(world.stops), "hold": len(world.holds), "freeze": len(world.freezes)}
        yield _labelled("limits_in_force", "Stops, holds and freezes.", "kind", limits)
        states = dict.fromkeys(STATES, 0)
        for circuit in tuple(world.circuits.values()):
            states[standing(circuit, engine.clock.now())] += 1
        yield _labelled("breakers", "Circuit breakers that were fed lately.", "state", states)
        brakes = dict.fromkeys((each.value for each in Brakes), 0)
        for brake in tuple(world.brakes.values()):
            brakes[brake.what.value] += 1
        yield _labelled("brakes", "Brakes that are on.", "what", brakes)
        calendars = {"open": 0, "closed": 0, "unreadable": 0}
        for view in engine.calendars.views():
            calendars[view["state"]] += 1
        yield _labelled("calendars", "Calendars, by what they say now.", "state", calendars)
        refused = CounterMetricFamily(f"{PREFIX}_hook_refusals", "Posts that a hook refused (401).", labels=["hook"])
        for hook, count in self._refused().items():
            refused.add_metric([hook], count)
        yield refused
        yield _gauge("suppressed", "Alerts that their source keeps to itself.", len(world.suppressed))
        recorded = CounterMetricFamily(
            f"{PREFIX}_recorder_events", "Events of Alertmanagers' event recorders, to this process.", labels=["event"]
        )
        for kind, count in sorted(engine.recorders.counts().items()):
            recorded.add_metric([kind], count)
        yield recorded
        yield _gauge("ledger_entries", "Entries in the tree.", await store.tree_size())
        yield _gauge("ledger_entries_pending", "Entries not in the tree yet.", len(await store.pending_entries()))
        yield _gauge("store_bytes", "Size of the store.", await store.size_bytes())
        yield _gauge("clock_trusted", "1 while wall time agrees with itself.", int(engine.world.clock.trusted))
        yield _stages(engine.scribe.timing.totals)
        yield _gauge("watchers", "Streams of events that are open.", engine.scribe.watched_by)


def _stages(totals: Mapping[str, Spread]) -> Metric:
    """A bucket of ours counts below a bound only when all of it lies there: what is said is never flattering."""
    found = HistogramMetricFamily(f"{PREFIX}_stage_seconds", "How long a stage took.", labels=["stage"])
    for stage, spread in sorted(totals.items()):
        bounds = [(number, bound_us(number)) for number in spread.counts]
        below = [(le, sum(spread.counts[number] for number, end in bounds if end <= le * 1_000_000)) for le in SECONDS]
        buckets = [*((str(le), count) for le, count in below), ("+Inf", spread.count)]
        found.add_metric([stage], buckets, sum_value=spread.sum_us / 1_000_000)
    return found


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)


def _labelled(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    found = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=[label])
    for key, value in sorted(values.items()):
        found.add_metric([key], value)
    return found
