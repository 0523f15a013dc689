"""The power goes in a restore, and again in what carries it on; in a backup as it is kept: the old, or the new, whole.

`WATCHKEEPER_SEED` sets the first seed, `WATCHKEEPER_SEEDS` how many follow (a twentieth of what the store gets: each is a
few lives of a whole home); a failure names its seed.
"""

import asyncio
import os
import shutil
from pathlib import Path
from random import Random

import pytest
from losing_folder import LosingFolder, PowerCut
from restored_home import BEFORE, checkpoints_of, judge, made, restore, start

from watchkeeper.adapters.sqlite import backup_file, place, swap
from watchkeeper.errors import Rejected

FIRST = int(os.environ.get("WATCHKEEPER_SEED", "20260301"))
SEEDS = int(os.environ.get("WATCHKEEPER_RESTORES", "12"))
CUTS_MAX = 3
MUTANT_SEEDS_MAX = 60
CHECKPOINT = swap.BESIDE[0]


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """The home and its backup, and how many operations a restore of it takes."""
    folder = tmp_path_factory.mktemp("ground")
    home, source = made(folder)
    shutil.copytree(home, folder / "dry")
    disk = LosingFolder(folder / "dry")
    with disk.watched():
        asyncio.run(restore(folder / "dry", source))
    return home, source, disk.operations


def play(ground, tmp: Path, seed: int) -> int:
    """Restores and starts, each perhaps cut, until one was not. How often the power went."""
    home, source, operations = ground
    dice, checkpoints = Random(seed), checkpoints_of(home)
    here, told = tmp / "home", False
    shutil.copytree(home, here)
    for life in range(CUTS_MAX):
        disk = LosingFolder(here, dice.randint(1, operations))
        carries_on = life > 0 and dice.random() < 0.5  # by the next start, not by another restore
        try:
            with disk.watched():
                if carries_on:
                    swap.finish(here / ".watchkeeper")
                else:
                    asyncio.run(restore(here, source))
                    told = True
        except PowerCut:
            pass
        else:
            break
        disk.after(tmp / "after", dice)
        shutil.rmtree(here)
        (tmp / "after").rename(here)
    epoch = asyncio.run(judge(here, checkpoints, decided=told))
    asyncio.run(restore(here, source))
    words, after, said = asyncio.run(start(here))
    assert (words, said) == (BEFORE, "")
    assert after == epoch + 1, "each restore is an epoch of its own"
    return life


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_the_power_goes_in_a_restore(ground, seed, tmp_path) -> None:
    try:
        play(ground, tmp_path, seed)
    except AssertionError as broken:
        raise AssertionError(f"seed {seed}: {broken}") from broken


@pytest.mark.parametrize("without", ["sync", "settle"])
def test_a_restore_that_does_not_wait_for_the_disk_is_seen_to_lose(ground, without, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(place, without, lambda _: None)
    for seed in range(FIRST, FIRST + MUTANT_SEEDS_MAX):
        try:
            play(ground, tmp_path / str(seed), seed)
        except Exception:  # noqa: BLE001  a damaged home may break whoever reads it
            return
    pytest.fail(f"lost nothing in {MUTANT_SEEDS_MAX} seeds")


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_the_power_goes_as_a_backup_is_kept(ground, seed, tmp_path) -> None:
    body, dice = ground[1].read_bytes(), Random(seed)
    folder = tmp_path / "backups"
    folder.mkdir()
    disk = LosingFolder(folder, dice.randint(1, 12))
    told = False
    try:
        with disk.watched():
            backup_file.write(folder / "nightly.tar", lambda file: file.write(body))
            told = True
    except PowerCut:
        pass
    after = tmp_path / "after"
    disk.after(after, dice)
    target = after / "nightly.tar"
    assert target.exists() >= told, f"seed {seed}: it had said that it was written"
    if target.exists():
        found = backup_file.look(target, after)
        assert (after / "nightly.tar.checkpoint").read_text() == found.checkpoint, f"seed {seed}"
        return
    for path in after.iterdir():
        if path.name.endswith(backup_file.PART):
            with pytest.raises(Rejected, match="interrupted backup"):
                backup_file.refuse_part(path)
    backup_file.write(target, lambda file: file.write(body))
    assert {path.name for path in after.iterdir()} == {"nightly.tar", "nightly.tar.checkpoint"}, f"seed {seed}"
