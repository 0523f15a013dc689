"""Systemd on another machine: its clock is not ours, its rights are not root's."""

from datetime import UTC, datetime, timedelta

import pytest
from test_services import STARTED, FakeSystemd

from watchkeeper.adapters.process_spec import Ending, ProcessResult
from watchkeeper.adapters.services import ServiceState
from watchkeeper.adapters.systemd_ssh import SshSystemd
from watchkeeper.errors import InDoubt, Rejected, Unavailable

NOW = datetime(2026, 3, 1, 10, 5, tzinfo=UTC)
MS = timedelta(milliseconds=1)


class Machine:
    """A systemd behind a way of `takes`, with a clock that is `ahead` of ours."""

    def __init__(self, folder, *, ahead=timedelta(), takes=timedelta(), date=None):
        self.systemd = FakeSystemd(folder)
        self.ahead, self.takes, self.date = ahead, takes, date
        self.now, self.argvs, self.failing = NOW, [], None

    async def run(self, spec):
        self.argvs.append(spec.argv)
        if self.failing is not None:
            raise self.failing
        if spec.argv[0] == "date":
            self.now += self.takes
            there = self.now + self.ahead
            said = self.date or f"{there:%s}.{there.microsecond:06d}000"
            return result(said.encode() + b"\n")
        words = spec.argv[3:] if spec.argv[0] == "sudo" else spec.argv
        return await self.systemd.run(
            type(spec)(**{**{f: getattr(spec, f) for f in spec.__struct_fields__}, "argv": words})
        )

    def control(self, **how):
        return SshSystemd(run=self.run, now=lambda: self.now, **how)


def result(stdout, code=0):
    ending = Ending.EXITED
    return ProcessResult(
        ending=ending, exit=code, signal=None, stdout=stdout, stderr=b"", truncated=False, ms=1, pid=0, started=0
    )


@pytest.mark.parametrize(
    "ahead", [timedelta(), timedelta(hours=1), timedelta(hours=-1)], ids=["same", "ahead", "behind"]
)
@pytest.mark.parametrize(("offset", "since"), [(timedelta(seconds=-1), True), (timedelta(seconds=1), False)])
async def test_a_clock_that_is_wrong_changes_no_answer(tmp_path, ahead, offset, since):
    machine = Machine(tmp_path, ahead=ahead, takes=20 * MS)
    control = machine.control()
    assert await control.started_since("pay.service", STARTED - ahead + offset, timeout_ms=10_000) is since
    told = (
        "" if not ahead else f"its clock is 3600.0 s {'ahead' if ahead > timedelta() else 'behind'}, which is taken off"
    )
    assert control.clock.words() == told


@pytest.mark.parametrize(("offset", "told"), [(-21, True), (-5, None), (1, False)])
async def test_only_what_the_way_leaves_open_is_in_doubt(tmp_path, offset, told):
    """The clock was read somewhere within 20 ms, so a start is known to 20 ms."""
    control = Machine(tmp_path, takes=20 * MS).control()
    if told is None:
        with pytest.raises(InDoubt, match="too near to the moment asked about"):
            await control.started_since("pay.service", STARTED + offset * MS, timeout_ms=10_000)
    else:
        assert await control.started_since("pay.service", STARTED + offset * MS, timeout_ms=10_000) is told


@pytest.mark.parametrize("words", ["1772359500.%N", "1772359500.N", "1772359500"])
async def test_a_clock_without_fractions_is_known_to_the_second(tmp_path, words):
    control = Machine(tmp_path, date=words).control()
    assert await control.started_since("pay.service", STARTED - timedelta(seconds=3), timeout_ms=10_000) is True
    with pytest.raises(InDoubt):
        await control.started_since("pay.service", STARTED, timeout_ms=10_000)
    assert await control.started_since("pay.service", STARTED + timedelta(seconds=3), timeout_ms=10_000) is False


async def test_a_machine_that_does_not_say_what_time_it_is_cannot_be_asked(tmp_path):
    with pytest.raises(Rejected, match="does not say what time it is: date answered 'half past'"):
        await Machine(tmp_path, date="half past").control().started_since("pay.service", STARTED, timeout_ms=10_000)


async def test_while_systemd_has_a_job_for_the_unit_a_start_may_be_to_come(tmp_path):
    machine = Machine(tmp_path)
    program = machine.systemd.program
    program.write_text(program.read_text().replace('print("NRestarts=2")', 'print("NRestarts=2\\nJob=4711")'))
    with pytest.raises(InDoubt, match=r"not started since, and systemd still has a job for it \(4711\)"):
        await machine.control().started_since("pay.service", NOW, timeout_ms=10_000)
    assert await machine.control().started_since("pay.service", STARTED - timedelta(1), timeout_ms=10_000) is True


async def test_only_what_changes_something_takes_rights(tmp_path):
    machine = Machine(tmp_path)
    control = machine.control(sudo=True)
    await control.restart("pay.service", timeout_ms=10_000)
    assert (await control.status("pay.service", timeout_ms=10_000)).state is ServiceState.RUNNING
    restart, show = machine.argvs
    assert restart == (
        *("sudo", "-n", "--", "systemctl", "--no-pager", "--no-ask-password", "restart", "--", "pay.service"),
    )
    assert show[0] == "systemctl"


async def test_a_question_that_got_lost_changed_nothing(tmp_path):
    machine = Machine(tmp_path)
    machine.failing = InDoubt("the connection was lost")
    with pytest.raises(Unavailable):
        await machine.control().status("pay.service", timeout_ms=10_000)
    with pytest.raises(InDoubt):
        await machine.control().restart("pay.service", timeout_ms=10_000)
