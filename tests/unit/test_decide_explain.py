"""A decision in plain words, its near misses, and what would change it."""

import pytest
from test_decide_match import FALSE, TRUE, Says, a_rule

from situations import AT, HOUR, a_ladder, a_need, a_proposal, a_situation, a_target, an_alert
from watchkeeper.decide.counterfactual import applied, counterfactual, counterfactuals
from watchkeeper.decide.decide import decide, decide_untargeted
from watchkeeper.decide.decision import ClauseResult, Verdict
from watchkeeper.decide.explain import explain, near_misses, sentence
from watchkeeper.decide.target import NoTarget, Untargeted, Why
from watchkeeper.guards.order import NAMES
from watchkeeper.guards.situation import (
    Attempt,
    Breaker,
    Clock,
    DependencyState,
    Deploy,
    Exclusion,
    Freeze,
    Health,
    Hold,
    Maintenance,
    Measured,
    Members,
    Scope,
    Stop,
)
from watchkeeper.packs.expression import Unknown
from watchkeeper.packs.rule import Limits, Mode, Unavailable
from watchkeeper.packs.runbook import Via

STOPPED = Stop(id="stp_1", scope=Scope(), by="mira", reason="release", at=AT)
HELD = Hold(id="hld_1", scope=Scope(), by="mira", reason="mine", at=AT, until_at=AT + HOUR)
FROZEN = Freeze(id="F-1", scope=Scope(), by="cab", reason="close", at=AT, from_at=AT, until_at=AT + HOUR)
EXCLUDED = Exclusion(
    id="EX-1", scope=Scope(), control="c", reason="db", owner="dba", approver="cto", from_at=AT, until_at=AT + HOUR
)


def verdict_sentence(**fields):
    return sentence(decide(a_proposal(), a_situation(**fields)))


class TestSentence:
    def test_every_verdict(self):
        assert verdict_sentence() == "It acted: all 21 guards were clear."
        assert verdict_sentence(freezes=(FROZEN,)) == (
            "It asked first: close (F-1) closes this to changes until 04:04 UTC."
        )
        assert verdict_sentence(holds=(HELD,)) == (
            "It held: mira leads here until 04:04 UTC: mine. It looks again at 03:05 UTC."
        )
        assert verdict_sentence(alert=an_alert(firing=False)) == "It refused: No longer needed: the alert resolved."
        assert verdict_sentence(ladder=a_ladder(Mode.OBSERVE, evidence="11 of 20 agreed"), holds=(HELD,)) == (
            "It only watched: The ladder stands at observe: that is what it has earned here (11 of 20 agreed). "
            "At auto it would have been: hold."
        )
        assert verdict_sentence(ladder=a_ladder(ceiling=Mode.SUGGEST)) == (
            "It suggested: The ladder stands at suggest: that is the rule's own ceiling. "
            "Run it yourself: wk run payments/restart-instance."
        )

    def test_unmapped(self):
        missing = NoTarget(why=Why.UNMAPPED, reason="The alert names no entity of the catalogue.")
        untargeted = Untargeted(rule="p/r", rule_digest="1", runbook="p/b", pack="p", pack_version="1", missing=missing)
        decision = decide_untargeted(untargeted, a_situation())
        assert sentence(decision) == "It only watched: The alert names no entity of the catalogue."
        assert explain(decision).counts == "No guard was asked."


class TestExplain:
    def test_what_decided_first(self):
        rows = (ClauseResult(source="a", answer="true"), ClauseResult(source="b", answer="unknown"))
        situation = a_situation(holds=(HELD,), freezes=(FROZEN,), ladder=a_ladder(Mode.APPROVE), stops=(STOPPED,))
        found = explain(decide(a_proposal(), situation, clauses=rows))
        assert [each.guard for each in found.decided] == ["stop", "hold"]
        assert [each.guard for each in found.also] == ["freeze", "autonomy"]
        assert found.counts == "21 guards: 17 clear, 2 asked, 2 held, 0 refused. The strictest outcome wins."
        assert [row.source for row in found.clauses] == ["b", "a"]
        assert found.changes[0] == "Somebody resumes automation; it is then decided afresh."
        assert len(found.changes) == 4

    def test_asks_decide_when_nothing_is_stricter(self):
        found = explain(decide(a_proposal(), a_situation(freezes=(FROZEN,), ladder=a_ladder(Mode.APPROVE))))
        assert [each.guard for each in found.decided] == ["freeze", "autonomy"]
        assert found.also == ()

    def test_nothing_stood_in_the_way(self):
        found = explain(decide(a_proposal(), a_situation()))
        assert (found.decided, found.also, found.changes) == ((), (), ())

    def test_a_low_ladder_says_how_it_rises(self):
        found = explain(decide(a_proposal(), a_situation(ladder=a_ladder(Mode.OBSERVE))))
        assert found.changes == (
            "The rule earns more by agreement (wk autonomy), or somebody grants it on record (wk autonomy grant).",
        )


class TestNearMisses:
    def test_one_thing_failed(self):
        rules = [
            a_rule(name="a", match={"alertname": ("Other",)}),
            a_rule(name="b", match={"alertname": ("Other",), "severity": ("major",)}),
            a_rule(name="c", when=(Says("x", FALSE), Says("y", TRUE))),
            a_rule(name="d", when=(Says("x", FALSE), Says("y", Unknown("old")))),
            a_rule(name="e"),
            a_rule(name="f", match={"alertname": ("Other",)}, enabled=False),
            a_rule(name="g", for_ms=3_600_000),
            a_rule(name="h", match={"alertname": ("Other",)}, when=(Says("x", FALSE),)),
            a_rule(name="i", when=(Says("slo.left", Unknown("read 6m ago")),)),
        ]
        found = near_misses(rules, an_alert(), {}, AT)
        assert [each.sentence for each in found] == [
            'a almost matched; alert.labels.alertname == "Other" was false: it is "InstanceWedged".',
            "c almost matched; x was false.",
            "g almost matched; for: 1h was false: it fires for 1m of 1h.",
            "i almost matched; slo.left was unknown: read 6m ago.",
        ]
        assert [each.rule for each in near_misses(rules, an_alert(), {}, AT, most=1)] == ["a"]
        assert near_misses([], an_alert(), {}, AT) == ()


MEMBERS = Members(of="s", total=3, unhealthy=("b",), repairing=("c",))
ONE = Limits(unavailable=Unavailable(of="service", most=1))
OLD = Measured(name="m", value=1, as_of=None, age_max_ms=1, limit=5)


class TestCounterfactual:
    @pytest.mark.parametrize(
        ("proposal", "situation", "sentence"),
        [
            ({}, {"stops": (STOPPED,)}, "If somebody resumed what mira stopped (stp_1), it would act."),
            ({}, {"untrusted": "revoked"}, "If pack payments were trusted, it would act."),
            ({}, {"clock": Clock(trusted=False)}, "If wall time agreed for 60 s, it would act."),
            ({}, {"exclusions": (EXCLUDED,)}, "If exclusion EX-1 were removed, it would act."),
            ({"unbuilt": ("via: agent",)}, {}, "If the runbook did without via: agent, it would act."),
            (
                {"targets": (a_target(automation="none"), a_target("b"))},
                {},
                "If payments-api-3 were declared realtime, it would act.",
            ),
            ({"targets": (a_target(reach=""),)}, {}, "If payments-api-3 declared a reach, it would act."),
            (
                {"needs": (a_need(via=Via.LOCAL),)},
                {},
                "If via: local were allowed in production, it would act.",
            ),
            ({}, {"denied": "policy"}, "If a policy permitted payments/restart-instance, it would act."),
            (
                {"needs": (a_need(permitted=False),)},
                {},
                "If the runbook were permitted its step restart, it would act.",
            ),
            (
                {"owner": ""},
                {"owner_known": False},
                "If payments/wedged-instance had an owner that the catalogue knows, it would act.",
            ),
            ({}, {"alert": an_alert(stale=True)}, "If the alert fired steadily, it would act."),
            ({}, {"holds": (HELD,)}, "If mira lifted hold hld_1, it would act."),
            ({}, {"freezes": (FROZEN,)}, "If freeze F-1 were over, it would act."),
            (
                {},
                {"maintenance": (Maintenance(id="MW-1", scope=Scope(), reason="r", from_at=AT, until_at=AT + HOUR),)},
                "If maintenance MW-1 were over, it would act.",
            ),
            ({}, {"deploys_unknown": "x"}, "If the source of deploys answered, it would act."),
            (
                {},
                {"deploys": (Deploy(id="dpl_1", service="payments-api", reason="", at=AT),)},
                "If the deploy dpl_1 of payments-api had ended, it would act.",
            ),
            (
                {"limits": Limits(attempts=1)},
                {"attempts": (Attempt(run="r", target=a_target().ref, symptom="s", ended_at=AT, status="failed"),)},
                "If the earlier attempts lay outside the window, it would act.",
            ),
            ({"limits": Limits(attempts=0)}, {}, "If the rule allowed an attempt, it would act."),
            ({}, {"busy": ("run_1",)}, "If the run on the same target had ended, it would act."),
            ({}, {"rivals": ("p/x",)}, "If p/x had another priority, it would act."),
            (
                {},
                {
                    "breakers": (
                        Breaker(key="k", state="open", since_at=AT),
                        Breaker(key="l", state="closed", since_at=AT),
                    )
                },
                "If the breaker of k were closed, it would act.",
            ),
            ({}, {"braked": "x"}, "If the brake were off, it would act."),
            ({"limits": ONE}, {"members": MEMBERS}, "If every other member of s were healthy, it would act."),
            ({"limits": ONE}, {}, "If the rule set no limit on members away, it would act."),
            (
                {"limits": Limits(blast_max=1)},
                {"blast": ("a", "b")},
                "If no more than 1 services depended on it, it would act.",
            ),
            (
                {},
                {
                    "dependencies": (
                        DependencyState(ref="component:default/kms", health=Health.UNKNOWN),
                        DependencyState(ref="component:default/dns", health=Health.HEALTHY),
                    )
                },
                "If kms were healthy, it would act.",
            ),
            (
                {},
                {
                    "objective_ppm": 999_000,
                    "dependencies": (DependencyState(ref="c:d/kms", health=Health.HEALTHY, composite_ppm=1),),
                },
                "If the runbook had no objective to miss, it would act.",
            ),
            ({}, {"broken_clause": "x"}, "If the broken clause were repaired, it would act."),
            ({}, {"unknown_clause": "x"}, "If the unknown clause were known and true, it would act."),
            ({}, {"alert": an_alert(inhibited="x")}, "If nothing else explained the alert, it would act."),
            ({}, {"groups_needed": 2}, "If 2 sources saw it, it would act."),
            ({}, {"regions_needed": 2}, "If 2 regions saw it, it would act."),
            ({}, {"budget": OLD}, "If enough of the error budget were left, it would act."),
            ({}, {"anomaly": OLD}, "If it acted as often as usual, it would act."),
            (
                {"actor": "person:ola"},
                {"ladder": a_ladder(risk_ceiling=Mode.APPROVE)},
                "If low risk might act by itself here, it would act.",
            ),
            ({}, {"ladder": a_ladder(Mode.SUGGEST)}, "If somebody granted it auto, it would act."),
            ({}, {"ladder": a_ladder(ceiling=Mode.SUGGEST)}, "If the rule's ceiling were auto, it would act."),
            (
                {},
                {"ladder": a_ladder(risk_ceiling=Mode.SUGGEST)},
                "If the ceiling of its risk class were auto, it would act.",
            ),
            ({}, {"ladder": a_ladder(demoted=Mode.APPROVE)}, "If its demotion were lifted, it would act."),
            ({}, {"unread": {"deploy": "x"}}, "If what deploy looks at could be read, it would act."),
        ],
    )
    def test_each_guard_can_be_cleared(self, proposal, situation, sentence):
        found = counterfactual(a_proposal(**proposal), a_situation(**situation), Verdict.ACT)
        assert found.sentence == sentence
        assert len(found.changes) == 1
        assert (
            decide(*applied((a_proposal(**proposal), a_situation(**situation)), found.changes)).verdict is Verdict.ACT
        )

    @pytest.mark.parametrize("guard", NAMES)
    @pytest.mark.parametrize("alert", [None, an_alert()])
    def test_what_could_not_be_read(self, guard, alert):
        found = counterfactual(a_proposal(), a_situation(unread={guard: "x"}, alert=alert), Verdict.ACT)
        assert found.sentence == f"If what {guard.replace('_', ' ')} looks at could be read, it would act."

    def test_a_reading_is_moved_to_its_own_limit_and_the_limit_stays(self):
        unusual = Measured(name="m", value=9, as_of=AT, age_max_ms=1, limit=5)
        spent = Measured(name="m", value=3, as_of=AT, age_max_ms=1, limit=5)
        world = (a_proposal(), a_situation(anomaly=unusual, budget=spent))
        found = counterfactual(*world, Verdict.ACT)
        assert found.sentence == (
            "If enough of the error budget were left and it acted as often as usual, it would act."
        )
        _, situation = applied(world, found.changes)
        assert (situation.anomaly.value, situation.anomaly.limit) == (5, 5)
        assert (situation.budget.value, situation.budget.limit) == (5, 5)

    def test_two_changes_and_no_more_than_needed(self):
        situation = a_situation(holds=(HELD,), ladder=a_ladder(Mode.SUGGEST))
        found = counterfactual(a_proposal(), situation, Verdict.ACT)
        assert found.sentence == "If mira lifted hold hld_1 and somebody granted it auto, it would act."

    def test_changes_of_the_same_alert_do_not_undo_each_other(self):
        situation = a_situation(alert=an_alert(stale=True, inhibited="switch down"))
        found = counterfactual(a_proposal(), situation, Verdict.ACT)
        assert found.sentence == "If the alert fired steadily and nothing else explained the alert, it would act."

    def test_more_than_three_is_not_claimed(self):
        situation = a_situation(
            holds=(HELD,), stops=(STOPPED,), exclusions=(EXCLUDED,), braked="x", ladder=a_ladder(Mode.AUTO)
        )
        assert counterfactual(a_proposal(), situation, Verdict.ACT) is None

    def test_what_is_so_already_needs_no_change(self):
        assert counterfactual(a_proposal(), a_situation(), Verdict.ACT) is None

    def test_towards_each_stricter_verdict(self):
        found = {each.verdict: each.sentence for each in counterfactuals(a_proposal(), a_situation())}
        assert found == {
            Verdict.ASK: "If the rule's ceiling were approve, it would ask first.",
            Verdict.SUGGEST: "If the rule's ceiling were suggest, it would suggest it.",
            Verdict.OBSERVE: "If the rule's ceiling were observe, it would only watch.",
            Verdict.HOLD: "If somebody stopped automation, it would hold.",
            Verdict.REFUSE: "If it were excluded, it would refuse.",
        }

    def test_a_persons_run_is_not_promised_the_ladder(self):
        found = {each.verdict: each.sentence for each in counterfactuals(a_proposal(actor="person:ola"), a_situation())}
        assert found == {
            Verdict.ASK: "If a freeze closed this, it would ask first.",
            Verdict.HOLD: "If somebody stopped automation, it would hold.",
            Verdict.REFUSE: "If it were excluded, it would refuse.",
        }
