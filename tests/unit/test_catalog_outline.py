"""The graph of wholes: instances stand for their service, systems need nothing, and what is around a thing is bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_catalog_condition import ESTATE, SHOP, instance
from test_catalog_graph import c, entity, r

from watchkeeper.catalog.catalog import catalog_of
from watchkeeper.catalog.condition import composition
from watchkeeper.catalog.outline import around, outline

PAY_API = "api:default/pay"


def made(catalog=ESTATE):
    return outline(catalog, composition(catalog))


def see(focus: str, hops: int = 1, most: int = 100, catalog=ESTATE):
    return around(catalog, made(catalog), focus, hops, most)


def test_an_instance_stands_for_its_service_and_a_system_needs_nothing():
    found = made()
    assert found.whole == {r(f"pay-{number}"): c("pay") for number in (1, 2, 3)}
    assert found.needs == {c("pay"): (c("store"),), c("web"): (PAY_API,), PAY_API: (c("pay"),)}
    assert found.needed_by[c("store")] == (c("pay"),)


def test_what_stands_around_a_service_and_its_peers():
    catalog = catalog_of(
        [
            *[entity("Component", name, depends_on=(c("hub"), c("other"))) for name in ("one", "two")],
            entity("Component", "hub", depends_on=(c("base"),)),
            entity("Component", "other", depends_on=(c("base"),)),
            entity("Component", "base"),
        ]
    )
    near = see(c("hub"), catalog=catalog)
    assert near.refs == (c("hub"), c("base"), c("one"), c("two"))
    assert near.peers == ()
    far = see(c("hub"), 2, catalog=catalog)
    assert far.peers == (c("other"),)
    assert (c("other"), c("base")) in far.edges


def test_a_part_in_focus_stands_for_itself_under_its_whole():
    found = see(r("pay-1"), 2)
    assert found.refs == (r("pay-1"), c("store"), c("pay"), PAY_API)
    assert found.edges == (
        (PAY_API, c("pay")),
        (c("pay"), c("store")),
        (c("pay"), r("pay-1")),
        (r("pay-1"), c("store")),
    )


def test_a_system_in_focus_needs_what_it_holds():
    found = see(SHOP)
    assert found.refs == (SHOP, c("pay"), c("web"))
    assert {edge for edge in found.edges if edge[0] == SHOP} == {(SHOP, c("pay")), (SHOP, c("web"))}


@pytest.mark.parametrize(("most", "complete"), [(4, True), (3, False), (1, False)])
def test_it_is_bounded_and_says_so(most, complete):
    found = see(c("pay"), 2, most)
    assert len(found.refs) == min(most, 4)
    assert found.complete is complete
    assert found.refs[0] == c("pay")


def test_parts_of_parts_stand_for_the_outermost():
    catalog = catalog_of(
        [
            entity("Component", "a"),
            entity("Component", "b", part_of=c("a")),
            instance("b-1", "b", "store"),
            entity("Component", "store"),
            entity("System", "shop"),
        ]
    )
    found = made(catalog)
    assert found.whole == {c("b"): c("a"), r("b-1"): c("a")}
    assert found.needs == {c("a"): (c("store"),)}


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abcdefgh"),
        st.tuples(st.lists(st.sampled_from("abcdefgh"), max_size=4), st.sampled_from(["", *"abcdefgh"])),
        min_size=1,
    ),
    st.integers(1, 3),
)
def test_whatever_the_catalogue_each_edge_joins_two_things_that_are_there_and_no_two_wholes_are_one(said, hops):
    catalog = catalog_of(
        [
            entity("Component", name, depends_on=tuple(map(c, needs)), part_of=c(above) if above else "")
            for name, (needs, above) in said.items()
        ]
    )
    found = see(c(next(iter(said))), hops, catalog=catalog)
    assert len(found.refs) == len(set(found.refs))
    assert all(one in found.refs and other in found.refs and one != other for one, other in found.edges)
    whole = made(catalog).whole
    assert all(ref not in whole for ref in found.refs[1:]), "only the focus may be a part"
