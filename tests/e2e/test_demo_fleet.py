"""The demo's fleet by itself: real processes break in each way, are restarted once a key, and leave nothing behind."""

import asyncio
import json
import os
import signal
from pathlib import Path
from time import monotonic

import pytest

from watchkeeper.adapters.http import AddressRule, HttpClient
from watchkeeper.adapters.services import ServiceState, Supervisor
from watchkeeper.demo.fleet import Fleet, Member
from watchkeeper.demo.loopback import answer, call, free_port, serve
from watchkeeper.values import instant

STORE = Member("store", "store", "critical")
PAY = Member("pay-1", "pay", "critical", "store")
WITHIN_S = 15.0


async def until(what, *, within_s=WITHIN_S):
    """Waits for something that happens by itself, and names what did not."""
    end_s = monotonic() + within_s
    while not (found := await what()):
        assert monotonic() < end_s, f"did not happen within {within_s} s: {what.__name__}"
        await asyncio.sleep(0.02)
    return found


def alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Hook:
    """Takes what Alertmanager would send."""

    def __init__(self):
        self.batches, self.port, self.answers = [], free_port(), []

    async def __aenter__(self):
        self.server = await serve(self.take, self.port)
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def take(self, asked):
        assert asked.headers["authorization"] == "Bearer hook-token"
        if self.answers:
            return answer(self.answers.pop(0))
        self.batches.append(json.loads(asked.body))
        return answer(202)

    def of(self, status, instance):
        return [
            alert
            for batch in self.batches
            for alert in batch["alerts"]
            if alert["status"] == status and alert["labels"]["instance"] == instance
        ]


@pytest.fixture
async def fleet():
    async with Fleet((STORE, PAY)) as found:
        yield found


def headers(fleet, key=""):
    found = {"Authorization": f"Bearer {fleet.admin_token}", "Watchkeeper-Actor": "automation"}
    return found | ({"Idempotency-Key": key} if key else {})


async def test_a_crashed_service_is_seen_as_crashed_and_comes_back_only_when_it_is_restarted(fleet):
    before = await fleet.state("pay-1")
    assert before["state"] == "running"

    await fleet.break_("pay-1", "crash")

    async def crashed():
        return (await fleet.state("pay-1"))["state"] == "crashed"

    await until(crashed)
    after = await fleet.restart("pay-1")
    assert after["state"] == "running"
    assert after["pid"] != before["pid"]
    assert after["starts"] == 2
    assert instant(after["started_at"]) > instant(before["started_at"])
    assert await fleet.healthy("pay-1")


async def test_a_hung_service_answers_nobody_and_is_killed_by_a_restart(fleet):
    pid = (await fleet.state("pay-1"))["pid"]
    await fleet.break_("pay-1", "hang")

    async def hung():
        return (await fleet.state("pay-1"))["state"] == "hung"

    await until(hung)
    assert not await fleet.healthy("pay-1")
    assert (await fleet.restart("pay-1"))["state"] == "running"
    assert not alive(pid)


async def test_a_sick_service_runs_and_says_that_it_is_not_well_and_heals_after_its_time(fleet):
    await fleet.break_("pay-1", "sick", for_ms=150)
    found = await call("GET", f"{fleet.url('pay-1')}/healthz")
    assert found.status == 503
    assert found.json()["why"] == "every worker is stuck on a lock"
    assert (await fleet.state("pay-1"))["state"] == "running"

    async def healed():
        return await fleet.healthy("pay-1")

    await until(healed)


async def test_a_flapping_service_is_well_and_unwell_in_turn(fleet):
    await fleet.break_("pay-1", "flap", period_ms=100)

    async def well():
        return await fleet.healthy("pay-1")

    async def unwell():
        return not await fleet.healthy("pay-1")

    for what in (unwell, well, unwell, well):
        await until(what)


async def test_health_follows_the_dependency(fleet):
    await fleet.break_("store", "sick")

    async def unwell():
        return not await fleet.healthy("pay-1")

    await until(unwell)
    assert (await call("GET", f"{fleet.url('pay-1')}/healthz")).json()["why"] == "what it needs answers 503"
    await fleet.break_("store", "none")
    assert await fleet.healthy("pay-1")


async def test_a_drain_needs_the_token_and_a_repeated_key_drains_once(fleet):
    url = fleet.url("pay-1")
    assert (await call("POST", f"{url}/drain", headers={"Authorization": "Bearer nearly"})).status == 401
    assert (await call("GET", f"{url}/work")).status == 200

    for _ in range(3):
        assert (await call("POST", f"{url}/drain", headers=headers(fleet, "run/drain"))).status == 200
    assert (await call("GET", f"{url}/work")).status == 503
    seen = await fleet.effects("pay-1")
    assert [(each["asked"], each["actor"]) for each in seen["effects"]] == [("/drain", "automation")]
    assert seen["repeated"] == {"run/drain": 2}

    assert (await call("POST", f"{url}/undrain", headers=headers(fleet, "run/undrain"))).status == 200
    assert (await call("GET", f"{url}/work")).status == 200


async def test_a_repeated_key_restarts_once_also_when_both_come_at_the_same_time(fleet):
    one, two = await asyncio.gather(fleet.restart("pay-1", "k"), fleet.restart("pay-1", "k"))
    assert one == two
    assert (await fleet.state("pay-1"))["starts"] == 2
    assert (await fleet.effects())["repeated"] == {"k": 1}


async def test_a_bad_release_comes_up_broken_until_it_is_taken_back(fleet):
    await fleet.release("pay-1", "sick")
    await fleet.restart("pay-1")
    assert not await fleet.healthy("pay-1")
    await fleet.release("pay-1", "none")
    await fleet.restart("pay-1")
    assert await fleet.healthy("pay-1")


async def test_the_supervisor_speaks_the_contract_that_actions_use(fleet):
    client = HttpClient()
    allow = AddressRule(declared=frozenset({f"127.0.0.1:{fleet.supervisor_port}"}))
    control = Supervisor(client, fleet.supervisor, allow=allow)
    try:
        before = await control.status("pay-1", timeout_ms=5_000)
        assert before.state is ServiceState.RUNNING
        await control.stop("pay-1", timeout_ms=5_000)
        assert (await control.status("pay-1", timeout_ms=5_000)).state is ServiceState.STOPPED
        await control.restart("pay-1", timeout_ms=5_000, headers={"Idempotency-Key": "r"})
        assert before.started_at is not None
        assert (await control.status("pay-1", timeout_ms=5_000)).started_at > before.started_at
        assert not await control.started_since(
            "store", (await control.status("pay-1", timeout_ms=5_000)).started_at, timeout_ms=5_000
        )
    finally:
        await client.close()


async def test_the_prober_tells_as_an_alertmanager_pair_does_while_it_fires_and_when_it_is_over(fleet):
    async with Hook() as hook:
        hook.answers = [503]  # under pressure: it is sent again
        fleet.report_to(f"http://127.0.0.1:{hook.port}/hooks/alertmanager", "hook-token")
        await fleet.break_("pay-1", "crash")

        async def repeated():
            return len(hook.of("firing", "pay-1")) >= 4

        await until(repeated)
        firing = hook.of("firing", "pay-1")
        assert {alert["startsAt"] for alert in firing} == {firing[0]["startsAt"]}
        assert {alert["fingerprint"] for alert in firing} == {firing[0]["fingerprint"]}
        assert firing[0]["labels"]["alertname"] == "InstanceDown"
        assert {batch["externalURL"] for batch in hook.batches} == {
            "http://am-0.shop.example",
            "http://am-1.shop.example",
        }
        await fleet.restart("pay-1")

        async def over():
            return hook.of("resolved", "pay-1")

        (resolved, *_) = await until(over)
        assert instant(resolved["endsAt"]) > instant(resolved["startsAt"])
        assert fleet.prober.firing() == ()


async def test_slow_is_an_alert_of_its_own(fleet):
    async with Hook() as hook:
        fleet.report_to(f"http://127.0.0.1:{hook.port}/hooks/alertmanager", "hook-token")
        await fleet.break_("pay-1", "slow", slow_ms=500)

        async def told():
            return hook.of("firing", "pay-1")

        (first, *_) = await until(told)
        assert first["labels"]["alertname"] == "InstanceSlow"


async def test_nothing_is_left_when_the_fleet_ends_hung_services_included():
    async with Fleet((STORE, PAY)) as fleet:
        await fleet.break_("pay-1", "hang")
        pids = [(await fleet.state(name))["pid"] for name in fleet.members]
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)


async def test_nothing_is_left_when_the_supervisor_is_killed():
    async with Fleet((STORE, PAY)) as fleet:
        await fleet.break_("pay-1", "hang")
        pids = [(await fleet.state(name))["pid"] for name in fleet.members]
        os.kill(fleet._process.pid, signal.SIGKILL)

        async def gone():
            return not any(alive(pid) for pid in pids)

        await until(gone)


def test_ports_are_kept_from_those_that_callers_are_lent_and_given_once():
    lent_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = [free_port() for _ in range(50)]
    assert len(set(found)) == 50
    assert all(10_240 <= port < lent_from for port in found) or lent_from <= 10_440
