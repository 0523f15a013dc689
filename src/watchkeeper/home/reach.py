"""The static proof: which entities a rule's target query can ever lead to, and whether an exclusion covers one.

In: rules, exclusions, the catalogue. Out: a `Witness` for each rule and exclusion that meet, with the value an alert
would have to say; none is a proof that no alert can bring the rule there. Only `target` is looked at: `match` and `when`
may narrow a rule further, so a witness is what the bounds let through and not a prediction.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from watchkeeper.catalog.catalog import NAMED_FIRST, Catalog, by_annotation, covers
from watchkeeper.catalog.entity import PREFIX, Entity
from watchkeeper.documents import Node, Problem, ProblemSeverity, wrong
from watchkeeper.home.cover import Place, place_of
from watchkeeper.home.cover import covers as covers_place
from watchkeeper.home.exclusion import Exclusion
from watchkeeper.packs.bound import bound_of
from watchkeeper.packs.expression import Known
from watchkeeper.packs.rule import Rule, TargetQuery

ALIAS: Final = f"{PREFIX}alias"


class Witness(Struct, frozen=True, kw_only=True):
    """The rule can be led to `entity`, which the exclusion covers. `by` is what it looks up ("" when it takes the
    alert's own entity), `value` what would be found there.
    """

    rule: str
    exclusion: str
    entity: str
    by: str
    value: str
    where: str

    @property
    def sentence(self) -> str:
        by = f"when {self.by} is {self.value!r}" if self.by else "when an alert names it"
        return f"{self.rule} can reach {self.entity} {by}, which exclusion {self.exclusion} keeps out of automation."


class Proof(Struct, frozen=True, kw_only=True):
    """`rules` and `exclusions` are how many were held against each other. No witness: nothing enabled can reach."""

    rules: int
    exclusions: int
    witnesses: tuple[Witness, ...]


def prove(rules: Iterable[Rule], exclusions: Iterable[Exclusion], catalog: Catalog) -> Proof:
    """One witness for each pair that meets, rules in their order. An expired exclusion binds, so it counts."""
    enabled, kept = [rule for rule in rules if rule.enabled], tuple(exclusions)
    places = {ref: place_of(entity, catalog) for ref, entity in catalog.entities.items()} if kept else {}
    known: dict[tuple[object, ...], str | None] = {}
    found: list[Witness] = []
    for each in kept:
        inside = [catalog.entities[ref] for ref, place in places.items() if _covered(each, place)]
        for rule in enabled:
            witness = _witness(rule, each, inside, catalog, known)
            if witness is not None:
                found.append(witness)
    found.sort(key=lambda witness: (witness.rule, witness.exclusion))
    return Proof(rules=len(enabled), exclusions=len(kept), witnesses=tuple(found))


def _covered(exclusion: Exclusion, place: Place) -> bool:
    return covers_place(exclusion.scope, "", place)


def _witness(
    rule: Rule,
    exclusion: Exclusion,
    inside: Iterable[Entity],
    catalog: Catalog,
    known: dict[tuple[object, ...], str | None],
) -> Witness | None:
    query = rule.target
    shape = (
        query.kind,
        query.annotation,
        query.value.source if query.value is not None else None,
        tuple(sorted(query.within.items())),
        query.most,
    )
    for entity in inside:
        key = (*shape, entity.ref)  # rules of one shape find the same
        if key not in known:
            known[key] = led_by(query, entity, catalog)
        value = known[key]
        if value is not None:
            return Witness(
                rule=rule.name,
                exclusion=exclusion.id,
                entity=entity.ref,
                by=query.annotation if query.value is not None else "",
                value=value,
                where=rule.where,
            )
    return None


def led_by(query: TargetQuery, entity: Entity, catalog: Catalog) -> str | None:
    """The value with which the query answers a set that holds the entity; None when none does.

    `within` must let it through, and no more than `max` others: a look-up that finds too many answers nothing.
    """
    bound = bound_of(query)
    if bound is not None and not covers(bound, entity, catalog):
        return None
    if query.value is None:
        return entity.ref if entity.kind in NAMED_FIRST else None  # an alert names no group and no user
    for value in _values(query, entity):
        found = by_annotation(catalog, query.annotation, value)
        inside = [each.ref for each in found if bound is None or covers(bound, each, catalog)]
        if entity.ref in inside and len(inside) <= query.most:
            return value
    return None


def _values(query: TargetQuery, entity: Entity) -> tuple[str, ...]:
    """What the entity can be looked up by. An expression that mentions nothing of the alert has one answer only."""
    match query.annotation:
        case "name":
            found: tuple[str, ...] = (entity.name,)
        case "ref":
            found = (entity.ref,)
        case annotation:
            aliases = entity.aliases if annotation == ALIAS else ()
            found = tuple(dict.fromkeys((entity.keys.get(annotation, ""), *aliases)))
    assert query.value is not None
    if not query.value.references:
        answer = query.value.evaluate({})
        constant = answer.value if isinstance(answer, Known) else None
        found = tuple(value for value in found if value == constant)
    return tuple(value for value in found if value)


def reached(proof: Proof, nodes: Mapping[str, Node]) -> tuple[Problem, ...]:
    """A warning for each witness, at the rule's target; the guard refuses every such decision all the same."""
    problems: list[Problem] = []
    for witness in proof.witnesses:
        node = nodes[f"rule {witness.rule}"]
        by = f" when {witness.by} is {witness.value!r}" if witness.by else ""
        wrong(
            problems,
            node.find("target") or node,
            "spec.target",
            f"can reach {witness.entity}{by}, which exclusion {witness.exclusion} keeps out of automation: every such "
            "decision would be refused; bound it with `within`",
            severity=ProblemSeverity.WARNING,
        )
    return tuple(problems)
