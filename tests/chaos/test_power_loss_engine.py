"""The power goes under the whole engine, with effects in its hands: what was not synced is lost, then it starts again.

At a target that honours keys every effect happened exactly once; at one that does not, nothing whose outcome was unknown
was sent again; nothing that was accepted is lost; every run ends, or a person is asked.
"""

import asyncio
import contextlib
import os
from random import Random

import pytest
from losing_disk import LosingDisk
from rig import ALICE, Rig
from test_simulation import run_is_right

from watchkeeper.adapters.sqlite import SqliteStore
from watchkeeper.correlate.alert import Alert
from watchkeeper.engine.records import RunRecord, read
from watchkeeper.errors import WatchkeeperError

FIRST = int(os.environ.get("WATCHKEEPER_SEED", "20260301"))
CUTS = min(int(os.environ.get("WATCHKEEPER_KILLS", "6")), 30)
LIFE_S = 20.0


async def _until(what, within_s: float) -> bool:
    for _ in range(int(within_s / 0.02)):
        if what():
            return True
        await asyncio.sleep(0.02)
    return False


async def _play(seed: int, folder) -> tuple[bool, int]:
    """One life that ends with the power, one that takes up what it left. Whether it went, and how many effects there were."""
    dice = Random(seed)
    rig = Rig(seed)
    rig.fleet.moody = 0.1
    disk = LosingDisk()
    died: list[str] = []
    rig.store = SqliteStore.open(folder, die=died.append, vfs=disk.name)
    accepted: list[tuple[str, str]] = []
    with contextlib.suppress(WatchkeeperError, AssertionError):
        await rig.boot()
        await rig.trust("shop/down")
        await rig.trust("shop/stuck")
        disk.cut = disk.operations + dice.randint(5, 260)
        for number in range(12):
            alert, service = ("Down", "Stuck")[number % 2], f"svc-{number % 4}"
            await rig.fire(alert, service, number=number)
            accepted.append((alert, service))
            await asyncio.sleep(dice.choice((0.0, 0.05, 0.3)))
        await _until(lambda: disk.off, 5.0)
    went = disk.off
    if rig.engine is not None:
        await rig.engine.stop()
    with contextlib.suppress(WatchkeeperError):
        await rig.store.close()
    for target in rig.fleet.targets.values():
        target.acting.clear()

    rig.fleet.moody = 0.0
    again = LosingDisk(disk.after(dice))
    rig.store = SqliteStore.open(folder, die=died.append, vfs=again.name)
    rig.boots = 1 if await rig.store.count("activation") else 0
    engine = await rig.boot()
    for _ in range(int(LIFE_S / 0.02)):
        if not await rig.store.deliveries(1):
            break
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)  # what was taken apart is judged, and its runs are open
    assert await _until(lambda: all(live.run.doubts for live in engine.runner.live.values()), LIFE_S), {
        name: live.run.status for name, live in engine.runner.live.items()
    }
    for name, live in tuple(engine.runner.live.items()):
        for path in tuple(live.run.doubts):
            await engine.steering.settle(ALICE, name, path, "looked", happened=True)
    assert await _until(lambda: not engine.runner.live, LIFE_S), tuple(engine.runner.live)
    assert not engine.failed, engine.failed
    await _judge(rig, accepted)
    await engine.stop()
    await rig.store.close()
    return went, sum(sum(target.effects.values()) for target in rig.fleet.targets.values())


async def _judge(rig: Rig, accepted: list[tuple[str, str]]) -> None:
    kept = [read(row, Alert) for row in (await rig.store.find("alert", limit=1000)).items]
    known = {(each.labels["alertname"], each.labels["service"]) for each in kept}
    assert set(accepted) <= known, f"accepted and lost: {set(accepted) - known}"
    for row in (await rig.store.find("run", limit=1000)).items:
        record = read(row, RunRecord)
        await run_is_right(rig, record)
    for name, target in rig.fleet.targets.items():
        again = {key: count for key, count in target.effects.items() if target.honours and count != 1}
        assert not again, f"{name} honours keys, and one took effect twice: {again}"


@pytest.mark.timeout(1800)
async def test_the_power_goes_under_the_whole_engine(tmp_path):
    went = effects = 0
    for seed in range(FIRST, FIRST + CUTS):
        folder = tmp_path / str(seed)
        try:
            gone, acted = await _play(seed, folder)
        except AssertionError as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
        went += gone
        effects += acted
    assert went >= CUTS // 2, f"the power went in {went} of {CUTS} lives only: the cuts come too late"
    assert effects > CUTS, "hardly anything was sent: the test proves little"
