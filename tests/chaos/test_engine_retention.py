"""What is kept goes when its time is over, on both sides of each limit; what is still needed stays; a hold keeps all."""

from stage import SETTINGS, Stage, house, play

from watchkeeper.correlate.alert import Alert
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.answer import No
from watchkeeper.engine.ledger_reading import LedgerReader
from watchkeeper.engine.reading import Reader
from watchkeeper.engine.records import JudgedRecord, RunRecord, Tombstone
from watchkeeper.engine.replaying import Replayer
from watchkeeper.execute.run import Done
from watchkeeper.guards.situation import Situation
from watchkeeper.home.settings import DAY_MS
from watchkeeper.signals.signal import Signal

HOUR_MS = 3_600_000


def days(stage: Stage, count: int, hours: int) -> None:
    """The wall goes on; nothing of the engine runs meanwhile."""
    stage.clock.skew_ms = count * DAY_MS + hours * HOUR_MS


async def repaired(stage: Stage) -> RunRecord:
    await stage.fire("Down", "web")
    found = (await stage.ended())[0]
    await stage.fire("Down", "web", status="resolved")
    await stage.passes(5)
    return found


async def forgotten(stage: Stage) -> None:
    """A day after its end an incident leaves memory: only then may anything of it go."""
    stage.on.pipeline.forget()
    assert not list(stage.on.correlation.alerts())


def test_signals_are_kept_for_thirty_days_and_leave_a_tombstone():
    async def scene(stage: Stage) -> None:
        await repaired(stage)
        days(stage, 29, 23)
        await forgotten(stage)
        assert not (await stage.on.sweeper.sweep())["signal"]
        assert len(await stage.all(Signal)) == 2
        days(stage, 30, 1)
        gone = await stage.on.sweeper.sweep()
        assert gone["signal"] == 2
        assert gone["delivery"] == 2
        assert not await stage.all(Signal)
        assert len(await stage.all(Decision)) == 1
        said = {each.kind: each for each in await stage.all(Tombstone)}
        assert said["signal"].rows == 2
        assert said["signal"].why == "retention.signals"

    play(scene)


def test_situations_and_findings_are_kept_for_four_hundred_days_and_their_absence_is_explained():
    async def scene(stage: Stage) -> None:
        await repaired(stage)
        decision = (await stage.decisions())[0]
        reader, replayer = Reader(stage.on), Replayer(stage.on)
        days(stage, 399, 23)
        await forgotten(stage)
        await stage.on.sweeper.sweep()
        assert len(await stage.all(Situation)) == 1
        days(stage, 400, 1)
        await stage.on.sweeper.sweep()
        for kind in (Situation, JudgedRecord, Decision, RunRecord, Alert):
            assert not await stage.all(kind), kind
        found = await reader.explain(decision.id)
        assert isinstance(found, No)
        assert found.status == 410
        assert "(act): kept for 400d, until 2027-04-06; gone since 2027-04-06T" in found.detail
        replayed = await replayer.replay(decision.id)
        assert isinstance(replayed, No)
        assert replayed.status == 410
        never = await reader.explain("dec_019ca8d6-5940-7c45-8a57-67cb84d6f8b6")
        assert isinstance(never, No)
        assert never.status == 404
        assert (await LedgerReader(stage.on).verify()).ok

    play(scene)


def test_outputs_are_kept_for_ninety_days_and_their_run_stays_readable():
    async def scene(stage: Stage) -> None:
        stage.theatre.script["drain"].append({"status": 200, "body": "all drained"})
        run = await repaired(stage)
        days(stage, 89, 23)
        await forgotten(stage)
        assert not (await stage.on.sweeper.sweep())["output"]
        days(stage, 90, 1)
        assert (await stage.on.sweeper.sweep())["output"] == 2
        assert not (await stage.on.sweeper.sweep())["output"], "what went once is not looked at again"
        done = [each for each in await stage.journal(run.id) if isinstance(each, Done)]
        assert [list(each.output) for each in done] == [["gone"], ["gone"]]
        assert "kept for 90d" in done[0].output["gone"]
        shown = await Reader(stage.on).run(run.id)
        assert not isinstance(shown, No)
        assert [each["status"] for each in shown["steps"]] == ["done", "done", "done"]

    play(scene)


def test_what_still_fires_keeps_its_signals_decision_and_run_whatever_their_age():
    async def scene(stage: Stage) -> None:
        stage.theatre.heals = False
        stage.theatre.status["web"] = 500
        await stage.fire("Down", "web")
        await stage.ended()
        days(stage, 500, 0)
        gone = await stage.on.sweeper.sweep()
        assert not {"signal", "decision", "run", "alert", "incident"} & set(gone)
        assert await stage.all(Signal)
        assert await stage.all(Situation)

    play(scene)


def test_a_legal_hold_keeps_everything():
    held = house(settings=SETTINGS + "retention: {legal_hold: true}\n")

    async def scene(stage: Stage) -> None:
        await repaired(stage)
        days(stage, 500, 0)
        await forgotten(stage)
        assert not await stage.on.sweeper.sweep()
        assert not await stage.on.sweeper.press()
        assert len(await stage.all(Signal)) == 2
        assert not await stage.all(Tombstone)

    play(scene, Stage(held))
