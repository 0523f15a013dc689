"""What was accepted and not taken apart counts against the bound: not what was never stored, and also what an earlier process left."""

import pytest
from stage import Stage, play

from watchkeeper.errors import Unavailable
from watchkeeper.ports import Commit, Committed, Refused


async def refused(_: Commit) -> Committed | Refused:
    raise Unavailable("store: the disk is full")


def test_a_delivery_that_the_store_would_not_take_does_not_wait_to_be_taken_apart() -> None:
    async def scene(stage: Stage) -> None:
        takes = stage.store.commit
        stage.store.commit = refused  # type: ignore[method-assign]
        for number in range(3):
            with pytest.raises(Unavailable, match="the disk is full"):
                await stage.fire("Down", "web", number=number)
        stage.store.commit = takes  # type: ignore[method-assign]
        assert stage.on.intake.pending == 0, "else hooks answer 503 for ever after a disk was full for a while"
        await stage.fire("Down", "web")
        assert stage.on.intake.pending == 1
        await stage.decided(1)
        assert stage.on.intake.pending == 0

    play(scene)


def test_what_an_earlier_process_left_counts_after_a_start() -> None:
    async def scene(stage: Stage) -> None:
        async with stage.on.pipeline.turn:  # nothing is taken apart meanwhile
            for number in range(5):
                await stage.fire("Down", "web", number=number)
            await stage.on.stop()
            stage.store = stage.store.reopened()
        engine = await stage.boot()
        assert engine.intake.pending + engine.pipeline.taken == 5
        await stage.until(lambda: engine.pipeline.taken == 5)
        assert engine.intake.pending == 0

    play(scene)
