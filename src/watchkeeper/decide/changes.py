"""Changes that could be made to a situation, each in words and as a function: what a counterfactual is made of."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchkeeper.decide.decision import Decision
from watchkeeper.guards.autonomy import RANK, is_person, standing
from watchkeeper.guards.breaker import CLOSED
from watchkeeper.guards.capability import REALTIME
from watchkeeper.guards.cover import bare
from watchkeeper.guards.finding import Outcome
from watchkeeper.guards.situation import (
    Clock,
    Exclusion,
    Freeze,
    Health,
    Hold,
    Ladder,
    Measured,
    Proposal,
    Scope,
    Seen,
    Situation,
    Stop,
)
from watchkeeper.guards.words import names_of
from watchkeeper.packs.rule import MODE_ORDER, Mode

World = tuple[Proposal, Situation]
replace = msgspec.structs.replace


class Change(Struct, frozen=True):
    """One change in words, as it follows "if", and what it does to the world. `guard` is whose answer it is about."""

    guard: str
    text: str
    apply: Callable[[World], World]


def candidates(world: World, now: Decision) -> Iterator[Change]:
    """Changes that undo what was not clear, in guard order; then the ladder; then what people can add."""
    for finding in now.findings:
        if finding.outcome is not Outcome.PASS:
            yield from _UNDO[finding.guard](world)
            if finding.guard in world[1].unread:
                yield _unread(finding.guard)
    if not is_person(world[0]):
        yield from _ladder(world[1].ladder)
    yield from _additions(world)


def _situation(guard: str, text: str, **fields: Any) -> Change:
    """A change that sets fields of the situation, as they are now."""
    return Change(guard, text, lambda world: (world[0], replace(world[1], **fields)))


def _proposal(guard: str, text: str, **fields: Any) -> Change:
    return Change(guard, text, lambda world: (replace(world[0], **fields), world[1]))


def _alert(guard: str, text: str, **fields: Any) -> Change:
    """Only where there is an alert."""

    def edit(world: World) -> World:
        assert world[1].alert is not None
        return world[0], replace(world[1], alert=replace(world[1].alert, **fields))

    return Change(guard, text, edit)


def _limits(guard: str, text: str, **fields: Any) -> Change:
    return Change(guard, text, lambda world: (replace(world[0], limits=replace(world[0].limits, **fields)), world[1]))


def _without(guard: str, text: str, field: str, item: Any) -> Change:
    """A change that takes one item out of a collection, whatever other changes did to it."""

    def take(world: World) -> World:
        left = tuple(each for each in getattr(world[1], field) if each != item)
        return world[0], replace(world[1], **{field: left})

    return Change(guard, text, take)


def _swapped(guard: str, text: str, field: str, item: Any, other: Any) -> Change:
    def swap(world: World) -> World:
        items = tuple(other if each == item else each for each in getattr(world[1], field))
        return world[0], replace(world[1], **{field: items})

    return Change(guard, text, swap)


def _nothing(_: World) -> Iterator[Change]:
    return iter(())


def _unread(guard: str) -> Change:
    def read(world: World) -> World:
        left = {name: why for name, why in world[1].unread.items() if name != guard}
        return world[0], replace(world[1], unread=left)

    return Change(guard, f"what {guard.replace('_', ' ')} looks at could be read", read)


def _stop(world: World) -> Iterator[Change]:
    for each in world[1].stops:
        yield _without("stop", f"somebody resumed what {each.by} stopped ({each.id})", "stops", each)


def _trust(world: World) -> Iterator[Change]:
    yield _situation("trust", f"pack {world[0].pack} were trusted", untrusted="")


def _clock(_: World) -> Iterator[Change]:
    yield _situation("clock", "wall time agreed for 60 s", clock=Clock())


def _exclusion(world: World) -> Iterator[Change]:
    for each in world[1].exclusions:
        yield _without("exclusion", f"exclusion {each.id} were removed", "exclusions", each)


def _capability(world: World) -> Iterator[Change]:
    proposal = world[0]
    if proposal.unbuilt:
        yield _proposal("capability", f"the runbook did without {names_of(proposal.unbuilt)}", unbuilt=())
    for target in proposal.targets:
        if target.automation != REALTIME:
            yield _target(target.ref, f"{target.name} were declared realtime", automation=REALTIME)
        if not target.reach:
            yield _target(target.ref, f"{target.name} declared a reach", reach="ssh")
    yield _situation("capability", "via: local were allowed in production", local_allowed=True)


def _target(ref: str, text: str, **fields: Any) -> Change:
    def edit(world: World) -> World:
        targets = tuple(replace(each, **fields) if each.ref == ref else each for each in world[0].targets)
        return replace(world[0], targets=targets), world[1]

    return Change("capability", text, edit)


def _permission(world: World) -> Iterator[Change]:
    if world[1].denied:
        yield _situation("permission", f"a policy permitted {world[0].runbook}", denied="")
    missing = [need.step for need in world[0].needs if not need.permitted]
    if missing:
        needs = tuple(replace(need, permitted=True) for need in world[0].needs)
        yield _proposal("permission", f"the runbook were permitted its step {names_of(missing)}", needs=needs)


def _ownership(world: World) -> Iterator[Change]:
    subject = world[0].rule or world[0].runbook
    yield Change(
        "ownership",
        f"{subject} had an owner that the catalogue knows",
        lambda each: (
            replace(each[0], owner=each[0].owner or "group:default/somebody"),
            replace(each[1], owner_known=True),
        ),
    )


def _still_firing(world: World) -> Iterator[Change]:
    if world[1].alert is not None:
        yield _alert("still_firing", "the alert fired steadily", firing=True, stale=False, flapping="")


def _hold(world: World) -> Iterator[Change]:
    for each in world[1].holds:
        yield _without("hold", f"{each.by} lifted hold {each.id}", "holds", each)


def _freeze(world: World) -> Iterator[Change]:
    for each in world[1].freezes:
        yield _without("freeze", f"freeze {each.id} were over", "freezes", each)


def _maintenance(world: World) -> Iterator[Change]:
    for each in world[1].maintenance:
        yield _without("maintenance", f"maintenance {each.id} were over", "maintenance", each)


def _deploy(world: World) -> Iterator[Change]:
    if world[1].deploys_unknown:
        yield _situation("deploy", "the source of deploys answered", deploys_unknown="")
    for each in world[1].deploys:
        yield _without("deploy", f"the deploy {each.id} of {bare(each.service)} had ended", "deploys", each)


def _attempts(world: World) -> Iterator[Change]:
    proposal, situation = world
    if situation.attempts:
        yield _situation("attempts", "the earlier attempts lay outside the window", attempts=())
    if proposal.limits.attempts < 1:
        yield _limits("attempts", "the rule allowed an attempt", attempts=1)
    if situation.busy:
        yield _situation("attempts", "the run on the same target had ended", busy=())
    if situation.rivals:
        yield _situation("attempts", f"{names_of(situation.rivals)} had another priority", rivals=())


def _breaker(world: World) -> Iterator[Change]:
    for each in world[1].breakers:
        if each.state != CLOSED:
            closed = replace(each, state=CLOSED, until_at=None)
            yield _swapped("breaker", f"the breaker of {each.key} were closed", "breakers", each, closed)
    if world[1].braked:
        yield _situation("breaker", "the brake were off", braked="", brake="")


def _blast_radius(world: World) -> Iterator[Change]:
    proposal, situation = world
    limits, members = proposal.limits, situation.members
    if members is not None:
        healthy = replace(members, unhealthy=(), repairing=(), unknown=())
        yield _situation("blast_radius", f"every other member of {members.of} were healthy", members=healthy)
    if limits.unavailable is not None:
        yield _limits("blast_radius", "the rule set no limit on members away", unavailable=None)
    if limits.blast_max is not None and len(situation.blast) > limits.blast_max:
        yield _situation(
            "blast_radius",
            f"no more than {limits.blast_max} services depended on it",
            blast=situation.blast[: limits.blast_max],
        )


def _dependency(world: World) -> Iterator[Change]:
    for each in world[1].dependencies:
        if each.health is not Health.HEALTHY:
            healthy = replace(each, health=Health.HEALTHY)
            yield _swapped("dependency", f"{bare(each.ref)} were healthy", "dependencies", each, healthy)
    if world[1].objective_ppm is not None:
        yield _situation("dependency", "the runbook had no objective to miss", objective_ppm=None)


def _corroboration(world: World) -> Iterator[Change]:
    situation = world[1]
    if situation.broken_clause:
        yield _situation("corroboration", "the broken clause were repaired", broken_clause="")
    if situation.unknown_clause:
        yield _situation("corroboration", "the unknown clause were known and true", unknown_clause="")
    if situation.alert is not None and situation.alert.inhibited:
        yield _alert("corroboration", "nothing else explained the alert", inhibited="")
    if situation.groups_needed:
        seen = tuple(Seen(name=f"source {number + 1}", says="firing") for number in range(situation.groups_needed))
        yield _situation("corroboration", f"{situation.groups_needed} sources saw it", groups_seen=seen)
    if situation.regions_needed:
        seen = tuple(Seen(name=f"region {number + 1}", says="firing") for number in range(situation.regions_needed))
        yield _situation("corroboration", f"{situation.regions_needed} regions saw it", regions=seen)


def _budget(world: World) -> Iterator[Change]:
    measured = world[1].budget
    if measured is not None:
        left = Measured(
            name=measured.name,
            value=max(1, measured.limit or 0),
            as_of=world[1].at,
            age_max_ms=max(0, measured.age_max_ms),
            limit=measured.limit,
        )
        yield _situation("budget", "enough of the error budget were left", budget=left)


def _anomaly(world: World) -> Iterator[Change]:
    measured = world[1].anomaly
    if measured is not None:
        limit = measured.limit or 0
        usual = Measured(
            name=measured.name, value=limit, as_of=world[1].at, age_max_ms=max(0, measured.age_max_ms), limit=limit
        )
        yield _situation("anomaly", "it acted as often as usual", anomaly=usual)


def _risk(world: World) -> Iterator[Change]:
    if is_person(world[0]):  # automation's way there is the ladder's own change
        yield _ladder_change(f"{world[0].risk.value} risk might act by itself here", risk_ceiling=Mode.AUTO)


def _ladder(ladder: Ladder) -> Iterator[Change]:
    """Each of the four inputs, moved to each other level: nearest first, so that no more is claimed than needed."""
    for mode in MODE_ORDER:
        if mode is not ladder.ceiling:
            yield _ladder_change(f"the rule's ceiling were {mode.value}", ceiling=mode)
        if mode is not ladder.risk_ceiling:
            yield _ladder_change(f"the ceiling of its risk class were {mode.value}", risk_ceiling=mode)
        if RANK[mode] > RANK[standing(ladder)]:
            yield _ladder_change(f"somebody granted it {mode.value}", granted=mode)
    if ladder.demoted is not None:
        yield _ladder_change("its demotion were lifted", demoted=None, demotion="")


def _ladder_change(text: str, **fields: Any) -> Change:
    return Change(
        "autonomy", text, lambda world: (world[0], replace(world[1], ladder=replace(world[1].ladder, **fields)))
    )


def _additions(world: World) -> Iterator[Change]:
    """What a person can put in its way, for the verdicts that are stricter than this one."""
    at = world[1].at
    end = at + timedelta(hours=1)
    everything, who, why = Scope(), "somebody", "tried"
    added: tuple[tuple[str, str, str, Any], ...] = (
        (
            "stop",
            "somebody stopped automation",
            "stops",
            Stop(id="stp_tried", scope=everything, by=who, reason=why, at=at),
        ),
        (
            "hold",
            "somebody took the lead here",
            "holds",
            Hold(id="hld_tried", scope=everything, by=who, reason=why, at=at, until_at=end),
        ),
        (
            "freeze",
            "a freeze closed this",
            "freezes",
            Freeze(id="frz_tried", scope=everything, by=who, reason=why, at=at, from_at=at, until_at=end),
        ),
        (
            "exclusion",
            "it were excluded",
            "exclusions",
            Exclusion(
                id="exc_tried",
                scope=everything,
                control="tried",
                reason=why,
                owner=who,
                approver=who,
                from_at=at,
                until_at=end,
            ),
        ),
    )
    for guard, text, field, item in added:
        yield _added(guard, text, field, item)


def _added(guard: str, text: str, field: str, item: Any) -> Change:
    return Change(
        guard, text, lambda world: (world[0], replace(world[1], **{field: (*getattr(world[1], field), item)}))
    )


_UNDO: Final[dict[str, Callable[[World], Iterator[Change]]]] = {
    "stop": _stop,
    "trust": _trust,
    "clock": _clock,
    "exclusion": _exclusion,
    "capability": _capability,
    "permission": _permission,
    "ownership": _ownership,
    "still_firing": _still_firing,
    "hold": _hold,
    "freeze": _freeze,
    "maintenance": _maintenance,
    "deploy": _deploy,
    "attempts": _attempts,
    "breaker": _breaker,
    "blast_radius": _blast_radius,
    "dependency": _dependency,
    "corroboration": _corroboration,
    "budget": _budget,
    "anomaly": _anomaly,
    "risk": _risk,
    "autonomy": _nothing,
}
