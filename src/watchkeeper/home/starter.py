"""The home that `wk init` writes: it works at once, does nothing but look, and its comments teach the rest."""

from typing import Final

_SETTINGS: Final = """\
# This node. Every field has a default, so an empty file would do as well.

environments:
  # An environment that is not declared here counts as production.
  dev: {production: false}

# Who may send signals. `default` accepts POST /hooks/alertmanager with the bootstrap token in
# .watchkeeper/token until it has tokens of its own (wk token create --source default).
sources:
  default: {kind: alertmanager}
  # prometheus-eu: {kind: alertmanager, group: prometheus, region: eu-west, repeat: 4h}

# Who is told, and how. A rule that may do more than observe needs a route.
# notify:
#   tell_after: 2m
#   routes:
#     - {match: {severity: [critical, major]}, webhook: "secret:chat-url"}
#     - {email: {to: [ops@example.org], via: smtp://localhost:25, from: watchkeeper@example.org}}

# What users of this machine may do: viewer, operator, approver, admin.
# roles:
#   users: {alice: [admin]}
"""

_CATALOG: Final = """\
# What there is, and who answers for it, in the format of Backstage's catalogue.
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: operations}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: example}
spec: {owner: group:operations}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: web                                   # an alert whose label service, job or instance is `web` means this
  annotations:
    watchkeeper.dev/environment: dev
    watchkeeper.dev/tier: bronze
    watchkeeper.dev/reach: api                # how steps reach it; without it, it is only observed
    watchkeeper.dev/attr.url: http://127.0.0.1:8080
    watchkeeper.dev/address: url              # the attributes that may be dialled
spec: {type: service, lifecycle: production, owner: group:operations, system: example}
"""

_PACK: Final = """\
apiVersion: watchkeeper.dev/v1
kind: Pack
metadata: {name: starter, owner: group:operations}
spec: {version: 0.1.0, description: A first rule and its runbook}
"""

_RULE: Final = """\
# When an alert ServiceDown fires for an entity of the catalogue, look at it.
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: service-down, owner: group:operations}
spec:
  match: {alertname: ServiceDown}             # labels that must be equal; an absent label is ""
  when: [alert.labels.maintenance != "true"]  # further conditions (CEL), all must hold; wk check --context lists the names
  for: 30s                                    # it fires this long before a decision is made
  target: {within: {system: example}}         # without `by`, the alert's own entity
  runbook: starter/look
  autonomy: {ceiling: observe}                # observe, suggest, approve, auto: a level is earned, and this is the most
  limits: {attempts: 3, within: 1h}
"""

_RUNBOOK: Final = """\
# A runbook is typed steps. This one only reads, so its risk is low.
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: look, owner: group:operations}
spec:
  permissions:
    - {do: http.request, methods: [GET], to: target.url}
  timeout: 2m
  steps:
    - id: ask
      do: http.request
      with: {method: GET, url: "${target.url}/healthz"}
      timeout: 5s
      retry: {attempts: 3, first: 500ms, max: 5s}
    - id: healthy
      verify: {http: "${target.url}/healthz", expect: {status: 200}, successes: 2, every: 1s, within: 30s}
"""

_SCENARIO: Final = """\
# A test that ships with the pack: wk test.
apiVersion: watchkeeper.dev/v1
kind: Scenario
metadata: {name: only-observed, owner: group:operations}
spec:
  given:
    signals:
      - {labels: {alertname: ServiceDown, service: web, severity: major}}
      - {after: 30s, labels: {alertname: ServiceDown, service: web, severity: major}}
  expect: {verdict: observe, rule: starter/service-down, effects: []}
"""

_EXCLUSIONS: Final = """\
# What automation never touches, whatever a rule or a role says: a list, empty for now.
# - id: X-1
#   scope: {system: system:example}
#   control: PCI DSS 10.2
#   reason: billing is changed by people only
#   owner: group:operations
#   approver: jane.doe@example.org
#   from: 2026-01-01T00:00:00Z
#   until: 2026-12-31T00:00:00Z
#   compensating: the on-call checklist
[]
"""

_IGNORE: Final = """\
.watchkeeper/
"""


def starter() -> dict[str, bytes]:
    """Path -> content. It compiles without a warning."""
    texts = {
        ".gitignore": _IGNORE,
        "watchkeeper.yaml": _SETTINGS,
        "exclusions.yaml": _EXCLUSIONS,
        "catalog/example.yaml": _CATALOG,
        "packs/starter/pack.yaml": _PACK,
        "packs/starter/rules/service-down.yaml": _RULE,
        "packs/starter/runbooks/look.yaml": _RUNBOOK,
        "packs/starter/scenarios/only-observed.yaml": _SCENARIO,
    }
    return {path: text.encode() for path, text in texts.items()}
