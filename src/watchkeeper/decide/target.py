"""A rule's target query to targets: resolved and counted before any guard is asked.

In: a `TargetQuery`, the catalogue, what the query's value can see. Out: a non-empty tuple of `Target`, or why there is
none. An empty set is never "everything", and one more than the rule allows is an error too.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, assert_never

from msgspec import Struct

from watchkeeper.catalog.catalog import Catalog, by_annotation, covers
from watchkeeper.catalog.entity import PREFIX, Entity
from watchkeeper.guards.situation import Target
from watchkeeper.guards.words import clipped, count_of, names_of
from watchkeeper.home.cover import service_of
from watchkeeper.packs.bound import bound_of
from watchkeeper.packs.expression import Broken, Known, Unknown
from watchkeeper.packs.rule import TargetQuery
from watchkeeper.packs.scope import target_binding

_ZONE: Final = PREFIX + "zone"


class Why(StrEnum):
    """Why no target resolved. `unmapped` leads to `observe`, everything else to `refuse: no target`."""

    UNMAPPED = "unmapped"
    NONE = "none"
    TOO_MANY = "too_many"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"
    BROKEN = "broken"


class NoTarget(Struct, frozen=True, kw_only=True):
    why: Why
    reason: str
    found: int = 0


class Untargeted(Struct, frozen=True, kw_only=True):
    """A rule that matched and found nothing to act upon: what its decision needs of the rule, as plain data."""

    rule: str
    rule_digest: str
    runbook: str
    pack: str
    pack_version: str
    missing: NoTarget
    owner: str = ""
    priority: int = 0


class Subject(Struct, frozen=True):
    """One alert of the proposal: the reference of its entity ("" when unmapped) and what `target.by` can see."""

    entity: str
    bindings: Mapping[str, Any]


def targets_of(
    query: TargetQuery, subjects: Iterable[Subject], catalog: Catalog, production: Mapping[str, bool]
) -> tuple[Target, ...] | NoTarget:
    """The union over the subjects, in reference order: one subject for `per: alert`, all of them for `per: incident`.

    `production` is environment -> whether it is production; an environment that nobody declared counts as production.
    A look-up by index, so that it costs what it finds and not what exists.
    """
    found: dict[str, Entity] = {}
    for subject in subjects:
        entities = _resolved(query, subject, catalog)
        if isinstance(entities, NoTarget):
            return entities
        found.update({entity.ref: entity for entity in entities})
    if not found:
        return NoTarget(why=Why.NONE, reason="No alert of this proposal is left.")
    if len(found) > query.most:
        names = names_of([entity.name for entity in found.values()])
        return NoTarget(
            why=Why.TOO_MANY,
            reason=f"{count_of(len(found), 'target')} found ({names}), and the rule may have {query.most}.",
            found=len(found),
        )
    return tuple(target_from(found[ref], catalog, production) for ref in sorted(found))


def target_from(entity: Entity, catalog: Catalog, production: Mapping[str, bool]) -> Target:
    """The slice of an entity that guards and steps use. What belongs to no service stands for itself."""
    return Target(
        ref=entity.ref,
        kind=entity.kind.value,
        name=entity.name,
        digest=entity.digest,
        environment=entity.environment,
        production=production.get(entity.environment, True),
        region=entity.region,
        zone=entity.keys.get(_ZONE, ""),
        tier=entity.tier,
        system=entity.system,
        service=service_of(entity, catalog),
        owner=entity.owner,
        automation=entity.automation.value,
        reach=entity.reach.value if entity.reach is not None else "",
        attributes=entity.attrs,
        addresses=entity.address,
        honours=tuple(honour.value for honour in entity.honours),
    )


def bind_target(target: Target) -> dict[str, Any]:
    """What expressions and programs see as `target`."""
    return target_binding(
        ref=target.ref,
        kind=target.kind,
        name=target.name,
        environment=target.environment,
        production=target.production,
        region=target.region,
        zone=target.zone,
        tier=target.tier,
        system=target.system,
        service=target.service,
        owner=target.owner,
        reach=target.reach,
        automation=target.automation,
        attributes=target.attributes,
    )


def _resolved(query: TargetQuery, subject: Subject, catalog: Catalog) -> tuple[Entity, ...] | NoTarget:
    """What one subject leads to: never empty."""
    found: tuple[Entity, ...]
    if query.value is None:
        own = catalog.entities.get(subject.entity)
        if own is None:
            return NoTarget(why=Why.UNMAPPED, reason="The alert names no entity of the catalogue.")
        found, by = (own,), f"The alert's entity {own.name}"
    else:
        value = _value(query, subject.bindings)
        if isinstance(value, NoTarget):
            return value
        found = by_annotation(catalog, query.annotation, value)
        by = f"{query.annotation} = {clipped(value)!r}"
        if not found:
            return NoTarget(why=Why.NONE, reason=f"No entity has {by}.")
    within = bound_of(query)
    inside = found if within is None else tuple(entity for entity in found if covers(within, entity, catalog))
    if not inside:
        bound = ", ".join(f"{name}: {value}" for name, value in (("kind", query.kind), *query.within.items()) if value)
        return NoTarget(why=Why.OUTSIDE, reason=f"{by} is outside the rule's bound ({bound}).", found=len(found))
    return inside


def _value(query: TargetQuery, bindings: Mapping[str, Any]) -> str | NoTarget:
    assert query.value is not None
    match query.value.evaluate(bindings):
        case Known(value=str() as value) if value:
            return value
        case Known(value=""):
            return NoTarget(why=Why.NONE, reason=f"{query.value.source} is empty in this alert.")
        case Known(value=value):
            return NoTarget(
                why=Why.BROKEN, reason=f"{query.value.source} gives {type(value).__name__}, where text is needed."
            )
        case Unknown(why=why):
            return NoTarget(why=Why.UNKNOWN, reason=f"{query.value.source} is unknown: {clipped(why)}.")
        case Broken(why=why):
            return NoTarget(why=Why.BROKEN, reason=f"{query.value.source} is broken: {clipped(why)}.")
        case _ as never:
            assert_never(never)
