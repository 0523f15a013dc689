"""Between a write and its answer others decide: a limit binds from the moment it is asked for, and versions only rise."""

import asyncio
from datetime import timedelta

import pytest
from rig import ALICE, Rig
from virtual import run

from watchkeeper.errors import Unavailable
from watchkeeper.guards.situation import Hold, Scope
from watchkeeper.ports import Commit


def _slow_first(rig: Rig):
    """The answer to the first commit is heard after that to the second."""
    commit, waits = rig.store.commit, iter((0.2, 0.0))

    async def late(wanted):
        answer = await commit(wanted)
        await asyncio.sleep(next(waits, 0.0))
        return answer

    return late


def test_a_version_never_falls_back_when_answers_are_heard_in_another_order():
    async def scene():
        rig = Rig(1)
        engine = await rig.boot()
        before = engine.scribe.versions.get("hold", 0)
        rig.store.commit = _slow_first(rig)
        both = [engine.scribe.commit(Commit(at=rig.clock.now(), bumps=("hold",))) for _ in range(2)]
        await asyncio.gather(*both)
        assert engine.scribe.versions["hold"] == before + 2

    run(scene())


def test_a_hold_binds_before_its_answer_is_heard():
    async def scene():
        rig = Rig(1)
        rig.fleet.moody = 0.0
        engine = await rig.boot()
        await rig.trust("shop/down")
        rig.store.commit = _slow_first(rig)
        until_at = rig.clock.now() + timedelta(minutes=10)
        asked = asyncio.create_task(engine.limits.hold(ALICE, Scope(), until_at, "looking"))
        await asyncio.sleep(0.01)
        assert not asked.done()
        # Another write of the same kind is heard first, so the version known here is already the newest.
        await engine.scribe.commit(Commit(at=rig.clock.now(), bumps=("hold",)))
        await rig.fire("Down", "svc-0")
        await asyncio.sleep(30)
        assert isinstance(asked.result(), Hold)
        assert not rig.fleet.targets["svc-0"].arrived

    run(scene())


def test_a_hold_that_the_store_does_not_take_does_not_bind():
    async def scene():
        rig = Rig(1)
        engine = await rig.boot()
        commit = rig.store.commit

        async def full(_wanted):
            raise Unavailable("the queue is full")

        rig.store.commit = full
        until_at = rig.clock.now() + timedelta(minutes=10)
        with pytest.raises(Unavailable):
            await engine.limits.hold(ALICE, Scope(), until_at, "looking")
        rig.store.commit = commit
        assert not engine.world.holds

    run(scene())
