"""Scenarios: the tests that ship with packs, played by the very engine that runs, in a world that only remembers.

In: a scenario and an engine over a store in memory, on a loop whose time is moved, whose actions send nothing. Out: a
`Played`: what was decided and what would have been sent, and each expectation that was not met, in words.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.approve.people import Grant
from watchkeeper.catalog.catalog import by_alias, by_ref
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.action import Invocation, Observation, Surroundings
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.records import HealthRecord, RunRecord, read
from watchkeeper.errors import Rejected
from watchkeeper.guards.breaker import OPEN
from watchkeeper.guards.situation import Deploy, Freeze, Hold, Maintenance, Scope, Stop, Target
from watchkeeper.home.configuration import Configuration
from watchkeeper.home.exclusion import Exclusion
from watchkeeper.home.settings import Settings
from watchkeeper.learn.breaker import Circuit, fresh
from watchkeeper.packs.runbook import Effect
from watchkeeper.packs.scenario import GivenSignal, Scenario, Standing
from watchkeeper.report.notices import Notice
from watchkeeper.values import Instant, after_ms, canonical, duration_ms, instant, rfc3339

LOOK_MS: Final = 5_000  # time that goes on after the last signal before nothing more is expected
RUN_MS_MAX: Final = 4 * 3_600_000  # virtual time that a run may take
STEP_S: Final = 0.05
DAY_MS: Final = 86_400_000
_OUTPUT_OF_PROBES: Final = "probe"
_HEALTHY: Final = {"connected": True, "status": 200, "exit": 0, "stdout": "", "body": "", "headers": {}}
PLAYED: Final = (
    "stops",
    "holds",
    "freezes",
    "exclusions",
    "maintenance",
    "deploys",
    "attempts",
    "breakers",
    "busy",
)


class Played(Struct, frozen=True, kw_only=True):
    """`failures` is empty when everything was as expected. `effects` are all sendings, in order."""

    scenario: str
    where: str
    failures: tuple[str, ...]
    verdict: str = ""
    reason: str = ""
    rule: str = ""
    status: str = ""
    effects: tuple[dict[str, Any], ...] = ()


class Remembering:
    """An action that sends nothing, remembers what it was asked, and answers as the scenario says."""

    effect = Effect.IDEMPOTENT

    def __init__(self, name: str, scenario: Scenario, sent: list[dict[str, Any]]) -> None:
        self.name, self._scenario, self._sent = name, scenario, sent

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        del around
        target = invocation.target
        self._sent.append(
            {
                "step": invocation.step,
                "action": self.name,
                "target": target.name if target is not None else "",
                "arguments": dict(invocation.arguments),
                "ref": target.ref if target is not None else "",
            }
        )
        outputs = self._scenario.outputs
        found = outputs.get(invocation.step, outputs.get(invocation.step.rpartition("/")[2], {}))
        return dict(found) if isinstance(found, dict) else {"value": found}


class Healthy:
    """A prober to which everything is well, unless the scenario's `outputs.probe` says what it sees."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario

    async def look(
        self, kind: str, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None
    ) -> Observation:
        del kind, arguments, timeout_ms, target
        return Observation(seen=True, values={**_HEALTHY, **self._scenario.outputs.get(_OUTPUT_OF_PROBES, {})})


class Silent:
    """A channel that tells nobody."""

    async def tell(self, notice: Notice, route: Mapping[str, Any]) -> None:
        del notice, route


def situated(configuration: Configuration, scenario: Scenario) -> Configuration:
    """The configuration with the scenario's exclusions beside its own, and without what only the network or a history
    could say: a scenario has measured nothing, so no error budget of the home's objectives is asked of it.
    """
    given = tuple(
        Exclusion(
            id=f"X-{number}",
            scope=_scope(each),
            control=str(each.get("control", "")),
            reason=str(each.get("reason", "given")),
            owner=str(each.get("owner", "")),
            approver=str(each.get("approver", "")),
            from_at=scenario.at,
            until_at=_until(each, scenario.at),
        )
        for number, each in enumerate(_items(scenario, "exclusions"))
    )
    calendars = tuple(
        each for each in configuration.calendars if not each.remote
    )  # a scenario reads nothing from elsewhere
    return replace(
        configuration,
        exclusions=(*configuration.exclusions, *given),
        calendars=calendars,
        slos={},
        settings=_unwatched(configuration, scenario),
    )


def _unwatched(configuration: Configuration, scenario: Scenario) -> Settings:
    """The settings without the node's own probes of what the scenario gives the health of: its word stands."""
    catalog, settings = configuration.catalog, configuration.settings

    def ref_of(name: str) -> str:
        found = by_ref(catalog, name) or by_alias(catalog, name)
        return found.ref if found is not None else name

    said = {ref_of(str(each["ref"])) for each in scenario.catalog if "health" in each and "ref" in each}
    sources = {
        name: replace(source, polls=tuple(poll for poll in source.polls if ref_of(poll.entity) not in said))
        for name, source in settings.sources.items()
    }
    return replace(settings, sources=sources)


async def play(scenario: Scenario, engine: Engine, sent: list[dict[str, Any]]) -> Played:
    """Start the engine, put the world into the given state, receive the signals, and compare."""
    wrong = [
        f"given.situation.{name}: cannot be played yet; {', '.join(PLAYED)} can"
        for name in scenario.situation
        if name not in PLAYED
    ]
    if wrong:
        return Played(scenario=scenario.name, where=scenario.where, failures=tuple(wrong))
    await engine.start()
    try:
        try:
            _set(scenario, engine)
        except (ValueError, TypeError, KeyError, Rejected) as unread:
            return Played(scenario=scenario.name, where=scenario.where, failures=(f"given: {unread}",))
        began = engine.clock.now()
        for signal in scenario.signals:
            await _until_ms(engine, began, signal.after_ms)
            await _receive(engine, scenario, signal)
        decision, record = await _settled(engine)
    finally:
        await engine.stop()
    return Played(
        scenario=scenario.name,
        where=scenario.where,
        failures=tuple(_compared(scenario, decision, record, sent)),
        verdict=decision.verdict.value if decision is not None else "none",
        reason=decision.reason if decision is not None else "",
        rule=decision.rule if decision is not None else "",
        status=record.status if record is not None else "",
        effects=tuple(sent),
    )


# -- the given world -------------------------------------------------------------------------------


def _set(scenario: Scenario, engine: Engine) -> None:
    world, at = engine.world, scenario.at
    for rule in world.configuration.rules:
        world.grants[f"given {rule}"] = Grant(
            id=f"given {rule}",
            rule=rule,
            level=scenario.mode.value,
            at=at,
            until_at=after_ms(at, 30 * DAY_MS),
            by="scenario",
            reason="given.mode",
            second="scenario",
        )
    for number, each in enumerate(_items(scenario, "stops")):
        world.stops[f"stp_{number}"] = Stop(
            id=f"stp_{number}", scope=_scope(each), by=_by(each), reason=_why(each), at=at
        )
    for number, each in enumerate(_items(scenario, "holds")):
        world.holds[f"hld_{number}"] = Hold(
            id=f"hld_{number}", scope=_scope(each), by=_by(each), reason=_why(each), at=at, until_at=_until(each, at)
        )
    for number, each in enumerate(_items(scenario, "freezes")):
        world.freezes[f"frz_{number}"] = Freeze(
            id=f"frz_{number}",
            scope=_scope(each),
            by=_by(each),
            reason=_why(each),
            at=at,
            from_at=at,
            until_at=_until(each, at),
        )
    for number, each in enumerate(_items(scenario, "maintenance")):
        world.maintenance[f"mnt_{number}"] = Maintenance(
            id=f"mnt_{number}", scope=_scope(each), reason=_why(each), from_at=at, until_at=_until(each, at)
        )
    for number, each in enumerate(_items(scenario, "deploys")):
        world.deploys[f"dpl_{number}"] = Deploy(
            id=f"dpl_{number}", service=str(each["service"]), reason=_why(each), at=at, until_at=_until(each, at)
        )
    for number, each in enumerate(_items(scenario, "attempts")):
        ref = _ref(engine, str(each["target"]))
        ended = after_ms(at, -duration_ms(str(each.get("ago", "1m"))))
        world.tried(
            RunRecord(
                id=f"run_{number}",
                decision="",
                runbook=str(each.get("runbook", "")),
                rule="",
                status=str(each.get("status", "succeeded")),
                open=False,
                at=ended,
                targets=(ref,),
                configuration="",
                symptom=str(each.get("symptom", "")),
                ended_at=ended,
                effects=1,
            )
        )
    for each in _items(scenario, "breakers"):
        world.keep_circuit(_circuit(engine, each, at))
    for each in scenario.situation.get("busy") or ():
        world.busy[_ref(engine, str(each))] = "run_elsewhere"
    for each in scenario.catalog:
        if "health" in each:
            ref = _ref(engine, str(each["ref"]))
            healthy = each["health"] == "healthy"
            world.health.saw(HealthRecord(entity=ref, healthy=healthy, at=at, why="given", every_ms=DAY_MS))


def _circuit(engine: Engine, each: Mapping[str, Any], at: Instant) -> Circuit:
    """An open breaker: `action` on `target`, by the pack of `runbook`, until `until`."""
    target = engine.situations.target(_ref(engine, str(each["target"])))
    assert target is not None
    runbook = engine.world.configuration.rulebook.runbooks[str(each["runbook"])]
    proposal = engine.situations.proposal(None, runbook, (target,), {}, None, at)
    pack = f"{proposal.pack}@{proposal.pack_version}"
    made = fresh(str(each["action"]), target.ref, pack, target.region, at)
    return replace(made, state=OPEN, until_at=_until(each, at), opened=1, opened_at=at, failed=3)


def _items(scenario: Scenario, name: str) -> list[dict[str, Any]]:
    return [each for each in scenario.situation.get(name) or () if isinstance(each, dict)]


def _scope(each: Mapping[str, Any]) -> Scope:
    given = each.get("scope") or {}
    unknown = sorted(set(given) - set(Scope.__struct_fields__))
    if unknown:
        raise ValueError(f"scope: no field {unknown[0]!r}; there are {', '.join(Scope.__struct_fields__)}")
    return Scope(**{name: str(value) for name, value in given.items()})


def _until(each: Mapping[str, Any], at: Instant) -> Instant:
    """`until` is an instant, or a length of time from the scenario's start; a day without one."""
    found = each.get("until")
    if found is None:
        return after_ms(at, DAY_MS)
    if isinstance(found, datetime):
        return found.astimezone(UTC)
    try:
        return after_ms(at, duration_ms(str(found)))
    except ValueError:
        return instant(str(found))


def _by(each: Mapping[str, Any]) -> str:
    return str(each.get("by", "scenario"))


def _why(each: Mapping[str, Any]) -> str:
    return str(each.get("reason", "given"))


def _ref(engine: Engine, name: str) -> str:
    catalog = engine.world.configuration.catalog
    entity = by_ref(catalog, catalog.named.get(name, name))
    if entity is None:
        raise ValueError(f"no entity {name!r} in the catalogue")
    return entity.ref


# -- signals, and what became of them --------------------------------------------------------------


async def _until_ms(engine: Engine, began: Instant, milliseconds: int) -> None:
    remaining = after_ms(began, milliseconds) - engine.clock.now()
    if remaining.total_seconds() > 0:
        await asyncio.sleep(remaining.total_seconds())


async def _receive(engine: Engine, scenario: Scenario, signal: GivenSignal) -> None:
    """Through the very intake that hooks use, as an Alertmanager sends it."""
    ended = rfc3339(engine.clock.now()) if signal.standing is Standing.RESOLVED else "0001-01-01T00:00:00Z"
    alert = {
        "status": signal.standing.value,
        "labels": {**signal.labels, **({"region": signal.region} if signal.region else {})},
        "annotations": signal.annotations,
        "startsAt": rfc3339(scenario.at),
        "endsAt": ended,
        "generatorURL": "",
        "fingerprint": hashlib.sha256(canonical(signal.labels)).hexdigest()[:16],
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
    await engine.intake.accept(signal.source, "alertmanager", msgspec.json.encode(body), headers)
    engine.pipeline.nudge()


async def _settled(engine: Engine) -> tuple[Decision | None, RunRecord | None]:
    """The last decision, and its run at its end. Time goes on for LOOK_MS, and for as long as a run is open."""
    began = engine.clock.now()
    ran = False
    while True:
        await asyncio.sleep(STEP_S)
        waited_ms = int((engine.clock.now() - began).total_seconds() * 1000)
        live = bool(engine.runner.live)
        ran = ran or live or bool(await engine.store.count("run"))  # one without waiting ends between two looks
        if engine.failed:
            raise Rejected(f"the engine failed: {engine.failed}")
        if (ran and not live) or (not live and waited_ms >= LOOK_MS) or waited_ms >= RUN_MS_MAX:
            break
    page = await engine.store.find("decision", limit=1)
    decision = read(page.items[0], Decision) if page.items else None
    if decision is None:
        return None, None
    runs = await engine.store.find("run", {"decision": decision.id}, limit=1)
    return decision, read(runs.items[0], RunRecord) if runs.items else None


# -- comparing -------------------------------------------------------------------------------------


def _compared(
    scenario: Scenario, decision: Decision | None, record: RunRecord | None, sent: list[dict[str, Any]]
) -> list[str]:
    expected, found = scenario.expected, []
    verdict = decision.verdict.value if decision is not None else "none"
    if expected.verdict and verdict != expected.verdict:
        why = f": {decision.reason}" if decision is not None else ": no rule decided"
        found.append(f"verdict: expected {expected.verdict}, it was {verdict}{why}")
    if decision is not None:
        for name, wanted, was in (
            ("rule", expected.rule, decision.rule),
            ("runbook", expected.runbook, decision.runbook),
            ("mode", expected.mode.value if expected.mode is not None else "", decision.mode.value),
        ):
            if wanted and wanted != was:
                found.append(f"{name}: expected {wanted}, it was {was}")
        if expected.reason and expected.reason not in decision.reason:
            found.append(f"reason: expected {expected.reason!r} in it, it was {decision.reason!r}")
        found += _findings(expected.findings, decision)
        found += _targets(expected.targets, decision)
    status = record.status if record is not None else "no run"
    if expected.status and expected.status != status:
        why = f": {record.why}" if record is not None and record.why else ""
        found.append(f"status: expected {expected.status}, it was {status}{why}")
    return [*found, *_effects(expected.effects, sent)]


def _findings(expected: Mapping[str, str], decision: Decision) -> list[str]:
    asked = {each.guard.replace("_", " "): each for each in decision.findings}
    found = []
    for guard, outcome in expected.items():
        finding = asked.get(guard.replace("_", " ").replace("-", " "))
        if finding is None:
            found.append(f"findings.{guard}: no guard of that name was asked; there are {', '.join(asked) or 'none'}")
        elif finding.outcome.value != outcome:
            found.append(f"findings.{guard}: expected {outcome}, it was {finding.outcome.value}: {finding.reason}")
    return found


def _targets(expected: tuple[str, ...], decision: Decision) -> list[str]:
    if not expected:
        return []
    names = {name for target in decision.targets for name in (target.ref, target.name)}
    missing = [each for each in expected if each not in names]
    if missing or len(expected) != len(decision.targets):
        was = ", ".join(target.name for target in decision.targets) or "none"
        return [f"targets: expected {', '.join(expected)}, they were {was}"]
    return []


def _effects(expected: tuple[dict[str, Any], ...] | None, sent: list[dict[str, Any]]) -> list[str]:
    """Each expected effect is found in what was sent, in order; nothing else was sent."""
    if expected is None:
        return []
    found = [
        f"effects[{place}]: expected {_shown(wanted)}, sent was {_shown(was)}"
        for place, (wanted, was) in enumerate(zip(expected, sent, strict=False))
        if not _subset(wanted, was)
    ]
    if len(expected) != len(sent):
        was = "; ".join(_shown(each) for each in sent) or "nothing"
        found.append(f"effects: expected {len(expected)}, sent were {len(sent)}: {was}")
    return found


def _subset(wanted: Mapping[str, Any], was: Mapping[str, Any]) -> bool:
    for name, value in wanted.items():
        if name == "arguments":
            given = was["arguments"]
            if any(given.get(each) != expected for each, expected in value.items()):
                return False
        elif name == "target":
            if value not in (was["target"], was["ref"]):
                return False
        elif name == "step":
            if value not in (was["step"], was["step"].rpartition("/")[2]):
                return False
        elif was.get(name) != value:
            return False
    return True


def _shown(effect: Mapping[str, Any]) -> str:
    parts = [str(effect[name]) for name in ("step", "action", "target") if effect.get(name)]
    return " ".join(parts) or "arguments only"
