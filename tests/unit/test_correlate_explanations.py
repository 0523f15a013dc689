from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.correlate.alert import Alert, Mapped, alert_of, fold
from watchkeeper.correlate.corroborate import corroborate
from watchkeeper.correlate.flapping import TRANSITIONS_MAX, flapping
from watchkeeper.correlate.inhibit import (
    Because,
    Expected,
    Maintenance,
    by_maintenance,
    by_run,
    by_topology,
)
from watchkeeper.signals.signal import Kind, Signal, Standing
from watchkeeper.values import Window

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def signal(minute: float, **changes: object) -> Signal:
    fields = {
        "id": f"{minute}{changes}",
        "delivery": "d",
        "source": "am",
        "group": "am",
        "received_at": at(minute),
        "kind": Kind.ALERT,
        "fingerprint": "f",
        "standing": Standing.FIRING,
        "labels": {"alertname": "Down", "severity": "critical"},
        "annotations": {},
        "starts_at": at(minute),
        **changes,
    }
    return Signal(**fields)


def alert(
    minute: float = 0, ended: float | None = None, entity: str = "pay", severity: str = "critical", **changes: object
) -> Alert:
    mapped = Mapped(entity=entity, system="shop", environment="prod", region="eu", stale_after_ms=3_600_000)
    labels = {"alertname": "Down", "severity": severity}
    found = alert_of(signal(minute, labels=labels, **changes), mapped)
    if ended is None:
        return found
    return fold(found, signal(ended, labels=labels, standing=Standing.RESOLVED, starts_at=at(minute)), mapped)


def test_six_transitions_in_half_an_hour_are_flapping_five_are_not():
    rows = [alert(n, n + 1) for n in (0, 4, 8)]
    found = flapping(rows, at(10))
    assert found.flapping
    assert found.transitions == TRANSITIONS_MAX
    assert found.until_at == at(30)
    assert found.sentence == ("flapping: 6 transitions in 30m, at least 6; calm at 10:30 UTC if nothing more changes")
    calm = flapping([*rows[:2], alert(8)], at(10))
    assert not calm.flapping
    assert calm.sentence == "not flapping: 5 transitions in 30m, fewer than 6"


def test_the_window_of_flapping_is_open_at_its_old_end():
    rows = [alert(n, n + 1) for n in (0, 4, 8)]
    assert flapping(rows, at(29.99)).flapping
    assert not flapping(rows, at(30)).flapping


def test_transitions_of_the_future_do_not_count():
    assert flapping([alert(n, n + 1) for n in (0, 4, 8)], at(8.5)).transitions == 5


def corroborated(now: float, wanted: int = 2, **groups: list[Alert]) -> object:
    return corroborate("Down on pay", groups, wanted=wanted, within_ms=300_000, now=at(now))


def test_distinct_groups_corroborate_not_senders():
    pair = [alert(0, source="am-1"), alert(1, source="am-2")]
    alone = corroborated(2, a=pair)
    assert not alone.enough
    assert alone.sentence == "Down on pay: not corroborated: 1 of 2 groups within 5m (a)"
    both = corroborated(2, b=[alert(1)], a=pair)
    assert both.enough
    assert both.groups == ("a", "b")
    assert both.sentence == "Down on pay: corroborated: 2 of 2 groups within 5m (a, b)"


@pytest.mark.parametrize(("now", "enough"), [(5, True), (5.01, False)])
def test_a_group_counts_while_it_fires_and_within_the_window_after(now, enough):
    assert corroborated(now, wanted=1, a=[alert(0, 1)]).enough is enough


def test_a_group_that_fires_since_long_counts_until_it_is_stale():
    assert corroborated(59, wanted=1, a=[alert(0)]).enough
    assert not corroborated(60, wanted=1, a=[alert(0)]).enough
    assert not corroborated(-1, wanted=1, a=[alert(0)]).enough


def topology(child: Alert, firing: dict[str, list[Alert]], parents: dict[str, list[str]]) -> object:
    return by_topology(child, lambda place: parents.get(place, []), lambda place: firing.get(place, []))


def test_a_parent_that_is_down_inhibits_and_is_named():
    db = alert(0, entity="db")
    found = topology(alert(5), {"db": [alert(3, entity="db"), db]}, {"pay": ["db"]})
    assert (found.because, found.by) == (Because.PARENT_DOWN, db.id)
    assert found.sentence == "pay depends on db, which is down: Down fires there since 2026-03-01T10:00:00.000000Z"


@pytest.mark.parametrize(
    ("severity", "parents"),
    [
        ("warning", {"pay": ["db"]}),
        ("critical", {"pay": ["cache"]}),
        ("critical", {"pay": ["db"], "db": ["pay"]}),
        ("critical", {"pay": ["db"], "db": ["x"], "x": ["pay"]}),
        ("critical", {"pay": ["db"], "db": [f"x{n}" for n in range(300)]} | {f"x{n}": ["y"] for n in range(300)}),
        ("critical", {"pay": ["pay"], "db": []}),
    ],
)
def test_a_mild_parent_a_stranger_and_a_ring_do_not(severity, parents):
    assert topology(alert(5), {"db": [alert(0, entity="db", severity=severity)], "pay": [alert(5)]}, parents) is None


RUN = Expected(
    run="run_1",
    runbook="payments/restart",
    alertnames=frozenset({"Down"}),
    entities=frozenset({"pay"}),
    window=Window(from_at=at(0), until_at=at(10)),
)


@pytest.mark.parametrize(("minute", "inhibited"), [(-0.01, False), (0, True), (9.99, True), (10, False)])
def test_what_a_run_expects_during_its_window_is_inhibited(minute, inhibited):
    found = by_run(alert(minute), [RUN])
    assert (found is not None) is inhibited
    if found:
        assert found.sentence == "Down on pay is expected by runbook payments/restart, run run_1"
        assert (found.by, found.until_at) == ("run_1", at(10))


def test_a_run_expects_nothing_elsewhere_or_of_another_name():
    assert by_run(alert(1, entity="db"), [RUN]) is None
    other = alert_of(signal(1, labels={"alertname": "Slow"}), Mapped(entity="pay"))
    assert by_run(other, [RUN]) is None


def work(**changes: object) -> Maintenance:
    return Maintenance(**{"id": "M-1", "window": Window(from_at=at(0), until_at=at(60)), "reason": "disks", **changes})


@pytest.mark.parametrize(
    ("changes", "covered"),
    [
        ({}, True),
        ({"entities": frozenset({"pay"})}, True),
        ({"entities": frozenset({"db"})}, False),
        ({"systems": frozenset({"shop"}), "regions": frozenset({"us"})}, False),
        ({"environments": frozenset({"prod"}), "labels": {"alertname": "Down"}}, True),
        ({"labels": {"alertname": "Slow"}}, False),
        ({"window": Window(from_at=at(1))}, False),
        ({"window": Window(from_at=at(-1), until_at=at(0))}, False),
        ({"window": Window(from_at=at(0))}, True),
    ],
)
def test_maintenance_covers_its_scope_and_window(changes, covered):
    assert (by_maintenance(alert(), [work(**changes)], at(0)) is not None) is covered


def test_of_several_works_the_longest_is_named():
    long = work(id="M-2", window=Window(from_at=at(0)))
    found = by_maintenance(alert(), [work(), long], at(0))
    assert (found.by, found.until_at) == ("M-2", None)
    assert found.sentence == "pay is under maintenance M-2 with no end stated: disks"
    assert by_maintenance(alert(), [work()], at(0)).sentence == (
        "pay is under maintenance M-1 until 2026-03-01T11:00:00.000000Z: disks"
    )
