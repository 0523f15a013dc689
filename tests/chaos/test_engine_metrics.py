"""Availability from what the engine itself saw: own checks, incidents, failovers; and rules that rest on it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from stage import ALICE, SETTINGS, Stage, house, play, rule

from watchkeeper.correlate.incident import Incident
from watchkeeper.engine.action import Observation
from watchkeeper.engine.incidents import Mark
from watchkeeper.engine.metric_reading import MetricReader, ServiceMetrics
from watchkeeper.engine.records import Note
from watchkeeper.guards.situation import Target

WEB = "component:default/web"
PROBE = """
  edge:
    kind: probe
    region: eu
    probes: [{name: web-up, http: "http://127.0.0.1/web", every: 10s, failures: 2, successes: 2, entity: web,
              severity: critical, stale_after: 30s, active_in: {header: X-Region}}]
"""
PROBED = SETTINGS.replace("  default: {kind: alertmanager}\n", f"  default: {{kind: alertmanager}}{PROBE}")
MS = timedelta(milliseconds=1)


class Logged:
    """A prober that looks as the theatre says, and keeps what it saw: the hand that checks the product's numbers."""

    def __init__(self, stage: "Measured") -> None:
        self._stage = stage

    async def look(
        self, kind: str, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None
    ) -> Observation:
        stage = self._stage
        if kind == "promql":
            return stage.promql(str(arguments["query"]))
        name = target.name if target is not None else str(arguments["url"]).rpartition("/")[2]
        status = stage.theatre.status[name]
        stage.looks.append((stage.clock.now(), status))
        if not status:
            return Observation(seen=False, why="no route from here")
        values = {"connected": True, "status": status, "took_ms": 1, "body": "", "headers": {"x-region": stage.region}}
        return Observation(seen=True, values=values)


class Measured(Stage):
    def __init__(self, files: Mapping[str, bytes], **more: Any) -> None:
        super().__init__(files, **more)
        self.looks: list[tuple[datetime, int]] = []
        self.region = ""
        self.series: dict[str, list[str] | str] = {}
        self.asked: list[str] = []

    def prober(self) -> Any:
        return Logged(self)

    def promql(self, query: str) -> Observation:
        """What the Prometheus of the test says: by the first part of a query that is known; a text is an error."""
        self.asked.append(query)
        found = next((values for part, values in self.series.items() if part in query), [])
        if isinstance(found, str):
            return Observation(seen=False, why=found)
        return Observation(seen=True, values={"samples": [{"labels": {}, "value": each} for each in found]})

    def metrics(self, window: str = "1h", name: str = "web") -> ServiceMetrics:
        found = MetricReader(self.on).service(name, window)
        assert isinstance(found, ServiceMetrics), found
        return found

    def value(self, metric: str, window: str = "1h", name: str = "web") -> int | None:
        return next(each.value for each in self.metrics(window, name).metrics if each.name == metric)

    def first(self, status: int, after: datetime) -> datetime:
        return next(at for at, seen in self.looks if seen == status and at >= after)


async def outage(stage: Measured, *, down_s: float = 95, acknowledged: bool = True) -> tuple[datetime, datetime]:
    """The service fails and comes back by itself; the first bad look and the first good one after it."""
    began = stage.clock.now()
    stage.theatre.status["web"] = 500
    await stage.passes(30)
    if acknowledged:
        incident = (await stage.all(Incident))[-1]
        await stage.on.incidents.mark(ALICE, incident.id, Mark.ACKNOWLEDGED, "looking")
    await stage.passes(down_s - 30)
    back = stage.clock.now()
    stage.theatre.status["web"] = 200
    await stage.passes(30)
    return stage.first(500, began), stage.first(200, back)


QUIET = house(rules={"down": rule("Never")}, settings=PROBED)


def test_the_numbers_agree_with_those_of_a_hand() -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(300)
        bad_1, good_1 = await outage(stage, down_s=95)
        await stage.passes(400)
        bad_2, good_2 = await outage(stage, down_s=65, acknowledged=False)
        await stage.passes(100)
        found = stage.metrics()
        first = stage.looks[0][0]
        down = (good_1 - bad_1) + (good_2 - bad_2)
        up = (found.at - first) - down
        assert found.basis == "checks"
        assert found.down_ms == down // MS
        assert found.up_ms == up // MS
        assert found.unknown_ms == 3_600_000 - found.up_ms - found.down_ms
        assert stage.value("uptime") == found.up_ms * 1_000_000 // (found.up_ms + found.down_ms)
        good = sum(1 for _, status in stage.looks if status == 200)
        assert found.looks == {"good": good, "bad": len(stage.looks) - good, "blind": 0}
        opened_1 = [at for at, status in stage.looks if status == 500 and at >= bad_1][1]
        opened_2 = [at for at, status in stage.looks if status == 500 and at >= bad_2][1]
        detect = ((opened_1 - bad_1) // MS + (opened_2 - bad_2) // MS) // 2
        assert stage.value("mttd") == detect
        assert stage.value("incidents") == 2
        restore = [(good_1 - bad_1) // MS, (good_2 - bad_2) // MS]
        assert stage.value("mttr") == sum(restore) // 2
        noted = (await stage.all(Note))[0].at
        assert stage.value("mtta") == (noted - opened_1) // MS

    play(scene, Measured(QUIET))
