"""`command.run`: a program by its argv, on this node or by ssh on its target. Never a shell of ours.

On this node it gets an empty environment and a process group of its own. By ssh it gets what the host's sign-in
gives, beside `env`; each word is quoted so that no login shell reads anything in it (`ssh_command`).
"""

from collections.abc import Mapping
from typing import Any, Final

from watchkeeper.adapters.actions.http import revealed
from watchkeeper.adapters.actions.ssh_place import ssh_place
from watchkeeper.adapters.process import Ending, ProcessResult, ProcessSpec, Stream, run
from watchkeeper.adapters.ssh import SshPool
from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.errors import InDoubt, Rejected, Unavailable
from watchkeeper.packs.runbook import Effect, Via

EXIT_NOT_NOW: Final = 75  # Source: sysexits(3), EX_TEMPFAIL
OUTPUT_SHOWN_BYTES: Final = 16 * 1024


class CommandRun:
    """Arguments: argv (a list), stdin, env, cwd, expect (an exit code or a list, default 0); auth by ssh."""

    name = "command.run"
    effect = Effect.ONCE

    def __init__(self, ssh: SshPool) -> None:
        self._ssh = ssh

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        if invocation.via not in {Via.LOCAL, Via.SSH}:
            raise Rejected(f"command.run via {invocation.via.value} is not built; nothing was run")
        arguments = await revealed(invocation.arguments, around)
        spec = _spec(arguments, invocation)

        def output(stream: Stream, data: bytes) -> None:
            around.output(stream.value, data)

        if invocation.via is Via.SSH:
            place = await ssh_place(invocation, around)
            result = await self._ssh.run(place, spec, output, may_send=around.lease_ok)
        else:
            if not around.lease_ok():
                raise Unavailable("this node lost its lease before the command; nothing was run")
            result = await run(spec, output, on_started=around.started)
        return _judged(result, spec, arguments.get("expect", 0))


def _judged(result: ProcessResult, spec: ProcessSpec, expected: Any) -> dict[str, Any]:
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
            raise InDoubt(f"{name} was ended after {spec.timeout_ms} ms; it may have acted")
        case Ending.SIGNALLED:
            raise InDoubt(f"{name} was killed by signal {result.signal}; it may have acted")
        case Ending.EXITED:
            pass
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
