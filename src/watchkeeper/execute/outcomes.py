"""What a run's events say of each action on each target: what breakers are fed with.

An error of an action is a failure, and so is a verification that finds the target unwell: it speaks of the last effect
before it. What says nothing of the target (denied, broken, interrupted, a person's no) is no word at all.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.errors import Conflict
from watchkeeper.execute.plan import place
from watchkeeper.execute.run import Done, Doubted, Event, Failed, Plan, Probed, Settled, Verified
from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import Effect, Step
from watchkeeper.values import Instant
from watchkeeper.verify.sample import Result

FAILURES: Final = frozenset({"unavailable", "rejected", "timeout", "untrusted", "unhealthy", "not_done"})
WORDS_MAX: Final = 20_000  # of one run; what comes after is not kept
TARGETS_MAX: Final = 100  # of one step that acts on several at once


class Came(StrEnum):
    """The last word on one action and target. `done`: it was carried out, and nothing was verified after it."""

    FAILED = "failed"
    UNCLEAR = "unclear"
    DONE = "done"
    HEALTHY = "healthy"


class Word(Struct, frozen=True, kw_only=True):
    came: Came
    at: Instant
    target: Target
    why: str = ""


class Tally(Struct, frozen=True, kw_only=True):
    """`words` by (action, target); `last` is the newest effect on each target, which the next verification judges."""

    words: Mapping[tuple[str, str], Word] = {}
    last: Mapping[str, str] = {}


NOTHING: Final = Tally()


def tally(plan: Plan, events: Iterable[Event], before: Tally = NOTHING) -> Tally:
    """The tally after these events, in their order."""
    words, last = dict(before.words), dict(before.last)
    moved = False
    for event in events:
        if isinstance(event, Done | Failed | Doubted | Probed | Settled | Verified):
            moved = _take(plan, event, words, last) or moved
    return Tally(words=words, last=last) if moved else before


def _take(
    plan: Plan,
    event: Done | Failed | Doubted | Probed | Settled | Verified,
    words: dict[tuple[str, str], Word],
    last: dict[str, str],
) -> bool:
    try:
        step, targets, _ = place(plan, event.path)
    except Conflict:
        return False  # the machine says what is wrong with such an event
    came, why = _came(event)
    if came is None:
        return False
    undo = bool(getattr(event, "undo", False))
    if undo and came is not Came.FAILED:
        return False  # that something was taken back says nothing of what it was to mend
    own = _action(step, undo=undo)
    for target in targets[:TARGETS_MAX]:
        action = own or (last.get(target.ref, "") if isinstance(event, Verified) else "")
        if not action or ((action, target.ref) not in words and len(words) >= WORDS_MAX):
            continue
        words[action, target.ref] = Word(came=came, at=event.at, target=target, why=why)
        if not undo and not isinstance(event, Verified):
            last[target.ref] = action
    return True


def _came(event: Event) -> tuple[Came | None, str]:
    match event:
        case Failed(retry_at=None, error=error, why=why) if error in FAILURES:
            return Came.FAILED, why
        case Doubted(interrupted=False, why=why):
            return Came.FAILED, why
        case Probed(happened=bool() as happened, why=why) | Settled(happened=happened, why=why):
            return (Came.DONE if happened else Came.FAILED), why
        case Verified(result=Result.HEALTHY, healed_by_itself=False):
            return Came.HEALTHY, ""
        case Verified(result=Result.UNHEALTHY, why=why):
            return Came.FAILED, why
        case Verified(result=Result.INCONCLUSIVE, why=why):
            return Came.UNCLEAR, why
        case Done():
            return Came.DONE, ""
        case _:
            return None, ""


def _action(step: Step, *, undo: bool) -> str:
    """The action of a step that changes something; "" of a verification, and of what only reads."""
    if undo:
        return step.undo.call.action if step.undo is not None else ""
    return step.call.action if step.call is not None and step.effect is not Effect.READ else ""
