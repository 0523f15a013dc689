"""Where things are in a plan: paths, the steps under a step, waves, and what a second sending would do.

A path names one step of one run: `drain`, `after/warm`, `fleet[3]/one`, and through calls `after/warm/flush`.
"""

from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from watchkeeper.errors import Conflict
from watchkeeper.execute.run import Plan
from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import Effect, Step, StepKind, Undo

CONTAINERS: Final = frozenset({StepKind.PARALLEL, StepKind.FOREACH, StepKind.CALL})
AT_ONCE_MAX: Final = 256  # children of one group, or targets of one foreach, under way at once
PATHS_KEPT: Final = 4_096  # parsed paths, of all runs together
HONOURS_KEY: Final = "idempotency-key"
HONOURS_FENCE: Final = "fencing-token"

Segment = tuple[str, int]  # a step's id, and the index of its target in a foreach (-1: none)


class Treatment(StrEnum):
    """What becomes of a step that was sent and whose outcome is unknown (SEMANTICS 6)."""

    REPEAT = "repeat"
    PROBE = "probe"
    PERSON = "person"


class Place(NamedTuple):
    """A step in its plan: `targets` are those in scope there, `depth` the calls around it."""

    step: Step
    targets: tuple[Target, ...]
    depth: int


@lru_cache(maxsize=PATHS_KEPT)
def segments(path: str) -> tuple[Segment, ...]:
    """Raises Conflict for text that is no path."""
    return tuple(_segment(path, part) for part in path.split("/"))


def body(plan: Plan, step: Step) -> tuple[Step, ...]:
    """The steps under a container; of a call, those of the runbook it names. Raises Conflict when the plan lacks it."""
    if step.kind is not StepKind.CALL:
        return step.steps
    called = plan.called.get(step.runbook)
    if called is None:
        raise Conflict(
            f"step {step.id}: the plan has no runbook {step.runbook!r}: load configuration {plan.configuration}"
        )
    return called.steps


def place(plan: Plan, path: str) -> Place:
    """The step at `path`. Raises Conflict when the plan has none there."""
    steps, targets, depth = plan.runbook.steps, plan.targets, 0
    found: Step | None = None
    inside = -1
    for name, index in segments(path):
        if found is not None:
            if found.kind not in CONTAINERS or (found.kind is StepKind.FOREACH and inside < 0):
                raise Conflict(f"the plan has no step {path!r}")
            depth += found.kind is StepKind.CALL
            steps = body(plan, found)
        found, inside = steps[position(steps, name, path)], index
        if index >= 0:
            if found.kind is not StepKind.FOREACH or index >= len(targets):
                raise Conflict(f"the plan has no step {path!r}: {name} has no target {index}")
            targets = (targets[index],)
    if found is None or inside >= 0:
        raise Conflict(f"the plan has no step {path!r}")
    return Place(found, targets, depth)


def at_once(step: Step) -> int:
    """How many children of a group, or targets of a foreach, may be under way."""
    return max(1, min(step.concurrent_max, AT_ONCE_MAX))


def position(steps: tuple[Step, ...], name: str, path: str) -> int:
    """Raises Conflict when no step is called `name`."""
    for index, step in enumerate(steps):
        if step.id == name:
            return index
    raise Conflict(f"the plan has no step {path!r}")


def wave_ends(waves: tuple[str, ...], total: int) -> tuple[int, ...]:
    """How many targets have begun at the end of each wave: counts and percentages are of the whole, cumulative.

    Rising, without empty waves; percentages round up; the last is `total`.
    """
    ends: list[int] = []
    for wave in waves:
        count = -(-total * int(wave[:-1]) // 100) if wave.endswith("%") else int(wave)
        if min(count, total) > (ends[-1] if ends else 0):
            ends.append(min(count, total))
    if not ends or ends[-1] < total:
        ends.append(total)
    return tuple(ends)


def treatment(step: Step, targets: tuple[Target, ...]) -> Treatment:
    """`keyed` and `fenced` count only where every target in scope is declared to honour them."""
    match step.effect:
        case Effect.READ | Effect.IDEMPOTENT:
            return Treatment.REPEAT
        case Effect.KEYED if _honoured(targets, HONOURS_KEY):
            return Treatment.REPEAT
        case Effect.FENCED if _honoured(targets, HONOURS_FENCE):
            return Treatment.REPEAT
        case Effect.KEYED | Effect.FENCED | Effect.PROBED:
            return Treatment.PERSON if step.check is None else Treatment.PROBE
        case Effect.ONCE:
            return Treatment.PERSON


def undo_treatment(undo: Undo) -> Treatment:
    """An undo that is safe where nothing was done is safe after itself: it may be repeated. Any other goes to a person."""
    return Treatment.REPEAT if undo.safe_if_not_done else Treatment.PERSON


def undoes(plan: Plan, steps: tuple[Step, ...]) -> bool:
    """Whether any of these steps, or of those under them, declares an undo."""
    return any(step.undo is not None for step in leaves(plan, steps))


def leaves(plan: Plan, steps: tuple[Step, ...]) -> Iterator[Step]:
    """Every step that is no container, in order, each called runbook once."""
    stack, seen = list(reversed(steps)), set[str]()
    while stack:
        step = stack.pop()
        if step.kind not in CONTAINERS:
            yield step
        elif step.kind is not StepKind.CALL or step.runbook not in seen:
            seen.add(step.runbook)
            stack.extend(reversed(body(plan, step)))


def _honoured(targets: tuple[Target, ...], what: str) -> bool:
    return bool(targets) and all(what in target.honours for target in targets)


def _segment(path: str, part: str) -> Segment:
    name, bracket, rest = part.partition("[")
    if not bracket:
        return name, -1
    if not rest.endswith("]") or not rest[:-1].isdecimal() or not rest[:-1].isascii():
        raise Conflict(f"{path!r} is no path of a step; write for example fleet[3]/one")
    return name, int(rest[:-1])
