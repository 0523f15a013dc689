"""A real store with a small limit: outputs give way, hooks answer later, people are told, and it ends by itself."""

import asyncio

import msgspec
import pytest

from served import HOME, SETTINGS, Served, alerts
from watchkeeper.adapters.sqlite import SqliteStore
from watchkeeper.engine.room import Room
from watchkeeper.ports import Commit, Committed, Drop, Forget, Put

MOST = 8 * 1024 * 1024
FILES = {**HOME, "watchkeeper.yaml": (SETTINGS + "store: {disk_max: 8MiB}\n").encode()}


@pytest.fixture
async def node(tmp_path):
    store = SqliteStore.open(tmp_path / "state")
    found = Served(FILES, store)
    await found.start()
    try:
        yield found
    finally:
        await found.engine.stop()
        await store.close()


async def fill(node, share: int) -> list[str]:
    """Until so many percent are used; the ids of what fills it."""
    made = []
    while (await node.store.used_bytes()) * 100 < share * MOST:
        made.append(f"fill{len(made)}")
        put = Put(kind="import", id=made[-1], body=b"x" * 40_000)
        assert isinstance(await node.store.commit(Commit(at=node.clock.now(), puts=(put,))), Committed)
    return made


async def empty(node, made: list[str]) -> None:
    drops = tuple(Drop(kind="import", id=each) for each in made)
    await node.store.forget(Forget(commit=Commit(at=node.clock.now(), drops=drops)))


async def post(client, number: int = 0):
    return await client.post("/hooks/alertmanager", json=alerts(f"Seen{number}"))


async def test_hooks_answer_later_at_95_percent_and_take_again_below_90(node):
    token = await node.hook_token("default")
    async with node.client(token) as client:
        made = await fill(node, 94)
        assert await node.engine.room.look() is Room.TIGHT
        assert (await post(client, 1)).status_code == 202
        made += await fill(node, 95)
        assert await node.engine.room.look() is Room.FULL
        refused = await post(client, 2)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        assert "of store.disk_max" in refused.json()["detail"]
        ready, wrong = node.engine.ready()
        assert not ready
        assert "95 %" in wrong["store"]
        share = await node.store.used_bytes() * 100 // MOST
        await empty(node, made[: (share - 91) * MOST // 100 // 40_960])
        assert await node.engine.room.look() is Room.FULL, "between 90 and 95 % it stays as it was"
        await empty(node, made)
        assert await node.engine.room.look() is Room.AMPLE
        assert (await post(client, 3)).status_code == 202
    await node.until(lambda: len([each for each in node.told.notices if each.kind == "room"]) == 3)
    subjects = [each.subject for each in node.told.notices if each.kind == "room"]
    assert [each.partition(":")[0] for each in subjects] == [
        "The store has little room",
        "The store is full",
        "The store has room again",
    ]


async def test_outputs_of_ended_runs_go_first_and_nothing_else_does(node):
    token = await node.person("alice", "operator", "approver", "admin")
    async with node.client(token) as client:
        asked = {"runbook": "shop/mend", "targets": ["component:default/web"], "arguments": {}, "reason": "tested"}
        started = await client.post("/api/v1/runs", json=asked)
        assert started.status_code == 202, started.text

        async def over():
            runs = (await client.get("/api/v1/runs")).json()["items"]
            return runs if runs and not runs[0]["open"] else None

        run = (await node.until(over))[0]
        assert run["steps"][0]["output"] == {"status": 200}
        node.engine.sweeper._clock = Later(node.clock)
        await fill(node, 79)
        assert await node.engine.room.look() is Room.AMPLE
        assert not node.engine.sweeper.gone["output"]
        await fill(node, 80)
        assert await node.engine.room.look() is Room.TIGHT
        assert node.engine.sweeper.gone["output"] == 2
        journal = await node.store.journal(run["id"])
        outputs = [each["output"] for each in map(msgspec.json.decode, journal) if each.get("output")]
        assert all("store.disk_max" in each["gone"] for each in outputs)
        assert len(outputs) == 2
        assert await node.store.count("situation") == 1
        assert not (set(node.engine.sweeper.gone) - {"output", "message"})
        sizes = (await client.get("/api/v1/store")).json()
        assert sizes["room"] == "tight"
        kept = {each["kind"]: each["kept_ms"] for each in sizes["kinds"]}
        assert kept["situation"] == 400 * 86_400_000
        assert kept["entry"] is None


class Later:
    """Two hours on: outputs of the last hour stay even when there is little room."""

    def __init__(self, clock) -> None:
        self._clock = clock

    def now(self):
        from datetime import timedelta

        return self._clock.now() + timedelta(hours=2)

    def monotonic_ms(self):
        return int(asyncio.get_running_loop().time() * 1000)
