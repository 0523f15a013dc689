"""After a restore: runs in doubt until a person says, approvals void, automation held until an admin resumes it."""

from stage import ALICE, Stage, house, play, rule

from watchkeeper.approve.approval import State
from watchkeeper.approve.people import Actor
from watchkeeper.engine.answer import No
from watchkeeper.engine.ledger_reading import LedgerReader
from watchkeeper.engine.restoring import Lost, Outcome, restored
from watchkeeper.engine.scribe import Scribe
from watchkeeper.execute.run import NoLongerNeeded
from watchkeeper.ledger.entry import Kind
from watchkeeper.ledger.entry import read as read_entry

CAROL = Actor(name="carol", roles=frozenset({"operator"}), identity="idn_c")


async def put_back(stage: Stage, lost: Lost | None = None) -> Outcome:
    """The process ends; its store is one that was put back; the next process opens it."""
    await stage.on.stop()
    stage.store = stage.store.reopened()
    scribe = Scribe(stage.store, stage.clock, stage._dice)
    outcome = await restored(
        scribe, by="local:alice", reason="disk died", made_at=stage.clock.now(), lost=lost or Lost()
    )
    stage.store = stage.store.reopened()
    await stage.boot()
    return outcome


async def under_way(stage: Stage) -> str:
    """A run whose first effect was sent, and whose second is under way."""
    stage.theatre.takes_s["restart"] = 60
    await stage.fire("Down", "web")
    await stage.until(lambda: "restart" in stage.theatre.verbs())
    return next(iter(stage.on.runner.live))


def test_an_open_run_is_in_doubt_and_does_nothing_until_a_person_resumes_it():
    async def scene(stage: Stage) -> None:
        run = await under_way(stage)
        outcome = await put_back(stage)
        assert outcome.runs == (run,)
        assert outcome.epoch == 1
        assert stage.on.world.epoch == 1
        sent = len(stage.theatre.sent)
        await stage.passes(120)
        live = stage.on.runner.live[run]
        assert live.run.status == "in_doubt"
        assert len(stage.theatre.sent) == sent, "nothing is sent, probed or repeated"
        assert any(
            each.startswith("In doubt since the restore: shop/mend on web") for each in stage.subjects("in_doubt")
        )
        stage.theatre.takes_s.clear()
        resumed = await stage.on.limits.resume_after_restore(ALICE, "looked at web")
        assert not isinstance(resumed, No), resumed
        await stage.passes(60)
        assert live.run.status == "in_doubt", "the run waits for its own word"
        assert not isinstance(await stage.on.steering.resume(ALICE, run, "restart did not happen"), No)
        record = (await stage.ended())[0]
        assert record.status == "succeeded"

    play(scene)


def test_a_run_that_never_began_stays_in_doubt_even_when_its_alert_is_over():
    async def scene(stage: Stage) -> None:
        run = await under_way(stage)
        await put_back(stage)
        await stage.fire("Down", "web", status="resolved")
        stage.on.runner.live[run].mailbox.put_nowait(NoLongerNeeded(at=stage.clock.now(), why="over"))
        await stage.passes(30)
        assert stage.on.runner.live[run].run.status == "in_doubt"
        no = await stage.on.steering.cancel(ALICE, run, "tidy")
        assert isinstance(no, No)
        assert "resume or close it" in no.detail
        assert not isinstance(await stage.on.steering.close(ALICE, run, "done by hand"), No)
        assert (await stage.ended())[0].status == "closed"

    play(scene)


def test_approvals_are_void_and_automation_is_held_until_an_admin_resumes_it():
    asks = house(rules={"down": rule(ceiling="approve")})

    async def scene(stage: Stage) -> None:
        await stage.fire("Down", "web")
        await stage.until(lambda: stage.on.world.approvals)
        card = next(iter(stage.on.world.approvals))
        outcome = await put_back(stage, Lost(size=10_000, checkpoint="kept"))
        assert outcome.approvals == 1
        assert outcome.entries_lost == 10_000 - outcome.size
        found = {each.id: each for each in await stage.approvals()}
        assert found[card].state is State.VOID
        assert "restored" in found[card].why
        await stage.decided(2)
        last = (await stage.decisions())[-1]
        assert last.verdict == "hold"
        assert "The store was restored at" in last.reason
        assert not stage.theatre.sent
        await stage.until(lambda: stage.subjects("restored"))
        assert "Automation is held: the store was restored from a backup" in stage.subjects("restored")
        hold = next(iter(stage.on.world.holds))
        for refused in (
            await stage.on.limits.lift_hold(ALICE, hold, "no"),
            await stage.on.limits.extend(ALICE, hold, stage.clock.now()),
        ):
            assert isinstance(refused, No)
            assert "wk resume --after-restore" in refused.detail
        assert not isinstance(await stage.on.limits.resume_after_restore(ALICE, "looked"), No)
        await stage.until(lambda: stage.on.world.approvals)
        again = await stage.on.limits.resume_after_restore(ALICE, "again")
        assert isinstance(again, No)
        assert again.status == 409

    play(scene, Stage(asks))


def test_the_restore_and_the_resume_are_on_record_and_the_record_is_whole():
    async def scene(stage: Stage) -> None:
        await put_back(stage)
        await stage.on.limits.resume_after_restore(ALICE, "looked")
        reader = LedgerReader(stage.on)
        assert (await reader.verify()).ok
        size = await stage.store.tree_size()
        kinds = [read_entry(row.body).kind for row in await stage.store.entries(0, size)]
        assert kinds[-2:] == [Kind.RESTORE, Kind.RESUME]

    play(scene)
