"""The handbook page of a runbook: everything a person must know to do it by hand."""

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.home.configuration import compile_home
from watchkeeper.home.starter import starter
from watchkeeper.report.handbook import page

RUNBOOK = b"""\
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: look, owner: group:operations}
spec:
  description: Restart it and look
  params:
    grace: {type: duration, default: 30s, max: 5m}
    why: {type: text, required: true}
  permissions:
    - {do: http.request, methods: [POST], to: target.url}
  timeout: 15m
  on_stop: stay
  on_failure: undo
  expects: [InstanceDown]
  steps:
    - id: drain
      when: params.grace > 1000
      do: http.request
      with: {method: POST, url: "${target.url}/drain"}
      effect: idempotent
      timeout: 10s
      retry: {attempts: 5, first: 500ms, max: 10s}
      undo: {do: http.request, with: {method: POST, url: "${target.url}/undrain"}, safe_if_not_done: true}
    - id: sure
      approve: {by: [group:operations], count: 2, within: 20m}
    - id: after
      parallel: {max: 2}
      steps:
        - {id: once, do: http.request, with: {method: POST, url: "${target.url}/once"}, effect: once}
    - id: healthy
      verify: {http: "${target.url}/healthz", expect: {status: 200}, successes: 3, every: 1s, within: 60s, soak: 5s}
"""


def test_the_page_says_what_is_done_step_by_step() -> None:
    files = {**starter(), "packs/starter/runbooks/look.yaml": RUNBOOK}
    files["packs/starter/rules/service-down.yaml"] = files["packs/starter/rules/service-down.yaml"].replace(
        b"runbook: starter/look", b"runbook: starter/look\n  with: {why: x}"
    )
    compiled = compile_home(files, CelCompiler())
    assert compiled.configuration is not None, [str(each) for each in compiled.errors]
    rulebook = compiled.configuration.rulebook
    text = page(rulebook.runbooks["starter/look"], rulebook)
    assert text.startswith("# starter/look\n\nRestart it and look\n\n- Owner: group:default/operations\n")
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    for line in (
        "- Must end within 15m",
        "- While it runs these alerts are expected: InstanceDown",
        (
            '- `starter/service-down`: alertname is ServiceDown and `alert.labels.maintenance != "true"`, firing for 30s. '
            "By itself it may go as far as observe."
        ),
        "- `grace` (duration, default 30s, at most 5m)",
        "- `why` (text, required)",
        "1. **drain**: `http.request` with method `POST`, url `${target.url}/drain`",
        "   - Only when `params.grace > 1000`",
        "   - Sending it twice does no more than once",
        "   - Tried up to 5 times, from 500ms apart, when unavailable",
        "   - Has 10s to answer",
        "   - Undone by `http.request` with method `POST`, url `${target.url}/undrain`",
        "3. **after**: at the same time, at most 2 of:",
        "   1. **once**: `http.request` with method `POST`, url `${target.url}/once`",
        "      - Never sent twice: after a crash a person decides",
        "- Held, frozen or stopped between two steps: it stays as it is, and a person is told the state it was left in.",
        "Run it, with every guard asked: `wk run starter/look --target NAME --set why=... --reason '...'`",
    ):
        assert line in text.splitlines(), line
    assert "ask 2 people (group:default/operations); without an answer within 20m it ends there" in text
    assert "until it is healthy 3 times in a row, 1s apart, and still 5s later; within 1m" in text


def test_a_runbook_that_no_rule_proposes_is_run_by_a_person() -> None:
    files = starter()
    del files["packs/starter/rules/service-down.yaml"], files["packs/starter/scenarios/only-observed.yaml"]
    compiled = compile_home(files, CelCompiler())
    assert compiled.configuration is not None, [str(each) for each in compiled.errors]
    rulebook = compiled.configuration.rulebook
    text = page(rulebook.runbooks["starter/look"], rulebook)
    assert "No rule proposes it. A person runs it: `wk run starter/look --target NAME --reason ...`" in text
