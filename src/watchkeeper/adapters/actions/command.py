"""`command.run`: a program by its argv on this node. Never a shell, an empty environment, its own process group."""

from collections.abc import Mapping
from typing import Any, Final

from watchkeeper.adapters.actions.http import revealed
from watchkeeper.adapters.process import Ending, ProcessSpec, Stream, run
from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.errors import InDoubt, Rejected, Unavailable
from watchkeeper.packs.runbook import Effect, Via

EXIT_NOT_NOW: Final = 75  # Source: sysexits(3), EX_TEMPFAIL
OUTPUT_SHOWN_BYTES: Final = 16 * 1024


class CommandRun:
    """Arguments: argv (a list), stdin, env, cwd, expect (an exit code or a list, default 0)."""

    name = "command.run"
    effect = Effect.ONCE

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        if invocation.via is not Via.LOCAL:
            raise Rejected(f"command.run via {invocation.via.value} is not built yet; nothing was run")
        arguments = await revealed(invocation.arguments, around)
        spec = _spec(arguments, invocation)
        if not around.lease_ok():
            raise Unavailable("this node lost its lease before the command; nothing was run")

        def output(stream: Stream, data: bytes) -> None:
            around.output(stream.value, data)

        result = await run(spec, output, on_started=around.started)
        found = {
            "exit": result.exit,
            "stdout": result.stdout[:OUTPUT_SHOWN_BYTES].decode("utf-8", "replace"),
            "stderr": result.stderr[:OUTPUT_SHOWN_BYTES].decode("utf-8", "replace"),
            "took_ms": result.ms,
            "truncated": result.truncated,
        }
        name = spec.argv[0]
        match result.ending:
            case Ending.TIMED_OUT:
                raise InDoubt(f"{name} was ended after {invocation.timeout_ms} ms; it may have acted")
            case Ending.SIGNALLED:
                raise InDoubt(f"{name} was killed by signal {result.signal}; it may have acted")
            case Ending.EXITED:
                pass
        expected = arguments.get("expect", 0)
        if result.exit in (expected if isinstance(expected, list) else [expected]):
            return found
        last = str(found["stderr"]).strip()[-300:]
        if result.exit == EXIT_NOT_NOW:
            raise Unavailable(f"{name} says not now (exit 75): {last}".rstrip(": "))
        raise Rejected(f"{name} ended with exit code {result.exit}: {last}".rstrip(": "))


def _spec(arguments: Mapping[str, Any], invocation: Invocation) -> ProcessSpec:
    argv = arguments.get("argv")
    if not isinstance(argv, list) or not argv:
        raise Rejected("argv: a list of words with at least the program; nothing was run")
    environment = {str(name): str(value) for name, value in dict(arguments.get("env") or {}).items()}
    environment.setdefault("WATCHKEEPER_RUN", invocation.run)
    environment.setdefault("WATCHKEEPER_KEY", invocation.key)
    environment.setdefault("WATCHKEEPER_ACTOR", invocation.actor)
    return ProcessSpec(
        argv=tuple(str(word) for word in argv),
        timeout_ms=invocation.timeout_ms,
        stdin=str(arguments.get("stdin", "")).encode(),
        env=environment,
        cwd=str(arguments.get("cwd", "/")),
    )
