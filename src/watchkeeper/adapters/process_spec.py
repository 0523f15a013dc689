"""What a child is to be, what came of it, and what is refused before anything is started."""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from watchkeeper.errors import Rejected

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # for names without a slash
OUTPUT_BYTES_MAX: Final = 1 << 20
STDIN_BYTES_MAX: Final = 4 << 20
ORDER_BYTES_MAX: Final = 128 << 10  # argv and environment together
SECRET_BYTES_MAX: Final = 16 << 10
SECRETS_MAX: Final = 16
GRACE_MS: Final = 5_000
TIMEOUT_MAX_MS: Final = 86_400_000
MARK: Final = "WATCHKEEPER_CHILD"  # `<pid>.<start ticks>`: how a left-over is known for ours


class Sealed(Protocol):
    """A secret value that shows itself only when asked."""

    def reveal(self) -> str: ...


class Stream(StrEnum):
    STDOUT = "stdout"
    STDERR = "stderr"


class Ending(StrEnum):
    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed_out"


class Limits(Struct, frozen=True, kw_only=True):
    """Soft and hard alike; None leaves what this process has. `processes` counts all of the user's."""

    cpu_s: int | None = None
    memory_bytes: int | None = None
    files: int | None = None
    processes: int | None = None
    file_bytes: int | None = None


PACK_LIMITS: Final = Limits(cpu_s=60, memory_bytes=1 << 30, files=256, file_bytes=64 << 20)


class SecretDescriptor(Struct, frozen=True, kw_only=True):
    """`env` names the variable that holds the number of the descriptor to read the value from, once."""

    env: str
    value: Sealed


class Descriptor:
    """Stands in the argument of an action for the number of a secret's descriptor; `env` as in its SecretDescriptor."""

    __slots__ = ("env",)

    def __init__(self, env: str) -> None:
        self.env = env


StdinOf = Callable[[Mapping[str, int]], bytes]


class ProcessSpec(Struct, frozen=True, kw_only=True):
    """`argv[0]` is an absolute path, or a name that is looked for in `PATH` of `env`, else in the system's folders.

    `env` is all the program gets, beside `WATCHKEEPER_CHILD` and the secrets' numbers. `output_bytes_max` bounds
    each of stdout and stderr; what is beyond it is read and thrown away. `no_new_privileges` must be off for sudo.
    `stdin_of` makes stdin from the numbers of the secrets' descriptors, by their `env`, in the place of `stdin`.
    """

    argv: tuple[str, ...]
    timeout_ms: int
    stdin: bytes = b""
    env: dict[str, str] = {}
    cwd: str = "/"
    output_bytes_max: int = OUTPUT_BYTES_MAX
    limits: Limits = Limits()
    secrets: tuple[SecretDescriptor, ...] = ()
    grace_ms: int = GRACE_MS
    no_new_privileges: bool = True
    stdin_of: StdinOf | None = None


class ProcessResult(Struct, frozen=True, kw_only=True):
    """`exit` when it ended by itself, else `signal`. `started` is its start in clock ticks since boot.

    `truncated`: there was more output than is here, or a descendant that left the group still holds the pipe.
    """

    ending: Ending
    exit: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool
    ms: int
    pid: int
    started: int


_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def program(spec: ProcessSpec) -> str:
    """The file to execute. Raises Rejected for whatever can be known to fail."""
    if not spec.argv or not spec.argv[0]:
        raise Rejected("argv: empty; it names the program first")
    name = spec.argv[0]
    if not 0 < spec.timeout_ms <= TIMEOUT_MAX_MS:
        raise Rejected(f"{name}: timeout_ms {spec.timeout_ms} is not within 1 and {TIMEOUT_MAX_MS}")
    if len(spec.stdin) > STDIN_BYTES_MAX:
        raise Rejected(f"{name}: more than {STDIN_BYTES_MAX} bytes for its stdin")
    texts = (*spec.argv, *spec.env.values(), spec.cwd)
    if any("\0" in text for text in texts):
        raise Rejected(f"{name.split(chr(0))[0]}: a zero byte in its arguments, environment or working directory")
    if sum(len(os.fsencode(text)) + 1 for text in texts) > ORDER_BYTES_MAX:
        raise Rejected(f"{name}: arguments and environment of more than {ORDER_BYTES_MAX} bytes; pass them on stdin")
    for variable in (*spec.env, *(secret.env for secret in spec.secrets)):
        if not _ENV_NAME.fullmatch(variable):
            raise Rejected(f"{name}: {variable[:64]!r} is not the name of an environment variable")
    if len(spec.secrets) > SECRETS_MAX:
        raise Rejected(f"{name}: {len(spec.secrets)} secrets, at most {SECRETS_MAX}")
    if not spec.cwd.startswith("/"):
        raise Rejected(f"{name}: its working directory {spec.cwd!r} is not absolute")
    if "/" in name and not name.startswith("/"):
        raise Rejected(f"{name}: neither an absolute path nor a plain name")
    found = shutil.which(name, path=spec.env.get("PATH", PATH))
    if found is None or not found.startswith("/"):
        raise Rejected(f"{name}: no such program, or it may not be executed")
    return found
