"""A peer that is not installed is skipped with a word; what it is asked for is put its own way."""

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from watchkeeper.bench.outside import Order, Sender, Target
from watchkeeper.bench.peers import dbos
from watchkeeper.bench.peers.compare import PEERS
from watchkeeper.bench.peers.killed import _figures, _words
from watchkeeper.bench.peers.peer import Absent, free_port, run, running
from watchkeeper.bench.wire import Received, listen


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


async def test_a_burst_comes_back_at_once_and_what_was_lost_or_came_twice_is_counted_afterwards() -> None:
    target = Target()
    server, port = await listen(lambda _: (202, b"{}"))

    def asked(kind: str, connections: int) -> Order:
        return Order(kind=kind, name="n", seconds=1, port=port, token="t", alert="A", services=10, connections=connections, quiet_s=0.05)  # fmt: skip

    burst = await Sender(asked("burst", 3), target).run()
    assert (burst.alerts, burst.refused, burst.pending, burst.effects) == (10, 0, 10, 0)
    for service in ("svc-1", "svc-1", "svc-2"):
        target.take(Received(f"/{service}/restart", "", b""))
    after = await Sender(asked("wait", 0), target).run()
    assert (after.effects, after.missing, after.strays, after.again) == (2, 8, 1, 0)
    assert [(each.value, each.unit) for each in _figures("it", burst, after)] == [
        (10, "of 10"),
        (8, "of 10"),
        (1, "of 10"),
    ]
    assert _words("it", burst, after) == (
        "it: 10 accepted, 0 refused, then killed while 10 waited; 2 had their effect, 8 never, 1 once more"
    )
    server.close()


async def test_what_is_not_accepted_is_not_counted_as_lost() -> None:
    target = Target()
    server, port = await listen(lambda _: (200, b"{}"))
    order = Order(
        kind="burst", name="n", seconds=1, port=port, token="t", alert="A", services=3, connections=1, quiet_s=0.05
    )
    sender = Sender(order, target)
    for caller in sender._callers:
        await caller.connect()
        caller.close()
    await asyncio.sleep(0)
    await sender._burst(sender._callers[0])
    assert (sender.outcome.alerts, sender.outcome.refused, len(target.waiting)) == (0, 3, 0)
    server.close()


async def test_a_peer_is_killed_with_all_it_started_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    words = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    async with running(words, {}, tmp_path / "log", port) as process:
        await process.kill()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)
        await process.up()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
