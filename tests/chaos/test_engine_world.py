"""What the world says: dependencies, replicas, other groups and regions, expectations, flapping, probes, heartbeats."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from rig import compiled
from stage import ALICE, RESTART, SETTINGS, Stage, component, house, play, rule, runbook

from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.incident import Incident
from watchkeeper.engine.answer import No
from watchkeeper.engine.home_reading import HomeReader
from watchkeeper.engine.records import HealthRecord
from watchkeeper.engine.watching import BEATS_KEPT
from watchkeeper.ports import Commit, Committed, Refused
from watchkeeper.signals.signal import DeadLetter

NEEDS = runbook(more="  needs: [component:db]\n  on_failure: undo\n")
DB = component("db")
PROBE = """
  edge:
    kind: probe
    probes: [{name: db-up, http: "http://127.0.0.1/db", every: 1s, failures: 2, successes: 2, entity: db, severity: minor}]
"""
PROBED = SETTINGS.replace("  default: {kind: alertmanager}\n", f"  default: {{kind: alertmanager}}{PROBE}")


def needing() -> Stage:
    catalog = "---".join((component("web"), component("cart"), DB))
    return Stage(house(runbooks={"mend": NEEDS}, catalog=catalog, settings=PROBED))


def test_a_dependency_whose_health_nobody_knows_holds() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status["db"] = 0
        await stage.passes(5)
        await stage.fire("Down", "web")
        (held,) = await stage.decided(rule="shop/down")
        assert held.verdict == "hold"
        assert held.reason == "shop/mend needs db, whose health is not known."
        stage.theatre.status["db"] = 200
        await stage.ended()

    play(scene, needing())


def test_a_dependency_that_is_down_refuses_and_when_it_is_back_it_is_decided_afresh() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status["db"] = 500
        await stage.passes(5)
        await stage.fire("Down", "web")
        (refused,) = await stage.decided(rule="shop/down")
        assert refused.verdict == "refuse"
        assert refused.reason == "shop/mend needs db, which is down."
        await stage.passes(120)
        assert stage.theatre.sent == []
        stage.theatre.status["db"] = 200
        await stage.ended(within_s=30)

    play(scene, needing())


def health(stage: Stage) -> dict[str, Any]:
    found = HomeReader(stage.on).service("db")
    assert not isinstance(found, No)
    return found["health"]


def test_of_two_probes_the_one_that_is_unwell_counts_whichever_looked_last() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status.update({"db": 200, "db-page": 500})
        await stage.passes(5)
        await stage.fire("Down", "web")
        (refused,) = await stage.decided(rule="shop/down")
        assert (refused.verdict, refused.reason) == ("refuse", "shop/mend needs db, which is down.")
        await stage.passes(60)
        assert stage.theatre.sent == []
        assert health(stage)["why"] == "status 500, expected '2xx'"
        stage.theatre.status["db-page"] = 200
        await stage.ended(within_s=30)
        stage.theatre.status["db-page"] = 0
        await stage.passes(4.5)
        assert health(stage)["is"] == "unknown", "what nobody sees any more is not shown as healthy"

    page = PROBE.rstrip().removesuffix("]") + (
        """,
             {name: db-page, http: "http://127.0.0.1/db-page", every: 1s, failures: 90, entity: db, severity: minor}]
"""
    )
    catalog = "---".join((component("web"), component("cart"), DB))
    play(scene, Stage(house(runbooks={"mend": NEEDS}, catalog=catalog, settings=PROBED.replace(PROBE, page))))


def test_a_probe_that_never_saw_anything_keeps_the_health_unknown_at_a_start_too() -> None:
    slow = PROBE.replace("every: 1s", "every: 60s").rstrip().removesuffix("]") + (
        """,
             {name: db-page, http: "http://127.0.0.1/db-page", every: 60s, failures: 2, entity: db, severity: minor}]
"""
    )

    async def scene(stage: Stage) -> None:
        stage.theatre.status["db-page"] = 0
        await stage.passes(5)
        await stage.fire("Down", "web")
        (held,) = await stage.decided(rule="shop/down")
        assert held.verdict == "hold"
        stage.clock.skew_ms += 70_000  # held proposals are due again, and what `db-up` saw is fresh
        await stage.crash()
        await stage.passes(1)
        assert set(await stage.verdicts(rule="shop/down")) == {"hold"}
        assert stage.theatre.sent == []

    catalog = "---".join((component("web"), component("cart"), DB))
    play(scene, Stage(house(runbooks={"mend": NEEDS}, catalog=catalog, settings=PROBED.replace(PROBE, slow))))


@pytest.mark.parametrize(("retention", "left"), [("", []), ("retention: {legal_hold: true}", ["db-up"])])
def test_what_a_probe_saw_goes_with_the_probe_unless_everything_is_kept(retention: str, left: list[str]) -> None:
    async def scene(stage: Stage) -> None:
        async def probes() -> list[str]:
            return [each.probe for each in await stage.all(HealthRecord)]

        await stage.passes(3)
        assert await probes() == ["db-up"]
        stage.files["watchkeeper.yaml"] = (SETTINGS + retention).encode()
        await stage.on.activated(compiled(stage.files))
        await stage.passes(3)
        assert await probes() == left

    play(scene, needing())


def test_what_a_probe_was_about_to_say_when_another_configuration_came_is_said() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status["db"] = 500
        await stage.until(lambda: [each for each in stage.on.correlation.alerts() if each.resolved_at is None])
        async with stage.on.pipeline.turn:  # as an activation has it, while it maps every alert
            stage.theatre.status["db"] = 200
            await stage.passes(5)
            stage.on.watching.configure()
        await stage.passes(5)
        (alert,) = stage.on.correlation.alerts()
        assert alert.resolved_at is not None, "else it is taken to fire until it is stale"

    play(scene, needing())


def test_a_version_that_a_probe_raised_is_heard_of_when_another_configuration_ends_the_probe() -> None:
    async def scene(stage: Stage) -> None:
        await stage.passes(3)
        commit, late = stage.store.commit, []

        async def slow(wanted: Commit) -> Committed | Refused:
            answer = await commit(wanted)
            if "dependency:component:default/db" in wanted.bumps:
                late.append(wanted)
                await asyncio.sleep(1)
            return answer

        stage.store.commit = slow  # type: ignore[method-assign]
        stage.theatre.status["db"] = 500
        await stage.until(lambda: late)
        stage.on.watching.configure()
        await stage.passes(2)
        assert stage.on.scribe.versions == await stage.store.versions()

    catalog = "---".join((component("web"), component("cart"), DB))
    settings = PROBED.replace("failures: 2", "failures: 90")  # an alert would raise the version once more
    play(scene, Stage(house(runbooks={"mend": NEEDS}, catalog=catalog, settings=settings)))


@pytest.mark.parametrize(("blind_s", "verdict"), [(2.0, "act"), (4.2, "hold")])
def test_a_look_counts_for_three_turns_of_its_probe_and_no_longer(blind_s: float, verdict: str) -> None:
    async def scene(stage: Stage) -> None:
        await stage.passes(3)
        stage.theatre.status["db"] = 0
        await stage.passes(blind_s)
        await stage.fire("Down", "web")
        (first,) = await stage.decided(rule="shop/down")
        assert first.verdict == verdict

    play(scene, needing())


REPLICAS = "---".join(
    (
        component("shopfront", spec=", dependsOn: [resource:r1, resource:r2]"),
        *(
            component(name, more={"instance": name})
            .replace("kind: Component", "kind: Resource")
            .replace("type: service, lifecycle: production", "type: server")
            .replace("system: shop}", "system: shop, dependencyOf: [component:shopfront]}")
            for name in ("r1", "r2")
        ),
    )
)
LAST = house(
    rules={
        "down": rule(
            more="  target: {kind: Resource, by: {watchkeeper.dev/instance: alert.labels.instance}}",
            limits=", unavailable: {max: 1, of: service}",
        )
    },
    catalog=REPLICAS,
    settings=PROBED.replace("name: db-up", "name: r2-up")
    .replace("127.0.0.1/db", "127.0.0.1/r2")
    .replace("entity: db", "entity: r2"),
)


async def fire_on(stage: Stage, instance: str) -> None:
    """An alert of the service that names the instance."""
    import hashlib
    import json

    labels = {"alertname": "Down", "service": "shopfront", "instance": instance, "severity": "critical"}
    body = {
        "version": "4",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": {},
                "startsAt": "2026-03-02T08:59:30Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "fingerprint": hashlib.sha256(instance.encode()).hexdigest()[:16],
            }
        ],
    }
    await stage.on.intake.accept("default", "alertmanager", json.dumps(body).encode(), {})
    stage.on.pipeline.nudge()


def test_the_health_of_another_replica_that_nobody_knows_holds() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status["r2"] = 0
        await fire_on(stage, "r1")
        (held,) = await stage.decided(rule="shop/down")
        assert held.verdict == "hold"
        assert held.reason == "The health of resource:default/r2 in component:default/shopfront is not known.", (
            held.reason
        )

    play(scene, Stage(LAST))


def test_the_last_good_replica_is_never_taken() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status["r2"] = 500
        await stage.passes(5)
        await fire_on(stage, "r1")
        (refused,) = await stage.decided(rule="shop/down")
        assert refused.verdict in {"refuse", "hold"}
        await stage.passes(100)
        assert stage.theatre.sent == []

    play(scene, Stage(LAST))


def test_with_the_other_replica_well_it_acts() -> None:
    async def scene(stage: Stage) -> None:
        await stage.passes(5)
        await fire_on(stage, "r1")
        await stage.ended()
        assert {each.target.name for each in stage.theatre.sent if each.target} == {"r1"}

    play(scene, Stage(LAST))


GROUPS = SETTINGS.replace(
    "  default: {kind: alertmanager}\n",
    "  default: {kind: alertmanager, group: one, region: eu}\n  other: {kind: alertmanager, group: two, region: us}\n",
)


async def fire_from(stage: Stage, source: str, alert: str = "Down", service: str = "web") -> None:
    accept = stage.on.intake.accept

    async def other(_: str, *rest: object) -> object:
        return await accept(source, *rest)

    stage.on.intake.accept = other
    try:
        await stage.fire(alert, service)
    finally:
        stage.on.intake.accept = accept


def test_it_waits_until_a_second_group_says_the_same_and_acts_then() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (held,) = await stage.decided()
        assert held.verdict == "hold"
        assert held.reason.startswith("1 source of the 2 needed sees it"), held.reason
        await stage.passes(30)
        assert stage.theatre.sent == []
        await fire_from(stage, "other")
        (run,) = await stage.ended(within_s=20)
        assert run.status == "succeeded"

    more = "  corroborate: {groups: 2, within: 5m}"
    play(scene, Stage(house(rules={"down": rule(more=more)}, settings=GROUPS)))


def test_a_blind_region_is_unknown_and_a_quiet_one_says_that_all_is_well() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (blind,) = await stage.decided()
        assert blind.verdict == "hold"
        assert blind.reason == "1 region of the 2 needed sees it; us cannot see."
        await fire_from(stage, "other", "Unrelated", "cart")
        await stage.passes(61)
        quiet = (await stage.decisions(rule="shop/down"))[-1]
        assert quiet.reason == "1 region of the 2 needed sees it; us says that all is well."
        await stage.passes(360)
        assert (await stage.decisions(rule="shop/down"))[-1].reason == blind.reason, "nothing came from there for long"
        await fire_from(stage, "other")
        await stage.ended(within_s=20)

    more = "  regions: {agree: 2, of: [eu, us]}"
    play(scene, Stage(house(rules={"down": rule(more=more)}, settings=GROUPS)))


EXPECTS = house(
    rules={"down": rule(), "noisy": rule("Noisy", "other")},
    runbooks={"mend": runbook(more="  expects: [Noisy]\n  on_failure: undo\n"), "other": runbook(RESTART)},
)


def test_what_a_run_expects_is_no_news_while_it_works_and_still_belongs_to_the_incident() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.takes_s["restart"] = 3
        await stage.fire("Down", "web")
        await stage.until(lambda: len(stage.theatre.sent) == 2)
        await stage.fire("Noisy", "web")
        (held,) = await stage.decided(rule="shop/noisy")
        assert held.verdict == "hold"
        (incident,) = await stage.all(Incident)
        assert incident.alerts == 2, "it still counts"
        await stage.fire("Down", "web", status="resolved")
        await stage.ended(2, within_s=100)
        assert (await stage.verdicts(rule="shop/noisy"))[-1] == "act"

    play(scene, Stage(EXPECTS, trusted=("shop/down", "shop/noisy")))


@pytest.mark.parametrize("crash", [False, True])
def test_what_a_run_expects_is_no_news_until_it_settled(crash: bool) -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended()
        await stage.fire("Down", "web", status="resolved")
        if crash:
            await stage.crash()
        await stage.passes(20)
        await stage.fire("Noisy", "web")
        (held,) = await stage.decided(rule="shop/noisy")
        assert held.verdict == "hold"
        assert "shop/mend works on web and expects it" in held.reason, held.reason
        await stage.ended(2, within_s=100)

    play(scene, Stage(EXPECTS, trusted=("shop/down", "shop/noisy")))


@pytest.mark.parametrize("crash", [False, True])
def test_an_alert_that_flaps_is_held_also_after_a_restart(crash: bool) -> None:
    async def scene(stage: Stage) -> None:
        for number in range(3):
            await stage.fire("Down", "cart", number=number)
            await stage.passes(1)
            await stage.fire("Down", "cart", number=number, status="resolved")
            await stage.passes(1)
        if crash:
            await stage.crash()
        await stage.trust("shop/down")
        await stage.fire("Down", "cart", number=3)
        await stage.passes(1)
        last = (await stage.decisions())[-1]
        assert last.verdict == "hold"
        assert last.reason.startswith("The alert flaps: "), last.reason

    play(scene, Stage(trusted=()))


BEATS = SETTINGS.replace(
    "  default: {kind: alertmanager}\n",
    "  default: {kind: alertmanager}\n  old:\n    kind: heartbeat\n    beats: [{name: nightly, every: 1m, grace: 10s, entity: web, severity: critical}]\n",
)


async def beat(stage: Stage) -> None:
    await stage.on.intake.accept("old", "beat", b"{}", {}, "nightly")
    stage.on.pipeline.nudge()


LEGACY = house(
    rules={"quiet": rule("HeartbeatMissed")},
    catalog=component("web", more={"automation": "none"}),
    settings=BEATS,
)


async def firing(stage: Stage) -> list[str]:
    return [each.labels["alertname"] for each in await stage.all(Alert) if each.state == "firing"]


def test_heartbeats_that_stay_away_open_an_incident_that_tells_and_runs_nothing() -> None:
    async def scene(stage: Stage) -> None:
        await beat(stage)
        await stage.passes(60)
        assert await firing(stage) == []
        await stage.passes(15)
        assert len(await firing(stage)) == 1
        (incident,) = await stage.all(Incident)
        assert incident.entity == "component:default/web"
        await stage.passes(300)
        assert stage.theatre.sent == []
        assert await stage.runs() == []
        assert {each.verdict.value for each in await stage.decisions()} == {"refuse"}
        assert len(stage.told.notices) == 1, stage.subjects()
        await beat(stage)
        await stage.passes(2)
        assert await firing(stage) == []

    play(scene, Stage(LEGACY, trusted=("shop/quiet",)))


def test_a_heartbeat_that_comes_back_after_a_restart_resolves_it() -> None:
    async def scene(stage: Stage) -> None:
        await beat(stage)
        await stage.passes(80)
        assert len(await firing(stage)) == 1
        await stage.crash()
        await stage.passes(5)
        assert len(await firing(stage)) == 1
        await beat(stage)
        await stage.passes(2)
        assert await firing(stage) == []

    play(scene, Stage(LEGACY, trusted=("shop/quiet",)))


def test_a_heartbeat_is_missed_in_time_however_often_the_node_starts_anew() -> None:
    async def scene(stage: Stage) -> None:
        await beat(stage)
        for _ in range(3):
            await stage.passes(20)
            await stage.crash()
        await stage.passes(5)
        assert await firing(stage) == [], "65 s"
        await stage.passes(7)
        assert len(await firing(stage)) == 1, "72 s"

    play(scene, Stage(LEGACY, trusted=("shop/quiet",)))


def test_a_heartbeat_that_never_came_is_missed_too_however_often_the_node_starts_anew() -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(3):
            await stage.passes(20)
            await stage.crash()
        await stage.passes(13)
        assert len(await firing(stage)) == 1

    play(scene, Stage(LEGACY, trusted=("shop/quiet",)))


def test_a_heartbeat_that_fell_due_while_the_node_was_down_has_its_grace_from_the_start_on() -> None:
    async def scene(stage: Stage) -> None:
        await beat(stage)
        await stage.passes(30)
        stage.clock.skew_ms += 3_600_000
        await stage.crash()
        await stage.passes(8)
        assert await firing(stage) == []
        await stage.passes(4)
        assert len(await firing(stage)) == 1

    play(scene, Stage(LEGACY, trusted=("shop/quiet",)))


def test_many_heartbeats_in_time_leave_no_trace_of_one_that_was_missed() -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(BEATS_KEPT + 10):
            await beat(stage)
            await stage.passes(30)
        assert await stage.all(Alert) == []
        stage.files["watchkeeper.yaml"] = SETTINGS.encode()
        await stage.on.activated(compiled(stage.files))
        await stage.passes(2)
        assert await stage.store.count("beat") == 0

    play(scene, Stage(LEGACY, trusted=("shop/quiet",)))


def test_a_probe_fires_and_resolves_and_blind_it_does_neither() -> None:
    async def scene(stage: Stage) -> None:
        await stage.passes(5)
        assert await firing(stage) == []
        stage.theatre.status["db"] = 0
        await stage.passes(30)
        assert await firing(stage) == []
        stage.theatre.status["db"] = 500
        await stage.passes(5)
        assert await firing(stage) == ["ProbeFailed"]
        stage.theatre.status["db"] = 0
        await stage.passes(30)
        assert await firing(stage) == ["ProbeFailed"]
        stage.theatre.status["db"] = 200
        await stage.passes(5)
        assert await firing(stage) == []

    play(scene, needing())


def test_what_a_probe_raised_before_a_restart_resolves_after_it() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status["db"] = 500
        await stage.passes(5)
        assert await firing(stage) == ["ProbeFailed"]
        await stage.crash()
        stage.theatre.status["db"] = 200
        await stage.passes(5)
        assert await firing(stage) == []

    play(scene, needing())


def test_what_a_probe_sees_for_hours_does_not_become_stale() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.status["db"] = 500
        await stage.passes(100)
        (alert,) = await stage.all(Alert)
        assert alert.state == "firing"
        assert alert.stale_at > stage.clock.now()
        assert stage.clock.now() - alert.last_seen_at < timedelta(seconds=90)

    short = PROBED.replace("    kind: probe\n", "    kind: probe\n    repeat: 30s\n")
    catalog = "---".join((component("web"), DB))
    play(scene, Stage(house(runbooks={"mend": NEEDS}, catalog=catalog, settings=short)))


ODD = SETTINGS.replace(
    "  default: {kind: alertmanager}\n",
    "  default: {kind: alertmanager}\n"
    "  odd: {kind: generic, mapping: {status: state, labels: {alertname: {const: Down}, service: {from: SERVICE, required: true}}}}\n",
)


def test_a_dead_letter_is_listed_and_replayed_once_the_mapping_is_right() -> None:
    async def scene(stage: Stage) -> None:
        await stage.on.intake.accept("odd", "generic", b'{"state": "firing", "host": "web"}', {}, "odd")
        stage.on.pipeline.nudge()
        await stage.passes(1)
        (letter,) = await stage.all(DeadLetter)
        assert letter.why, letter
        still = await stage.on.letters.replay(letter.id, ALICE)
        assert isinstance(still, No)
        assert still.detail.startswith("it still cannot be read: "), still.detail
        stage.files = house(settings=ODD.replace("from: SERVICE", "from: host"))
        await stage.on.changes.apply(ALICE, stage.on.changes.plan().digest, "the field is called host")
        assert await stage.on.letters.replay(letter.id, ALICE) == letter.delivery
        await stage.ended()
        assert len(await stage.all(DeadLetter, state="replayed")) == 1
        missing = await stage.on.letters.replay("ded_nothing", ALICE)
        assert isinstance(missing, No)
        assert missing.status == 404

    play(scene, Stage(house(settings=ODD)))
