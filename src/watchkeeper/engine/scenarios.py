"""Scenarios: the tests that ship with packs, played by the very engine that runs, in a world that only remembers.

In: a scenario and an engine over a store in memory, on a loop whose time is moved, whose actions send nothing. Out: a
`Played`: what was decided and what would have been sent, and each expectation that was not met, in words.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.given_history import history
from watchkeeper.engine.given_world import go_on, place
from watchkeeper.engine.records import RunRecord, read
from watchkeeper.engine.scenario_answers import NOTHING, compared
from watchkeeper.errors import Conflict, Rejected
from watchkeeper.execute.state import Run
from watchkeeper.home.configuration import Configuration
from watchkeeper.home.settings import SourceKind
from watchkeeper.home.transaction import UNRANKED
from watchkeeper.packs.scenario import GivenSignal, Scenario, Standing
from watchkeeper.ports import Commit, Put, Store
from watchkeeper.values import Instant, after_ms, canonical, rfc3339

LOOK_MS: Final = 5_000  # time that goes on after the last signal before nothing more is expected
RUN_MS_MAX: Final = 4 * 3_600_000  # virtual time that a run may take
STEP_S: Final = 0.05
DECISIONS_MAX: Final = 1_000  # of one scenario that are looked at, newest first
STILL_MIN: Final = 5  # looks in a row at which no run was open, before the next one is expected no more


class Shown(Struct, frozen=True, kw_only=True):
    """What one guard found."""

    guard: str
    outcome: str
    reason: str


class Played(Struct, frozen=True, kw_only=True):
    """`failures` is empty when everything was as expected. `effects` are all sendings, in order. `findings` are the guards
    that did not pass, and those that the scenario names.
    """

    scenario: str
    where: str
    failures: tuple[str, ...]
    verdict: str = ""
    reason: str = ""
    rule: str = ""
    status: str = ""
    effects: tuple[dict[str, Any], ...] = ()
    mode: str = ""
    findings: tuple[Shown, ...] = ()
    state: str = ""
    would_be: str = ""


async def play(
    scenario: Scenario,
    configuration: Configuration,
    store: Store,
    make: Callable[[], Engine],
    sent: list[dict[str, Any]],
) -> Played:
    """Write the given history into the store, start an engine over it, put its world into the given state, receive the
    signals, and compare. `configuration` is the home's own, situated by the caller.
    """
    try:
        await _written(store, history(scenario.given, configuration, scenario.at), scenario.at)
        engine = make()
    except ValueError as unread:
        return _unplayed(scenario, unread)
    await engine.start()
    seen = asyncio.create_task(go_on(scenario.given, engine), name="given")
    try:
        try:
            place(scenario, engine)
        except (ValueError, Rejected) as unread:
            return _unplayed(scenario, unread)
        began = engine.clock.now()
        for group in scenario.given.groups:
            await _receive(engine, scenario, scenario.signals[0], _source_of(configuration, group))
        for signal in scenario.signals:
            await _until_ms(engine, began, signal.after_ms)
            await _receive(engine, scenario, signal, signal.source)
        decision, record = await _settled(engine)
        run = await _run(engine, record)
    finally:
        seen.cancel()
        await engine.stop()
    return _played(scenario, configuration, decision, record, run, sent)


def _unplayed(scenario: Scenario, why: Exception) -> Played:
    return Played(scenario=scenario.name, where=scenario.where, failures=(f"given: {why}",))


def _played(
    scenario: Scenario,
    configuration: Configuration,
    decision: Decision | None,
    record: RunRecord | None,
    run: Run | None,
    sent: list[dict[str, Any]],
) -> Played:
    targets = decision.targets if decision is not None else ()
    priority = min((configuration.ranks.get(target.ref, UNRANKED) for target in targets), default=UNRANKED)
    failures = compared(scenario.expected, decision, record, run, priority, sent)
    found = Played(
        scenario=scenario.name,
        where=scenario.where,
        failures=tuple(failures),
        verdict=NOTHING,
        status=record.status if record is not None else "",
        effects=tuple(sent),
        state=record.state if record is not None else "",
    )
    if decision is None:
        return found
    named = {guard.replace("-", "_").replace(" ", "_") for guard in scenario.expected.findings}
    return msgspec.structs.replace(
        found,
        verdict=decision.verdict.value,
        reason=decision.reason,
        rule=decision.rule,
        mode=decision.mode.value,
        would_be=decision.would_be.value,
        findings=tuple(
            Shown(guard=each.guard, outcome=each.outcome.value, reason=each.reason)
            for each in decision.findings
            if each.outcome.value != "pass" or each.guard in named
        ),
    )


async def _written(store: Store, puts: tuple[Put, ...], at: Instant) -> None:
    if puts:
        await store.commit(Commit(at=at, puts=puts))


# -- signals, and what became of them --------------------------------------------------------------


def _source_of(configuration: Configuration, group: str) -> str:
    """The first source of a group that takes alerts as they are sent here."""
    named = sorted(
        (each.kind is not SourceKind.ALERTMANAGER, name)
        for name, each in configuration.settings.sources.items()
        if each.source.group == group
    )
    return named[0][1] if named else group


async def _until_ms(engine: Engine, began: Instant, milliseconds: int) -> None:
    remaining = after_ms(began, milliseconds) - engine.clock.now()
    if remaining.total_seconds() > 0:
        await asyncio.sleep(remaining.total_seconds())


async def _receive(engine: Engine, scenario: Scenario, signal: GivenSignal, source: str) -> None:
    """Through the very intake that hooks use, as an Alertmanager sends it."""
    ended = rfc3339(engine.clock.now()) if signal.standing is Standing.RESOLVED else "0001-01-01T00:00:00Z"
    labels = {**signal.labels, **({"region": signal.region} if signal.region else {})}
    alert = {
        "status": signal.standing.value,
        "labels": labels,
        "annotations": signal.annotations,
        "startsAt": rfc3339(scenario.at),
        "endsAt": ended,
        "generatorURL": "",
        "fingerprint": hashlib.sha256(canonical(labels)).hexdigest()[:16],
    }
    body: dict[str, Any] = {
        "version": "4",
        "groupKey": "{}",
        "status": signal.standing.value,
        "receiver": "scenario",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "",
        "truncatedAlerts": 0,
        "alerts": [alert],
    }
    headers = {"content-type": "application/json"}
    await engine.intake.accept(source, "alertmanager", msgspec.json.encode(body), headers)
    engine.pipeline.nudge()


async def _settled(engine: Engine) -> tuple[Decision | None, RunRecord | None]:
    """The last decision, and its run at its end. Time goes on for LOOK_MS, and for as long as a run is open or one that
    waits for its place may begin.
    """
    began = engine.clock.now()
    ran, still = False, 0
    while True:
        await asyncio.sleep(STEP_S)
        waited_ms = int((engine.clock.now() - began).total_seconds() * 1000)
        live = bool(engine.runner.live)
        still = 0 if live or len(engine.world.room) else still + 1
        ran = ran or live or bool(await engine.store.count("run"))  # one without waiting ends between two looks
        if engine.failed:
            raise Rejected(f"the engine failed: {engine.failed}")
        if (ran and still >= STILL_MIN) or (not live and waited_ms >= LOOK_MS) or waited_ms >= RUN_MS_MAX:
            break
    decision = await _last(engine.store)
    if decision is None:
        return None, None
    runs = await engine.store.find("run", {"decision": decision.id}, limit=1)
    return decision, read(runs.items[0], RunRecord) if runs.items else None


async def _last(store: Store) -> Decision | None:
    """The newest decision; one that only waited for a run of this scenario on its own target says nothing more of it."""
    page = await store.find("decision", limit=DECISIONS_MAX)
    found = [read(row, Decision) for row in page.items]
    runs = await store.find("run", limit=DECISIONS_MAX)
    own = {row.id for row in runs.items}
    for decision in found:
        busy = {run for each in decision.findings for run in each.evidence.get("busy", ())}
        if decision.verdict is not Verdict.HOLD or not busy or not busy <= own:
            return decision
    return found[0] if found else None


async def _run(engine: Engine, record: RunRecord | None) -> Run | None:
    if record is None:
        return None
    try:
        return await engine.run_of(record)
    except Conflict:
        return None
