"""The demo as somebody runs it on a fresh machine: the whole story, a story that is interrupted, one that fails."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.demo.desk import Desk, Waited
from watchkeeper.demo.fleet import MEMBERS, Fleet
from watchkeeper.demo.home import FIRST, SINK, SUPERVISOR, home_files, write
from watchkeeper.home.configuration import compile_home, unbuilt

STORY_WITHIN_S = 240
OUTCOMES = (
    "suggested, run by a person",
    "asked, approved, repaired",
    "repaired by itself",
    "healed by itself, untouched",
    "held, then repaired",
    "refused; the cause repaired",
    "refused; people told",
    "tried twice, escalated",
)


async def started(*words):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "watchkeeper", "demo", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER")},
        preexec_fn=_hears_interrupts,
    )


def _hears_interrupts():
    """A shell that puts the tests into the background has them ignore SIGINT, and a child inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def home_in(text):
    return re.search(r"its home is (\S+)", text)[1]


def still_there(needles):
    """Processes whose command line names any of these: the home, or a port of its fleet."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if "watchkeeper" in line and any(needle in line for needle in needles):
            found.append(line)
    return found


def node_of(home):
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and f"watchkeeper.demo.node\0{home}\0" in (entry / "cmdline").read_text():
            return int(entry.name)
    raise AssertionError(f"no node runs for {home}")


async def gone(home):
    """What ends by a closed pipe ends a moment later."""
    for _ in range(200):
        if not still_there([home]):
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.mark.timeout(STORY_WITHIN_S + 30)
async def test_the_whole_story_passes_without_questions_and_leaves_nothing_behind():
    process = await started()
    async with asyncio.timeout(STORY_WITHIN_S):
        out, err = await process.communicate()
    text = out.decode()
    assert process.returncode == 0, f"{text}\n{err.decode()}"
    assert text.rstrip().splitlines()[-1] == "demo: passed"
    for outcome in OUTCOMES:
        assert outcome in text
    assert "The ledger verifies" in text
    assert "\x1b" not in text  # plain where nobody watches
    assert await gone(home_in(text))
    assert not Path(home_in(text)).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_it_ends_what_it_started(number):
    process = await started()
    seen = ""
    async with asyncio.timeout(60):
        while "1  An instance crashes" not in seen:
            line = await process.stdout.readline()
            assert line, f"{seen}\n{(await process.stderr.read()).decode()}"
            seen += line.decode()
    process.send_signal(number)
    async with asyncio.timeout(60):
        rest, err = await process.communicate()
    assert process.returncode == 130, err.decode()
    assert "demo: passed" not in rest.decode()
    assert await gone(home_in(seen))


async def test_killed_it_leaves_nothing_either():
    process = await started()
    seen = ""
    async with asyncio.timeout(60):
        while "1  An instance crashes" not in seen:
            line = await process.stdout.readline()
            assert line, seen
            seen += line.decode()
    assert still_there([home_in(seen)])
    process.kill()
    await process.communicate()
    assert await gone(home_in(seen))


async def test_a_story_that_fails_says_what_failed_and_leaves_nothing():
    process = await started()
    seen = ""
    async with asyncio.timeout(60):
        while "1  An instance crashes" not in seen:
            line = await process.stdout.readline()
            assert line, seen
            seen += line.decode()
    os.kill(node_of(home_in(seen)), signal.SIGKILL)
    async with asyncio.timeout(60):
        rest, _ = await process.communicate()
    assert process.returncode == 1
    assert "demo: failed: " in rest.decode()
    assert "demo: passed" not in rest.decode()
    assert await gone(home_in(seen))


async def test_a_wait_that_is_over_says_what_it_waited_for(tmp_path):
    (tmp_path / ".watchkeeper").mkdir()
    (tmp_path / ".watchkeeper" / "token").write_text("x\n")
    desk = Desk("http://127.0.0.1:9", tmp_path)

    async def never():
        return None

    with pytest.raises(Waited, match="waited 0 s for the moon"):
        await desk.until("the moon", never, 0.0)


def test_the_example_has_no_error_and_no_warning_and_can_be_applied_as_it_stands():
    compiled = compile_home(home_files(), CelCompiler())
    assert compiled.problems == ()
    assert unbuilt(compiled.configuration) == ()


def test_a_fleet_puts_in_its_own_addresses_and_changes_nothing_else():
    fleet = Fleet()
    plain, moved = home_files(), home_files(fleet)
    assert set(plain) == set(moved)
    ports = {FIRST + at: fleet.ports[member.name] for at, member in enumerate(MEMBERS)}
    ports |= {SUPERVISOR: fleet.supervisor_port, SINK: fleet.sink_port}
    for path, data in plain.items():
        expected = re.sub(rb"127\.0\.0\.1:(\d+)", lambda found: b"127.0.0.1:%d" % ports[int(found[1])], data)
        assert moved[path] == expected, path


def test_a_home_that_somebody_has_is_left_alone(tmp_path):
    (tmp_path / "watchkeeper.yaml").write_text("mine\n")
    with pytest.raises(FileExistsError):
        write(tmp_path, Fleet())
    assert [file.name for file in tmp_path.iterdir()] == ["watchkeeper.yaml"]
    assert (tmp_path / "watchkeeper.yaml").read_text() == "mine\n"
