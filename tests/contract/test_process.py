"""Children as the kernel sees them: real programs, real groups, real signals."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import uvloop

from watchkeeper.adapters import process_group
from watchkeeper.adapters.process import (
    Ending,
    Limits,
    ProcessSpec,
    SecretDescriptor,
    Stream,
    end_leftover,
    run,
    run_action,
    start_ticks,
)
from watchkeeper.errors import InDoubt, Rejected, Unavailable

SH = "/bin/sh"


def sh(script, **more):
    more.setdefault("timeout_ms", 10_000)
    return ProcessSpec(argv=(SH, "-c", script), **more)


def py(script, *argv, **more):
    more.setdefault("timeout_ms", 10_000)
    return ProcessSpec(argv=(sys.executable, "-I", "-S", "-c", textwrap.dedent(script), *argv), **more)


class Sealed:
    def __init__(self, value):
        self.value = value

    def reveal(self):
        return self.value


def alive(pid):
    stat = process_group._stat(pid)
    return stat is not None and stat.state not in "ZX"


async def test_a_program_gets_its_stdin_and_answers_with_exit_and_output():
    result = await run(sh("cat; echo err >&2; exit 3", stdin=b"hello"))
    assert (result.ending, result.exit, result.signal) == (Ending.EXITED, 3, None)
    assert (result.stdout, result.stderr, result.truncated) == (b"hello", b"err\n", False)
    assert result.pid > 1
    assert result.started > 0
    assert result.ms < 10_000


async def test_argv_is_no_shell():
    result = await run(ProcessSpec(argv=("echo", "$HOME; rm -rf / | `id` *"), timeout_ms=5_000))
    assert result.stdout == b"$HOME; rm -rf / | `id` *\n"


async def test_the_environment_is_empty_but_for_the_mark_and_what_was_given(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "leaks")
    result = await run(ProcessSpec(argv=("env",), env={"A": "1"}, timeout_ms=5_000))
    assert sorted(result.stdout.decode().split()) == ["A=1", f"WATCHKEEPER_CHILD={result.pid}.{result.started}"]


async def test_it_leads_its_own_session_and_group_and_holds_no_descriptor_but_the_standard_ones():
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    script = """
        import os
        print(os.getpid() == os.getsid(0) == os.getpgid(0), os.getcwd(), oct(os.umask(0)))
        print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])
    """
    result = await run(py(script))
    os.close(leaked)
    assert result.stdout.decode().splitlines() == ["True / 0o77", "[0, 1, 2]"]


async def test_signals_are_as_a_program_expects_them():
    result = await run(py("import signal\nprint(open('/proc/self/status').read())", env={}))
    status = dict(line.split(":\t") for line in result.stdout.decode().splitlines() if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    piped = await run(sh("yes | head -n 1 >/dev/null; echo ${PIPESTATUS:-done}"))
    assert (piped.exit, piped.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (ProcessSpec(argv=(), timeout_ms=1), "argv: empty"),
        (ProcessSpec(argv=("/nowhere/prog",), timeout_ms=1), "no such program"),
        (ProcessSpec(argv=("no-such-program-here",), timeout_ms=1), "no such program"),
        (ProcessSpec(argv=("/etc/passwd",), timeout_ms=1), "no such program"),
        (ProcessSpec(argv=("./here",), timeout_ms=1), "neither an absolute path"),
        (ProcessSpec(argv=("echo", "a\0b"), timeout_ms=1), "a zero byte"),
        (ProcessSpec(argv=("echo",), env={"A=B": "1"}, timeout_ms=1), "not the name of an environment variable"),
        (ProcessSpec(argv=("echo", "x" * 140_000), timeout_ms=1), "pass them on stdin"),
        (ProcessSpec(argv=("echo",), cwd="tmp", timeout_ms=1), "is not absolute"),
        (ProcessSpec(argv=("echo",), cwd="/nowhere", timeout_ms=1_000), "working directory /nowhere: No such file"),
        (ProcessSpec(argv=("echo",), timeout_ms=0), "timeout_ms 0 is not within"),
    ],
)
async def test_what_cannot_be_run_is_rejected_with_its_reason(spec, why):
    with pytest.raises(Rejected, match=why):
        await run(spec)


async def test_a_file_that_is_no_program_is_rejected_at_exec(tmp_path):
    file = tmp_path / "text"
    file.write_text("#!/nowhere/interpreter\n")
    file.chmod(0o755)
    with pytest.raises(Rejected, match="nothing was run"):
        await run(ProcessSpec(argv=(str(file),), timeout_ms=5_000))


# -- the end ---------------------------------------------------------------------------------------


async def test_a_time_out_asks_first_and_the_program_may_say_goodbye():
    result = await run(sh("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done", timeout_ms=400))
    assert (result.ending, result.exit, result.stdout) == (Ending.TIMED_OUT, 0, b"up\nbye\n")


async def test_who_does_not_listen_is_killed_with_its_children_and_seen_ended():
    seen = []
    script = "trap '' TERM; (trap '' TERM; echo $$; exec sleep 1000) & echo $!; wait"
    spec = sh(script, timeout_ms=300, grace_ms=100)
    result = await run(spec, lambda _, data: seen.append(data))
    assert (result.ending, result.signal) == (Ending.TIMED_OUT, signal.SIGKILL)
    assert process_group.members(result.pid) == []
    for pid in b"".join(seen).split():
        assert not alive(int(pid))


async def test_a_stopped_program_ends_too():
    result = await run(sh("kill -STOP $$", timeout_ms=300, grace_ms=2_000))
    assert (result.ending, result.signal) == (Ending.TIMED_OUT, signal.SIGTERM)


async def test_what_a_program_leaves_running_in_its_group_ends_with_it():
    result = await run(sh("sleep 1000 & echo $!"))
    assert (result.exit, result.truncated) == (0, False)
    assert not alive(int(result.stdout))


async def test_one_who_left_the_group_with_the_pipe_in_hand_does_not_hold_us_up():
    script = """
        import subprocess
        print(subprocess.Popen(["sleep", "1000"], start_new_session=True).pid)
    """
    result = await run(py(script, timeout_ms=8_000, env={"PATH": "/usr/bin:/bin"}))
    assert (result.exit, result.truncated) == (0, True)
    assert result.ms < 5_000
    os.kill(int(result.stdout), signal.SIGKILL)


async def test_an_end_by_signal_is_no_exit():
    result = await run(sh("kill -SEGV $$"))
    assert (result.ending, result.exit, result.signal) == (Ending.SIGNALLED, None, signal.SIGSEGV)


async def test_cancelling_ends_the_group_before_it_goes_on():
    up = asyncio.Event()
    pids = []

    def on_output(_, data):
        pids.extend(int(one) for one in data.split())
        up.set()

    task = asyncio.create_task(run(sh("sleep 1000 & echo $$ $!; wait"), on_output))
    await up.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [alive(pid) for pid in pids] == [False, False]


async def test_a_callback_that_raises_ends_the_child_and_its_error_comes_out():
    def on_output(_, data):
        raise ZeroDivisionError(int(data))

    with pytest.raises(ZeroDivisionError) as raised:
        await run(sh("echo $$; sleep 1000"), on_output)
    assert not alive(raised.value.args[0])


async def test_no_descriptor_and_no_zombie_is_left():
    await run(sh("true"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for spec in (
        sh("echo x", secrets=(SecretDescriptor(env="S_FD", value=Sealed("s")),)),
        sh("sleep 9", timeout_ms=50),
    ):
        await run(spec)
    with pytest.raises(Rejected):
        await run(ProcessSpec(argv=("echo",), cwd="/nowhere", timeout_ms=1_000))
    await asyncio.sleep(0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert [one for one in children if not alive(int(one))] == []


# -- output and limits -----------------------------------------------------------------------------


async def test_output_streams_as_it_comes_and_is_bounded_on_each_stream():
    got = {Stream.STDOUT: b"", Stream.STDERR: b""}

    def on_output(stream, data):
        got[stream] += data

    result = await run(sh("head -c 300000 /dev/zero; printf 12345 >&2", output_bytes_max=1000), on_output)
    assert (result.exit, len(result.stdout), result.stderr, result.truncated) == (0, 1000, b"12345", True)
    assert got == {Stream.STDOUT: result.stdout, Stream.STDERR: b"12345"}
    exact = await run(sh("head -c 1000 /dev/zero", output_bytes_max=1000))
    assert (len(exact.stdout), exact.truncated) == (1000, False)


async def test_a_stdin_larger_than_any_pipe_is_read_whole():
    result = await run(sh("wc -c", stdin=b"x" * 3_000_000))
    assert result.stdout.strip() == b"3000000"


async def test_limits_hold_in_the_child():
    script = """
        import resource as r
        for one in (r.RLIMIT_CPU, r.RLIMIT_AS, r.RLIMIT_NOFILE, r.RLIMIT_NPROC, r.RLIMIT_FSIZE, r.RLIMIT_CORE):
            print(*r.getrlimit(one))
    """
    limits = Limits(cpu_s=7, memory_bytes=1 << 30, files=64, processes=900, file_bytes=4096)
    result = await run(py(script, limits=limits))
    assert result.stdout.decode().splitlines() == [
        "7 7",
        f"{1 << 30} {1 << 30}",
        "64 64",
        "900 900",
        "4096 4096",
        "0 0",
    ]


async def test_a_program_that_burns_or_floods_is_ended_by_its_limits(tmp_path):
    burnt = await run(sh("while :; do :; done", limits=Limits(cpu_s=1)))
    assert burnt.signal in (signal.SIGXCPU, signal.SIGKILL)
    written = await run(sh(f"head -c 100000 /dev/zero > {tmp_path}/f", limits=Limits(file_bytes=5000)))
    assert written.exit != 0
    assert (tmp_path / "f").stat().st_size == 5000


# -- secrets ---------------------------------------------------------------------------------------


async def test_a_secret_comes_by_descriptor_and_stands_in_no_argument_and_no_variable():
    script = """
        import os
        fd = int(os.environ["ADMIN_FD"])
        print(os.read(fd, 99).decode(), os.read(fd, 99))
        print(open("/proc/self/environ").read().count("hunter" "2"), open("/proc/self/cmdline").read().count("hunter" "2"))
    """
    result = await run(py(script, secrets=(SecretDescriptor(env="ADMIN_FD", value=Sealed("hunter2")),)))
    assert result.stdout.decode().splitlines() == ["hunter2 b''", "0 0"]


async def test_a_secret_beyond_its_bound_is_rejected_without_showing_it():
    for size, refused in ((16 << 10, False), ((16 << 10) + 1, True)):
        spec = sh("cat <&$S_FD | wc -c", secrets=(SecretDescriptor(env="S_FD", value=Sealed("s" * size)),))
        if refused:
            with pytest.raises(Rejected) as why:
                await run(spec)
            assert "ss" not in str(why.value)
        else:
            assert (
                int(
                    (
                        await run(
                            py("import os;print(len(os.read(int(os.environ['S_FD']), 1<<20)))", secrets=spec.secrets)
                        )
                    ).stdout
                )
                == size
            )


# -- who carries out an intent ---------------------------------------------------------------------


async def test_pid_and_start_are_known_before_the_program_runs(tmp_path):
    named = []

    async def on_started(pid, ticks):
        named.append((pid, ticks, start_ticks(pid), (tmp_path / "done").exists()))

    result = await run(sh(f"touch {tmp_path}/done; echo $$"), on_started=on_started)
    assert named == [(result.pid, result.started, result.started, False)]
    assert int(result.stdout) == result.pid
    assert (tmp_path / "done").exists()


async def test_when_the_intent_cannot_be_written_nothing_runs(tmp_path):
    async def on_started(pid, ticks):
        raise Unavailable(f"store: closed; child {pid}")

    with pytest.raises(Unavailable, match="store: closed") as raised:
        await run(sh(f"touch {tmp_path}/done"), on_started=on_started)
    assert not (tmp_path / "done").exists()
    assert not alive(int(str(raised.value).rsplit(" ", 1)[1]))


PARENT = """
import asyncio, os, signal, sys
sys.path.insert(0, {src!r})
from watchkeeper.adapters.process import ProcessSpec, run

async def on_started(pid, ticks):
    print(pid, ticks, flush=True)
    if {before}:
        os.kill(os.getpid(), signal.SIGKILL)

def on_output(stream, data):
    print(data.decode(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(run(ProcessSpec(argv=("/bin/sh", "-c", {script!r}), timeout_ms=60_000), on_output, on_started=on_started))
"""


async def killed_parent(script, *, before):
    """Runs a parent that is killed before (or after) its child's program starts; what it said of the child."""
    source = PARENT.format(src=str(Path(__file__).parents[2] / "src"), script=script, before=before)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", source], stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
    return [int(one) for one in done.stdout.split()]


async def ended(pid):
    for _ in range(500):
        if not alive(pid):
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_child_whose_parent_died_before_the_order_never_acts(tmp_path):
    pid, ticks = await killed_parent(f"touch {tmp_path}/done", before=True)
    assert await ended(pid)
    assert await end_leftover(pid, ticks) is False
    assert not (tmp_path / "done").exists()


async def test_a_child_dies_with_its_parent_and_its_left_over_children_are_ended_by_name():
    pid, ticks, grandchild = await killed_parent(
        "trap '' HUP; sleep 1000 >/dev/null 2>&1 & echo $!; wait", before=False
    )
    assert await ended(pid)
    assert alive(grandchild)  # the signal of death goes to the child alone: hence end_leftover
    assert await end_leftover(pid, ticks, grace_ms=1_000) is True
    assert not alive(grandchild)
    assert await end_leftover(pid, ticks) is False


async def test_a_left_over_that_does_not_listen_is_killed():
    script = "trap '' TERM HUP; (trap '' TERM HUP; exec sleep 1000 >/dev/null 2>&1) & echo $!; wait"
    pid, ticks, grandchild = await killed_parent(script, before=False)
    assert await end_leftover(pid, ticks, grace_ms=50) is True
    assert not alive(grandchild)


async def test_a_pid_that_belongs_to_somebody_else_now_is_left_alone():
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        assert await end_leftover(other.pid, start_ticks(other.pid) - 1) is False
        assert alive(other.pid)
    finally:
        other.kill()
        other.wait()


async def test_a_group_without_leader_and_mark_is_given_to_a_person():
    script = "sleep 1000 >/dev/null 2>&1 & echo $!"
    other = subprocess.Popen([SH, "-c", script], stdout=subprocess.PIPE, start_new_session=True, env={})
    ticks = start_ticks(other.pid)
    member = int(other.communicate()[0])
    try:
        with pytest.raises(InDoubt, match=f"process group {other.pid}: processes {member} may be left over"):
            await end_leftover(other.pid, ticks)
        assert alive(member)
    finally:
        os.kill(member, signal.SIGKILL)


# -- pack actions ----------------------------------------------------------------------------------


def action(script, **more):
    return py("import json, sys\nargument = json.load(sys.stdin)\n" + textwrap.dedent(script), **more)


async def test_an_action_is_one_object_in_and_one_object_out():
    logged = []
    spec = action("print('working', file=sys.stderr)\nprint(json.dumps({'doubled': argument['n'] * 2}))")
    answer = await run_action(spec, {"n": 21}, on_output=lambda stream, data: logged.append((stream, data)))
    assert answer == {"doubled": 42}
    assert (Stream.STDERR, b"working\n") in logged


@pytest.mark.parametrize(
    ("script", "error", "why"),
    [
        ("sys.exit(75)", Unavailable, "not now"),
        ("print('disk full', file=sys.stderr)\nsys.exit(1)", Rejected, "failed with exit 1: disk full"),
        ("import os\nos.kill(os.getpid(), 9)", InDoubt, "ended by signal 9"),
        ("print('[1]')", InDoubt, "stdout is not one JSON object"),
        ("print('{} {}')", InDoubt, "stdout is not one JSON object"),
        ("pass", InDoubt, "stdout is not one JSON object"),
        ("print('[' * 100000)", InDoubt, "stdout is not one JSON object"),
        ("print('{\"a\": \"' + 'x' * 2**20 + '\"}')", InDoubt, "answered with 1048576 bytes or more"),
        ("print(json.dumps({'wrong': 1}))", InDoubt, "its answer: ok: missing"),
        ("print('a\\x1b[31mb\\x07', file=sys.stderr)\nsys.exit(2)", Rejected, "exit 2: a.31mb$"),
    ],
)
async def test_how_an_action_failed_says_what_the_caller_does_next(script, error, why):
    with pytest.raises(error, match=why):
        await run_action(action(script), {}, answer_wrong=lambda answer: None if "ok" in answer else "ok: missing")


async def test_an_action_that_hangs_is_in_doubt():
    with pytest.raises(InDoubt, match="ended after 300 ms without an answer"):
        await run_action(sh("sleep 1000", timeout_ms=300), {})


async def test_an_argument_against_the_schema_is_rejected_before_anything_runs(tmp_path):
    spec = sh(f"touch {tmp_path}/done")
    with pytest.raises(Rejected, match="its argument: n: must be a number; nothing was run"):
        await run_action(spec, {"n": "x"}, argument_wrong=lambda _: "n: must be a number")
    with pytest.raises(Rejected, match="its argument is no JSON"):
        await run_action(spec, {"n": object()})
    assert not (tmp_path / "done").exists()


async def test_many_at_once_each_get_their_own():
    results = await asyncio.gather(*(run(sh(f"cat; exit {n}", stdin=json.dumps(n).encode())) for n in range(12)))
    assert [(one.exit, json.loads(one.stdout)) for one in results] == [(n, n) for n in range(12)]


def test_it_is_the_same_on_the_loop_that_the_node_runs_on():
    async def main():
        named = []

        async def on_started(pid, ticks):
            named.append((pid, ticks))

        result = await run(sh("cat; echo err >&2; exit 3", stdin=b"x" * 300_000), on_started=on_started)
        assert (result.exit, len(result.stdout), result.stderr) == (3, 300_000, b"err\n")
        assert named == [(result.pid, result.started)]
        late = await run(sh("trap '' TERM; sleep 1000 & echo $!; wait", timeout_ms=300, grace_ms=50))
        assert (late.ending, late.signal) == (Ending.TIMED_OUT, signal.SIGKILL)
        assert not alive(int(late.stdout))
        up = asyncio.Event()
        task = asyncio.create_task(run(sh("echo up; sleep 1000"), lambda *_: up.set()))
        await up.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
