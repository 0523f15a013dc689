"""Dependency, corroboration, budget, anomaly, risk, autonomy: what is known of the world, and what was earned."""

import pytest

from situations import AT, MINUTE, TICK, a_ladder, a_proposal, a_situation, an_alert, said
from watchkeeper.guards.anomaly import anomaly
from watchkeeper.guards.autonomy import autonomy, effective, mode_of
from watchkeeper.guards.budget import budget
from watchkeeper.guards.corroboration import corroboration
from watchkeeper.guards.dependency import dependency
from watchkeeper.guards.finding import Moment, Outcome, answer_key
from watchkeeper.guards.order import ask, first_no
from watchkeeper.guards.risk import risk
from watchkeeper.guards.situation import DependencyState, Health, Measured, Seen
from watchkeeper.packs.rule import Mode, Risk


def needed(name="config-store", health=Health.HEALTHY, **fields):
    return DependencyState(ref=f"component:default/{name}", health=health, **fields)


class TestDependency:
    def test_none(self):
        found = dependency(a_proposal(), a_situation())
        assert said(found) == ("pass", "The runbook declares no dependency.")
        assert not found.configured

    def test_healthy(self):
        found = dependency(a_proposal(), a_situation(dependencies=(needed(), needed("vault"))))
        assert said(found) == ("pass", "config-store and vault are healthy.")
        assert found.names == ("dependency:component:default/config-store", "dependency:component:default/vault")

    def test_down_refuses_and_names_it(self):
        states = (needed(health=Health.UNHEALTHY), needed("vault", Health.UNKNOWN))
        found = dependency(a_proposal(), a_situation(dependencies=states))
        assert said(found) == ("refuse", "payments/restart-instance needs config-store, which is down.")
        assert found.change == "config-store is healthy again."
        both = dependency(a_proposal(), a_situation(dependencies=(states[0], needed("vault", Health.UNHEALTHY))))
        assert both.reason == "payments/restart-instance needs config-store and vault, which are down."

    def test_unknown_holds(self):
        found = dependency(a_proposal(), a_situation(dependencies=(needed(health=Health.UNKNOWN),)))
        assert said(found) == ("hold", "payments/restart-instance needs config-store, whose health is not known.")
        assert found.unknown

    @pytest.mark.parametrize(("composite", "outcome"), [(999_000, Outcome.PASS), (998_999, Outcome.ASK)])
    def test_the_objective(self, composite, outcome):
        situation = a_situation(dependencies=(needed(composite_ppm=composite),), objective_ppm=999_000)
        assert dependency(a_proposal(), situation).outcome is outcome

    def test_an_sla_that_cannot_meet_it_names_the_weakest_link(self):
        states = (
            needed(composite_ppm=998_000),
            needed("vault", composite_ppm=990_000, weakest="component:default/dns"),
        )
        found = dependency(a_proposal(), a_situation(dependencies=states, objective_ppm=999_500))
        assert said(found) == (
            "ask",
            "vault offers 99 % and the runbook's objective is 99.95 %; the weakest link is dns.",
        )
        alone = dependency(a_proposal(), a_situation(dependencies=states[:1], objective_ppm=999_500))
        assert alone.reason.endswith("the weakest link is config-store.")

    def test_without_an_objective_no_sla_is_too_low(self):
        assert dependency(a_proposal(), a_situation(dependencies=(needed(composite_ppm=1),))).outcome is Outcome.PASS

    def test_what_declares_no_sla_is_said(self):
        one = dependency(a_proposal(), a_situation(dependencies=(needed(),), objective_ppm=999_000))
        assert said(one) == ("pass", "config-store is healthy; config-store declares no SLA to compare.")
        two = dependency(a_proposal(), a_situation(dependencies=(needed(), needed("vault")), objective_ppm=999_000))
        assert two.reason.endswith("config-store and vault declare no SLA to compare.")


class TestCorroboration:
    @staticmethod
    def seen(**says):
        return tuple(Seen(name=name.replace("_", "-"), says=word) for name, word in says.items())

    def test_none(self):
        found = corroboration(a_proposal(), a_situation())
        assert said(found) == ("pass", "The rule asks for no corroboration.")
        assert not found.configured

    def test_enough_groups(self):
        situation = a_situation(groups_needed=2, groups_seen=self.seen(a="firing", b="firing", c="quiet"))
        found = corroboration(a_proposal(), situation)
        assert said(found) == ("pass", "a and b agree that it fires.")
        assert found.names == ("symptom:InstanceWedged payments-api",)

    def test_the_same_group_twice_is_one(self):
        twice = (*self.seen(a="firing"), *self.seen(a="firing"))
        found = corroboration(a_proposal(), a_situation(groups_needed=2, groups_seen=twice))
        assert said(found) == ("hold", "1 source of the 2 needed sees it.")
        assert not found.unknown
        assert found.change == "1 more source reports the same symptom."
        nobody = corroboration(a_proposal(), a_situation(groups_needed=2))
        assert nobody.change == "2 more sources report the same symptom."

    def test_quiet_regions_disagree(self):
        situation = a_situation(regions_needed=3, regions=self.seen(eu="firing", us="quiet", ap="quiet"))
        found = corroboration(a_proposal(), situation)
        assert said(found) == ("hold", "1 region of the 3 needed sees it; ap and us say that all is well.")
        one = a_situation(regions_needed=2, regions=self.seen(eu="firing", us="quiet"))
        assert corroboration(a_proposal(), one).reason.endswith("us says that all is well.")

    def test_a_blind_region_is_unknown_never_down(self):
        situation = a_situation(regions_needed=2, regions=self.seen(eu="firing", us="blind", ap="quiet"))
        found = corroboration(a_proposal(), situation)
        assert said(found) == ("hold", "1 region of the 2 needed sees it; us cannot see.")
        assert found.unknown
        none = a_situation(regions_needed=2, regions=self.seen(eu="blind", us="blind"))
        assert said(corroboration(a_proposal(), none)) == (
            "hold",
            "0 regions of the 2 needed see it; eu and us cannot see.",
        )

    def test_regions_as_well_as_groups(self):
        situation = a_situation(
            alert=None, groups_needed=1, groups_seen=self.seen(a="firing"), regions_needed=1, regions=()
        )
        found = corroboration(a_proposal(), situation)
        assert said(found) == ("hold", "0 regions of the 1 needed see it.")
        assert found.names == ()

    def test_a_broken_clause_holds(self):
        found = corroboration(a_proposal(), a_situation(broken_clause="1/0 > 1: division by zero", unknown_clause="x"))
        assert said(found) == (
            "hold",
            "A clause of payments/wedged-instance is broken: 1/0 > 1: division by zero.",
        )
        assert found.change == "group:default/payments-sre repairs the clause."
        assert (
            corroboration(a_proposal(owner=""), a_situation(broken_clause="x")).change
            == "The owner repairs the clause."
        )

    def test_an_unknown_clause_holds(self):
        found = corroboration(a_proposal(), a_situation(unknown_clause="slo.left > 1: not read for 6m"))
        assert found.outcome is Outcome.HOLD
        assert found.unknown

    def test_what_something_else_explains_holds(self):
        found = corroboration(a_proposal(), a_situation(alert=an_alert(inhibited="switch sw-1 is down")))
        assert said(found) == ("hold", "Something else explains the alert: switch sw-1 is down.")


def left(value, **fields):
    return Measured(**{"name": "checkout budget", "value": value, "as_of": AT, "age_max_ms": 60_000, **fields})


class TestBudget:
    def test_none(self):
        found = budget(a_proposal(), a_situation())
        assert said(found) == ("pass", "No error budget is declared.")
        assert not found.configured

    @pytest.mark.parametrize(
        ("value", "limit", "outcome"),
        [
            (100_000, 100_000, Outcome.PASS),
            (99_999, 100_000, Outcome.ASK),
            (1, None, Outcome.PASS),
            (0, None, Outcome.ASK),
            (0, 0, Outcome.PASS),
        ],
    )
    def test_the_floor(self, value, limit, outcome):
        assert budget(a_proposal(), a_situation(budget=left(value, limit=limit))).outcome is outcome

    def test_words(self):
        above = budget(a_proposal(), a_situation(budget=left(610_000, limit=100_000)))
        assert above.reason == "The error budget is above the floor for acting: 61 % is left, the floor is 10 %."
        spent = budget(a_proposal(), a_situation(budget=left(-25_500, limit=100_000)))
        assert spent.reason == "The error budget is spent: -2.55 % is left, and the floor for acting is 10 %."

    def test_a_level_that_moves_does_not_ask_anew(self):
        one, two = (budget(a_proposal(), a_situation(budget=left(value, limit=100_000))) for value in (5, 7))
        assert one.evidence != two.evidence
        assert answer_key(one) == answer_key(two)
        other = budget(a_proposal(), a_situation(budget=left(5, limit=200_000)))
        assert answer_key(other) != answer_key(one)

    @pytest.mark.parametrize(("as_of", "outcome"), [(AT - MINUTE, Outcome.PASS), (AT - MINUTE - TICK, Outcome.HOLD)])
    def test_too_old_is_unknown(self, as_of, outcome):
        found = budget(a_proposal(), a_situation(budget=left(900_000, as_of=as_of)))
        assert found.outcome is outcome
        assert found.unknown is (outcome is Outcome.HOLD)

    @pytest.mark.parametrize(
        ("measured", "reason"),
        [
            (left(1, as_of=AT - 6 * MINUTE), "was read 6m ago and counts for 1m."),
            (left(None), "could not be read."),
            (left(1, as_of=None), "was never read."),
        ],
    )
    def test_unknown_words(self, measured, reason):
        found = budget(a_proposal(), a_situation(budget=measured))
        assert said(found) == ("hold", f"The error budget is unknown: checkout budget {reason}")


class TestAnomaly:
    def test_none(self):
        found = anomaly(a_proposal(), a_situation())
        assert said(found) == ("pass", "Nothing watches how often this acts.")
        assert not found.configured

    @pytest.mark.parametrize(("value", "outcome"), [(3_000, Outcome.PASS), (3_001, Outcome.ASK)])
    def test_the_limit(self, value, outcome):
        measured = left(value, name="acts an hour", limit=3_000)
        assert anomaly(a_proposal(), a_situation(anomaly=measured)).outcome is outcome

    def test_words(self):
        measured = left(3_001, name="acts an hour", limit=3_000)
        assert anomaly(a_proposal(), a_situation(anomaly=measured)).reason == (
            "payments/wedged-instance acts unusually often: acts an hour is 3,001, the limit is 3,000."
        )
        usual = anomaly(a_proposal(), a_situation(anomaly=left(1, name="acts an hour", limit=3)))
        assert usual.reason == "It acts as often as usual: acts an hour is 1, the limit is 3."

    @pytest.mark.parametrize("measured", [left(None, limit=3), left(1)])
    def test_unknown_holds(self, measured):
        found = anomaly(a_proposal(), a_situation(anomaly=measured))
        assert found.outcome is Outcome.HOLD
        assert found.unknown
        assert found.reason.startswith("Whether this is unusual is unknown: checkout budget ")


class TestRisk:
    def test_may_act(self):
        assert said(risk(a_proposal(risk=Risk.MEDIUM), a_situation())) == (
            "pass",
            "Medium risk may act by itself here.",
        )

    @pytest.mark.parametrize("ceiling", [Mode.APPROVE, Mode.SUGGEST, Mode.OBSERVE])
    def test_a_class_that_may_not_act_asks(self, ceiling):
        situation = a_situation(ladder=a_ladder(risk_ceiling=ceiling))
        found = risk(a_proposal(risk=Risk.HIGH, actor="person:mira"), situation)
        assert said(found) == (
            "ask",
            f"payments/restart-instance is of high risk, and that class may go no further than {ceiling.value} here.",
        )


class TestAutonomy:
    @pytest.mark.parametrize(
        ("ladder", "mode", "binds"),
        [
            (a_ladder(), Mode.AUTO, "ceiling"),
            (a_ladder(ceiling=Mode.APPROVE), Mode.APPROVE, "ceiling"),
            (a_ladder(ceiling=Mode.APPROVE, review="metrics.mttr"), Mode.APPROVE, "ceiling"),
            (a_ladder(risk_ceiling=Mode.SUGGEST), Mode.SUGGEST, "risk"),
            (a_ladder(Mode.OBSERVE), Mode.OBSERVE, "standing"),
            (a_ladder(Mode.OBSERVE, granted=Mode.APPROVE), Mode.APPROVE, "standing"),
            (a_ladder(Mode.APPROVE, granted=Mode.SUGGEST), Mode.APPROVE, "standing"),
            (a_ladder(demoted=Mode.APPROVE), Mode.APPROVE, "demotion"),
            (a_ladder(demoted=Mode.AUTO), Mode.AUTO, "ceiling"),
            (a_ladder(Mode.SUGGEST, ceiling=Mode.SUGGEST, demoted=Mode.SUGGEST), Mode.SUGGEST, "ceiling"),
        ],
    )
    def test_the_lowest_of_four_binds(self, ladder, mode, binds):
        assert effective(ladder) == (mode, binds)

    def test_a_metric_for_manual_review_is_named_and_so_is_what_changes_it(self):
        found = autonomy(a_proposal(), a_situation(ladder=a_ladder(ceiling=Mode.APPROVE, review="metrics.mttr")))
        assert found.outcome is Outcome.ASK
        assert found.reason == (
            "The ladder stands at approve: that is the ceiling of a rule that rests on metrics.mttr, which is for manual review."
        )
        assert found.change.startswith("A reviewed change declares the metric automated")

    @pytest.mark.parametrize(
        ("ladder", "outcome", "reason"),
        [
            (a_ladder(), "pass", "The ladder stands at auto, earned."),
            (
                a_ladder(Mode.OBSERVE, granted=Mode.AUTO, grant="grn_1"),
                "pass",
                "The ladder stands at auto, granted on record (grn_1).",
            ),
            (
                a_ladder(Mode.APPROVE, evidence="17 of 20 agreed"),
                "ask",
                "The ladder stands at approve: that is what it has earned here (17 of 20 agreed).",
            ),
            (
                a_ladder(Mode.SUGGEST),
                "ask",
                "The ladder stands at suggest: that is what it has earned here (no agreement measured yet).",
            ),
            (
                a_ladder(ceiling=Mode.OBSERVE),
                "ask",
                "The ladder stands at observe: that is the rule's own ceiling.",
            ),
            (
                a_ladder(risk_ceiling=Mode.APPROVE),
                "ask",
                "The ladder stands at approve: that is the ceiling of its risk class.",
            ),
            (
                a_ladder(demoted=Mode.OBSERVE, demotion="harm report by ola"),
                "ask",
                "The ladder stands at observe: that is a demotion (harm report by ola).",
            ),
            (
                a_ladder(demoted=Mode.APPROVE),
                "ask",
                "The ladder stands at approve: that is a demotion (recorded).",
            ),
        ],
    )
    def test_words(self, ladder, outcome, reason):
        found = autonomy(a_proposal(), a_situation(ladder=ladder))
        assert said(found) == (outcome, reason)
        assert found.evidence["mode"] == effective(ladder)[0].value
        assert bool(found.change) is (effective(ladder)[0] is not Mode.AUTO)

    def test_clear_at_auto_alone(self):
        """A rule demoted between decision and start does not start, whatever it was demoted to."""
        for mode in Mode:
            findings = ask(Moment.START, a_proposal(), a_situation(ladder=a_ladder(mode)))
            assert (first_no(findings) is None) is (mode is Mode.AUTO)

    def test_all_four_inputs_are_on_record(self):
        ladder = a_ladder(Mode.APPROVE, granted=Mode.SUGGEST, grant="grn_1", ceiling=Mode.APPROVE, demoted=Mode.SUGGEST)
        assert autonomy(a_proposal(), a_situation(ladder=ladder)).evidence == {
            "cell": ladder.cell,
            "mode": "suggest",
            "binds": "demotion",
            "ceiling": "approve",
            "risk": "auto",
            "standing": "approve",
            "demoted": "suggest",
            "grant": "grn_1",
        }

    def test_a_person_is_not_held_back_by_what_automation_earned(self):
        situation = a_situation(ladder=a_ladder(Mode.OBSERVE))
        proposal = a_proposal(actor="person:mira")
        assert said(autonomy(proposal, situation)) == ("pass", "A person runs it; the ladder binds automation.")
        assert mode_of(proposal, situation) is Mode.AUTO
        assert mode_of(a_proposal(), situation) is Mode.OBSERVE
