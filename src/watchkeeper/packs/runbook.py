"""A runbook: typed steps as data. Nothing here runs; `execute` works out what is due, the engine performs it."""

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from watchkeeper.packs.expression import Expression
from watchkeeper.packs.rule import Risk

STEP_TIMEOUT_MS: Final = 30_000
RUNBOOK_TIMEOUT_MS: Final = 900_000
STEPS_MAX: Final = 200
CALL_DEPTH_MAX: Final = 8


class Effect(StrEnum):
    """What a second sending of the step would do (SEMANTICS 6)."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    KEYED = "keyed"
    FENCED = "fenced"
    PROBED = "probed"
    ONCE = "once"


class Via(StrEnum):
    LOCAL = "local"
    SSH = "ssh"
    KUBE = "kube"
    AGENT = "agent"
    API = "api"


class OnStop(StrEnum):
    UNDO = "undo"
    STAY = "stay"
    FINISH = "finish"


class OnFailure(StrEnum):
    UNDO = "undo"
    STAY = "stay"


class StepKind(StrEnum):
    DO = "do"
    VERIFY = "verify"
    APPROVE = "approve"
    PARALLEL = "parallel"
    FOREACH = "foreach"
    CALL = "call"


class Retry(Struct, frozen=True, kw_only=True):
    """Exponential backoff with full jitter. `errors` are the classes that may be tried again."""

    attempts_max: int = 1
    first_ms: int = 500
    most_ms: int = 30_000
    errors: tuple[str, ...] = ("unavailable",)


class Call(Struct, frozen=True, kw_only=True):
    """One use of an action: its name (`http.request`) and arguments, literals and Templates nested in JSON."""

    action: str
    arguments: dict[str, Any] = {}


class Undo(Struct, frozen=True, kw_only=True):
    call: Call
    safe_if_not_done: bool = False
    timeout_ms: int = STEP_TIMEOUT_MS
    retry: Retry = Retry()
    verify: "Verification | None" = None


class Verification(Struct, frozen=True, kw_only=True):
    """`successes` healthy samples in a row, one `every_ms`, inside `within_ms`, still healthy after `soak_ms`.

    Exactly one probe: `probe` is `http`, `tcp`, `command` or `promql`; `arguments` and `expect` hold Templates.
    `via` is where a command looks: on this node, or by ssh on the target.
    """

    probe: str
    arguments: dict[str, Any]
    expect: dict[str, Any] = {}
    successes: int = 1
    every_ms: int = 1_000
    within_ms: int = 60_000
    soak_ms: int = 0
    timeout_ms: int = 5_000
    via: Via = Via.LOCAL


class Ask(Struct, frozen=True, kw_only=True):
    """A person in the middle of a run. `show` are expressions whose values the card carries."""

    by: tuple[str, ...]
    count: int = 1
    within_ms: int = 1_200_000
    show: tuple[Expression, ...] = ()


class Waves(Struct, frozen=True, kw_only=True):
    """`waves` are counts ("1") or percentages ("10%") of the targets; the last one takes the rest."""

    waves: tuple[str, ...] = ("100%",)
    failed_max: int | None = None
    unhealthy_max: int | None = None


class Step(Struct, frozen=True, kw_only=True):
    """One step. `kind` says which of the optional parts are set. `steps` are children of parallel, foreach, call.

    `when` false skips it. `with_previous` joins it to the step before: no safe point between the two.
    """

    id: str
    kind: StepKind
    where: str = ""
    when: Expression | None = None
    call: Call | None = None
    via: Via | None = None
    effect: Effect = Effect.ONCE
    timeout_ms: int = STEP_TIMEOUT_MS
    timeout_from: Any = None
    retry: Retry = Retry()
    check: Call | None = None
    undo: Undo | None = None
    verify: Verification | None = None
    ask: Ask | None = None
    steps: tuple["Step", ...] = ()
    concurrent_max: int = 1
    waves: Waves | None = None
    runbook: str = ""
    arguments: dict[str, Any] = {}
    with_previous: bool = False


class Parameter(Struct, frozen=True, kw_only=True):
    """`type` is text, integer, bool, duration, or a choice of `options`. Durations are given in ms."""

    type: str
    default: Any = None
    required: bool = False
    least: int | None = None
    most: int | None = None
    options: tuple[str, ...] = ()
    pattern: str = ""
    description: str = ""


class SecretRef(Struct, frozen=True, kw_only=True):
    """A reference, never a value: `store` is `file`, `env` or `vault`."""

    store: str
    path: str
    field: str = ""


class Permission(Struct, frozen=True, kw_only=True):
    """What the runbook may do: an action and bounds on its arguments, as written.

    `allowed` holds the same bounds compiled: each value a text, or an Expression (`target.unit`).
    """

    action: str
    bounds: dict[str, Any] = {}
    allowed: dict[str, tuple[Any, ...]] = {}


class Runbook(Struct, frozen=True, kw_only=True):
    name: str
    owner: str
    pack: str
    where: str
    digest: str
    steps: tuple[Step, ...]
    parameters: dict[str, Parameter] = {}
    secrets: dict[str, SecretRef] = {}
    permissions: tuple[Permission, ...] = ()
    needs: tuple[str, ...] = ()
    objective_ppm: int | None = None
    timeout_ms: int = RUNBOOK_TIMEOUT_MS
    on_stop: OnStop = OnStop.UNDO
    on_failure: OnFailure = OnFailure.UNDO
    expects: tuple[str, ...] = ()
    risk: Risk = Risk.MEDIUM
    risk_reasons: tuple[str, ...] = ()
    failover: bool = False
    description: str = ""
    unbuilt: tuple[str, ...] = ()
