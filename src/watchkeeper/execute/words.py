"""How a run left its targets, in words for the person who is told."""

from collections.abc import Iterator
from typing import Final

from watchkeeper.execute.plan import CONTAINERS, body
from watchkeeper.execute.run import StepStatus
from watchkeeper.execute.state import Run, StepState
from watchkeeper.execute.undo import States, Steps, branches
from watchkeeper.packs.runbook import Effect, Step, StepKind
from watchkeeper.verify.sample import Result

NAMED_MAX: Final = 20  # steps or targets named one by one; the rest is counted
WHO_MAX: Final = 3
NOTHING: Final = "as before, nothing was sent"
NOT_VERIFIED: Final = "not verified"
VERIFIED: Final = "verified healthy"


def left(run: Run) -> str:
    """One sentence of how each target was left."""
    names = [target.name for target in run.plan.targets]
    who = ", ".join(names[:WHO_MAX]) + (f" and {len(names) - WHO_MAX} more" if len(names) > WHO_MAX else "")
    facts = list(_facts(run)) if run.effects else [NOTHING]
    return f"{who}: {'; '.join(facts)}" if who else "; ".join(facts)


def _facts(run: Run) -> Iterator[str]:
    done, undone, last = [], [], None
    named: list[str] = []
    for path, step, state in run_leaves(run):
        if step.kind is StepKind.VERIFY:
            last = state if state.result is not None else last
        elif step.kind is StepKind.DO and step.effect is not Effect.READ:
            words = _unclear(path, state)
            if words:
                named.append(words)
            elif state.status is StepStatus.DONE:
                done.append(path)
            elif state.status is StepStatus.UNDONE:
                undone.append(path)
    for path, state in _fleets(run):
        fleet = state.fleet
        assert fleet is not None
        bad = fleet.failed + fleet.unhealthy
        yield f"{path}: {fleet.done} targets done, {bad} failed, {len(fleet.active)} left under way"
        named.extend(fleet.named)
    if named:
        yield _some(named, "; ")
    if done:
        yield f"{_some(done, ', ')} done"
    if undone:
        yield f"{_some(undone, ', ')} undone"
    if last is not None:
        yield VERIFIED if last.result is Result.HEALTHY else f"verification {last.result}: {last.why}"
    elif done:
        yield NOT_VERIFIED


def _unclear(path: str, state: StepState) -> str:
    undo = state.undo
    if state.status is StepStatus.UNDONE:
        return ""
    if undo is not None and undo.status is StepStatus.FAILED:
        return f"{path} done and its undo failed: {undo.why}"
    if undo is not None and undo.status in (StepStatus.IN_DOUBT, StepStatus.INTENDED):
        return f"undo of {path} in doubt: {undo.why or 'it was sent and nothing came back'}"
    if undo is not None and undo.status is StepStatus.DONE:
        return f"{path} undone and not verified"
    if state.status in (StepStatus.IN_DOUBT, StepStatus.INTENDED):
        return f"{path} in doubt: {state.why or 'it was sent and nothing came back'}"
    if state.status is StepStatus.DUE and state.repeat:
        return f"{path} in doubt: it was sent and nothing came back"
    return ""


def _some(words: list[str], joint: str) -> str:
    rest = len(words) - NAMED_MAX
    return joint.join(words[:NAMED_MAX]) + (f" and {rest} more" if rest > 0 else "")


def run_leaves(run: Run) -> Iterator[tuple[str, Step, StepState]]:
    """(path, step, state) of every step that is no container and that the run holds; targets under way included."""
    yield from leaves_of(run, run.plan.runbook.steps, run.root.steps, "")


def leaves_of(run: Run, steps: Steps, states: States, prefix: str) -> Iterator[tuple[str, Step, StepState]]:
    for step, state in zip(steps, states, strict=True):
        path = f"{prefix}{step.id}"
        if step.kind not in CONTAINERS:
            yield path, step, state
        elif state.fleet is not None:
            inner = body(run.plan, step)
            for index, branch in branches(state.fleet):
                yield from leaves_of(run, inner, branch.steps, f"{path}[{index}]/")
        elif state.steps:
            yield from leaves_of(run, body(run.plan, step), state.steps, f"{path}/")


def _fleets(run: Run) -> Iterator[tuple[str, StepState]]:
    stack = [("", run.plan.runbook.steps, run.root.steps)]
    while stack:
        prefix, steps, states = stack.pop()
        for step, state in zip(steps, states, strict=True):
            if state.fleet is not None:
                yield f"{prefix}{step.id}", state
            elif state.steps:
                stack.append((f"{prefix}{step.id}/", body(run.plan, step), state.steps))
