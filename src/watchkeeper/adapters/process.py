"""Children: programs started by argv, bounded in time, output and resources, and seen ended.

No shell, an empty environment, own session and process group, death with this process. A small launcher
(`launcher.py`) becomes the program; before it does, its pid and start time are handed to `on_started`, so that an
intent can name the child that will carry it out. After a crash `end_leftover` ends such a child by that name.

A descendant that makes a session of its own leaves the group and is not followed: that is what a sandbox is for.
The signal of a parent's death is tied to the thread that started the child: call this from the thread of the loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from time import monotonic
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from watchkeeper.adapters.process_child import Child, OnOutput
from watchkeeper.adapters.process_group import end_leftover, start_ticks
from watchkeeper.adapters.process_spec import (
    PACK_LIMITS,
    SECRETS_MAX,
    Descriptor,
    Ending,
    Limits,
    ProcessResult,
    ProcessSpec,
    SecretDescriptor,
    Stream,
    program,
)
from watchkeeper.errors import InDoubt, Rejected, Unavailable

__all__ = [
    "PACK_LIMITS",
    "SECRETS_MAX",
    "Descriptor",
    "Ending",
    "Limits",
    "ProcessResult",
    "ProcessSpec",
    "SecretDescriptor",
    "Stream",
    "end_leftover",
    "run",
    "run_action",
    "start_ticks",
]

DRAIN_MS: Final = 500  # for output that is still in the pipe when the child has ended
EXIT_NOT_NOW: Final = 75  # Source: sysexits(3), EX_TEMPFAIL
LAST_WORDS_CHARS_MAX: Final = 300

OnStarted = Callable[[int, int], Awaitable[None]]
Wrong = Callable[[dict[str, Any]], str | None]


async def run(
    spec: ProcessSpec, on_output: OnOutput | None = None, *, on_started: OnStarted | None = None
) -> ProcessResult:
    """To the end, by itself or by `timeout_ms` (SIGTERM to the group, `grace_ms`, SIGKILL). Any exit is a result.

    `on_started(pid, start_ticks)` is awaited before the program is started; when it raises, nothing was run.
    `on_output` gets pieces as they come, which may end in the middle of a line, a character or a secret.
    On cancellation, or when a callback raises, the group is ended and seen ended first. What it leaves running in
    its group when it exits is ended too.
    Raises: Rejected (no such program, bad arguments), Unavailable (no process to be had; nothing was run),
    InDoubt (it was not seen ended).
    """
    file = program(spec)
    child = await Child.spawn(spec)
    readers: dict[Stream, asyncio.Task[bool]] = {}
    kept = {stream: bytearray() for stream in Stream}
    try:
        started = await child.stands_by()
        if on_started is not None:
            await on_started(child.pid, started)
        began = monotonic()
        child.go(spec, file, started)
        for stream in Stream:
            reading = child.read(stream, kept[stream], spec.output_bytes_max, on_output)
            readers[stream] = asyncio.create_task(reading)
        await child.started()
        timed_out = await _timed_out(child, readers, began + spec.timeout_ms / 1000)
        await _through(child.end(spec.grace_ms))
        await asyncio.wait(readers.values(), timeout=DRAIN_MS / 1000)
        cut = [not task.done() or task.result() for task in readers.values()]
    finally:
        for task in readers.values():
            task.cancel()
        await _through(child.end(spec.grace_ms))
        await asyncio.gather(*readers.values(), return_exceptions=True)
        child.close()
    ended_by_itself = Ending.EXITED if child.signal is None else Ending.SIGNALLED
    return ProcessResult(
        ending=Ending.TIMED_OUT if timed_out else ended_by_itself,
        exit=child.exit,
        signal=child.signal,
        stdout=bytes(kept[Stream.STDOUT]),
        stderr=bytes(kept[Stream.STDERR]),
        truncated=any(cut),
        ms=int((monotonic() - began) * 1000),
        pid=child.pid,
        started=started,
    )


async def run_action(
    spec: ProcessSpec,
    argument: dict[str, Any],
    *,
    argument_wrong: Wrong | None = None,
    answer_wrong: Wrong | None = None,
    on_output: OnOutput | None = None,
    on_started: OnStarted | None = None,
) -> dict[str, Any]:
    """A pack action: `argument` as one JSON object on stdin, one JSON object on stdout, logs on stderr.

    A `Descriptor` in `argument` becomes the number at which the program reads that secret.
    `argument_wrong` and `answer_wrong` check a schema and say what is wrong, or None. Exit 0 means done, 75 not now
    with nothing done, any other that it failed and said why on stderr. The sentences quote stderr: scrub them.
    Raises: Rejected (the argument, or the program said no), Unavailable (exit 75), InDoubt (a signal, a time-out,
    or an answer that is not what the schema says: it may have acted).
    """
    name = spec.argv[0] if spec.argv else "action"
    wrong = argument_wrong(argument) if argument_wrong else None
    if wrong is not None:
        raise Rejected(f"{name}: its argument: {wrong}; nothing was run")

    def stdin(numbers: Mapping[str, int]) -> bytes:
        def number(value: object) -> int:
            if isinstance(value, Descriptor):
                return numbers[value.env]
            raise TypeError(f"{type(value).__name__} has no form in JSON")

        return msgspec.json.encode(argument, enc_hook=number)

    try:
        unnumbered = stdin({secret.env: SECRETS_MAX for secret in spec.secrets})
    except (KeyError, TypeError, ValueError, RecursionError, msgspec.MsgspecError) as unfit:
        raise Rejected(f"{name}: its argument is no JSON: {unfit}; nothing was run") from unfit
    result = await run(replace(spec, stdin=unnumbered, stdin_of=stdin), on_output, on_started=on_started)
    match result.ending:
        case Ending.TIMED_OUT:
            raise InDoubt(f"{name}: ended after {spec.timeout_ms} ms without an answer{_last_words(result)}")
        case Ending.SIGNALLED:
            raise InDoubt(f"{name}: ended by signal {result.signal}{_last_words(result)}")
        case Ending.EXITED:
            pass
    if result.exit == EXIT_NOT_NOW:
        raise Unavailable(f"{name}: not now{_last_words(result)}")
    if result.exit != 0:
        raise Rejected(f"{name}: failed with exit {result.exit}{_last_words(result)}")
    if len(result.stdout) >= spec.output_bytes_max:
        raise InDoubt(f"{name}: answered with {spec.output_bytes_max} bytes or more")
    try:
        answer = msgspec.json.decode(result.stdout, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as garbled:
        raise InDoubt(f"{name}: exited 0, but stdout is not one JSON object: {garbled}") from garbled
    wrong = answer_wrong(answer) if answer_wrong else None
    if wrong is not None:
        raise InDoubt(f"{name}: exited 0, but its answer: {wrong}")
    return answer


async def _timed_out(child: Child, readers: dict[Stream, asyncio.Task[bool]], until: float) -> bool:
    """Waits for its end. A callback that raised stops the waiting with its own error."""
    waiting: set[asyncio.Future[Any]] = {child.ended, *readers.values()}
    while not child.ended.done():
        left = until - monotonic()
        if left <= 0:
            return True
        done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    return False


async def _through(ending: Coroutine[Any, Any, None]) -> None:
    """To its end even when cancelled meanwhile; the cancellation goes on afterwards."""
    task = asyncio.ensure_future(ending)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as asked:
            cancelled = asked
    task.result()
    if cancelled is not None:
        raise cancelled


def _last_words(result: ProcessResult) -> str:
    lines = result.stderr.decode("utf-8", "replace").strip().splitlines()
    last = "".join(one for one in (lines[-1] if lines else "") if one.isprintable())
    return f": {last[:LAST_WORDS_CHARS_MAX]}" if last else ""
