"""Leaving the way forward: when everything under way is quiet, what to undo, and in which order.

A branch is undone as a unit: the whole run, or one target of a foreach. Undo covers, newest intent first, every step
done or in doubt; one in doubt only where its undo is safe if nothing was done, else a person settles it before.
The first undo that fails ends the undoing: what is older may rest on it.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from watchkeeper.errors import Conflict
from watchkeeper.execute.plan import CONTAINERS, at_once, body, position, segments
from watchkeeper.execute.run import Plan, StepStatus
from watchkeeper.execute.state import KEPT_CHUNK, OPEN, PASSED, Branch, Fleet, Leaving, Reason, StepState, all_passed
from watchkeeper.packs.runbook import Effect, OnFailure, Step, StepKind

Steps = tuple[Step, ...]
States = tuple[StepState, ...]


def failure(steps: Steps, states: States, prefix: str) -> tuple[str, str, str] | None:
    """(path, error, why) of the failed step; an inconclusive one only when nothing is known to be wrong."""
    found: tuple[str, str, str] | None = None
    for step, state in zip(steps, states, strict=True):
        if state.status is StepStatus.FAILED and (found is None or found[1] == "inconclusive"):
            found = (f"{prefix}{step.id}", state.error, state.why)
    return found


def cause(plan: Plan, steps: Steps, states: States, prefix: str) -> Leaving | None:
    """Why this branch leaves: its failed step, and `on_failure`. What is inconclusive goes to a person as it stands."""
    bad = failure(steps, states, prefix)
    if bad is None:
        return None
    path, error, why = bad
    undo = plan.runbook.on_failure is OnFailure.UNDO and error != "inconclusive"
    return Leaving(reason=Reason.FAILED, why=why, undo=undo, path=path, error=error)


def settle(plan: Plan, branch: Branch, steps: Steps, prefix: str, above: Leaving | None) -> Branch:
    """A branch after an event: it leaves when a step failed, lists what to undo once quiet, counts what is undone.

    While the run around it leaves (`above`), it decides nothing by itself.
    """
    if above is not None:
        return branch
    if branch.leaving is None:
        leaving = cause(plan, steps, branch.steps, prefix)
        if leaving is None:
            return branch
        branch = replace(branch, leaving=leaving)
    return unwind(plan, branch, steps, prefix)


def unwind(plan: Plan, branch: Branch, steps: Steps, prefix: str) -> Branch:
    """A branch that leaves, one event later."""
    leaving = branch.leaving
    assert leaving is not None
    if branch.undoing is None:
        if not sequence_quiet(plan, steps, branch.steps, leaving, safe_first=True):
            return branch
        found = sorted(undoable(plan, steps, branch.steps, prefix), reverse=True) if leaving.undo else []
        branch = replace(branch, undoing=tuple(path for _, path in found))
    while (current := undoing_state(plan, branch, steps, prefix)) is not None:
        if current.status is not StepStatus.UNDONE:
            break
        branch = replace(branch, undone=branch.undone + 1)
    return branch


def over(plan: Plan, branch: Branch, steps: Steps, prefix: str) -> bool:
    """Nothing is left to do here."""
    if branch.leaving is None:
        return all_passed(branch.steps)
    if branch.undoing is None:
        return False
    current = undoing_state(plan, branch, steps, prefix)
    if current is None:
        return True
    undo = current.undo
    if not branch.leaving.undo:  # told to stay in the middle of undoing: only what is outstanding is awaited
        return undo is None or not (undo.status is StepStatus.INTENDED or uncertain(undo))
    return undo is not None and undo.status is StepStatus.FAILED


def undoing_path(branch: Branch) -> str | None:
    """The step that is being undone."""
    if branch.undoing is None or branch.undone >= len(branch.undoing):
        return None
    return branch.undoing[branch.undone]


def undoing_state(plan: Plan, branch: Branch, steps: Steps, prefix: str) -> StepState | None:
    path = undoing_path(branch)
    return None if path is None else state_in(plan, steps, branch.steps, path[len(prefix) :])


def state_in(plan: Plan, steps: Steps, states: States, path: str) -> StepState:
    """The state at `path`, relative to these steps. Raises Conflict when the run holds none there."""
    parts = segments(path)
    for depth, (name, index) in enumerate(parts):
        at = position(steps, name, path)
        step, state = steps[at], states[at]
        if depth == len(parts) - 1:
            return state
        steps, states = body(plan, step), state.steps
        if index >= 0:
            branch = branch_at(state, index)
            states = () if branch is None else branch.steps
        if not states:
            break
    raise Conflict(f"step {path} was not reached, or its target ended and nothing of it can be undone")


def branch_at(state: StepState, index: int) -> Branch | None:
    """One target of a foreach: under way or kept; None when it did not begin, or ended and has nothing to undo."""
    if state.fleet is None:
        return None
    found = state.fleet.active.get(index)
    return found if found is not None else state.fleet.kept.get(index // KEPT_CHUNK, {}).get(index)


def branches(fleet: Fleet) -> Iterator[tuple[int, Branch]]:
    """Every target that the run still holds, kept ones first, each in order."""
    for chunk in fleet.kept.values():
        yield from chunk.items()
    yield from fleet.active.items()


def quiet(plan: Plan, step: Step, state: StepState, leaving: Leaving, *, safe: bool) -> bool:
    """Whether nothing more happens at this step while its branch leaves. `safe`: a safe point lies before it."""
    match state.status:
        case StepStatus.INTENDED:
            return False
        case StepStatus.IN_DOUBT:
            return leaving.undo and step.undo is not None and step.undo.safe_if_not_done
        case StepStatus.DUE if step.kind is StepKind.FOREACH:
            assert state.fleet is not None
            inner = body(plan, step)
            return all(
                sequence_quiet(plan, inner, branch.steps, leaving, safe_first=True)
                for branch in state.fleet.active.values()
            )
        case StepStatus.DUE if step.kind is StepKind.CALL:
            return sequence_quiet(plan, body(plan, step), state.steps, leaving, safe_first=safe)
        case StepStatus.DUE if step.kind is StepKind.PARALLEL:
            return _group_quiet(plan, step, state, leaving, safe=safe)
        case StepStatus.DUE if state.repeat:
            # Sent, and due again to learn what became of it: no safe point lies inside a step.
            return leaving.cut and leaving.undo and step.undo is not None and step.undo.safe_if_not_done
        case StepStatus.PENDING | StepStatus.DUE:
            return safe or leaving.cut
        case _:
            undo = state.undo
            if undo is None:
                return True
            return undo.status is not StepStatus.INTENDED and (leaving.undo or not uncertain(undo))


def _group_quiet(plan: Plan, step: Step, state: StepState, leaving: Leaving, *, safe: bool) -> bool:
    """Those under way are quiet, and none may begin: at a safe point, or because the group has no room."""
    under_way, waits = 0, False
    for child, its in zip(step.steps, state.steps, strict=True):
        if its.status is StepStatus.PENDING:
            waits = True
        elif its.status in OPEN:
            under_way += 1
            if not quiet(plan, child, its, leaving, safe=safe):
                return False
    return not waits or safe or leaving.cut or under_way >= at_once(step)


def sequence_quiet(plan: Plan, steps: Steps, states: States, leaving: Leaving, *, safe_first: bool) -> bool:
    for index, (step, state) in enumerate(zip(steps, states, strict=True)):
        safe = not step.with_previous if index else safe_first
        if not quiet(plan, step, state, leaving, safe=safe):
            return False
        if state.status not in PASSED:
            return True
    return True


def undoable(plan: Plan, steps: Steps, states: States, prefix: str) -> Iterator[tuple[int, str]]:
    """(number of the intent, path) of each step to undo. A target whose undo failed before is left to a person."""
    for step, state in zip(steps, states, strict=True):
        path = f"{prefix}{step.id}"
        if state.fleet is not None:
            inner = body(plan, step)
            for index, branch in branches(state.fleet):
                if not any(undo_failed(child) for child in branch.steps):
                    yield from undoable(plan, inner, branch.steps, f"{path}[{index}]/")
        elif step.kind in CONTAINERS:
            if state.steps:
                yield from undoable(plan, body(plan, step), state.steps, f"{path}/")
        elif step.undo is not None and step.effect is not Effect.READ:
            safe = uncertain(state) and step.undo.safe_if_not_done
            if safe or state.status is StepStatus.DONE:
                yield state.order, path


def uncertain(state: StepState) -> bool:
    """Sent, and nobody knows what became of it."""
    return state.status is StepStatus.IN_DOUBT or (state.status is StepStatus.DUE and state.repeat)


def undo_failed(state: StepState) -> bool:
    """Whether an undo failed at this step or under it."""
    if state.undo is not None and state.undo.status is StepStatus.FAILED:
        return True
    if state.fleet is not None:
        return state.fleet.undo_failed > 0 or any(
            undo_failed(child) for _, branch in branches(state.fleet) for child in branch.steps
        )
    return any(undo_failed(child) for child in state.steps)
