"""The graph of wholes: who needs whom, when every instance and subcomponent stands for what it is a part of.

In: the catalogue and what it is composed of. Out: an `Outline`, and what stands around one entity of it. A picture of a
thousand instances would hide the forty services that they are; systems and domains hold things and need nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.condition import Composition
from watchkeeper.catalog.entity import EntityKind

HOLDERS: Final = frozenset((EntityKind.SYSTEM, EntityKind.DOMAIN))
NO_WHOLES: Final = HOLDERS | {EntityKind.API}  # their parts are things of their own


class Outline(Struct, frozen=True, kw_only=True):
    """`whole`: part -> the outermost thing that it is a part of. `needs` and `needed_by` join wholes only."""

    whole: dict[str, str]
    needs: dict[str, tuple[str, ...]]
    needed_by: dict[str, tuple[str, ...]]


class Around(Struct, frozen=True, kw_only=True):
    """`refs` nearest first, the focus itself first of all; `peers` are what its direct callers need beside it.
    `complete` is false where the bound cut something off.
    """

    refs: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    peers: tuple[str, ...]
    complete: bool


def outline(catalog: Catalog, made: Composition) -> Outline:
    """Worked out once for a catalogue."""
    above = {
        part: ref for ref, parts in made.parts.items() if catalog.entities[ref].kind not in NO_WHOLES for part in parts
    }
    whole: dict[str, str] = {}
    for part, direct in above.items():
        top = direct
        while top in above:  # parts have no cycles
            top = above[top]
        whole[part] = top
    needs: dict[str, set[str]] = defaultdict(set)
    needed_by: dict[str, set[str]] = defaultdict(set)
    for ref, others in catalog.needs.items():
        if catalog.entities[ref].kind in HOLDERS:
            continue
        one = whole.get(ref, ref)
        for each in others:
            other = whole.get(each, each)
            if other != one and catalog.entities[other].kind not in HOLDERS:
                needs[one].add(other)
                needed_by[other].add(one)
    return Outline(whole=whole, needs=_frozen(needs), needed_by=_frozen(needed_by))


def around(catalog: Catalog, drawn: Outline, focus: str, hops: int, most: int) -> Around:
    """What stands `hops` steps either way of the focus, at most `most`. A part that is in focus stands for itself; a
    system or domain needs what it holds.
    """
    needs, needed_by = _seen_from(catalog, drawn, focus)
    found = {focus: None}
    complete = True

    def keep(refs: Iterable[str]) -> list[str]:
        nonlocal complete
        fresh = list(dict.fromkeys(each for each in refs if each not in found))
        room = max(0, most - len(found))
        complete = complete and len(fresh) <= room
        found.update(dict.fromkeys(fresh[:room]))
        return fresh[:room]

    for table in (needs, needed_by):
        edge = [focus]
        for _ in range(hops):
            edge = keep(other for ref in edge for other in table(ref))
    peers: list[str] = []
    if hops > 1:
        peers = keep(other for caller in needed_by(focus) if caller in found for other in needs(caller))
    edges = tuple(sorted({(ref, other) for ref in found for other in needs(ref) if other in found}))
    return Around(refs=tuple(found), edges=edges, peers=tuple(peers), complete=complete)


class _Table:
    def __init__(self, table: Mapping[str, tuple[str, ...]], changed: Mapping[str, tuple[str, ...]]) -> None:
        self._table, self._changed = table, changed

    def __call__(self, ref: str) -> tuple[str, ...]:
        return self._changed[ref] if ref in self._changed else self._table.get(ref, ())


def _seen_from(catalog: Catalog, drawn: Outline, focus: str) -> tuple[_Table, _Table]:
    entity = catalog.entities[focus]
    if entity.kind in HOLDERS:
        held = tuple(
            sorted(
                {
                    drawn.whole.get(each, each)
                    for each in catalog.needs.get(focus, ())
                    if catalog.entities[each].kind not in HOLDERS
                }
            )
        )
        return _Table(drawn.needs, {focus: held}), _Table(drawn.needed_by, {focus: ()})
    if focus not in drawn.whole:
        return _Table(drawn.needs, {}), _Table(drawn.needed_by, {})
    top = drawn.whole[focus]
    own = tuple(sorted({drawn.whole.get(each, each) for each in catalog.needs.get(focus, ())} - {top, focus}))
    needs = {focus: own, top: tuple(sorted({*drawn.needs.get(top, ()), focus}))}
    needed: dict[str, tuple[str, ...]] = {focus: (top,)}
    for each in own:  # what it needs is needed by it, and through it by the whole
        needed[each] = tuple(sorted({*drawn.needed_by.get(each, ()), focus}))
    return _Table(drawn.needs, needs), _Table(drawn.needed_by, needed)


def _frozen(sets: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(sorted(values)) for key, values in sorted(sets.items())}
