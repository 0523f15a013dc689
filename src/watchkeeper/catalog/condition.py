"""What is said of a thing that is made of others: its condition, for people to read.

In: what is seen of each entity by itself. Out: a `Condition`: healthy, degraded, failing or unknown, how many of its
parts are what, and which failing things it needs. No guard reads this: a guard asks about the targets themselves.

A part is an instance of a service, a subcomponent of a component, what belongs to a system, the systems of a domain, and
what provides an API. Unknown is never counted as healthy.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.entity import EntityKind
from watchkeeper.catalog.graph import instances, knots


class Seen(StrEnum):
    """Of one entity by itself. `silent`: somebody is to look and has not, lately; `unwatched`: nobody looks."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    SILENT = "silent"
    UNWATCHED = "unwatched"


class Level(StrEnum):
    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    DEGRADED = "degraded"
    FAILING = "failing"


class Condition(Struct, frozen=True, kw_only=True):
    """`healthy` to `failing` count its direct parts. `because` are the failing things that it, or a part of it, needs.
    `watched`: somebody looks at it or at a part.
    """

    level: Level
    healthy: int = 0
    unknown: int = 0
    degraded: int = 0
    failing: int = 0
    because: tuple[str, ...] = ()
    watched: bool = False
    needed: int | None = None

    @property
    def parts(self) -> int:
        return self.healthy + self.unknown + self.degraded + self.failing


class Composition(Struct, frozen=True, kw_only=True):
    """`parts`: whole -> its direct parts, without cycles. `needs`: what an entity and all its parts need, apart from those
    parts. `needed`: how many parts must serve, where the catalogue says so.
    """

    parts: dict[str, tuple[str, ...]]
    needs: dict[str, tuple[str, ...]]
    needed: dict[str, int]


def composition(catalog: Catalog) -> Composition:
    """Worked out once for a catalogue. Two things that are declared as parts of each other are parts of neither."""
    said: dict[str, set[str]] = defaultdict(set)
    for ref, entity in catalog.entities.items():
        if entity.kind is EntityKind.SYSTEM:
            said[ref].update(catalog.parts.get(ref, ()))
        else:
            said[ref].update(instances(catalog, ref))
        above = entity.part_of or (entity.domain if entity.kind in {EntityKind.SYSTEM, EntityKind.DOMAIN} else "")
        if above:
            said[above].add(ref)
        for api in entity.provides_apis:
            said[api].add(ref)
    for ref, entity in catalog.entities.items():
        if entity.kind is EntityKind.SYSTEM:  # an instance counts within its service, not beside it
            inner = {each for part in said[ref] for each in said[part]} if ref in said else set()
            said[ref] -= inner
    edges = {ref: tuple(sorted(each for each in found if each in catalog.entities)) for ref, found in said.items()}
    edges = {ref: found for ref, found in edges.items() if ref in catalog.entities and found}
    knot_of = {ref: number for number, knot in enumerate(knots(edges)) for ref in knot}
    parts = {
        ref: kept
        for ref, found in edges.items()
        if (kept := tuple(each for each in found if knot_of.get(each) != knot_of[ref]))
    }
    needed = {ref: redundancy.needed for ref in parts if (redundancy := catalog.entities[ref].redundancy) is not None}
    return Composition(parts=parts, needs=_needs(catalog, parts), needed=needed)


def rolled(own: Seen, parts: Iterable[Condition], needed: int | None = None) -> Condition:
    """The condition of a whole, from what is seen of itself and the conditions of its direct parts, in any order.

    What is seen of itself as unhealthy is failing. With parts that fail it is degraded, and failing when all do or fewer
    than `needed` are left. It is healthy when nothing that is watched is unknown, and either it is itself seen to be
    healthy or every part is.
    """
    found = tuple(parts)
    count = {level: sum(each.level is level for each in found) for level in Level}
    failing, total = count[Level.FAILING], len(found)
    silent = own is Seen.SILENT or any(each.watched and each.level is Level.UNKNOWN for each in found)
    if own is Seen.UNHEALTHY or (failing and (failing == total or (needed is not None and total - failing < needed))):
        level = Level.FAILING
    elif failing or count[Level.DEGRADED]:
        level = Level.DEGRADED
    elif silent:
        level = Level.UNKNOWN
    elif own is Seen.HEALTHY or (found and count[Level.HEALTHY] == total):
        level = Level.HEALTHY
    else:
        level = Level.UNKNOWN
    return Condition(
        level=level,
        healthy=count[Level.HEALTHY],
        unknown=count[Level.UNKNOWN],
        degraded=count[Level.DEGRADED],
        failing=failing,
        watched=own is not Seen.UNWATCHED or any(each.watched for each in found),
        needed=needed if found else None,
    )


class Conditions:
    """The conditions of one moment: each is worked out when it is first asked for. `seen` answers for any reference."""

    def __init__(self, made: Composition, seen: Callable[[str], Seen]) -> None:
        self._made, self._seen = made, seen
        self._alone: dict[str, Condition] = {}  # of the parts alone: what fails is known before who needs it
        self._known: dict[str, Condition] = {}

    def of(self, ref: str) -> Condition:
        """What needs something that fails is degraded at least, also when nobody looks at it or it still answers."""
        return self._worked_out(ref, self._known, self._because)

    def _because(self, ref: str) -> tuple[str, ...]:
        needs = self._made.needs.get(ref, ())
        return tuple(each for each in needs if self._worked_out(each, self._alone, _nothing).level is Level.FAILING)

    def _worked_out(
        self, ref: str, known: dict[str, Condition], because: Callable[[str], tuple[str, ...]]
    ) -> Condition:
        parts, needed = self._made.parts, self._made.needed
        stack = [ref]
        while stack:  # parts first; without cycles each is worked out once
            top = stack[-1]
            missing = [each for each in parts.get(top, ()) if each not in known] if top not in known else []
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            if top not in known:
                inner = [known[each] for each in parts.get(top, ())]
                known[top] = _hit(rolled(self._seen(top), inner, needed.get(top)), because(top))
        return known[ref]


def _hit(found: Condition, because: tuple[str, ...]) -> Condition:
    if not because:
        return found
    worse = Level.DEGRADED if found.level in {Level.HEALTHY, Level.UNKNOWN} else found.level
    return replace(found, level=worse, because=because)


def _nothing(_: str) -> tuple[str, ...]:
    return ()


def sentence(found: Condition, names: Sequence[str] = ()) -> str:
    """`1 of 3 healthy, 2 failing`, and what it needs that fails; "" for a thing without parts that needs nothing bad.
    `names` are the names of `because`.
    """
    said = []
    if found.parts:
        rest = [
            f"{count} {word}"
            for count, word in ((found.failing, "failing"), (found.degraded, "degraded"), (found.unknown, "unknown"))
            if count
        ]
        said.append(", ".join([f"{found.healthy} of {found.parts} healthy", *rest]))
        if found.needed is not None and found.parts - found.failing < found.needed:
            said.append(f"{found.needed} are needed")
    if names:
        shown = [*names[:2], f"{len(names) - 2} more"] if len(names) > 2 else list(names)
        listed = f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
        said.append(f"needs {listed}, which {'is' if len(names) == 1 else 'are'} failing")
    return "; ".join(said)


def _needs(catalog: Catalog, parts: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """What each needs, its parts' needs included. Parts first, so that each is looked at once."""
    inside: dict[str, set[str]] = {}
    wants: dict[str, set[str]] = {}
    for start in catalog.entities:
        stack = [start]
        while stack:
            top = stack[-1]
            missing = [each for each in parts.get(top, ()) if each not in wants] if top not in wants else []
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            if top in wants:
                continue
            mine = parts.get(top, ())
            inside[top] = set(mine).union(*(inside[each] for each in mine))
            wants[top] = set(catalog.needs.get(top, ())).union(*(wants[each] for each in mine))
    return {ref: kept for ref, found in wants.items() if (kept := tuple(sorted(found - inside[ref] - {ref})))}
