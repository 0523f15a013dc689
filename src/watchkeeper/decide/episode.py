"""When a decision is due for one rule and one episode: SEMANTICS 1, as a function of the last decision and the present.

An episode is one firing of one fingerprint. Repeated delivery renews `last_seen` and is no reason to decide again.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.guards.situation import AlertFacts, Attempt
from watchkeeper.guards.words import names_of
from watchkeeper.packs.rule import SETTLE_MS
from watchkeeper.values import SEVERITY_ORDER, Instant, Severity, after_ms


class Because(StrEnum):
    """Why a decision is due. Stored in the decision as `because`."""

    FIRST = "first"
    ASKED = "asked"
    WOKE = "woke"
    SEVERITY = "severity"
    TARGETS = "targets"
    VERSION = "version"
    STILL_FIRING = "still_firing"


class LastRun(Struct, frozen=True, kw_only=True):
    """The run of the last decision. `acting`: it is queued, running, paused or in doubt (not waiting for an approval).

    `effect_at` is its last effect, None when it had none, or when it is not known: then its end stands for it.
    """

    acting: bool
    ended_at: Instant | None = None
    effect_at: Instant | None = None


class Present(Struct, frozen=True, kw_only=True):
    """What is so now. `targets` are resolved references; `asked_by` is a person who wants it judged again."""

    at: Instant
    alert: AlertFacts
    targets: tuple[str, ...]
    versions: Mapping[str, int]
    run: LastRun | None = None
    settle_ms: int = SETTLE_MS
    asked_by: str = ""


class Due(Struct, frozen=True, kw_only=True):
    because: Because
    why: str


class NotDue(Struct, frozen=True, kw_only=True):
    """`again_at` is when it may fall due by itself; None when only a change can make it due.

    `lapsed`: the episode is over or unseen, so that a held or unstarted proposal lapses `no_longer_needed`.
    """

    why: str
    again_at: Instant | None = None
    lapsed: bool = False


def due(last: Decision | None, present: Present) -> Due | NotDue:
    alert = present.alert
    if not alert.firing:
        return NotDue(why="The alert resolved.", lapsed=True)
    if alert.stale:
        return NotDue(why="The alert was not seen for too long.", lapsed=True)
    run = present.run
    if run is not None and run.acting:
        return NotDue(why="Its run is at work.")
    if present.asked_by:
        return Due(because=Because.ASKED, why=f"{present.asked_by} asked.")
    if run is not None and run.ended_at is not None:
        return _settled(run, run.ended_at, present)
    if last is None:
        return Due(because=Because.FIRST, why="The episode is new to this rule.")
    return _changed(last, present)


def acted_for(
    attempts: Mapping[str, Iterable[Attempt]], alert: AlertFacts, runbook: str, decided_at: Instant | None
) -> LastRun | None:
    """The run of another witness's decision that was for this episode too: the same runbook, for the same symptom, on each
    of the targets (`attempts` by target), ended while the episode fired already, and since it was decided last. What it
    did must show before this one is repaired again.
    """
    ends: list[Instant] = []
    for found in attempts.values():
        own = [
            each.ended_at
            for each in found
            if each.runbook == runbook and each.symptom == alert.symptom and each.ended_at >= alert.first_seen_at
        ]
        if not own or (decided_at is not None and max(own) < decided_at):
            return None
        ends.append(max(own))
    return LastRun(acting=False, ended_at=max(ends)) if ends else None


def newest(own: LastRun | None, elsewhere: LastRun | None) -> LastRun | None:
    """What was done last for the episode, by its own decision or for another witness of it."""
    if own is None or elsewhere is None:
        return own or elsewhere
    if own.acting or own.ended_at is None or elsewhere.ended_at is None:
        return own
    return elsewhere if elsewhere.ended_at > own.ended_at else own


def changed_names(last: Decision, versions: Mapping[str, int]) -> tuple[str, ...]:
    """Version keys that its findings name and that have moved since, in order."""
    named = {name for finding in last.findings for name in finding.names}
    return tuple(sorted(name for name in named if versions.get(name, 0) != last.versions.get(name, 0)))


def severity_fell(before: Severity, now: Severity) -> bool:
    return SEVERITY_ORDER.index(now) > SEVERITY_ORDER.index(before)


def _settled(run: LastRun, ended_at: Instant, present: Present) -> Due | NotDue:
    """After a run, nothing but time and a person decides afresh: what it changed must show first."""
    again_at = after_ms(run.effect_at or ended_at, present.settle_ms)
    if present.at < again_at:
        return NotDue(why="Its run ended; what it did must show first.", again_at=again_at)
    return Due(because=Because.STILL_FIRING, why="Its run ended, and the alert still fires.")


def _changed(last: Decision, present: Present) -> Due | NotDue:
    if present.alert.severity is not last.severity:
        return Due(
            because=Because.SEVERITY, why=f"Severity went from {last.severity.value} to {present.alert.severity.value}."
        )
    before, now = {target.ref for target in last.targets}, set(present.targets)
    if before != now:
        return Due(because=Because.TARGETS, why=f"The targets changed: {names_of(sorted(before ^ now))}.")
    moved = changed_names(last, present.versions)
    if moved:
        return Due(because=Because.VERSION, why=f"{names_of(moved)} changed.")
    if last.verdict is Verdict.HOLD and last.wake_at is not None:
        if last.wake_at <= present.at:
            return Due(because=Because.WOKE, why="What was held is looked at again.")
        return NotDue(why="It is held.", again_at=last.wake_at)
    return NotDue(why="It was decided, and nothing that it rests on has changed.")
