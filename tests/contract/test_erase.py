"""Erasing over a real store: what was erased is in no byte of its files, and only an admin may."""

import pytest

from served import HOME, Served
from watchkeeper.adapters.sqlite import SqliteStore

CANARY = "canary-person-7f3a9c51"


@pytest.fixture
async def node(tmp_path):
    store = SqliteStore.open(tmp_path / "state")
    found = Served(HOME, store)
    await found.start()
    try:
        yield found
    finally:
        await found.engine.stop()
        await store.close()


async def test_what_was_erased_is_in_no_byte_of_the_store(node, tmp_path):
    hook = await node.hook_token("default")
    async with node.client(hook) as client:
        broken = {"alerts": [{"status": "?", "labels": {"who": CANARY}}]}
        assert (await client.post("/hooks/alertmanager", json=broken)).status_code == 202
    await node.until(lambda: node.engine.pipeline.taken == 1)
    async with node.client(await node.person("vera", "operator")) as client:
        assert (await client.post("/api/v1/erase", json={"subject": CANARY})).status_code == 403
    async with node.client(await node.person("alice", "admin")) as client:
        shown = (await client.post("/api/v1/erase", json={"subject": CANARY.upper()})).json()
        assert shown["counts"] == {"dead_letter": 1, "delivery": 1}
        assert CANARY.encode() in files(tmp_path)
        asked = {"subject": CANARY.upper(), "digest": shown["digest"], "reason": "asked for"}
        done = await client.post("/api/v1/erase", json=asked)
        assert done.status_code == 200, done.text
        assert done.json()["open"] is False
        again = (await client.post("/api/v1/erase", json={"subject": CANARY})).json()
        assert again["counts"] == {}
        checked = (await client.post("/api/v1/ledger/verify", json={})).json()
        assert checked["ok"]
        listed = (await client.get("/api/v1/store/gone")).json()["items"]
        assert {each["order"] for each in listed} == {done.json()["id"]}
        for wrong in (
            {},
            {"subject": "ab"},
            {"kind": "signal"},
            {"ids": ["tok_1"]},
            {"kind": "identity", "before": "x"},
        ):
            assert (await client.post("/api/v1/erase", json=wrong)).status_code == 400, wrong
    assert CANARY.encode() not in files(tmp_path)


def files(tmp_path) -> bytes:
    return b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir() if path.is_file())
