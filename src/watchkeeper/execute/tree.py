"""The tree of states: an event replaces one step and, on the way back to the root, what its containers make of it."""

from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec.structs import replace

from watchkeeper.errors import Conflict
from watchkeeper.execute.fleet import begin, end, has_room, stopped
from watchkeeper.execute.plan import CONTAINERS, at_once, body, position, segments
from watchkeeper.execute.run import Plan, StepStatus
from watchkeeper.execute.state import KEPT_CHUNK, OPEN, PASSED, Branch, Fleet, Leaving, Reason, StepState
from watchkeeper.execute.undo import States, Steps, failure, over, quiet, settle
from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import OnFailure, Step, StepKind
from watchkeeper.values import Instant


class Spot(NamedTuple):
    """Where an event arrives: the step, its state, the targets in scope."""

    step: Step
    state: StepState
    targets: tuple[Target, ...]


Change = Callable[[Spot], StepState]

UNREACHED: Final = StepState()

# What the rest of a group does when one of it failed.
_HALT: Final = Leaving(reason=Reason.FAILED, why="", undo=True)
_HALT_STAY: Final = Leaving(reason=Reason.FAILED, why="", undo=False)


def fresh(steps: Steps) -> States:
    return (UNREACHED,) * len(steps)


class Line:
    """One event on its way to its step: what stays the same at every level. `leaving` is the run's own.

    `step` and `after` are the step it found and what became of it.
    """

    __slots__ = ("after", "at", "change", "leaving", "parts", "path", "plan", "step", "undo")

    def __init__(
        self,
        plan: Plan,
        path: str,
        at: Instant,
        change: Change,
        leaving: Leaving | None,
        *,
        undo: bool,
    ) -> None:
        self.plan, self.path, self.parts, self.at = plan, path, segments(path), at
        self.change, self.leaving, self.undo = change, leaving, undo
        self.step: Step | None = None
        self.after = UNREACHED


def put(line: Line, steps: Steps, states: States, targets: tuple[Target, ...], depth: int, *, ordered: bool) -> States:
    """The states after the event. `ordered`: these steps follow one another, so those before must have passed."""
    name, index = line.parts[depth]
    at = position(steps, name, line.path)
    step, state = steps[at], states[at]
    if ordered and not line.undo and any(earlier.status not in PASSED for earlier in states[:at]):
        raise Conflict(f"step {line.path} does not follow: a step before it has not passed")
    if depth == len(line.parts) - 1:
        if index >= 0:
            raise Conflict(f"the plan has no step {line.path!r}")
        changed = line.change(Spot(step, state, targets))
        line.step, line.after = step, changed
        if changed.status is StepStatus.DUE and state.status is StepStatus.PENDING:
            changed = _opened(line, step, changed, targets)
    elif line.undo and state.status is not StepStatus.DUE:
        changed = _under(line, step, state, targets, depth, index)
    else:
        if state.status is not StepStatus.DUE:
            raise Conflict(f"step {line.path}: {name} is {state.status}, nothing under it can move")
        changed = _container(line, step, _under(line, step, state, targets, depth, index), targets)
    return (*states[:at], changed, *states[at + 1 :])


def _under(line: Line, step: Step, state: StepState, targets: tuple[Target, ...], depth: int, index: int) -> StepState:
    inner = body(line.plan, step)
    if step.kind is not StepKind.FOREACH:
        if not state.steps:
            raise Conflict(f"step {line.path}: {step.id} was not reached")
        if step.kind is StepKind.PARALLEL and not line.undo:
            _room(line, step, state, depth)
        ordered = step.kind is StepKind.CALL
        return replace(state, steps=put(line, inner, state.steps, targets, depth + 1, ordered=ordered))
    fleet = state.fleet
    if fleet is None or index < 0 or index >= len(targets):
        raise Conflict(f"step {line.path}: {step.id} has no target {index}")
    branch = fleet.active.get(index)
    if branch is None and line.undo:
        return replace(state, fleet=_undone_later(line, fleet, inner, targets, depth, index))
    if branch is None:
        fleet = begin(step, fleet, index, len(targets), line.path)
        branch = Branch(steps=fresh(inner))
    branch = replace(branch, steps=put(line, inner, branch.steps, (targets[index],), depth + 1, ordered=True))
    prefix = "/".join(line.path.split("/")[: depth + 1]) + "/"
    branch = settle(line.plan, branch, inner, prefix, line.leaving)
    if over(line.plan, branch, inner, prefix):
        fleet = end(line.plan, inner, fleet, index, targets[index], branch)
    else:
        fleet = replace(fleet, active={**fleet.active, index: branch})
    return replace(state, fleet=fleet)


def _undone_later(line: Line, fleet: Fleet, inner: Steps, targets: tuple[Target, ...], depth: int, index: int) -> Fleet:
    """A target that had ended is undone with the whole run."""
    chunk = fleet.kept.get(index // KEPT_CHUNK, {})
    branch = chunk.get(index)
    if branch is None:
        raise Conflict(f"step {line.path}: target {index} has nothing to undo")
    branch = replace(branch, steps=put(line, inner, branch.steps, (targets[index],), depth + 1, ordered=True))
    return replace(fleet, kept={**fleet.kept, index // KEPT_CHUNK: {**chunk, index: branch}})


def _opened(line: Line, step: Step, state: StepState, targets: tuple[Target, ...]) -> StepState:
    """A container that falls due opens its children; one without children has passed."""
    if step.kind not in CONTAINERS:
        return state
    if step.kind is StepKind.FOREACH:
        state = replace(state, fleet=Fleet(), started_at=line.at)
    else:
        state = replace(state, steps=fresh(body(line.plan, step)), started_at=line.at)
    return _container(line, step, state, targets)


def _room(line: Line, step: Step, state: StepState, depth: int) -> None:
    """A child that is not open yet takes a place of its group."""
    at = position(step.steps, line.parts[depth + 1][0], line.path)
    if state.steps[at].status is not StepStatus.PENDING:
        return
    if sum(child.status in OPEN for child in state.steps) >= at_once(step):
        raise Conflict(f"step {line.path} does not follow: {at_once(step)} steps of its group are under way")


def _container(line: Line, step: Step, state: StepState, targets: tuple[Target, ...]) -> StepState:
    """What a container is, now that something under it changed."""
    if step.kind is StepKind.FOREACH:
        return _fleet(line, step, state, targets)
    inner = body(line.plan, step)
    if all(child.status in PASSED for child in state.steps):
        return replace(state, status=StepStatus.DONE, ended_at=line.at)
    bad = failure(inner, state.steps, "")
    if bad is None:
        return state
    if step.kind is StepKind.PARALLEL:
        halt = _HALT if line.plan.runbook.on_failure is OnFailure.UNDO else _HALT_STAY
        if not quiet(line.plan, step, state, halt, safe=True):
            return state
    path, error, why = bad
    return replace(state, status=StepStatus.FAILED, ended_at=line.at, error=error, why=f"{path}: {why}")


def _fleet(line: Line, step: Step, state: StepState, targets: tuple[Target, ...]) -> StepState:
    fleet = state.fleet
    assert fleet is not None
    if fleet.active or has_room(step, fleet, len(targets)):
        return state
    output = {"targets": len(targets), "done": fleet.done, "failed": fleet.failed, "unhealthy": fleet.unhealthy}
    if fleet.begun == len(targets) and not stopped(step, fleet):
        return replace(state, status=StepStatus.DONE, ended_at=line.at, output=output)
    error = "undo_failed" if fleet.undo_failed else "unhealthy" if fleet.unhealthy else "failed"
    why = f"stopped after {fleet.begun} of {len(targets)} targets: {'; '.join(fleet.named[:3])}"
    return replace(state, status=StepStatus.FAILED, ended_at=line.at, output=output, error=error, why=why)
