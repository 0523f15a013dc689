"""The dependency graph: who is hit when something fails, and what something relies on.

All walks are breadth-first over edges worked out when the catalogue was built; each entity is visited once, so a
cycle ends like anything else. References in and out are canonical; unknown ones reach nothing.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.entity import PREFIX, EntityKind

HOPS_MAX: Final = 8  # a neighbourhood beyond it is the whole estate
INSTANCE: Final = PREFIX + "instance"

SERVICES: Final = frozenset((EntityKind.COMPONENT,))


def dependents(
    catalog: Catalog, refs: Iterable[str], *, kinds: Collection[EntityKind] | None = SERVICES
) -> frozenset[str]:
    """The blast radius: services with a path of at least one dependency to a target. `kinds` None: everything.

    A target is itself in it only when it depends on a target: on another one, or on itself in a cycle.
    """
    return _of_kinds(catalog, _reached(catalog.needed_by, refs), kinds)


def dependencies(catalog: Catalog, ref: str, *, kinds: Collection[EntityKind] | None = None) -> frozenset[str]:
    """Everything an entity relies on, directly or through others."""
    return _of_kinds(catalog, _reached(catalog.needs, (ref,)), kinds)


def neighbourhood(catalog: Catalog, ref: str, hops: int) -> dict[str, int]:
    """Entities within `hops` (0 to 8) dependency edges in either direction, to their distance, nearest first.

    The entity itself is in it at 0; empty when it is not known.
    """
    if ref not in catalog.entities:
        return {}
    found = {ref: 0}
    frontier = deque((ref,))
    while frontier:
        current = frontier.popleft()
        if found[current] >= min(hops, HOPS_MAX):
            continue
        for other in (*catalog.needs.get(current, ()), *catalog.needed_by.get(current, ())):
            if other not in found:
                found[other] = found[current] + 1
                frontier.append(other)
    return dict(sorted(found.items(), key=lambda pair: (pair[1], pair[0])))


def instances(catalog: Catalog, ref: str) -> tuple[str, ...]:
    """The members of a service or system: entities with `watchkeeper.dev/instance` that it directly needs.

    Where some say themselves that they are its (`dependencyOf`, `subcomponentOf`, `system`), only those are: then
    an instance of something else that it depends on is not taken for a member.
    """
    carrying = [other for other in catalog.needs.get(ref, ()) if catalog.entities[other].keys.get(INSTANCE)]
    return tuple(other for other in carrying if _says_so(catalog, other, ref)) or tuple(carrying)


def services_of(catalog: Catalog, ref: str) -> tuple[str, ...]:
    """The services that an instance is a member of; the entity itself when it is a service and no instance."""
    entity = catalog.entities.get(ref)
    if entity is None:
        return ()
    if not entity.keys.get(INSTANCE):
        return (ref,) if entity.kind in SERVICES else ()
    above = (other for other in catalog.needed_by.get(ref, ()) if catalog.entities[other].kind in SERVICES)
    return tuple(other for other in above if ref in instances(catalog, other))


def cycles(catalog: Catalog) -> tuple[tuple[str, ...], ...]:
    """One shortest path for each knot of entities that depend on each other, first repeated last: (a, b, a)."""
    found = []
    for knot in knots(catalog.needs):
        start = min(knot)
        if len(knot) > 1 or start in catalog.needs.get(start, ()):
            found.append(_around(catalog.needs, start, knot))
    return tuple(sorted(found))


def _says_so(catalog: Catalog, member: str, ref: str) -> bool:
    entity = catalog.entities[member]
    return ref in entity.dependency_of or ref in {entity.part_of, entity.system}


def _reached(edges: Mapping[str, tuple[str, ...]], refs: Iterable[str]) -> set[str]:
    reached: set[str] = set()
    frontier = list(refs)
    while frontier:
        following: list[str] = []
        for current in frontier:
            for other in edges.get(current, ()):
                if other not in reached:
                    reached.add(other)
                    following.append(other)
        frontier = following
    return reached


def _of_kinds(catalog: Catalog, refs: set[str], kinds: Collection[EntityKind] | None) -> frozenset[str]:
    if kinds is None:
        return frozenset(refs)
    return frozenset(ref for ref in refs if catalog.entities[ref].kind in kinds)


def _around(edges: Mapping[str, tuple[str, ...]], start: str, knot: Collection[str]) -> tuple[str, ...]:
    came_from: dict[str, str] = {}
    frontier = deque((start,))
    while frontier:
        current = frontier.popleft()
        for other in edges.get(current, ()):
            if other == start:
                path = [current]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return (*reversed(path), start)
            if other in knot and other not in came_from:
                came_from[other] = current
                frontier.append(other)
    raise AssertionError(f"{start} is in no cycle")  # a knot of two or more always closes


def knots(edges: Mapping[str, tuple[str, ...]]) -> list[set[str]]:
    """Strongly connected components, without recursion. Source: Tarjan 1972, in Pearce's iterative form."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    knots: list[set[str]] = []
    for root in edges:
        if root in order:
            continue
        work = [(root, iter(edges.get(root, ())))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while work:
            current, others = work[-1]
            for other in others:
                if other not in order:
                    order[other] = low[other] = len(order)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(edges.get(other, ()))))
                    break
                if other in on_stack:
                    low[current] = min(low[current], order[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[current])
                if low[current] == order[current]:
                    knot: set[str] = set()
                    while current not in knot:
                        knot.add(stack.pop())
                    on_stack -= knot
                    knots.append(knot)
    return knots
