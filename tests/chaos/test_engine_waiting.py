"""SEMANTICS 1 and 2: what waits for another run, a hold, a freeze or a stop, and when it is decided afresh."""

from datetime import timedelta
from itertools import pairwise

from stage import ALICE, BOB, Stage, house, play, rule, runbook

from watchkeeper.approve.people import Actor
from watchkeeper.engine.answer import No
from watchkeeper.guards.situation import Scope

EVERYTHING = Scope()
MINUTES = timedelta(minutes=1)
TWO_RULES = house(
    rules={"down": rule(priority=20), "slow": rule("Slow", "other", priority=10)},
    runbooks={"mend": runbook(), "other": runbook()},
)
TRUSTED = ("shop/down", "shop/slow")


def test_the_lower_rule_waits_for_the_run_on_its_target_and_is_decided_afresh_when_it_ends() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 5
        await stage.fire("Down", "web")
        await stage.until(lambda: stage.theatre.sent)
        await stage.fire("Slow", "web")
        (held,) = await stage.decided(rule="shop/slow")
        assert held.verdict == "hold"
        assert held.reason.startswith("Waits for "), held.reason
        (first,) = await stage.ended()
        second = (await stage.decided(2, rule="shop/slow"))[1]
        assert second.verdict == "act"
        assert second.because == "another run on its target ended"
        assert first.ended_at is not None
        assert (second.at - first.ended_at).total_seconds() < 1

    play(scene, Stage(TWO_RULES, trusted=TRUSTED))


def test_two_rules_of_one_alert_never_act_on_one_target_at_once() -> None:
    both = house(
        rules={"down": rule(priority=20), "other": rule("Down", "other", priority=10)},
        runbooks={"mend": runbook(), "other": runbook()},
    )

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.decided(2)
        assert {each.rule: each.verdict.value for each in await stage.decisions()} == {
            "shop/down": "act",
            "shop/other": "hold",
        }
        await stage.ended(2)
        assert stage.theatre.most_at_work == 1

    play(scene, Stage(both, trusted=("shop/down", "shop/other")))


def test_different_runbooks_of_equal_priority_ask_and_name_both() -> None:
    both = house(
        rules={"down": rule(), "other": rule("Down", "other")}, runbooks={"mend": runbook(), "other": runbook()}
    )

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        found = await stage.decided(2)
        assert [each.verdict.value for each in found] == ["ask", "ask"]
        for each in found:
            assert each.reason.endswith(" are both proposed for the same target with equal priority."), each.reason
            assert "shop/mend" in each.reason
            assert "shop/other" in each.reason
        await stage.passes(60)
        assert stage.theatre.sent == []

    play(scene, Stage(both, trusted=("shop/down", "shop/other")))


async def _hold(stage: Stage, scope: Scope = EVERYTHING, minutes: int = 30) -> str:
    found = await stage.on.limits.hold(ALICE, scope, stage.clock.now() + minutes * MINUTES, "looking into it")
    assert not isinstance(found, No), found
    return found.id


def test_a_hold_keeps_it_from_acting_and_it_acts_when_the_hold_is_lifted() -> None:
    async def scene(stage: Stage) -> None:
        identity = await _hold(stage)
        await stage.fire("Down", "web")
        (held,) = await stage.decided()
        assert held.verdict == "hold"
        assert held.reason.startswith("alice leads here until "), held.reason
        assert held.reason.endswith(": looking into it."), held.reason
        await stage.on.limits.lift_hold(ALICE, identity, "seen")
        await stage.ended()
        assert await stage.verdicts() == ["hold", "act"]
        again = (await stage.decisions())[1]
        assert again.follows == held.id
        assert again.because == "hold changed"
        assert again.situation != held.situation

    play(scene)


def test_a_hold_ends_by_itself_and_it_is_decided_afresh_then() -> None:
    async def scene(stage: Stage) -> None:
        await _hold(stage, minutes=2)
        await stage.fire("Down", "web")
        await stage.decided()
        began = stage.clock.now()
        await stage.ended()
        act = (await stage.decisions())[-1]
        assert act.verdict == "act"
        assert 119 <= (act.at - began).total_seconds() <= 121

    play(scene)


def test_what_is_held_is_judged_at_least_every_minute() -> None:
    async def scene(stage: Stage) -> None:
        await _hold(stage, minutes=10)
        await stage.fire("Down", "web")
        await stage.passes(301)
        found = await stage.decisions()
        assert len(found) in {5, 6}
        for before, after in pairwise(found):
            assert (after.at - before.at).total_seconds() <= 61

    play(scene)


def test_a_hold_of_one_service_leaves_the_other_alone() -> None:
    async def scene(stage: Stage) -> None:
        await _hold(stage, Scope(service="component:default/cart"))
        await stage.fire("Down", "web")
        await stage.fire("Down", "cart")
        await stage.ended()
        await stage.passes(5)
        assert {each.targets[0].name: each.verdict.value for each in await stage.decisions()} == {
            "web": "act",
            "cart": "hold",
        }

    play(scene)


def test_of_two_holds_the_later_binds_when_the_earlier_is_lifted() -> None:
    async def scene(stage: Stage) -> None:
        first, second = await _hold(stage, minutes=10), await _hold(stage, minutes=20)
        await stage.fire("Down", "web")
        await stage.decided()
        await stage.on.limits.lift_hold(ALICE, first, "seen")
        await stage.passes(5)
        assert stage.theatre.sent == []
        await stage.on.limits.lift_hold(ALICE, second, "seen")
        await stage.ended()

    play(scene)


def test_a_hold_that_is_extended_binds_until_its_new_end() -> None:
    async def scene(stage: Stage) -> None:
        identity = await _hold(stage, minutes=2)
        await stage.fire("Down", "web")
        await stage.decided()
        await stage.on.limits.extend(ALICE, identity, stage.clock.now() + 5 * MINUTES)
        await stage.passes(200)
        assert stage.theatre.sent == []
        await stage.passes(110)
        assert stage.theatre.verbs() == ["drain", "restart"]
        assert isinstance(await stage.on.limits.extend(ALICE, identity, stage.clock.now() + MINUTES), No)

    play(scene)


def test_a_stop_holds_everything_and_what_still_fires_acts_when_it_is_resumed() -> None:
    async def scene(stage: Stage) -> None:
        stop = await stage.on.limits.stop(ALICE, Scope(), "something is wrong")
        await stage.fire("Down", "web")
        await stage.fire("Down", "cart")
        found = await stage.decided(2)
        assert [each.verdict.value for each in found] == ["hold", "hold"]
        assert found[0].reason.startswith("alice stopped automation at "), found[0].reason
        await stage.fire("Down", "cart", status="resolved")
        await stage.passes(130)
        assert stage.theatre.sent == []
        await stage.on.limits.resume(ALICE, stop.id, "it was the switch")
        await stage.ended()
        await stage.passes(5)
        assert {each.target.name for each in stage.theatre.sent if each.target} == {"web"}

    play(scene)


def test_an_exclusion_refuses_for_ever_and_another_configuration_lifts_it() -> None:
    excluded = """
- id: X-1
  scope: {entity: component:web}
  control: SOX-7
  reason: money moves here
  owner: group:ops
  approver: user:alice
  from: 2026-01-01T00:00:00Z
  until: 2099-01-01T00:00:00Z
"""

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (refused,) = await stage.decided()
        assert refused.verdict == "refuse"
        assert "(X-1): money moves here." in refused.reason, refused.reason
        await stage.passes(300)
        assert stage.theatre.sent == []
        stage.files = house()
        planned = stage.on.changes.plan()
        await stage.on.changes.apply(ALICE, planned.digest, "billing moved out")
        await stage.ended()

    play(scene, Stage(house(exclusions=excluded)))


async def _freeze(stage: Stage, minutes: int = 30) -> str:
    now = stage.clock.now()
    found = await stage.on.limits.freeze(ALICE, Scope(), now, now + minutes * MINUTES, "month end")
    assert not isinstance(found, No), found
    return found.id


def test_a_freeze_asks_and_it_acts_when_the_freeze_is_lifted() -> None:
    async def scene(stage: Stage) -> None:
        identity = await _freeze(stage)
        await stage.fire("Down", "web")
        (asked,) = await stage.decided()
        assert asked.verdict == "ask"
        assert asked.reason.lower().startswith("month end ("), asked.reason
        await stage.passes(60)
        assert stage.theatre.sent == []
        await stage.on.limits.lift_freeze(ALICE, identity, "over")
        await stage.ended(within_s=10)

    play(scene)


def test_a_freeze_is_answered_by_an_emergency_approval_alone() -> None:
    async def scene(stage: Stage) -> None:
        await _freeze(stage)
        await stage.fire("Down", "web")
        await stage.decided()
        (card,) = await stage.approvals(state="pending")
        assert card.emergency
        plain = await stage.on.steering.approve(BOB, card.id, card.binding, "go")
        assert isinstance(plain, No)
        assert plain.status == 403
        assert "--emergency" in plain.detail
        mute = await stage.on.steering.approve(BOB, card.id, card.binding, "", emergency=True)
        assert isinstance(mute, No)
        assert "comment" in mute.detail
        may_not = Actor(name="carol", roles=frozenset({"approver"}), identity="idn_c")
        denied = await stage.on.steering.approve(may_not, card.id, card.binding, "go", emergency=True)
        assert isinstance(denied, No)
        assert denied.status == 403
        assert stage.theatre.sent == []
        given = await stage.on.steering.approve(BOB, card.id, card.binding, "customers cannot pay", emergency=True)
        assert not isinstance(given, No), given
        await stage.ended()
        assert stage.theatre.verbs() == ["drain", "restart"]

    play(scene)


def test_a_freeze_that_ends_by_itself_lets_it_act() -> None:
    async def scene(stage: Stage) -> None:
        await _freeze(stage, minutes=1)
        await stage.fire("Down", "web")
        await stage.decided()
        await stage.ended(within_s=65)
        assert (await stage.verdicts())[-1] == "act"

    play(scene)


def test_a_grant_lets_what_was_only_observed_act_at_once() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (seen,) = await stage.decided()
        assert (seen.verdict.value, seen.would_be.value) == ("observe", "act")
        await stage.trust()
        await stage.ended(within_s=10)

    play(scene, Stage(trusted=()))
