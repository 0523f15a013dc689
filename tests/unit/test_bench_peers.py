"""A peer that is not installed is skipped with a word; what it is asked for is put its own way."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from watchkeeper.bench.outside import Order, Sender, Target
from watchkeeper.bench.peers import dbos
from watchkeeper.bench.peers.compare import PEERS
from watchkeeper.bench.peers.peer import Absent, run
from watchkeeper.bench.wire import Received


@pytest.mark.parametrize("peer", PEERS, ids=lambda each: each.name)
def test_what_is_not_there_says_how_to_install_it(peer, tmp_path: Path) -> None:
    with pytest.raises(Absent, match=peer.name):
        asyncio.run(peer.version(tmp_path))
    assert peer.name in peer.install


def test_dbos_is_looked_for_in_its_own_environment(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="dbos"):
        asyncio.run(dbos.version(tmp_path))


def test_a_set_up_that_fails_is_said() -> None:
    with pytest.raises(Absent, match="false ended with 1"):
        asyncio.run(run(["false"]))


def order(shape: str) -> Order:
    return Order(kind="window", name="n", seconds=1, port=1, token="t", alert="BenchAct", shape=shape)


async def test_an_event_carries_the_service() -> None:
    (event,) = msgspec.json.decode(Sender(order("prefect"), Target())._body(["svc-1"]))
    assert (event["event"], event["payload"]) == ("bench.alert", {"service": "svc-1"})
    (alert,) = msgspec.json.decode(Sender(order("alertmanager"), Target())._body(["svc-1"]))["alerts"]
    assert alert["labels"]["service"] == "svc-1"


async def test_effects_without_a_key_are_never_the_same() -> None:
    target = Target()
    for _ in range(2):
        target.take(Received("/by-body", "", b'{"service": "svc-1"}'))
    assert (target.again, target.strays) == (0, 2)
    for _ in range(2):
        target.take(Received("/svc-1/restart", "key", b""))
    assert (target.again, target.strays) == (1, 3)
