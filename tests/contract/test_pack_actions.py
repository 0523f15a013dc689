"""A pack's programs as they are started: real files, real children, and what is refused before anything runs."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from watchkeeper.adapters import process_group
from watchkeeper.adapters.actions.pack import PackPrograms
from watchkeeper.adapters.process import end_leftover
from watchkeeper.engine.action import Invocation
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted
from watchkeeper.guards.situation import Target
from watchkeeper.packs.action import PackAction
from watchkeeper.packs.runbook import Effect, Via

ANY = {"type": "object"}
HOST = {
    "type": "object",
    "properties": {"host": {"type": "string"}},
    "required": ["host"],
    "additionalProperties": False,
}
TARGET = Target(
    ref="component:default/web", kind="Component", name="web", digest="d", reach="api", environment="prod",
    attributes={"unit": "web.service"},
)  # fmt: skip


def python(text):
    return f"#!{sys.executable} -IS\n{textwrap.dedent(text)}".encode()


def shell(text):
    return f"#!/bin/sh\n{textwrap.dedent(text)}".encode()


class Around:
    """What the engine lends, written down."""

    def __init__(self, secrets=None, lease=True):
        self.secrets, self.lease_held = secrets or {}, lease
        self.leased, self.shown, self.children = [], [], []

    async def lease(self, name):
        self.leased.append(name)
        return self.secrets[name]

    def output(self, stream, data):
        self.shown.append((stream, data))

    async def started(self, pid, start_ticks):
        self.children.append((pid, start_ticks))

    def lease_ok(self):
        return self.lease_held


class Programs:
    def __init__(self, state):
        self.state = state

    def action(self, body, **more):
        declared = PackAction(
            name="shop/flush", pack="shop", where="x:1", digest="d", program="bin/flush", effect=Effect.ONCE,
            **{"input": ANY, "output": ANY, "time_ms": 10_000, **more},
        )  # fmt: skip
        sha256 = hashlib.sha256(body).hexdigest()
        self.file = self.state / "programs" / sha256 / "flush"
        return PackPrograms(self.state).action(declared, sha256, body)

    async def run(self, body, arguments=None, around=None, via=Via.LOCAL, timeout_ms=10_000, target=TARGET, **more):
        self.around = around or Around()
        invocation = Invocation(
            run="run_1", decision="dec_1", incident="inc_1", runbook="shop/mend", step="flush", attempt=2, key="k-1",
            fence=7, arguments=arguments or {}, timeout_ms=timeout_ms, intent_at=datetime(2026, 3, 1, tzinfo=UTC),
            target=target, via=via,
        )  # fmt: skip
        return await self.action(body, **more).perform(invocation, self.around)


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


def alive(pid):
    stat = process_group._stat(pid)
    return stat is not None and stat.state not in "ZX"


ECHO = python("""
    import json, os, sys
    given = json.load(sys.stdin)
    print("looked", file=sys.stderr)
    json.dump({"given": given, "env": sorted(os.environ), "argv": len(sys.argv)}, sys.stdout)
""")


async def test_a_program_gets_the_documented_names_and_answers_with_an_object(programs):
    answer = await programs.run(ECHO, {"host": "db-1"}, input=HOST)
    given = answer["given"]
    target = given.pop("target")
    assert given == {
        "arguments": {"host": "db-1"}, "run": "run_1", "decision": "dec_1", "incident": "inc_1", "runbook": "shop/mend",
        "step": "flush", "attempt": 2, "key": "k-1", "fence": 7, "intent_at": "2026-03-01T00:00:00.000000Z",
        "actor": "automation", "drill": False,
    }  # fmt: skip
    assert (target["name"], target["environment"], target["unit"]) == ("web", "prod", "web.service")
    assert set(answer["env"]) - {"LC_CTYPE"} == {
        "PATH", "WATCHKEEPER_ACTOR", "WATCHKEEPER_CHILD", "WATCHKEEPER_FENCE", "WATCHKEEPER_KEY", "WATCHKEEPER_RUN",
        "WATCHKEEPER_STEP",
    }  # fmt: skip
    assert answer["argv"] == 1
    assert programs.around.shown == [("stderr", b"looked\n")]
    assert len(programs.around.children) == 1


async def test_without_a_target_the_target_is_null(programs):
    assert (await programs.run(ECHO, target=None))["given"]["target"] is None


async def test_a_shell_script_that_reads_no_stdin(programs):
    answer = await programs.run(shell("""printf '{"key": "%s"}' "$WATCHKEEPER_KEY" """), {"long": "x" * 200_000})
    assert answer == {"key": "k-1"}


async def test_the_program_lies_by_its_content_written_once_and_closed_to_change(programs):
    await programs.run(ECHO)
    written = programs.file.stat()
    assert (written.st_mode & 0o7777, programs.file.read_bytes()) == (0o500, ECHO)
    await programs.run(ECHO)
    assert programs.file.stat().st_ino == written.st_ino
    assert [file.name for file in programs.file.parent.iterdir()] == ["flush"]


def flip(file):
    body = bytearray(file.read_bytes())
    body[-2] ^= 1
    file.chmod(0o700)
    file.write_bytes(body)
    file.chmod(0o500)


def replace_by_link(file):
    body = file.read_bytes()
    file.unlink()
    other = file.with_name("other")
    other.write_bytes(body)
    other.chmod(0o500)
    file.symlink_to(other)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (flip, "does not hold the bytes that were applied"),
        (lambda file: file.chmod(0o700), "is no plain file of this user with mode 500"),
        (replace_by_link, "cannot be read"),
    ],
)
async def test_a_program_that_was_changed_is_not_started(programs, tmp_path, change, why):
    mark = tmp_path / "ran"
    body = shell(f"touch {mark}; echo '{{}}' # xx")
    assert await programs.run(body) == {}
    mark.unlink()
    change(programs.file)
    with pytest.raises(Untrusted, match=why):
        await programs.run(body)
    assert programs.around.children == []
    assert not mark.exists()


async def test_a_program_changed_while_its_start_is_written_down_is_not_started(programs, tmp_path):
    mark = tmp_path / "ran"
    body = shell(f"touch {mark}; echo '{{}}' # xx")

    class Slow(Around):
        async def started(self, pid, start_ticks):
            await super().started(pid, start_ticks)
            flip(programs.file)

    with pytest.raises(Untrusted, match="does not hold the bytes"):
        await programs.run(body, around=Slow())
    ((pid, _),) = programs.around.children
    assert not mark.exists()
    assert not alive(pid)


async def test_bytes_that_are_not_those_of_the_configuration_are_not_written(programs):
    declared = programs.action(ECHO)
    declared._body = ECHO + b"#"
    with pytest.raises(Untrusted, match="the stored copy of its program"):
        declared._place()
    assert not programs.file.exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({}, "its arguments: 'host' is a required property; nothing was run"),
        ({"host": 5}, "its arguments: host: 5 is not of type 'string'"),
        ({"host": "a", "hots": "b"}, "'hots' was unexpected"),
        ({"host": {"secret": "admin"}}, "host: 3 is not of type 'string'"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_before_anything_runs_or_is_leased(programs, arguments, why):
    with pytest.raises(Rejected, match=why):
        await programs.run(ECHO, arguments, input=HOST)
    assert (programs.around.children, programs.around.leased) == ([], [])


@pytest.mark.parametrize(
    ("script", "error", "why"),
    [
        ("exit 75", Unavailable, "shop/flush: not now"),
        ("echo the disk is full >&2; exit 3", Rejected, "shop/flush: failed with exit 3: the disk is full"),
        ("echo done", InDoubt, "exited 0, but stdout is not one JSON object"),
        ("", InDoubt, "stdout is not one JSON object"),
        ("echo '{} {}'", InDoubt, "stdout is not one JSON object"),
        ("echo '[1]'", InDoubt, "stdout is not one JSON object"),
        ('echo \'{"flushed": "many"}\'', InDoubt, "its answer: flushed: 'many' is not of type 'integer'"),
        ("kill -ABRT $$", InDoubt, "ended by signal 6"),
        ("exec yes '{'", InDoubt, "ended after 1000 ms without an answer"),
        ("head -c 70000 /dev/zero", InDoubt, "answered with 65536 bytes or more"),
    ],
)
async def test_how_it_ends_says_what_is_known(programs, script, error, why):
    output = {"type": "object", "properties": {"flushed": {"type": "integer"}}}
    with pytest.raises(error, match=why) as raised:
        await programs.run(shell(script), output=output, output_bytes=64 * 1024, time_ms=1_000)
    assert str(programs.file) not in str(raised.value)


@pytest.mark.parametrize(("declared_ms", "step_ms"), [(300, 10_000), (10_000, 300)])
async def test_one_that_hangs_is_ended_with_what_it_forked_by_the_shorter_of_both_limits(
    programs, declared_ms, step_ms
):
    body = shell("(trap '' TERM; exec sleep 1000) & echo $! >&2; wait")
    with pytest.raises(InDoubt, match="ended after 300 ms"):
        await programs.run(body, time_ms=declared_ms, timeout_ms=step_ms)
    forked = int(b"".join(data for _, data in programs.around.shown))
    assert not alive(forked)


async def test_memory_is_bounded(programs):
    body = python("x = bytearray(200 << 20)\nprint('{}')")
    with pytest.raises(Rejected, match="MemoryError"):
        await programs.run(body, memory_bytes=64 << 20)
    assert await programs.run(body, memory_bytes=1 << 30) == {}


SECRETIVE = python("""
    import json, os, sys
    given = json.load(sys.stdin)
    number = given["arguments"]["auth"]["token"]
    assert str(number) == os.environ["WATCHKEEPER_SECRET_ADMIN_TOKEN"]
    print("using", open(number).read(), file=sys.stderr)
    print(json.dumps({"number": number, "stdin": json.dumps(given), "env": dict(os.environ), "argv": sys.argv}))
""")


async def test_a_secret_is_a_descriptor_and_stands_nowhere_else(programs):
    around = Around({"admin-token": "hunter2-and-more"})
    answer = await programs.run(SECRETIVE, {"auth": {"token": {"secret": "admin-token"}}}, around)
    assert isinstance(answer["number"], int)
    assert "hunter2" not in str(answer)
    assert around.leased == ["admin-token"]
    assert around.shown == [
        ("stderr", b"using hunter2-and-more\n")
    ]  # scrubbed by the engine, which knows what it leased


async def test_two_secrets_of_one_variable_are_refused(programs):
    with pytest.raises(Rejected, match="two of its secrets would share WATCHKEEPER_SECRET_A_B"):
        await programs.run(ECHO, {"a": {"secret": "a-b"}, "b": {"secret": "a_b"}}, Around({"a-b": "1", "a_b": "2"}))


async def test_it_runs_on_this_node_only_and_only_under_a_lease(programs):
    with pytest.raises(Rejected, match="via ssh is not built"):
        await programs.run(ECHO, via=Via.SSH)
    assert programs.around.children == []
    with pytest.raises(Unavailable, match="lost its lease before the start; nothing was run"):
        await programs.run(ECHO, around=Around(lease=False))


async def test_an_interpreter_that_is_not_there_is_said(programs):
    with pytest.raises(Rejected, match=r"shop/flush: .*No such file"):
        await programs.run(b"#!/nowhere/python\n")


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_pack_actions import Around, Programs, shell

class Told(Around):
    async def started(self, pid, start_ticks):
        print(pid, start_ticks, flush=True)

    def output(self, stream, data):
        print(data.decode().strip(), flush=True)

asyncio.run(Programs(Path({state!r})).run(shell("(trap '' TERM; exec sleep 1000) & echo $! >&2; wait"), around=Told()))
"""


async def test_the_child_dies_with_a_killed_node_and_what_it_forked_is_ended_by_its_name(tmp_path):
    script = KILLED.format(here=str(Path(__file__).parent), state=str(tmp_path))
    node = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    pid, ticks = (int(word) for word in (await asyncio.to_thread(node.stdout.readline)).split())
    forked = int(await asyncio.to_thread(node.stdout.readline))
    handle = os.pidfd_open(pid)
    node.send_signal(signal.SIGKILL)
    node.wait()
    node.stdout.close()
    await asyncio.to_thread(_ended, handle)
    assert alive(forked)
    await end_leftover(pid, ticks)
    assert not alive(forked)


def _ended(handle):
    import select

    ready, _, _ = select.select([handle], [], [], 20)
    os.close(handle)
    assert ready, "the child outlived its node"
