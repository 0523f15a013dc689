"""Questions that a driver asks of a run: the step at a path, its target, its intent, when it is tried again."""

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.errors import Conflict
from watchkeeper.execute.backoff import backoff_ms, dice_ppm, step_key
from watchkeeper.execute.bindings import frame_at
from watchkeeper.execute.plan import body, place
from watchkeeper.execute.run import Child, Intended, Perform, StepStatus
from watchkeeper.execute.state import Run, StepState
from watchkeeper.execute.undo import state_in, uncertain
from watchkeeper.execute.words import run_leaves
from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import Runbook, Step, StepKind
from watchkeeper.values import Instant, after_ms


class StepView(Struct, frozen=True, kw_only=True):
    path: str
    step: Step
    state: StepState


def steps_of(run: Run) -> Iterator[StepView]:
    """Every step that is no container and that the run holds, in the order of the plan."""
    for path, step, state in run_leaves(run):
        yield StepView(path=path, step=step, state=state)


def fleets_of(run: Run) -> Iterator[StepView]:
    """Every `foreach` that was reached, with how far it is: `output` counts its targets, also while it runs."""
    yield from _fleets(run, run.plan.runbook.steps, run.root.steps, "")


def _fleets(run: Run, steps: tuple[Step, ...], states: tuple[StepState, ...], prefix: str) -> Iterator[StepView]:
    for step, state in zip(steps, states, strict=True):
        path, fleet = f"{prefix}{step.id}", state.fleet
        if fleet is not None:
            counts = {
                "targets": len(place(run.plan, path).targets),
                "begun": fleet.begun,
                "under_way": len(fleet.active),
                "done": fleet.done,
                "failed": fleet.failed,
                "unhealthy": fleet.unhealthy,
            }
            yield StepView(path=path, step=step, state=replace(state, output=counts))
        elif state.steps:
            yield from _fleets(run, body(run.plan, step), state.steps, f"{path}/")


def step_at(run: Run, path: str) -> Step:
    """Raises Conflict when the plan has no such step."""
    return place(run.plan, path).step


def state_at(run: Run, path: str) -> StepState:
    """Raises Conflict when the run holds no state there."""
    return state_in(run.plan, run.plan.runbook.steps, run.root.steps, path)


def target_at(run: Run, path: str) -> Target | None:
    """The one target in scope at the step; None where several are."""
    targets = place(run.plan, path).targets
    return targets[0] if len(targets) == 1 else None


def runbook_at(run: Run, path: str) -> Runbook:
    """The runbook in which the step stands: the run's own, or a called one."""
    return frame_at(run, path).runbook


def intent_of(run: Run, path: str, *, undo: bool = False) -> Intended:
    """The last intent of a step, or of its undo. Raises Conflict when there is none."""
    state: StepState | None = state_at(run, path)
    if undo and state is not None:
        state = state.undo
    if state is None or state.intent_at is None:
        raise Conflict(f"run {run.id}: step {path} was never intended")
    return Intended(
        at=state.intent_at,
        path=path,
        attempt=state.attempts,
        key=step_key(run.opened.key_root, path, undo=undo),
        undo=undo,
        fence=state.fence,
    )


def effects_before(run: Run, path: str) -> bool:
    """Whether anything was sent, other than reads, before the step at `path`: up to now, which is where it stands."""
    return run.effects > 0 and bool(path)


def leftovers(run: Run) -> tuple[Child, ...]:
    """Processes started for steps without an outcome. A successor ends them, and sees them ended, before it goes on."""
    found: list[Child] = []
    for path, _, state in run_leaves(run):
        for side, undo in ((state, False), (state.undo, True)):
            if side is None or side.intent_at is None:
                continue
            if side.status is StepStatus.INTENDED or uncertain(side):
                found.extend(
                    Child(at=side.intent_at, path=path, pid=pid, start_ticks=ticks, undo=undo)
                    for pid, ticks in side.children
                )
    return tuple(found)


def retry_at(run: Run, command: Perform, error: str, now: Instant) -> Instant | None:
    """When a failed attempt is followed by another: only for errors that the step declares, while attempts last.

    Ask before `Failed` is built, with the command that failed. The target's retry budget is asked apart.
    """
    step, state = step_at(run, command.path), state_at(run, command.path)
    side: StepState | None = state
    retry = step.retry
    if command.undo:
        if step.undo is None:
            raise Conflict(f"step {command.path} has no undo")
        side, retry = state.undo, step.undo.retry
    lost = 0 if side is None else side.interruptions
    if step.kind is not StepKind.DO or error not in retry.errors or command.attempt - lost >= retry.attempts_max:
        return None
    key = step_key(run.opened.key_root, command.path, undo=command.undo)
    return after_ms(now, backoff_ms(retry, command.attempt - lost, dice_ppm(key, command.attempt)))
