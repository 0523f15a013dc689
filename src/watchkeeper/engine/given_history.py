"""The history that a scenario gives, as an earlier process would have left it in the store: the engine takes it up at its
start, and works out of it what it works out of any: means, uptime, budgets, standings, calendars.

In: what was given, and the configuration. Out: puts. Raises ValueError for what cannot be.
"""

from collections.abc import Iterable
from typing import Final

from watchkeeper.catalog.entity import Entity
from watchkeeper.correlate.incident import Incident, IncidentState
from watchkeeper.decide.target import target_from
from watchkeeper.engine.calendars import source_of
from watchkeeper.engine.earned import basis_of, cell_of
from watchkeeper.engine.incidents import Mark
from watchkeeper.engine.objectives import WHOLE
from watchkeeper.engine.records import CalendarRecord, Note, Reading, put
from watchkeeper.guards.situation import Target
from watchkeeper.home.configuration import Configuration
from watchkeeper.home.named import entity_of
from watchkeeper.home.slo import Slo
from watchkeeper.learn.agreement import Cell, Evidence, How
from watchkeeper.learn.failover import Cause, Failover
from watchkeeper.learn.looks import Day, State, looked, midnight
from watchkeeper.learn.standing import CAPS, Because, Demotion, Standing
from watchkeeper.packs.given import Given, GivenCell, GivenMetrics, GivenObjective
from watchkeeper.packs.rule import Mode
from watchkeeper.ports import Put
from watchkeeper.values import EPOCH, SEVERITY_ORDER, Instant, Severity, after_ms, duration_text, id_from, ms_between

PPM: Final = 1_000_000
DAY_MS: Final = 86_400_000
COUNTS_FOR_MS: Final = 4 * 3_600_000  # what the last look saw goes on being so for as long as a scenario may take
LASTS_MS: Final = 600_000  # of an incident of which nothing but its number is given
APART_MS: Final = 60_000  # incidents, and episodes, lie so far apart
TOTAL: Final = PPM * PPM  # thousandths of events that an objective counted: every share of it is whole
BY: Final = "scenario"


def history(given: Given, configuration: Configuration, at: Instant) -> tuple[Put, ...]:
    """Everything that happened before the scenario's start."""
    return (
        *(each for metrics in given.metrics for each in _measured(metrics, configuration, at)),
        *_readings(given, configuration, at),
        *_agreed(given, configuration, at),
        *_demoted(given, configuration, at),
        *_calendars(given, configuration, at),
    )


def entity(configuration: Configuration, name: str) -> Entity:
    found = entity_of(configuration.catalog, name)
    if found is None:
        raise ValueError(f"no entity {name!r} in the catalogue")
    return found


# -- metrics ---------------------------------------------------------------------------------------


def _measured(given: GivenMetrics, configuration: Configuration, at: Instant) -> Iterable[Put]:
    """Looks that make the uptime, incidents that make the means, a failover that took so long."""
    ref = entity(configuration, given.service).ref
    window_ms = configuration.settings.metrics.window_ms
    if given.uptime_ppm is not None:
        if given.age_ms >= window_ms:
            raise ValueError(
                f"metrics.{given.service}: nothing that is {duration_text(given.age_ms)} old lies in the window of {duration_text(window_ms)}"
            )
        for day in days(ref, given.uptime_ppm, given.age_ms, window_ms, at):
            yield put(day)
    means = (given.mttd_ms, given.mtta_ms, given.mttr_ms)
    count = given.incidents if given.incidents is not None else int(any(each is not None for each in means))
    for number in range(count):
        yield from _incident(given, ref, number, window_ms, at)
    if given.failover_ms is not None:
        ended = after_ms(at, -APART_MS)
        yield put(
            Failover(
                id=id_from("fov", at, ref),
                service=ref,
                cause=Cause.RUN,
                at=ended,
                bad_at=after_ms(ended, -given.failover_ms),
                good_at=ended,
            )
        )


def days(ref: str, uptime_ppm: int, age_ms: int, window_ms: int, at: Instant) -> tuple[Day, ...]:
    """Looks over the whole window, down in its middle for exactly the share that is not up; the last `age_ms` ago."""
    first, last = after_ms(at, -window_ms), after_ms(at, -age_ms)
    total_ms = ms_between(first, last)
    down_ms = total_ms * (PPM - uptime_ppm) // PPM
    down_at = after_ms(first, (total_ms - down_ms) // 2)
    up_at = after_ms(down_at, down_ms)
    moments = {first, last, *({down_at, up_at} if down_ms else ())}
    morning = after_ms(midnight(first), DAY_MS)
    while morning < last:
        moments.add(morning)
        morning = after_ms(morning, DAY_MS)
    ordered = sorted(each for each in moments if each <= last)
    found: dict[str, Day] = {}
    before: Day | None = None
    for number, moment in enumerate(ordered):
        good = not (down_ms and down_at <= moment < up_at)
        until = ordered[number + 1] if number + 1 < len(ordered) else after_ms(last, COUNTS_FOR_MS)
        before = looked(before, ref, moment, State.UP if good else State.DOWN, until, good)
        found[before.id] = before
    return tuple(found.values())


def _incident(given: GivenMetrics, ref: str, number: int, window_ms: int, at: Instant) -> Iterable[Put]:
    detect_ms, acknowledge_ms = given.mttd_ms or 0, given.mtta_ms
    lasts_ms = max(LASTS_MS if given.mttr_ms is None else given.mttr_ms, detect_ms + (acknowledge_ms or 0))
    began = after_ms(at, -(lasts_ms + APART_MS * (number + 1)))
    opened = after_ms(began, detect_ms)
    if ms_between(opened, at) > window_ms:
        raise ValueError(
            f"metrics.{given.service}: an incident that took {duration_text(lasts_ms)} was not opened inside the window of {duration_text(window_ms)}"
        )
    incident = Incident(
        id=id_from("inc", began, ref, str(number)),
        root="",
        place=ref,
        entity=ref,
        environment="",
        title="given",
        began_at=began,
        opened_at=opened,
        state=IncidentState.RESOLVED,
        severity=Severity.WARNING,
        priority=SEVERITY_ORDER.index(Severity.WARNING) + 1,
        alerts=1,
        firing=0,
        resolved_at=after_ms(began, lasts_ms),
    )
    yield put(incident)
    if acknowledge_ms is not None:
        yield put(
            Note(
                id=id_from("not", opened, ref, str(number)),
                subject=incident.id,
                at=after_ms(opened, acknowledge_ms),
                by=BY,
                text="given",
                kind=Mark.ACKNOWLEDGED.value,
            )
        )


# -- objectives ------------------------------------------------------------------------------------


def objectives(given: Given, configuration: Configuration) -> dict[str, GivenObjective]:
    """What is given of each objective, by its name: first by its own, else by that of its service."""
    services = {
        entity(configuration, each.service).ref: each for each in given.objectives if each.service and not each.name
    }
    own = {each.name: each for each in given.objectives if each.name}
    return {
        name: found
        for name, slo in configuration.slos.items()
        if (found := own.get(name) or services.get(slo.entity)) is not None
    }


def counts(given: GivenObjective, slo: Slo) -> dict[str, tuple[int, int]]:
    """Window -> (bad, total) that make what is given, exactly. Raises ValueError for a share that no count makes."""
    spent = {WHOLE: PPM - given.left_ppm, **given.burn_ppm}
    found = {}
    for window, spent_ppm in spent.items():
        bad = spent_ppm * (PPM - slo.target_ppm)
        if bad < 0:
            raise ValueError(f"slo[{slo.name!r}]: more than 100% of a budget cannot be left")
        if bad > TOTAL:
            most = PPM // (PPM - slo.target_ppm)
            raise ValueError(
                f"slo[{slo.name!r}]: with everything bad its budget burns at {most}, and no faster: {window} cannot be"
            )
        found[window] = (bad, TOTAL)
    return found


def _readings(given: Given, configuration: Configuration, at: Instant) -> Iterable[Put]:
    for name, found in objectives(given, configuration).items():
        slo = configuration.slos[name]
        if not found.unknown:
            read_at = after_ms(at, -(found.age_ms or 0))
            yield put(Reading(id=name, definition=slo.digest, at=read_at, counts=counts(found, slo), tried_at=read_at))


# -- standing --------------------------------------------------------------------------------------


def _agreed(given: Given, configuration: Configuration, at: Instant) -> Iterable[Put]:
    """Reviews by people, spread over the time that the cell has been on its level."""
    for number, each in enumerate(given.agreements):
        cell, target = _cell(each.cell, configuration)
        rule = configuration.rulebook.rules[each.cell.rule]
        basis = basis_of(configuration.rulebook.runbooks[rule.runbook])
        began = after_ms(at, -each.since_ms)
        if each.level is not Mode.OBSERVE:
            yield put(
                Standing(id=id_from("std", EPOCH, cell.key), cell=cell, level=each.level, since_at=began, basis=basis)
            )
        for episode in range(each.of):
            decided = after_ms(began, each.since_ms * episode // each.of)
            yield put(
                Evidence(
                    id=id_from("evi", decided, cell.key, str(number), str(episode)),
                    cell=cell,
                    episode=f"given {number} {episode}",
                    decision="",
                    basis=basis,
                    production=target.production,
                    ceiling=rule.ceiling,
                    decided_at=decided,
                    how=How.REVIEW,
                    agrees=episode < each.agreed,
                    by=BY,
                    at=decided,
                )
            )


def _demoted(given: Given, configuration: Configuration, at: Instant) -> Iterable[Put]:
    for each in given.demotions:
        cell, _ = _cell(each.cell, configuration)
        because, fell = Because(each.because), after_ms(at, -each.ago_ms)
        yield put(
            Demotion(
                id=id_from("dem", fell, cell.key, each.because),
                cell=cell,
                level=CAPS[because],
                because=because,
                cause=f"given:{each.because}",
                why=f"{each.because}, as given",
                at=fell,
                by=BY,
            )
        )


def _cell(given: GivenCell, configuration: Configuration) -> tuple[Cell, Target]:
    production = {name: each.production for name, each in configuration.settings.environments.items()}
    target = target_from(entity(configuration, given.target), configuration.catalog, production)
    return cell_of(given.rule, target, given.severity), target


# -- calendars -------------------------------------------------------------------------------------


def _calendars(given: Given, configuration: Configuration, at: Instant) -> Iterable[Put]:
    named = {each.name: each for each in configuration.calendars}
    for each in given.calendars:
        if each.body and each.age_ms is not None:
            read_at = after_ms(at, -each.age_ms)
            source = source_of(named[each.name])
            yield put(CalendarRecord(id=each.name, at=read_at, body=each.body.encode(), source=source))
