"""A scenario's world: its configuration without what only the outside could say, and the state in which its first signal
finds the engine.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from watchkeeper.approve.people import Grant
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.given_history import entity, objectives
from watchkeeper.engine.records import HealthRecord, RunRecord
from watchkeeper.guards.breaker import OPEN
from watchkeeper.guards.situation import Deploy, Freeze, Hold, Maintenance, Scope, Stop
from watchkeeper.home.breakers import BrakeSettings
from watchkeeper.home.configuration import Configuration
from watchkeeper.home.exclusion import Exclusion
from watchkeeper.home.load_indicator import WINDOW
from watchkeeper.home.settings import Settings
from watchkeeper.home.slo import Indicator, Origin, Server, Slo
from watchkeeper.learn.brake import Brake, due
from watchkeeper.learn.breaker import Circuit, Failure, fresh
from watchkeeper.packs.given import Given, GivenBrake, GivenBreaker, GivenHealth, Limit, Until
from watchkeeper.packs.rule import Mode
from watchkeeper.packs.scenario import Scenario
from watchkeeper.values import Instant, after_ms, id_from

DAY_MS: Final = 86_400_000
GRANT_MS: Final = 30 * DAY_MS
LOOK_EVERY_MS: Final = 10_000  # of a probe that nobody declared, where the age of what it saw is given
HEARD_EVERY_S: Final = 60.0  # a region that sees says something so often
HEALTHY: Final = "healthy"
UNKNOWN: Final = "unknown"


# -- its configuration -----------------------------------------------------------------------------


def situated(configuration: Configuration, scenario: Scenario) -> Configuration:
    """With the given exclusions beside its own; objectives and calendars from elsewhere only where they are given, and
    each answered by the scenario; no probe of what is given. Raises ValueError for what does not exist.
    """
    given = scenario.given
    asked = objectives(given, configuration)
    calendars = {each.name for each in given.calendars}
    return replace(
        configuration,
        exclusions=(*configuration.exclusions, *_exclusions(given, scenario.at)),
        calendars=tuple(each for each in configuration.calendars if not each.remote or each.name in calendars),
        slos={name: _asked(configuration.slos[name]) for name in asked},
        settings=_unwatched(configuration, given),
    )


def _exclusions(given: Given, at: Instant) -> Iterable[Exclusion]:
    for number, each in enumerate(given.exclusions):
        yield Exclusion(
            id=f"X-{number}",
            scope=_scope(each),
            control=each.control,
            reason=each.reason,
            owner=each.owner,
            approver=each.approver,
            from_at=at,
            until_at=until(each.until, at),
        )


def _asked(slo: Slo) -> Slo:
    """The same objective, read from a source of the scenario's own: no other one's query is answered for it."""
    return replace(
        slo,
        indicator=Indicator(
            origin=Origin.PROMETHEUS,
            part_is_bad=True,
            part_query=f"bad[{WINDOW}]",
            total_query=f"total[{WINDOW}]",
            server=Server(name="given", url=f"given:{slo.name}"),
        ),
    )


def _unwatched(configuration: Configuration, given: Given) -> Settings:
    """Without the node's own probes of what the scenario speaks of: its word stands."""
    settings = configuration.settings
    said = {entity(configuration, each.entity).ref for each in given.health}
    said |= {entity(configuration, each.service).ref for each in given.metrics}
    named = configuration.catalog.named
    blind = {each.name for each in given.regions}
    sources = {
        name: replace(
            source,
            polls=tuple(
                poll
                for poll in source.polls
                if named.get(poll.entity, poll.entity) not in said and poll.probe.region not in blind
            ),
        )
        for name, source in settings.sources.items()
    }
    return replace(settings, sources=sources)


# -- its state -------------------------------------------------------------------------------------


def place(scenario: Scenario, engine: Engine) -> None:
    """Put the world of a started engine into the given state. Raises ValueError for what does not exist."""
    given, at = scenario.given, scenario.at
    _granted(scenario, engine)
    _limited(given, engine, at)
    world = engine.world
    for number, each in enumerate(given.attempts):
        ended = after_ms(at, -each.ago_ms)
        world.tried(
            RunRecord(
                id=f"run_{number}",
                decision="",
                runbook=each.runbook,
                rule="",
                status=each.status,
                open=False,
                at=ended,
                targets=(_ref(engine, each.target),),
                configuration="",
                symptom=each.symptom,
                ended_at=ended,
                effects=1,
            )
        )
    for breaker in given.breakers:
        world.keep_circuit(_circuit(engine, breaker, at))
    _braked(given, engine, at)
    for name in given.busy:
        world.busy[_ref(engine, name)] = "run_elsewhere"
    for health in given.health:
        _known(engine, health, at)
    for region in given.regions:
        if region.heard_ms is not None:
            engine.witnesses.heard(region.name, after_ms(at, -region.heard_ms))


async def go_on(given: Given, engine: Engine) -> None:
    """What is seen goes on being seen while the scenario lasts."""
    seeing = [each.name for each in given.regions if each.heard_ms == 0]
    while seeing:
        await asyncio.sleep(HEARD_EVERY_S)
        for name in seeing:
            engine.witnesses.heard(name, engine.clock.now())


def until(given: Until, at: Instant) -> Instant:
    return given.at if given.at is not None else after_ms(at, given.after_ms)


def _granted(scenario: Scenario, engine: Engine) -> None:
    """Every rule stands where `given.mode` says, by a grant; at observe there is none."""
    if scenario.mode is Mode.OBSERVE:
        return
    for rule in engine.world.configuration.rules:
        engine.world.grants[f"given {rule}"] = Grant(
            id=f"given {rule}",
            rule=rule,
            level=scenario.mode.value,
            at=scenario.at,
            until_at=after_ms(scenario.at, GRANT_MS),
            by="scenario",
            reason="given.mode",
            second="scenario",
        )


def _limited(given: Given, engine: Engine, at: Instant) -> None:
    world = engine.world
    for number, each in enumerate(given.stops):
        name = f"stp_{number}"
        world.stops[name] = Stop(id=name, scope=_scope(each), by=each.by, reason=each.reason, at=at)
    for number, each in enumerate(given.holds):
        name, ends = f"hld_{number}", until(each.until, at)
        world.holds[name] = Hold(id=name, scope=_scope(each), by=each.by, reason=each.reason, at=at, until_at=ends)
    for number, each in enumerate(given.freezes):
        name, ends = f"frz_{number}", until(each.until, at)
        world.freezes[name] = Freeze(
            id=name, scope=_scope(each), by=each.by, reason=each.reason, at=at, from_at=at, until_at=ends
        )
    for number, each in enumerate(given.maintenance):
        name, ends = f"mnt_{number}", until(each.until, at)
        world.maintenance[name] = Maintenance(
            id=name, scope=_scope(each), reason=each.reason, from_at=at, until_at=ends
        )
    for number, deploy in enumerate(given.deploys):
        name, ends = f"dpl_{number}", until(deploy.until, at)
        world.deploys[name] = Deploy(
            id=name, service=_ref(engine, deploy.service), reason=deploy.reason, at=at, until_at=ends
        )


def _circuit(engine: Engine, given: GivenBreaker, at: Instant) -> Circuit:
    """An open breaker of what a runbook does to a target; half open once its time is up."""
    target = engine.situations.target(_ref(engine, given.target))
    assert target is not None
    runbook = engine.world.configuration.rulebook.runbooks[given.runbook]
    proposal = engine.situations.proposal(None, runbook, (target,), {}, None, at)
    actions = sorted({need.action for need in proposal.needs})
    if given.action not in actions:
        raise ValueError(f"breakers: {given.runbook} does not do {given.action!r}, it does {', '.join(actions)}")
    pack = f"{proposal.pack}@{proposal.pack_version}"
    made = fresh(given.action, target.ref, pack, target.region, at)
    return replace(made, state=OPEN, until_at=until(given.until, at), opened=1, opened_at=at, failed=3)


def _braked(given: Given, engine: Engine, at: Instant) -> None:
    """A brake is on for as long as its cause is: so many failures, on things that the scenario does not speak of."""
    world = engine.world
    settings = world.configuration.settings.breakers.brake
    for number, each in enumerate(given.brakes):
        for circuit in _failures(each, f"{number}", settings, at):
            world.keep_circuit(circuit)
    if given.brakes:
        for pull in due(world.circuits.values(), settings, at, {}).values():
            world.keep_brake(
                Brake(
                    id=id_from("brk", at, pull.key),
                    key=pull.key,
                    what=pull.what,
                    name=pull.name,
                    why=pull.why,
                    since_at=at,
                    rules=pull.rules,
                    targets=pull.targets,
                )
            )


def _failures(given: GivenBrake, number: str, settings: BrakeSettings, at: Instant) -> Iterable[Circuit]:
    """What pulls the brake: of one rule on many targets, of many rules in one region, or breakers that open together."""
    count = settings.targets if given.rule else settings.rules if given.region else settings.open_max
    for place in range(count):
        target = f"elsewhere-{number}-{place + 1}"
        made = fresh("given", target, "given", given.region, at)
        if not given.rule and not given.region:
            yield replace(made, state=OPEN, opened=1, opened_at=at, until_at=after_ms(at, DAY_MS))
            continue
        rule = given.rule or f"elsewhere/{place + 1}"
        failure = Failure(at=at, run="run_elsewhere", rule=rule, target=target, region=given.region)
        yield replace(made, failures=(failure,), failed=1)


def _known(engine: Engine, given: GivenHealth, at: Instant) -> None:
    """With an age the probe that saw it looks no more, so it grows old as any; without one it stays as it is."""
    if given.health == UNKNOWN:
        return
    aged = given.age_ms is not None
    record = HealthRecord(
        entity=_ref(engine, given.entity),
        healthy=given.health == HEALTHY,
        at=after_ms(at, -(given.age_ms or 0)),
        why="given",
        every_ms=LOOK_EVERY_MS if aged else DAY_MS,
    )
    engine.world.health.saw(record)


def _scope(given: Limit) -> Scope:
    return Scope(**given.scope)


def _ref(engine: Engine, name: str) -> str:
    return entity(engine.world.configuration, name).ref
