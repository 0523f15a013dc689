"""A node, and other processes of ours, as children: started, asked, read from /proc, ended."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final, Self

import msgspec

from watchkeeper.bench.home import TOKEN_VARIABLE
from watchkeeper.bench.outside import Order, Outcome
from watchkeeper.surface.client import SOCKET, Client, Where

READY: Final = "watchkeeper ready on http://"
READY_WITHIN_S: Final = 180.0
DOWN_WITHIN_S: Final = 60.0
TOKEN: Final = "bench-only-not-a-secret"  # noqa: S105  of a home that lives as long as the bench
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
LINE_BYTES_MAX: Final = 512 * 1024 * 1024


class Child:
    """One process in a group of its own, its first line read."""

    def __init__(self, *words: str, environment: Mapping[str, str] | None = None, log: Path | None = None) -> None:
        self._words = words
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._environment = {
            **inherited,
            **(environment or {}),
        }  # modules are compiled once, as an installation has them
        self._log = log
        self.first = ""
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        log = self._log.open("ab") if self._log is not None else None
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,
                limit=LINE_BYTES_MAX,
            )
        finally:
            if log is not None:
                log.close()
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                self.first = (await self.process.stdout.readline()).decode().strip()  # type: ignore[union-attr]  # it is a pipe
        except BaseException:  # also when cancelled: no process stays behind
            await self.close()
            raise
        if not self.first:
            await self.close()
            raise RuntimeError(f"{' '.join(self._words[1:4])} ended before it was ready: {self._tail()}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def ask(self, order: Any) -> bytes:
        """One JSON line in, one out."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(order) + b"\n")
        await self.process.stdin.drain()
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._words[1:4])} ended: {self._tail()}")
        return line

    async def close(self) -> None:
        """As Ctrl-C does it; seen ended when it returns."""
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(DOWN_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    def family(self) -> list[int]:
        """The process and its children."""
        pid = self.process.pid
        found = [pid]
        with suppress(OSError):
            found += [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
        return found

    def cpu_s(self) -> float:
        return sum(_cpu_s(pid) for pid in self.family())

    def memory_bytes(self) -> int:
        """Proportional set size: a page that two processes share is half of each."""
        return sum(_pss_bytes(pid) for pid in self.family())

    def _tail(self) -> str:
        if self._log is None:
            return ""
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "without a word"


class Outside(Child):
    """The sender and the target."""

    def __init__(self, log: Path) -> None:
        super().__init__(sys.executable, "-m", "watchkeeper.bench.outside", log=log)

    @property
    def port(self) -> int:
        return int(self.first)

    async def send(self, *orders: Order) -> list[Outcome]:
        return msgspec.json.decode(await self.ask(orders), type=list[Outcome])


class Node(Child):
    """`wk up`. `profiled`: the worker counts where its CPU goes, and writes that at its end."""

    def __init__(self, home: Path, *, profiled: Path | None = None) -> None:
        environment = {TOKEN_VARIABLE: TOKEN}
        words = [sys.executable, "-m", "watchkeeper", "--home", str(home), "up", "--port", "0"]
        if profiled is not None:
            words = [
                sys.executable,
                "-m",
                "watchkeeper.bench.profile",
                str(profiled),
                "--home",
                str(home),
                "--port",
                "0",
            ]
        super().__init__(*words, environment=environment, log=home / "node.log")
        self.home = home
        self.client = Client(Where(socket=home / SOCKET, name=str(home)), timeout_s=1_800)
        self.ready_s = 0.0

    async def __aenter__(self) -> Self:
        began_s = monotonic()
        await super().__aenter__()
        self.ready_s = monotonic() - began_s
        if not self.first.startswith(READY):
            await self.close()
            raise RuntimeError(f"the node said {self.first!r}, not that it is ready")
        return self

    @property
    def port(self) -> int:
        return int(self.first.rpartition(":")[2])

    def grant(self, *rules: str) -> None:
        """On record, like anybody's: the rules may act by themselves."""
        for rule in rules:
            self.client.post(
                "/grants",
                {"rule": rule, "level": "auto", "for": "30d", "environment": "bench", "reason": "wk bench measures"},
            )


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _pss_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
