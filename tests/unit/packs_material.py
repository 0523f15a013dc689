"""Files that the tests of packs and homes start from: a small catalogue, and the design's own example."""

from functools import lru_cache

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.catalog.load import load
from watchkeeper.documents import read
from watchkeeper.packs.load import load_packs

COMPILER = CelCompiler()

CATALOG = """
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: payments-sre}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: payments}
spec: {owner: group:payments-sre}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: config-store}
spec: {type: service, lifecycle: production, owner: group:payments-sre, system: payments}
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: web-1
  annotations:
    watchkeeper.dev/instance: web-1
    watchkeeper.dev/environment: staging
    watchkeeper.dev/tier: gold
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.admin: http://127.0.0.1:9001
    watchkeeper.dev/attr.url: http://127.0.0.1:9000
    watchkeeper.dev/attr.unit: web
    watchkeeper.dev/attr.host: 127.0.0.1
    watchkeeper.dev/address: admin, url, host
spec: {type: instance, owner: group:payments-sre, system: payments}
"""

PACK = """
apiVersion: watchkeeper.dev/v1
kind: Pack
metadata: {name: payments, owner: group:payments-sre}
spec: {version: 1.0.0, description: Payments}
"""

RULE = """\
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: wedged-instance, owner: group:payments-sre}
spec:
  match: {alertname: InstanceWedged, severity: [critical, major]}   # indexed equality; an absent label is ""
  when: [alert.labels.tier != "canary"]          # optional CEL clauses for the rest, all must hold
  for: 30s                                       # firing this long, by our own receipt
  regions: {agree: 2, of: [eu-west, eu-north, us-east]}             # a blind region is unknown
  corroborate: {groups: 2, within: 5m}
  target:                                        # an indexed look-up, not a scan; 0 or more than max is an error
    kind: Resource
    by: {watchkeeper.dev/instance: alert.labels.instance}
    within: {system: payments}                   # static bound, used by the exclusion proof
    max: 1
  runbook: payments/restart-instance
  with: {grace: 30s}
  priority: 50
  autonomy: {ceiling: approve, when: [{if: target.env == "staging", ceiling: auto}]}
  limits: {attempts: 3, within: 1h, unavailable: {max: 1, of: service}, settle: 5m, approve_within: 30m, start_by: 10m}
"""

RUNBOOK = """\
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: restart-instance, owner: group:payments-sre}
spec:
  params: {grace: {type: duration, default: 30s, max: 5m}, warm: {type: bool, default: false}}
  secrets: {admin: {store: vault, path: kv/payments/admin, field: token}}    # leased per step, never a value here
  permissions:
    - {do: http.request, methods: [POST], to: target.admin}
    - {do: service.restart, units: [target.unit]}
  needs: [component:config-store]                # a dependency that is down, or whose SLA misses the objective: ask or refuse
  objective: {success: 99.9%}
  timeout: 15m
  on_stop: undo                                  # undo | stay | finish
  on_failure: undo                               # undo | stay; a person is told in both
  expects: [InstanceDown]
  steps:
    - id: drain
      do: http.request
      via: api
      with: {method: POST, url: "${target.admin}/drain", auth: {bearer: {secret: admin}}}
      effect: idempotent                         # read | idempotent | keyed | fenced | probed | once
      timeout: 10s
      retry: {attempts: 5, first: 500ms, max: 10s, errors: [unavailable]}
      undo: {do: http.request, with: {method: POST, url: "${target.admin}/undrain", auth: {bearer: {secret: admin}}}, safe_if_not_done: true}
    - id: sure
      when: target.tier == "gold"
      approve: {by: [group:payments-sre], count: 1, within: 20m, show: [steps.drain.output.status]}
    - id: restart
      do: service.restart
      via: ssh
      with: {unit: "${target.unit}"}
      effect: probed
      timeout: "${params.grace}"
      check: {do: service.started_since, with: {unit: "${target.unit}", since: "${intent_at}"}}
    - id: after
      parallel: {max: 2}
      steps:
        - {id: warm, when: params.warm, call: payments/warm-cache, with: {host: "${target.host}"}}
        - id: healthy
          verify: {http: "${target.url}/healthz", expect: {status: 200}, successes: 3, every: 1s, within: 60s, soak: 5s}
    - id: fleet                                  # for many targets; `target` is rebound in each
      foreach: {in: targets, waves: ["1", "10%", "50%", "100%"], stop: {failed: 2, unhealthy: 1}}
      steps: [{id: one, call: payments/restart-one}]
"""

CALLED = """\
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: warm-cache, owner: group:payments-sre}
spec:
  params: {host: {type: text, required: true}}
  permissions: [{do: http.request, methods: [POST], to: target.admin}]
  steps:
    - {id: warm, do: http.request, with: {method: POST, url: "${target.admin}/warm"}, effect: idempotent}
---
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: restart-one, owner: group:payments-sre}
spec:
  permissions: [{do: service.restart, units: [target.unit]}]
  steps:
    - {id: restart, do: service.restart, with: {unit: "${target.unit}"}}
"""

FILES = {
    "packs/payments/pack.yaml": PACK,
    "packs/payments/rules/wedged.yaml": RULE,
    "packs/payments/runbooks/restart.yaml": RUNBOOK,
    "packs/payments/runbooks/called.yaml": CALLED,
}

SIMPLE_RULE = """\
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: simple, owner: group:payments-sre}
spec:
  match: {alertname: Down}
  runbook: look
"""

SIMPLE_RUNBOOK = """\
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: look, owner: group:payments-sre}
spec:
  permissions: [{do: http.request, methods: [GET]}]
  steps:
    - {id: see, do: http.request, with: {url: "${target.url}/healthz"}}
"""

SIMPLE = {
    "packs/payments/pack.yaml": PACK,
    "packs/payments/rules/simple.yaml": SIMPLE_RULE,
    "packs/payments/runbooks/look.yaml": SIMPLE_RUNBOOK,
}


@lru_cache
def catalog():
    problems = []
    documents = read("catalog/all.yaml", CATALOG.encode(), problems)
    found, more = load(documents)
    assert not problems
    assert not [problem for problem in more if problem.severity == "error"], more
    return found


def packs(files):
    """The packs of a mapping of paths to texts."""
    return load_packs({path: text.encode() for path, text in files.items()}, catalog(), COMPILER)


def changed(text, old, new):
    """A text with one thing changed; the thing must be there."""
    assert old in text, old
    return text.replace(old, new, 1)
