"""CAPABILITIES 2.2: what keeps failing is left alone, then tried once over all nodes; several together are a brake."""

from collections.abc import Callable
from typing import Any

import msgspec
from stage import ALICE, BOB, HEALTHY, RESTART, SETTINGS, Stage, component, house, play, rule, runbook, services
from virtual import run as run_virtual

from watchkeeper.engine.answer import No
from watchkeeper.engine.records import RunRecord
from watchkeeper.errors import Rejected
from watchkeeper.guards.breaker import breaker
from watchkeeper.guards.situation import Scope
from watchkeeper.learn.brake import Brake
from watchkeeper.learn.breaker import Circuit

MINUTE = 60.0
LOOK_S = 0.5
KEPT = """
breakers: {failures: 3, within: 30m, open: 10m, open_max: 40m, brake: {within: 30m, targets: 4, rules: 3, open: 50}}
"""
STAY = "  on_stop: stay\n  on_failure: stay\n"
MEND = runbook(RESTART + HEALTHY, STAY)


def often(alert: str = "Down", runbook_name: str = "mend", **more) -> str:
    return rule(alert, runbook_name, **more).replace("attempts: 3", "attempts: 100")


class Trusting(Stage):
    """A person lifts each demotion as it comes: what is looked at here is the breaker that stands beside it."""

    beside: tuple[Any, ...] = ()  # other engines over the same store

    async def passes(self, seconds: float) -> None:
        while seconds > 0:
            step = min(seconds, LOOK_S)
            await super().passes(step)
            seconds -= step
            for engine in (self.on, *self.beside):
                await lift(engine)

    async def until(self, what: Callable[[], Any], within_s: float = 600.0) -> None:
        waited = 0.0
        while not what():
            await self.passes(0.1)
            waited += 0.1
            assert waited < within_s, f"waited {within_s:.0f} s of virtual time for {what}"


async def lift(engine: Any) -> None:
    for name in engine.world.configuration.rules:
        for each in engine.world.earned.demotions(name):
            if each.open:
                await engine.standings.lift(ALICE, each.id, "it goes on")
                await engine.standings.second(BOB, each.id)


def failing(**more) -> Stage:
    """Restarts that help nothing."""
    files = house(rules={"down": often()}, runbooks={"mend": MEND}, settings=SETTINGS + KEPT, **more)
    stage = Trusting(files)
    stage.theatre.heals = False
    stage.theatre.status["web"] = 500
    return stage


def breaker_finding(decision):
    return next(each for each in decision.findings if each.guard == "breaker")


async def opened(stage: Stage) -> Circuit:
    """Three runs that verified unhealthy."""
    await stage.fire("Down", "web")
    await stage.ended(3)
    await stage.until(lambda: any(each.state == "open" for each in stage.on.world.circuits.values()))
    (circuit,) = [each for each in stage.on.world.circuits.values() if each.state == "open"]
    return circuit


def test_a_target_that_keeps_failing_is_left_alone_then_tried_once_and_for_twice_as_long() -> None:
    async def scene(stage: Stage) -> None:
        circuit = await opened(stage)
        assert circuit.action == "service.restart"
        assert circuit.domain == "component:default/web"
        assert all("500" in each.why for each in circuit.failures), "a failed verification counts, not only an error"
        await stage.passes(9 * MINUTE)
        assert len(await stage.runs()) == 3
        last = (await stage.decisions())[-1]
        finding = breaker_finding(last)
        assert (last.verdict.value, finding.outcome.value) == ("hold", "hold")
        assert finding.reason == f"{circuit.key} failed 3 times and is left alone until 09:11 UTC."
        assert finding.until_at == circuit.until_at
        assert f"breaker:{circuit.key}" in finding.names
        assert last.versions[f"breaker:{circuit.key}"] == stage.on.world.number(f"breaker:{circuit.key}") == 3
        await stage.passes(2 * MINUTE)
        assert len(await stage.runs()) == 4, "one trial when its time is up"
        (trial,) = [each for each in await stage.runs() if each.trials]
        assert trial.trials == (circuit.key,)
        await stage.passes(19 * MINUTE)
        assert len(await stage.runs()) == 4, "it failed, so it is left alone for twenty minutes"
        stage.theatre.heals = True
        await stage.passes(2 * MINUTE)
        after = stage.on.world.circuits[circuit.key]
        assert (after.state, after.failures, after.failed) == ("closed", (), 0)
        assert stage.subjects("breaker") == [f"Left alone: {circuit.key}"], "people are told once"
        assert await entries(stage, "breaker") == ["opened", "reopened", "closed"]

    play(scene, failing())


async def entries(stage: Stage, kind: str) -> list[str]:
    """The verdicts of the ledger's entries of a kind, in order."""
    await stage.on.sequencer.step()
    rows = await stage.store.entries(0, 10_000)
    found = [msgspec.json.decode(row.body) for row in rows]
    return [each["verdict"] for each in found if each["kind"] == kind]


def test_it_survives_a_restart_and_so_does_the_claim_of_its_trial() -> None:
    async def scene(stage: Stage) -> None:
        circuit = await opened(stage)
        await stage.crash()
        assert stage.on.world.circuits[circuit.key] == circuit
        await stage.passes(5 * MINUTE)
        assert len(await stage.runs()) == 3
        stage.theatre.takes_s["restart"] = 3.0
        await stage.until(lambda: stage.on.world.trials, within_s=600)
        await stage.crash()
        (trial,) = stage.on.world.trials.values()
        assert [claim.run for claim in await stage.store.claims(stage.clock.now(), "trial:")] == [trial]
        await stage.ended(4)
        assert not stage.on.world.trials
        assert await stage.store.claims(stage.clock.now(), "trial:") == ()
        assert stage.on.world.circuits[circuit.key].opened == 2
        await stage.passes(15 * MINUTE)
        assert len(await stage.runs()) == 4

    play(scene, failing())


def test_two_engines_over_one_store_make_one_trial() -> None:
    """Both hold the same alert and wake at the same instant; the second is refused, reads again, and waits."""
    stage = failing()

    async def whole() -> None:
        await stage.begin()
        circuit = await opened(stage)
        first = stage.on
        second = await stage.boot()
        stage.beside = (first,)
        held: set[str] = set()
        stage.theatre.takes_s["restart"] = 2.0
        for _ in range(40 * 60):
            await stage.passes(1)
            claims = await stage.store.claims(stage.clock.now(), "trial:")
            assert len(claims) <= 1
            held.update(claim.run for claim in claims)
        runs = await stage.all(RunRecord)
        assert len(runs) == 3 + len(held) == 5, "one trial after ten minutes, and one after twenty more"
        assert [each.trials for each in runs[3:]] == [(circuit.key,)] * 2
        assert not first.failed
        assert not second.failed
        await first.stop()
        await second.stop()

    run_virtual(whole())


def test_another_run_waits_for_the_trial_and_says_whose_it_is() -> None:
    async def scene(stage: Stage) -> None:
        circuit = await opened(stage)
        await stage.passes(9 * MINUTE)
        stage.theatre.takes_s["restart"] = 4.0
        await stage.until(lambda: stage.on.world.trials)
        (run,) = stage.on.world.trials.values()
        judged = await stage.on.steering.run(ALICE, "shop/mend", ("web",), {}, "let me try")
        assert not isinstance(judged, No)
        assert judged.decision.verdict.value == "hold"
        assert breaker_finding(judged.decision).reason == (
            f"{circuit.key} is tried by run_…{run[-6:]} now, and only one run tries."
        )

    play(scene, failing())


def test_a_run_that_was_admitted_before_it_opened_is_no_trial() -> None:
    """It holds no claim on the trial, so at its start it is held, however long the breaker has been open."""

    async def scene(stage: Stage) -> None:
        circuit = await opened(stage)
        await stage.passes(9 * MINUTE)
        stage.on.world.keep_circuit(msgspec.structs.replace(circuit, until_at=stage.clock.now()))
        situations, runbook_of = stage.on.situations, stage.on.world.configuration.rulebook.runbooks["shop/mend"]
        targets = (await stage.decisions())[-1].targets
        proposal = situations.proposal(None, runbook_of, targets, {}, None, stage.clock.now())

        def start(**own):
            found = situations.situation(
                proposal, None, runbook_of, None, stage.clock.now(), without_run="run_x", **own
            )
            return breaker(proposal, found)

        assert start().outcome.value == "hold"
        assert start(own_trials=(circuit.key,)).outcome.value == "pass"

    play(scene, failing())


def test_a_person_who_mended_it_closes_it_and_what_was_held_is_decided_at_once() -> None:
    async def scene(stage: Stage) -> None:
        circuit = await opened(stage)
        await stage.passes(1 * MINUTE)
        stage.theatre.heals = True
        no = await stage.on.breakers.close(ALICE, circuit.id, " ")
        assert isinstance(no, No)
        assert no.status == 400
        found = await stage.on.breakers.close(ALICE, circuit.id, "replaced the disk")
        assert isinstance(found, Circuit)
        assert (found.state, found.closed_by, found.reason) == ("closed", "alice", "replaced the disk")
        await stage.ended(4, within_s=30)
        assert (await stage.decisions())[-1].because == f"breaker:{circuit.key} changed"
        again = await stage.on.breakers.close(ALICE, circuit.id, "again")
        assert isinstance(again, No)
        assert again.status == 409

    play(scene, failing())


def test_an_error_opens_it_too_and_another_action_on_the_target_goes_on() -> None:
    files = house(
        rules={"down": often(), "full": often("Full", "clean")},
        runbooks={"mend": MEND, "clean": runbook(DRAINED, STAY)},
        settings=SETTINGS + KEPT,
    )

    async def scene(stage: Stage) -> None:
        stage.theatre.script["restart"] = [Rejected("no such unit")] * 3
        circuit = await opened(stage)
        assert {each.why for each in circuit.failures} == {"no such unit"}
        await stage.fire("Full", "web")
        await stage.ended(4)
        assert (await stage.runs())[-1].status == "succeeded"

    play(scene, Stage(files, trusted=("shop/down", "shop/full")))


DRAINED = """
    - id: drain
      do: http.request
      with: {method: POST, url: "${target.admin}/drain"}
      effect: keyed
      timeout: 5s
"""

REGIONS = "---".join(
    [
        services("web", "cart", "pay"),
        component("stats", more={"region": "us"}),
        component("entry", more={"region": "eu"}),
    ]
)
ALL = ("shop/down", "shop/slow", "shop/full", "shop/lost")


def regions() -> Stage:
    files = house(
        rules={
            "down": often(),
            "slow": often("Slow"),
            "full": often("Full"),
            "lost": often("Lost", "move"),
        },
        runbooks={"mend": MEND, "move": runbook(DRAINED, STAY + "  failover: true\n")},
        settings=SETTINGS + KEPT,
        catalog=REGIONS,
    )
    stage = Trusting(files, trusted=ALL)
    stage.theatre.heals = False
    for name in ("web", "cart", "pay"):
        stage.theatre.status[name] = 500
    return stage


async def lost(stage: Stage) -> Brake:
    """Three rules fail, each on a target of its own, in one region."""
    for alert, service in (("Down", "web"), ("Slow", "cart"), ("Full", "pay")):
        await stage.fire(alert, service)
    await stage.until(lambda: stage.on.world.brakes, within_s=60)
    (brake,) = stage.on.world.brakes.values()
    return brake


def test_the_loss_of_a_region_brakes_its_restarts_and_turns_its_failover_to_ask() -> None:
    async def scene(stage: Stage) -> None:
        brake = await lost(stage)
        assert (brake.key, len(brake.rules), len(brake.targets)) == ("region:eu", 3, 3)
        started = len(await stage.runs())
        await stage.passes(3 * MINUTE)
        assert len(await stage.runs()) == started, "its restarts are held"
        await stage.fire("Lost", "entry")
        (asked,) = await stage.decided(1, rule="shop/lost")
        finding = breaker_finding(asked)
        assert (asked.verdict.value, finding.outcome.value) == ("ask", "ask")
        assert finding.reason == (
            "The brake is on: 3 rules failed on 3 targets in eu in 30m (shop/down, shop/full and shop/slow)."
        )
        await stage.fire("Down", "stats", number=1)
        await stage.until(lambda: stage.theatre.verbs("stats"), within_s=10)
        (card,) = await stage.approvals(state="pending")
        assert not card.emergency
        await stage.on.steering.approve(ALICE, card.id, card.binding)
        await stage.until(lambda: "drain" in stage.theatre.verbs("entry"), within_s=10)
        assert stage.subjects("brake") == ["The brake is on: a person is needed"]

    play(scene, regions())


def test_the_brake_survives_a_restart_ends_by_itself_and_a_released_one_is_not_pulled_by_the_past() -> None:
    async def scene(stage: Stage) -> None:
        brake = await lost(stage)
        await stage.crash()
        assert list(stage.on.world.brakes) == ["region:eu"]
        no = await stage.on.breakers.release(ALICE, "brd_none", "x")
        assert isinstance(no, No)
        found = await stage.on.breakers.release(ALICE, brake.id, "the network is back")
        assert isinstance(found, Brake)
        await stage.passes(5)
        assert stage.on.world.brakes == {}
        await stage.crash()
        assert stage.on.world.brakes == {}
        # They fail again, each once more: that is news.
        await stage.until(lambda: stage.on.world.brakes, within_s=600)
        for alert, service in (("Down", "web"), ("Slow", "cart"), ("Full", "pay")):
            await stage.fire(alert, service, status="resolved")
        await stage.passes(45 * MINUTE)
        assert await entries(stage, "brake") == ["pulled", "released", "pulled", "ended"]

    play(scene, regions())


def test_a_rule_that_fails_on_many_targets_is_braked_alone() -> None:
    names = ("web", "cart", "pay", "mail")
    files = house(
        rules={"down": often(), "other": often("Other")},
        runbooks={"mend": MEND},
        settings=SETTINGS + KEPT,
        catalog="---".join([services(*names), component("stats")]),
    )
    stage = Stage(files, trusted=("shop/down", "shop/other"))
    stage.theatre.heals = False
    for name in names:
        stage.theatre.status[name] = 500

    async def scene(stage: Stage) -> None:
        for name in names:
            await stage.fire("Down", name)
        await stage.until(lambda: stage.on.world.brakes, within_s=60)
        assert list(stage.on.world.brakes) == ["rule:shop/down"]
        await stage.fire("Other", "stats")
        await stage.until(lambda: stage.theatre.verbs("stats"), within_s=10)
        await stage.fire("Down", "stats", number=1)
        (held,) = [each for each in await stage.decided(5, rule="shop/down") if each.targets[0].name == "stats"][:1]
        assert held.verdict.value == "hold"

    play(scene, stage)


def test_what_nobody_fails_at_leaves_no_breaker_behind() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended(1)
        await stage.fire("Down", "web", status="resolved")
        assert await stage.store.count("breaker") == 0
        await stage.on.limits.stop(ALICE, Scope(), "enough")

    play(scene, Stage(house(runbooks={"mend": MEND}, settings=SETTINGS + KEPT)))


def test_a_breaker_that_only_counted_is_forgotten() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.ended(1)
        assert await stage.store.count("breaker") == 1
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(40 * MINUTE)
        assert await stage.store.count("breaker") == 0
        assert stage.on.world.circuits == {}

    play(scene, failing())
