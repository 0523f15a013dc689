"""A recorded decision under other rules: what is put anew, what stays as it was said, and what was not recorded."""

import msgspec
import pytest

from situations import AT, HOUR, MINUTE, a_ladder, a_proposal, a_situation, a_target, an_alert
from watchkeeper.decide.decide import decide
from watchkeeper.decide.otherwise import CannotJudge, Judged, Meant, differences, first_reason, otherwise
from watchkeeper.decide.replay import Cause, Difference, Record
from watchkeeper.guards.situation import Breaker, DependencyState, Freeze, Health, Members, Scope
from watchkeeper.packs.rule import Agreement, Corroboration, Limits, Mode, Rule, Unavailable

replace = msgspec.structs.replace
FROZEN = Freeze(id="F-1", scope=Scope(), by="cab", reason="close", at=AT, from_at=AT, until_at=AT + HOUR)
BREAKER = Breaker(key="service.restart|eu-west|payments@1.2.0", state="open", since_at=AT - MINUTE, failures=3)
STORE = DependencyState(ref="component:default/store", health=Health.HEALTHY, as_of=AT)


def a_rule(**fields) -> Rule:
    return Rule(
        **{
            "name": "payments/wedged-instance",
            "owner": "group:default/payments-sre",
            "pack": "payments",
            "where": "r.yaml:1",
            "digest": "1" * 64,
            "match": {"alertname": ("InstanceWedged",)},
            "runbook": "payments/restart-instance",
            **fields,
        }
    )


def meant(proposal=None, situation=None, **rule) -> Meant:
    """One side: nothing measured, nobody's hold."""
    return Meant(
        rule=a_rule(**rule),
        facts=an_alert(),
        situation=situation or a_situation(),
        proposal=proposal or a_proposal(),
    )


def recorded(proposal=None, **situation) -> Record:
    proposal, found = proposal or a_proposal(), a_situation(**situation)
    return Record(decision=decide(proposal, found, because="first"), situation=found, proposal=proposal)


def test_what_people_and_the_world_said_stays_as_it_was_said() -> None:
    record = recorded(freezes=(FROZEN,), breakers=(BREAKER,), ladder=a_ladder(Mode.AUTO))
    found = otherwise(record, meant(), meant())
    assert isinstance(found, Judged)
    assert found.certain
    assert found.decision.findings == record.decision.findings
    assert differences(record.decision, found.decision) == ()


def test_another_version_of_a_pack_begins_with_closed_breakers() -> None:
    record = recorded(breakers=(BREAKER,))
    assert record.decision.verdict.value == "hold"
    found = otherwise(record, meant(), meant(a_proposal(pack_version="1.3.0")))
    assert isinstance(found, Judged)
    assert found.decision.verdict.value == "act"


def test_a_lower_ceiling_is_a_difference_with_the_ladders_own_words() -> None:
    record = recorded()
    lower = meant(situation=a_situation(ladder=a_ladder(Mode.AUTO, ceiling=Mode.APPROVE)))
    found = otherwise(record, meant(), lower)
    assert isinstance(found, Judged)
    named = differences(record.decision, found.decision)
    assert named[0] == Difference(what="verdict", was="act", now="ask", cause=Cause.RULES)
    assert first_reason(named, found.decision).startswith("autonomy: pass -> ask: The ladder stands at approve")


def test_parameters_are_a_difference_too() -> None:
    record = recorded()
    found = otherwise(record, meant(), meant(a_proposal(arguments={"grace": 60_000})))
    assert isinstance(found, Judged)
    (only,) = differences(record.decision, found.decision)
    assert (only.what, only.was, only.now) == ("arguments", "grace: 30000", "grace: 60000")
    assert first_reason((only,), found.decision) == "arguments: grace: 30000 -> grace: 60000"


LIMITED = Limits(unavailable=Unavailable(of="service", most=1))
GROUP = Members(of="payments-api", total=3, unknown=("a", "b", "c"))


@pytest.mark.parametrize(
    ("was", "now", "situation", "why"),
    [
        (
            meant(),
            meant(a_proposal(targets=(a_target("b"),))),
            {},
            "resource:default/b was no target then, so its limits and health were not recorded.",
        ),
        (
            meant(),
            meant(a_proposal(targets=(a_target(tier="silver"),))),
            {},
            "resource:default/payments-api-3 stood elsewhere in the catalogue then",
        ),
        (
            meant(),
            meant(a_proposal(limits=Limits(attempts_within_ms=7_200_000))),
            {},
            "Attempts before the shorter window were not recorded.",
        ),
        (
            meant(),
            meant(a_proposal(limits=LIMITED), a_situation(members=GROUP)),
            {},
            "The members that limits.unavailable counts were not recorded.",
        ),
        (
            meant(a_proposal(limits=LIMITED), a_situation(members=replace(GROUP, unknown=("a", "b", "d")))),
            meant(a_proposal(limits=LIMITED), a_situation(members=GROUP)),
            {"members": Members(of="payments-api", total=3)},
            "The members that limits.unavailable counts were not recorded.",
        ),
        (
            meant(),
            meant(situation=a_situation(dependencies=(STORE,))),
            {},
            "The health of component:default/store was not recorded.",
        ),
        (
            meant(),
            meant(corroborate=Corroboration(groups=2, within_ms=300_000)),
            {},
            "Who else saw it in that window was not recorded.",
        ),
        (
            meant(corroborate=Corroboration(groups=2, within_ms=60_000)),
            meant(corroborate=Corroboration(groups=2, within_ms=300_000)),
            {},
            "Who else saw it in that window was not recorded.",
        ),
        (meant(), meant(regions=Agreement(agree=1, of=("eu", "us"))), {}, "What eu and us saw was not recorded."),
        (
            meant(),
            replace(meant(), parents=("component:default/store",)),
            {},
            "The alert's entity stands elsewhere in the catalogue now",
        ),
        (None, meant(), {}, "It found no target then"),
    ],
)
def test_what_was_not_recorded_cannot_be_judged_unless_it_only_watches(was, now, situation, why) -> None:
    found = otherwise(recorded(**situation), was, now)
    assert isinstance(found, CannotJudge)
    assert found.why.startswith(why)
    watching = otherwise(recorded(**situation, ladder=a_ladder(Mode.OBSERVE)), was, now)
    assert isinstance(watching, Judged)
    assert (watching.decision.verdict.value, watching.certain) == ("observe", False)


def test_a_corroboration_of_the_same_window_is_judged_by_those_who_were_seen() -> None:
    from watchkeeper.guards.situation import Seen

    seen = (Seen(name="a", says="firing", at=AT),)
    record = recorded(groups_seen=seen, groups_needed=1)
    two = Corroboration(groups=2, within_ms=300_000)
    was = meant(corroborate=Corroboration(groups=1, within_ms=300_000))
    found = otherwise(record, was, meant(situation=a_situation(groups_needed=2), corroborate=two))
    assert isinstance(found, Judged)
    assert found.decision.verdict.value == "hold"


def test_what_the_node_was_installed_without_is_no_difference_of_the_rules() -> None:
    lacking = "the extra 'ssh' is not installed"
    record = recorded(a_proposal(unbuilt=(lacking,)))
    found = otherwise(record, meant(), meant(a_proposal(arguments={"grace": 1})))
    assert isinstance(found, Judged)
    assert {each.what for each in differences(record.decision, found.decision)} == {"arguments"}
