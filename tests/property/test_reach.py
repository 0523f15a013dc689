"""The static proof of the exclusion register is true: what it calls out of reach no alert can bring about, and a witness
really is one. The resolver and the guard's own `covers` are the judges, over random catalogues, rules and scopes.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.catalog.catalog import NAMED_FIRST, Catalog, catalog_of
from watchkeeper.catalog.entity import Entity, EntityKind, ref_of
from watchkeeper.decide.target import NoTarget, Subject, targets_of
from watchkeeper.guards.cover import covers
from watchkeeper.home.exclusion import Exclusion, Scope
from watchkeeper.home.reach import prove
from watchkeeper.packs.expression import Known
from watchkeeper.packs.rule import Rule, TargetQuery
from watchkeeper.values import EPOCH

LAW = settings(max_examples=150, deadline=None)
KEYS = ("name", "ref", "watchkeeper.dev/instance", "watchkeeper.dev/alias", "watchkeeper.dev/zone")
WORDS = ("a", "b")
KINDS = (
    EntityKind.COMPONENT,
    EntityKind.RESOURCE,
    EntityKind.SYSTEM,
    EntityKind.DOMAIN,
    EntityKind.GROUP,
    EntityKind.API,
)


class Says(Struct, frozen=True):
    """An expression that answers what the alert says, or always the same."""

    source: str
    constant: str = ""

    @property
    def references(self):
        return () if self.constant else (("alert", "labels", "x"),)

    def evaluate(self, bindings):
        return Known(self.constant or bindings["x"])


some = st.sampled_from
ref = st.builds(lambda kind, name: ref_of(kind, "default", name), some(KINDS), some(WORDS))
maybe = st.sampled_from(("", *WORDS))


@st.composite
def entities(draw) -> Entity:
    kind, name = draw(some(KINDS)), draw(some(WORDS))
    keys = {key: draw(some(WORDS)) for key in KEYS[2:] if key != "watchkeeper.dev/alias" and draw(st.booleans())}
    return Entity(
        ref=ref_of(kind, "default", name),
        kind=kind,
        name=name,
        system=draw(st.sampled_from(("", "system:default/a", "system:default/b"))),
        domain=draw(st.sampled_from(("", "domain:default/a"))),
        part_of=draw(st.sampled_from(("", "component:default/a"))),
        dependency_of=tuple(draw(st.sets(st.sampled_from(("component:default/a", "component:default/b"))))),
        keys=keys,
        aliases=tuple(sorted(draw(st.sets(some(WORDS), max_size=2)))),
        environment=draw(maybe),
        region=draw(maybe),
        tier=draw(maybe),
    )


@st.composite
def queries(draw) -> TargetQuery:
    by = draw(st.integers(0, 3)) > 0
    within = {}
    for field, values in (
        ("system", ("system:default/a", "system:default/b")),
        ("domain", ("domain:default/a",)),
        ("environment", WORDS),
        ("region", WORDS),
        ("tier", WORDS),
    ):
        if draw(st.integers(0, 7)) == 0:
            within[field] = draw(some(values))
    return TargetQuery(
        kind=draw(some(("", "Component", "resource", "System"))) if by else "",
        annotation=draw(some(KEYS)) if by else "",
        value=Says("x", draw(st.sampled_from(("", "", *WORDS)))) if by else None,
        within=within,
        most=draw(st.integers(1, 3)) if by else 1,
    )


def rule_of(query: TargetQuery) -> Rule:
    return Rule(
        name="p/r",
        owner="group:default/a",
        pack="p",
        where="r.yaml:1",
        digest="d",
        match={},
        runbook="p/b",
        target=query,
    )


def exclusion_of(scope: Scope) -> Exclusion:
    return Exclusion(
        id="X-1", scope=scope, control="c", reason="r", owner="o", approver="a", from_at=EPOCH, until_at=EPOCH
    )


@st.composite
def scopes(draw) -> Scope:
    fields = {
        "environment": some(WORDS),
        "region": some(WORDS),
        "tier": some(WORDS),
        "system": some(("system:default/a", "system:default/b")),
        "kind": some(tuple(kind.value for kind in KINDS)),
        "entity": ref,
        "service": st.just("component:default/a"),
    }
    chosen = draw(st.sets(some(tuple(fields)), min_size=1, max_size=2) | st.just({"entity"}))  # one, so that it matters
    return Scope(**{field: draw(fields[field]) for field in sorted(chosen)})


def every_target_set(query: TargetQuery, catalog: Catalog):
    """All that the resolver can ever answer: by any entity an alert may name, or by any word it may say."""
    if query.value is None:
        subjects = [Subject(entity.ref, {}) for entity in catalog.entities.values() if entity.kind in NAMED_FIRST]
    else:
        said = {value for key, value in catalog.keyed} | {"nowhere", ""}
        subjects = [Subject("", {"x": word}) for word in sorted(said)]
    for one in subjects:
        yield one, targets_of(query, [one], catalog, {})
    for one in subjects:
        for other in subjects:
            yield None, targets_of(query, [one, other], catalog, {})  # per: incident


@LAW
@given(st.lists(entities(), min_size=2, max_size=8), queries(), scopes())
def test_proven_out_of_reach_is_out_of_reach_and_a_witness_can_be_reached(found, query, scope):
    catalog = catalog_of(found)
    (witness,) = prove([rule_of(query)], [exclusion_of(scope)], catalog).witnesses or (None,)
    for _, targets in every_target_set(query, catalog):
        hit = not isinstance(targets, NoTarget) and any(covers(scope, "p/r", target) for target in targets)
        assert witness is not None or not hit, f"{targets} was proven out of reach"
    if witness is None:
        return
    subject = Subject(witness.entity if not witness.by else "", {"x": witness.value})
    targets = targets_of(query, [subject], catalog, {})
    assert not isinstance(targets, NoTarget), targets
    (target,) = (each for each in targets if each.ref == witness.entity)
    assert covers(scope, "p/r", target)


@LAW
@given(st.lists(entities(), max_size=6), st.lists(queries(), max_size=4), st.lists(scopes(), max_size=3))
def test_each_pair_is_proven_as_if_it_were_alone(found, asked, limits):
    """Rules of one shape share their answers: that must not show."""
    catalog = catalog_of(found)
    rules = [replace(rule_of(query), name=f"p/r{number}") for number, query in enumerate(asked)]
    register = [replace(exclusion_of(scope), id=f"X-{number}") for number, scope in enumerate(limits)]
    together = {(each.rule, each.exclusion) for each in prove(rules, register, catalog).witnesses}
    alone = {(rule.name, each.id) for rule in rules for each in register if prove([rule], [each], catalog).witnesses}
    assert together == alone
