"""Scenarios played by the real engine: what was expected and met, and each expectation that was not, in words."""

from typing import Any

import pytest

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.bootstrap import play
from watchkeeper.engine.scenarios import Played
from watchkeeper.home.configuration import compile_home
from watchkeeper.home.starter import starter

RULE = b"""\
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: service-down, owner: group:operations}
spec:
  match: {alertname: ServiceDown}
  for: 30s
  target: {within: {system: example}}
  runbook: starter/mend
  autonomy: {ceiling: auto}
"""
RUNBOOK = b"""\
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: mend, owner: group:operations}
spec:
  permissions: [{do: http.request, methods: [POST], to: target.url}]
  timeout: 2m
  steps:
    - id: drain
      do: http.request
      with: {method: POST, url: "${target.url}/drain"}
      effect: idempotent
      undo: {do: http.request, with: {method: POST, url: "${target.url}/undrain"}, safe_if_not_done: true}
    - id: healthy
      verify: {http: "${target.url}/healthz", expect: {status: 200}, successes: 2, every: 1s, within: 10s}
"""
SIGNALS = """
    signals:
      - {labels: {alertname: ServiceDown, service: web, severity: major}}
      - {after: 30s, labels: {alertname: ServiceDown, service: web, severity: major}}
"""


def played(given: str, expect: str, *, runbook: bytes = RUNBOOK, rule: bytes = RULE) -> Played:
    text = f"""
apiVersion: watchkeeper.dev/v1
kind: Scenario
metadata: {{name: tried, owner: group:operations}}
spec:
  given:
    {given}
    {SIGNALS.strip()}
  expect: {expect}
"""
    files: dict[str, bytes] = {
        **starter(),
        "packs/starter/rules/service-down.yaml": rule,
        "packs/starter/runbooks/look.yaml": runbook,
        "packs/starter/scenarios/only-observed.yaml": text.encode(),
        "watchkeeper.yaml": b"notify: {routes: [{webhook: 'http://127.0.0.1:9/'}]}\nenvironments: {dev: {production: false}}\n",
    }
    compiled = compile_home(files, CelCompiler())
    assert compiled.configuration is not None, [str(each) for each in compiled.errors]
    return play(compiled.configuration, compiled.configuration.scenarios[0])


ACTED = "{verdict: act, rule: starter/service-down, runbook: starter/mend, targets: web, mode: auto, status: succeeded"


def test_it_acts_and_what_it_sent_is_compared() -> None:
    found = played(
        "mode: auto",
        ACTED + ", effects: [{step: drain, action: http.request, target: web, arguments: {method: POST}}]}",
    )
    assert found.failures == ()
    assert (found.verdict, found.status) == ("act", "succeeded")
    assert [each["step"] for each in found.effects] == ["drain"]
    assert found.effects[0]["arguments"]["url"] == "http://127.0.0.1:8080/drain"


@pytest.mark.parametrize(
    ("expect", "failure"),
    [
        ("{verdict: hold}", "verdict: expected hold, it was act: "),
        ("{verdict: act, rule: starter/other}", "rule: expected starter/other, it was starter/service-down"),
        ("{verdict: act, mode: approve}", "mode: expected approve, it was auto"),
        ("{verdict: act, targets: [api]}", "targets: expected api, they were web"),
        ("{verdict: act, reason: because of the moon}", "reason: expected 'because of the moon' in it"),
        ("{verdict: act, status: failed}", "status: expected failed, it was succeeded"),
        ("{verdict: act, effects: []}", "effects: expected 0, sent were 1: drain http.request web"),
        ("{effects: [{step: other}]}", "effects[0]: expected other, sent was drain http.request web"),
        ("{effects: [{arguments: {method: PUT}}]}", "effects[0]: expected arguments only, sent was"),
        ("{verdict: act, findings: {freeze: ask}}", "findings.freeze: expected ask, it was pass: "),
        ("{verdict: act, findings: {moon: ask}}", "findings.moon: no guard of that name was asked"),
    ],
)
def test_each_expectation_that_is_not_met_is_named(expect: str, failure: str) -> None:
    found = played("mode: auto", expect)
    assert len(found.failures) == 1
    assert found.failures[0].startswith(failure), found.failures


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ("mode: observe", "{verdict: observe, effects: []}"),
        ("mode: approve", "{verdict: ask, effects: [], status: no run}"),
        ("situation: {stops: [{scope: {}}]}", "{verdict: hold, effects: []}"),
        ("situation: {holds: [{scope: {service: web}, until: 2h}]}", "{verdict: hold, findings: {hold: hold}}"),
        (
            "situation: {freezes: [{scope: {system: system:default/example}, reason: month end, until: 2h}]}",
            "{verdict: ask, findings: {freeze: ask}, effects: []}",
        ),
        ("situation: {freezes: [{scope: {environment: prod}, until: 2h}]}", "{verdict: act}"),
        ("situation: {freezes: [{scope: {system: example}, until: 10s}]}", "{verdict: act}"),
        ("situation: {exclusions: [{scope: {entity: component:default/web}, reason: by hand}]}", "{verdict: refuse}"),
        ("situation: {attempts: [{target: web, ago: 5m}, {target: web, ago: 4m}, {target: web}]}", "{verdict: refuse}"),
        ("outputs: {probe: {status: 500}}", "{verdict: act, status: undone, effects: [{step: drain}, {step: drain}]}"),
    ],
)
def test_the_given_world_is_what_decides(given: str, expect: str) -> None:
    found = played(given, expect)
    assert found.failures == (), (found.verdict, found.reason, found.status)


def test_a_run_that_ends_at_once_is_looked_at_once() -> None:
    quick = RUNBOOK[: RUNBOOK.index(b"    - id: healthy")]
    rule = RULE + b"  limits: {settle: 1s}\n"
    found = played(
        "mode: auto", "{verdict: act, status: succeeded, effects: [{step: drain}]}", runbook=quick, rule=rule
    )
    assert found.failures == ()


def test_a_scenario_is_played_the_same_each_time() -> None:
    def once() -> dict[str, Any]:
        found = played("mode: auto", ACTED + "}")
        return {"failures": found.failures, "effects": found.effects, "reason": found.reason}

    assert once() == once()
