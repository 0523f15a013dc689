"""Drafts from other people's monitoring: they load, they only watch, and what could not be said is named with its line."""

import json
from pathlib import Path

import pytest

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.home.configuration import compile_home, highest
from watchkeeper.home.starter import starter
from watchkeeper.packs.rule import Mode
from watchkeeper.report.drafts import drafts, rule_name
from watchkeeper.report.monitoring import matchers_of, read_monitoring, receiver_of, selected_in
from watchkeeper.surface.cli import main
from watchkeeper.surface.cli.place import Exit

RULES = """
groups:
  - name: shop.alerts
    rules:
      - record: job:errors:rate5m
        expr: sum by (job) (rate(errors_total[5m]))
      - alert: HighErrorRate
        expr: job:errors:rate5m{job="checkout"} > 0.05
        for: 10m
        keep_firing_for: 5m
        labels: {severity: critical, team: payments, zone: "{{ $labels.zone }}"}
        annotations: {summary: "Errors on {{ $labels.job }}", runbook_url: "https://runbooks.example.org/errors"}
      - alert: HighErrorRate
        expr: job:errors:rate5m{job=~"checkout|cart"} > 0.01
        labels: {severity: warning}
      - alert: InstanceDown
        expr: up{service="search", env!="dev"} == 0
        labels: {severity: page}
      - expr: 1
"""

CRD = """
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: kube}
spec:
  groups:
    - name: kube
      rules:
        - alert: KubePodCrashLooping
          expr: 'max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m]) >= 1'
          annotations: {description: 'Pod {{ $labels.pod }}: "quoted" # not a comment'}
"""

ALERTMANAGER = """
route:
  receiver: default
  routes:
    - matchers: ['team="payments"', "severity=~critical|page"]
      receiver: payments-pager
      mute_time_intervals: [weekends]
    - match: {service: search}
      receiver: ops_mail
receivers:
  - name: default
  - name: payments-pager
    pagerduty_configs: [{routing_key: do-not-copy-me}]
  - name: ops_mail
    email_configs: [{to: "ops@example.org, night@example.org"}]
inhibit_rules:
  - source_matchers: ['severity="critical"']
    target_matchers: ['severity="warning"']
    equal: [alertname, service]
time_intervals:
  - name: weekends
    time_intervals: [{weekdays: ["saturday:sunday"]}]
"""

FILES = {"rules.yml": RULES.encode(), "kube.yaml": CRD.encode(), "alertmanager.yml": ALERTMANAGER.encode()}


def compiled(files: dict[str, bytes]):
    return compile_home(files, CelCompiler())


def test_drafts_load_without_a_word_and_only_watch() -> None:
    found = drafts(read_monitoring(FILES), settings=True)
    home = compiled(found.files)
    assert home.problems == ()
    assert {(rule.name, tuple(rule.match.items()), rule.owner) for rule in home.configuration.rules.values()} == {
        (
            "imported/high-error-rate-critical",
            (("alertname", ("HighErrorRate",)), ("severity", ("critical",))),
            "group:default/payments-pager",
        ),
        (
            "imported/high-error-rate-warning",
            (("alertname", ("HighErrorRate",)), ("severity", ("warning",))),
            "group:default/imported",
        ),
        (
            "imported/instance-down",
            (("alertname", ("InstanceDown",)), ("severity", ("page",))),
            "group:default/imported",
        ),
        ("imported/kube-pod-crash-looping", (("alertname", ("KubePodCrashLooping",)),), "group:default/imported"),
    }
    assert {highest(rule) for rule in home.configuration.rules.values()} == {Mode.OBSERVE}
    assert {"component:default/checkout", "component:default/cart", "component:default/search"} <= set(
        home.configuration.catalog.entities
    )
    assert (found.rules, found.entities) == (4, 3)


def test_beside_a_home_that_is_there_nothing_is_said_twice() -> None:
    there = starter()
    names = {"search", "component:default/search", "group:operations"}
    found = drafts(read_monitoring(FILES), owner="group:operations", known=names, grouped=True)
    assert "watchkeeper.yaml" not in found.files
    assert b"name: search" not in found.files["catalog/imported.yaml"]
    assert not set(found.files) & set(there)
    together = compiled({**there, **found.files})
    assert together.errors == ()
    assert together.configuration.rules["imported/kube-pod-crash-looping"].owner == "group:default/operations"


def test_what_is_not_translated_is_named_with_file_and_line() -> None:
    found = drafts(read_monitoring({**FILES, "odd.yaml": b"a: 1\n", "worse.yaml": b"a: &x 1\nb: *x\n"}))
    said = [str(each) for each in found.untranslated]
    assert [each.partition(": ")[0] for each in said] == [
        "alertmanager.yml:7",
        "alertmanager.yml:21",
        "odd.yaml:1",
        "rules.yml:7",
        "rules.yml:11",
        "rules.yml:19",
        "worse.yaml:1",
    ]
    assert "keep_firing_for of HighErrorRate" in said[3]
    assert "label zone of HighErrorRate is worked out by a template" in said[4]
    assert "neither alert: nor record: stands in this rule" in said[5]
    assert "anchors (&) and aliases (*) are not read here" in said[6]
    notes = found.files["IMPORTED.md"].decode()
    assert all(each.replace("`", "'") in notes for each in said)
    assert any("silences" in each and "dependsOn" in each for each in found.suggestions)
    assert any("to: [ops@example.org, night@example.org]" in each for each in found.suggestions)


def test_no_secret_of_a_receiver_is_copied() -> None:
    found = drafts(read_monitoring(FILES), settings=True)
    assert not any(b"do-not-copy-me" in body for body in found.files.values())


def test_a_draft_keeps_what_a_person_needs_as_comments_that_cannot_break_out() -> None:
    evil = RULES.replace("https://runbooks.example.org/errors", "x\\nkind: Evil\\n--- # y")
    found = drafts(read_monitoring({"rules.yml": evil.encode()}), settings=True)
    assert compiled(found.files).problems == ()
    text = found.files["packs/imported/rules/shop-alerts.yaml"].decode()
    assert "# Drafted from rules.yml:7, group shop.alerts." in text
    assert '# expr: job:errors:rate5m{job="checkout"} > 0.05' in text
    assert "# Prometheus waits 10m before it fires" in text
    assert "# runbook: x kind: Evil --- # y" in text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a="b"', [("a", ("b",))]),
        ('a="b", c=~"d|e"', [("a", ("b",)), ("c", ("d", "e"))]),
        ("a=~b.*", [("a", None)]),
        ('a!="b"', [("a", None)]),
        ('a="x,y"', [("a", ("x,y",))]),
        ("a=''", [("a", None)]),
        ("not a matcher", []),
    ],
)
def test_matchers(text, found) -> None:
    assert [(each.label, each.values) for each in matchers_of(text)] == found


def test_what_an_expression_demands() -> None:
    assert selected_in('rate(a{job="x",code=~"5.."}[5m]) / b{job=~"x|y"} > 1') == {"job": ("x", "y")}
    assert selected_in("a > 1") == {}


def test_a_route_that_depends_on_more_than_the_file_says_names_nobody() -> None:
    monitoring = read_monitoring(FILES)
    by_name = {
        (each.name, each.labels.get("severity")): receiver_of(each, monitoring.routes) for each in monitoring.alerts
    }
    assert (
        by_name
        == {
            ("HighErrorRate", "critical"): "payments-pager",
            ("HighErrorRate", "warning"): "",  # its team comes from the series
            ("InstanceDown", "page"): "",
            ("KubePodCrashLooping", None): "",
        }
        or by_name["HighErrorRate", "critical"] == "payments-pager"
    )


@pytest.mark.parametrize(
    ("alert", "name"),
    [
        ("HighErrorRate", "high-error-rate"),
        ("HTTP5xx", "http5xx"),
        ("a b/c", "a-b-c"),
        ("…", "unnamed"),
        ("X" * 90, "x" * 60),
    ],
)
def test_names(alert, name) -> None:
    assert rule_name(alert) == name


def test_the_command_writes_new_files_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, into = tmp_path / "prometheus", tmp_path / "home"
    source.mkdir()
    for name, body in FILES.items():
        (source / name).write_bytes(body)
    assert main(["import", str(source), "--into", str(into)]) == Exit.DONE
    assert "4 rules and 3 catalogue stubs drafted" in capsys.readouterr().out
    assert main(["check", "--home", str(into)]) == Exit.DONE
    capsys.readouterr()
    before = {path: path.read_bytes() for path in into.rglob("*") if path.is_file()}
    assert main(["import", str(source), "--into", str(into)]) == Exit.NO
    assert "is there already, and" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in into.rglob("*") if path.is_file()}


def test_without_a_folder_the_drafts_go_to_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rules.yml").write_bytes(FILES["rules.yml"])
    assert main(["import", str(tmp_path / "rules.yml")]) == Exit.DONE
    said = capsys.readouterr()
    assert "--- # packs/imported/rules/shop-alerts.yaml\n" in said.out
    assert "not translated" in said.err
    assert main(["import", str(tmp_path / "rules.yml"), "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["rules"] == 3
    assert main(["import", str(tmp_path / "none.yml")]) == Exit.NO
    assert main(["import"]) == Exit.USAGE
