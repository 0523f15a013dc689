"""A run as a value: what its journal says so far.

The states form the tree of the plan, and an event replaces only the line from its step to the root. Of the
targets of a `foreach` only those under way have states of their own; one that ended is a count, and is kept
only where its steps declare an undo. So 10,000 targets cost what the few under way cost.
"""

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from watchkeeper.execute.run import ENDED, Opened, Plan, Status, StepStatus
from watchkeeper.values import Instant
from watchkeeper.verify.sample import Result

KEPT_CHUNK: Final = 64  # ended targets kept together: an undo replaces one chunk

OPEN: Final = frozenset({StepStatus.DUE, StepStatus.INTENDED, StepStatus.IN_DOUBT})
PASSED: Final = frozenset({StepStatus.DONE, StepStatus.SKIPPED, StepStatus.UNDONE})


class StepState(Struct, frozen=True, kw_only=True):
    """One step, or one step's undo. Defaults are those of a step that was not reached.

    `attempts` counts intents, `interruptions` those of them whose performer was lost. `order` is the number of
    its last intent's event: undo goes from the highest down. `ask_at` of a step in doubt is when its check may be
    asked, None when a person decides, and `looks` how often it could not tell. `undo` is the undo's own state; `steps` and `fleet` are children's.
    """

    status: StepStatus = StepStatus.PENDING
    attempts: int = 0
    interruptions: int = 0
    due_at: Instant | None = None
    started_at: Instant | None = None
    intent_at: Instant | None = None
    ended_at: Instant | None = None
    arguments: dict[str, Any] = {}
    timeout_ms: int = 0
    output: dict[str, Any] = {}
    error: str = ""
    why: str = ""
    order: int = 0
    retry_at: Instant | None = None
    repeat: bool = False
    ask_at: Instant | None = None
    approval: str = ""
    until_at: Instant | None = None
    children: tuple[tuple[int, int], ...] = ()
    verify: dict[str, Any] = {}
    result: Result | None = None
    undo: "StepState | None" = None
    steps: tuple["StepState", ...] = ()
    fleet: "Fleet | None" = None
    fence: int = 0
    looks: int = 0


def all_passed(states: tuple[StepState, ...]) -> bool:
    for state in states:  # noqa: SIM110  asked at every event: a generator costs more than the loop
        if state.status not in PASSED:
            return False
    return True


class Reason(StrEnum):
    """Why a run (or one target of it) leaves its way forward."""

    FAILED = "failed"
    HELD = "held"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    LAPSED = "lapsed"


class Leaving(Struct, frozen=True, kw_only=True):
    """`undo` says whether what was done is taken back. `cut`: no step follows, not even one joined to its previous."""

    reason: Reason
    why: str
    undo: bool
    path: str = ""
    error: str = ""
    cut: bool = False


class Branch(Struct, frozen=True, kw_only=True):
    """What is undone as a unit: the whole run, or one target of a `foreach`.

    `undoing` are the paths to undo, newest first, once everything under way has its outcome; `undone` of them
    are through.
    """

    steps: tuple[StepState, ...]
    leaving: Leaving | None = None
    undoing: tuple[str, ...] | None = None
    undone: int = 0


class Fleet(Struct, frozen=True, kw_only=True):
    """The targets of one `foreach`: `begun` of them in order, `active` under way by index, the others ended.

    `named` are those that failed, each with its sentence; `kept` holds ended targets whose steps have an undo,
    chunk by chunk.
    """

    begun: int = 0
    active: dict[int, Branch] = {}
    done: int = 0
    failed: int = 0
    unhealthy: int = 0
    undo_failed: int = 0
    named: tuple[str, ...] = ()
    kept: dict[int, dict[int, Branch]] = {}


class Ending(Struct, frozen=True, kw_only=True):
    status: Status
    why: str
    state: str


class Run(Struct, frozen=True, kw_only=True):
    """`number` is that of the next event. `effects` counts intents other than reads, `last_effect` is the newest's
    number, `no_longer_needed` that of the event that said so (0: none did). `doubts` are the paths a person must
    settle. `ending` is how the run will end, once nothing is left to do; `state` says how each target was left.
    `restored`: it comes from a backup, and nobody has said yet that it may go on.
    """

    id: str
    decision: str
    plan: Plan
    opened: Opened
    status: Status
    number: int
    start_by_at: Instant
    root: Branch
    admitted: bool = False
    timeout_at: Instant | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    paused: bool = False
    finishing: bool = False
    cancelled_by: str = ""
    effects: int = 0
    last_effect: int = 0
    no_longer_needed: int = 0
    healed_by_itself: bool = False
    result: Result | None = None
    doubts: tuple[str, ...] = ()
    ending: Ending | None = None
    why: str = ""
    state: str = ""
    restored: bool = False

    @property
    def steps(self) -> tuple[StepState, ...]:
        return self.root.steps

    @property
    def ended(self) -> bool:
        return self.status in ENDED
