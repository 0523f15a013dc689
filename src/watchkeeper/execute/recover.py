"""After a crash or a takeover: what becomes of each step with an intent and no outcome.

In: the run as its journal says, now, whether the old performer is known to be dead. Out: one `Doubted` for each such
step, undos included; `advance` then makes of it what the step declares: it is due again under the same key (read,
idempotent, and keyed or fenced where the target honours that), its check is asked no earlier than intent + time-out
(probed), or a person decides (once; probed too, while the old performer may still be at work).

The driver commits these events before it carries out any command, and before that ends the processes of `leftovers`.
"""

from watchkeeper.execute.plan import Treatment, place, treatment
from watchkeeper.execute.run import Doubted, Event, StepStatus
from watchkeeper.execute.state import Run, StepState
from watchkeeper.execute.words import run_leaves
from watchkeeper.values import Instant, after_ms


def recover(run: Run, now: Instant, *, old_performer_dead: bool) -> tuple[Event, ...]:
    """Empty for a run that has ended, did not start, or lost nothing. Oldest intent first."""
    found: list[tuple[int, Event]] = []
    for path, step, state in run_leaves(run):
        if state.status is StepStatus.INTENDED:
            probed = treatment(step, place(run.plan, path).targets) is Treatment.PROBE
            ask_at = _ask_at(state) if probed and old_performer_dead else None
            found.append((state.order, _lost(path, state, now, ask_at, dead=old_performer_dead, undo=False)))
        elif state.undo is not None and state.undo.status is StepStatus.INTENDED:
            found.append((state.undo.order, _lost(path, state.undo, now, None, dead=old_performer_dead, undo=True)))
    found.sort(key=lambda pair: pair[0])
    return tuple(event for _, event in found)


def _ask_at(state: StepState) -> Instant | None:
    return None if state.intent_at is None else after_ms(state.intent_at, state.timeout_ms)


def _lost(path: str, state: StepState, now: Instant, ask_at: Instant | None, *, dead: bool, undo: bool) -> Doubted:
    performer = "its performer ended" if dead else "its performer was lost and may still be at work"
    return Doubted(
        at=now,
        path=path,
        attempt=state.attempts,
        why=f"{performer} before the outcome of attempt {state.attempts} was recorded",
        undo=undo,
        ask_at=ask_at,
        interrupted=True,
    )
