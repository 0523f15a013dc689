"""What is said of a whole: on both sides of each limit, in the words that people read."""

import pytest
from test_catalog_graph import c, entity, r

from watchkeeper.catalog.catalog import catalog_of
from watchkeeper.catalog.condition import Condition, Conditions, Level, Seen, composition, rolled, sentence
from watchkeeper.catalog.entity import Redundancy

INSTANCE = "watchkeeper.dev/instance"
SHOP = "system:default/shop"


def instance(name: str, of: str, *needs: str):
    return entity(
        "Resource", name, dependency_of=(c(of),), keys={INSTANCE: name}, system=SHOP, depends_on=tuple(map(c, needs))
    )


ESTATE = catalog_of(
    [
        entity("Domain", "retail"),
        entity("System", "shop", domain="domain:default/retail"),
        entity("Component", "web", system=SHOP, consumes_apis=("api:default/pay",)),
        entity("Component", "pay", system=SHOP, provides_apis=("api:default/pay",)),
        entity("API", "pay"),
        *[instance(f"pay-{number}", "pay", "store") for number in (1, 2, 3)],
        entity("Component", "store"),
    ]
)


def conditions(catalog=ESTATE, **seen: Seen) -> Conditions:
    names = {each.ref: each.name.replace("-", "_") for each in catalog.entities.values() if each.kind.value != "API"}
    return Conditions(composition(catalog), lambda ref: seen.get(names.get(ref, ""), Seen.UNWATCHED))


def part(level: Level, *, watched: bool = True) -> Condition:
    return Condition(level=level, watched=watched)


H, F, D, U = (part(level) for level in (Level.HEALTHY, Level.FAILING, Level.DEGRADED, Level.UNKNOWN))
DARK = part(Level.UNKNOWN, watched=False)


@pytest.mark.parametrize(
    ("own", "parts", "level"),
    [
        (Seen.HEALTHY, (), "healthy"),
        (Seen.UNHEALTHY, (), "failing"),
        (Seen.SILENT, (), "unknown"),
        (Seen.UNWATCHED, (), "unknown"),
        (Seen.UNWATCHED, (H, H, H), "healthy"),
        (Seen.UNWATCHED, (H, H, F), "degraded"),
        (Seen.UNWATCHED, (F, F, U), "degraded"),
        (Seen.UNWATCHED, (F, F, F), "failing"),
        (Seen.UNWATCHED, (H, D), "degraded"),
        (Seen.UNWATCHED, (H, U), "unknown"),
        (Seen.UNWATCHED, (H, DARK), "unknown"),
        (Seen.HEALTHY, (H, U), "unknown"),
        (Seen.HEALTHY, (DARK, DARK), "healthy"),
        (Seen.HEALTHY, (F, H), "degraded"),
        (Seen.SILENT, (H, H), "unknown"),
        (Seen.SILENT, (H, F), "degraded"),
        (Seen.UNHEALTHY, (H, H), "failing"),
    ],
)
def test_a_whole_is_as_well_as_what_is_known_of_it(own, parts, level):
    assert rolled(own, parts).level == level


@pytest.mark.parametrize(("failing", "level"), [(1, "degraded"), (2, "failing")])
def test_it_fails_when_fewer_are_left_than_the_catalogue_says_it_needs(failing, level):
    found = rolled(Seen.UNWATCHED, [F] * failing + [H] * (3 - failing), needed=2)
    assert found.level == level
    assert (
        sentence(found)
        == {
            1: "2 of 3 healthy, 1 failing",
            2: "1 of 3 healthy, 2 failing; 2 are needed",
        }[failing]
    )


def test_a_service_is_rolled_up_from_its_instances_and_a_system_from_its_services():
    found = conditions(pay_1=Seen.HEALTHY, pay_2=Seen.UNHEALTHY, pay_3=Seen.UNHEALTHY, web=Seen.HEALTHY)
    assert (pay := found.of(c("pay"))).level == "degraded"
    assert (pay.healthy, pay.failing, pay.parts) == (1, 2, 3)
    assert sentence(pay) == "1 of 3 healthy, 2 failing"
    shop = found.of(SHOP)
    assert (shop.level, shop.healthy, shop.degraded, shop.parts) == ("degraded", 1, 1, 2), "instances count once"
    assert found.of("domain:default/retail").level == "degraded"
    assert found.of("api:default/pay").level == "degraded", "an API is as what provides it"


def test_what_needs_something_that_fails_is_degraded_and_says_by_what():
    found = conditions(store=Seen.UNHEALTHY, pay_1=Seen.HEALTHY, pay_2=Seen.HEALTHY, pay_3=Seen.HEALTHY)
    pay = found.of(c("pay"))
    assert (pay.level, pay.because) == ("degraded", (c("store"),)), "its parts' needs are its own"
    assert sentence(pay, ["store"]) == "0 of 3 healthy, 3 degraded; needs store, which is failing"
    assert found.of(r("pay-1")).because == (c("store"),)
    assert found.of(c("web")).level == "unknown", "what is only degraded does not degrade its callers"
    assert found.of(c("store")).because == ()


def test_a_failing_service_degrades_those_who_call_its_api_and_is_not_made_better_by_its_own_needs():
    down = dict.fromkeys(("pay_1", "pay_2", "pay_3", "store"), Seen.UNHEALTHY)
    found = conditions(**down, web=Seen.HEALTHY)
    assert found.of(c("pay")).level == "failing"
    assert found.of(c("pay")).because == (c("store"),)
    assert (found.of(c("web")).level, found.of(c("web")).because) == ("degraded", ("api:default/pay",))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a"], "needs a, which is failing"),
        (["a", "b"], "needs a and b, which are failing"),
        (["a", "b", "c"], "needs a, b and 1 more, which are failing"),
    ],
)
def test_what_it_needs_is_named_two_at_most(names, said):
    assert sentence(Condition(level=Level.DEGRADED), names) == said


def test_things_that_are_declared_as_parts_of_each_other_are_parts_of_neither():
    ring = catalog_of(
        [
            entity("Component", "a", part_of=c("b")),
            entity("Component", "b", part_of=c("a")),
            entity("Component", "d", part_of=c("a")),
        ]
    )
    assert composition(ring).parts == {c("a"): (c("d"),)}
    found = conditions(ring, d=Seen.UNHEALTHY)
    assert [found.of(c(name)).level.value for name in "abd"] == ["failing", "degraded", "failing"]


def test_how_many_are_needed_comes_from_the_catalogue():
    catalog = catalog_of(
        [
            entity("Component", "pay", redundancy=Redundancy(needed=2, members=2)),
            *[instance(f"pay-{number}", "pay") for number in (1, 2)],
        ]
    )
    assert conditions(catalog, pay_1=Seen.HEALTHY, pay_2=Seen.UNHEALTHY).of(c("pay")).level == "failing"


def test_a_long_chain_of_parts_is_no_recursion():
    chain = catalog_of([entity("Component", f"c{n}", part_of=c(f"c{n - 1}") if n else "") for n in range(3_000)])
    assert conditions(chain, c2999=Seen.UNHEALTHY).of(c("c0")).level == "failing"
