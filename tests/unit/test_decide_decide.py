"""Verdict, mode, reason, and the instants of a decision."""

from datetime import timedelta

import msgspec
import pytest

from situations import AT, HOUR, MINUTE, SECOND, TICK, a_ladder, a_proposal, a_situation, a_target, an_alert
from watchkeeper.decide.decide import decide, decide_untargeted, stricter
from watchkeeper.decide.decision import Verdict
from watchkeeper.decide.target import NoTarget, Untargeted, Why
from watchkeeper.guards.finding import answer_key
from watchkeeper.guards.situation import Clock, Freeze, Hold, Measured, Scope
from watchkeeper.packs.rule import Limits, Mode
from watchkeeper.values import Severity

replace = msgspec.structs.replace

HELD = Hold(id="hld_1", scope=Scope(), by="mira", reason="mine", at=AT, until_at=AT + HOUR)
FROZEN = Freeze(id="F-1", scope=Scope(), by="cab", reason="Month-end close", at=AT, from_at=AT, until_at=AT + HOUR)
RESOLVED = {"alert": an_alert(firing=False)}


@pytest.mark.parametrize(
    ("mode", "fields", "verdict", "would_be"),
    [
        (Mode.AUTO, {}, "act", "act"),
        (Mode.AUTO, {"freezes": (FROZEN,)}, "ask", "ask"),
        (Mode.AUTO, {"holds": (HELD,)}, "hold", "hold"),
        (Mode.AUTO, RESOLVED, "refuse", "refuse"),
        (Mode.AUTO, {**RESOLVED, "holds": (HELD,), "freezes": (FROZEN,)}, "refuse", "refuse"),
        (Mode.APPROVE, {}, "ask", "act"),
        (Mode.APPROVE, {"freezes": (FROZEN,)}, "ask", "ask"),
        (Mode.APPROVE, {"holds": (HELD,)}, "hold", "hold"),
        (Mode.SUGGEST, {}, "suggest", "act"),
        (Mode.SUGGEST, {"freezes": (FROZEN,)}, "suggest", "ask"),
        (Mode.SUGGEST, {"holds": (HELD,)}, "hold", "hold"),
        (Mode.SUGGEST, RESOLVED, "refuse", "refuse"),
        (Mode.OBSERVE, {}, "observe", "act"),
        (Mode.OBSERVE, {"holds": (HELD,)}, "observe", "hold"),
        (Mode.OBSERVE, RESOLVED, "observe", "refuse"),
    ],
)
def test_the_verdict(mode, fields, verdict, would_be):
    decision = decide(a_proposal(), a_situation(ladder=a_ladder(mode), **fields))
    assert (decision.verdict.value, decision.would_be.value, decision.mode) == (verdict, would_be, mode)


def test_the_reason_is_the_finding_that_decided():
    asked = a_situation(freezes=(FROZEN,), ladder=a_ladder(Mode.APPROVE))
    assert decide(a_proposal(), asked).reason.startswith("Month-end close (F-1)")
    assert decide(a_proposal(), a_situation()).reason == "All 21 guards are clear."
    watched = a_situation(ladder=a_ladder(Mode.OBSERVE), holds=(HELD,))
    assert decide(a_proposal(), watched).reason.startswith("The ladder stands at observe")
    suggested = a_situation(ladder=a_ladder(Mode.SUGGEST), freezes=(FROZEN,))
    assert decide(a_proposal(), suggested).reason.startswith("The ladder stands at suggest")


def test_what_it_records():
    decision = decide(
        a_proposal(priority=7),
        a_situation(alert=an_alert(incident="inc_1")),
        engine={"watchkeeper": "1.0", "cel": "0.1"},
        follows="dec_0",
        because="woke",
    )
    assert decision.id.startswith("dec_")
    assert decision.engine == {"watchkeeper": "1.0", "cel": "0.1", "decide_rev": "2"}
    assert (decision.follows, decision.because, decision.priority) == ("dec_0", "woke", 7)
    assert (decision.alert, decision.episode, decision.symptom) == (
        "alr_1",
        "default:f00d:1",
        "InstanceWedged payments-api",
    )
    assert (decision.incident, decision.severity, decision.pack) == ("inc_1", Severity.CRITICAL, "payments@1.2.0")
    assert len(decision.findings) == 21
    without = decide(a_proposal(), a_situation(alert=None))
    assert (without.alert, without.symptom, without.incident, without.severity) == ("", "", "", Severity.INFO)


def test_the_same_is_judged_to_the_same_id_and_anything_else_to_another():
    base = decide(a_proposal(), a_situation())
    assert decide(a_proposal(), a_situation()) == base
    others = {
        decide(a_proposal(id="prp_2"), a_situation()).id,
        decide(a_proposal(), a_situation(at=AT + TICK)).id,
        decide(a_proposal(), a_situation(blast=("x",))).id,
        decide(a_proposal(), a_situation(), follows="dec_0").id,
        decide(a_proposal(arguments={}), a_situation()).id,
    }
    assert len(others | {base.id}) == 6


def test_deadlines():
    limits = Limits(start_by_ms=1_000, approve_within_ms=2_000)
    acts = decide(a_proposal(limits=limits), a_situation())
    assert (acts.start_by_at, acts.approve_by_at, acts.wake_at) == (AT + SECOND, None, None)
    asks = decide(a_proposal(limits=limits), a_situation(freezes=(FROZEN,)))
    assert (asks.start_by_at, asks.approve_by_at, asks.wake_at) == (AT + SECOND, AT + 2 * SECOND, None)
    holds = decide(a_proposal(limits=limits), a_situation(holds=(HELD,)))
    assert (holds.approve_by_at, holds.wake_at) == (None, AT + MINUTE)


@pytest.mark.parametrize(
    ("until", "wake"), [(59 * SECOND, 59 * SECOND), (60 * SECOND, 60 * SECOND), (61 * SECOND, 60 * SECOND)]
)
def test_a_hold_wakes_when_it_ends_and_at_least_every_minute(until, wake):
    held = replace(HELD, until_at=AT + until)
    longer = replace(HELD, id="hld_2", until_at=AT + 2 * HOUR)
    clock = Clock(trusted=True, since_at=AT + until - MINUTE)
    assert decide(a_proposal(), a_situation(holds=(held,))).wake_at == AT + wake
    both = decide(a_proposal(), a_situation(holds=(longer,), clock=clock))
    assert both.wake_at == AT + wake


def test_escalation_only_with_refuse_and_hold():
    none = a_proposal(targets=(a_target(automation="none"),))
    assert decide(none, a_situation()).escalate
    assert not decide(none, a_situation(ladder=a_ladder(Mode.OBSERVE))).escalate
    assert not decide(a_proposal(), a_situation(**RESOLVED)).escalate
    assert decide(a_proposal(), a_situation(clock=Clock(trusted=False))).escalate
    assert not decide(a_proposal(failover=True), a_situation(braked="x")).escalate


def test_versions_are_what_admission_compares():
    decision = decide(a_proposal(), a_situation(versions={"stop": 2, "target:x": 4, "configuration": 3}))
    assert decision.versions == {
        "breaker:brake": 0,
        "maintenance": 0,
        "configuration": 3,
        "epoch": 0,
        "exclusion": 0,
        "freeze": 0,
        "grant": 0,
        "hold": 0,
        "standing:payments/wedged-instance": 0,
        "stop": 2,
        "deploy": 0,
        "target:resource:default/payments-api-3": 0,
        "target:x": 4,
    }


class TestAnswered:
    def keys(self, situation):
        findings = decide(a_proposal(), situation).findings
        return tuple(answer_key(each) for each in findings if each.outcome == "ask")

    def test_all_answered_acts(self):
        situation = a_situation(ladder=a_ladder(Mode.APPROVE), freezes=(FROZEN,))
        keys = self.keys(situation)
        assert len(keys) == 2
        decision = decide(a_proposal(), replace(situation, answered=keys))
        assert decision.verdict is Verdict.ACT
        assert decision.would_be is Verdict.ASK
        assert decision.reason == "19 guards are clear, and 2 asked and were answered by a person."

    @pytest.mark.parametrize("missing", [0, 1])
    def test_one_not_answered_asks(self, missing):
        situation = a_situation(ladder=a_ladder(Mode.APPROVE), freezes=(FROZEN,))
        keys = self.keys(situation)
        left = decide(a_proposal(), replace(situation, answered=(keys[missing],)))
        assert left.verdict is Verdict.ASK
        assert ("Month-end" in left.reason) is (missing == 1)

    def test_other_evidence_asks_anew(self):
        situation = a_situation(freezes=(FROZEN,))
        keys = self.keys(situation)
        longer = a_situation(freezes=(replace(FROZEN, until_at=AT + 2 * HOUR),), answered=keys)
        assert decide(a_proposal(), longer).verdict is Verdict.ASK

    def test_hold_and_refuse_are_never_answered(self):
        situation = a_situation(ladder=a_ladder(Mode.APPROVE), holds=(HELD,))
        found = decide(a_proposal(), situation).findings
        keys = tuple(answer_key(each) for each in found)
        assert decide(a_proposal(), replace(situation, answered=keys)).verdict is Verdict.HOLD
        resolved = replace(situation, alert=an_alert(firing=False))
        keys = tuple(answer_key(each) for each in decide(a_proposal(), resolved).findings)
        assert decide(a_proposal(), replace(resolved, answered=keys)).verdict is Verdict.REFUSE

    def test_approve_still_asks_when_the_ladder_could_not_be_read(self):
        situation = a_situation(ladder=a_ladder(Mode.APPROVE), freezes=(FROZEN,))
        freeze_only = tuple(key for key in self.keys(situation) if key.startswith("freeze:"))
        assert decide(a_proposal(), replace(situation, answered=freeze_only)).verdict is Verdict.ASK


def test_a_persons_run_acts_below_auto_and_asks_for_its_risk():
    person = a_proposal(actor="person:mira")
    assert decide(person, a_situation(ladder=a_ladder(Mode.OBSERVE))).verdict is Verdict.ACT
    risky = a_situation(ladder=a_ladder(risk_ceiling=Mode.APPROVE))
    assert decide(person, risky).verdict is Verdict.ASK


def test_a_spent_budget_asks_at_auto():
    spent = Measured(name="b", value=0, as_of=AT, age_max_ms=1)
    assert decide(a_proposal(), a_situation(budget=spent)).verdict is Verdict.ASK


class TestUntargeted:
    def untargeted(self, why, **fields):
        return Untargeted(
            **{
                "rule": "p/r",
                "rule_digest": "1" * 64,
                "runbook": "p/b",
                "pack": "p",
                "pack_version": "1",
                "missing": NoTarget(why=why, reason="Nothing found."),
                "owner": "group:default/x",
                "priority": 3,
                **fields,
            }
        )

    @pytest.mark.parametrize("why", [why for why in Why if why is not Why.UNMAPPED])
    @pytest.mark.parametrize("mode", list(Mode))
    def test_no_target_is_refused_before_any_mode(self, why, mode):
        decision = decide_untargeted(self.untargeted(why), a_situation(ladder=a_ladder(mode)))
        assert (decision.verdict, decision.would_be) == (Verdict.REFUSE, Verdict.REFUSE)
        assert decision.reason == "No target: Nothing found."
        assert (decision.targets, decision.findings, decision.mode) == ((), (), mode)

    def test_unmapped_is_observed(self):
        decision = decide_untargeted(self.untargeted(Why.UNMAPPED), a_situation(), because="first")
        assert (decision.verdict, decision.reason) == (Verdict.OBSERVE, "Nothing found.")
        assert (decision.rule, decision.runbook, decision.pack, decision.owner) == (
            "p/r",
            "p/b",
            "p@1",
            "group:default/x",
        )
        assert (decision.episode, decision.priority, decision.because) == ("default:f00d:1", 3, "first")

    def test_without_an_alert(self):
        decision = decide_untargeted(self.untargeted(Why.NONE), a_situation(alert=None))
        assert (decision.alert, decision.episode, decision.symptom, decision.incident) == ("", "", "", "")
        assert decision.severity is Severity.INFO
        assert decision.versions["stop"] == 2


def test_stricter():
    assert stricter(Verdict.HOLD, Verdict.REFUSE) is Verdict.REFUSE
    assert stricter(Verdict.OBSERVE, Verdict.ASK) is Verdict.OBSERVE


def test_fast_enough():
    """A plain decision with all its findings stays far below a millisecond, so that guards cost what they should."""
    proposal, situation = a_proposal(), a_situation()
    import timeit

    best = min(timeit.repeat(lambda: decide(proposal, situation), number=200, repeat=5)) / 200
    assert best < timedelta(milliseconds=0.5).total_seconds()
