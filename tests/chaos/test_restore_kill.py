"""Real processes that restore, start or back up are killed with -9 at any moment: the old, or the new, whole.

`WATCHKEEPER_RESTORE_KILLS` says how many lives, `WATCHKEEPER_SEED` when they end; a failure names its seed.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from restored_home import BEFORE, checkpoints_of, judge, made, restore, start

from watchkeeper import bootstrap
from watchkeeper.adapters.sqlite import backup_file
from watchkeeper.errors import Rejected

FIRST = int(os.environ.get("WATCHKEEPER_SEED", "20260301"))
LIVES = int(os.environ.get("WATCHKEEPER_RESTORE_KILLS", "8"))
COUNTED = os.environ.get("WATCHKEEPER_COUNTED", "")
KILLS_MAX = 3
HERE = Path(__file__).parent

pytestmark = pytest.mark.kills


class Killer:
    def __init__(self) -> None:
        path = os.pathsep.join([str(HERE.parent / "e2e" / "fault_points"), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "killed_restore.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.kills = 0

    def work(self, **asked: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        said["killed"] = os.WIFSIGNALED(said["status"]) and os.WTERMSIG(said["status"]) == signal.SIGKILL
        assert said["killed"] or said["status"] == 0, said
        self.kills += said["killed"]
        return said

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """The home, its backup, who kills, and how much there is to interrupt in a restore and in a backup."""
    folder = tmp_path_factory.mktemp("ground")
    home, source = made(folder)
    shutil.copytree(home, folder / "dry")
    killer = Killer()
    try:
        whole = killer.work(do="restore", home=str(folder / "dry"), source=str(source), root=str(folder / "dry"))
        assert whole["changes"] > 15, "hardly anything to interrupt: the hook does not see it"
        yield home, source, killer, whole
    finally:
        killer.close()
        if COUNTED:
            with Path(COUNTED).open("a", encoding="ascii") as file:
                file.write(json.dumps({"kills": killer.kills}) + "\n")


def moment(dice: Random, whole: dict[str, int]) -> dict[str, int]:
    if dice.random() < 0.6:
        return {"nth": dice.randint(1, whole["changes"])}
    return {"after_us": dice.randint(0, whole["took_us"])}


@pytest.mark.parametrize("seed", range(FIRST, FIRST + LIVES))
def test_killed_in_a_restore_and_in_what_carries_it_on(ground, seed, tmp_path) -> None:
    home, source, killer, whole = ground
    dice, checkpoints, here = Random(seed), checkpoints_of(home), tmp_path / "home"
    shutil.copytree(home, here)
    told = False
    for life in range(KILLS_MAX):
        do = "start" if life and dice.random() < 0.5 else "restore"
        said = killer.work(do=do, home=str(here), source=str(source), root=str(here), **moment(dice, whole))
        told = told or (do == "restore" and not said["killed"])
    try:
        epoch = asyncio.run(judge(here, checkpoints, decided=told))
        asyncio.run(restore(here, source))
        words, after, left = asyncio.run(start(here))
        assert (words, after, left) == (BEFORE, epoch + 1, "")
    except AssertionError as broken:
        raise AssertionError(f"seed {seed}: {broken}") from broken


@pytest.mark.parametrize("seed", range(FIRST, FIRST + LIVES))
def test_killed_as_a_backup_is_kept(ground, seed, tmp_path) -> None:
    _, source, killer, whole = ground
    dice, target = Random(seed), tmp_path / "backups" / "nightly.tar"
    target.parent.mkdir()
    at = {"nth": dice.randint(1, 8)} if dice.random() < 0.6 else {"after_us": dice.randint(0, whole["took_us"])}
    said = killer.work(do="backup", source=str(source), target=str(target), root=str(target.parent), **at)
    assert target.exists() or said["killed"], f"seed {seed}: it had said that it was written"
    if target.exists():
        bootstrap.check_backup(target, tmp_path)
        return
    for path in target.parent.iterdir():
        if path.is_file() and path.name.endswith(backup_file.PART):
            with pytest.raises(Rejected, match="interrupted backup"):
                bootstrap.check_backup(path, tmp_path)
            with pytest.raises(Rejected, match="interrupted backup"):
                asyncio.run(restore(tmp_path / "home", path))
    bootstrap.keep_backup(target, lambda file: file.write(source.read_bytes()))
    found = {path.name for path in target.parent.iterdir()}
    assert found == {"nightly.tar", "nightly.tar.checkpoint"}, f"seed {seed}: {found}"
