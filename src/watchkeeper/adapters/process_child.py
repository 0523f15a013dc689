"""One child from fork to reaping. It collects its own child: until then the pid cannot come to mean another process."""

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from watchkeeper.adapters import process_group
from watchkeeper.adapters.process_spec import MARK, SECRET_BYTES_MAX, ProcessSpec, Stream
from watchkeeper.errors import InDoubt, Rejected, Unavailable

LAUNCHER: Final = str(Path(__file__).with_name("launcher.py"))
READ_BYTES: Final = 64 << 10
STAND_BY_MS: Final = 10_000  # from fork to the launcher's first word
EXEC_MS: Final = 10_000  # from the order to the program
_LATER: Final = frozenset({errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.EMFILE})

OnOutput = Callable[[Stream, bytes], None]


class Child:
    """Made by `Child.spawn`; `end` and `close` must follow, whatever happens between."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], control: int, order: int) -> None:
        self.name, self.pid = name, process.pid
        self.exit: int | None = None
        self.signal: int | None = None
        self._process, self._control, self._order = process, control, order
        self._handle = os.pidfd_open(process.pid)
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._handle, self._has_ended)
        self._reaped = self._over = False
        self._pipes: dict[str, asyncio.StreamReader] = {}
        self._transports: list[asyncio.ReadTransport] = []
        self._secret_env: dict[str, str] = {}

    @classmethod
    async def spawn(cls, spec: ProcessSpec) -> "Child":
        name = spec.argv[0]
        with ExitStack() as ours, ExitStack() as theirs:
            try:
                order = _closing(ours, _memory(b""))
                ends = {one: _pipe(ours, theirs) for one in ("status", *Stream)}
                control_theirs, control = _pipe(theirs, ours)
                secrets = {secret.env: _secret(theirs, secret.value.reveal(), name) for secret in spec.secrets}
                stdin = _closing(ours, _memory(spec.stdin if spec.stdin_of is None else spec.stdin_of(secrets)))
                process = subprocess.Popen(  # noqa: ASYNC220  # returns once the launcher is executed, about 1 ms
                    [
                        *(sys.executable, "-I", "-S", LAUNCHER),
                        *map(str, (os.getpid(), control_theirs, ends["status"][1], order)),
                    ],
                    stdin=stdin,
                    stdout=ends[Stream.STDOUT][1],
                    stderr=ends[Stream.STDERR][1],
                    env={},
                    cwd="/",
                    pass_fds=(control_theirs, ends["status"][1], order, *secrets.values()),
                )
                child = cls(name, process, control, order)
            except OSError as full:
                # Without its control pipe a launcher that was started all the same ends by itself.
                raise Unavailable(f"{name}: no process to be had ({full.strerror}); nothing was run") from full
            ours.pop_all()
        os.close(stdin)
        child._secret_env = {variable: str(number) for variable, number in secrets.items()}
        try:
            for one, (end, _) in ends.items():
                await child._listen(one, end)
        finally:
            if len(child._pipes) < len(ends):
                await child.end(0)
                child.close()
        return child

    async def _listen(self, name: str, end: int) -> None:
        reader = asyncio.StreamReader(limit=READ_BYTES)
        file = os.fdopen(end, "rb", 0)
        transport, _ = await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        self._pipes[name] = reader
        self._transports.append(transport)

    async def stands_by(self) -> int:
        """Its start in ticks, once it is in its own group and will die with us."""
        try:
            async with asyncio.timeout(STAND_BY_MS / 1000):
                word = await self._pipes["status"].read(1)
        except TimeoutError as late:
            raise Unavailable(f"{self.name}: no process within {STAND_BY_MS} ms; nothing was run") from late
        ticks = process_group.start_ticks(self.pid)
        if word != b"r" or ticks is None:
            raise Unavailable(f"{self.name}: its process ended before it began; nothing was run")
        return ticks

    def go(self, spec: ProcessSpec, program: str, ticks: int) -> None:
        limits = {
            name: limit for name in spec.limits.__struct_fields__ if (limit := getattr(spec.limits, name)) is not None
        }
        order = {
            "program": program,
            "argv": spec.argv,
            "env": spec.env | self._secret_env | {MARK: f"{self.pid}.{ticks}"},
            "cwd": spec.cwd,
            "limits": limits,
            "no_new_privileges": spec.no_new_privileges,
        }
        data = json.dumps(order).encode()
        written = 0
        while written < len(data):
            written += os.pwrite(self._order, data[written:], written)
        with suppress(BrokenPipeError):  # it has been killed: `started` or its ending will tell
            os.write(self._control, b"g")

    async def started(self) -> None:
        """Returns once the program runs in the process."""
        try:
            async with asyncio.timeout(EXEC_MS / 1000):
                said = await self._pipes["status"].read()
        except TimeoutError as late:
            raise InDoubt(f"{self.name}: not seen to start within {EXEC_MS} ms") from late
        if not said:
            return
        failed: dict[str, Any] = json.loads(said)
        sentence = f"{self.name}: {failed['what']}: {os.strerror(failed['errno'] or 0)}; nothing was run"
        raise (Unavailable if failed["errno"] in _LATER else Rejected)(sentence)

    async def read(self, stream: Stream, kept: bytearray, bound: int, on_output: OnOutput | None) -> bool:
        """To the end of the stream. True when there was more than `bound`: the rest is thrown away, not waited for."""
        pipe, truncated = self._pipes[stream], False
        while data := await pipe.read(READ_BYTES):
            part = data[: bound - len(kept)]
            truncated = truncated or len(part) < len(data)
            if part:
                kept += part
                if on_output is not None:
                    on_output(stream, part)
        return truncated

    async def end(self, grace_ms: int) -> None:
        """Ends the group (at once, or after SIGTERM and `grace_ms`) and sees it ended. Again and again is once."""
        if self._over:
            return
        if not self.ended.done() and grace_ms:
            self._send(signal.SIGTERM)
            self._send(signal.SIGCONT)
            await asyncio.wait({self.ended}, timeout=grace_ms / 1000)
        self._send(signal.SIGKILL)
        await asyncio.wait({self.ended}, timeout=process_group.ENDED_MS / 1000)
        if not self.ended.done():
            raise InDoubt(f"{self.name}: process {self.pid} is not seen ended; look for a dead disk or mount")
        self._reap()
        if not await process_group.gone(self.pid, process_group.ENDED_MS):
            raise InDoubt(f"{self.name}: process group {self.pid} is not seen ended; look for a dead disk or mount")
        self._over = True

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        self._loop.remove_reader(self._handle)
        for number in (self._handle, self._control, self._order):
            os.close(number)

    def _send(self, number: signal.Signals) -> None:
        if not self._reaped:  # from then on the number may belong to somebody else
            process_group.send(self.pid, number)
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._handle, number)  # before it has made its group there is only itself

    def _has_ended(self) -> None:
        self._loop.remove_reader(self._handle)
        if not self.ended.done():
            self.ended.set_result(None)

    def _reap(self) -> None:
        if self._reaped:
            return
        try:
            found = os.waitid(os.P_PIDFD, self._handle, os.WEXITED)
        except ChildProcessError as taken:
            raise InDoubt(f"{self.name}: somebody else collected process {self.pid}; how it ended is lost") from taken
        finally:
            self._reaped = True
            self._process.returncode = 0  # Popen need not look for it any more
        if found is not None:
            self.exit, self.signal = (
                (found.si_status, None) if found.si_code == os.CLD_EXITED else (None, found.si_status)
            )


def _closing(stack: ExitStack, number: int) -> int:
    stack.callback(os.close, number)
    return number


def _memory(data: bytes) -> int:
    """A file without a name: unlike a pipe it takes any length at once, and ends."""
    number = os.memfd_create("child", os.MFD_CLOEXEC)
    with open(number, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _pipe(reading: ExitStack, writing: ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    return _closing(reading, read), _closing(writing, write)


def _secret(theirs: ExitStack, value: str, name: str) -> int:
    data = value.encode()
    if len(data) > SECRET_BYTES_MAX:
        raise Rejected(f"{name}: a secret of more than {SECRET_BYTES_MAX} bytes")
    with ExitStack() as written:
        read, write = _pipe(theirs, written)
        os.set_blocking(write, False)
        try:
            whole = os.write(write, data) == len(data)
        except BlockingIOError:
            whole = False
    if not whole:
        raise Unavailable(f"{name}: no room for its secrets in a pipe now; nothing was run")
    return read
