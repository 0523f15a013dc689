"""Scenarios of the active configuration, played when a person asks; each keeps its last result, with the configuration
that it was played under.

In: names. Out: a `PlayedRecord` a scenario. They are played by a `Player`, beside this process: a made-up night costs the
real one nothing but what is left of the machine. Nothing of it leaves the player, and nothing is decided by a result.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.approve.people import Actor
from watchkeeper.decide.exercised import exercised
from watchkeeper.engine.answer import No, changed, later, missing
from watchkeeper.engine.player import Player, Result
from watchkeeper.engine.records import Activation, PlayedRecord, put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.errors import WatchkeeperError
from watchkeeper.home.configuration import Configuration
from watchkeeper.packs.scenario import Scenario
from watchkeeper.ports import Commit, Drop
from watchkeeper.values import Instant

SCENARIOS_MAX: Final = 500  # in one go; a home with more names a pack, a rule or a runbook
FAILURES_KEPT_MAX: Final = 20
FAILURE_CHARS_MAX: Final = 1_000
RECORDS_READ: Final = 1_000  # at once

PASSED, FAILED, BROKEN, NEVER = "passed", "failed", "broken", "never"

log = structlog.get_logger("watchkeeper.playing")


class Wanted(Struct, frozen=True, kw_only=True):
    """Which scenarios: those of a pack, of a rule, of a runbook, by name; all when nothing is given."""

    pack: str = ""
    rule: str = ""
    runbook: str = ""
    names: tuple[str, ...] = ()


class Under(Struct, frozen=True, kw_only=True):
    """What is being played: `done` of `of`, for whom, since when, under which configuration."""

    at: Instant
    by: str
    configuration: str
    of: int
    done: int = 0


class ScenarioList(Struct, frozen=True, kw_only=True):
    items: tuple[dict[str, Any], ...]
    next: str | None = None
    playing: Under | None = None


class Playing:
    """`kept` reads the files of a configuration that was active. Without a `player` this node plays nothing."""

    def __init__(
        self, scribe: Scribe, world: World, kept: Callable[[str], Awaitable[tuple[Activation, dict[str, bytes]] | No]]
    ) -> None:
        self._scribe, self._world, self._kept = scribe, world, kept
        self.player: Player | None = None
        self._task: asyncio.Task[None] | None = None
        self._under: Under | None = None

    async def listed(self, wanted: Wanted) -> ScenarioList:
        """Scenarios of the active configuration in the order of their names, each with its last result."""
        configuration = self._world.configuration
        last = await self._records()
        items = []
        for scenario, rules, books in chosen(configuration, wanted):
            items.append(_view(scenario, rules, books, last.get(scenario.name), configuration.digest))
        return ScenarioList(items=tuple(items), playing=self._under)

    async def begin(self, actor: Actor, wanted: Wanted) -> Under | No:
        """Play them, one go at a time. Answers at once; `listed` says how far it is."""
        if self.player is None:
            return later("This node plays no scenarios.")
        if self._under is not None:
            return changed(
                f"Scenarios are being played already ({self._under.done} of {self._under.of}, for {self._under.by}): wait for "
                "their end.",
                playing=msgspec.to_builtins(self._under),
            )
        configuration = self._world.configuration
        names = tuple(scenario.name for scenario, _, _ in chosen(configuration, wanted))
        if not names:
            return missing("scenario", _word(wanted))
        if len(names) > SCENARIOS_MAX:
            return No(
                status=422,
                title="too many",
                detail=f"{len(names)} scenarios, at most {SCENARIOS_MAX} in one go: name a pack, a rule or a runbook",
            )
        at = self._scribe.clock.now()
        self._under = Under(at=at, by=actor.name, configuration=configuration.digest, of=len(names))
        self._task = asyncio.create_task(self._play(self.player, self._under, names, configuration), name="scenarios")
        return self._under

    async def stop(self) -> None:
        """What is under way is let go: its results so far are kept."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _play(self, player: Player, under: Under, names: tuple[str, ...], configuration: Configuration) -> None:
        places = {scenario.name: scenario for scenario in configuration.scenarios}
        waiting = dict.fromkeys(names)
        heard: asyncio.Queue[Result | None] = asyncio.Queue()
        why = ""

        async def keep() -> None:
            while (result := await heard.get()) is not None:
                if result.scenario not in waiting or result.configuration != under.configuration:
                    continue
                del waiting[result.scenario]
                self._under = replace(under, done=under.of - len(waiting))
                await self._keep(_record(places[result.scenario], result, under))

        keeping = asyncio.create_task(keep(), name="scenario results")
        try:
            await self._forget(configuration)
            found = await self._kept(under.configuration)
            why = found.detail if isinstance(found, No) else await player.play(found[1], names, heard.put_nowait)
        except WatchkeeperError as failed:
            why = str(failed)
        finally:
            heard.put_nowait(None)
            try:
                await keeping
                if not (task := asyncio.current_task()) or not task.cancelling():
                    for name in tuple(waiting):
                        broken = Result(
                            scenario=name, configuration=under.configuration, broken=why or "the player did not say"
                        )
                        await self._keep(_record(places[name], broken, under))
            except WatchkeeperError as refused:  # the store did not take a result; another go is possible all the same
                why = f"results were not kept: {refused}"
            finally:
                if why:
                    log.warning("scenarios were not played to the end", why=why, left=len(waiting))
                self._under = None

    async def _keep(self, record: PlayedRecord) -> None:
        at = self._scribe.clock.now()
        await self._scribe.commit(Commit(at=at, puts=(put(record, identity=record.scenario),)))

    async def _records(self) -> dict[str, PlayedRecord]:
        found: dict[str, PlayedRecord] = {}
        after: str | None = None
        while True:
            page = await self._scribe.store.find("played", after=after, limit=RECORDS_READ)
            found |= {row.id: read(row, PlayedRecord) for row in page.items}
            after = page.next
            if after is None:
                return found

    async def _forget(self, configuration: Configuration) -> None:
        """Results of scenarios that are no more."""
        known = {scenario.name for scenario in configuration.scenarios}
        gone = [name for name in await self._records() if name not in known]
        if gone:
            drops = tuple(Drop(kind="played", id=name) for name in gone)
            await self._scribe.commit(Commit(at=self._scribe.clock.now(), drops=drops))


def chosen(
    configuration: Configuration, wanted: Wanted
) -> tuple[tuple[Scenario, tuple[str, ...], tuple[str, ...]], ...]:
    """Those that are wanted, by name, each with the rules and runbooks that it exercises."""
    found = []
    for scenario in sorted(configuration.scenarios, key=lambda each: each.name):
        rules, books = exercised(scenario, configuration.rules)
        if wanted.pack and scenario.pack != wanted.pack:
            continue
        if wanted.rule and wanted.rule not in rules:
            continue
        if wanted.runbook and wanted.runbook not in books:
            continue
        if wanted.names and scenario.name not in wanted.names:
            continue
        found.append((scenario, rules, books))
    return tuple(found)


def _word(wanted: Wanted) -> str:
    return ", ".join(wanted.names) or wanted.rule or wanted.runbook or wanted.pack or "of any pack"


def _record(scenario: Scenario, result: Result, under: Under) -> PlayedRecord:
    state = BROKEN if result.broken else FAILED if result.failures else PASSED
    failures = (result.broken,) if result.broken else result.failures
    return PlayedRecord(
        scenario=scenario.name,
        configuration=under.configuration,
        at=under.at,
        by=under.by,
        state=state,
        failures=tuple(each[:FAILURE_CHARS_MAX] for each in failures[:FAILURES_KEPT_MAX]),
        verdict=result.verdict,
        reason=result.reason[:FAILURE_CHARS_MAX],
        rule=result.rule,
        status=result.status,
        effects=result.effects,
        took_ms=result.took_ms,
    )


def _view(
    scenario: Scenario, rules: tuple[str, ...], books: tuple[str, ...], last: PlayedRecord | None, active: str
) -> dict[str, Any]:
    """`state` is that of the active configuration: `never` where the last result is of another one, or there is none."""
    current = last is not None and last.configuration == active
    return {
        "name": scenario.name,
        "pack": scenario.pack,
        "where": scenario.where,
        "owner": scenario.owner,
        "description": scenario.description,
        "mode": scenario.mode.value,
        "expects": {
            "verdict": scenario.expected.verdict,
            "status": scenario.expected.status,
            "effects": None if scenario.expected.effects is None else len(scenario.expected.effects),
        },
        "rules": list(rules),
        "runbooks": list(books),
        "state": last.state if last is not None and current else NEVER,
        "current": current,
        "last": msgspec.to_builtins(last) if last is not None else None,
    }
