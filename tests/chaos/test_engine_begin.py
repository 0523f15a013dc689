"""A run begins in the commit that admits it, unless something stands in the way of its start."""

from datetime import timedelta
from typing import Any

from stage import ALICE, MEND, SETTINGS, Stage, house, play, runbook

from watchkeeper.execute.run import Intended, Opened, Started, StepDue
from watchkeeper.guards.situation import Scope
from watchkeeper.ports import Commit

DENIED = MEND.replace("{method: POST", """{method: "${alert.name == 'Down' ? 'DELETE' : 'POST'}\"""", 1)


def _commits(stage: Stage) -> list[Commit]:
    """Every commit from now on, as the store is asked for it."""
    seen: list[Commit] = []
    commit = stage.on.scribe.commit

    async def watched(asked: Commit) -> Any:
        seen.append(asked)
        return await commit(asked)

    stage.on.scribe.commit = watched
    return seen


def test_decision_start_and_first_intent_are_one_commit() -> None:
    async def scene(stage: Stage) -> None:
        seen = _commits(stage)
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "succeeded"
        (first,) = [each for each in seen if any(event.number == 0 for event in each.appends)]
        assert [event.number for event in first.appends] == list(range(len(first.appends)))
        events = (await stage.journal(run.id))[: len(first.appends)]
        assert [type(event) for event in events] == [Opened, Started, StepDue, Intended]
        assert [entry.kind for entry, _ in first.entries] == ["decision", "intent"]
        assert [each.keys["status"] for each in first.puts if each.kind == "run"] == ["running"]
        assert {"stop", "hold", "freeze", "epoch", "exclusion"} <= {key for key, _ in first.expects}

    play(scene)


def test_a_stop_that_comes_between_reading_and_admission_admits_nothing() -> None:
    async def scene(stage: Stage) -> None:
        engine = stage.on
        begin, stopped = engine.begin, []

        def overtaken(*what: Any) -> Any:
            found = begin(*what)
            if not stopped:  # the version moves in the store, before this decision is asked for there
                stopped.append(engine.store.commit(Commit(at=stage.clock.now(), bumps=("stop",))))
            return found

        engine.begin = overtaken
        commit = engine.scribe.commit

        async def after(asked: Commit) -> Any:
            while stopped and stopped[-1] is not None:
                waits = stopped[-1]
                stopped[-1] = None
                outcome = await waits
                engine.scribe.versions.update(outcome.versions)
            return await commit(asked)

        engine.scribe.commit = after
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "succeeded"
        assert len(await stage.decisions()) == 1, "the first was refused whole: no run, no intent, no entry of it"
        assert len(stage.theatre.sent) == len({each.key for each in stage.theatre.sent})
        numbers = (await stage.decisions())[0].versions
        assert numbers["stop"] == 1

    play(scene)


def test_a_step_that_is_denied_is_admitted_alone_and_sends_nothing() -> None:
    async def scene(stage: Stage) -> None:
        seen = _commits(stage)
        await stage.fire("Down", "web")
        (run,) = await stage.ended()
        assert run.status == "failed"
        assert stage.theatre.sent == []
        (first,) = [each for each in seen if any(event.number == 0 for event in each.appends)]
        assert len(first.appends) == 1

    settings = f"{SETTINGS}autonomy: {{risk: {{high: auto}}}}\n"
    play(scene, Stage(house(runbooks={"mend": runbook(DENIED, "  on_failure: stay\n")}, settings=settings)))


def test_a_hold_before_the_alert_admits_no_run() -> None:
    async def scene(stage: Stage) -> None:
        seen = _commits(stage)
        await stage.on.limits.hold(ALICE, Scope(), stage.clock.now() + timedelta(minutes=30), "looking")
        await stage.fire("Down", "web")
        (held,) = await stage.decided()
        assert held.verdict == "hold"
        assert not [each for each in seen if each.appends]

    play(scene)
