"""A stage whose own checks are logged by hand, and whose Prometheus says what the test says."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from stage import ALICE, SETTINGS, Stage

from watchkeeper.correlate.incident import Incident
from watchkeeper.engine.action import Observation
from watchkeeper.engine.incidents import Mark
from watchkeeper.engine.metric_reading import MetricReader, ServiceMetrics
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
        (stage.looks if target is None else stage.verified).append((stage.clock.now(), status))
        if not status:
            return Observation(seen=False, why="no route from here")
        values = {"connected": True, "status": status, "took_ms": 1, "body": "", "headers": {"x-region": stage.region}}
        return Observation(seen=True, values=values)


class Measured(Stage):
    WHO = ALICE

    def __init__(self, files: Mapping[str, bytes], **more: Any) -> None:
        super().__init__(files, **more)
        self.looks: list[tuple[datetime, int]] = []  # of the node's own check
        self.verified: list[tuple[datetime, int]] = []  # of runs
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

    async def passes_unwatched(self, seconds: float) -> None:
        """Time in which no engine runs."""
        await asyncio.sleep(seconds)

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
