"""What a recorded decision would be under other rules: the recorded situation, with what the configuration decides put anew.

In: a `Record`, the proposal that the other rules make, and the situation as their configuration alone gives it. Out: the
decision, or `CannotJudge` with the input that was not recorded. What people and the world said then stays as it was said.
Source: SEMANTICS 13 and 15.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.decide.decide import decide
from watchkeeper.decide.decision import ClauseResult, Decision
from watchkeeper.decide.replay import Cause, Difference, Record, outcomes_compared
from watchkeeper.guards.autonomy import mode_of
from watchkeeper.guards.situation import (
    AlertFacts,
    DependencyState,
    Health,
    Measured,
    Members,
    Proposal,
    Situation,
    Target,
)
from watchkeeper.guards.words import names_of
from watchkeeper.packs.rule import Mode, Rule
from watchkeeper.values import Instant

BY_CONFIGURATION: Final = (
    "configuration",
    "exclusions",
    "blast",
    "objective_ppm",
    "groups_needed",
    "regions_needed",
    "trusted_pack",
    "untrusted",
    "owner_known",
    "rivals",
    "unknown_clause",
    "broken_clause",
    "local_allowed",
    "unreached",
)
_PLACE: Final = ("kind", "name", "environment", "region", "zone", "tier", "system", "service")


class CannotJudge(Struct, frozen=True, kw_only=True):
    """An input that the other rules need was not recorded then."""

    why: str


class Judged(Struct, frozen=True, kw_only=True):
    """`certain`: every input of every guard was recorded. Otherwise only the verdict is known: mode observe observes."""

    decision: Decision
    certain: bool = True


class NotDecided(Struct, frozen=True, kw_only=True):
    """No decision would have been made: the rule is gone, or does not match."""

    why: str


class Otherwise(Struct, frozen=True, kw_only=True):
    """One thing that would have been otherwise. `kind`: `differs`, `lost` (a decision that would not have been made),
    `new` (one that was not made and would have been) or `engine` (this release decides it otherwise, whatever the rules).
    `was` and `now` are verdicts, `none`, or `cannot judge`. `why` is the first thing that differs, as a sentence.
    """

    kind: str
    rule: str
    alert: str
    name: str
    at: Instant
    was: str
    now: str
    why: str
    decision: str = ""
    targets: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    runbook: str = ""
    differences: tuple[Difference, ...] = ()


class Meant(Struct, frozen=True, kw_only=True):
    """One side of the comparison: a rule of some configuration with what it proposes, and the situation as far as that
    configuration alone decides it (nothing measured, nobody's hold). `parents` are what the alert's entity needs.
    """

    rule: Rule
    facts: AlertFacts
    situation: Situation
    proposal: Proposal
    parents: tuple[str, ...] = ()
    clauses: tuple[ClauseResult, ...] = ()


class Before(Struct, frozen=True, kw_only=True):
    """Of the rule as it stood when the decision was made, what the comparison needs: enough to keep it in a file."""

    unbuilt: tuple[str, ...] = ()
    entity: str = ""
    parents: tuple[str, ...] = ()
    members: Members | None = None
    corroborated_within_ms: int | None = None


def before_of(was: Meant) -> Before:
    return Before(
        unbuilt=was.proposal.unbuilt,
        entity=was.facts.entity,
        parents=was.parents,
        members=was.situation.members,
        corroborated_within_ms=was.rule.corroborate.within_ms if was.rule.corroborate is not None else None,
    )


def otherwise(record: Record, then: Meant | Before | None, now: Meant) -> Judged | CannotJudge:
    """`then` is the rule as it stood when the decision was made; None when it found no target then."""
    was = before_of(then) if isinstance(then, Meant) else then
    situation = _situation(record, now)
    missing = _missing(record, was, now)
    if missing and mode_of(now.proposal, situation) is not Mode.OBSERVE:
        return CannotJudge(why=missing)
    before = record.decision
    decision = decide(
        _as_able(record, was, now),
        situation,
        clauses=now.clauses,
        engine=before.engine,
        follows=before.follows,
        because=before.because,
    )
    return Judged(decision=decision, certain=not missing)


def differences(was: Decision, now: Decision, *, certain: bool = True) -> tuple[Difference, ...]:
    """What the rules changed: verdict, targets, what would run and how, guard outcomes. Empty: it decides the same."""
    found = list(outcomes_compared(was, now, Cause.RULES))
    if not certain:
        found = [each for each in found if not each.what.startswith("guard:")]
    for what in ("runbook", "mode"):
        before, after = str(getattr(was, what)), str(getattr(now, what))
        if before != after:
            found.append(Difference(what=what, was=before, now=after, cause=Cause.RULES))
    if was.arguments != now.arguments:
        shown = [
            ", ".join(f"{name}: {value}" for name, value in sorted(each.arguments.items())) or "none"
            for each in (was, now)
        ]
        found.append(Difference(what="arguments", was=shown[0], now=shown[1], cause=Cause.RULES))
    return tuple(found)


def first_reason(found: Iterable[Difference], now: Decision) -> str:
    """The one sentence that says why: the first guard that answers otherwise, with its own words; else what differs."""
    differing = tuple(found)
    guard = next((each for each in differing if each.what.startswith("guard:")), None)
    if guard is not None:
        name = guard.what.removeprefix("guard:")
        finding = next((each for each in now.findings if each.guard == name), None)
        reason = f": {finding.reason}" if finding is not None else ""
        return f"{name.replace('_', ' ')}: {guard.was} -> {guard.now}{reason}"
    other = next((each for each in differing if each.what not in {"verdict", "mode"}), None)
    if other is not None:
        return f"{other.what}: {other.was} -> {other.now}"
    return now.reason


def _situation(record: Record, now: Meant) -> Situation:
    recorded, fresh = record.situation, now.situation
    known = {each.ref: each for each in recorded.dependencies}
    regions = {each.name: each for each in recorded.regions}
    wanted = now.rule.regions.of if now.rule.regions is not None else ()
    return replace(
        recorded,
        alert=now.facts,
        ladder=replace(
            recorded.ladder,
            ceiling=fresh.ladder.ceiling,
            risk_ceiling=fresh.ladder.risk_ceiling,
            review=fresh.ladder.review,
        ),
        dependencies=tuple(_dependency(each, known.get(each.ref)) for each in fresh.dependencies),
        members=_members(recorded.members, fresh.members),
        breakers=recorded.breakers if _same_pack(record, now) else (),
        groups_seen=recorded.groups_seen if now.rule.corroborate is not None else (),
        regions=tuple(regions[name] for name in wanted if name in regions),
        budget=_budget(recorded.budget, fresh.budget),
        **{name: getattr(fresh, name) for name in BY_CONFIGURATION},
    )


def _as_able(record: Record, was: Before | None, now: Meant) -> Proposal:
    """What the node was installed without then, it lacks for the same ways now: that is no difference of the rules."""
    before = record.proposal
    if before is None or was is None:
        return now.proposal
    lacked = tuple(each for each in before.unbuilt if each not in was.unbuilt)
    if not lacked or not {need.via for need in now.proposal.needs} & {need.via for need in before.needs}:
        return now.proposal
    return replace(now.proposal, unbuilt=(*now.proposal.unbuilt, *lacked))


def _same_pack(record: Record, now: Meant) -> bool:
    """A breaker is that of one version of a pack: another version begins with closed ones."""
    before = record.proposal
    return before is None or (before.pack, before.pack_version) == (now.proposal.pack, now.proposal.pack_version)


def _budget(recorded: Measured | None, fresh: Measured | None) -> Measured | None:
    """The reading of then, against the floor of now where it is of the same objective; none where none is declared now."""
    if recorded is None or fresh is None:
        return None
    return replace(recorded, limit=fresh.limit) if fresh.name == recorded.name else recorded


def _dependency(fresh: DependencyState, recorded: DependencyState | None) -> DependencyState:
    """Its health as it was read, its promise as the other catalogue states it."""
    if recorded is None:
        return replace(fresh, health=Health.UNKNOWN, as_of=None)
    return replace(fresh, health=recorded.health, as_of=recorded.as_of)


def _members(recorded: Members | None, fresh: Members | None) -> Members | None:
    return recorded if fresh is not None else None


def _missing(record: Record, was: Before | None, now: Meant) -> str:
    """What `now` needs that was not recorded, as a sentence; "" when it was all there."""
    if record.proposal is None or was is None:
        return "It found no target then, so the limits and the health of what it would find now were not recorded."
    return next(filter(None, _lacking(record.situation, record.proposal, was, now)), "")


def _lacking(recorded: Situation, before: Proposal, was: Before, now: Meant) -> Iterable[str]:
    proposal = now.proposal
    then = {target.ref: target for target in before.targets}
    new = sorted({target.ref for target in proposal.targets} - then.keys())
    if new:
        yield f"{names_of(new)} was no target then, so its limits and health were not recorded."
    moved = [target for target in proposal.targets if _place(target) != _place(then[target.ref])] if not new else []
    if moved:
        yield f"{moved[0].ref} stood elsewhere in the catalogue then, so what binds at its new place was not recorded."
    if proposal.limits.attempts_within_ms > before.limits.attempts_within_ms:
        yield "Attempts before the shorter window were not recorded."
    known = {each.ref for each in recorded.dependencies}
    unread = sorted(each.ref for each in now.situation.dependencies if each.ref not in known)
    if unread:
        yield f"The health of {names_of(unread)} was not recorded."
    wanted = now.situation.budget
    if wanted is not None and recorded.budget is None:
        yield f"The error budget of {wanted.name} was not recorded."
    yield _counted(recorded, was, now)
    yield _witnessed(recorded, was, now)
    if was.entity != now.facts.entity or was.parents != now.parents:
        yield "The alert's entity stands elsewhere in the catalogue now, and what fired around its new place was not recorded."


def _place(target: Target) -> tuple[str, ...]:
    return tuple(getattr(target, name) for name in _PLACE)


def _counted(recorded: Situation, was: Before, now: Meant) -> str:
    """Of members only those that were not well are recorded: another group of them cannot be worked out."""
    wanted, then = now.situation.members, was.members
    if wanted is None:
        return ""
    if (
        recorded.members is None
        or then is None
        or (then.of, then.total, then.unknown)
        != (
            wanted.of,
            wanted.total,
            wanted.unknown,
        )
    ):
        return "The members that limits.unavailable counts were not recorded."
    return ""


def _witnessed(recorded: Situation, was: Before, now: Meant) -> str:
    if now.rule.corroborate is not None and was.corroborated_within_ms != now.rule.corroborate.within_ms:
        return "Who else saw it in that window was not recorded."
    if now.rule.regions is not None:
        blind = sorted(set(now.rule.regions.of) - {each.name for each in recorded.regions})
        if blind:
            return f"What {names_of(blind)} saw was not recorded."
    return ""
