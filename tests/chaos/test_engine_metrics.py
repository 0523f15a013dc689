"""Availability from what the engine itself saw: own checks, incidents, failovers; and rules that rest on it."""

from datetime import timedelta

import pytest
from measured import MS, PROBED, WEB, Measured, outage
from stage import MEND, component, house, play, rule, runbook

from watchkeeper.correlate.incident import Incident
from watchkeeper.engine.metric_reading import MetricReader
from watchkeeper.engine.records import Note
from watchkeeper.learn.failover import Cause, Failover
from work import lines_run

QUIET = house(rules={"down": rule("Never")}, settings=PROBED)


def test_the_numbers_agree_with_those_of_a_hand_also_after_a_restart() -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(300)
        bad_1, good_1 = await outage(stage, down_s=95)
        await stage.passes(400)
        bad_2, good_2 = await outage(stage, down_s=65, acknowledged=False)
        await stage.passes(100)
        found = stage.metrics()
        first = stage.looks[0][0]
        down = (good_1 - bad_1) + (good_2 - bad_2)
        up = (found.at - first) - down
        assert found.basis == "checks"
        assert found.down_ms == down // MS
        assert found.up_ms == up // MS
        assert found.unknown_ms == 3_600_000 - found.up_ms - found.down_ms
        assert stage.value("uptime") == found.up_ms * 1_000_000 // (found.up_ms + found.down_ms)
        good = sum(1 for _, status in stage.looks if status == 200)
        assert found.looks == {"good": good, "bad": len(stage.looks) - good, "blind": 0}
        opened_1 = [at for at, status in stage.looks if status == 500 and at >= bad_1][1]
        opened_2 = [at for at, status in stage.looks if status == 500 and at >= bad_2][1]
        detect = ((opened_1 - bad_1) // MS + (opened_2 - bad_2) // MS) // 2
        assert stage.value("mttd") == detect
        assert stage.value("incidents") == 2
        restore = [(good_1 - bad_1) // MS, (good_2 - bad_2) // MS]
        assert stage.value("mttr") == sum(restore) // 2
        noted = (await stage.all(Note))[0].at
        assert stage.value("mtta") == (noted - opened_1) // MS
        before = {each.name: each.value for each in stage.metrics().metrics}
        await stage.crash()
        after = {each.name: each.value for each in stage.metrics().metrics}
        assert {**after, "uptime": 0} == {**before, "uptime": 0}
        assert stage.metrics().down_ms == found.down_ms

    play(scene, Measured(QUIET))


def test_what_nobody_could_see_is_neither_up_nor_down_and_gets_too_old_for_a_rule() -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(60)
        stage.theatre.status["web"] = 0
        await stage.passes(120)
        found = stage.metrics()
        last_good = [at for at, status in stage.looks if status == 200][-1]
        assert found.up_ms == (last_good + timedelta(seconds=30) - stage.looks[0][0]) // MS
        assert found.down_ms == 0
        assert found.looks["blind"] > 8
        target = stage.on.situations.target(WEB)
        now = stage.clock.now()
        assert stage.on.situations.bindings(None, target, now)["metrics"]["uptime"] == 1.0
        await stage.passes(600)
        seen = stage.on.situations.bindings(None, target, stage.clock.now())["metrics"]["uptime"]
        assert seen.why.startswith("the last look was 1"), seen
        assert seen.why.endswith("ago, and counts for 10m"), seen

    play(scene, Measured(QUIET))


def test_a_service_without_checks_is_up_while_the_node_ran_and_no_incident_said_otherwise() -> None:
    async def scene(stage: Measured) -> None:
        began = stage.clock.now()
        await stage.passes(60)
        await stage.fire("Never", "cart", number=1)
        await stage.passes(60)
        await stage.fire("Never", "cart", number=1, status="resolved")
        await stage.passes(10)
        (incident,) = [each for each in await stage.all(Incident) if each.entity.endswith("cart")]
        found = stage.metrics(name="cart")
        assert found.basis == "incidents"
        assert found.down_ms == (incident.resolved_at - incident.began_at) // MS
        assert found.up_ms + found.down_ms == pytest.approx((found.at - began) // MS, abs=1_000)
        await stage.on.stop()
        await stage.passes_unwatched(1_000)
        stage.store = stage.store.reopened()
        await stage.boot()
        assert stage.metrics(name="cart").up_ms == pytest.approx(found.up_ms, abs=31_000), "nobody watched meanwhile"

    play(scene, Measured(QUIET))


def test_a_minor_incident_takes_no_service_down() -> None:
    async def scene(stage: Measured) -> None:
        await stage.fire("Never", "cart", severity="minor")
        await stage.passes(60)
        found = stage.metrics(name="cart")
        assert (found.down_ms, found.open_incidents) == (0, 1)
        await stage.fire("Never", "cart", severity="major")
        await stage.passes(10)
        assert stage.metrics(name="cart").down_ms > 0, "the severity rose, and counts from its beginning"

    play(scene, Measured(QUIET))


# -- rules -------------------------------------------------------------------------------------------


def resting(clause: str, settings: str = PROBED, more: str = "") -> dict[str, bytes]:
    rules = {"down": rule(more=f"  when: ['{clause}']\n{more}"), "quiet": rule("Never")}
    return house(rules=rules, settings=settings)


AUTOMATED = PROBED + "metrics: {response: {default: automated}}\n"


def test_a_rule_fires_from_recorded_history_and_acts_when_its_metric_is_automated() -> None:
    async def scene(stage: Measured) -> None:
        await stage.fire("Down", "web")
        await stage.passes(5)
        assert await stage.decisions(rule="shop/down") == [], "nothing was restored yet: unknown"
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(400)
        await outage(stage, down_s=95)
        await stage.passes(400)
        await stage.fire("Down", "web", number=20)
        (acted,) = await stage.decided(rule="shop/down", within_s=90)
        assert acted.verdict == "act"
        (row,) = [each for each in acted.clauses if "mttr" in each.source]
        assert row.answer == "true"
        assert row.why.startswith("metrics.mttr = "), row.why
        await stage.ended()

    play(scene, Measured(resting('metrics.mttr > duration("30s")', AUTOMATED)))


def test_a_rule_on_a_metric_for_manual_review_asks_at_most_and_says_so() -> None:
    async def scene(stage: Measured) -> None:
        await stage.fire("Down", "web")
        (asked,) = await stage.decided(rule="shop/down")
        assert asked.verdict == "ask"
        assert asked.would_be == "act"
        (finding,) = [each for each in asked.findings if each.guard == "autonomy"]
        assert "a rule that rests on metrics.incidents, which is for manual review" in finding.reason, finding.reason
        assert finding.change == (
            "A reviewed change declares the metric automated (metrics.response in watchkeeper.yaml)."
        )
        await stage.passes(30)
        assert stage.theatre.sent == []

    play(scene, Measured(resting("metrics.incidents >= 1")))


def test_a_metric_that_moves_while_the_alert_fires_is_looked_at_again() -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(5)
        await stage.fire("Down", "web", severity="minor")
        await stage.passes(70)
        assert await stage.decisions(rule="shop/down") == []
        stage.theatre.status["web"] = 500
        (acted,) = await stage.decided(rule="shop/down", within_s=100)
        assert acted.verdict == "act"

    play(scene, Measured(resting("metrics.uptime < 1.0", AUTOMATED)))


def test_an_unknown_metric_holds_where_the_rule_says_so() -> None:
    async def scene(stage: Measured) -> None:
        await stage.fire("Down", "cart")
        (held,) = await stage.decided(rule="shop/down")
        assert held.verdict == "hold"
        assert "metrics.failover: nothing to measure in the last 30d" in held.reason, held.reason

    play(scene, Measured(resting('metrics.failover > duration("1s")', AUTOMATED, "  unknown: hold")))


# -- failovers ---------------------------------------------------------------------------------------

MOVES = house(
    rules={"down": rule(runbook="move")},
    runbooks={"move": runbook(MEND, more="  failover: true\n  on_failure: undo\n")},
    settings=PROBED + "autonomy: {risk: {high: auto}}\n",
)


@pytest.mark.parametrize("crash", [False, True])
def test_a_failover_run_took_from_the_first_bad_look_to_the_first_verified_good_one(crash: bool) -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(30)
        began = stage.clock.now()
        stage.theatre.status["web"] = 500
        await stage.passes(25)
        await stage.fire("Down", "web")
        await stage.ended()
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(0.2)
        if crash:
            stage.on.measuring.failovers._ended.clear()  # the process ends before it was measured
            await stage.crash()
        await stage.passes(40)
        (found,) = await stage.all(Failover)
        assert found.cause is Cause.RUN
        assert found.bad_at == stage.first(500, began)
        verified = [at for at, status in stage.verified if status == 200]
        assert found.good_at == verified[0]
        assert stage.value("failover") == (verified[0] - stage.first(500, began)) // MS
        await stage.crash()
        assert stage.value("failover") == (verified[0] - stage.first(500, began)) // MS

    play(scene, Measured(MOVES))


def test_a_failover_that_failed_has_no_duration_and_is_counted() -> None:
    async def scene(stage: Measured) -> None:
        stage.theatre.heals = False
        stage.theatre.status["web"] = 500
        await stage.passes(25)
        await stage.fire("Down", "web")
        await stage.ended()
        await stage.passes(5)
        assert stage.value("failover") is None
        assert stage.metrics().failovers_failed == 1

    play(scene, Measured(MOVES))


@pytest.mark.parametrize("planned", [False, True])
def test_a_change_of_the_active_region_is_a_failover_and_planned_without_a_bad_look(planned: bool) -> None:
    async def scene(stage: Measured) -> None:
        stage.region = "eu"
        await stage.passes(30)
        began = stage.clock.now()
        if not planned:
            stage.theatre.status["web"] = 500
            await stage.passes(45)
        stage.region, back = "us", stage.clock.now()
        stage.theatre.status["web"] = 200
        await stage.passes(40)
        (found,) = await stage.all(Failover)
        assert (found.cause, found.from_region, found.to_region) == (Cause.ACTIVE_IN, "eu", "us")
        assert stage.metrics().active_in == "us"
        if planned:
            assert (found.bad_at, stage.value("failover")) == (None, None)
        else:
            assert (found.bad_at, found.good_at) == (stage.first(500, began), stage.first(200, back))
            assert stage.value("failover") == (found.good_at - found.bad_at) // MS

    play(scene, Measured(QUIET))


def test_a_change_beside_a_failover_run_is_measured_once() -> None:
    async def scene(stage: Measured) -> None:
        stage.region = "eu"
        await stage.passes(30)
        stage.theatre.status["web"] = 500
        await stage.passes(25)
        await stage.fire("Down", "web")
        stage.region = "us"
        await stage.ended()
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(60)
        (found,) = await stage.all(Failover)
        assert found.cause is Cause.RUN

    play(scene, Measured(MOVES))


def test_an_applied_catalogue_that_says_active_elsewhere_is_a_failover() -> None:
    def at(region: str) -> dict[str, bytes]:
        catalog = "---".join((component("web", more={"active-in": region}), component("cart")))
        settings = PROBED.replace(", active_in: {header: X-Region}", "")
        return house(rules={"down": rule("Never")}, settings=settings, catalog=catalog)

    async def scene(stage: Measured) -> None:
        assert stage.metrics().active_in == "eu"
        stage.files = at("us")
        await stage.on.changes.apply(Measured.WHO, stage.on.changes.plan().digest, "moved")
        await stage.passes(5)
        (found,) = await stage.all(Failover)
        assert (found.service, found.from_region, found.to_region) == (WEB, "eu", "us")
        stage.configuration = stage.on.world.configuration
        await stage.crash()
        await stage.passes(5)
        assert len(await stage.all(Failover)) == 1
        assert stage.metrics().active_in == "us"

    play(scene, Measured(at("eu")))


def test_services_are_listed_with_the_response_class_of_each_metric() -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(30)
        listed = MetricReader(stage.on).services("2h")
        (web,) = listed.items
        assert web.service == WEB
        assert {each.name: each.response for each in web.metrics}["uptime"] == "automated"
        assert {each.name: each.response for each in web.metrics}["mttr"] == "manual review"
        for window, why in (("nonsense", "is not a duration"), ("59m", "lies outside 1h to 90d"), ("91d", "outside")):
            assert why in MetricReader(stage.on).services(window).detail
        assert MetricReader(stage.on).service("nobody", "").status == 404

    files = house(rules={"down": rule("Never")}, settings=PROBED + "metrics: {response: {uptime: automated}}\n")
    play(scene, Measured(files))


def test_a_decision_costs_the_same_whatever_the_history_and_an_answer_is_repeated() -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(30)
        target = stage.on.situations.target(WEB)

        def look() -> None:
            assert stage.on.situations.bindings(None, target, stage.clock.now())["metrics"]["uptime"] is not None

        await stage.passes(6)
        look()
        repeated = lines_run(look)
        for number in range(200):
            await stage.fire("Never", "web", number=number)
            await stage.fire("Never", "web", number=number, status="resolved")
        await stage.passes(60)
        look()
        assert lines_run(look) == repeated

    play(scene, Measured(QUIET))
