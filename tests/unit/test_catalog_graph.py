"""Look-ups and walks over the catalogue, on one small estate."""

from watchkeeper.catalog.catalog import (
    Scope,
    by_alias,
    by_annotation,
    by_ref,
    catalog_of,
    covers,
    domains_of,
    members,
    owned_by,
    owner_of,
    users,
)
from watchkeeper.catalog.entity import Automation, Entity, EntityKind, ref_of
from watchkeeper.catalog.extract import slice_of, target_of
from watchkeeper.catalog.graph import HOPS_MAX, cycles, dependencies, dependents, instances, neighbourhood, services_of
from work import lines_run

INSTANCE = "watchkeeper.dev/instance"


def entity(kind: str, name: str, **fields: object) -> Entity:
    words = EntityKind(kind)
    return Entity(
        ref=ref_of(kind, fields.get("namespace", "default"), name), kind=words, name=name, digest=name, **fields
    )


def c(name: str) -> str:
    return ref_of("Component", "default", name)


def r(name: str) -> str:
    return ref_of("Resource", "default", name)


ESTATE = catalog_of(
    [
        entity("Domain", "retail", domain="domain:default/all"),
        entity("Domain", "all"),
        entity("System", "shop", domain="domain:default/retail"),
        entity("Component", "web", system="system:default/shop", consumes_apis=("api:default/cart",), owner="group:default/sre"),
        entity("Component", "cart", provides_apis=("api:default/cart",), depends_on=(r("db"),), aliases=("basket",)),
        entity("Component", "cart-cache", part_of=c("cart")),
        entity("Component", "report", depends_on=("system:default/shop",)),
        entity("API", "cart"),
        entity("Resource", "db", keys={INSTANCE: "db:1"}, environment="prod", region="eu", tier="gold", attrs={"url": "http://db"}),
        entity("Resource", "cart-1", dependency_of=(c("cart"),), keys={INSTANCE: "cart:1"}, environment="prod"),
        entity("Resource", "cart-2", dependency_of=(c("cart"),), keys={INSTANCE: "cart:2"}, environment="staging"),
        entity("Resource", "twin"),
        entity("Resource", "twin", namespace="eu"),
        entity("Group", "sre", members=("user:default/ann",), children=("group:default/night",)),
        entity("Group", "night"),
        entity("Group", "day", parent="group:default/sre", children=("group:default/sre",)),
        entity("User", "ann"),
        entity("User", "bob", member_of=("group:default/night",)),
        entity("User", "cyd", member_of=("group:default/day",)),
    ]
)  # fmt: skip


def test_the_blast_radius_goes_through_apis_and_parts():
    assert dependents(ESTATE, [r("db")]) == {c("cart"), c("web"), c("report")}
    assert dependents(ESTATE, [c("cart-cache")]) == {c("cart"), c("web"), c("report")}
    assert dependents(ESTATE, [c("web")]) == {c("report")}
    assert dependents(ESTATE, [c("report")]) == frozenset() == dependents(ESTATE, []) == dependents(ESTATE, ["x:y/z"])
    assert dependents(ESTATE, [c("web")], kinds=None) == {c("report"), "system:default/shop"}


def test_a_target_is_in_its_own_blast_radius_only_through_another_or_a_cycle():
    assert dependents(ESTATE, [r("db"), c("cart")]) == {c("cart"), c("web"), c("report")}
    ring = catalog_of([entity("Component", "a", depends_on=(c("b"),)), entity("Component", "b", depends_on=(c("a"),))])
    assert dependents(ring, [c("a")]) == {c("a"), c("b")}
    assert cycles(ring) == ((c("a"), c("b"), c("a")),)
    assert cycles(ESTATE) == ()


def test_an_entity_that_depends_on_itself_is_a_cycle():
    assert cycles(catalog_of([entity("Component", "a", depends_on=(c("a"),))])) == ((c("a"), c("a")),)


def test_dependencies_are_transitive_and_of_every_kind():
    assert dependencies(ESTATE, c("web")) == {
        "api:default/cart",
        c("cart"),
        c("cart-cache"),
        r("db"),
        r("cart-1"),
        r("cart-2"),
    }
    assert dependencies(ESTATE, c("web"), kinds={EntityKind.API}) == {"api:default/cart"}


def test_the_neighbourhood_goes_both_ways_and_ends():
    assert neighbourhood(ESTATE, "api:default/cart", 0) == {"api:default/cart": 0}
    assert neighbourhood(ESTATE, "api:default/cart", 1) == {"api:default/cart": 0, c("cart"): 1, c("web"): 1}
    assert neighbourhood(ESTATE, "api:default/cart", 2)[r("db")] == 2
    assert neighbourhood(ESTATE, "x", 3) == {}
    chain = catalog_of([entity("Component", f"n{i}", depends_on=(c(f"n{i + 1}"),)) for i in range(20)])
    assert max(neighbourhood(chain, c("n0"), 99).values()) == HOPS_MAX


def test_instances_are_those_that_say_so_themselves():
    assert instances(ESTATE, c("cart")) == (r("cart-1"), r("cart-2"))  # and not the database it depends on
    assert services_of(ESTATE, r("cart-1")) == (c("cart"),)
    assert services_of(ESTATE, r("db")) == ()
    assert services_of(ESTATE, c("cart")) == (c("cart"),)
    assert services_of(ESTATE, "api:default/cart") == () == services_of(ESTATE, "x")
    listed = catalog_of(
        [entity("Component", "a", depends_on=(r("a-1"),)), entity("Resource", "a-1", keys={INSTANCE: "1"})]
    )
    assert instances(listed, c("a")) == (r("a-1"),)
    assert services_of(listed, r("a-1")) == (c("a"),)


def test_an_alert_names_an_entity_by_name_alias_or_reference():
    assert by_alias(ESTATE, "cart").ref == c("cart")  # the component, not the API of the same name
    assert by_alias(ESTATE, "basket").ref == c("cart")
    assert by_alias(ESTATE, "api:default/cart").ref == "api:default/cart"
    assert by_alias(ESTATE, "twin") is None  # two bear the name: nobody guesses
    assert by_alias(ESTATE, "resource:eu/twin").namespace == "eu"
    assert by_alias(ESTATE, "Cart") is None
    assert by_alias(ESTATE, "") is None
    assert by_alias(ESTATE, "sre") is None  # a team is no target


def test_an_alias_never_hides_a_name_and_one_taken_twice_means_nothing():
    catalog = catalog_of(
        [entity("Resource", "a", aliases=("b", "x")), entity("Resource", "b", aliases=("x",)), entity("Resource", "c")]
    )
    assert by_alias(catalog, "b").ref == r("b")
    assert by_alias(catalog, "x") is None


def test_references_are_found_as_people_write_them():
    assert by_ref(ESTATE, "component:cart") is by_ref(ESTATE, "Component:default/Cart") is by_ref(ESTATE, c("cart"))
    assert by_ref(ESTATE, "cart") is None
    assert by_ref(ESTATE, "not a ref") is None


def test_an_annotation_finds_entities_within_a_scope():
    assert [e.ref for e in by_annotation(ESTATE, INSTANCE, "cart:1")] == [r("cart-1")]
    assert by_annotation(ESTATE, INSTANCE, "cart:1", kind=EntityKind.COMPONENT) == ()
    assert by_annotation(ESTATE, INSTANCE, "cart:1", within=Scope(environment="staging")) == ()
    assert by_annotation(ESTATE, INSTANCE, "") == ()
    assert [e.ref for e in by_annotation(ESTATE, "name", "twin")] == [r("twin"), "resource:eu/twin"]
    assert [e.ref for e in by_annotation(ESTATE, "ref", r("db"))] == [r("db")]
    assert [e.ref for e in by_annotation(ESTATE, "watchkeeper.dev/alias", "basket")] == [c("cart")]


def test_a_scope_is_every_word_it_says():
    web, db = ESTATE.entities[c("web")], ESTATE.entities[r("db")]
    shop = ESTATE.entities["system:default/shop"]
    assert covers(Scope(), web, ESTATE)
    assert covers(Scope(system="system:default/shop"), web, ESTATE)
    assert covers(Scope(system="system:default/shop"), shop, ESTATE)
    assert not covers(Scope(system="system:default/shop"), db, ESTATE)
    assert covers(Scope(domain="domain:default/all"), web, ESTATE)
    assert not covers(Scope(domain="domain:default/all"), db, ESTATE)
    for scope in (
        {"kind": EntityKind.RESOURCE},
        {"environment": "prod"},
        {"region": "eu"},
        {"tier": "gold"},
        {"entity": r("db")},
    ):
        assert covers(Scope(**scope), db, ESTATE)
        assert not covers(Scope(**scope), web, ESTATE)


def test_domains_end_even_in_a_ring():
    assert domains_of(ESTATE, ESTATE.entities[c("web")]) == ("domain:default/retail", "domain:default/all")
    ring = catalog_of(
        [entity("Domain", "a", domain="domain:default/b"), entity("Domain", "b", domain="domain:default/a")]
    )
    assert domains_of(ring, ring.entities["domain:default/a"]) == ("domain:default/a", "domain:default/b")


def test_people_are_counted_with_the_teams_below():
    assert members(ESTATE, "group:default/sre") == {"user:default/ann", "user:default/bob", "user:default/cyd"}
    assert members(ESTATE, "group:default/night") == {"user:default/bob"}
    assert members(ESTATE, "user:default/ann") == {"user:default/ann"}
    assert members(ESTATE, "group:default/nobody") == frozenset()
    assert [user.name for user in users(ESTATE)] == ["ann", "bob", "cyd"]
    assert owner_of(ESTATE, c("web")) == "group:default/sre"
    assert owner_of(ESTATE, "x:y") == ""
    assert [e.ref for e in owned_by(ESTATE, "group:default/sre")] == [c("web")]


def test_a_slice_holds_the_facts_of_what_was_asked_and_what_is_missing():
    found = slice_of(ESTATE, [r("db"), c("web"), r("db"), r("gone")])
    assert [facts.ref for facts in found.entities] == [c("web"), r("db")]
    assert found.missing == (r("gone"),)
    assert found.catalog == ESTATE.digest
    db = found.find(r("db"))
    assert (db.digest, db.environment, db.automation) == ("db", "prod", Automation.REALTIME)
    assert found.find(c("web")).domain == "domain:default/retail"
    assert found.find(r("gone")) is None
    target = target_of(db)
    assert (target["url"], target["env"], target["tier"], target["system"]) == ("http://db", "prod", "gold", "")


def test_the_blast_radius_costs_as_much_as_the_graph_is_large():
    def lines(count):
        catalog = catalog_of(
            entity("Component", f"n{i}", depends_on=tuple(c(f"n{i - step}") for step in (1, 7, 61) if i >= step))
            for i in range(count)
        )
        assert len(dependents(catalog, [c("n0")])) == count - 1
        return lines_run(lambda: dependents(catalog, [c("n0")]))

    assert lines(2_000) < 2.5 * lines(1_000)  # a walk that is no longer linear would need four times as much, or more
