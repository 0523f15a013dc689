"""The node of the demo: `wk up` as a child process on a free port, which ends when the story does.

Run as `python -m watchkeeper.demo.node HOME` it is that child: `wk --home HOME up --port 0`, and the end of its
standard input is its own end.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from watchkeeper.demo.parent import end_with_parent

READY: Final = "watchkeeper ready on "
READY_WITHIN_S: Final = 30.0
DOWN_WITHIN_S: Final = 25.0
LOG: Final = "node.log"


class Node:
    """`url` once it is ready. Its log stands beside its state, in HOME/.watchkeeper/node.log."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home, self.url = home, ""
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        return self.home / ".watchkeeper" / LOG

    async def __aenter__(self) -> Self:
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "watchkeeper.demo.node", str(self.home)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self._environment},
                start_new_session=True,  # Ctrl-C is for the story; the node is told by it
            )
        try:
            self.url = await self._ready()
        except BaseException:  # also when cancelled: no process stays behind
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Returns when the node and its worker are seen ended: the worker holds the other end of stdout."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(DOWN_WITHIN_S):
                await self._process.communicate()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def _ready(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while line := (await self._process.stdout.readline()).decode():
                    if line.startswith(READY):
                        return line.removeprefix(READY).strip()
        except TimeoutError:
            raise RuntimeError(f"the node is not ready after {READY_WITHIN_S:.0f} s: see {self.log}") from None
        said = self.log.read_text("utf-8", "replace").strip().splitlines()
        code = await self._process.wait()
        raise RuntimeError(f"the node ended with {code} before it was ready: {said[-1] if said else 'without a word'}")


def main() -> int:
    from watchkeeper.surface.cli import main as wk

    end_with_parent()
    return wk(["--home", sys.argv[1], "up", "--port", "0"])


if __name__ == "__main__":
    sys.exit(main())
