"""Whether a rule matches: labels, clauses with what they saw, and how long it fires."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import Struct

from situations import AT, MINUTE, TICK, an_alert
from watchkeeper.decide.decision import ClauseResult
from watchkeeper.decide.match import Matched, Miss, Missed, match
from watchkeeper.packs.expression import Answer, Broken, Known, Unknown
from watchkeeper.packs.rule import Rule, WhenUnknown


class Says(Struct, frozen=True):
    """An expression that answers what it is told to."""

    source: str
    answer: Answer
    references: tuple[tuple[str, ...], ...] = ()

    def evaluate(self, bindings: Any) -> Answer:
        return self.answer


TRUE, FALSE = Known(True), Known(False)


def a_rule(**fields):
    return Rule(
        **{
            "name": "payments/wedged",
            "owner": "group:default/payments-sre",
            "pack": "payments",
            "where": "rules/wedged.yaml:1",
            "digest": "1" * 64,
            "match": {"alertname": ("InstanceWedged",)},
            "runbook": "payments/restart",
            **fields,
        }
    )


def test_matches_with_its_table():
    rule = a_rule(
        match={"alertname": ("InstanceWedged",), "severity": ("critical", "major"), "canary": ("",)},
        when=(Says('alert.labels.tier != "canary"', TRUE, (("alert", "labels", "tier"),)),),
        for_ms=60_000,
    )
    found = match(rule, an_alert(), {"alert": {"labels": {"tier": "gold"}}}, AT)
    assert found == Matched(
        clauses=(
            ClauseResult(
                source='alert.labels.alertname == "InstanceWedged"', answer="true", why='it is "InstanceWedged"'
            ),
            ClauseResult(
                source='alert.labels.severity in ["critical", "major"]', answer="true", why='it is "critical"'
            ),
            ClauseResult(source='alert.labels.canary == ""', answer="true", why="the alert has no such label"),
            ClauseResult(source='alert.labels.tier != "canary"', answer="true", why='alert.labels.tier = "gold"'),
            ClauseResult(source="for: 1m", answer="true", why="it fires for 1m"),
        )
    )


def test_a_label_that_differs_stops_before_any_expression():
    rule = a_rule(match={"job-name": ("a",)}, when=(Says("x", Broken("never evaluated")),))
    found = match(rule, an_alert(labels={"job-name": 'b"'}), {}, AT)
    assert isinstance(found, Missed)
    assert (found.why, found.reason) == (Miss.LABEL, 'alert.labels["job-name"] == "a" is not so: it is "b\\"".')
    assert len(found.clauses) == 1


def test_a_false_clause_says_what_it_saw():
    clause = Says("a && b", FALSE, (("alert", "n"), ("alert", "ok"), ("alert", "at"), ("alert", "m")))
    seen = {"alert": {"n": 3, "ok": True, "at": AT, "m": {"x": "1"}}}
    found = match(a_rule(when=(clause,)), an_alert(), seen, AT)
    assert (found.why, found.reason) == (
        Miss.CLAUSE,
        "a && b is false: alert.n = 3; alert.ok = true; alert.at = 2026-03-01T03:04:00.000000Z; alert.m = 1 names.",
    )
    silent = match(a_rule(when=(Says("false", FALSE),)), an_alert(), {}, AT)
    assert silent.reason == "false is false."


def test_values_shown_are_bounded():
    clause = Says("x", FALSE, (("alert", "n"),))
    found = match(a_rule(when=(clause,)), an_alert(), {"alert": {"n": "y" * 5_000}}, AT)
    assert len(found.clauses[-1].why) <= 200


@pytest.mark.parametrize("other", [Unknown("old"), Broken("bad"), TRUE])
@pytest.mark.parametrize("swap", [False, True])
def test_false_unmatches_whatever_the_others_say(other, swap):
    when = (Says("f", FALSE), Says("o", other))
    found = match(a_rule(when=when[::-1] if swap else when), an_alert(), {}, AT)
    assert found.why is Miss.CLAUSE


def test_unknown_is_skipped_with_its_reason():
    found = match(a_rule(when=(Says("slo.left > 1", Unknown("read 6m ago.")),)), an_alert(), {}, AT)
    assert (found.why, found.reason) == (Miss.UNKNOWN, "slo.left > 1 is unknown: read 6m ago.")
    assert found.clauses[-1].answer == "unknown"


def test_unknown_holds_where_the_rule_says_so():
    rule = a_rule(when=(Says("slo.left > 1", Unknown("read 6m ago")),), when_unknown=WhenUnknown.HOLD)
    found = match(rule, an_alert(), {}, AT)
    assert (found.unknown_clause, found.broken_clause) == ("slo.left > 1: read 6m ago", "")


@pytest.mark.parametrize(
    ("answer", "why"),
    [(Broken("1/0"), "1/0"), (Known("yes"), "it gives str, where true or false is needed")],
)
def test_broken_holds_even_where_unknown_is_skipped(answer, why):
    rule = a_rule(when=(Says("u", Unknown("old")), Says("b", answer)))
    found = match(rule, an_alert(), {}, AT)
    assert isinstance(found, Matched)
    assert found.broken_clause == f"b: {why}"
    assert found.clauses[-1].answer == "broken"


@pytest.mark.parametrize(("since", "matches"), [(AT - MINUTE, True), (AT - MINUTE + TICK, False)])
def test_for_counts_from_our_receipt(since, matches):
    facts = an_alert(first_seen_at=since, starts_at=AT - timedelta(days=1))
    found = match(a_rule(for_ms=60_000), facts, {}, AT)
    assert isinstance(found, Matched) is matches
    if not matches:
        assert (found.why, found.reason) == (Miss.TOO_EARLY, "it fires for 59s of 1m.")
        assert found.again_at == since + MINUTE


def test_a_receipt_in_the_future_is_no_time_at_all():
    found = match(a_rule(for_ms=1_000), an_alert(first_seen_at=AT + MINUTE), {}, AT)
    assert found.reason == "it fires for 0s of 1s."


def test_disabled_and_resolved():
    assert match(a_rule(enabled=False), an_alert(), {}, AT).why is Miss.DISABLED
    found = match(a_rule(), an_alert(firing=False), {}, AT)
    assert (found.why, found.reason) == (Miss.NOT_FIRING, "The alert resolved.")


def test_an_input_that_is_not_there_is_shown_as_empty():
    clause = Says("x", FALSE, (("alert", "labels", "tier"), ("alert", "name", "deeper"), ("metrics",)))
    found = match(a_rule(when=(clause,)), an_alert(), {"alert": {"labels": {}, "name": "text"}}, AT)
    assert found.clauses[-1].why == 'alert.labels.tier = ""; alert.name.deeper = ""; metrics = ""'
