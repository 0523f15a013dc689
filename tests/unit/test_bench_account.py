"""The proof behind a figure: what is missing, twice or unasked for leaves no figure."""

from pathlib import Path

from watchkeeper.bench import home as homes
from watchkeeper.bench.account import prove
from watchkeeper.bench.outside import Order, Outcome, Sender, Target
from watchkeeper.bench.wire import Received
from watchkeeper.bootstrap import check


def asked(service: str, step: str, key: str) -> Received:
    return Received(f"/{service}/{step}", key, b"")


def order(**more: object) -> Order:
    return Order(
        **{"kind": "paced", "name": "t", "seconds": 1, "port": 1, "token": "t", "alert": "A", "services": 2, **more}
    )


async def test_the_home_of_the_bench_is_without_a_problem(tmp_path: Path):
    homes.write(tmp_path, 9, homes.services(3), rules_more=2)
    assert check(tmp_path).problems == ()


async def test_a_key_that_comes_twice_is_one_effect_and_one_nobody_waits_for_is_a_stray():
    target = Target()
    sender = Sender(order(steps=2), target)
    ((service, sent),) = sender._take()
    target.take(asked(service, "drain", "k1"))
    target.take(asked(service, "drain", "k1"))
    assert (target.again, len(target.done)) == (1, 0)
    target.take(asked(service, "restart", "k2"))
    assert target.done == [sent]
    target.take(asked(service, "restart", "k3"))
    assert target.strays == 1


async def test_a_service_that_waits_for_its_effect_is_not_alerted_again():
    sender = Sender(order(services=2), Target())
    assert {sender._take()[0][0], sender._take()[0][0]} == {"svc-0", "svc-1"}
    assert sender._take() == []


async def test_alerts_that_were_accepted_and_are_not_in_the_store_are_no_figure(tmp_path: Path):
    from watchkeeper.adapters.sqlite import SqliteStore

    homes.write(tmp_path, 9, homes.services(1))
    await SqliteStore.open(tmp_path / ".watchkeeper").close()
    assert (await prove(tmp_path, [])).wrong == ()
    found = await prove(tmp_path, [Outcome(name="t", alerts=1, effects=1, missing=1)])
    assert len(found.wrong) == 3, found.wrong
    assert found.wrong[0].startswith("1 alerts were accepted, 0 signals")
