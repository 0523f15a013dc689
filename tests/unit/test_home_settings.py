import pytest

from watchkeeper.documents import read
from watchkeeper.home.load_settings import load_settings
from watchkeeper.home.settings import CredentialKind, Environment, Role, Settings, SourceKind, routes_for
from watchkeeper.packs.rule import Mode, Risk
from watchkeeper.packs.runbook import SecretRef
from watchkeeper.values import Severity, instant

WHOLE = """\
environments: {prod: {production: true, local: true}, dev: {production: false}}
sources:
  am: {kind: alertmanager, group: prometheus, region: eu-west, repeat: 4h, credential: {bearer: "env:AM_TOKEN"}}
  hook:
    kind: generic
    credential: {hmac: {key: "secret:hook", header: X-Sig, tolerance: 1m}}
    mapping: {status: {from: state, firing: [down], resolved: [up]}, labels: {alertname: {const: Down}, service: name}}
  nightly:
    kind: heartbeat
    entity_from: [job]
    credential: {basic: {user: dump, password: "secret:dump"}}
    beats: [{name: dump, every: 24h, grace: 1h, entity: dump, severity: critical, labels: {team: db}}]
  edge:
    kind: probe
    probes:
      - {name: shop, http: "https://shop.example/healthz", every: 10s, timeout: 2s, failures: 2, successes: 3, entity: shop, expect: {status: 200}}
      - {name: db, tcp: "10.0.0.5:5432", entity: db}
      - {name: disk, command: [df, /], entity: db}
notify:
  tell_after: 5m
  routes:
    - {name: pay, match: {severity: [critical, major], team: payments-sre, kind: ask}, webhook: "secret:chat", secret: "env:CHAT", also: true}
    - {email: {to: ops@example.org, via: "smtp://mail:25", from: wk@example.org}}
roles: {users: {alice: [admin], bob: viewer}, tokens: {ci: [operator]}, groups: {alice: payments-sre}}
trust: {prod: [signed], default: [local]}
retention: {signals: 10d, outputs: 5d, legal_hold: true}
limits: {runs: {service: 2, region: 3, global: 4}, cards_per_team: 5, body_max: 2 MiB}
store: {path: wk.db, disk_max: 1GiB}
engine: {lease: 9s, renew: 3s}
server: {port: 9000, host: 10.0.0.1, certificate: a.pem, key: a.key, hosts: [wk.example]}
autonomy: {episodes: 32, agreement: 90%, risk: {high: suggest}}
"""


def load(text):
    problems = []
    settings = load_settings(read("watchkeeper.yaml", text.encode(), problems), problems)
    return settings, problems


@pytest.mark.parametrize("text", ["{}", "", "# nothing but words\n", "---\n"])
def test_an_empty_file_is_a_valid_one(text):
    settings, problems = load(text)
    assert problems == []
    assert list(settings.sources) == ["default"]
    assert settings.sources["default"].kind is SourceKind.ALERTMANAGER
    assert settings.sources["default"].credential.kind is CredentialKind.TOKEN
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8420)
    assert settings.notify.tell_after_ms == 120_000
    assert (settings.engine.lease_ms, settings.engine.renew_ms) == (6_000, 2_000)
    assert settings.limits.cards_per_team == 20
    assert settings.retention.signals_ms == 30 * 86_400_000


def test_everything_that_can_be_said():
    settings, problems = load(WHOLE)
    assert problems == []
    assert settings.environments["prod"] == Environment(production=True, local=True)
    am = settings.sources["am"]
    assert (am.source.group, am.source.region, am.source.stale_after_ms) == ("prometheus", "eu-west", 8 * 3_600_000)
    assert (am.credential.kind, am.credential.secret) == (
        CredentialKind.BEARER,
        SecretRef(store="env", path="AM_TOKEN"),
    )
    assert settings.sources["hook"].credential.header == "X-Sig"
    assert settings.sources["hook"].credential.tolerance_ms == 60_000
    assert settings.sources["hook"].mapping.labels["alertname"].const == "Down"
    assert settings.sources["nightly"].credential.user == "dump"
    beat = settings.heartbeats[0]
    assert beat.labels == {"severity": "critical", "team": "db", "job": "dump"}
    expectation = beat.expectation(instant("2026-01-01T00:00:00Z"))
    assert (expectation.every_ms, expectation.grace_ms, expectation.source) == (86_400_000, 3_600_000, "nightly")
    shop, db, disk = settings.polls
    assert (shop.kind, shop.arguments, shop.expect) == (
        "http",
        {"url": "https://shop.example/healthz"},
        {"status": 200},
    )
    assert (shop.probe.failures, shop.probe.successes, shop.probe.stale_after_ms) == (2, 3, 30_000)
    assert shop.probe.labels == {"severity": "major", "service": "shop"}
    assert (db.kind, db.arguments, db.severity) == ("tcp", {"address": "10.0.0.5:5432"}, Severity.MAJOR)
    assert disk.arguments == {"argv": ["df", "/"]}
    assert settings.roles.users == {"alice": (Role.ADMIN,), "bob": (Role.VIEWER,)}
    assert settings.roles.groups == {"alice": ("group:default/payments-sre",)}
    assert settings.accepts("prod", "signed")
    assert not settings.accepts("prod", "local")
    assert settings.accepts("dev", "local")
    assert settings.limits.admission.service_max == 2
    assert settings.limits.body_bytes_max == 2 * 1024 * 1024
    assert settings.store.disk_max == 1024**3
    assert settings.autonomy.agreement_ppm == 900_000
    assert settings.risk_ceilings == {Risk.HIGH: Mode.SUGGEST}


def test_an_environment_counts_as_production_until_it_says_otherwise():
    assert load("environments: {a: {}}")[0].environments["a"].production


def test_the_first_route_that_matches_takes_it_and_also_lets_the_next_try():
    notify = load(WHOLE)[0].notify
    words = {"severity": "critical", "team": "group:default/payments-sre", "kind": "ask", "service": "x"}
    assert [route.name for route in routes_for(notify, **words)] == ["pay", "route-2"]
    assert [route.name for route in routes_for(notify, **{**words, "kind": "hold"})] == ["route-2"]
    assert [route.channel for route in notify.routes] == ["webhook", "email"]
    assert notify.routes[0].data() == {"url": {"secret": ["file", "chat"]}, "secret": {"secret": ["env", "CHAT"]}}
    assert notify.routes[1].data() == {"to": ["ops@example.org"], "via": "smtp://mail:25", "from": "wk@example.org"}
    assert routes_for(Settings().notify, severity="critical") == ()


@pytest.mark.parametrize(
    ("text", "place", "field", "words"),
    [
        ("sources: []", "1:10", "sources", "expected a mapping, got a list"),
        ("source: {}", "1:1", "source", "unknown field: did you mean 'sources'?"),
        ("sources: {a: {}}", "1:14", "sources.a.kind", "is missing"),
        ("sources: {A: {kind: alertmanager}}", "1:14", "sources.A", "'A' is not a name for a source"),
        ("sources: {a: {kind: nagios}}", "1:21", "sources.a.kind", "expected one of alertmanager"),
        ("sources: {a: {kind: generic}}", "1:14", "sources.a.mapping", "is missing: a generic source"),
        (
            "sources: {a: {kind: generic, mapping: {status: 5, labels: {}}}}",
            "1:48",
            "sources.a.mapping.status",
            "is no mapping of names",
        ),
        ("sources: {a: {kind: alertmanager, mapping: {}}}", "1:35", "sources.a.mapping", "unknown field"),
        ("sources: {a: {kind: alertmanager, beats: []}}", "1:35", "sources.a.beats", "unknown field"),
        (
            "sources: {a: {kind: alertmanager, credential: {bearer: hunter2}}}",
            "1:56",
            "sources.a.credential.bearer",
            "expected a reference such as secret:chat",
        ),
        (
            "sources: {a: {kind: alertmanager, credential: {}}}",
            "1:47",
            "sources.a.credential",
            "expected one of bearer, basic and hmac",
        ),
        (
            "sources: {a: {kind: heartbeat, beats: [{name: x, entity: y}]}}",
            "1:40",
            "sources.a.beats[0].every",
            "is missing",
        ),
        (
            "sources: {a: {kind: heartbeat, beats: [{name: x, entity: y, every: 1h}, {name: x, entity: y, every: 1h}]}}",
            "1:14",
            "sources.a",
            "'x' is already expected in source a",
        ),
        (
            "sources: {a: {kind: probe, probes: [{name: x, entity: y}]}}",
            "1:37",
            "sources.a.probes[0]",
            "looks at nothing",
        ),
        (
            "sources: {a: {kind: probe, probes: [{name: x, entity: y, tcp: a, http: b}]}}",
            "1:37",
            "sources.a.probes[0]",
            "looks two ways",
        ),
        (
            "sources: {a: {kind: probe, probes: [{name: x, entity: y, tcp: a, every: 1s, timeout: 2s}]}}",
            "1:86",
            "sources.a.probes[0].timeout",
            "is longer than `every`",
        ),
        ("notify: {routes: [{}]}", "1:19", "notify.routes[0]", "goes nowhere"),
        ("notify: {routes: [{webhook: 'ftp://x'}]}", "1:29", "notify.routes[0].webhook", "expected an http(s) URL"),
        ("notify: {routes: [{webhook: 'http://u:p@x/'}]}", "1:29", "notify.routes[0].webhook", "without user"),
        (
            "notify: {routes: [{match: {severity: bad}, webhook: 'http://x'}]}",
            "1:38",
            "notify.routes[0].match.severity",
            "expected some of critical",
        ),
        (
            "notify: {routes: [{match: {service: []}, webhook: 'http://x'}]}",
            "1:37",
            "notify.routes[0].match.service",
            "is empty",
        ),
        (
            "notify: {routes: [{email: {to: [], via: 'smtp://x', from: a@b}}]}",
            "1:32",
            "notify.routes[0].email.to",
            "nobody would be told",
        ),
        (
            "notify: {routes: [{name: a, webhook: 'http://x'}, {name: a, webhook: 'http://y'}]}",
            "1:18",
            "notify.routes",
            "two routes are called 'a'",
        ),
        ("notify: {tell_after: 2h}", "1:22", "notify.tell_after", "expected a duration from"),
        ("roles: {users: {a: [root]}}", "1:20", "roles.users.a", "expected some of viewer"),
        ("trust: {prod: [anyone]}", "1:16", "trust.prod[0]", "expected local, signed or key:<name>"),
        ("retention: {signals: 1h}", "1:22", "retention.signals", "expected a duration from 1d"),
        ("limits: {runs: {service: 0}}", "1:26", "limits.runs.service", "expected an integer from 1"),
        ("limits: {body_max: 5}", "1:20", "limits.body_max", "expected a size such as 20GiB"),
        ("store: {path: ../x}", "1:15", "store.path", "leads out of the state folder"),
        ("engine: {lease: 4s, renew: 2s}", "1:28", "engine.renew", "is not less than half the lease"),
        ("server: {host: 0.0.0.0}", "1:16", "server.host", "0.0.0.0 is beyond this machine and has no certificate"),
        ("server: {certificate: a}", "1:9", "server.key", "is missing: a certificate and its key"),
        ("server: {port: 65536}", "1:16", "server.port", "expected an integer from 0 to 65535"),
        ("autonomy: {episodes: 15}", "1:22", "autonomy.episodes", "expected an integer from 16"),
        ("autonomy: {risk: {high: never}}", "1:25", "autonomy.risk.high", "expected one of observe"),
        ("environments: {a: {prod: true}}", "1:20", "environments.a.prod", "known here are local, production"),
        ("[]", "1:1", "", "expected a mapping, got a list"),
        ("{}\n---\n{}", "3:1", "", "a second document"),
    ],
)
def test_what_is_wrong(text, place, field, words):
    _, problems = load(text)
    found = {(f"{one.line}:{one.column}", one.field): one.message for one in problems}
    assert (place, field) in found, found
    assert words in found[place, field]


def test_insecure_listening_can_be_asked_for():
    assert load("server: {host: 0.0.0.0, insecure: true}")[1] == []
