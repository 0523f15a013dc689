"""One suite over both kinds of service control, and what is particular to each.

`systemctl` is a small program here, run through the real process runner; the last test asks the machine's own.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from watchkeeper.adapters.http import AddressRule, HttpClient
from watchkeeper.adapters.process import run
from watchkeeper.adapters.services import ServiceControl, ServiceState, Supervisor
from watchkeeper.adapters.systemd import Systemd
from watchkeeper.errors import InDoubt, Rejected, Unavailable

STARTED = datetime(2026, 3, 1, 10, 0, 0, 250_000, tzinfo=UTC)

SYSTEMCTL = """
import json, sys, time
state = json.load(open({path!r}))
words = [one for one in sys.argv[1:] if not one.startswith("--no-")]
verb, unit = words[0], words[-1]
state["calls"].append(words)
if state.get("hang"):
    json.dump(state, open({path!r}, "w")); time.sleep(1000)
if state.get("fail"):
    print(state["fail"], file=sys.stderr); json.dump(state, open({path!r}, "w")); sys.exit(1)
if verb == "show":
    if state.get("old") and "--timestamp=us+utc" in words:
        print("Invalid value: us+utc.", file=sys.stderr); sys.exit(1)
    known = unit == "pay.service"
    print("LoadState=" + ("loaded" if known else "not-found"))
    print("ActiveState=" + state["active"])
    print("MainPID=" + ("4711" if state["active"] == "active" else "0"))
    print("NRestarts=2")
    print("ExecMainStartTimestamp=" + state["old" if state.get("old") else "at"])
    print("ActiveEnterTimestamp=Sun 2026-03-01 09:00:00.000000 UTC")
elif unit != "pay.service":
    print("Failed to " + verb + " " + unit + ": Unit " + unit + " not found.", file=sys.stderr); sys.exit(5)
else:
    state["active"] = "inactive" if verb == "stop" else "active"
json.dump(state, open({path!r}, "w"))
"""


class FakeSystemd:
    def __init__(self, folder):
        self.file = folder / "state.json"
        self.program = folder / "systemctl"
        self.program.write_text(f"#!{sys.executable} -I\n" + SYSTEMCTL.format(path=str(self.file)))
        self.program.chmod(0o755)
        self.set(active="active", at="Sun 2026-03-01 10:00:00.250000 UTC", calls=[])

    def set(self, **more):
        state = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.file.write_text(json.dumps(state | more))

    @property
    def calls(self):
        return json.loads(self.file.read_text())["calls"]

    async def run(self, spec):
        assert spec.argv[0] == "systemctl"
        return await run(replace(spec, argv=(str(self.program), *spec.argv[1:]), grace_ms=100))


class FakeSupervisor:
    """The supervisor's side of the contract over a bare socket."""

    def __init__(self):
        self.units = {
            "pay.service": {"state": "running", "pid": 4711, "started_at": "2026-03-01T10:00:00.250000Z", "starts": 3}
        }
        self.seen, self.answer = [], None

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.at = f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split("\r\n")[0].split(" ")
                self.seen.append(head)
                status, body = self.answer or self._do(method, path.split("/")[2:])
                if status == 0:
                    break
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    def _do(self, method, words):
        found = self.units.get(words[0])
        if found is None:
            return 404, {"title": "no such unit"}
        if method == "POST":
            found["state"] = "stopped" if words[1] == "stop" else "running"
            found["pid"] = None if words[1] == "stop" else 4711
        return 200, {"unit": words[0], **found}


@pytest.fixture
def systemd(tmp_path):
    return FakeSystemd(tmp_path)


@pytest.fixture
async def supervisor():
    async with FakeSupervisor() as one:
        yield one


@pytest.fixture
async def http():
    async with HttpClient() as client:
        yield client


def over_http(http, supervisor):
    rule = AddressRule(declared=frozenset({supervisor.at}))
    return Supervisor(http, f"http://{supervisor.at}/", allow=rule, headers={"Watchkeeper-Actor": "automation"})


@pytest.fixture(params=["systemd", "supervisor"])
def control(request, systemd, supervisor, http) -> ServiceControl:
    return Systemd(run=systemd.run) if request.param == "systemd" else over_http(http, supervisor)


# -- both ------------------------------------------------------------------------------------------


async def test_a_running_service_says_pid_start_and_starts(control):
    found = await control.status("pay.service", timeout_ms=10_000)
    assert (found.unit, found.state, found.pid) == ("pay.service", ServiceState.RUNNING, 4711)
    assert (found.started_at, found.starts) == (STARTED, 3)


async def test_stop_start_and_restart_do_what_they_say(control):
    for verb, state in (
        ("stop", ServiceState.STOPPED),
        ("start", ServiceState.RUNNING),
        ("restart", ServiceState.RUNNING),
    ):
        await getattr(control, verb)("pay.service", timeout_ms=10_000, headers={"Idempotency-Key": "k"})
        assert (await control.status("pay.service", timeout_ms=10_000)).state is state


@pytest.mark.parametrize(("offset_us", "since"), [(-1, True), (0, True), (1, False)])
async def test_started_since_is_exact_to_the_microsecond(control, offset_us, since):
    asked = STARTED + timedelta(microseconds=offset_us)
    assert await control.started_since("pay.service", asked, timeout_ms=10_000) is since


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "status"])
async def test_a_unit_that_nobody_knows_is_rejected(control, verb):
    with pytest.raises(Rejected, match="no such unit"):
        await getattr(control, verb)("none.service", timeout_ms=10_000)


@pytest.mark.parametrize(
    "unit", ["", "-H", "--host=evil", "a b", "../x", "a/b", "a*", "a?x=1", "a%2f", "a\n", "a" * 256, "ü"]
)
async def test_a_unit_is_a_name_and_nothing_else(control, systemd, supervisor, unit):
    for verb in ("restart", "status"):
        with pytest.raises(Rejected, match="not the name of a unit"):
            await getattr(control, verb)(unit, timeout_ms=1_000)
    assert systemd.calls == []
    assert supervisor.seen == []


# -- systemd ---------------------------------------------------------------------------------------


async def test_the_command_is_argv_with_the_unit_behind_two_dashes(systemd):
    await Systemd(run=systemd.run).restart("pay.service", timeout_ms=10_000)
    assert systemd.calls == [["restart", "--", "pay.service"]]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "System has not been booted with systemd as init system (PID 1). Can't operate.",
            "systemd is not running here",
        ),
        ("Failed to connect to bus: No such file or directory", "systemd is not running here"),
        ("Failed to restart pay.service: Access denied", "not permitted to this user"),
        ("Failed to restart pay.service: Interactive authentication required.", "not permitted to this user"),
        (
            "Job for pay.service failed because the control process exited.\nSee x",
            "restart failed: Job for pay.service",
        ),
    ],
)
async def test_what_systemctl_says_becomes_what_to_do(systemd, said, why):
    systemd.set(fail=said)
    with pytest.raises(Rejected, match=why):
        await Systemd(run=systemd.run).restart("pay.service", timeout_ms=10_000)


async def test_a_restart_without_end_is_in_doubt_and_a_question_unavailable(systemd):
    systemd.set(hang=True)
    with pytest.raises(InDoubt, match="restart did not return in 400 ms"):
        await Systemd(run=systemd.run).restart("pay.service", timeout_ms=400)
    with pytest.raises(Unavailable, match="show did not return"):
        await Systemd(run=systemd.run).status("pay.service", timeout_ms=400)


@pytest.mark.parametrize(
    ("active", "state"),
    [
        ("inactive", ServiceState.STOPPED),
        ("failed", ServiceState.CRASHED),
        ("activating", ServiceState.CHANGING),
        ("deactivating", ServiceState.CHANGING),
    ],
)
async def test_states_of_systemd(systemd, active, state):
    systemd.set(active=active)
    found = await Systemd(run=systemd.run).status("pay.service", timeout_ms=10_000)
    assert (found.state, found.pid) == (state, None)


async def test_a_unit_without_main_process_tells_when_it_got_active_and_one_never_started_tells_nothing(systemd):
    systemd.set(at="")
    control = Systemd(run=systemd.run)
    assert (await control.status("pay.service", timeout_ms=10_000)).started_at == datetime(2026, 3, 1, 9, tzinfo=UTC)
    systemd.program.write_text(systemd.program.read_text().replace("Sun 2026-03-01 09:00:00.000000 UTC", "n/a"))
    assert (await control.status("pay.service", timeout_ms=10_000)).started_at is None
    assert await control.started_since("pay.service", STARTED, timeout_ms=10_000) is False


async def test_an_old_systemd_tells_seconds_and_says_when_that_is_not_enough(systemd):
    systemd.set(old="Sun 2026-03-01 10:00:00 UTC")
    control = Systemd(run=systemd.run)
    second = STARTED.replace(microsecond=0)
    assert await control.started_since("pay.service", second - timedelta(microseconds=1), timeout_ms=10_000) is True
    assert await control.started_since("pay.service", second + timedelta(seconds=1), timeout_ms=10_000) is False
    with pytest.raises(InDoubt, match="in the very second"):
        await control.started_since("pay.service", STARTED, timeout_ms=10_000)


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs on this machine")
async def test_the_systemctl_of_a_machine_without_systemd_says_so():
    with pytest.raises(Rejected, match=r"systemd is not running here|no such program"):
        await Systemd().restart("pay.service", timeout_ms=10_000)


# -- the supervisor --------------------------------------------------------------------------------


async def test_the_key_and_the_fixed_headers_go_along(http, supervisor):
    await over_http(http, supervisor).restart(
        "pay.service", timeout_ms=5_000, headers={"Idempotency-Key": "run1.restart"}
    )
    assert supervisor.seen[0].startswith("POST /services/pay.service/restart HTTP/1.1\r\n")
    assert "\r\nIdempotency-Key: run1.restart\r\n" in supervisor.seen[0]
    assert "\r\nWatchkeeper-Actor: automation\r\n" in supervisor.seen[0]


@pytest.mark.parametrize(
    ("answer", "error", "asking"),
    [
        ((503, {"detail": "busy"}), Unavailable, Unavailable),
        ((429, b""), Unavailable, Unavailable),
        ((500, b"oops"), InDoubt, Unavailable),
        ((409, {"detail": "held"}), Rejected, Rejected),
        ((302, b""), Rejected, Rejected),
        ((0, b""), InDoubt, Unavailable),
    ],
)
async def test_what_the_supervisor_answers_says_what_to_do(http, supervisor, answer, error, asking):
    supervisor.answer = answer
    control = over_http(http, supervisor)
    with pytest.raises(error):
        await control.restart("pay.service", timeout_ms=5_000)
    with pytest.raises(asking):
        await control.status("pay.service", timeout_ms=5_000)


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        {"unit": "pay.service"},
        {"unit": "pay.service", "state": "purple"},
        {"unit": "pay.service", "state": "running", "started_at": "yesterday"},
        {"unit": "pay.service", "state": "running", "started_at": "2026-03-01T10:00:00"},
        {"unit": "other.service", "state": "running"},
    ],
)
async def test_an_answer_that_is_not_the_contract_is_rejected(http, supervisor, body):
    supervisor.answer = (200, body)
    with pytest.raises(Rejected, match=r"unit pay\.service: its supervisor"):
        await over_http(http, supervisor).status("pay.service", timeout_ms=5_000)


@pytest.mark.parametrize("state", ["stopped", "crashed", "hung"])
async def test_states_of_the_supervisor(http, supervisor, state):
    supervisor.units["pay.service"] |= {"state": state, "pid": None, "started_at": None, "starts": 0}
    found = await over_http(http, supervisor).status("pay.service", timeout_ms=5_000)
    assert (found.state.value, found.pid, found.started_at, found.starts) == (state, None, None, 0)


async def test_an_undeclared_supervisor_on_loopback_is_rejected(http, supervisor):
    with pytest.raises(Rejected, match="loopback"):
        await Supervisor(http, f"http://{supervisor.at}").restart("pay.service", timeout_ms=5_000)
    assert supervisor.seen == []
