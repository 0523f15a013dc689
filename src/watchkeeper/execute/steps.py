"""What each event of a step makes of the run."""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from watchkeeper.errors import Conflict
from watchkeeper.execute import attempt
from watchkeeper.execute.backoff import step_key
from watchkeeper.execute.look import state_at
from watchkeeper.execute.plan import treatment, undo_treatment
from watchkeeper.execute.run import (
    Answered,
    Asked,
    Child,
    Done,
    Doubted,
    Evaluate,
    Event,
    Failed,
    Intended,
    Perform,
    Probed,
    Settled,
    StepDue,
    StepStatus,
    Verified,
)
from watchkeeper.execute.settle import listed, move
from watchkeeper.execute.state import Run, StepState
from watchkeeper.execute.tree import UNREACHED, Change, Line, Spot
from watchkeeper.execute.undo import uncertain
from watchkeeper.packs.runbook import Effect, Step, StepKind, Undo
from watchkeeper.verify.sample import Result


def step_due(run: Run, event: StepDue) -> Run:
    listed(run, event, Evaluate)
    return _side(run, event, event.path, lambda spot: attempt.due(spot.state, event), undo=event.undo)[0]


def intended(run: Run, event: Intended) -> Run:
    listed(run, event, Perform)

    def change(spot: Spot) -> StepState:
        step, state, _ = spot
        if step.kind is not StepKind.DO:
            raise Conflict(f"step {event.path} is {step.kind}: it has no effect to intend")
        return attempt.intended(state, event, run.number)

    after, line = _side(run, event, event.path, change, undo=event.undo)
    assert line.step is not None
    if event.undo or line.step.effect is not Effect.READ:
        return replace(after, effects=after.effects + 1, last_effect=run.number)
    return after


def child(run: Run, event: Child) -> Run:
    return _side(run, event, event.path, lambda spot: attempt.child(spot.state, event), undo=event.undo)[0]


def done(run: Run, event: Done) -> Run:
    return _side(run, event, event.path, lambda spot: attempt.done(spot.state, event), undo=event.undo)[0]


def failed(run: Run, event: Failed) -> Run:
    return _side(run, event, event.path, lambda spot: attempt.failed(spot.state, event), undo=event.undo)[0]


def doubted(run: Run, event: Doubted) -> Run:
    key = step_key(run.opened.key_root, event.path, undo=event.undo)

    def change(spot: Spot) -> StepState:
        step, state, targets = spot
        if event.undo:
            undo = _undo(step, event.path)
            treat, retry, read, checked = undo_treatment(undo), undo.retry, False, False
        else:
            treat, retry = treatment(step, targets), step.retry
            read, checked = step.effect is Effect.READ, step.check is not None
        return attempt.doubted(state, event, treat, retry, key, read=read, checked=checked)

    return _side(run, event, event.path, change, undo=event.undo)[0]


def probed(run: Run, event: Probed) -> Run:
    def change(spot: Spot) -> StepState:
        step, state, _ = spot
        if event.happened is None:
            return attempt.blind(state, event)
        return attempt.settled(
            state, event.path, event.at, event.why, event.output, step.retry, happened=event.happened
        )

    return move(run, event, event.path, change)[0]


def settled(run: Run, event: Settled) -> Run:
    undo = event.path in run.doubts and (side := state_at(run, event.path).undo) is not None and uncertain(side)
    why = f"{event.by}: {event.why}" if event.why else f"{event.by} said so"

    def change(spot: Spot) -> StepState:
        step, state, _ = spot
        retry = _undo(step, event.path).retry if undo else step.retry
        return attempt.settled(state, event.path, event.at, why, {}, retry, happened=event.happened)

    return _side(run, event, event.path, change, undo=undo)[0]


def verified(run: Run, event: Verified) -> Run:
    def change(spot: Spot) -> StepState:
        step, state, _ = spot
        wanted = StepStatus.DONE if event.undo else StepStatus.DUE
        if state.status is not wanted or (not event.undo and step.kind is not StepKind.VERIFY):
            raise Conflict(f"step {event.path} is {state.status}: no verification is due")
        healthy = event.result is Result.HEALTHY
        return replace(
            state,
            status=StepStatus.DONE if healthy else StepStatus.FAILED,
            ended_at=event.at,
            started_at=state.started_at or state.due_at,
            output={"result": event.result.value, "samples": event.samples, "healthy": event.healthy},
            error="" if healthy else event.result.value,
            why=event.why,
            result=event.result,
        )

    if event.undo:
        return _side(run, event, event.path, change, undo=True)[0]
    early = run.effects == 0 or 0 < run.no_longer_needed < run.last_effect
    healed = event.result is Result.HEALTHY and (event.healed_by_itself or early)
    return move(replace(run, result=event.result, healed_by_itself=healed), event, event.path, change)[0]


def asked(run: Run, event: Asked) -> Run:
    def change(spot: Spot) -> StepState:
        step, state, _ = spot
        if step.kind is not StepKind.APPROVE or state.status is not StepStatus.DUE or state.approval:
            raise Conflict(f"step {event.path} is {state.status}: no approval is to be asked for")
        return replace(state, approval=event.approval, until_at=event.until_at, started_at=event.at)

    return move(run, event, event.path, change)[0]


def answered(run: Run, event: Answered) -> Run:
    def change(spot: Spot) -> StepState:
        state = spot.state
        if state.status is not StepStatus.DUE or not event.approval or state.approval != event.approval:
            raise Conflict(f"step {event.path} does not wait for approval {event.approval}")
        output: dict[str, Any] = {"approved": event.approved, "by": event.by}
        if event.approved:
            return replace(state, status=StepStatus.DONE, ended_at=event.at, output=output, why=event.why)
        why = f"{event.by} rejected it" + (f": {event.why}" if event.why else "")
        return replace(state, status=StepStatus.FAILED, ended_at=event.at, output=output, error="denied", why=why)

    return move(run, event, event.path, change)[0]


def _side(run: Run, event: Event, path: str, change: Change, *, undo: bool) -> tuple[Run, Line]:
    """The same change on the step, or on its undo. An undo that is done, and verified where it says so, undoes it."""
    if not undo:
        return move(run, event, path, change)

    def undone(spot: Spot) -> StepState:
        step, state = spot.step, spot.state
        declared = _undo(step, path)
        if state.status is not StepStatus.DONE and not uncertain(state):
            raise Conflict(f"step {path} is {state.status}: there is nothing to undo")
        side = change(Spot(step, state.undo or UNREACHED, spot.targets))
        if side.status is StepStatus.DONE and (declared.verify is None or side.result is Result.HEALTHY):
            return replace(state, status=StepStatus.UNDONE, undo=side)
        return replace(state, undo=side)

    return move(run, event, path, undone, undo=True)


def _undo(step: Step, path: str) -> Undo:
    if step.undo is None:
        raise Conflict(f"step {path} has no undo")
    return step.undo


HANDLERS: Final[dict[type[Event], Callable[[Run, Any], Run]]] = {
    StepDue: step_due,
    Intended: intended,
    Child: child,
    Done: done,
    Failed: failed,
    Doubted: doubted,
    Probed: probed,
    Settled: settled,
    Verified: verified,
    Asked: asked,
    Answered: answered,
}
