"""A recorded decision, made again: the same, or exactly what differs and whether the engine or the rules made it so.

On the same `decide_rev` a replay is identical. On another it compares verdict, guard outcomes and targets.
Source: SEMANTICS 15.
"""

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from watchkeeper.decide.decide import decide, decide_untargeted
from watchkeeper.decide.decision import Decision
from watchkeeper.decide.target import Untargeted
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.guards.words import names_of
from watchkeeper.values import canonical, digest


class Record(Struct, frozen=True, kw_only=True):
    """All that is stored of one decision, and enough to explain and to repeat it. Exactly one of `proposal` and
    `untargeted` is set. `stored_as` is the digest of the situation's stored bytes (`stored_digest`): a later release
    knows more fields than were hashed then. "": the situation was never stored, and is hashed as it is.
    """

    decision: Decision
    situation: Situation
    proposal: Proposal | None = None
    untargeted: Untargeted | None = None
    stored_as: str = ""


class Cause(StrEnum):
    """Who made the difference. `record`: the same revision judges the same inputs otherwise, so the record was altered."""

    ENGINE = "engine"
    RULES = "rules"
    RECORD = "record"


class Difference(Struct, frozen=True, kw_only=True):
    """`what` is `verdict`, `targets`, `guard:<name>` or, on the same revision, `field:<name>`."""

    what: str
    was: str
    now: str
    cause: Cause


class Same(Struct, frozen=True, kw_only=True):
    decision: Decision


class Differs(Struct, frozen=True, kw_only=True):
    decision: Decision
    differences: tuple[Difference, ...]


def stored_digest(body: bytes) -> str:
    """The digest of a stored document as it was written, whatever fields its struct has got since."""
    return digest(msgspec.json.decode(body))


def again(record: Record) -> Decision:
    """The decision on the recorded inputs, by the guards as they are now."""
    decision = record.decision
    if record.proposal is not None:
        return decide(
            record.proposal,
            record.situation,
            clauses=decision.clauses,
            engine=decision.engine,
            follows=decision.follows,
            because=decision.because,
            stored_as=record.stored_as,
        )
    assert record.untargeted is not None
    return decide_untargeted(
        record.untargeted,
        record.situation,
        clauses=decision.clauses,
        engine=decision.engine,
        follows=decision.follows,
        because=decision.because,
        stored_as=record.stored_as,
    )


def replay(record: Record) -> Same | Differs:
    now = again(record)
    differences = compared(record.decision, now)
    return Differs(decision=now, differences=differences) if differences else Same(decision=now)


def compared(was: Decision, now: Decision) -> tuple[Difference, ...]:
    """Every field on the same revision; verdict, guard outcomes and targets on another."""
    if was.engine.get("decide_rev") != now.engine["decide_rev"]:
        return outcomes_compared(was, now, Cause.ENGINE)
    return tuple(
        Difference(what=f"field:{name}", was=_shown(was, name), now=_shown(now, name), cause=Cause.RECORD)
        for name in Decision.__struct_fields__
        if _plain(was, name) != _plain(now, name)
    )


FIELD_SHOWN_MAX: Final = 400


def _plain(decision: Decision, name: str) -> bytes:
    return canonical(getattr(decision, name))


def _shown(decision: Decision, name: str) -> str:
    text = _plain(decision, name).decode()
    return text if len(text) <= FIELD_SHOWN_MAX else text[: FIELD_SHOWN_MAX - 1] + "…"


def outcomes_compared(was: Decision, now: Decision, cause: Cause) -> tuple[Difference, ...]:
    """Verdict, targets and guard outcomes, in that order."""
    found = []
    if was.verdict is not now.verdict:
        found.append(Difference(what="verdict", was=was.verdict.value, now=now.verdict.value, cause=cause))
    targets, targets_now = [tuple(sorted(target.ref for target in each.targets)) for each in (was, now)]
    if targets != targets_now:
        found.append(Difference(what="targets", was=names_of(targets), now=names_of(targets_now), cause=cause))
    outcomes, outcomes_now = [{each.guard: each.outcome.value for each in one.findings} for one in (was, now)]
    for guard in [*outcomes, *[name for name in outcomes_now if name not in outcomes]]:
        before, after = outcomes.get(guard, "not asked"), outcomes_now.get(guard, "not asked")
        if before != after:
            found.append(Difference(what=f"guard:{guard}", was=before, now=after, cause=cause))
    return tuple(found)
