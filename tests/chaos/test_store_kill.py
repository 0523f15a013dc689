"""A real process is killed as it writes: nothing it acknowledged is missing, and nothing is there by half.

`WATCHKEEPER_KILLS` says how often, `WATCHKEEPER_SEED` when.
"""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from watchkeeper.adapters.sqlite import SqliteStore
from watchkeeper.errors import Unavailable

FIRST = int(os.environ.get("WATCHKEEPER_SEED", "20260301"))
AT = datetime(2026, 3, 1, tzinfo=UTC)
KILLS = int(os.environ.get("WATCHKEEPER_KILLS", "6"))

CHILD = """
import asyncio, itertools, os, pathlib, sys
from datetime import UTC, datetime
from watchkeeper.adapters.sqlite import SqliteStore
from watchkeeper.ledger.entry import seal
from watchkeeper.ports import Append, Claim, Commit, Committed, Put

AT, life = datetime(2026, 3, 1, tzinfo=UTC), sys.argv[2]

async def main():
    store = SqliteStore.open(pathlib.Path(sys.argv[1]))
    counter = itertools.count()
    async def client():
        for number in counter:
            name = f"{life}-{number}"
            sealed = seal("intent", {"run": name}, at=AT, actor="a", verdict="act", content={}, salt=os.urandom(16))
            answer = await store.commit(Commit(
                at=AT, bumps=("all",), puts=(Put(kind="run", id=name, body=name.encode() * 50, expect=0),),
                appends=(Append(run=name, number=1, body=b"x"),), claims=(Claim(key=name, run=name, limit=1),),
                entries=(sealed,)))
            assert isinstance(answer, Committed)
            os.write(1, f"{name}\\n".encode())
    async def sequencer():
        while True:
            await store.integrate()
            await asyncio.sleep(0)
    await asyncio.gather(sequencer(), *(client() for _ in range(8)))

asyncio.run(main())
"""


def killed_after(folder: Path, life: int, lines: int) -> list[str]:
    """The ids a child acknowledged, killed once it had acknowledged that many."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(life)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(lines)]
    child.send_signal(signal.SIGKILL)
    told += child.stdout.readlines()
    child.stdout.close()
    child.wait()
    return [line.decode().strip() for line in told if line.endswith(b"\n")]


async def judge(folder: Path, told: set[str]) -> None:
    store = SqliteStore.open(folder)
    try:
        await store.integrate()
        rows = await store.entries(0, 10_000)
        while rows and (more := await store.entries(rows[-1].index + 1, 10_000)):
            rows += more
        entries = {row.body.split(b'"run":"')[1].split(b'"')[0].decode() for row in rows}
        claims = {claim.key for claim in await store.claims(AT)}
        runs, cursor = {}, None
        while True:
            page = await store.find("run", after=cursor, limit=1_000)
            runs |= {row.id: row.body for row in page.items}
            if (cursor := page.next) is None:
                break
        assert told <= set(runs), f"{len(told - set(runs))} acknowledged and not there"
        assert set(runs) == entries == claims
        assert all(body == name.encode() * 50 for name, body in runs.items())
        assert (await store.versions())["all"] == len(runs)
        assert all([await store.journal(name) == (b"x",) for name in runs])
    finally:
        await store.close()


@pytest.mark.kills
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path) -> None:
    dice, told = Random(FIRST), set[str]()
    for life in range(KILLS):
        fresh = killed_after(tmp_path / "state", life, dice.randint(1, 400))
        assert fresh, f"seed {FIRST}, life {life}: acknowledged nothing"
        told |= set(fresh)
        try:
            asyncio.run(judge(tmp_path / "state", told))
        except (AssertionError, Unavailable) as lost:
            raise AssertionError(f"seed {FIRST}, life {life}: {lost}") from lost
