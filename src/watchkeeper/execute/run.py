"""A run: one durable execution of a runbook, as a value that its journal alone rebuilds.

Three functions carry it (`execute.machine`):

- `start(plan, opened) -> Run`, then `advance(run, event) -> Run` for each journal event, in order of its number;
- `pending(run, now) -> tuple[Command, ...]` says what to do next.

The engine performs commands and answers each with exactly one event, committed before anything else happens.
An event that does not fit the state raises `errors.Conflict`: two drivers, or a journal that was altered.
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import Runbook
from watchkeeper.values import Instant
from watchkeeper.verify.sample import Result


class Status(StrEnum):
    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    IN_DOUBT = "in_doubt"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"
    STOPPED = "stopped"
    LAPSED = "lapsed"
    CANCELLED = "cancelled"
    CLOSED = "closed"


ENDED = frozenset(
    {
        Status.SUCCEEDED,
        Status.FAILED,
        Status.UNDONE,
        Status.UNDO_FAILED,
        Status.STOPPED,
        Status.LAPSED,
        Status.CANCELLED,
        Status.CLOSED,
    }
)


class StepStatus(StrEnum):
    PENDING = "pending"
    DUE = "due"
    INTENDED = "intended"
    DONE = "done"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    SKIPPED = "skipped"
    UNDONE = "undone"


class Plan(Struct, frozen=True, kw_only=True):
    """What a run carries out: the runbook, every runbook it calls, its targets and literal parameters.

    `digest` names the configuration that compiled it; a run in flight keeps it.
    """

    configuration: str
    runbook: Runbook
    called: dict[str, Runbook]
    targets: tuple[Target, ...]
    arguments: dict[str, Any]
    alert: dict[str, Any]
    drill: bool = False


class Event(Struct, frozen=True, kw_only=True, tag_field="event"):
    """What happened, in the past participle. `at` is the performer's time. Fields are added at the end."""

    at: Instant


class Opened(Event, frozen=True, kw_only=True, tag="opened"):
    """First event of every run. `key_root` seeds idempotency keys; `waiting_for` is an approval or ""."""

    run: str
    decision: str
    runbook: str
    configuration: str
    key_root: str
    start_by_at: Instant
    waiting_for: str = ""
    actor: str = "automation"


class Admitted(Event, frozen=True, kw_only=True, tag="admitted"):
    """The last approval was given and the claims are held: waiting -> queued."""

    start_by_at: Instant


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """The guards of *start* were clear: queued -> running. `timeout_at` ends the run."""

    timeout_at: Instant
    fence: int = 0


class StepDue(Event, frozen=True, kw_only=True, tag="step_due"):
    """A step fell due: its `when` and arguments were evaluated once. `skipped` when `when` was false.

    `arguments` are literal (secrets as references); `broken` is the sentence when an expression failed.
    Of a verification they are the probe's, with `expect` beside them; of an approval the values shown, by source.
    `undo` says which side of the step; `verify` is then the undo's own verification, in the same form.
    """

    path: str
    arguments: dict[str, Any] = {}
    skipped: bool = False
    broken: str = ""
    timeout_ms: int = 0
    undo: bool = False
    verify: dict[str, Any] = {}


class Intended(Event, frozen=True, kw_only=True, tag="intended"):
    """Intent to send an effect, committed before it is sent. `undo` says which side of the step.

    `key` is the idempotency key, `fence` the fencing token, `children` names started processes (pid, start ticks).
    """

    path: str
    attempt: int
    key: str
    undo: bool = False
    fence: int = 0
    performer: str = ""


class Child(Event, frozen=True, kw_only=True, tag="child"):
    """A process started for an intended step, so that a successor can end what is left over."""

    path: str
    pid: int
    start_ticks: int
    undo: bool = False


class Done(Event, frozen=True, kw_only=True, tag="done"):
    """The effect is known to have happened. `output` is bounded and scrubbed."""

    path: str
    attempt: int
    undo: bool = False
    output: dict[str, Any] = {}


class Failed(Event, frozen=True, kw_only=True, tag="failed"):
    """The effect is known not to have happened, or the target refused it.

    `error` is the class (`unavailable`, `rejected`, `denied`, `untrusted`, `timeout`, `inconclusive`, `unhealthy`),
    `retry_at` is set when another attempt was scheduled by the step's retry data and the budget allowed it.
    """

    path: str
    attempt: int
    error: str
    why: str
    undo: bool = False
    retry_at: Instant | None = None


class Doubted(Event, frozen=True, kw_only=True, tag="doubted"):
    """Sent, outcome unknown. `ask_at` is when a `check` may first be asked (intent + time-out), None for a person.

    `interrupted` says that the performer is gone (crash, takeover): the attempt does not count against the step.
    """

    path: str
    attempt: int
    why: str
    undo: bool = False
    ask_at: Instant | None = None
    interrupted: bool = False


class Probed(Event, frozen=True, kw_only=True, tag="probed"):
    """The `check` answered: `happened` True, False, or None: it could not look, or could not tell.

    After a None it is asked again at `ask_at`, and where that is None a person decides.
    """

    path: str
    happened: bool | None
    why: str = ""
    output: dict[str, Any] = {}
    ask_at: Instant | None = None


class Settled(Event, frozen=True, kw_only=True, tag="settled"):
    """A person said what became of a step in doubt: `did`, `did_not`."""

    path: str
    happened: bool
    by: str
    why: str = ""


class Verified(Event, frozen=True, kw_only=True, tag="verified"):
    """A verification ended. `healed_by_itself` when the target was healthy before any effect. `good_at`: the first look
    of the row that verified it; None when nothing did. `looks` are the last ones, at most LOOKS_KEPT_MAX, each as
    milliseconds since the verification began, milliseconds that the look took, and what was seen.
    """

    path: str
    result: Result
    why: str
    samples: int = 0
    healthy: int = 0
    undo: bool = False
    healed_by_itself: bool = False
    good_at: Instant | None = None
    looks: tuple[tuple[int, int, str], ...] = ()


class Asked(Event, frozen=True, kw_only=True, tag="asked"):
    """A step's approval request was stored and told."""

    path: str
    approval: str
    until_at: Instant


class Answered(Event, frozen=True, kw_only=True, tag="answered"):
    path: str
    approval: str
    approved: bool
    by: str
    why: str = ""


class Held(Event, frozen=True, kw_only=True, tag="held"):
    """A guard of *start*, *continue* or *undo* said no; `on_stop` follows. `guard` names it.

    `now` (`stop --now`): not even steps joined to the one before may follow.
    """

    guard: str
    why: str
    stay: bool = False
    now: bool = False


class Paused(Event, frozen=True, kw_only=True, tag="paused"):
    by: str
    why: str = ""


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    by: str
    why: str = ""


class CancelAsked(Event, frozen=True, kw_only=True, tag="cancel_asked"):
    """A person cancels: at the next safe point the run follows `on_stop`."""

    by: str
    why: str = ""


class NoLongerNeeded(Event, frozen=True, kw_only=True, tag="no_longer_needed"):
    """The episode resolved. Before the first effect the run lapses; after it, it goes on to its verification."""

    why: str


class Ended(Event, frozen=True, kw_only=True, tag="ended"):
    """The last event. Nothing follows it. `state` says in words how the target was left."""

    status: Status
    why: str
    state: str = ""


class TimedOut(Event, frozen=True, kw_only=True, tag="timed_out"):
    """Time ran out: for the run (""), an approval or a called runbook (its path)."""

    path: str = ""
    why: str = ""


class Restored(Event, frozen=True, kw_only=True, tag="restored"):
    """The store was put back from a backup: what this run did after it is unknown. It waits until a person resumes or
    closes it.
    """

    epoch: int
    why: str = ""


JournalEvent = (
    Opened
    | Admitted
    | Started
    | StepDue
    | Intended
    | Child
    | Done
    | Failed
    | Doubted
    | Probed
    | Settled
    | Verified
    | Asked
    | Answered
    | Held
    | Paused
    | Resumed
    | CancelAsked
    | NoLongerNeeded
    | Ended
    | TimedOut
    | Restored
)


class Command(Struct, frozen=True, kw_only=True):
    """What to do next, in the imperative. `start_by_at`: past it the command lapses instead of being performed."""

    run: str
    start_by_at: Instant


class Begin(Command, frozen=True, kw_only=True, tag="begin"):
    """Ask the guards of *start*, then answer `Started`, `Held` or `Ended` (lapsed)."""


class Evaluate(Command, frozen=True, kw_only=True, tag="evaluate"):
    """Evaluate `when` and arguments of the step at `path` with the run's bindings -> `StepDue`."""

    path: str
    undo: bool = False


class Perform(Command, frozen=True, kw_only=True, tag="perform"):
    """Ask the guards of the moment, commit `Intended`, send the effect -> `Done`, `Failed` or `Doubted`.

    `safe_point` says that hold, freeze and stop take effect here. `repeat` says that an earlier attempt was sent
    and its outcome is unknown, and that its target honours a repetition: it carries the same key.
    `finish` says that the run goes on to its end after a hold: only `stop` and `exclusion` are asked.
    """

    path: str
    attempt: int
    key: str
    arguments: dict[str, Any]
    timeout_ms: int
    undo: bool = False
    safe_point: bool = True
    repeat: bool = False
    finish: bool = False


class Probe(Command, frozen=True, kw_only=True, tag="probe"):
    """Ask the step's `check` whether the effect happened -> `Probed`. Not before `not_before_at`.

    `look` counts the times that this doubt's check is asked, from 1.
    """

    path: str
    not_before_at: Instant
    arguments: dict[str, Any]
    look: int = 1


class Verify(Command, frozen=True, kw_only=True, tag="verify"):
    """Sample until the verification ends -> `Verified`."""

    path: str
    arguments: dict[str, Any]
    undo: bool = False


class Request(Command, frozen=True, kw_only=True, tag="request"):
    """Store a step's approval request and tell people -> `Asked`."""

    path: str
    arguments: dict[str, Any]


class Sleep(Command, frozen=True, kw_only=True, tag="sleep"):
    """Look again at `until_at` at the latest (a retry, an approval's deadline, the run's time-out). Always last."""

    until_at: Instant


class Doubt(Command, frozen=True, kw_only=True, tag="doubt"):
    """A step that cannot be decided by itself: tell a person now and every 30 minutes -> `Doubted` already stored."""

    path: str
    why: str
    undo: bool = False
    since_at: Instant | None = None


class Expire(Command, frozen=True, kw_only=True, tag="expire"):
    """Commit `TimedOut` for the run ("") or the step at `path`."""

    path: str = ""
    why: str = ""


class End(Command, frozen=True, kw_only=True, tag="end"):
    """Commit `Ended` and release the claims."""

    status: Status
    why: str
    state: str = ""
