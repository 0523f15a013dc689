"""Objectives over the whole engine: their budget asks, their age holds, and a restart changes neither."""

import msgspec
import pytest
from measured import PROBED, Measured
from stage import component, house, play, rule

from watchkeeper.engine.earned import cell_of
from watchkeeper.engine.metric_reading import MetricReader, SloView
from watchkeeper.engine.records import Reading

OWN = """
apiVersion: openslo/v1
kind: SLO
metadata:
  name: web-looks
  annotations: {watchkeeper.dev/response: RESPONSE, watchkeeper.dev/max-age: 1m, watchkeeper.dev/budget-floor: 10%}
spec:
  service: web
  budgetingMethod: Occurrences
  timeWindow: [{duration: 1d, isRolling: true}]
  objectives: [{target: 0.9}]
  indicator:
    spec:
      ratioMetric:
        good: {metricSource: {type: Watchkeeper, spec: {measure: healthy_samples}}}
        total: {metricSource: {type: Watchkeeper, spec: {measure: samples}}}
"""
ASKED = """
apiVersion: openslo/v1
kind: DataSource
metadata: {name: main}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9090"}}
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: cart-orders
  annotations: {watchkeeper.dev/response: automated, watchkeeper.dev/max-age: 3m, watchkeeper.dev/every: 30s}
spec:
  service: cart
  budgetingMethod: Occurrences
  timeWindow: [{duration: 4w, isRolling: true}]
  objectives: [{targetPercent: 99.9}]
  indicator:
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {metricSourceRef: main, spec: {query: 'sum(increase(errors[{{.window}}]))'}}}
        total: {metricSource: {metricSourceRef: main, spec: {query: 'orders'}}}
"""


def files(clause: str = "", response: str = "automated", more: str = "", slos: str = OWN + "---" + ASKED):
    when = f"  when: ['{clause}']\n{more}" if clause else ""
    found = house(rules={"down": rule(more=when)}, settings=PROBED)
    return {**found, "slos/all.yaml": slos.replace("RESPONSE", response).encode()}


def slo(stage: Measured, name: str) -> SloView:
    found = MetricReader(stage.on).slo(name)
    assert isinstance(found, SloView), found
    return found


def counted(stage: Measured, errors: str, orders: str = "100000") -> None:
    stage.series = {"sum(increase(errors[": [errors], "sum(increase(orders[": [orders]}


def test_a_budget_is_what_the_looks_say_and_below_its_floor_it_asks() -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(300)
        found = slo(stage, "web-looks")
        assert (found.left_ppm, found.attainment_ppm, found.unknown) == (1_000_000, 1_000_000, "")
        stage.theatre.status["web"] = 500
        await stage.passes(50)
        good = sum(1 for _, status in stage.looks if status == 200)
        bad = len(stage.looks) - good
        found = slo(stage, "web-looks")
        spent = -(-bad * 10_000_000 // (good + bad))
        assert found.left_ppm == 1_000_000 - spent
        assert found.burn_ppm["1h"] == spent
        assert found.spent_at is not None
        assert found.left_ppm < 0
        await stage.fire("Down", "web")
        (asked,) = await stage.decided(rule="shop/down")
        assert asked.verdict == "ask"
        (finding,) = [each for each in asked.findings if each.guard == "budget"]
        assert finding.outcome == "ask"
        assert finding.reason.startswith("The error budget is spent: -"), finding.reason
        assert finding.reason.endswith("and the floor for acting is 10 %.")
        since = found.spent_at
        await stage.crash()
        await stage.passes(15)
        assert slo(stage, "web-looks").spent_at == since, "once an exhaustion, also over a restart"

    play(scene, Measured(files()))


def test_a_spent_budget_demotes_where_rules_were_judged_for_its_service_once() -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(300)
        await stage.fire("Down", "web")
        (acted,) = await stage.decided(rule="shop/down")
        assert acted.mode == "auto"
        for _ in range(30):
            stage.theatre.status["web"] = 500  # whatever a repair makes of it
            await stage.passes(5)
        assert slo(stage, "web-looks").spent_at is not None
        (fell,) = (await stage.on.store.find("demotion")).items
        demotion = msgspec.json.decode(fell.body)
        assert (demotion["because"], demotion["cell"]["rule"]) == ("budget", "shop/down"), demotion
        assert "web-looks is spent" in demotion["why"], demotion
        cap = stage.on.world.earned.cap(cell_of(acted.rule, acted.targets[0], acted.severity))
        assert cap is not None
        assert cap.level == "approve"
        await stage.crash()
        await stage.passes(30)
        assert len((await stage.on.store.find("demotion")).items) == 1

    play(scene, Measured(files()))


def test_above_the_floor_the_guard_passes_and_it_acts() -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(60)
        await stage.fire("Down", "web")
        (acted,) = await stage.decided(rule="shop/down")
        assert acted.verdict == "act"
        (finding,) = [each for each in acted.findings if each.guard == "budget"]
        assert finding.reason == "The error budget is above the floor for acting: 100 % is left, the floor is 10 %.", (
            finding.reason
        )

    play(scene, Measured(files()))


def test_prometheus_is_asked_for_every_window_and_its_numbers_are_taken_exactly() -> None:
    async def scene(stage: Measured) -> None:
        counted(stage, "25.5")
        await stage.passes(5)
        found = slo(stage, "cart-orders")
        assert (found.left_ppm, found.attainment_ppm, found.source) == (745_000, 999_745, "prometheus main")
        assert found.burn_ppm == dict.fromkeys(("5m", "30m", "1h", "6h", "3d"), 255_000)
        assert "sum(increase(orders[2419200s]))" in stage.asked
        assert {f"sum(increase(errors[{each}s]))" for each in (300, 1800, 3600, 21600, 259200)} <= set(stage.asked)
        asked = len(stage.asked)
        await stage.passes(20)
        assert len(stage.asked) == asked, "not before it is due"
        await stage.passes(15)
        assert len(stage.asked) == 2 * asked

    play(scene, Measured(files()))


@pytest.mark.parametrize(
    ("series", "why"),
    [
        (
            {},
            "main: the total query of cart-orders gives 0 series, expected one: add 'or vector(0)' if none means none",
        ),
        ({"orders": ["5"]}, "main: the good or bad query of cart-orders gives 0 series, expected one: add"),
        ({"orders": ["5", "6"]}, "main: the total query of cart-orders gives 2 series, expected one: sum them"),
        ({"orders": ["NaN"]}, "main: the total query of cart-orders gives NaN, no count"),
        ({"orders": ["-1"]}, "main: the total query of cart-orders gives -1, no count"),
        ({"orders": "no connection in 10000 ms"}, "main: no connection in 10000 ms"),
        ({"orders": ["0"], "errors": ["0"]}, "nothing was counted in its window"),
    ],
)
def test_what_cannot_be_read_is_unknown_and_holds(series: dict, why: str) -> None:
    async def scene(stage: Measured) -> None:
        stage.series = series
        await stage.passes(5)
        found = slo(stage, "cart-orders")
        assert found.unknown.startswith(why), found.unknown
        assert found.left_ppm is None
        await stage.fire("Down", "cart")
        (held,) = await stage.decided(rule="shop/down")
        assert held.verdict == "hold"
        (finding,) = [each for each in held.findings if each.guard == "budget"]
        assert finding.unknown
        assert finding.reason.startswith("The error budget is unknown: cart-orders "), finding.reason
        counted(stage, "0")
        await stage.ended(within_s=120)

    play(scene, Measured(files()))


@pytest.mark.parametrize("crash", [False, True])
def test_the_last_reading_counts_for_its_age_and_no_longer_also_over_a_restart(crash: bool) -> None:
    async def scene(stage: Measured) -> None:
        counted(stage, "10")
        await stage.passes(5)
        (reading,) = await stage.all(Reading)
        stage.series = {"orders": "no connection in 10000 ms"}
        await stage.passes(160)
        if crash:
            await stage.crash()
        found = slo(stage, "cart-orders")
        assert (found.left_ppm, found.unknown, found.as_of) == (900_000, "", reading.at)
        assert found.failing == "main: no connection in 10000 ms"
        await stage.passes(20)
        found = slo(stage, "cart-orders")
        assert found.unknown.startswith("read 3m"), found.unknown
        assert found.unknown.endswith("ago, and counts for 3m (main: no connection in 10000 ms)")
        await stage.fire("Down", "cart")
        (held,) = await stage.decided(rule="shop/down")
        (finding,) = [each for each in held.findings if each.guard == "budget"]
        assert finding.reason.startswith("The error budget is unknown: cart-orders was read 3m"), finding.reason

    play(scene, Measured(files()))


def test_numbers_of_another_definition_are_never_used() -> None:
    async def scene(stage: Measured) -> None:
        counted(stage, "10")
        await stage.passes(5)
        stage.series = {"orders": "away"}
        stage.files = files(slos=ASKED.replace("errors", "faults"))
        applied = await stage.on.changes.apply(Measured.WHO, stage.on.changes.plan().digest, "another query")
        assert applied.digest, applied
        assert slo(stage, "cart-orders").unknown == "it was not read yet"
        await stage.passes(5)
        assert slo(stage, "cart-orders").unknown == "main: away"

    play(scene, Measured(files()))


def test_a_rule_on_a_burn_rate_fires_from_what_was_read() -> None:
    async def scene(stage: Measured) -> None:
        counted(stage, "1440")
        await stage.passes(5)
        await stage.fire("Down", "cart")
        await stage.passes(65)
        assert await stage.decisions(rule="shop/down") == [], "14.4 is not more than 14.4"
        counted(stage, "1441")
        (found,) = await stage.decided(rule="shop/down", within_s=100)
        assert found.verdict == "ask", "its own budget is spent by then"
        assert found.mode == "auto"

    clause = 'slo["cart-orders"].burn["1h"] > 14.4 && slo["cart-orders"].burn["5m"] > 14.4'
    play(scene, Measured(files(clause)))


@pytest.mark.parametrize(("more", "verdicts"), [("", []), ("  unknown: hold", ["hold"])])
def test_an_objective_that_is_unknown_matches_nothing_or_holds(more: str, verdicts: list[str]) -> None:
    async def scene(stage: Measured) -> None:
        stage.series = {"orders": "away"}
        await stage.passes(5)
        await stage.fire("Down", "web")
        await stage.passes(30)
        found = await stage.decisions(rule="shop/down")
        assert [each.verdict.value for each in found] == verdicts
        if found:
            assert "slo.cart-orders.budget_left: main: away" in found[0].reason, found[0].reason

    play(scene, Measured(files('slo["cart-orders"].budget_left < 0.5', more=more)))


def test_the_class_of_an_objective_binds_a_rule_on_it() -> None:
    async def scene(stage: Measured) -> None:
        await stage.passes(60)
        await stage.fire("Down", "web")
        (asked,) = await stage.decided(rule="shop/down")
        assert asked.verdict == "ask"
        assert 'rests on slo["web-looks"].budget_left, which is for manual review' in asked.reason, asked.reason

    play(scene, Measured(files('slo["web-looks"].budget_left > 0.5', response="manual review")))


def test_the_tightest_of_several_budgets_counts_and_that_of_an_instance_is_its_services() -> None:
    shop = "---".join(
        (
            component("web", spec=", dependsOn: [resource:r1]"),
            component("cart"),
            component("r1", more={"instance": "r1"})
            .replace("kind: Component", "kind: Resource")
            .replace("type: service, lifecycle: production", "type: server")
            .replace("system: shop}", "system: shop, dependencyOf: [component:web]}"),
        )
    )
    second = OWN.replace("web-looks", "web-strict").replace("0.9}", "0.999}")

    async def scene(stage: Measured) -> None:
        await stage.passes(100)
        stage.theatre.status["web"] = 500
        await stage.passes(15)
        target = stage.on.situations.target("resource:default/r1")
        found = stage.on.situations._measured.budget((target,))
        assert found is not None
        assert found.name == "web-strict"
        assert found.limit == 100_000

    found = files(slos=OWN + "---" + second)
    from stage import PEOPLE

    found["catalog/all.yaml"] = f"{PEOPLE}---{shop}".encode()
    play(scene, Measured(found))
