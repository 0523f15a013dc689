"""Why an alert calls for no decision of its own: what it depends on is down, a runbook expects it, or it is maintained.

Out: an explanation or None. An inhibited alert stays visible, belongs to its incident and counts for escalation.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.incident import by_first_seen
from watchkeeper.values import Instant, Labels, Severity, Window, rfc3339

INHIBITING: Final = frozenset({Severity.CRITICAL, Severity.MAJOR})  # what counts as down
WALK_MAX: Final = 256  # places looked at upwards, so that no catalogue makes this endless


class Because(StrEnum):
    PARENT_DOWN = "parent down"
    RUN_EXPECTS = "run expects"
    MAINTENANCE = "maintenance"


class Inhibition(Struct, frozen=True, kw_only=True):
    """`by` is the alert, run or maintenance behind it; `until_at` None: for as long as that lasts."""

    because: Because
    by: str
    sentence: str
    until_at: Instant | None = None


class Expected(Struct, frozen=True, kw_only=True):
    """What a running runbook announces: these alerts on these entities, during run and settle."""

    run: str
    runbook: str
    alertnames: frozenset[str]
    entities: frozenset[str]
    window: Window


class Maintenance(Struct, frozen=True, kw_only=True):
    """Announced work. Every scope that is not empty must fit; `labels` too. All empty: everything."""

    id: str
    window: Window
    reason: str
    entities: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    labels: Labels = {}


def by_topology(
    alert: Alert, parents_of: Callable[[str], Iterable[str]], firing_on: Callable[[str], Iterable[Alert]]
) -> Inhibition | None:
    """Inhibited when something it depends on directly is down: a critical or major alert fires on it.

    Entities that depend on each other in a ring never inhibit each other: otherwise all of them would fall silent.
    """
    for parent in sorted(set(parents_of(alert.place)) - {alert.place}):
        down = sorted((other for other in firing_on(parent) if other.severity in INHIBITING), key=by_first_seen)
        if down and not _reaches(parent, alert.place, parents_of):
            name = down[0].labels.get("alertname", "an alert")
            return Inhibition(
                because=Because.PARENT_DOWN,
                by=down[0].id,
                sentence=f"{alert.place} depends on {parent}, which is down: {name} fires there since "
                f"{rfc3339(down[0].began_at)}",
            )
    return None


def _reaches(start: str, goal: str, parents_of: Callable[[str], Iterable[str]]) -> bool:
    """Whether `goal` is among what `start` depends on; said to be so when the walk grows too long: then none is silenced."""
    seen, waiting = {start}, [start]
    while waiting:
        for parent in parents_of(waiting.pop()):
            if parent == goal or len(seen) > WALK_MAX:
                return True
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return False


def by_run(alert: Alert, expected: Iterable[Expected]) -> Inhibition | None:
    """Inhibited when it was first seen while a run that expects it was under way on its entity."""
    for run in sorted(expected, key=lambda one: one.run):
        if (
            alert.entity
            and alert.entity in run.entities
            and alert.labels.get("alertname", "") in run.alertnames
            and run.window.holds(alert.first_seen_at)
        ):
            return Inhibition(
                because=Because.RUN_EXPECTS,
                by=run.run,
                until_at=run.window.until_at,
                sentence=f"{alert.labels['alertname']} on {alert.entity} is expected by runbook {run.runbook}, run {run.run}",
            )
    return None


def by_maintenance(alert: Alert, works: Iterable[Maintenance], now: Instant) -> Inhibition | None:
    """Inhibited while announced work covers it at `now`; of several the one that lasts longest is named."""
    covering = [work for work in works if work.window.holds(now) and _covers(work, alert)]
    if not covering:
        return None
    work = max(covering, key=lambda one: (one.window.until_at is None, one.window.until_at or now, one.id))
    until = f"until {rfc3339(work.window.until_at)}" if work.window.until_at else "with no end stated"
    return Inhibition(
        because=Because.MAINTENANCE,
        by=work.id,
        until_at=work.window.until_at,
        sentence=f"{alert.place} is under maintenance {work.id} {until}: {work.reason}",
    )


def _covers(work: Maintenance, alert: Alert) -> bool:
    mapped = alert.mapped
    scopes = (
        (work.entities, mapped.entity),
        (work.systems, mapped.system),
        (work.environments, mapped.environment),
        (work.regions, mapped.region),
    )
    return all(not scope or value in scope for scope, value in scopes) and all(
        alert.labels.get(name, "") == value for name, value in work.labels.items()
    )
