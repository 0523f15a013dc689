"""What a process that starts again knows of what the last one saw."""

from datetime import timedelta

from stage import ALICE, Stage, component, house, play, rule

from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.incident import Incident
from watchkeeper.engine.intake import SignalReader
from watchkeeper.engine.records import put
from watchkeeper.guards.situation import Scope
from watchkeeper.ports import Commit


def test_a_late_word_about_an_episode_that_is_over_is_no_new_episode() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended()
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(2)
        await stage.crash()
        (before,) = await stage.all(Alert)
        assert stage.on.correlation.alert(before.id) == before
        assert before.state == "resolved"

    play(scene)


def test_an_incident_keeps_its_name_when_its_first_alert_is_over() -> None:
    catalog = "---".join((component("db"), component("web", spec=", dependsOn: [component:db]")))

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "db")
        await stage.fire("Down", "web")
        await stage.passes(1)
        await stage.fire("Down", "db", status="resolved")
        await stage.passes(1)
        (before,) = await stage.all(Incident, state="open")
        await stage.crash()
        await stage.fire("Down", "web")
        await stage.passes(1)
        (after,) = await stage.all(Incident, state="open")
        assert (after.id, after.alerts) == (before.id, before.alerts)

    play(scene, Stage(house(catalog=catalog), trusted=()))


def test_an_incident_of_days_keeps_its_name_too() -> None:
    catalog = "---".join((component("db"), component("web", spec=", dependsOn: [component:db]")))

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "db")
        await stage.fire("Down", "web")
        await stage.passes(1)
        await stage.fire("Down", "db", status="resolved")
        await stage.passes(1)
        for _ in range(6):
            stage.clock.skew_ms += 4 * 3_600_000 + 600_000
            await stage.fire("Down", "web")
            await stage.passes(1)
        (before,) = await stage.all(Incident, state="open")
        await stage.crash()
        await stage.fire("Down", "web")
        await stage.passes(1)
        (after,) = await stage.all(Incident, state="open")
        assert (after.id, after.alerts) == (before.id, before.alerts)

    play(scene, Stage(house(catalog=catalog), trusted=()))


def test_what_resolved_while_nobody_listened_lapses_at_the_start() -> None:
    async def scene(stage: Stage) -> None:
        until_at = stage.clock.now() + timedelta(minutes=30)
        await stage.on.limits.hold(ALICE, Scope(), until_at, "looking")
        await stage.fire("Down", "web")
        await stage.decided()
        for task in stage.on._tasks:
            task.cancel()
        await stage.fire("Down", "web", status="resolved")
        await stage.crash()
        await stage.passes(2)
        assert await stage.proposals() == []
        await stage.passes(200)
        assert stage.subjects("held") == [], "what is over is no news"

    play(scene)


def test_what_was_held_for_an_alert_that_was_over_before_anybody_was_told_lapses_at_the_start() -> None:
    async def scene(stage: Stage) -> None:
        await stage.on.limits.hold(ALICE, Scope(), stage.clock.now() + timedelta(minutes=30), "looking")
        await stage.fire("Down", "web")
        (held,) = await stage.decided()
        await _over_in_the_store(stage, held.alert)
        await stage.crash()
        await stage.passes(200)
        assert await stage.proposals() == []
        assert stage.subjects("held") == []

    play(scene)


def test_a_run_whose_alert_resolved_in_the_crash_is_told_before_it_goes_on() -> None:
    async def scene(stage: Stage) -> None:
        stage.on.runner.begin = lambda *_: None
        stage.on.runner.take = lambda *_: None
        await stage.fire("Down", "web")
        await stage.decided()
        (queued,) = await stage.runs()
        assert queued.status == "queued"
        await _over_in_the_store(stage, queued.alert)
        await stage.crash()
        (run,) = await stage.ended()
        assert (run.status, run.why) == ("lapsed", "no longer needed: The alert resolved.")
        assert stage.theatre.sent == []

    play(scene)


async def _over_in_the_store(stage: Stage, identity: str) -> None:
    """The process ends after the delivery was kept, and before anybody was told what follows from it."""
    for task in stage.on._tasks:
        task.cancel()
    await stage.fire("Down", "web", status="resolved")
    (delivery,) = await stage.store.deliveries(10)
    (signal,) = SignalReader(stage.on.world).read(delivery).signals
    changes = stage.on.correlation.apply(signal, stage.on.correlation.alert(identity).mapped)
    ((_, after),) = changes.alerts
    await stage.store.commit(Commit(at=stage.clock.now(), puts=(put(after),), taken=(delivery.id,)))


def test_holds_stops_and_grants_stand_after_a_restart() -> None:
    async def scene(stage: Stage) -> None:
        stop = await stage.on.limits.stop(ALICE, Scope(), "wrong")
        await stage.fire("Down", "web")
        await stage.decided()
        await stage.crash()
        await stage.passes(120)
        assert set(await stage.verdicts()) == {"hold"}
        await stage.on.limits.resume(ALICE, stop.id, "right again")
        await stage.ended(within_s=10)

    play(scene)


def test_a_configuration_that_became_active_re_maps_alerts_and_running_runs_keep_theirs() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["drain"] = 3
        await stage.fire("Down", "web")
        await stage.fire("Down", "new")
        await stage.until(lambda: stage.theatre.sent)
        assert (await stage.decisions(verdict="observe"))[0].rule == "shop/down"
        (run,) = await stage.runs()
        catalog = "---".join((component("web"), component("new")))
        stage.files = house(rules={"down": rule(), "other": rule("Other")}, catalog=catalog)
        applied = await stage.on.changes.apply(ALICE, stage.on.changes.plan().digest, "a new service")
        ended = await stage.ended(2)
        first = next(each for each in ended if each.id == run.id)
        assert first.status == "succeeded"
        assert first.configuration != applied.digest
        other = next(each for each in ended if each.id != run.id)
        assert other.configuration == applied.digest
        assert other.targets == ("component:default/new",)

    play(scene)


def test_a_configuration_with_errors_changes_nothing() -> None:
    async def scene(stage: Stage) -> None:
        before = stage.on.world.configuration.digest
        activations = await stage.store.count("activation")
        stage.files = {
            **house(),
            "packs/shop/rules/bad.yaml": b"apiVersion: watchkeeper.dev/v1\nkind: Rule\nspec: {}\n",
        }
        planned = stage.on.changes.plan()
        assert planned.digest == ""
        no = await stage.on.changes.apply(ALICE, before, "try")
        assert no.status == 422
        assert "the active configuration stays" in no.detail
        assert stage.on.world.configuration.digest == before
        assert await stage.store.count("activation") == activations

    play(scene)


def test_what_was_edited_after_the_plan_is_not_slipped_in() -> None:
    async def scene(stage: Stage) -> None:
        stage.files = house(rules={"down": rule(priority=11)})
        planned = stage.on.changes.plan()
        stage.files = house(rules={"down": rule(priority=12)})
        no = await stage.on.changes.apply(ALICE, planned.digest, "more important")
        assert (no.status, no.detail) == (409, "The files changed since they were planned: run 'wk plan' again.")

    play(scene)


def test_a_rule_that_left_the_configuration_holds_nothing_any_more() -> None:
    async def scene(stage: Stage) -> None:
        await stage.on.limits.hold(ALICE, Scope(), stage.clock.now() + timedelta(minutes=30), "looking")
        await stage.fire("Down", "web")
        await stage.decided()
        stage.files = house(rules={"other": rule("Other")})
        await stage.on.changes.apply(ALICE, stage.on.changes.plan().digest, "not needed")
        await stage.passes(70)
        assert await stage.proposals() == []
        assert stage.theatre.sent == []

    play(scene)
