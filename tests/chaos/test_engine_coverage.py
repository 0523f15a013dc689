"""What counts as a proof: only a run of the rule's own that was verified healthy, on that very hop."""

from rig import _at_once
from stage import DRAIN, Stage, house, play, rule, runbook

from watchkeeper.engine.business_reading import BusinessReader, Covered

TRANSACTIONS = b"- {name: checkout, priority: 1, owner: group:ops, hops: [web, cart]}\n"
WITHIN_MS = 300_000
WEB, CART = "component:default/web", "component:default/cart"


def files(**more):
    return {**house(**more), "transactions.yaml": TRANSACTIONS}


def reader(stage: Stage) -> BusinessReader:
    return BusinessReader(stage.on, _at_once)


async def states(stage: Stage) -> dict[str, str]:
    found = await reader(stage).coverage()
    assert isinstance(found, Covered)
    return {hop.ref: hop.state.value for hop in found.report.transactions[0].hops}


def test_a_repair_that_was_verified_proves_its_hop_until_it_is_too_old():
    async def scene(stage: Stage) -> None:
        assert await states(stage) == {WEB: "declared", CART: "declared"}
        stage.theatre.status["web"] = 500
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "succeeded", run.why
        await stage.fire("Down", "web", status="resolved")
        assert await states(stage) == {WEB: "proven", CART: "declared"}
        assert isinstance(found := await reader(stage).coverage(), Covered)
        assert found.report.transactions[0].hops[0].rules[0].run == run.id
        assert isinstance(old := await reader(stage).coverage(within_ms=WITHIN_MS), Covered)
        assert old.report.proven == 1
        await stage.passes(1 + WITHIN_MS / 1000)
        assert isinstance(old := await reader(stage).coverage(within_ms=WITHIN_MS), Covered)
        assert old.report.proven == 0

    play(scene, Stage(files()))


def test_a_run_that_nobody_verified_proves_nothing():
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "succeeded", run.why
        await stage.fire("Down", "web", status="resolved")
        assert await states(stage) == {WEB: "declared", CART: "declared"}

    play(scene, Stage(files(rules={"down": rule()}, runbooks={"mend": runbook(DRAIN)})))
