"""Several probes on one entity: the worst fresh word counts, silence is unknown, and who left the configuration is forgotten."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from watchkeeper.engine.records import HealthRecord
from watchkeeper.engine.vitals import HEALTH_AGE_FACTOR, Vitals
from watchkeeper.guards.situation import Health

DB = "component:default/db"
NOW = datetime(2026, 3, 1, 3, tzinfo=UTC)
EVERY_MS = 10_000
STALE_MS = HEALTH_AGE_FACTOR * EVERY_MS


def said(probe: str, healthy: bool, age_ms: int = 0) -> HealthRecord:
    at = NOW - timedelta(milliseconds=age_ms)
    return HealthRecord(entity=DB, healthy=healthy, at=at, why=f"{probe} says so", every_ms=EVERY_MS, probe=probe)


GOOD, BAD, LATE = said("port", True), said("page", False), said("disk", True, STALE_MS + 1)


@pytest.mark.parametrize(
    ("records", "health", "why"),
    [
        ((GOOD,), Health.HEALTHY, "port says so"),
        ((GOOD, BAD), Health.UNHEALTHY, "page says so"),
        ((GOOD, LATE), Health.UNKNOWN, "disk says so"),
        ((GOOD, BAD, LATE), Health.UNHEALTHY, "page says so"),
        ((said("page", False, STALE_MS), GOOD), Health.UNHEALTHY, "page says so"),
        ((said("page", False, STALE_MS + 1), GOOD), Health.UNKNOWN, "page says so"),
    ],
)
def test_the_worst_that_is_fresh_counts_whoever_looked_last(
    records: tuple[HealthRecord, ...], health: Health, why: str
) -> None:
    for order in permutations(records):
        vitals = Vitals()
        for record in order:
            vitals.saw(record)
        found = vitals.of(DB, NOW)
        assert (found.health, found.why) == (health, why)


def test_nobody_looked_is_unknown_and_has_no_age() -> None:
    assert (Vitals().of(DB, NOW).health, Vitals().of(DB, NOW).at) == (Health.UNKNOWN, None)


def test_a_probe_that_saw_nothing_yet_keeps_the_health_unknown_but_hides_no_fault() -> None:
    vitals = Vitals()
    vitals.watch([(DB, "port"), (DB, "page")])
    vitals.saw(GOOD)
    assert vitals.of(DB, NOW).health is Health.UNKNOWN
    assert vitals.of(DB, NOW).why == "page saw nothing yet"
    vitals.saw(BAD)
    assert vitals.of(DB, NOW).health is Health.UNHEALTHY


def test_a_probe_that_left_the_configuration_is_forgotten() -> None:
    vitals = Vitals()
    vitals.watch([(DB, "port"), (DB, "page")])
    vitals.saw(GOOD)
    vitals.saw(BAD)
    vitals.watch([(DB, "port")])
    assert vitals.of(DB, NOW).health is Health.HEALTHY
    vitals.watch([])
    assert vitals.of(DB, NOW).health is Health.UNKNOWN
    assert list(vitals) == []


def test_a_word_of_somebody_stands_beside_the_probes() -> None:
    vitals = Vitals()
    vitals.saw(said("", True))
    vitals.watch([])
    assert vitals.of(DB, NOW).health is Health.HEALTHY
