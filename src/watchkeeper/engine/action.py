"""The port of actions: what a step asks the outside to do, and how it answers.

An action returns its output or raises by what is known of the effect:

- `Unavailable`: nothing was sent, or the target said that it did nothing; another attempt may follow.
- `Rejected`: the target refused, or the arguments can never work; nothing happened.
- `InDoubt`: it was sent and nobody knows; the step's effect kind decides what follows.

No action retries: retries are data of the step, performed by the engine.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from msgspec import Struct

from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import Effect, Via
from watchkeeper.report.notices import Notice
from watchkeeper.values import Instant

OUTPUT_BYTES_MAX: Final = 256 * 1024


class Invocation(Struct, frozen=True, kw_only=True):
    """One sending of one step. `arguments` are literal, except secrets: `{"secret": name}` stays a reference until
    the action asks `Surroundings.lease`. `key` is the idempotency key, the same for every repetition of the step.
    """

    run: str
    decision: str
    incident: str
    runbook: str
    step: str
    attempt: int
    key: str
    fence: int
    arguments: dict[str, Any]
    timeout_ms: int
    intent_at: Instant
    target: Target | None = None
    via: Via = Via.API
    actor: str = "automation"
    traceparent: str = ""
    secrets: dict[str, Any] = {}
    drill: bool = False

    def headers(self) -> dict[str, str]:
        """What every outgoing call carries, so that nobody mistakes automation for a person (SEMANTICS 16)."""
        tags = {
            "Idempotency-Key": self.key,
            "Watchkeeper-Actor": self.actor,
            "Watchkeeper-Run": self.run,
            "Watchkeeper-Fence": str(self.fence),
        }
        if self.traceparent:
            tags["traceparent"] = self.traceparent
        return tags


class Surroundings(Protocol):
    """What the engine lends an action while it runs."""

    async def lease(self, name: str) -> str:
        """The value of a declared secret, for the length of this step. Raises Rejected when it is not declared."""

    def output(self, stream: str, data: bytes) -> None:
        """Live output, in pieces of any shape: shown line by line, scrubbed; the bound is OUTPUT_BYTES_MAX a step."""

    async def started(self, pid: int, start_ticks: int) -> None:
        """Records a child process under the intent; returns when that is durable."""

    def lease_ok(self) -> bool:
        """Whether this node still holds its lease: asked as the last act before each send."""


class Action(Protocol):
    """`effect` is what a step without `effect:` gets; `honours` says by itself that keys or fences are kept."""

    name: str
    effect: Effect

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]: ...


class Observation(Struct, frozen=True, kw_only=True):
    """One look of a verification probe. `seen` is False when the probe itself could not look (no data)."""

    seen: bool
    values: dict[str, Any] = {}
    why: str = ""
    took_ms: int = 0


class Prober(Protocol):
    """Looks once: `kind` is http, tcp, command or promql. Never raises for what it saw; `seen=False` when blind."""

    async def look(
        self, kind: str, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None
    ) -> Observation: ...


class Channel(Protocol):
    """One way to tell people (webhook, e-mail). Raises Unavailable or Rejected; the outbox retries."""

    async def tell(self, notice: Notice, route: Mapping[str, Any]) -> None: ...
