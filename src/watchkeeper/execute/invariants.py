"""What must hold of every journal, however the run was interrupted: checked by tests, the simulation and `store` checks.

Written against the events alone where that is possible, so that it does not repeat what the machine believes.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from watchkeeper.errors import Conflict
from watchkeeper.execute import machine
from watchkeeper.execute.fleet import WAVES, stopped
from watchkeeper.execute.plan import Treatment, at_once, body, place, treatment, undo_treatment, wave_ends
from watchkeeper.execute.run import (
    Done,
    Doubted,
    Ended,
    Event,
    Failed,
    Intended,
    Opened,
    Plan,
    Probed,
    Settled,
    Status,
    StepStatus,
    Verified,
)
from watchkeeper.execute.state import OPEN, Fleet, Run
from watchkeeper.execute.undo import States, Steps, branches
from watchkeeper.packs.runbook import Effect, Step, StepKind
from watchkeeper.verify.sample import Result

Side = tuple[str, bool]  # path, and whether it is the undo


class Known(StrEnum):
    """What the journal knows of one side of a step."""

    NOT_DONE = "not_done"
    INTENDED = "intended"
    UNKNOWN = "unknown"
    DONE = "done"


class _Audit:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.known: dict[Side, Known] = {}
        self.keys: dict[Side, str] = {}
        self.order: dict[str, int] = {}
        self.began: set[str] = set()
        self.unsure: set[Side] = set()
        self.undone: set[str] = set()


def violations(plan: Plan, events: Sequence[Event]) -> tuple[str, ...]:
    """Sentences, empty when everything holds."""
    return tuple(_violations(plan, events))


def _violations(plan: Plan, events: Sequence[Event]) -> Iterator[str]:
    if not events or not isinstance(events[0], Opened):
        yield "the journal does not begin with Opened"
        return
    audit = _Audit(plan)
    run = machine.start(plan, events[0])
    for number, event in enumerate(events[1:], start=1):
        if run.ended:
            yield f"{number}: {type(event).__name__} follows the end"
            return
        before = run
        try:
            run = machine.advance(run, event)
        except Conflict as conflict:
            yield f"{number}: {conflict}"
            return
        for sentence in _event(audit, before, run, event, number):
            yield f"{number}: {sentence}"
        for sentence in _limits(plan, plan.runbook.steps, before.root.steps, run.root.steps, len(plan.targets)):
            yield f"{number}: {sentence}"
    if run.ended:
        yield from _end(audit, run, events[-1])


def _event(audit: _Audit, before: Run, run: Run, event: Event, number: int) -> Iterator[str]:
    match event:
        case Intended():
            yield from _intent(audit, run, event, number)
        case Done():
            yield from _outcome(audit, (event.path, event.undo), Known.DONE)
        case Failed():
            side = (event.path, event.undo)
            if audit.known.get(side) is Known.INTENDED:
                audit.known[side] = Known.UNKNOWN if side in audit.unsure else Known.NOT_DONE
        case Doubted():
            audit.unsure.add((event.path, event.undo))
            yield from _outcome(audit, (event.path, event.undo), Known.UNKNOWN)
        case Probed(happened=bool() as happened):
            _told(audit, (event.path, False), happened)
        case Settled():
            undo = audit.known.get((event.path, True)) is Known.UNKNOWN
            _told(audit, (event.path, undo), event.happened)
        case Verified(undo=True, result=Result.HEALTHY):
            audit.undone.add(event.path)
        case _:
            pass
    path = getattr(event, "path", "")
    if audit.known.get((path, True)) is Known.DONE:
        declared = place(audit.plan, path).step.undo
        if declared is not None and declared.verify is None:
            audit.undone.add(path)
    if before.root.undoing is not None and isinstance(event, Intended) and not event.undo:
        yield f"{event.path} begins after the undo began"


def _intent(audit: _Audit, run: Run, event: Intended, number: int) -> Iterator[str]:
    side = (event.path, event.undo)
    step, targets, _ = place(audit.plan, event.path)
    was = audit.known.get(side, Known.NOT_DONE)
    treat = undo_treatment(step.undo) if event.undo and step.undo is not None else treatment(step, targets)
    if was in (Known.INTENDED, Known.DONE):
        yield f"{event.path} is intended again while {was}"
    if was is Known.UNKNOWN and treat is not Treatment.REPEAT:
        yield f"{event.path} is sent again while nobody knows what became of it, and its target honours no repetition"
    if audit.keys.setdefault(side, event.key) != event.key:
        yield f"{event.path} is repeated under another key"
    if sum(key == event.key for key in audit.keys.values()) > 1:
        yield f"{event.path} shares its key with another step"
    if event.undo and event.path not in audit.began:
        audit.began.add(event.path)
        yield from _newest(audit, run, event.path)
    if not event.undo:
        audit.order[event.path] = number
    audit.known[side] = Known.INTENDED


def _newest(audit: _Audit, run: Run, path: str) -> Iterator[str]:
    """Undo goes from the newest intent down: over the whole run once it leaves, else inside its own target."""
    own = path[: path.rfind("]/") + 2] if "]/" in path else ""
    scope = "" if run.root.leaving is not None else own
    for other, order in audit.order.items():
        if other == path or not other.startswith(scope) or order < audit.order.get(path, 0):
            continue
        step = place(audit.plan, other).step
        done = audit.known.get((other, False)) is Known.DONE
        if done and step.undo is not None and step.effect is not Effect.READ and other not in audit.undone:
            target = other[: other.rfind("]/") + 2] if "]/" in other else ""
            if not (target and any(side[0].startswith(target) and side[1] for side in audit.unsure | _failed(run))):
                yield f"{path} is undone before {other}, which is newer"


def _failed(run: Run) -> set[Side]:
    """Undos that failed: what is older on their target is left to a person."""
    return {
        (view.path, True)
        for view in machine.steps_of(run)
        if view.state.undo is not None and view.state.undo.status is StepStatus.FAILED
    }


def _outcome(audit: _Audit, side: Side, known: Known) -> Iterator[str]:
    if audit.known.get(side) is not Known.INTENDED:
        yield f"{side[0]} has an outcome without an intent"
    audit.known[side] = known
    if known is Known.DONE:
        audit.unsure.discard(side)


def _told(audit: _Audit, side: Side, happened: bool) -> None:
    audit.unsure.discard(side)
    audit.known[side] = Known.DONE if happened else Known.NOT_DONE


def _limits(plan: Plan, steps: Steps, before: States, states: States, total: int) -> Iterator[str]:
    """No group and no wave holds more than it may, and no target begins past the threshold."""
    if len(before) != len(states):
        before = states
    for step, was, now in zip(steps, before, states, strict=True):
        if was is now:
            continue
        if step.kind is StepKind.PARALLEL:
            busy = sum(child.status in OPEN for child in now.steps)
            if busy > at_once(step):
                yield f"{step.id} has {busy} steps under way, at most {at_once(step)} may be"
        if now.fleet is not None:
            yield from _fleet(plan, step, was.fleet or Fleet(), now.fleet, total)
        elif now.steps:
            yield from _limits(plan, body(plan, step), was.steps, now.steps, total)


def _fleet(plan: Plan, step: Step, was: Fleet, now: Fleet, total: int) -> Iterator[str]:
    if len(now.active) > at_once(step):
        yield f"{step.id} has {len(now.active)} targets under way, at most {at_once(step)} may be"
    if now.begun > was.begun:
        if stopped(step, was):
            yield f"{step.id} begins a target past its threshold"
        ended = was.begun - len(was.active)
        limit = next(end for end in wave_ends((step.waves or WAVES).waves, total) if end > ended)
        if now.begun > limit:
            yield f"{step.id} begins target {now.begun} before its wave of {limit} is over"
    held = dict(branches(was))
    for index, branch in branches(now):
        if index in held:
            yield from _limits(plan, body(plan, step), held[index].steps, branch.steps, 1)


def _end(audit: _Audit, run: Run, last: Event) -> Iterator[str]:
    """Each target is as before, as verified, or named to a person."""
    assert isinstance(last, Ended)
    if run.status is Status.CLOSED:
        return
    if run.status is not last.status or not run.state:
        yield "the end says neither its status nor how the targets were left"
    if run.status is Status.SUCCEEDED:
        for path, fleet, total in _fleets(run.plan, run.plan.runbook.steps, run.root.steps, "", len(run.plan.targets)):
            if fleet.active or fleet.done + fleet.failed + fleet.unhealthy != total:
                yield f"the run succeeded, and {path} has not come to the end of every target"
    for (path, undo), known in audit.known.items():
        step = place(audit.plan, path).step
        if known is Known.INTENDED:
            yield f"the run ended {run.status} while {path} was under way"
        covered = path in audit.undone or "]/" in path or path in run.state or "more" in run.state
        if known is Known.UNKNOWN and step.effect is not Effect.READ and not covered:
            yield f"the run ended {run.status}, {path} is unknown and nobody was told"
        if known is Known.DONE and not undo and step.effect is not Effect.READ and not covered:
            yield f"the run ended {run.status}, {path} was done and nobody was told"
        undoable = step.undo is not None and step.effect is not Effect.READ and "]/" not in path
        if run.status is Status.UNDONE and known is Known.DONE and not undo and undoable and path not in audit.undone:
            yield f"the run ended undone, and {path} is not"


def _fleets(plan: Plan, steps: Steps, states: States, prefix: str, total: int) -> Iterator[tuple[str, Fleet, int]]:
    for step, state in zip(steps, states, strict=True):
        if state.fleet is not None:
            yield f"{prefix}{step.id}", state.fleet, total
            for index, branch in branches(state.fleet):
                yield from _fleets(plan, body(plan, step), branch.steps, f"{prefix}{step.id}[{index}]/", 1)
        elif state.steps:
            yield from _fleets(plan, body(plan, step), state.steps, f"{prefix}{step.id}/", total)
