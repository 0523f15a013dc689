"""The catalogue: every entity, and the indexes that make a look-up one step.

In: entities whose references are canonical. Out: a frozen `Catalog`; it is built once and read by every decision.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from watchkeeper.catalog.entity import Entity, EntityKind, resolve
from watchkeeper.values import digest

# When several entities bear the name that an alert states, the first of these kinds is meant.
NAMED_FIRST: Final = (
    EntityKind.COMPONENT,
    EntityKind.RESOURCE,
    EntityKind.API,
    EntityKind.SYSTEM,
    EntityKind.DOMAIN,
)


class Scope(Struct, frozen=True, kw_only=True):
    """A static bound on entities: each word that is not empty must be the entity's. Refs are canonical."""

    kind: EntityKind | None = None
    system: str = ""
    domain: str = ""
    environment: str = ""
    region: str = ""
    tier: str = ""
    entity: str = ""


EVERYTHING: Final = Scope()


class Catalog(Struct, frozen=True, kw_only=True):
    """All entities by canonical reference, in reference order, and what is derived from them.

    `named` maps an alert's word (name, alias or reference) to the one entity meant; an ambiguous word is absent.
    `keyed` maps (annotation, value) to references. `needs` and `needed_by` are the direct dependency edges in
    both directions, only between entities that exist. `parts` lists what belongs to a system, `teams` the groups
    below a group, `people` the users directly in it.
    """

    entities: dict[str, Entity]
    digest: str
    named: dict[str, str]
    keyed: dict[tuple[str, str], tuple[str, ...]]
    needs: dict[str, tuple[str, ...]]
    needed_by: dict[str, tuple[str, ...]]
    parts: dict[str, tuple[str, ...]]
    teams: dict[str, tuple[str, ...]]
    people: dict[str, tuple[str, ...]]


def catalog_of(entities: Iterable[Entity]) -> Catalog:
    """Index entities. Where two share a reference the first is kept (the loader has reported the other)."""
    known: dict[str, Entity] = {}
    for entity in entities:
        known.setdefault(entity.ref, entity)
    known = dict(sorted(known.items()))
    needs = _edges(known)
    return Catalog(
        entities=known,
        digest=digest([entity.digest for entity in known.values()]),
        named=_named(known),
        keyed=_keyed(known),
        needs=_frozen(needs),
        needed_by=_frozen(_turned(needs)),
        parts=_frozen(_grouped((entity.system, entity.ref) for entity in known.values())),
        teams=_frozen(_teams(known)),
        people=_frozen(_people(known)),
    )


# -- look-ups --------------------------------------------------------------------------------------


def by_ref(catalog: Catalog, ref: str) -> Entity | None:
    """The entity of a reference, canonical or as people write it (`component:cart`)."""
    if (found := catalog.entities.get(ref)) is not None:
        return found
    try:
        return catalog.entities.get(resolve(ref))
    except ValueError:
        return None


def by_alias(catalog: Catalog, value: str) -> Entity | None:
    """The entity an alert names: by name, alias or reference, exactly. None when nothing or more than one is meant."""
    ref = catalog.named.get(value)
    return None if ref is None else catalog.entities[ref]


def by_annotation(
    catalog: Catalog, key: str, value: str, *, kind: EntityKind | None = None, within: Scope = EVERYTHING
) -> tuple[Entity, ...]:
    """Entities whose annotation `key` (full name, or `name`, `ref`) is `value`, in reference order.

    An empty value finds nothing: absent and empty are the same, and never mean everything.
    """
    if not value:
        return ()
    found = (catalog.entities[ref] for ref in catalog.keyed.get((key, value), ()))
    return tuple(
        entity for entity in found if (kind is None or entity.kind is kind) and covers(within, entity, catalog)
    )


def covers(scope: Scope, entity: Entity, catalog: Catalog) -> bool:
    """Whether an entity lies within a scope. The domain of an entity is that of its system."""
    return (
        (scope.kind is None or entity.kind is scope.kind)
        and (not scope.system or scope.system in {entity.system, entity.ref})
        and (not scope.domain or scope.domain in domains_of(catalog, entity))
        and (not scope.environment or entity.environment == scope.environment)
        and (not scope.region or entity.region == scope.region)
        and (not scope.tier or entity.tier == scope.tier)
        and (not scope.entity or entity.ref == scope.entity)
    )


def domains_of(catalog: Catalog, entity: Entity) -> tuple[str, ...]:
    """The domains an entity lies in, nearest first: its own or its system's, and those above. A domain lies in itself."""
    system = catalog.entities.get(entity.system)
    found = [entity.ref] if entity.kind is EntityKind.DOMAIN else []
    above = entity.domain or (system.domain if system is not None else "")
    while above and above not in found:
        found.append(above)
        above = catalog.entities[above].domain if above in catalog.entities else ""
    return tuple(found)


def owner_of(catalog: Catalog, ref: str) -> str:
    """The reference of the group or user that owns an entity; empty when the entity is not known."""
    entity = by_ref(catalog, ref)
    return entity.owner if entity is not None else ""


def owned_by(catalog: Catalog, owner: str) -> tuple[Entity, ...]:
    """Everything a group or user owns directly, in reference order."""
    return tuple(entity for entity in catalog.entities.values() if entity.owner == owner)


def members(catalog: Catalog, group: str) -> frozenset[str]:
    """The users of a group and of the groups below it; a user's own reference stands for that user."""
    if group in catalog.entities and catalog.entities[group].kind is EntityKind.USER:
        return frozenset((group,))
    found: set[str] = set()
    seen, frontier = {group}, [group]
    while frontier:  # each group once: at most as often as there are groups
        current = frontier.pop()
        found.update(catalog.people.get(current, ()))
        below = [team for team in catalog.teams.get(current, ()) if team not in seen]
        seen.update(below)
        frontier.extend(below)
    return frozenset(found)


def users(catalog: Catalog) -> tuple[Entity, ...]:
    return tuple(entity for entity in catalog.entities.values() if entity.kind is EntityKind.USER)


# -- building --------------------------------------------------------------------------------------


def _edges(known: Mapping[str, Entity]) -> dict[str, set[str]]:
    """Who needs whom, directly. Source: Backstage's relations dependsOn, consumesApi, providesApi, hasPart.

    A consumer needs the API and the API its provider; a whole needs its parts: a component its subcomponents, a
    system what belongs to it. So a broken part reaches those that named only the whole.
    """
    needs: dict[str, set[str]] = defaultdict(set)
    for ref, entity in known.items():
        needs[ref].update(entity.depends_on, entity.consumes_apis)
        for other in (*entity.dependency_of, *entity.provides_apis, entity.part_of, entity.system):
            needs[other].add(ref)
    return {ref: {other for other in others if other in known} for ref, others in needs.items() if ref in known}


def _turned(edges: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    return _grouped((other, ref) for ref, others in edges.items() for other in others)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for key, value in pairs:
        if key:
            found[key].add(value)
    return found


def _frozen(sets: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(sorted(values)) for key, values in sorted(sets.items()) if values}


def _named(known: Mapping[str, Entity]) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind in reversed(NAMED_FIRST):
        bearers: dict[str, set[str]] = defaultdict(set)
        for ref, entity in known.items():
            if entity.kind is kind:
                bearers[entity.name].add(ref)
        for name, refs in bearers.items():
            found.pop(name, None)  # a kind that goes first hides the others even when it is itself ambiguous
            if len(refs) == 1:
                found[name] = next(iter(refs))
    claims = _grouped((alias, ref) for ref, entity in known.items() for alias in entity.aliases)
    names = {entity.name for entity in known.values() if entity.kind in NAMED_FIRST}
    found.update({alias: next(iter(refs)) for alias, refs in claims.items() if len(refs) == 1 and alias not in names})
    found.update({ref: ref for ref, entity in known.items() if entity.kind in NAMED_FIRST})
    return found


def _keyed(known: Mapping[str, Entity]) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for ref, entity in known.items():
        found["name", entity.name].add(ref)
        found["ref", ref].add(ref)
        for key, value in entity.keys.items():
            found[key, value].add(ref)
        for alias in entity.aliases:
            found["watchkeeper.dev/alias", alias].add(ref)
    return {key: tuple(sorted(refs)) for key, refs in found.items()}


def _teams(known: Mapping[str, Entity]) -> dict[str, set[str]]:
    pairs = [(entity.parent, ref) for ref, entity in known.items() if entity.kind is EntityKind.GROUP]
    pairs += [(ref, child) for ref, entity in known.items() for child in entity.children]
    return _grouped(pairs)


def _people(known: Mapping[str, Entity]) -> dict[str, set[str]]:
    pairs = [(group, ref) for ref, entity in known.items() for group in entity.member_of]
    pairs += [(ref, user) for ref, entity in known.items() for user in entity.members]
    return _grouped(pairs)
