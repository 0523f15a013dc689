"""Availability of a service by hand: every number of a small history worked out on paper."""

from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.execute.run import Done, Ended, Settled, Status, Verified
from watchkeeper.learn.availability import Availability, Basis, Episode, availability
from watchkeeper.learn.budget import Budget, Ratio, budget
from watchkeeper.learn.failover import Cause, Failover, bad_since, good_since, verified_at
from watchkeeper.learn.looks import Day, Look, looked, standing
from watchkeeper.learn.measures import Mean
from watchkeeper.values import Severity, Window
from watchkeeper.verify.sample import Result

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
WEB, DB = "component:default/web", "component:default/db"
MINUTE_MS = 60_000


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def days(*looks: tuple[float, bool], good_for: float = 5) -> list[Day]:
    """Looks as (minutes ago, good), oldest first."""
    found: dict[str, Day] = {}
    for minutes, good in looks:
        look = Look(at=ago(minutes), good=good, until_at=ago(minutes - good_for))
        newest = list(found.values())[-1] if found else None
        day = looked(newest, WEB, look.at, *standing([look], look.at), good)
        found[day.id] = day
    return list(found.values())


def episode(began: float, opened: float, resolved: float | None, **more) -> Episode:
    fields = {"entity": WEB, "severity": Severity.CRITICAL, "acknowledged_at": None, **more}
    return Episode(
        id=f"inc_{opened}",
        began_at=ago(began),
        opened_at=ago(opened),
        resolved_at=None if resolved is None else ago(resolved),
        **fields,
    )


def measured(
    looks=(), episodes=(), failovers=(), *, window: float = 60, watched: float = 1_000, **more
) -> Availability:
    return availability(
        WEB,
        looks,
        episodes,
        failovers,
        own=frozenset((WEB,)),
        down_severities=more.get("down", frozenset({Severity.CRITICAL, Severity.MAJOR})),
        watched=(Window(from_at=ago(watched), until_at=NOW),),
        window_ms=int(window * MINUTE_MS),
        now=NOW,
    )


def test_without_anything_it_is_unknown_and_never_up():
    found = measured()
    assert (found.basis, found.uptime_ppm, found.as_of) == (Basis.NONE, None, None)
    assert (found.up_ms, found.down_ms, found.unknown_ms) == (0, 0, 60 * MINUTE_MS)
    assert found.detect == Mean(mean_ms=None, count=0)


def test_by_its_checks():
    # Up 40..20, down 20..15, up 15..0; unknown before.
    row = days(*((float(at), not 15 < at <= 20) for at in range(40, -1, -1)))
    found = measured(row)
    assert found.basis is Basis.CHECKS
    assert (found.up_ms, found.down_ms, found.unknown_ms) == (35 * MINUTE_MS, 5 * MINUTE_MS, 20 * MINUTE_MS)
    assert found.uptime_ppm == 35 * 1_000_000 // 40
    assert found.as_of == NOW


def test_what_a_check_saw_counts_more_than_an_incident_that_goes_on():
    row = days(*((float(at), not 15 < at <= 20) for at in range(40, -1, -1)))
    found = measured(row, [episode(20, 19, 2)])
    assert found.down_ms == 5 * MINUTE_MS


def test_where_no_check_could_see_an_incident_says_that_it_was_down():
    row = days((40, True), (30, True), (10, True), (5, True), (0, True), good_for=5)
    # Known up 40..35, 30..25, 10..0; the incident from 28 to 8 adds 25..10.
    found = measured(row, [episode(28, 27, 8)])
    assert (found.up_ms, found.down_ms) == (20 * MINUTE_MS, 15 * MINUTE_MS)
    assert measured(row, [episode(28, 27, 8)], down=frozenset()).down_ms == 0


def test_without_checks_it_is_up_while_the_node_watched():
    found = measured((), [episode(30, 29, 20)], watched=50)
    assert found.basis is Basis.INCIDENTS
    assert (found.up_ms, found.down_ms, found.unknown_ms) == (40 * MINUTE_MS, 10 * MINUTE_MS, 10 * MINUTE_MS)


@pytest.mark.parametrize(
    ("entity", "severity", "minutes"),
    [(WEB, Severity.MAJOR, 10), (WEB, Severity.MINOR, 0), (DB, Severity.CRITICAL, 0)],
)
def test_only_a_severe_incident_of_its_own_takes_it_down_and_all_count_in_the_means(entity, severity, minutes):
    found = measured((), [episode(30, 29, 20, entity=entity, severity=severity)])
    assert found.down_ms == minutes * MINUTE_MS
    assert found.incidents == 1
    assert found.restore == Mean(mean_ms=10 * MINUTE_MS, count=1)


def test_means_are_over_what_has_both_times_and_an_open_incident_is_in_none():
    found = measured(
        (),
        [
            episode(50, 48, 40, acknowledged_at=ago(47)),
            episode(30, 29, 10),
            episode(5, 4, None, acknowledged_at=ago(1)),
        ],
    )
    assert (found.incidents, found.open) == (3, 1)
    assert found.detect == Mean(mean_ms=(2 + 1 + 1) * MINUTE_MS // 3, count=3)
    assert found.acknowledge == Mean(mean_ms=(1 + 3) * MINUTE_MS // 2, count=2)
    assert found.restore == Mean(mean_ms=(10 + 20) * MINUTE_MS // 2, count=2)


@pytest.mark.parametrize(("opened", "count"), [(60, 1), (60.001, 0)])
def test_an_incident_belongs_to_the_window_it_was_opened_in(opened, count):
    assert measured((), [episode(61, opened, 30)]).incidents == count


def moved(at: float, bad: float | None, good: float | None, **more) -> Failover:
    return Failover(
        id=f"fov_{at}",
        service=WEB,
        cause=Cause.RUN,
        at=ago(at),
        bad_at=None if bad is None else ago(bad),
        good_at=None if good is None else ago(good),
        **more,
    )


def test_failovers_that_were_seen_to_fail_and_to_be_well_have_a_duration():
    found = measured(
        (),
        (),
        [
            moved(50, 52, 49),
            moved(30, 31, 30),
            moved(20, None, 20),
            moved(10, 12, None, failed=True),
            moved(61, 70, 60),
        ],
    )
    assert found.failover == Mean(mean_ms=2 * MINUTE_MS, count=2)
    assert found.failovers_failed == 1


# -- failovers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ended", "found"), [(16, None), (15, 20), (1, 20)])
def test_the_failure_that_a_change_answered_is_over_since_a_quarter_of_an_hour_at_most(ended, found):
    row = days(*((float(at), not ended < at <= 20) for at in range(40, -1, -1)))
    assert bad_since(row, NOW) == (None if found is None else ago(found))


def test_no_failure_no_first_bad_look():
    assert bad_since([], NOW) is None
    assert bad_since(days((3, True), (1, True)), NOW) is None


def test_the_first_good_look_is_that_of_a_stretch_that_lasted():
    row = days((20, False), (19, False), (18, True), (17, False), (16, True), (15, True), (14, True))
    assert good_since(row, ago(20), ago(18), 2 * MINUTE_MS, ago(14)) == ago(16)
    assert good_since(row, ago(20), ago(18), 1, ago(14)) == ago(18)
    assert good_since(row, ago(20), ago(18), 3 * MINUTE_MS, ago(14)) is None


def test_a_good_look_before_the_change_counts_when_it_lasted_until_the_change():
    row = days((20, False), (15, True), (12, True), (10, True))
    assert good_since(row, ago(20), ago(12), MINUTE_MS, ago(10)) == ago(15)


def verified(minutes: float, good: float | None, result: Result = Result.HEALTHY, **more) -> Verified:
    return Verified(
        at=ago(minutes), path="ok", result=result, why="", good_at=None if good is None else ago(good), **more
    )


DONE = Done(at=ago(9), path="move", attempt=1)
ENDED = Ended(at=ago(1), status=Status.SUCCEEDED, why="")


@pytest.mark.parametrize(
    ("events", "at"),
    [
        ((DONE, verified(5, 6), ENDED), 6),
        ((DONE, verified(5, None), ENDED), 5),
        ((verified(10, 11), DONE, verified(5, 6), ENDED), 6),
        ((DONE, verified(7, 8), verified(5, 6), ENDED), 8),
        ((verified(10, 11), DONE, ENDED), None),
        ((DONE, verified(5, 6, Result.UNHEALTHY), ENDED), None),
        ((DONE, verified(5, 6, undo=True), ENDED), None),
        ((DONE, verified(5, 6)), None),
        ((DONE, verified(5, 6), Ended(at=ago(1), status=Status.FAILED, why="")), None),
        ((DONE, verified(8, 8), Settled(at=ago(7), path="move", happened=True, by="alice"), verified(5, 6), ENDED), 6),
    ],
)
def test_a_run_is_verified_after_its_last_effect(events, at):
    assert verified_at(events) == (None if at is None else ago(at))


# -- budgets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "total", "left", "attained"),
    [
        (0, 1_000_000, 1_000_000, 1_000_000),
        (500, 1_000_000, 500_000, 999_500),
        (999, 1_000_000, 1_000, 999_001),
        (1_000, 1_000_000, 0, 999_000),
        (1_001, 1_000_000, -1_000, 998_999),
        (1, 3, -332_333_334, 666_666),
    ],
)
def test_a_budget_of_three_nines(bad, total, left, attained):
    found = budget(999_000, Ratio(bad=bad, total=total), {})
    assert (found.left_ppm, found.attainment_ppm) == (left, attained)
    assert found.spent is (left <= 0)


def test_burn_rate_one_spends_the_budget_exactly_in_its_window():
    found = budget(
        999_000,
        Ratio(bad=1, total=10_000),
        {"1h": Ratio(bad=144, total=10_000), "6h": Ratio(bad=0, total=0), "3d": None},
    )
    assert found.burn_ppm == {"1h": 14_400_000, "6h": None, "3d": None}


def test_nothing_counted_is_no_budget():
    assert budget(999_000, Ratio(bad=0, total=0), {}) == Budget(
        target_ppm=999_000, attainment_ppm=None, left_ppm=None, burn_ppm={}
    )
    assert budget(999_000, None, {}).left_ppm is None
