"""What is known of actions without performing one: names, effects, and the actions a pack brings as programs.

Source: SEMANTICS 7, "First actions".
"""

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from watchkeeper.packs.runbook import Effect, Via

PROGRAM_TIME_MS: Final = 30_000
PROGRAM_MEMORY_BYTES: Final = 256 * 1024 * 1024
PROGRAM_OUTPUT_BYTES: Final = 256 * 1024


class Harm(StrEnum):
    """What an action can do by its nature: look, change what can be changed back, or take away."""

    NONE = "none"
    CHANGES = "changes"
    TAKES = "takes"


class ActionFacts(Struct, frozen=True, kw_only=True):
    """`effect` is what a step gets that states none. `needs` are the arguments it cannot do without.

    `free` actions touch no target and need no permission. `probe` is the action that answers whether it happened.
    """

    effect: Effect
    harm: Harm
    needs: tuple[str, ...] = ()
    free: bool = False
    via: Via | None = None
    probe: str = ""


class PackAction(Struct, frozen=True, kw_only=True):
    """A program of a pack: one JSON object in, one out. `name` is `pack/name`, `program` a path inside the pack.

    `input` and `output` are JSON Schemas of its arguments and its answer (`json_schema`). `digest` covers the
    declaration and the program's bytes.
    """

    name: str
    pack: str
    where: str
    digest: str
    program: str
    effect: Effect
    input: dict[str, Any] = {}
    output: dict[str, Any] = {}
    time_ms: int = PROGRAM_TIME_MS
    memory_bytes: int = PROGRAM_MEMORY_BYTES
    output_bytes: int = PROGRAM_OUTPUT_BYTES
    description: str = ""

    @property
    def path(self) -> str:
        """Where the program lies in the home."""
        return f"packs/{self.pack}/{self.program}"

    @property
    def facts(self) -> ActionFacts:
        """A program runs on this node, however its target is reached: another `via` is not built."""
        harm = Harm.NONE if self.effect is Effect.READ else Harm.CHANGES
        return ActionFacts(effect=self.effect, harm=harm, needs=tuple(self.input.get("required", ())), via=Via.LOCAL)


_UNIT: Final = ("unit",)
_KUBE: Final = ("name",)
_WORKLOAD: Final = ("namespace", "kind", "name")

ACTIONS: Final[dict[str, ActionFacts]] = {
    "http.request": ActionFacts(
        effect=Effect.ONCE,
        harm=Harm.CHANGES,
        needs=("url",),
        via=Via.API,
    ),
    "command.run": ActionFacts(
        effect=Effect.ONCE,
        harm=Harm.CHANGES,
        needs=("argv",),
    ),
    "service.start": ActionFacts(effect=Effect.IDEMPOTENT, harm=Harm.CHANGES, needs=_UNIT),
    "service.restart": ActionFacts(effect=Effect.PROBED, harm=Harm.CHANGES, needs=_UNIT, probe="service.started_since"),
    "service.stop": ActionFacts(effect=Effect.IDEMPOTENT, harm=Harm.TAKES, needs=_UNIT),
    "service.status": ActionFacts(effect=Effect.READ, harm=Harm.NONE, needs=_UNIT),
    "service.started_since": ActionFacts(effect=Effect.READ, harm=Harm.NONE, needs=("unit", "since")),
    "kube.rollout_restart": ActionFacts(
        effect=Effect.PROBED, harm=Harm.CHANGES, needs=_WORKLOAD, via=Via.KUBE, probe="kube.rollout_observed"
    ),
    "kube.scale": ActionFacts(
        effect=Effect.IDEMPOTENT, harm=Harm.CHANGES, needs=(*_WORKLOAD, "replicas"), via=Via.KUBE
    ),
    "kube.delete_pod": ActionFacts(effect=Effect.ONCE, harm=Harm.CHANGES, needs=("namespace", "name"), via=Via.KUBE),
    "kube.cordon": ActionFacts(effect=Effect.IDEMPOTENT, harm=Harm.CHANGES, needs=_KUBE, via=Via.KUBE),
    "kube.drain": ActionFacts(effect=Effect.IDEMPOTENT, harm=Harm.TAKES, needs=_KUBE, via=Via.KUBE),
    "kube.status": ActionFacts(effect=Effect.READ, harm=Harm.NONE, needs=("kind", "name"), via=Via.KUBE),
    "kube.rollout_observed": ActionFacts(effect=Effect.READ, harm=Harm.NONE, needs=(*_WORKLOAD, "since"), via=Via.KUBE),
    "wait": ActionFacts(effect=Effect.READ, harm=Harm.NONE, free=True, via=Via.API),
    "notify": ActionFacts(
        effect=Effect.KEYED,
        harm=Harm.NONE,
        free=True,
        via=Via.API,
    ),
}

# What parses and cannot be performed by this release: such a runbook is refused by `apply` and never starts.
UNBUILT_VIA: Final = (Via.AGENT,)
UNBUILT_STORES: Final = ("vault",)
STORES: Final = ("file", "env", "vault")


_METHODS: Final = {
    **dict.fromkeys(("GET", "HEAD", "OPTIONS"), Effect.READ),
    **dict.fromkeys(("PUT", "DELETE"), Effect.IDEMPOTENT),
}


def effect_of(action: str, facts: ActionFacts, arguments: dict[str, Any]) -> Effect:
    """The effect of a step that states none. Source of the methods': RFC 9110 section 9.2."""
    if action == "http.request":
        method = arguments.get("method", "GET")
        return _METHODS.get(method.upper(), facts.effect) if isinstance(method, str) else facts.effect
    return facts.effect


def carried(action: str, via: Via) -> bool:
    """Whether an action can be performed that way: a command by ssh, and never by the API of a cluster."""
    facts = ACTIONS.get(action)
    if via in UNBUILT_VIA:
        return False
    if is_program(action):
        return via is Via.LOCAL
    if facts is not None and facts.via is not None:
        return via is facts.via
    return via in ({Via.LOCAL, Via.SSH, Via.API} if action.startswith("service.") else {Via.LOCAL, Via.SSH})


def is_program(action: str) -> bool:
    """Whether a name is a pack's own program (`payments/flush`); ours have no slash."""
    return "/" in action


def via_of(facts: ActionFacts | None, stated: Via | None) -> Via | None:
    """How a step is reached as far as the runbook alone says; None leaves it to the target's `reach`."""
    return stated or (facts.via if facts is not None else None)
