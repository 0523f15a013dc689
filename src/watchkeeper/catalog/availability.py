"""Composite availability: what can be promised on top of what others promise.

Serial: everything relied on must be there, so A = a1 * a2 * ... over the *distinct* entities in the walk (a shared
dependency fails once). Redundant, `k of n`: A = sum for i = k..n of P(exactly i of the n members are up), members
independent. What the members themselves rely on is taken serially, which is never too hopeful: they may share it.
An entity that declares nothing counts as always there, and is listed.
Source: Treynor, Dahlin, Rau, Beyer, "The Calculus of Service Availability", ACM Queue 15(2), 2017;
IEC 61078 (reliability block diagrams) for k of n.

Arithmetic is exact on integers and rounded down once, to parts per million.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.entity import EntityKind
from watchkeeper.catalog.graph import dependencies, instances
from watchkeeper.documents import percent_text

PPM: Final = 1_000_000


class Term(Struct, frozen=True, kw_only=True):
    """One factor of the product. `members` are the instances behind it, empty for a plain entity."""

    ref: str
    ppm: int
    members: tuple[str, ...] = ()


class Composite(Struct, frozen=True, kw_only=True):
    """The product with its factors, weakest first. `undeclared` are the entities that promise nothing."""

    ppm: int
    terms: tuple[Term, ...]
    undeclared: tuple[str, ...]

    @property
    def weakest(self) -> Term | None:
        return self.terms[0] if self.terms else None


class Feasibility(StrEnum):
    MEETS = "meets"
    CANNOT = "cannot"
    UNKNOWN = "unknown"


class Judgement(Struct, frozen=True, kw_only=True):
    """Whether a set of needs can meet an objective, and which of them is in the way.

    `weakest` is the reference of the lowest promise (for `unknown`: of the first need that promises nothing or is
    not in the catalogue), empty when there is none. `reason` is for the operator.
    """

    feasibility: Feasibility
    objective_ppm: int
    composite: Composite
    weakest: str
    reason: str


def composite(catalog: Catalog, refs: Iterable[str]) -> Composite:
    """The availability of having all of `refs`, with everything they rely on. No refs: 100%."""
    roots = {ref for ref in refs if ref in catalog.entities}
    walk = sorted(roots.union(*(dependencies(catalog, ref) for ref in roots)))
    groups = {ref: instances(catalog, ref) for ref in walk if catalog.entities[ref].redundancy is not None}
    behind = _behind(catalog, walk, groups) - roots
    terms: list[Term] = []
    undeclared: list[str] = []
    numerator, denominator = 1, 1
    for ref in walk:
        if ref in behind:
            if catalog.entities[ref].sla_ppm is None:
                undeclared.append(ref)
            continue  # it counts as a member of its group
        members = groups.get(ref, ())
        promised = [_exact(catalog, ref, members)]
        if members and (own := catalog.entities[ref].sla_ppm) is not None:
            promised.append((own, PPM))  # with members described, its own promise is that of what joins them
        stated = [one for one in promised if one is not None]
        if not stated:
            undeclared.append(ref)
            continue
        above, below = 1, 1
        for one in stated:
            above, below = above * one[0], below * one[1]
        numerator, denominator = numerator * above, denominator * below
        terms.append(Term(ref=ref, ppm=above * PPM // below, members=members))
    return Composite(
        ppm=numerator * PPM // denominator,
        terms=tuple(sorted(terms, key=lambda term: (term.ppm, term.ref))),
        undeclared=tuple(undeclared),
    )


def can_meet(catalog: Catalog, needs: Iterable[str], objective_ppm: int) -> Judgement:
    """Judge `needs` (canonical references) against an objective such as 999000 (99.9%).

    `cannot` when what is declared already falls short; else `unknown` when a need itself is not in the catalogue
    or promises nothing; else `meets`.
    """
    wanted = sorted(set(needs))
    found = composite(catalog, wanted)
    unstated = next((ref for ref in wanted if ref not in catalog.entities or ref in found.undeclared), "")
    if found.ppm < objective_ppm and found.weakest is not None:
        feasibility, weakest = Feasibility.CANNOT, found.weakest.ref
        reason = (
            f"what is relied on promises {percent_text(found.ppm)} together, less than {percent_text(objective_ppm)}: "
            f"the weakest is {weakest} with {percent_text(found.weakest.ppm)}"
        )
    elif unstated:
        feasibility, weakest = Feasibility.UNKNOWN, unstated
        reason = f"{unstated} declares no SLA: set watchkeeper.dev/sla on it"
        if unstated not in catalog.entities:
            reason = f"{unstated} is not in the catalogue"
    else:
        feasibility, weakest = Feasibility.MEETS, found.weakest.ref if found.weakest else ""
        reason = (
            f"what is relied on promises {percent_text(found.ppm)} together, at least {percent_text(objective_ppm)}"
        )
    return Judgement(
        feasibility=feasibility, objective_ppm=objective_ppm, composite=found, weakest=weakest, reason=reason
    )


def at_least(needed: int, members_ppm: Iterable[int]) -> tuple[int, int]:
    """P(at least `needed` members are up) as an exact (numerator, denominator), members independent."""
    exactly, denominator = [1], 1  # exactly[i]: weight of "i members up" over the denominator
    for ppm in members_ppm:
        up = [0, *(weight * ppm for weight in exactly)]
        down = [*(weight * (PPM - ppm) for weight in exactly), 0]
        exactly, denominator = [a + b for a, b in zip(up, down, strict=True)], denominator * PPM
    return sum(exactly[needed:]), denominator


def _behind(catalog: Catalog, walk: Iterable[str], groups: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Members that are relied on only through their redundant groups. A system's list of its parts is no reliance."""
    serial = {
        other
        for ref in walk
        if catalog.entities[ref].kind is not EntityKind.SYSTEM
        for other in catalog.needs.get(ref, ())
        if other not in groups.get(ref, ())
    }
    return {member for members in groups.values() for member in members} - serial


def _exact(catalog: Catalog, ref: str, members: tuple[str, ...]) -> tuple[int, int] | None:
    """What an entity promises as (numerator, denominator), None for nothing.

    A redundant entity whose members are not described is taken as so many members with its own SLA each.
    """
    entity = catalog.entities[ref]
    if entity.redundancy is None:
        return None if entity.sla_ppm is None else (entity.sla_ppm, PPM)
    slas = [catalog.entities[member].sla_ppm for member in members] or [entity.sla_ppm] * entity.redundancy.members
    stated = [ppm if ppm is not None else PPM for ppm in slas]
    if all(ppm is None for ppm in slas):
        return None
    return at_least(entity.redundancy.needed, stated)
