"""A pack's own program as an action: the very bytes that were applied, started on this node, one JSON object in, one out.

What it gets on stdin:

    {"arguments": {..}, "run": "run_..", "decision": "..", "incident": "..", "runbook": "shop/mend", "step": "flush",
     "attempt": 1, "key": "..", "fence": 7, "intent_at": "2026-..Z", "actor": "automation", "drill": false,
     "target": {"name": .., "environment": .., ..} or null}

`target` has the names of `${target...}`. A secret in `arguments` is the number of a descriptor to read it from, once.
Exit 0 and an answer: done. 75: not now. Any other: it was not done. A signal, no time left, no answer: in doubt.
"""

import hashlib
import math
import os
import posixpath
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from watchkeeper.adapters.process import (
    PACK_LIMITS,
    SECRETS_MAX,
    Descriptor,
    ProcessSpec,
    SecretDescriptor,
    Stream,
    run_action,
)
from watchkeeper.decide.target import bind_target
from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted
from watchkeeper.packs.action import PackAction
from watchkeeper.packs.json_schema import checker
from watchkeeper.packs.runbook import Via
from watchkeeper.values import rfc3339

FOLDER: Final = "programs"
MODE: Final = 0o500  # read and started by its owner, changed by nobody
GRACE_MS: Final = 2_000  # from SIGTERM to SIGKILL; with it the engine's own patience (5 s) is not reached
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
READ_BYTES: Final = 1 << 20

_NO_NAME: Final = re.compile(r"[^A-Z0-9]")


class PackPrograms:
    """Satisfies `engine.action.Programs`. `state` is the home's own folder (`HOME/.watchkeeper`)."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER

    def action(self, declared: PackAction, sha256: str, body: bytes) -> "PackProgram":
        return PackProgram(declared, self._folder / sha256 / posixpath.basename(declared.program), sha256, body)


class PackProgram:
    """Satisfies `engine.action.Action`. `sha256` is the program's, by the configuration of the run."""

    def __init__(self, declared: PackAction, file: Path, sha256: str, body: bytes) -> None:
        self.name, self.effect = declared.name, declared.effect
        self._declared, self._file, self._sha256, self._body = declared, file, sha256, body

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        if invocation.via is not Via.LOCAL:
            raise Rejected(f"{self.name} via {invocation.via.value} is not built yet; nothing was run")
        secrets = _Secrets(self.name)
        arguments = secrets.numbered(invocation.arguments)
        wrong = checker(self._declared.input)(_as_numbers(arguments))
        if wrong is not None:
            raise Rejected(f"{self.name}: its arguments: {wrong}; nothing was run")
        leased = await secrets.leased(around)
        self._place()
        self._check()

        async def started(pid: int, start_ticks: int) -> None:
            """The last acts before the start: who it is was written down, the lease is held, the bytes are the right ones."""
            await around.started(pid, start_ticks)
            if not around.lease_ok():
                raise Unavailable(f"{self.name}: this node lost its lease before the start; nothing was run")
            self._check()

        def shown(stream: Stream, data: bytes) -> None:
            if stream is Stream.STDERR:
                around.output(stream.value, data)

        try:
            return await run_action(
                self._spec(invocation, leased),
                _argument(invocation, arguments),
                answer_wrong=checker(self._declared.output),
                on_output=shown,
                on_started=started,
            )
        except (InDoubt, Rejected, Unavailable) as said:  # people know it by its name, not by where it lies
            raise type(said)(str(said).replace(str(self._file), self.name)) from said

    def _spec(self, invocation: Invocation, secrets: tuple[SecretDescriptor, ...]) -> ProcessSpec:
        timeout_ms = min(self._declared.time_ms, invocation.timeout_ms)
        return ProcessSpec(
            argv=(str(self._file),),
            timeout_ms=timeout_ms,
            env={
                "PATH": PATH,
                "WATCHKEEPER_RUN": invocation.run,
                "WATCHKEEPER_STEP": invocation.step,
                "WATCHKEEPER_KEY": invocation.key,
                "WATCHKEEPER_FENCE": str(invocation.fence),
                "WATCHKEEPER_ACTOR": invocation.actor,
            },
            output_bytes_max=self._declared.output_bytes,
            limits=replace(
                PACK_LIMITS, cpu_s=math.ceil(timeout_ms / 1000) + 1, memory_bytes=self._declared.memory_bytes
            ),
            secrets=secrets,
            grace_ms=GRACE_MS,
        )

    def _place(self) -> None:
        """Write the program where it is started from, once. Durable before it has its name."""
        if self._file.is_symlink() or self._file.exists():
            return
        if hashlib.sha256(self._body).hexdigest() != self._sha256:
            raise Untrusted(f"{self.name}: the stored copy of its program is not what was applied; nothing was run")
        beside = self._file.with_name(f".{self._file.name}.new")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                beside.unlink()
            number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
            with os.fdopen(number, "wb") as file:
                file.write(self._body)
                file.flush()
                os.fchmod(number, MODE)
                os.fsync(number)
            beside.rename(self._file)
        except OSError as failed:
            raise Unavailable(f"{self.name}: its program cannot be written to {self._file}: {failed}") from failed

    def _check(self) -> None:
        """Raises Untrusted when what would be started is not, byte for byte, what was applied."""
        try:
            number = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as gone:
            raise self._untrusted(f"cannot be read ({gone.strerror})") from gone
        with os.fdopen(number, "rb", 0) as file:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != MODE:
                raise self._untrusted(f"is no plain file of this user with mode {MODE:o}")
            digest = hashlib.sha256()
            while data := file.read(READ_BYTES):
                digest.update(data)
        if digest.hexdigest() != self._sha256:
            raise self._untrusted("does not hold the bytes that were applied")

    def _untrusted(self, why: str) -> Untrusted:
        return Untrusted(
            f"{self.name}: {self._file} {why}; nothing was run. Keep the file, find out who changed it, then move it "
            f"away: it is written again from the store"
        )


class _Secrets:
    """The secrets that the arguments of one sending name, each with one descriptor."""

    def __init__(self, action: str) -> None:
        self._action = action
        self._env: dict[str, str] = {}  # secret -> the variable that holds the number

    def numbered(self, value: Any) -> Any:
        """The same arguments with a `Descriptor` for each `{secret: name}`."""
        if isinstance(value, Mapping):
            if set(value) == {"secret"} and isinstance(value["secret"], str):
                return Descriptor(self._variable(value["secret"]))
            return {str(key): self.numbered(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.numbered(item) for item in value]
        return value

    def _variable(self, secret: str) -> str:
        if secret not in self._env:
            variable = f"WATCHKEEPER_SECRET_{_NO_NAME.sub('_', secret.upper())}"
            if variable in self._env.values():
                raise Rejected(f"{self._action}: two of its secrets would share {variable}: rename one")
            if len(self._env) >= SECRETS_MAX:
                raise Rejected(f"{self._action}: more than {SECRETS_MAX} secrets; nothing was run")
            self._env[secret] = variable
        return self._env[secret]

    async def leased(self, around: Surroundings) -> tuple[SecretDescriptor, ...]:
        return tuple(
            [
                SecretDescriptor(env=variable, value=_Sealed(await around.lease(secret)))
                for secret, variable in self._env.items()
            ]
        )


class _Sealed:
    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "[secret]"


def _as_numbers(value: Any) -> Any:
    """What a schema sees: a secret is the number of a descriptor, whichever it will be."""
    if isinstance(value, Descriptor):
        return 3
    if isinstance(value, dict):
        return {key: _as_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_numbers(item) for item in value]
    return value


def _argument(invocation: Invocation, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "arguments": arguments,
        "run": invocation.run,
        "decision": invocation.decision,
        "incident": invocation.incident,
        "runbook": invocation.runbook,
        "step": invocation.step,
        "attempt": invocation.attempt,
        "key": invocation.key,
        "fence": invocation.fence,
        "intent_at": rfc3339(invocation.intent_at),
        "actor": invocation.actor,
        "drill": invocation.drill,
        "target": bind_target(invocation.target) if invocation.target is not None else None,
    }
