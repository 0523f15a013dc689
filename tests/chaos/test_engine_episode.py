"""SEMANTICS 1: when a decision is made, and when an episode that is over lets go of what it started."""

from datetime import timedelta

from stage import ALICE, Stage, house, play, rule

from watchkeeper.correlate.alert import Alert
from watchkeeper.guards.situation import Scope


def test_repeated_delivery_renews_last_seen_and_decides_once() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended()
        first = (await stage.all(Alert))[0]
        for _ in range(5):
            await stage.passes(2)
            await stage.fire("Down", "web")
        await stage.passes(2)
        assert await stage.verdicts() == ["act"]
        assert (await stage.all(Alert))[0].last_seen_at > first.last_seen_at

    play(scene)


def test_the_same_alert_from_the_other_of_a_pair_is_the_same_episode() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.fire("Down", "web")
        await stage.ended()
        assert await stage.verdicts() == ["act"]
        assert stage.theatre.verbs() == ["drain", "restart"]

    play(scene)


def test_a_rule_waits_until_the_alert_has_fired_for_so_long() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.passes(44)
        assert await stage.verdicts() == []
        await stage.passes(2)
        assert await stage.verdicts() == ["act"]

    play(scene, Stage(house(rules={"down": rule(more="  for: 45s")})))


def test_an_alert_that_resolves_before_its_time_is_never_judged() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.passes(40)
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(120)
        assert await stage.verdicts() == []

    play(scene, Stage(house(rules={"down": rule(more="  for: 45s")})))


def test_a_new_firing_is_a_new_episode_and_decided_anew() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended()
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(1)
        await stage.fire("Down", "web", number=1)
        await stage.ended(2)
        assert await stage.verdicts() == ["act", "act"]
        assert len({each.episode for each in await stage.decisions()}) == 2

    play(scene)


def test_severity_that_rises_is_decided_afresh_and_says_so() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web", severity="minor")
        await stage.passes(1)
        await stage.fire("Down", "web", severity="critical")
        await stage.passes(1)
        assert await stage.verdicts() == ["observe", "observe"]
        assert [each.because for each in await stage.decisions()] == ["first", "severity"]

    play(scene, Stage(trusted=()))


def test_what_still_fires_after_settle_is_decided_again() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (first,) = await stage.ended()
        assert first.ended_at is not None
        second = (await stage.decided(2))[1]
        assert second.because == "still_firing"
        assert 29.9 <= (second.at - first.ended_at).total_seconds() <= 32

    play(scene)


def test_resolved_before_the_first_effect_it_lapses_no_longer_needed() -> None:
    async def scene(stage: Stage) -> None:
        until_at = stage.clock.now() + timedelta(minutes=30)
        found = await stage.on.limits.hold(ALICE, Scope(), until_at, "looking")
        await stage.fire("Down", "web")
        await stage.decided()
        assert len(await stage.proposals()) == 1
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(1)
        assert await stage.proposals() == []
        await stage.on.limits.lift_hold(ALICE, found.id, "seen")
        await stage.passes(120)
        assert await stage.verdicts() == ["hold"]
        assert stage.theatre.sent == []

    play(scene)


def test_resolved_between_two_effects_the_run_goes_on_and_says_that_it_healed_by_itself() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 3
        await stage.fire("Down", "web")
        await stage.until(lambda: stage.theatre.sent)
        await stage.fire("Down", "web", status="resolved")
        (run,) = await stage.ended()
        assert (run.status, run.why) == ("succeeded", "healed by itself")
        assert stage.theatre.verbs() == ["drain", "restart"]

    play(scene)


def test_resolved_after_the_last_effect_it_was_the_run_that_mended_it() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["restart"] = 3
        await stage.fire("Down", "web")
        await stage.until(lambda: len(stage.theatre.sent) == 2)
        await stage.fire("Down", "web", status="resolved")
        (run,) = await stage.ended()
        assert (run.status, run.why) == ("succeeded", "all steps done")

    play(scene)


def test_an_unmapped_alert_is_observed_whatever_the_rule_may_do() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "nowhere")
        (decision,) = await stage.decided()
        assert decision.verdict == "observe"
        assert stage.subjects() == []

    play(scene)


def test_no_target_is_refused_and_says_why() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (decision,) = await stage.decided()
        assert decision.verdict == "refuse"
        assert decision.reason.startswith("No target: "), decision.reason

    play(scene, Stage(house(rules={"down": rule(more="  target: {within: {region: mars}}")})))
