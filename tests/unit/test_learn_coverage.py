from datetime import timedelta

import pytest
from msgspec.structs import replace
from packs_material import CATALOG, COMPILER, SIMPLE, SIMPLE_RULE, changed

from watchkeeper.engine.business_reading import proof_of
from watchkeeper.engine.records import RunRecord
from watchkeeper.home.configuration import compile_home
from watchkeeper.learn.coverage import HopState, Proven, coverage
from watchkeeper.values import instant

NOW = instant("2026-03-01T12:00:00Z")
DAY_MS = 86_400_000
API, WEB = "component:default/config-store", "resource:default/web-1"
TRANSACTIONS = """
- {name: checkout, priority: 1, owner: group:payments-sre, hops: [config-store, resource:web-1]}
- {name: log-in, priority: 2, owner: group:payments-sre, hops: [config-store]}
"""
ROUTED = """
environments: {staging: {production: false}}
notify: {routes: [{name: all, webhook: "http://127.0.0.1:1/none"}]}
"""


def home(target="", more="", ceiling="approve", text=TRANSACTIONS):
    rule = changed(
        SIMPLE_RULE,
        "runbook: look",
        f"runbook: look\n  autonomy: {{ceiling: {ceiling}}}{more}\n  target: {target or '{}'}",
    )
    files = {
        "watchkeeper.yaml": ROUTED,
        "catalog/all.yaml": CATALOG,
        **SIMPLE,
        "packs/payments/rules/simple.yaml": rule,
        "transactions.yaml": text,
    }
    found = compile_home({path: content.encode() for path, content in files.items()}, COMPILER)
    assert found.configuration is not None, [str(each) for each in found.problems]
    return found.configuration


def report(configuration, *proofs, within_ms=90 * DAY_MS, rules=None):
    rules = configuration.rules.values() if rules is None else rules
    named_by = ("service", "job", "instance")
    return coverage(configuration.transactions, rules, configuration.catalog, proofs, named_by, NOW, within_ms)


def proof(days=1, target=API, rule="payments/simple", **more):
    return Proven(rule=rule, run="run_1", at=NOW - timedelta(days=days), targets=(target,), **more)


def states(found):
    return {(row.name, hop.ref): hop.state.value for row in found.transactions for hop in row.hops}


def test_a_rule_that_reaches_and_never_ran_is_declared():
    found = report(home())
    assert set(states(found).values()) == {"declared"}
    hop = found.transactions[0].hops[0]
    assert hop.why == "Declared, not proven: no run of payments/simple repaired it in time."
    assert (found.hops, found.proven, found.declared, found.uncovered, found.covered_ppm) == (3, 0, 3, 0, 0)


def test_a_run_proves_the_hop_that_it_acted_on_and_no_other():
    found = report(home(), proof())
    assert states(found) == {
        ("checkout", API): "proven",
        ("checkout", WEB): "declared",
        ("log-in", API): "proven",
    }
    assert found.transactions[0].unprotected == (WEB,)
    assert found.transactions[0].hops[0].why == "payments/simple was proven by run run_1."
    assert found.covered_ppm == 666_666


@pytest.mark.parametrize(("days", "state"), [(90, "proven"), (91, "declared")])
def test_a_proof_ages(days, state):
    assert states(report(home(), proof(days)))["log-in", API] == state


def test_the_newest_proof_is_shown_and_a_drill_is_called_one():
    newest = replace(proof(1, drill=True), run="run_2")
    rule = report(home(), proof(3), newest).transactions[1].hops[0].rules[0]
    assert (rule.run, rule.by) == ("run_2", "drill")


def test_a_proof_of_another_rule_is_none():
    assert states(report(home(), proof(rule="payments/other")))["log-in", API] == "declared"


@pytest.mark.parametrize(
    ("target", "more", "ceiling"),
    [
        ("{within: {environment: nowhere}}", "", "approve"),
        ("{kind: Resource, by: {name: alert.labels.service}}", "", "approve"),
        ("{}", "", "observe"),
        ("{}", "\n  enabled: false", "approve"),
    ],
)
def test_what_cannot_reach_it_or_may_not_act_does_not_cover(target, more, ceiling):
    found = report(home(target, more, ceiling), proof())
    assert states(found)["log-in", API] == "uncovered"
    assert "No enabled rule above observe can reach it" in found.transactions[1].hops[0].why
    assert API in found.transactions[1].unprotected


def test_a_rule_that_demands_a_name_covers_only_that():
    configuration = home()
    (rule,) = configuration.rules.values()
    elsewhere = replace(rule, match={"service": ("web-1",)})
    found = states(report(configuration, rules=[elsewhere]))
    assert found["log-in", API] == "uncovered"
    assert found["checkout", WEB] == "declared"
    here = replace(rule, match={"service": ("config-store", "other")})
    assert states(report(configuration, rules=[here]))["log-in", API] == "declared"


def test_no_transaction_is_covered_whole():
    found = report(home(text="[]"))
    assert (found.hops, found.covered_ppm, found.transactions) == (0, 1_000_000, ())


RECORD = RunRecord(
    id="run_1",
    decision="dec_1",
    runbook="payments/look",
    rule="payments/simple",
    status="succeeded",
    open=False,
    at=NOW,
    ended_at=NOW,
    targets=(API,),
    configuration="c",
    state="config-store: restart done; verified healthy",
)


def test_a_run_that_was_verified_healthy_is_a_proof():
    found = proof_of(RECORD)
    assert found is not None
    assert (found.rule, found.run, found.at, found.targets) == ("payments/simple", "run_1", NOW, (API,))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "failed"},
        {"status": "undone"},
        {"state": "config-store: restart done; not verified"},
        {"state": "config-store: as before, nothing was sent"},
        {"state": "config-store: verification inconclusive: no data"},
        {"ended_at": None},
    ],
)
def test_everything_else_is_none(change):
    assert proof_of(replace(RECORD, **change)) is None


def test_every_state_can_be_reached():
    assert {each.value for each in HopState} == {"proven", "declared", "uncovered"}
