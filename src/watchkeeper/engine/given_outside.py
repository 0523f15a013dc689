"""The outside of a scenario: actions that send nothing, probes and sources that answer what is given, nobody to be told."""

from collections.abc import Mapping
from typing import Any, Final

from watchkeeper.engine.action import Invocation, Observation, Surroundings
from watchkeeper.engine.given_history import counts, entity, objectives
from watchkeeper.engine.objectives import THOUSANDTHS, WHOLE, promql_duration
from watchkeeper.errors import Rejected, Unavailable
from watchkeeper.guards.situation import Target
from watchkeeper.home.calendar import Calendar
from watchkeeper.home.configuration import Configuration
from watchkeeper.home.load_indicator import WINDOW
from watchkeeper.home.slo import BURN_WINDOWS
from watchkeeper.packs.given import Given
from watchkeeper.packs.runbook import Effect
from watchkeeper.report.notices import Notice

PROMQL: Final = "promql"
SILENT: Final = "it does not answer in this scenario"
_OUTPUT_OF_PROBES: Final = "probe"
_HEALTHY: Final = {"connected": True, "status": 200, "exit": 0, "stdout": "", "body": "", "headers": {}}

Query = tuple[str, str]  # server, query


class Remembering:
    """An action that sends nothing, remembers what it was asked, and answers as the scenario says."""

    effect = Effect.IDEMPOTENT

    def __init__(self, name: str, given: Given, sent: list[dict[str, Any]]) -> None:
        self.name, self._given, self._sent = name, given, sent

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        del around
        target, last = invocation.target, invocation.step.rpartition("/")[2]
        self._sent.append(
            {
                "step": invocation.step,
                "action": self.name,
                "target": target.name if target is not None else "",
                "arguments": dict(invocation.arguments),
                "ref": target.ref if target is not None else "",
            }
        )
        names = {target.ref, target.name} if target is not None else set()
        for failing in self._given.failing:
            if failing.step in {invocation.step, last} and (not failing.targets or names & set(failing.targets)):
                raise Rejected(failing.why)
        outputs = self._given.outputs
        found = outputs.get(invocation.step, outputs.get(last, {}))
        return dict(found) if isinstance(found, dict) else {"value": found}


class Looking:
    """A prober to which everything is well, unless the scenario's `probes`, or `outputs.probe`, say what it sees."""

    def __init__(self, given: Given, configuration: Configuration) -> None:
        self._given = given
        self._queries = _queries(given, configuration)
        self._probes = {entity(configuration, name).ref: values for name, values in given.probes.items()}

    async def look(
        self, kind: str, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None
    ) -> Observation:
        del timeout_ms
        if kind == PROMQL:
            query = (str(arguments.get("server", "")), str(arguments.get("query", "")))
            if query in self._queries:
                value = self._queries[query]
                if value is None:
                    return Observation(seen=False, why=SILENT)
                return Observation(seen=True, values={"samples": [{"value": value}]})
        own = self._probes.get(target.ref, {}) if target is not None else {}
        return Observation(seen=True, values={**_HEALTHY, **self._given.outputs.get(_OUTPUT_OF_PROBES, {}), **own})


class Silent:
    """A channel that tells nobody."""

    async def tell(self, notice: Notice, route: Mapping[str, Any]) -> None:
        del notice, route


class Read:
    """Calendars from elsewhere, as they are given."""

    def __init__(self, given: Given) -> None:
        self._given = {each.name: each for each in given.calendars}

    async def fetch(self, calendar: Calendar) -> bytes:
        found = self._given.get(calendar.name)
        if found is None or not found.readable:
            raise Unavailable(SILENT)
        return found.body.encode()


def _queries(given: Given, configuration: Configuration) -> dict[Query, str | None]:
    """What the source of each given objective answers; None: it does not."""
    found: dict[Query, str | None] = {}
    for name, each in objectives(given, configuration).items():
        slo = configuration.slos[name]
        indicator, silent = slo.indicator, each.unknown or each.age_ms is not None
        assert indicator.server is not None
        counted = counts(each, slo)
        for window, window_ms in {WHOLE: slo.window_ms, **BURN_WINDOWS}.items():
            bad, total = counted.get(window, (0, 0))
            for text, value in ((indicator.total_query, total), (indicator.part_query, bad)):
                query = (indicator.server.url, text.replace(WINDOW, promql_duration(window_ms)))
                found[query] = None if silent else _events(value)
    return found


def _events(thousandths: int) -> str:
    whole, rest = divmod(thousandths, THOUSANDTHS)
    return f"{whole}.{rest:03d}"
