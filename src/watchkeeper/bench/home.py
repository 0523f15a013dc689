"""The bench's home: `services` targets that honour keys, one rule for each alert name, runbooks of one and of three steps."""

import pwd
from os import getuid
from pathlib import Path
from typing import Final

ACT: Final = "BenchAct"
ACT_LONG: Final = "BenchLong"
IGNORED: Final = "BenchNoise"  # no rule: taken apart, correlated, shown, never decided
TOKEN_VARIABLE: Final = "WATCHKEEPER_BENCH_TOKEN"  # noqa: S105  the name of a variable

_SETTINGS: Final = """
environments:
  bench: {{production: false, local: true}}
sources:
  default: {{kind: alertmanager, rate_max_per_s: 1000000, credential: {{bearer: "env:{variable}"}}}}
notify:
  routes:
    - name: sink  # repairs that went well are told to nobody: a quiet line that routes must ask for
      match: {{kind: [ask, in_doubt, lapsed]}}
      webhook: "http://127.0.0.1:{port}/told"
roles:
  users: {{{user}: [admin]}}
limits: {{runs: {{service: 5, region: 10000, global: 10000}}}}
"""

_PEOPLE: Final = """
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: ops}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: bench}
spec: {owner: group:ops}
"""

_SERVICE: Final = """---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations:
    watchkeeper.dev/environment: bench
    watchkeeper.dev/tier: gold
    watchkeeper.dev/region: eu
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.url: http://127.0.0.1:{port}/{name}
    watchkeeper.dev/address: url
    watchkeeper.dev/honours: idempotency-key
spec: {{type: service, lifecycle: production, owner: group:ops, system: bench}}
"""

_PACK: Final = """
apiVersion: watchkeeper.dev/v1
kind: Pack
metadata: {name: bench, owner: group:ops}
spec: {version: 1.0.0, description: what wk bench runs}
"""

_RULE: Final = """
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {{name: {name}, owner: group:ops}}
spec:
  match: {{alertname: {alert}}}
  target: {{within: {{system: bench}}}}
  runbook: bench/{runbook}
  autonomy: {{ceiling: auto}}
  limits: {{attempts: 1000, within: 1m, settle: 1d, start_by: 10m}}
"""

_RUNBOOK: Final = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {{name: {name}, owner: group:ops}}
spec:
  permissions:
    - {{do: http.request, methods: [POST], to: target.url}}
  timeout: 5m
  on_failure: stay
  steps:
"""

_STEP: Final = """    - id: {step}
      do: http.request
      with: {{method: POST, url: "${{target.url}}/{step}"}}
      effect: keyed
      timeout: 10s
      retry: {{attempts: 5, first: 100ms, max: 1s, errors: [unavailable, timeout]}}
"""

RULES: Final = {"act": (ACT, "one", ("restart",)), "act-long": (ACT_LONG, "three", ("drain", "restart", "undrain"))}


def write(folder: Path, port: int, services: tuple[str, ...], *, rules_more: int = 0) -> None:
    """`rules_more`: rules and runbooks beside those that are used, to make the home larger."""
    me = pwd.getpwuid(getuid()).pw_name
    files = {
        "watchkeeper.yaml": _SETTINGS.format(variable=TOKEN_VARIABLE, port=port, user=me),
        "catalog/people.yaml": _PEOPLE,
        "packs/bench/pack.yaml": _PACK,
    }
    for at in range(0, len(services), 1_000):  # a file has at most 1 MiB
        part = "".join(_SERVICE.format(name=name, port=port) for name in services[at : at + 1_000])
        files[f"catalog/services-{at // 1_000}.yaml"] = part.removeprefix("---\n")
    more = {f"more-{number}": (f"More{number}", f"more-{number}", ("restart",)) for number in range(rules_more)}
    for name, (alert, runbook, steps) in {**RULES, **more}.items():
        files[f"packs/bench/rules/{name}.yaml"] = _RULE.format(name=name, alert=alert, runbook=runbook)
        text = _RUNBOOK.format(name=runbook) + "".join(_STEP.format(step=step) for step in steps)
        files[f"packs/bench/runbooks/{runbook}.yaml"] = text
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def services(count: int) -> tuple[str, ...]:
    return tuple(f"svc-{number}" for number in range(count))
