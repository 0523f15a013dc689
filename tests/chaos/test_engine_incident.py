"""Rules `per: incident`: one decision with the union of targets, for as long as one of its alerts fires."""

from datetime import timedelta

from stage import ALICE, BOB, SETTINGS, Stage, component, house, play, rule, runbook

from watchkeeper.guards.situation import Scope

CATALOG = "---".join(
    (
        component("db"),
        component("web", spec=", dependsOn: [component:db]"),
        component("cart", spec=", dependsOn: [component:db]"),
    )
)
PER = rule(more="  per: incident\n  target: {by: {name: 'alert.labels.service'}, max: 5}")
RISK = SETTINGS + "\nautonomy: {risk: {high: auto}}\n"
FILES = house(
    settings=RISK,
    rules={"down": PER},
    runbooks={
        "mend": runbook("""
    - id: fleet
      foreach: {in: targets, waves: ["100%"]}
      steps:
        - id: restart
          do: service.restart
          via: api
          with: {unit: "${target.name}"}
          effect: idempotent
          timeout: 5s
""")
    },
    catalog=CATALOG,
)


async def hold(stage: Stage) -> str:
    found = await stage.on.limits.hold(ALICE, Scope(), stage.clock.now() + timedelta(minutes=30), "looking")
    return str(found.id)


def test_one_decision_takes_the_union_of_targets() -> None:
    async def scene(stage: Stage) -> None:
        identity = await hold(stage)
        await stage.fire("Down", "db")
        await stage.fire("Down", "web")
        await stage.passes(2)
        await stage.on.limits.lift_hold(ALICE, identity, "go")
        (run,) = await stage.ended()
        assert {ref.rpartition("/")[2] for ref in run.targets} == {"db", "web"}
        assert sorted(str(each.target.name) for each in stage.theatre.sent if each.target) == ["db", "web"]

    play(scene, Stage(FILES))


def test_it_goes_on_for_those_that_still_fire_when_the_first_alert_resolves() -> None:
    async def scene(stage: Stage) -> None:
        identity = await hold(stage)
        await stage.fire("Down", "web")
        await stage.passes(1)
        await stage.fire("Down", "db")
        await stage.passes(1)
        await stage.fire("Down", "db", status="resolved")
        await stage.passes(1)
        assert len(await stage.proposals()) == 1
        await stage.on.limits.lift_hold(ALICE, identity, "go")
        (run,) = await stage.ended()
        assert {ref.rpartition("/")[2] for ref in run.targets} == {"web"}

    play(scene, Stage(FILES))


def test_a_request_that_nobody_answered_is_asked_again_for_the_incident() -> None:
    asks = house(rules={"down": PER.replace("ceiling: auto", "ceiling: approve")}, catalog=CATALOG)

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "db")
        await stage.decided()
        await stage.passes(305)
        first, second = await stage.approvals()
        assert (first.state.value, second.state.value) == ("lapsed", "pending")
        await stage.on.steering.approve(BOB, second.id, second.binding, "yes")
        await stage.ended()

    play(scene, Stage(asks))
