"""The run machine: `start`, `advance`, `pending`, `fold`. Pure; the journal alone is enough.

In: a plan and journal events in order. Out: a `Run`, and the commands it wants. Each command is answered by exactly
one event, or dropped when `pending` no longer lists it; `errors.Conflict` means that an event does not fit the state:
another driver wrote, the event came too late, or the journal was altered. Read again, then derive afresh.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import replace

from watchkeeper.errors import Conflict
from watchkeeper.execute.bindings import bindings, evaluate
from watchkeeper.execute.due import pending
from watchkeeper.execute.look import (
    effects_before,
    fleets_of,
    intent_of,
    leftovers,
    retry_at,
    runbook_at,
    state_at,
    step_at,
    steps_of,
    target_at,
)
from watchkeeper.execute.run import (
    Admitted,
    CancelAsked,
    Ended,
    Event,
    Held,
    NoLongerNeeded,
    Opened,
    Paused,
    Plan,
    Restored,
    Resumed,
    Started,
    Status,
    StepStatus,
    TimedOut,
)
from watchkeeper.execute.settle import end, leave, left_why, move, settle
from watchkeeper.execute.state import Branch, Leaving, Reason, Run, StepState
from watchkeeper.execute.steps import HANDLERS as STEPS
from watchkeeper.execute.tree import Spot, fresh
from watchkeeper.execute.words import left
from watchkeeper.packs.runbook import OnFailure, OnStop, StepKind

ALWAYS_STAY: Final = frozenset({"stop", "exclusion"})  # guards whose "no" never leads to an undo

__all__ = [
    "Run",
    "advance",
    "bindings",
    "effects_before",
    "evaluate",
    "fleets_of",
    "fold",
    "intent_of",
    "leftovers",
    "pending",
    "retry_at",
    "runbook_at",
    "start",
    "state_at",
    "step_at",
    "steps_of",
    "target_at",
]


def start(plan: Plan, opened: Opened) -> Run:
    """The run after its first event."""
    return Run(
        id=opened.run,
        decision=opened.decision,
        plan=plan,
        opened=opened,
        status=Status.WAITING if opened.waiting_for else Status.QUEUED,
        number=1,
        start_by_at=opened.start_by_at,
        root=Branch(steps=fresh(plan.runbook.steps)),
        admitted=not opened.waiting_for,
    )


def fold(plan: Plan, events: Iterable[Event]) -> Run:
    """The run that a whole journal describes. Raises Conflict when it does not begin with `Opened`, or does not fit."""
    run: Run | None = None
    for event in events:
        if run is not None:
            run = advance(run, event)
        elif isinstance(event, Opened):
            run = start(plan, event)
        else:
            raise Conflict(
                f"a journal begins with {type(event).__name__}, not with Opened: run 'watchkeeper ledger verify'"
            )
    if run is None:
        raise Conflict("a journal without events: run 'watchkeeper ledger verify'")
    return run


def advance(run: Run, event: Event) -> Run:
    """The run one event later. Raises Conflict when the event does not follow."""
    if run.ended:
        raise Conflict(f"run {run.id} ended {run.status}: nothing follows, not {type(event).__name__}")
    if run.ending is not None and not isinstance(event, Ended):
        raise Conflict(f"run {run.id} has only to end ({run.ending.status}): {type(event).__name__} came too late")
    handle = _HANDLERS.get(type(event))
    if handle is None:
        raise Conflict(f"run {run.id}: {type(event).__name__} does not follow at number {run.number}")
    after = handle(run, event)
    return replace(after, number=run.number + 1, status=_status(after))


def _status(run: Run) -> Status:
    if run.ended:
        return run.status
    if run.doubts or run.restored:
        return Status.IN_DOUBT
    if run.paused:
        return Status.PAUSED
    if run.started_at is not None:
        return Status.RUNNING
    return Status.QUEUED if run.admitted else Status.WAITING


# The run moved.


def _admitted(run: Run, event: Admitted) -> Run:
    if run.admitted:
        raise Conflict(f"run {run.id} is {run.status}: it was admitted before")
    return replace(run, admitted=True, start_by_at=event.start_by_at)


def _started(run: Run, event: Started) -> Run:
    if not run.admitted or run.started_at is not None or run.paused:
        raise Conflict(f"run {run.id} is {run.status}: it cannot start")
    run = replace(run, started_at=event.at, timeout_at=event.timeout_at)
    return settle(run, event, asks=False)  # a runbook without steps has nothing to do


def _held(run: Run, event: Held) -> Run:
    why = f"{event.guard}: {event.why}"
    if run.started_at is None:
        return end(run, Status.STOPPED, why)
    stay = event.stay or run.finishing or event.guard in ALWAYS_STAY
    leaving = run.root.leaving
    if leaving is not None:
        # The second "no": what was still to follow does not; one that stays ends an undo under way as well.
        leaving = replace(leaving, cut=True)
        if stay:
            leaving = replace(
                leaving, reason=Reason.HELD, undo=False, why=f"{why} (after {left_why(leaving)})", path=""
            )
        return leave(run, event, leaving)
    on_stop = OnStop.STAY if stay else run.plan.runbook.on_stop
    if on_stop is OnStop.FINISH:
        return replace(run, finishing=True, why=why)
    return leave(run, event, Leaving(reason=Reason.HELD, why=why, undo=on_stop is OnStop.UNDO, cut=event.now))


def _paused(run: Run, event: Paused) -> Run:
    return replace(run, paused=True, why=f"paused by {event.by}" + (f": {event.why}" if event.why else ""))


def _resumed(run: Run, event: Resumed) -> Run:
    return replace(
        run, paused=False, restored=False, why=f"resumed by {event.by}" + (f": {event.why}" if event.why else "")
    )


def _restored(run: Run, event: Restored) -> Run:
    return replace(run, restored=True, why=event.why)


def _cancel_asked(run: Run, event: CancelAsked) -> Run:
    if run.restored:
        raise Conflict(f"run {run.id} comes from a backup: resume or close it; nobody knows what there is to take back")
    why = f"cancelled by {event.by}" + (f": {event.why}" if event.why else "")
    run = replace(run, cancelled_by=event.by)
    if run.started_at is None:
        return end(run, Status.CANCELLED, why)
    on_stop = run.plan.runbook.on_stop
    if run.root.leaving is not None or on_stop is OnStop.FINISH:
        return replace(run, finishing=run.finishing or run.root.leaving is None)
    return leave(run, event, Leaving(reason=Reason.CANCELLED, why=why, undo=on_stop is OnStop.UNDO))


def _no_longer_needed(run: Run, event: NoLongerNeeded) -> Run:
    if run.restored:
        return replace(run, no_longer_needed=run.no_longer_needed or run.number)
    if run.started_at is None:
        return end(run, Status.LAPSED, f"no longer needed: {event.why}")
    run = replace(run, no_longer_needed=run.no_longer_needed or run.number)
    if run.effects or run.root.leaving is not None:
        return run
    return leave(run, event, Leaving(reason=Reason.LAPSED, why=f"no longer needed: {event.why}", undo=False))


def _timed_out(run: Run, event: TimedOut) -> Run:
    if not event.path:
        if run.started_at is None or run.root.leaving is not None:
            raise Conflict(f"run {run.id} is {run.status}: its time is not running")
        undo = run.plan.runbook.on_failure is OnFailure.UNDO
        return leave(run, event, Leaving(reason=Reason.TIMED_OUT, why=event.why, undo=undo))

    def change(spot: Spot) -> StepState:
        step, state, _ = spot
        if step.kind is not StepKind.APPROVE or state.status is not StepStatus.DUE:
            raise Conflict(f"step {event.path} is {state.status}: it waits for no answer")
        return replace(state, status=StepStatus.FAILED, ended_at=event.at, error="timeout", why=event.why)

    return move(run, event, event.path, change)[0]


def _ended(run: Run, event: Ended) -> Run:
    """Closed by a person at any time; lapsed before the start; else as the run itself says."""
    unstarted = run.started_at is None and event.status in (Status.LAPSED, Status.CANCELLED)
    wanted = run.ending is not None and run.ending.status is event.status
    if event.status is not Status.CLOSED and not unstarted and not wanted:
        raise Conflict(f"run {run.id} is {run.status}: it does not end {event.status} here")
    state = event.state or left(run)
    return replace(run, status=event.status, ended_at=event.at, why=event.why, state=state, doubts=())


_HANDLERS: Final[dict[type[Event], Callable[[Run, Any], Run]]] = {
    **STEPS,
    Admitted: _admitted,
    Started: _started,
    Held: _held,
    Paused: _paused,
    Resumed: _resumed,
    CancelAsked: _cancel_asked,
    NoLongerNeeded: _no_longer_needed,
    Restored: _restored,
    TimedOut: _timed_out,
    Ended: _ended,
}
