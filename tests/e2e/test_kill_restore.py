"""The real commands killed with -9: `wk store backup`, the node that serves it, and `wk restore`. What a person reads next
is looked at too.
"""

import contextlib
import os
import pwd
import subprocess
from pathlib import Path

import kill_home
import pytest
from real_node import WK, Node, until

from watchkeeper.errors import WatchkeeperError
from watchkeeper.surface.client import NoNode

pytestmark = [pytest.mark.kills, pytest.mark.timeout(0)]

USER = pwd.getpwuid(os.getuid()).pw_name
KILLED = -9


class Cut(Exception):
    pass


class Cuts:
    """A file that does something else at its first piece."""

    def __init__(self, what) -> None:
        self.what = what

    def write(self, _piece: bytes) -> None:
        self.what()
        raise Cut


def killed(node: Node, root: Path, at: str, *words: str) -> None:
    environment = {**node.environment(), "WATCHKEEPER_KILL_NTH": f"{root}|{at}"}
    argv = [str(WK), "--home", str(node.home), *words]
    said = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == KILLED, (at, said.returncode, said.stdout, said.stderr)


def copies(node: Node) -> list[Path]:
    return list((node.home / ".watchkeeper").glob("backup-*"))


def test_what_is_killed_leaves_nothing_by_half_and_says_what_to_do(tmp_path) -> None:
    home = tmp_path / "home"
    kill_home.write(home, 9, ["svc-0"], USER)
    node = Node(home)
    try:
        restores(node, backups(node, tmp_path / "backups"))
    finally:
        if node.process is not None:
            node.kill()


def backups(node: Node, folder: Path) -> Path:
    """Killed as it is asked for, as it is looked at, and with its node. A whole one, and a node that is down."""
    folder.mkdir()
    target = folder / "nightly.tar"
    node.up()
    for at in ("|2", ".check-|2"):  # when it has all of it; as it is looked at
        killed(node, folder, at, "store", "backup", str(target))
        assert not target.exists()
        assert (folder / ".nightly.tar.part").exists()
        until(lambda: not copies(node), "the node takes away the copy that nobody waits for any more")
    said = node.wk("restore", str(folder / ".nightly.tar.part"), "--check")
    assert said.returncode == 1, said
    assert "is what an interrupted backup left" in said.stderr
    said = node.wk("store", "backup", str(target))
    assert said.returncode == 0, said.stderr
    assert {path.name for path in folder.iterdir()} == {"nightly.tar", "nightly.tar.checkpoint"}
    with pytest.raises(Cut):
        node.client.download("/store/backup", {}, Cuts(lambda: None))
    until(lambda: not copies(node), "who asked went away, and its copy with them")
    with contextlib.suppress(Cut, WatchkeeperError, NoNode):
        node.client.download("/store/backup", {}, Cuts(node.kill))
    assert node.process is None
    return target


def restores(node: Node, target: Path) -> None:
    """Killed before it decided and after it, and the next start says which."""
    state = node.home / ".watchkeeper"
    restore = ("restore", str(target), "--reason", "the disk died", "--yes")

    killed(node, state, "restore.new|3", *restore)
    node.up()
    assert "interrupted before it decided" in node.log.read_text()
    assert "run 'wk restore FILE' again" in node.last_words()
    assert node.client.get("/status")["epoch"] == 0
    assert not (state / "restore.new").exists()
    assert not copies(node), "of a backup whose node was killed"
    node.down()

    killed(node, state, "restore.ready|1", *restore)
    node.up()
    assert "has been carried on" in node.log.read_text()
    assert "wk resume --after-restore" in node.last_words()
    assert node.client.get("/status")["epoch"] == 1
    assert node.client.post("/ledger/verify", {})["ok"]
    refused = node.wk(*restore)
    assert refused.returncode == 3
    assert "owns it" in refused.stderr
    node.down()

    said = node.wk(*restore)
    assert said.returncode == 0, said.stderr
    assert "epoch 2" in said.stdout
