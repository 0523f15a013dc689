"""What a scenario gives of the world is what the engine works with: metrics, objectives, regions, standings, calendars,
waves. Each is tried on both sides of a limit, and as unknown and too old.
"""

import pytest
from msgspec.structs import replace

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.bootstrap import play
from watchkeeper.engine.scenarios import Played
from watchkeeper.home.configuration import Compiled, compile_home

SETTINGS = """\
environments: {dev: {production: false}}
notify: {routes: [{webhook: 'http://127.0.0.1:9/'}]}
sources:
  default: {kind: alertmanager}
  eu: {kind: alertmanager, group: prometheus-eu, region: eu}
  us: {kind: alertmanager, group: prometheus-us, region: us}
  edge:
    kind: probe
    region: eu
    probes: [{name: web-http, http: 'http://127.0.0.1:1/healthz', every: 10s, entity: web}]
metrics: {window: 30d, max_age: 10m, response: {default: automated}}
limits: {runs: {global: 1}}
"""
CATALOG = """\
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: ops}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: shop}
spec: {owner: group:ops}
"""
ENTITY = """\
---
apiVersion: backstage.io/v1alpha1
kind: KIND
metadata:
  name: NAME
  annotations:
    watchkeeper.dev/environment: dev
    watchkeeper.dev/tier: gold
    watchkeeper.dev/region: eu
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.url: http://127.0.0.1:8080
    watchkeeper.dev/address: url
    watchkeeper.dev/group: fleet
spec: {type: service, lifecycle: production, owner: group:ops, system: shop}
"""
PACK = """\
apiVersion: watchkeeper.dev/v1
kind: Pack
metadata: {name: shop, owner: group:ops}
spec: {version: 1.0.0}
"""
RULE = """\
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: down, owner: group:ops}
spec:
  match: {alertname: Down}
  target: TARGET
  runbook: shop/mend
  autonomy: {ceiling: auto}
  limits: {settle: 5m, attempts: 100, within: 1h}
"""
RUNBOOK = """\
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: mend, owner: group:ops}
spec:
  permissions: [{do: http.request, methods: [POST], to: target.url}]
  timeout: 10m
  NEEDS
  steps:
    - id: restart
      do: http.request
      with: {method: POST, url: "${target.url}/restart"}
      effect: idempotent
    - id: healthy
      verify: {http: "${target.url}/healthz", expect: {status: 200}, successes: 2, every: 1s, within: 10s}
"""
WAVES = """\
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: mend, owner: group:ops}
spec:
  permissions: [{do: http.request, methods: [POST], to: target.url}]
  timeout: 30m
  on_failure: stay
  steps:
    - id: fleet
      foreach: {in: targets, waves: ["1", "100%"], max: 2, stop: {failed: 2, unhealthy: 2}}
      steps:
        - id: restart
          do: http.request
          with: {method: POST, url: "${target.url}/restart"}
          effect: idempotent
        - id: healthy
          verify: {http: "${target.url}/healthz", expect: {status: 200}, successes: 1, every: 1s, within: 5s}
"""
SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: web-looks
  annotations: {watchkeeper.dev/response: automated, watchkeeper.dev/max-age: 2m, watchkeeper.dev/budget-floor: 10%}
spec:
  service: web
  budgetingMethod: Occurrences
  timeWindow: [{duration: 7d, isRolling: true}]
  objectives: [{target: 0.99}]
  indicator:
    spec:
      ratioMetric:
        good: {metricSource: {type: Watchkeeper, spec: {measure: healthy_samples}}}
        total: {metricSource: {type: Watchkeeper, spec: {measure: samples}}}
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: main}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:9090"}}
---
apiVersion: openslo/v1
kind: SLO
metadata:
  name: web-orders
  annotations: {watchkeeper.dev/response: automated, watchkeeper.dev/max-age: 2m, watchkeeper.dev/every: 30s}
spec:
  service: web
  budgetingMethod: Occurrences
  timeWindow: [{duration: 4w, isRolling: true}]
  objectives: [{targetPercent: 99.9}]
  indicator:
    spec:
      ratioMetric:
        counter: true
        bad: {metricSource: {metricSourceRef: main, spec: {query: 'errors'}}}
        total: {metricSource: {metricSourceRef: main, spec: {query: 'orders'}}}
"""
CALENDARS = """\
- {name: nights, kind: freeze, file: nights.ics, scope: {system: shop}, zone: Europe/Berlin}
- name: cab
  kind: freeze
  url: https://calendar.example/cab.ics
  scope: {system: shop}
  when_unreadable: last_known
  max_age: 2h
"""
NIGHTS = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//shop//nights//EN
BEGIN:VEVENT
UID:night
SUMMARY:No changes at night
DTSTART;TZID=Europe/Berlin:20260101T200000
DTEND;TZID=Europe/Berlin:20260102T060000
RRULE:FREQ=DAILY
END:VEVENT
END:VCALENDAR
"""
CAB = "".join(
    f"{line}\\r\\n"
    for line in (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//cab//EN",
        "BEGIN:VEVENT",
        "UID:board",
        "SUMMARY:Change board",
        "DTSTART:20260105T110000Z",
        "DTEND:20260105T130000Z",
        "END:VEVENT",
        "END:VCALENDAR",
    )
)
TRANSACTIONS = """\
- {name: checkout, priority: 1, owner: group:ops, hops: [web]}
- {name: search, priority: 5, owner: group:ops, hops: [find]}
"""
SIGNALS = "[{labels: {alertname: Down, service: web, severity: critical}}]"


def home(
    given: str,
    expect: str,
    *,
    when: str = "",
    runbook: str = RUNBOOK,
    target: str = "{within: {system: shop}}",
    needs: str = "",
    autonomy: str = "{ceiling: auto}",
    response: str = "automated",
) -> Compiled:
    scenario = f"""
apiVersion: watchkeeper.dev/v1
kind: Scenario
metadata: {{name: tried, owner: group:ops}}
spec:
  given:
    {given if "signals:" in given else f"{given}{chr(10)}    signals: {SIGNALS}"}
  expect: {expect}
"""
    catalog = CATALOG + "".join(
        ENTITY.replace("NAME", name).replace("KIND", "Component")
        for name in ("web", "find", "db", "pay-1", "pay-2", "pay-3", "pay-4")
    )
    rule = RULE.replace("TARGET", target).replace("{ceiling: auto}", autonomy) + (
        f"  when: ['{when}']\n" if when and not when.startswith(" ") else when
    )
    files = {
        "watchkeeper.yaml": SETTINGS.replace("{default: automated}", f"{{default: {response}}}"),
        "catalog/all.yaml": catalog,
        "slos/web.yaml": SLO,
        "calendars/calendars.yaml": CALENDARS,
        "calendars/nights.ics": NIGHTS.replace("\n", "\r\n"),
        "transactions.yaml": TRANSACTIONS,
        "packs/shop/pack.yaml": PACK,
        "packs/shop/rules/down.yaml": rule,
        "packs/shop/runbooks/mend.yaml": runbook.replace("NEEDS", needs or "description: as it is"),
        "packs/shop/scenarios/tried.yaml": scenario,
    }
    return compile_home({path: text.encode() for path, text in files.items()}, CelCompiler())


def played(given: str, expect: str, **more: str) -> Played:
    compiled = home(given, expect, **more)
    assert compiled.configuration is not None, [str(each) for each in compiled.errors]
    return play(compiled.configuration, compiled.configuration.scenarios[0])


def met(given: str, expect: str, **more: str) -> None:
    found = played(given, expect, **more)
    assert found.failures == (), (found.verdict, found.reason, found.findings)


ACTS = "{verdict: act, status: succeeded}"
NO_RULE = "{verdict: none, effects: []}"


@pytest.mark.parametrize(
    ("metrics", "when", "expect"),
    [
        ("{uptime: 99.9%}", "metrics.uptime < 0.9991", ACTS),
        ("{uptime: 99.9%}", "metrics.uptime < 0.999", NO_RULE),
        ("{uptime: 0%}", "metrics.uptime == 0.0", ACTS),
        ("{uptime: 100%}", "metrics.uptime == 1.0", ACTS),
        ("{mttr: 45m}", 'metrics.mttr >= duration("45m")', ACTS),
        ("{mttr: 45m}", 'metrics.mttr > duration("45m")', NO_RULE),
        ("{mtta: 5m, mttd: 1m, mttr: 10m}", 'metrics.mtta == duration("5m")', ACTS),
        ("{failover: 90s}", 'metrics.failover == duration("90s")', ACTS),
        ("{incidents: 3}", "metrics.incidents == 4", ACTS),  # the one that this alert opened beside them
        ("{uptime: 50%, age: 9m}", "metrics.uptime < 0.9", ACTS),
        ("{uptime: 50%, age: 11m}", "metrics.uptime < 0.9", NO_RULE),
        ("{uptime: unknown}", "metrics.uptime < 2.0", NO_RULE),
        ("{mttr: unknown}", 'metrics.mttr >= duration("0s")', NO_RULE),
    ],
)
def test_metrics_are_measured_from_the_history_that_is_given(metrics: str, when: str, expect: str) -> None:
    met(f"situation: {{metrics: {{web: {metrics}}}}}", expect, when=when)


@pytest.mark.parametrize("metrics", ["{uptime: 50%, age: 11m}", "{uptime: unknown}"])
def test_a_rule_that_holds_on_unknown_holds_when_what_it_needs_is_too_old_or_was_never_seen(metrics: str) -> None:
    when = "  when: [metrics.uptime < 0.9]\n  unknown: hold\n"
    expect = "{verdict: hold, findings: {corroboration: hold}, effects: []}"
    met(f"situation: {{metrics: {{web: {metrics}}}}}", expect, when=when)


CASES = "{ceiling: observe, when: [{if: metrics.uptime < 0.999, ceiling: auto}]}"


@pytest.mark.parametrize(
    ("uptime", "response", "expect"),
    [
        ("99%", "automated", ACTS),
        ("99%", "manual review", "{verdict: ask, ladder: {binds: ceiling, ceiling: approve}, reason: metrics.uptime}"),
        ("99.9%", "automated", "{verdict: observe, ladder: {ceiling: observe}}"),
        ("99.9%", "manual review", "{verdict: observe, ladder: {ceiling: observe}}"),
        ("unknown", "automated", "{verdict: observe, ladder: {ceiling: observe}}"),
    ],
)
def test_a_ceiling_that_depends_on_a_metric_is_bound_by_its_response_class_too(
    uptime: str, response: str, expect: str
) -> None:
    given = f"situation: {{metrics: {{web: {{uptime: {uptime}}}}}}}"
    met(given, expect, autonomy=CASES, response=response)


def test_the_services_own_probes_say_so_where_nothing_is_given() -> None:
    met("mode: auto", NO_RULE, when="metrics.uptime < 0.9")
    slow = "[{after: 30s, labels: {alertname: Down, service: web, severity: critical}}]"
    met(f"signals: {slow}", ACTS, when="metrics.uptime > 0.9")


@pytest.mark.parametrize(
    ("slo", "expect"),
    [
        ("budget: {web: 11%}", "{verdict: act, findings: {budget: pass}}"),
        ("budget: {web: 9%}", "{verdict: ask, findings: {budget: ask}, effects: []}"),
        ("budget: {web: -20%}", "{verdict: ask, findings: {budget: ask}, reason: '-20 % is left'}"),
        ("budget: {web: unknown}", "{verdict: hold, findings: {budget: hold}, effects: []}"),
        ("budget: {web: {budget_left: 90%, age: 1m}}", ACTS),
        ("budget: {web: {budget_left: 90%, age: 3m}}", "{verdict: hold, findings: {budget: hold}, effects: []}"),
        ("slo: {web-looks: 90%}", "{verdict: act, findings: {budget: pass}}"),
        ("slo: {web-looks: 90%, web-orders: 0%}", "{verdict: ask, findings: {budget: ask}}"),
        ("slo: {web-looks: 90%, web-orders: 0.1%}", "{verdict: act, findings: {budget: pass}}"),
        ("slo: {web-orders: 50%}, budget: {web: 100%}", "{verdict: act, findings: {budget: pass}}"),
        ("stops: []", "{verdict: act, findings: {budget: pass}}"),
    ],
)
def test_budgets_ask_below_their_floor_and_hold_when_they_cannot_be_read(slo: str, expect: str) -> None:
    met(f"situation: {{{slo}}}", expect)


@pytest.mark.parametrize(
    ("slo", "when", "expect"),
    [
        ("{burn: {1h: 14.5, 5m: 20}}", 'slo["web-looks"].burn["1h"] > 14.4', ACTS),
        ("{burn: {1h: 14.4}}", 'slo["web-looks"].burn["1h"] > 14.4', NO_RULE),
        ("{burn: {1h: 14.5}}", 'slo["web-looks"].burn["5m"] > 0.0', NO_RULE),
        ("{budget_left: 50%}", 'slo["web-looks"].budget_left == 0.5', ACTS),
        ("{budget_left: 50%}", 'slo["web-looks"].attainment == 0.995', ACTS),
        ("unknown", 'slo["web-looks"].budget_left < 2.0', NO_RULE),
    ],
)
def test_rules_read_burn_rates_and_budgets_as_given(slo: str, when: str, expect: str) -> None:
    met(f"situation: {{slo: {{web-looks: {slo}}}}}", expect, when=when)


def test_an_objective_that_is_read_goes_on_being_read_and_one_with_an_age_does_not() -> None:
    late = "[{after: 5m, labels: {alertname: Down, service: web, severity: critical}}]"
    met(f"signals: {late}\n    situation: {{budget: {{web: 90%}}}}", ACTS)
    expect = "{verdict: hold, findings: {budget: hold}}"
    met(f"signals: {late}\n    situation: {{budget: {{web: {{budget_left: 90%, age: 1s}}}}}}", expect)


def test_a_burn_rate_that_no_count_makes_is_refused() -> None:
    found = played("situation: {slo: {web-looks: {burn: {1h: 101}}}}", ACTS)
    assert found.failures == (
        "given: slo['web-looks']: with everything bad its budget burns at 100, and no faster: 1h cannot be",
    )


REGIONS = "  regions: {agree: 2, of: [eu, us, ap]}\n"
TWO = (
    "signals: [{source: eu, region: eu, labels: {alertname: Down, service: web, severity: critical}},"
    " {source: us, region: us, labels: {alertname: Down, service: web, severity: critical}}]"
)
ONE = "signals: [{source: eu, region: eu, labels: {alertname: Down, service: web, severity: critical}}]"


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        (TWO, "{verdict: act, findings: {corroboration: pass}}"),
        (ONE, "{verdict: hold, reason: ap and us cannot see, findings: {corroboration: hold}}"),
        (
            f"{ONE}\n    situation: {{regions: {{us: seeing, ap: seeing}}}}",
            "{verdict: hold, reason: ap and us say that all is well}",
        ),
        (f"{ONE}\n    situation: {{regions: {{us: seeing, ap: blind}}}}", "{verdict: hold, reason: ap cannot see}"),
        (
            f"{ONE}\n    situation: {{regions: {{us: {{age: 4m}}, ap: {{age: 6m}}}}}}",
            "{verdict: hold, reason: ap cannot see}",
        ),
    ],
)
def test_a_region_that_is_blind_is_unknown_and_one_that_sees_says_that_all_is_well(given: str, expect: str) -> None:
    met(given, expect, when=REGIONS)


def test_a_region_that_sees_goes_on_seeing() -> None:
    late = ONE.replace("{source: eu", "{after: 10m, source: eu")
    met(
        f"{late}\n    situation: {{regions: {{us: seeing, ap: seeing}}}}",
        "{verdict: hold, reason: say that all is well}",
        when=REGIONS,
    )


def test_no_probe_of_the_home_sees_for_a_region_that_is_given_as_blind() -> None:
    late = (
        "signals: [{after: 30s, source: us, region: us, labels: {alertname: Down, service: web, severity: critical}}]"
    )
    met(late, "{verdict: hold, reason: it; ap cannot see}", when=REGIONS)
    met(
        f"{late}\n    situation: {{regions: {{eu: blind}}}}",
        "{verdict: hold, reason: ap and eu cannot see}",
        when=REGIONS,
    )


def test_another_group_that_says_the_same_corroborates() -> None:
    more = "  corroborate: {groups: 2, within: 5m}\n"
    met("mode: auto", "{verdict: hold, findings: {corroboration: hold}}", when=more)
    met("situation: {groups: [prometheus-us]}", "{verdict: act, findings: {corroboration: pass}}", when=more)


@pytest.mark.parametrize(
    ("dependency", "expect"),
    [
        ("healthy", ACTS),
        ("unhealthy", "{verdict: refuse, findings: {dependency: refuse}}"),
        ("unknown", "{verdict: hold, findings: {dependency: hold}}"),
        ("{health: healthy, age: 20s}", ACTS),
        ("{health: healthy, age: 40s}", "{verdict: hold, findings: {dependency: hold}}"),
    ],
)
def test_what_it_needs_is_as_well_as_given_and_no_older(dependency: str, expect: str) -> None:
    met(f"situation: {{dependencies: {{db: {dependency}}}}}", expect, needs="needs: [db]")


AGREED = "mode: observe\n    situation: {agreement: [{rule: shop/down, target: web, AGREED}]}"


@pytest.mark.parametrize(
    ("agreed", "ladder"),
    [
        ("agreed: 16, of: 16", "verdict: suggest, ladder: {standing: suggest, binds: standing}"),
        ("agreed: 15, of: 15", "verdict: observe, ladder: {standing: observe, binds: standing}"),
        ("agreed: 17, of: 20", "verdict: observe, reason: 17 of 20 agreed"),
        ("agreed: 16, of: 16, since: 6d", "verdict: observe, ladder: {standing: observe}"),
        ("agreed: 16, of: 16, level: suggest", "verdict: ask, ladder: {standing: approve, binds: standing}"),
        ("agreed: 16, of: 16, level: approve", "verdict: act, ladder: {standing: auto, binds: nothing}"),
    ],
)
def test_a_level_is_earned_by_the_agreement_that_is_given(agreed: str, ladder: str) -> None:
    late = "signals: [{after: 2s, labels: {alertname: Down, service: web, severity: critical}}]"
    met(f"{AGREED.replace('AGREED', agreed)}\n    {late}", f"{{{ladder}, would_be: act}}")


def test_a_demotion_binds_whatever_was_granted() -> None:
    expect = (
        "{verdict: ask, mode: approve, ladder: {binds: demotion, demoted: approve, standing: auto}, reason: demotion}"
    )
    met("situation: {demotions: [{rule: shop/down, target: web, because: unhealthy}]}", expect)
    met("situation: {demotions: [{rule: shop/down, target: web, because: harm}]}", "{verdict: observe}")
    met("situation: {demotions: [{rule: shop/down, target: web, severity: major, because: harm}]}", ACTS)


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ("at: 2026-01-05T18:59:59Z", ACTS),
        (
            "at: 2026-01-05T19:00:00Z",
            "{verdict: ask, findings: {freeze: ask}, reason: No changes at night, until: 2026-01-06T05:00:00Z}",
        ),
        ("at: 2026-07-05T18:00:00Z", "{verdict: ask, until: 2026-07-06T04:00:00Z}"),
        ("at: 2026-07-05T17:59:00Z", ACTS),
        (
            f'situation: {{calendars: {{cab: {{says: "{CAB}"}}}}}}',
            "{verdict: ask, reason: Change board, until: 2026-01-05T13:00:00Z}",
        ),
        (f'situation: {{calendars: {{cab: {{says: "{CAB}", age: 1h}}}}}}', "{verdict: ask, reason: Change board}"),
        (
            f'situation: {{calendars: {{cab: {{says: "{CAB}", age: 3h}}}}}}',
            "{verdict: hold, findings: {freeze: hold}, reason: calendar cab}",
        ),
        (
            "situation: {calendars: {cab: unreadable}}",
            "{verdict: hold, findings: {freeze: hold}, reason: calendar cab}",
        ),
    ],
)
def test_calendars_close_at_the_scenarios_time_and_hold_when_they_cannot_be_read(given: str, expect: str) -> None:
    late = "signals: [{after: 0s, labels: {alertname: Down, service: web, severity: critical}}]"
    met(f"{given}\n    {late}", expect)


FLEET = "{by: {watchkeeper.dev/group: alert.labels.group}, within: {system: shop}, kind: Component, max: 10}"
OF_FLEET = "signals: [{labels: {alertname: Down, service: web, severity: critical, group: fleet}}]"


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        (
            "",
            "{verdict: act, status: succeeded, verification: healthy, fleet: {begun: 7, done: 7, failed: 0, unhealthy: 0}}",
        ),
        (
            "\n    failing: [{step: restart, why: no room}]",
            "{verdict: act, status: failed, fleet: {begun: 3, done: 0, failed: 3}}",
        ),
        (
            "\n    failing: [{step: restart, targets: [web]}]",
            "{verdict: act, status: succeeded, fleet: {begun: 7, done: 6, failed: 1}}",
        ),
        (
            "\n    probes: {web: {status: 500}, find: {status: 500}}",
            "{verdict: act, status: failed, fleet: {done: 5, unhealthy: 2}}",
        ),
    ],
)
def test_waves_stop_at_their_threshold(given: str, expect: str) -> None:
    met(OF_FLEET + given, expect, runbook=WAVES, target=FLEET)


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ("mode: auto", "{verdict: act, verification: healthy, status: succeeded}"),
        ("outputs: {probe: {status: 500}}", "{verdict: act, verification: unhealthy}"),
        ("probes: {web: {status: 500}}", "{verdict: act, verification: unhealthy}"),
        ("probes: {db: {status: 500}}", "{verdict: act, verification: healthy}"),
    ],
)
def test_what_the_verification_saw_can_be_expected(given: str, expect: str) -> None:
    met(given, expect)


def test_the_more_important_transaction_goes_first() -> None:
    signals = ", ".join(
        f"{{labels: {{alertname: Down, service: {name}, severity: critical}}}}" for name in ("pay-1", "find", "web")
    )
    order = "{effects: [{target: pay-1}, {target: web}, {target: find}], verdict: act, priority: 5}"
    met(f"signals: [{signals}]", order)


@pytest.mark.parametrize(
    ("situation", "expect"),
    [
        (
            "breakers: [{runbook: shop/mend, action: http.request, target: web, until: 10m}]",
            "{verdict: hold, findings: {breaker: hold}}",
        ),
        ("breakers: [{runbook: shop/mend, action: http.request, target: find, until: 10m}]", ACTS),
        ("breakers: [{runbook: shop/mend, action: http.request, target: web, until: 0s}]", ACTS),
        (
            "brakes: [{rule: shop/down}]",
            "{findings: {breaker: hold}, verdict: hold, reason: rule shop/down failed on 5 targets}",
        ),
        ("brakes: [{region: eu}]", "{verdict: hold, findings: {breaker: hold}}"),
        ("brakes: [{region: us}]", ACTS),
        ("brakes: [{}]", "{verdict: hold, findings: {breaker: hold}}"),
    ],
)
def test_breakers_and_brakes_bind_as_given(situation: str, expect: str) -> None:
    met(f"situation: {{{situation}}}", expect)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("situation: {metrics: {wep: {uptime: 1%}}}", "7:32: no entity 'wep' in the catalogue: did you mean 'web'?"),
        ("situation: {slo: {web-look: 1%}}", "there is no SLO 'web-look' here: did you mean 'web-looks'?"),
        ("situation: {slo: {web-looks: {burn: {2h: 1}}}}", "there is no burn window '2h' here"),
        ("situation: {budget: {db: 1%}}", "db has no SLO, so it has no error budget"),
        ("situation: {regions: {moon: blind}}", "there is no region 'moon' here: there are ap, eu, us"),
        ("situation: {groups: [cloud]}", "there is no group 'cloud' here: there are default, edge"),
        ("situation: {calendars: {cap: unreadable}}", "there is no calendar 'cap' here: did you mean 'cab'?"),
        (
            "situation: {calendars: {nights: unreadable}}",
            "the calendar nights is a file of this home, which can always be read",
        ),
        ("situation: {busy: [nobody]}", "no entity 'nobody' in the catalogue"),
        ("situation: {agreement: [{rule: shop/up, target: web, agreed: 1, of: 1}]}", "there is no rule 'shop/up' here"),
        ("situation: {brakes: [{rule: shop/donw}]}", "did you mean 'shop/down'?"),
        ("situation: {breakers: [{runbook: shop/x, action: y, target: web}]}", "there is no runbook 'shop/x' here"),
        ("catalog: [{ref: nobody, health: healthy}]", "no entity 'nobody' in the catalogue"),
        ("failing: [{step: restart, targets: [nobody]}]", "no entity 'nobody' in the catalogue"),
        ("probes: {nobody: {status: 500}}", "no entity 'nobody' in the catalogue"),
        ("situation: {holds: [{scope: {entity: nobody}}]}", "no entity 'nobody' in the catalogue"),
    ],
)
def test_what_does_not_exist_is_refused_where_it_is_written(given: str, words: str) -> None:
    compiled = home(given, ACTS, when="" if "moon" not in given else REGIONS)
    assert compiled.configuration is None
    (problem,) = compiled.errors
    assert words in f"{problem.line}:{problem.column}: {problem.message}"
    assert (problem.file, problem.line, problem.column > 1) == ("packs/shop/scenarios/tried.yaml", 7, True)
    assert problem.field.startswith("spec.given.")


@pytest.mark.parametrize(
    ("expect", "failure"),
    [
        ("{verdict: act, would_be: ask}", "would_be: expected ask, it was act"),
        (
            "{verdict: act, ladder: {binds: ceiling}}",
            "ladder.binds: expected ceiling, it was nothing: The ladder stands at auto",
        ),
        ("{verdict: act, priority: 2}", "priority: expected 2, it was 1"),
        ("{verdict: act, verification: unhealthy}", "verification: expected unhealthy, it was healthy"),
        ("{verdict: act, fleet: {done: 1}}", "fleet: no foreach was reached"),
        (
            "{verdict: act, until: 2026-01-05T13:00:00Z}",
            "until: expected 2026-01-05T13:00:00.000000Z, stop says no time",
        ),
    ],
)
def test_each_expectation_that_is_not_met_is_named(expect: str, failure: str) -> None:
    (found,) = played("mode: auto", expect).failures
    assert found.startswith(failure)


def test_a_scenario_with_history_is_played_the_same_each_time() -> None:
    compiled = home("situation: {metrics: {web: {uptime: 97.3%, mttr: 12m}}, budget: {web: 40%}}", ACTS)
    assert compiled.configuration is not None
    scenario = compiled.configuration.scenarios[0]
    assert play(compiled.configuration, scenario) == play(compiled.configuration, scenario)
    other = replace(scenario, expected=replace(scenario.expected, verdict="ask"))
    assert play(compiled.configuration, other).failures
