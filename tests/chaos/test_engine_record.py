"""What is kept and told: secrets never, decisions so that they can be made again, people once and in time."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from rig import Rig, compiled
from rig import home as simulated_home
from stage import ALICE, BOB, DRAIN, RESTART, Stage, house, play, runbook
from virtual import run as run_virtual

from watchkeeper.decide.decision import Decision
from watchkeeper.decide.replay import Record, Same, replay
from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.engine.records import JudgedRecord, Message, read
from watchkeeper.errors import InDoubt, Rejected, Unavailable
from watchkeeper.guards.situation import Scope, Situation

CANARY = "canary-7f3a9c51e0b24d6688aa"
SECRET = "  secrets: {admin: {store: file, path: shop/admin}}\n  on_failure: undo\n"
WITH_SECRET = DRAIN.replace(
    'url: "${target.admin}/drain"', 'url: "${target.admin}/drain", auth: {bearer: {secret: admin}}'
).replace('url: "${target.admin}/undrain"', 'url: "${target.admin}/undrain", auth: {bearer: {secret: admin}}')


class Leaking(Stage):
    """Its one secret is the canary, and its targets say it back wherever they can."""

    leased = 0

    async def leaser(self, reference: Any) -> str:
        assert (reference.store, reference.path) == ("file", "shop/admin")
        self.leased += 1
        return CANARY


async def _says_it(invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
    value = await around.lease("admin")
    around.output("stdout", f"using {value[:10]}".encode())
    around.output("stdout", f"{value[10:]} now\nand {value}".encode())
    return {"echo": value, value: "as a key", "deep": [{"list": f"Bearer {value}"}], "status": 200}


def _fails(error: type[Exception]) -> Any:
    async def answer(invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        raise error(f"401 for token {await around.lease('admin')}")

    return answer


def everything(stage: Rig) -> bytes:
    """All bytes that the store and the channels hold."""
    world = stage.store._world
    rows = [found.row.body for kind in world.documents.values() for found in kind.values()]
    events = [body for found in world.journal.values() for body in found.values()]
    entries = [part for entry in world.entries for part in (entry.body, entry.content.body if entry.content else b"")]
    deliveries = [delivery.body for _, delivery in world.deliveries.values()]
    told = [msgspec.json.encode(notice) for notice in stage.told.notices]
    return b"\n".join([*rows, *events, *entries, *deliveries, *told])


@pytest.mark.parametrize("answer", [_says_it, _fails(Rejected), _fails(Unavailable), _fails(InDoubt)])
def test_a_leased_secret_is_found_nowhere_afterwards(answer: Any) -> None:
    async def scene(stage: Stage) -> None:
        assert isinstance(stage, Leaking)
        shown: list[str] = []
        stage.theatre.script["drain"] = [answer] * 5
        stage.theatre.script["undrain"] = [answer] * 5
        stage.theatre.script["restart"] = [Rejected("no such unit")]
        await stage.fire("Down", "web")
        await stage.until(lambda: stage.leased)
        for _ in range(20):
            shown.extend(chunk.text for each in stage.on.runner.live for chunk in stage.on.outputs.of(each))
            await stage.passes(0.05)
        await stage.passes(30)
        assert stage.leased
        assert CANARY.encode() not in everything(stage)
        assert CANARY not in "".join(dict.fromkeys(shown))
        assert CANARY[:10] not in "".join(dict.fromkeys(shown)), "half a secret is one too"

    play(scene, Leaking(house(runbooks={"mend": runbook(WITH_SECRET + RESTART, SECRET)})))


def test_a_secret_is_leased_anew_for_every_step_and_only_when_declared() -> None:
    async def undeclared(invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        return {"value": await around.lease("other")}

    async def scene(stage: Stage) -> None:
        assert isinstance(stage, Leaking)
        stage.theatre.script["drain"] = [undeclared]
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "failed"
        assert run.why == (
            "drain: runbook shop/mend: step drain uses secret 'other', which is not declared under `secrets:`"
        )
        assert stage.leased == 0

    play(scene, Leaking(house(runbooks={"mend": runbook(WITH_SECRET + RESTART, SECRET)})))


def test_every_effect_carries_who_it_is_and_under_which_key() -> None:
    async def scene(stage: Stage) -> None:
        stage.theatre.script["restart"] = [Rejected("no such unit")]
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert len(stage.theatre.sent) == 3
        for each in stage.theatre.sent:
            tags = each.headers()
            assert tags["Watchkeeper-Actor"] == "automation"
            assert tags["Watchkeeper-Run"] == run.id
            assert tags["Watchkeeper-Fence"] == "1"
            assert tags["Idempotency-Key"]
        assert len({each.key for each in stage.theatre.sent}) == 3

    play(scene)


def test_every_intent_and_outcome_is_an_entry_of_the_ledger() -> None:
    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        await stage.passes(2)
        entries = [msgspec.json.decode(row.body) for row in await stage.store.entries_of("run", run.id)]
        assert [each["verdict"] for each in entries] == ["act", "do", "done", "do", "done", "healthy", "succeeded"]

    play(scene)


async def _replayed(rig: Rig) -> int:
    count = 0
    after: str | None = None
    while True:
        page = await rig.store.find("decision", after=after, limit=1000)
        for row in page.items:
            decision = read(row, Decision)
            judged = await rig.store.get("judged", decision.id)
            stored = await rig.store.get("situation", decision.situation)
            assert judged is not None
            assert stored is not None
            beside = read(judged, JudgedRecord)
            found = replay(
                Record(
                    decision=decision,
                    situation=read(stored, Situation),
                    proposal=beside.proposal,
                    untargeted=beside.untargeted,
                )
            )
            assert isinstance(found, Same), found
            count += 1
        after = page.next
        if after is None:
            return count


@pytest.mark.parametrize("seed", range(1, 5))
def test_every_decision_of_a_simulation_is_made_again_just_so(seed: int) -> None:
    async def whole() -> None:
        rig = Rig(seed, 4, simulated_home(4))
        assert compiled(rig.files).digest == rig.configuration.digest
        engine = await rig.boot()
        await rig.trust("shop/down")
        await rig.trust("shop/slow", "approve")
        for number in range(4):
            for alert in ("Down", "Stuck", "Slow"):
                for service in ("svc-0", "svc-1", "billing", "nowhere"):
                    await rig.fire(alert, service, number=number)
            if number == 1:
                until_at = rig.clock.now() + timedelta(seconds=70)
                await engine.limits.hold(ALICE, Scope(service="svc-0"), until_at, "looking")
            if number == 2:
                now = rig.clock.now()
                await engine.limits.freeze(ALICE, Scope(), now, now + timedelta(seconds=50), "month end")
            await asyncio.sleep(40)
            assert not engine.failed, engine.failed
            for approval in tuple(engine.world.approvals.values()):
                await engine.steering.approve(BOB, approval.id, approval.binding, "yes", emergency=True)
        assert await _replayed(rig) > 40
        await engine.stop()

    run_virtual(whole())


def test_an_ask_is_told_at_once_and_a_hold_after_two_minutes() -> None:
    async def scene(stage: Stage) -> None:
        await stage.on.limits.hold(ALICE, Scope(), stage.clock.now() + timedelta(minutes=30), "looking")
        await stage.fire("Down", "web")
        await stage.passes(118)
        assert stage.told.notices == []
        await stage.passes(3)
        assert stage.subjects() == ["Held shop/mend on web"]
        await stage.passes(900)
        assert stage.subjects() == ["Held shop/mend on web"], "once an episode"

    play(scene)


def test_a_hold_that_is_over_in_time_is_no_news() -> None:
    async def scene(stage: Stage) -> None:
        hold = await stage.on.limits.hold(ALICE, Scope(), stage.clock.now() + timedelta(minutes=30), "looking")
        await stage.fire("Down", "web")
        await stage.fire("Down", "cart")
        await stage.passes(60)
        await stage.fire("Down", "cart", status="resolved")
        await stage.passes(30)
        await stage.on.limits.lift_hold(ALICE, hold.id, "seen")
        await stage.ended()
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(120)
        assert stage.subjects() == ["Repaired: shop/mend on web"]
        dropped = await stage.all(Message, state="dropped")
        assert sorted(each.why for each in dropped) == ["It is held no more.", "The alert resolved."]

    play(scene)


def test_a_minor_hold_is_told_to_nobody() -> None:
    async def scene(stage: Stage) -> None:
        await stage.on.limits.hold(ALICE, Scope(), stage.clock.now() + timedelta(minutes=30), "looking")
        await stage.fire("Down", "web", severity="minor")
        await stage.passes(300)
        assert stage.told.notices == []
        await stage.fire("Down", "web", severity="critical")
        await stage.passes(130)
        assert stage.subjects() == ["Held shop/mend on web"], "now it matters"

    play(scene)


class Deaf:
    """A channel that takes nothing for a while."""

    def __init__(self, refusals: int, error: Exception) -> None:
        self.refusals, self.error = refusals, error
        self.notices: list[Any] = []

    async def tell(self, notice: Any, route: Mapping[str, Any]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise self.error
        self.notices.append(notice)


def test_a_channel_that_is_away_is_tried_again_and_degrades_readiness_meanwhile() -> None:
    async def scene(stage: Stage) -> None:
        deaf = Deaf(3, Unavailable("connection refused"))
        stage.on.outbox._channels["webhook"] = deaf
        await stage.fire("Down", "web")
        await stage.ended()
        await stage.passes(2)
        ready, wrong = stage.on.ready()
        assert not ready
        assert wrong == {"telling": {"all": "connection refused"}}
        await stage.passes(10)
        assert [each.subject for each in deaf.notices] == ["Repaired: shop/mend on web"]
        assert stage.on.ready() == (True, {})
        (sent,) = await stage.all(Message)
        assert (sent.state, sent.attempts) == ("sent", 4)

    play(scene)


def test_a_channel_that_refuses_for_good_is_given_up_and_said() -> None:
    async def scene(stage: Stage) -> None:
        stage.on.outbox._channels["webhook"] = Deaf(1, Rejected("410 Gone"))
        await stage.fire("Down", "web")
        await stage.ended()
        await stage.passes(10)
        (lost,) = await stage.all(Message)
        assert (lost.state, lost.why) == ("failed", "410 Gone")
        assert stage.on.ready()[1] == {"telling": {"all": "410 Gone"}}

    play(scene)


def test_a_word_that_was_not_sent_before_a_crash_is_sent_after_it() -> None:
    async def scene(stage: Stage) -> None:
        stage.on.outbox._channels["webhook"] = Deaf(100, Unavailable("away"))
        await stage.fire("Down", "web")
        await stage.ended()
        await stage.fire("Down", "web", status="resolved")
        await stage.passes(3)
        assert stage.told.notices == []
        await stage.crash()
        await stage.passes(60)
        assert stage.subjects() == ["Repaired: shop/mend on web"]

    play(scene)


def test_a_jump_of_the_clock_holds_everything_and_is_over_after_a_minute_of_agreement() -> None:
    async def scene(stage: Stage) -> None:
        await stage.passes(2)
        stage.clock.skew_ms += 31_000
        await stage.passes(1)
        assert "jumped by 31 s" in stage.on.ready()[1]["clock"]
        await stage.fire("Down", "web")
        (held,) = await stage.decided()
        assert held.verdict == "hold"
        assert held.reason == "Wall time cannot be trusted: the clock of this node jumped by 31 s.", held.reason
        await stage.passes(50)
        assert stage.theatre.sent == []
        await stage.ended(within_s=75)

    play(scene)
