"""slos/*.yaml: OpenSLO objects over own checks and PromQL; what is not supported is an error with its place."""

import pytest

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.home.configuration import Compiled, compile_home
from watchkeeper.home.metrics import MetricSettings, Response
from watchkeeper.home.plan import difference
from watchkeeper.home.slo import Indicator, Measure, Origin, Server, Slo
from watchkeeper.home.starter import starter
from watchkeeper.packs.rule import Mode
from watchkeeper.packs.runbook import SecretRef

OWN = """apiVersion: openslo/v1
kind: SLO
metadata:
  name: web-looks
spec:
  service: web
  budgetingMethod: Occurrences
  timeWindow: [{duration: 30d, isRolling: true}]
  objectives: [{target: 0.999}]
  indicator:
    spec:
      ratioMetric:
        good: {metricSource: {type: Watchkeeper, spec: {measure: healthy_samples}}}
        total: {metricSource: {type: Watchkeeper, spec: {measure: samples}}}
"""
SOURCE = """apiVersion: openslo/v1
kind: DataSource
metadata: {name: main}
spec:
  type: Prometheus
  connectionDetails: {url: "http://prom:9090/prefix", bearer: "env:PROM", timeout: 3s}
"""
ASKED = """apiVersion: openslo/v1
kind: SLO
metadata: {name: web-asked}
spec:
  service: web
  budgetingMethod: Occurrences
  timeWindow: [{duration: 4w, isRolling: true}]
  objectives: [{targetPercent: 99.5}]
  indicatorRef: answers
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: answers}
spec:
  ratioMetric:
    counter: true
    bad: {metricSource: {metricSourceRef: main, spec: {query: 'errors_total{code=~"5.."}'}}}
    total: {metricSource: {metricSourceRef: main, spec: {query: 'sum(increase(all_total[{{.window}}]))'}}}
"""
RULE = """apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: burning, owner: group:operations}
spec:
  match: {alertname: Slow}
  when: ['CLAUSE']
  autonomy: {ceiling: auto}
  runbook: starter/look
"""
NOTIFY = "sources:\n  default: {kind: alertmanager}\nnotify: {routes: [{name: all, webhook: 'http://127.0.0.1:1/x'}]}\n"


def compiled(*slos: str, rule: str = "", settings: str = "") -> Compiled:
    files = {**starter(), "slos/all.yaml": "---\n".join(slos).encode()}
    if rule:
        files["packs/starter/rules/burning.yaml"] = RULE.replace("CLAUSE", rule).encode()
        files["watchkeeper.yaml"] = (NOTIFY + settings).encode()
    elif settings:
        files["watchkeeper.yaml"] = settings.encode()
    return compile_home(files, CelCompiler())


def slos(*texts: str, **more: str) -> dict[str, Slo]:
    found = compiled(*texts, **more)
    assert found.configuration is not None, [str(each) for each in found.errors]
    return found.configuration.slos


def wrong(*texts: str, **more: str) -> list[str]:
    return [str(each) for each in compiled(*texts, **more).errors]


def test_an_objective_over_own_checks():
    (found,) = slos(OWN).values()
    assert (found.name, found.entity, found.target_ppm) == ("web-looks", "component:default/web", 999_000)
    assert found.window_ms == 30 * 86_400_000
    assert found.indicator == Indicator(
        origin=Origin.WATCHKEEPER, part_measure=Measure.HEALTHY_SAMPLES, total_measure=Measure.SAMPLES
    )
    assert (found.response, found.floor_ppm, found.max_age_ms) == (Response.MANUAL_REVIEW, 0, 600_000)
    assert found.where == "slos/all.yaml:1"
    assert found.source == "own checks"


def test_an_objective_over_promql():
    found = slos(SOURCE, ASKED)["web-asked"]
    server = Server(
        name="main", url="http://prom:9090/prefix", bearer=SecretRef(store="env", path="PROM"), timeout_ms=3_000
    )
    assert found.indicator == Indicator(
        origin=Origin.PROMETHEUS,
        part_is_bad=True,
        part_query='sum(increase(errors_total{code=~"5.."}[{{.window}}]))',
        total_query="sum(increase(all_total[{{.window}}]))",
        server=server,
    )
    assert (found.target_ppm, found.window_ms, found.source) == (995_000, 28 * 86_400_000, "prometheus main")


def test_annotations_and_the_home_say_class_floor_and_age():
    annotated = OWN.replace(
        "  name: web-looks\n",
        "  name: web-looks\n  annotations:\n    watchkeeper.dev/response: automated\n    watchkeeper.dev/max-age: 2m\n"
        "    watchkeeper.dev/budget-floor: 12.5%\n    watchkeeper.dev/every: 30s\n    team: ours\n",
    )
    found = slos(annotated)["web-looks"]
    assert (found.response, found.max_age_ms, found.floor_ppm, found.every_ms) == (
        Response.AUTOMATED,
        120_000,
        125_000,
        30_000,
    )
    home = "metrics: {max_age: 5m, budget_floor: 20%, down: [critical], window: 7d, response: {slo: automated}}\n"
    found = slos(OWN, settings=home)["web-looks"]
    assert (found.response, found.max_age_ms, found.floor_ppm) == (Response.AUTOMATED, 300_000, 200_000)


def test_a_service_object_stands_for_an_entity():
    service = (
        "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: front, annotations: {watchkeeper.dev/entity: "
        "'component:web'}}\nspec: {description: the front}\n"
    )
    assert slos(service, OWN.replace("service: web", "service: front"))["web-looks"].entity == "component:default/web"
    (said,) = wrong(service.replace("component:web", "component:wob"))
    assert said.startswith("slos/all.yaml:1:1: metadata: Service front stands for component:wob, which is not in the")


def test_a_change_of_what_is_counted_is_another_definition_and_a_change_of_its_floor_is_not():
    first = slos(SOURCE, ASKED)["web-asked"].digest
    assert slos(SOURCE, ASKED.replace("errors_total", "faults_total"))["web-asked"].digest != first
    assert slos(SOURCE.replace("prom:9090", "other:9090"), ASKED)["web-asked"].digest != first
    assert slos(SOURCE, ASKED.replace("99.5", "99.9"))["web-asked"].digest != first
    floor = ASKED.replace("{name: web-asked}", "{name: web-asked, annotations: {watchkeeper.dev/budget-floor: 5%}}")
    assert slos(SOURCE, floor)["web-asked"].digest == first


REPLACED = [
    ("apiVersion: openslo/v1", "apiVersion: openslo/v2", "1:13: apiVersion: expected openslo/v1, got 'openslo/v2'"),
    (
        "kind: SLO",
        "kind: SLQ",
        "2:7: kind: expected one of SLO, SLI, Service, DataSource, got 'SLQ': did you mean 'SLO'?",
    ),
    ("kind: SLO", "kind: AlertPolicy", "2:7: kind: AlertPolicy is not supported: alerts on burn rates come from"),
    ("service: web", "service: wob", "6:12: spec.service: wob is neither a Service of slos/ nor in the catalogue"),
    ("Occurrences", "Timeslices", "7:20: spec.budgetingMethod: 'Timeslices' is not supported: this release budgets by"),
    ("isRolling: true", "isRolling: false", "calendar windows are not supported: write isRolling: true"),
    (", isRolling: true", ", calendar: {startTime: x}", "calendar windows are not supported"),
    ("duration: 30d", "duration: 1M", "expected a duration such as 30d, 4w or 12h"),
    ("duration: 30d", "duration: 59m", "lies outside 1h to 90d"),
    ("duration: 30d", "duration: 91d", "lies outside 1h to 90d"),
    ("target: 0.999", "target: 1", "9:25: spec.objectives[0].target: lies not between 0 and 1"),
    ("target: 0.999", "target: 0.0", "lies not between 0 and 1"),
    ("target: 0.999", "target: 0.9999999", "or is finer than one in a million"),
    ("target: 0.999", "target: '0.999'", "expected a number such as 0.999, got the text '0.999'"),
    ("{target: 0.999}", "{displayName: x}", "expected either `target`, such as 0.999, or `targetPercent`"),
    ("{target: 0.999}", "{target: 0.9, targetPercent: 90}", "expected either `target`"),
    ("{target: 0.999}", "{target: 0.9}, {target: 0.8}", "holds 2 objectives, and one an SLO is supported"),
    ("{target: 0.999}", "{target: 0.9, op: lte}", "op: is for threshold metrics, which are not supported"),
    ("{target: 0.999}", "{target: 0.9, timeSliceTarget: 0.9}", "budgeting by time slices, which is not supported"),
    ("{target: 0.999}", "{target: 0.9, compositeWeight: 1}", "composite objectives are not supported"),
    ("  indicator:\n", "  alertPolicies: [x]\n  indicator:\n", "spec.alertPolicies: are not supported"),
    ("  indicator:\n", "  indicatorRef: x\n  indicator:\n", "expected either `indicator` or `indicatorRef`"),
    ("ratioMetric:\n", "thresholdMetric: {}\n      ratioMetric:\n", "thresholdMetric: is not supported: write a ratio"),
    (
        "ratioMetric:\n",
        "ratioMetric:\n        rawType: success\n",
        "rawType: is not supported: write good (or bad) and",
    ),
    (
        "good:",
        "bad:",
        "healthy_samples of samples is no ratio of what is bad: expected unhealthy_samples of samples or",
    ),
    ("measure: samples", "measure: known_time", "healthy_samples of known_time is no ratio of what is good"),
    ("measure: samples", "measure: sample", "expected one of healthy_samples, unhealthy_samples, samples"),
    (
        "type: Watchkeeper",
        "type: Datadog",
        "is missing: name a DataSource of type Prometheus, or say type: Watchkeeper",
    ),
    ("type: Watchkeeper,", "metricSourceRef: man,", "there is no DataSource man: did you mean 'main'?"),
    ("name: web-looks\n", "name: web-looks\n  annotations: {watchkeeper.dev/respons: x}\n", "means nothing on a SLO"),
    (
        "name: web-looks\n",
        "name: web-looks\n  annotations: {watchkeeper.dev/response: automatic}\n",
        "expected one of automated, manual review, got 'automatic': did you mean 'automated'?",
    ),
    ("name: web-looks\n", "name: web-looks\n  annotations: {watchkeeper.dev/max-age: 9s}\n", "lies outside 10s to 1d"),
    ("name: web-looks\n", "name: web-looks\n  annotations: {watchkeeper.dev/every: 9s}\n", "lies outside 10s to 1h"),
    (
        "name: web-looks\n",
        "name: web-looks\n  annotations: {watchkeeper.dev/budget-floor: 101%}\n",
        "is not a percentage",
    ),
    ("spec:\n  service", "spec:\n  team: x\n  service", "6:3: spec.team: unknown field"),
]


@pytest.mark.parametrize(("what", "instead", "said"), REPLACED)
def test_what_is_wrong_or_not_supported_is_told_with_its_place(what, instead, said):
    assert what in OWN
    found = wrong(OWN.replace(what, instead, 1), SOURCE)
    assert any(said in each for each in found), found
    assert all(each.startswith("slos/all.yaml:") for each in found), found


@pytest.mark.parametrize(
    ("what", "instead", "said"),
    [
        (
            "counter: true",
            "counter: false",
            "query: does not say where the window stands: write for example sum(increase(",
        ),
        ('errors_total{code=~"5.."}', "sum(errors_total)", "does not say where the window stands"),
        ("indicatorRef: answers", "indicatorRef: answer", "there is no SLI answer: did you mean 'answers'?"),
        ("metricSourceRef: main, spec: {query: 'sum", "type: Watchkeeper, spec: {query: 'sum", "unknown field"),
        ("    bad:", "    good: {}\n    bad:", "expected either `good` or `bad`, beside `total`"),
    ],
)
def test_what_is_wrong_with_a_query_is_told(what, instead, said):
    assert what in ASKED
    found = wrong(SOURCE, ASKED.replace(what, instead, 1))
    assert any(said in each for each in found), found


@pytest.mark.parametrize(
    ("what", "instead", "said"),
    [
        ("type: Prometheus", "type: Datadog", "'Datadog' is not supported: expected Prometheus"),
        ("http://prom:9090/prefix", "prom:9090", "expected an address such as http://prometheus:9090"),
        ("http://prom:9090/prefix", "http://u:p@prom:9090", "expected an address such as"),
        ("env:PROM", "s3cr3t", "expected a reference such as secret:chat or env:CHAT_SECRET"),
        ("timeout: 3s", "timeout: 2m", "a duration from 100ms to 1m"),
        ("timeout: 3s", "retries: 3", "unknown field"),
    ],
)
def test_what_is_wrong_with_a_data_source_is_told(what, instead, said):
    found = wrong(SOURCE.replace(what, instead))
    assert any(said in each for each in found), found


def test_two_objects_of_one_kind_and_name_are_one_too_many():
    (said,) = wrong(OWN, OWN)
    assert said.startswith("slos/all.yaml:16:1: metadata.name: SLO web-looks stands twice, first at slos/all.yaml:1")


def test_an_sli_that_nobody_uses_is_read_too():
    unused = ASKED.partition("---\n")[2].replace("bad:", "worse:")
    assert any("worse: unknown field" in each for each in wrong(SOURCE, unused))


# -- metrics: in watchkeeper.yaml ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("window: 59m", "a duration from 1h to 90d"),
        ("window: 91d", "a duration from 1h to 90d"),
        ("max_age: 9s", "a duration from 10s to 1d"),
        (
            "down: [critcal]",
            "expected some of critical, major, minor, warning, info, got 'critcal': did you mean 'critical'?",
        ),
        ("budget_floor: 101%", "a percentage such as 99.9%"),
        ("response: {mttr: automatic}", "expected one of automated, manual review, got the text 'automatic'"),
        ("response: {mtr: automated}", "unknown field: did you mean 'mttr'?"),
        ("windows: 7d", "unknown field: did you mean 'window'?"),
    ],
)
def test_what_is_wrong_in_metrics_is_told(text, said):
    found = wrong(OWN, settings=f"metrics: {{{text}}}\n")
    assert any(said in each for each in found), found


def test_the_default_class_is_manual_review_and_each_metric_may_state_its_own():
    settings = MetricSettings(response={"uptime": Response.AUTOMATED})
    assert settings.response_of("uptime") is Response.AUTOMATED
    assert settings.response_of("mttr") is Response.MANUAL_REVIEW


# -- rules on metrics ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clause", "said"),
    [
        ('slo["web-loks"].budget_left < 0.1', "there is no SLO web-loks in slos/: did you mean 'web-looks'?"),
        ('slo["web-looks"].budget < 0.1', "slo[\"web-looks\"] has target, attainment, budget_left, burn, not 'budget'"),
        ('slo["web-looks"].burn["2h"] > 1.0', 'slo["web-looks"].burn has the windows 5m, 30m, 1h, 6h, 3d'),
        ("slo[alert.name].budget_left < 0.1", "names no SLO in writing"),
        ("metrics.mttr > 5", "found no matching overload"),
        ("metrics.mtr > 5", "'metrics.mtr' is not in scope; in scope: metrics.budget_left, metrics.failover"),
    ],
)
def test_a_rule_on_what_is_not_measured_is_an_error(clause, said):
    found = wrong(OWN, rule=clause)
    assert any(said in each for each in found), found
    assert all("burning.yaml:6:" in each for each in found), found


def test_a_rule_that_a_class_keeps_from_acting_is_warned_of_and_the_plan_says_when_it_may():
    clause = 'slo["web-looks"].budget_left < 0.1 && metrics.uptime < 0.99'
    before = compiled(OWN, rule=clause)
    assert before.configuration is not None, before.errors
    (said,) = [str(each) for each in before.problems if "rests on" in each.message]
    assert said.startswith(
        'packs/starter/rules/burning.yaml:7:13: warning: spec.autonomy: rests on metrics.uptime, slo["web-looks"].budget_left, '
        "and their response class is manual review: this rule asks at most; declare it automated under metrics.response"
    ), said
    assert before.configuration.rules["starter/burning"].ceiling is Mode.AUTO
    after = compiled(OWN, rule=clause, settings="metrics: {response: {default: automated}}\n")
    assert after.configuration is not None
    assert not [each for each in after.problems if "rests on" in each.message]
    plan = difference(before.configuration, after.configuration)
    assert "rule starter/burning may act on metrics.uptime by itself: it was for manual review" in plan.acts
    assert [each.name for each in plan.changes if each.kind == "slo"] == ["web-looks"]
