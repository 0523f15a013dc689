"""One step changed: what the run makes of it. It goes on, leaves, undoes, or has only to end."""

from msgspec.structs import replace

from watchkeeper.errors import Conflict
from watchkeeper.execute.due import doubts, pending
from watchkeeper.execute.run import Evaluate, Event, Intended, Perform, Status, StepDue
from watchkeeper.execute.state import Ending, Leaving, Reason, Run, all_passed
from watchkeeper.execute.tree import Change, Line, put
from watchkeeper.execute.undo import cause, over, uncertain, undo_failed, unwind
from watchkeeper.execute.words import left


def move(run: Run, event: Event, path: str, change: Change, *, undo: bool = False) -> tuple[Run, Line]:
    """The run with one step changed, and what the branches around it make of that."""
    if run.started_at is None:
        raise Conflict(f"run {run.id} is {run.status}: step {path} cannot move before its start")
    line = Line(run.plan, path, event.at, change, run.root.leaving, undo=undo)
    states = put(line, run.plan.runbook.steps, run.root.steps, run.plan.targets, 0, ordered=True)
    run = replace(run, root=replace(run.root, steps=states))
    side = line.after.undo if undo else line.after
    asks = side is not None and uncertain(side)
    return settle(run, event, asks=asks), line


def settle(run: Run, event: Event, *, asks: bool) -> Run:
    """After a change: leave when a step failed, undo once quiet, end once nothing is left."""
    plan, root = run.plan, run.root
    steps = plan.runbook.steps
    if root.leaving is None:
        if all_passed(root.steps):
            return end(run, Status.SUCCEEDED, "healed by itself" if run.healed_by_itself else "all steps done")
        leaving = cause(plan, steps, root.steps, "")
        if leaving is None:
            return replace(run, doubts=doubts(run, event.at)) if asks or run.doubts else run
        root = replace(root, leaving=leaving)
        asks = True
    elif root.undoing is None and all_passed(root.steps):
        return end(run, Status.SUCCEEDED, "all steps were done before it could leave")
    root = unwind(plan, root, steps, "")
    run = replace(run, root=root)
    if over(plan, root, steps, ""):
        assert root.leaving is not None
        return end(run, _left_status(run, root.leaving), left_why(root.leaving))
    return replace(run, doubts=doubts(run, event.at)) if asks or run.doubts else run


def end(run: Run, status: Status, why: str) -> Run:
    return replace(run, doubts=(), ending=Ending(status=status, why=why, state=left(run)))


def _left_status(run: Run, leaving: Leaving) -> Status:
    if any(undo_failed(state) for state in run.root.steps):
        return Status.UNDO_FAILED
    match leaving.reason:
        case Reason.HELD:
            return Status.STOPPED
        case Reason.CANCELLED:
            return Status.CANCELLED
        case Reason.LAPSED:
            return Status.LAPSED
        case Reason.FAILED | Reason.TIMED_OUT:
            return Status.UNDONE if run.root.undone else Status.FAILED


def left_why(leaving: Leaving) -> str:
    return f"{leaving.path}: {leaving.why}" if leaving.path else leaving.why


def leave(run: Run, event: Event, leaving: Leaving) -> Run:
    return settle(replace(run, root=replace(run.root, leaving=leaving)), event, asks=True)


def listed(run: Run, event: StepDue | Intended, kind: type[Evaluate] | type[Perform]) -> None:
    """While a run is paused or leaves, only what it still wants may begin."""
    if run.root.leaving is None and not run.paused and not event.undo:
        return
    now = event.at
    for command in pending(run, now if run.timeout_at is None or run.root.leaving else min(now, run.timeout_at)):
        if isinstance(command, kind) and command.path == event.path and command.undo == event.undo:
            return
    raise Conflict(f"run {run.id} is {run.status}: step {event.path} may not begin now")
