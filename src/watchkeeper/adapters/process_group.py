"""Process groups as the kernel shows them: who is in one, whether it is the one we mean, and its end."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

from watchkeeper.adapters.process_spec import GRACE_MS, MARK
from watchkeeper.errors import InDoubt

ENDED_MS: Final = 10_000  # after SIGKILL; longer means the kernel itself is waiting (a dead disk, a dead mount)
LOOK_EVERY_MS: Final = 10
_PROC: Final = Path("/proc")
_GONE: Final = frozenset("ZXx")  # a zombie does nothing any more; its parent has not looked yet


class _Stat(NamedTuple):
    pid: int
    state: str
    group: int
    session: int
    start_ticks: int


def start_ticks(pid: int) -> int | None:
    """Clock ticks between boot and the start of `pid`; with the pid it names one process for ever. None: no such one."""
    found = _stat(pid)
    return None if found is None else found.start_ticks


async def end_leftover(pid: int, start_ticks: int, *, grace_ms: int = GRACE_MS) -> bool:
    """Ends what is left of the group of child (`pid`, `start_ticks`) and waits until it is seen ended.

    True when something had to be ended. A pid that now belongs to another process is left alone.
    Raises InDoubt when what is left cannot be told to be ours, or does not end.
    """
    leader, group = _stat(pid), members(pid)
    if leader is not None and leader.start_ticks != start_ticks:
        return False  # the number could only be given away after the last of our group had ended
    if not group:
        return False
    # Without its leader a group is ours when one of it carries our mark: a group never changes hands.
    if leader is None and not any(_marked(member, pid, start_ticks) for member in group):
        listed = ", ".join(str(member.pid) for member in group[:8])
        raise InDoubt(
            f"process group {pid}: processes {listed} may be left over from a child or may be somebody else's; "
            "look at them and end them by hand"
        )
    send(pid, signal.SIGTERM)
    send(pid, signal.SIGCONT)
    if not await gone(pid, grace_ms):
        send(pid, signal.SIGKILL)
        if not await gone(pid, ENDED_MS):
            raise InDoubt(
                f"process group {pid}: still there {ENDED_MS} ms after SIGKILL; look for a dead disk or mount"
            )
    return True


def members(group: int) -> list[_Stat]:
    """Those of the group and session `group` that still can do something."""
    found = (_stat(int(entry.name)) for entry in os.scandir(_PROC) if entry.name.isdecimal())
    return [one for one in found if one and one.group == one.session == group and one.state not in _GONE]


async def gone(group: int, within_ms: int) -> bool:
    """Waits until nobody of the group is left; False when somebody still is after `within_ms`."""
    until = monotonic() + within_ms / 1000
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # somebody is there, under another user
        if not members(group):
            return True
        if monotonic() >= until:
            return False
        await asyncio.sleep(LOOK_EVERY_MS / 1000)


def send(group: int, number: signal.Signals) -> None:
    """To the whole group. Who must not be signalled will be seen to stay."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _stat(pid: int) -> _Stat | None:
    """Source: proc_pid_stat(5). The name in parentheses may hold anything, even parentheses."""
    try:
        text = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    rest = text.rpartition(")")[2].split()
    return _Stat(pid=pid, state=rest[0], group=int(rest[2]), session=int(rest[3]), start_ticks=int(rest[19]))


def _marked(member: _Stat, pid: int, start_ticks: int) -> bool:
    try:
        environment = (_PROC / str(member.pid) / "environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={pid}.{start_ticks}".encode() in environment.split(b"\0")
