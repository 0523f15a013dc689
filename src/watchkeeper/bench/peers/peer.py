"""What a peer is to the bench: where it is installed, how it is started, how an alert is put to it."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol

UP_WITHIN_S: Final = 120.0
DOWN_WITHIN_S: Final = 20.0
SETUP_WITHIN_S: Final = 120.0
LOOK_S: Final = 0.1


class Absent(Exception):
    """It is not installed, or cannot be started: the words say what to do."""


class Up(NamedTuple):
    """`how` are the fields of an order that reaches it."""

    how: dict[str, Any]
    process: "Running"


class Peer(Protocol):
    """`install` is what a person types, in the folder. `quiet_s`: how long its slowest effect may take."""

    name: str
    install: str
    quiet_s: float

    async def version(self, folder: Path) -> str:
        """Raises Absent."""

    def start(self, folder: Path, into: Path, sink: int) -> AbstractAsyncContextManager[Up]:
        """Up in `into`, acting on alerts by a POST to the sink's port."""


def python(folder: Path, name: str) -> Path:
    """The interpreter of a peer's own environment. Raises Absent."""
    found = folder / name / "bin" / "python"
    if not found.exists():
        raise Absent(f"no {found}")
    return found


async def version_of(words: list[str]) -> str:
    return (await run(words)).strip()


async def run(words: list[str], environment: Mapping[str, str] | None = None, log: Path | None = None) -> str:
    """To its end. Raises Absent when it fails."""
    process = await asyncio.create_subprocess_exec(
        *words,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT if log is not None else asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(SETUP_WITHIN_S):
            said, _ = await process.communicate()
    except TimeoutError as late:
        raise Absent(f"{Path(words[0]).name} did not end in {SETUP_WITHIN_S:.0f} s") from late
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if log is not None:
        with log.open("ab") as file:
            file.write(said)
    if process.returncode != 0:
        raise Absent(f"{' '.join(Path(word).name for word in words[:3])} ended with {process.returncode}")
    return said.decode("utf-8", "replace")


class Running:
    """A process that listens at `port`. What it started is in its group, and ends with it."""

    def __init__(self, words: list[str], environment: Mapping[str, str], log: Path, port: int) -> None:
        self._words, self._environment, self._log, self._port = words, environment, log, port
        self._process: asyncio.subprocess.Process | None = None

    async def up(self) -> None:
        """Raises Absent when it does not come to listen."""
        with self._log.open("ab") as file:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                env={**os.environ, **self._environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                cwd=self._log.parent,
            )
        await _listens(self._process, self._port, self._words[0])

    async def kill(self) -> None:
        """As a power cut would: -9, to all of the group at once."""
        await self._end((signal.SIGKILL,))

    async def down(self) -> None:
        await self._end((signal.SIGTERM, signal.SIGKILL))

    async def _end(self, numbers: tuple[signal.Signals, ...]) -> None:
        process = self._process
        if process is None:
            return
        for number in numbers:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(DOWN_WITHIN_S):
                    await process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it left behind


@asynccontextmanager
async def running(words: list[str], environment: Mapping[str, str], log: Path, port: int) -> AsyncIterator[Running]:
    """It and what it started are gone at the end."""
    found = Running(words, environment, log, port)
    try:
        await found.up()
        yield found
    finally:
        await found.down()


async def _listens(process: asyncio.subprocess.Process, port: int, name: str) -> None:
    end_s = monotonic() + UP_WITHIN_S
    while monotonic() < end_s:
        if process.returncode is not None:
            raise Absent(f"{Path(name).name} ended with {process.returncode} before it listened")
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(LOOK_S)
    raise Absent(f"{Path(name).name} did not listen in {UP_WITHIN_S:.0f} s")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
