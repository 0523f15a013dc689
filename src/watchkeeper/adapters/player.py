"""Scenarios played in a process of their own: polite to the machine, bounded in time and memory, seen ended.

The child (`watchkeeper.surface.play`) gets the files of one configuration, compiles them as a node would, plays what is
named and says each result as one line of JSON. It has no socket of ours, no secret and no home: nothing real to touch.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from watchkeeper.adapters.process import Ending, Limits, ProcessSpec, Stream, run
from watchkeeper.engine.player import PLAY_MS_MAX, SCENARIO_MS_MAX, Hear, Result

CHILD: Final = "watchkeeper.surface.play"
FOLDER: Final = "scenarios-"
FILES: Final = "files.msgpack"
START_MS: Final = 30_000  # for the interpreter and the compiler, before the first scenario
LINE_BYTES_MAX: Final = 256 * 1024
LAST_WORDS_CHARS: Final = 300
LIMITS: Final = Limits(cpu_s=PLAY_MS_MAX // 1_000, memory_bytes=4 << 30)


class ChildPlayer:
    """`state` is the node's own folder: the files of the configuration lie there while they are played, and no longer."""

    def __init__(self, state: Path) -> None:
        self._state = state
        for left in state.glob(f"{FOLDER}*"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)

    async def play(self, files: Mapping[str, bytes], names: Sequence[str], hear: Hear) -> str:
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=FOLDER, dir=self._state))
        try:
            given = msgspec.msgpack.encode({"files": dict(files), "names": list(names), "each_ms": SCENARIO_MS_MAX})
            await asyncio.to_thread((folder / FILES).write_bytes, given)
            return await self._child(folder, len(names), hear)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _child(self, folder: Path, count: int, hear: Hear) -> str:
        rest = bytearray()

        def heard(stream: Stream, piece: bytes) -> None:
            if stream is not Stream.STDOUT:
                return
            rest.extend(piece)
            while (end := rest.find(b"\n")) >= 0:
                line = bytes(rest[:end])
                del rest[: end + 1]
                hear(msgspec.json.decode(line, type=Result))
            if len(rest) > LINE_BYTES_MAX:
                rest.clear()  # no result of ours is that long: the scenario counts as not played

        bound_ms = min(PLAY_MS_MAX, START_MS + count * SCENARIO_MS_MAX)
        spec = ProcessSpec(
            argv=(sys.executable, "-I", "-m", CHILD, str(folder / FILES)),
            timeout_ms=bound_ms,
            env={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
            limits=LIMITS,
        )
        done = await run(spec, heard)
        if done.ending is Ending.TIMED_OUT:
            return f"not played: the time for one go ({bound_ms // 1_000} s) ran out"
        if done.exit != 0:
            words = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][-LAST_WORDS_CHARS:]
            return f"not played: the player ended ({done.exit if done.exit is not None else done.signal}): {words}"
        return ""
