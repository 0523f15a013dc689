"""Many targets in waves: when the next one may begin, and what one that ended leaves behind.

A wave begins when every target of the wave before has ended. Failures end the foreach at its threshold: no further
target begins, those under way go on to their end.
"""

from typing import Final

from msgspec.structs import replace

from watchkeeper.errors import Conflict
from watchkeeper.execute.plan import at_once, undoes, wave_ends
from watchkeeper.execute.run import Plan
from watchkeeper.execute.state import KEPT_CHUNK, Branch, Fleet
from watchkeeper.execute.undo import Steps, undo_failed
from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import Step, Waves

NAMED_MAX: Final = 1_000  # failed targets that a run names one by one

WAVES: Final = Waves()


def stopped(step: Step, fleet: Fleet) -> bool:
    """Whether the failures so far end the foreach. Without a threshold the first one does."""
    waves = step.waves or WAVES
    failed_max = 1 if waves.failed_max is None else max(1, waves.failed_max)
    unhealthy_max = 1 if waves.unhealthy_max is None else max(1, waves.unhealthy_max)
    return fleet.failed >= failed_max or fleet.unhealthy >= unhealthy_max or fleet.undo_failed > 0


def has_room(step: Step, fleet: Fleet, total: int) -> bool:
    """Whether target number `fleet.begun` may begin now."""
    if fleet.begun >= total or len(fleet.active) >= at_once(step) or stopped(step, fleet):
        return False
    ended = fleet.begun - len(fleet.active)
    ends = wave_ends((step.waves or WAVES).waves, total)
    return fleet.begun < next(end for end in ends if end > ended)


def begin(step: Step, fleet: Fleet, index: int, total: int, path: str) -> Fleet:
    """Raises Conflict unless target `index` is the next one and may begin."""
    if index != fleet.begun or not has_room(step, fleet, total):
        raise Conflict(f"step {path} does not follow: {fleet.begun} of {total} targets have begun")
    return replace(fleet, begun=fleet.begun + 1)


def end(plan: Plan, inner: Steps, fleet: Fleet, index: int, target: Target, branch: Branch) -> Fleet:
    """A target that ended: a count; by name where it failed; and kept whole where it has something to undo."""
    active = {at: other for at, other in fleet.active.items() if at != index}
    kept = fleet.kept
    if undoes(plan, inner):
        chunk = index // KEPT_CHUNK
        kept = {**kept, chunk: {**kept.get(chunk, {}), index: branch}}
    fleet = replace(fleet, active=active, kept=kept)
    if branch.leaving is None:
        return replace(fleet, done=fleet.done + 1)
    leaving = branch.leaving
    left = any(undo_failed(state) for state in branch.steps)
    how = "undo failed" if left else "undone" if branch.undone else "left as it is"
    named = fleet.named
    if len(named) < NAMED_MAX:
        named = (*named, f"{target.name}: {leaving.path.rpartition('/')[2]}: {leaving.why} ({how})")
    unhealthy = leaving.error == "unhealthy"
    return replace(
        fleet,
        failed=fleet.failed + (not unhealthy),
        unhealthy=fleet.unhealthy + unhealthy,
        undo_failed=fleet.undo_failed + left,
        named=named,
    )
