"""Four questions of every hop: is it watched, is there a repair, can the repair be undone, is its success verified?

In: what looks at a hop, which rules reach it and their runbooks. Out: an `Answer` a question and hop, and a `Mark` a
question and transaction. An answer is a fact of the configuration and of the runs on record, never an estimate.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.packs.runbook import CALL_DEPTH_MAX, Effect, Runbook, Step, StepKind

NAMED_MAX: Final = 3  # in one sentence


class Question(StrEnum):
    WATCHED = "watched"
    REPAIR = "repair"
    UNDO = "undo"
    VERIFY = "verify"


class Extent(StrEnum):
    ALL = "all"
    SOME = "some"
    NONE = "none"


class Answer(Struct, frozen=True, kw_only=True):
    """Of one hop. `why` is a sentence."""

    question: Question
    extent: Extent
    why: str


class Mark(Struct, frozen=True, kw_only=True):
    """Of one transaction: `hops` of its hops have it whole. `all` when every hop has; `none` when none has any of it.
    `lacking` are the hops that have not all of it, in their order.
    """

    question: Question
    extent: Extent
    hops: int
    of: int
    lacking: tuple[str, ...] = ()


class Watchers(Struct, frozen=True, kw_only=True):
    """Entity -> the names of the probes and heartbeats that look at it, and of the enabled rules that listen for it."""

    probes: Mapping[str, tuple[str, ...]] = {}
    rules: Mapping[str, tuple[str, ...]] = {}


def watched(ref: str, members: Sequence[str], by: Watchers) -> Answer:
    """A hop is watched when something looks at it, or at everything that serves it."""

    def of(each: str) -> tuple[str, ...]:
        return (*by.probes.get(each, ()), *[f"rule {name}" for name in by.rules.get(each, ())])

    def say(extent: Extent, why: str) -> Answer:
        return Answer(question=Question.WATCHED, extent=extent, why=why)

    blind = () if of(ref) else tuple(each for each in members if not of(each))
    seen = list(dict.fromkeys(name for each in (ref, *members) for name in of(each)))
    if not seen:
        return say(Extent.NONE, "No probe and no heartbeat looks at it, and no enabled rule listens for it.")
    if blind:
        return say(
            Extent.SOME, f"Nothing looks at {len(blind)} of its {len(members)} members: {_named(map(_bare, blind))}."
        )
    return say(Extent.ALL, f"{_named(seen)} {'looks' if len(seen) == 1 else 'look'} at it.")


def undo(books: Sequence[Runbook], every: Mapping[str, Runbook]) -> Answer:
    """Whether each step that changes something has an undo, in every runbook that repairs the hop."""
    question = Question.UNDO
    if not books:
        return Answer(question=question, extent=Extent.NONE, why="No rule repairs it.")
    changes = {book.name: [step for step in steps_of(book, every) if _changes(step)] for book in books}
    lacking = [(name, step.id) for name, steps in changes.items() for step in steps if step.undo is None]
    total = sum(len(steps) for steps in changes.values())
    if not total:
        return Answer(question=question, extent=Extent.ALL, why=f"{_named(changes)} changes nothing.")
    if not lacking:
        return Answer(
            question=question,
            extent=Extent.ALL,
            why=f"Every step of {_named(changes)} that changes something has an undo.",
        )
    steps = _named(f"{step} of {name}" for name, step in lacking)
    return Answer(
        question=question,
        extent=Extent.NONE if len(lacking) == total else Extent.SOME,
        why=f"No undo for {steps}.",
    )


def verify(books: Sequence[Runbook], every: Mapping[str, Runbook]) -> Answer:
    """Whether every runbook that repairs the hop verifies after the last step that changes something."""
    question = Question.VERIFY
    if not books:
        return Answer(question=question, extent=Extent.NONE, why="No rule repairs it.")
    found = {book.name: _verified(steps_of(book, every)) for book in books}
    short = [name for name, extent in found.items() if extent is not Extent.ALL]
    if not short:
        return Answer(
            question=question, extent=Extent.ALL, why=f"{_named(found)} {_do(found, 'verifies', 'verify')} at the end."
        )
    none = all(extent is Extent.NONE for extent in found.values())
    return Answer(
        question=question,
        extent=Extent.NONE if none else Extent.SOME,
        why=f"{_named(short)} {_do(short, 'does', 'do')} not verify after the last change.",
    )


def marks(hops: Sequence[tuple[str, Sequence[Answer]]]) -> tuple[Mark, ...]:
    """One mark a question, over the hops of a transaction (reference, answers)."""
    found = []
    for question in Question:
        extents = {ref: each.extent for ref, answers in hops for each in answers if each.question is question}
        whole = sum(extent is Extent.ALL for extent in extents.values())
        some = any(extent is not Extent.NONE for extent in extents.values())
        found.append(
            Mark(
                question=question,
                extent=Extent.ALL if extents and whole == len(extents) else Extent.SOME if some else Extent.NONE,
                hops=whole,
                of=len(extents),
                lacking=tuple(ref for ref, extent in extents.items() if extent is not Extent.ALL),
            )
        )
    return tuple(found)


def steps_of(book: Runbook, every: Mapping[str, Runbook], depth: int = 0) -> Iterable[Step]:
    """Its steps that do or verify something, in their order, those of the runbooks that it calls among them."""
    return _flat(book.steps, every, depth)


def _flat(steps: Iterable[Step], every: Mapping[str, Runbook], depth: int) -> Iterable[Step]:
    for step in steps:
        if step.kind is StepKind.CALL and step.runbook in every and depth < CALL_DEPTH_MAX:
            yield from _flat(every[step.runbook].steps, every, depth + 1)
        elif step.steps:
            yield from _flat(step.steps, every, depth)
        else:
            yield step


def _changes(step: Step) -> bool:
    return step.kind is StepKind.DO and step.effect is not Effect.READ


def _verified(steps: Iterable[Step]) -> Extent:
    extent = Extent.ALL  # nothing was changed so far
    looks = False
    for step in steps:
        if _changes(step):
            extent = Extent.SOME if looks else Extent.NONE
        if step.kind is StepKind.VERIFY:
            looks, extent = True, Extent.ALL
    return extent if looks else Extent.NONE


def _named(names: Iterable[str]) -> str:
    found = list(names)
    more = len(found) - NAMED_MAX
    return ", ".join(found[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def _do(of: Iterable[str], one: str, many: str) -> str:
    return one if len(list(of)) == 1 else many


def _bare(ref: str) -> str:
    return ref.rpartition("/")[2]
