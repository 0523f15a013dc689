"""Laws of documents and the catalogue."""

from itertools import pairwise, product

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.catalog.availability import at_least, composite
from watchkeeper.catalog.catalog import catalog_of
from watchkeeper.catalog.entity import Entity, EntityKind, Redundancy, ref_of
from watchkeeper.catalog.graph import cycles, dependencies, dependents, neighbourhood
from watchkeeper.catalog.load import load
from watchkeeper.documents import parse, percent_ppm, percent_text, plain_of, refuse_credentials
from watchkeeper.errors import Malformed

LAW = settings(max_examples=100, deadline=None)

PIECES = st.sampled_from(
    ["a", "b: ", "- ", "\n", "  ", "[", "]", "{", "}", ",", ":", "?", "&a ", "*a", "!", "!!str ", "|", ">", "'", '"', "\\",
     "#", "%", "@", "---\n", "...\n", "<<", "\t", "\r\n", "\\x", "\\ud800", "\\U0011ffff", "0", "1e9", "0x", "~", "\u202e",
     "apiVersion: backstage.io/v1alpha1\n", "kind: System\n", "metadata: {name: x}\n", "spec: {owner: y}\n"]
)  # fmt: skip


@LAW
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(PIECES, max_size=30).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass")),
    )
)
def test_any_bytes_are_documents_or_malformed_and_any_document_is_loaded_or_reported(data):
    try:
        nodes = parse("a.yaml", data)
    except Malformed:
        return
    load(nodes)
    for node in nodes:
        refuse_credentials(node, [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="ascii", exclude_categories=["Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcdefgh-._/", min_size=1, max_size=8), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@LAW
@given(st.dictionaries(st.text("xyz", min_size=1), JSON, min_size=1))
def test_json_means_in_yaml_what_it_means_in_json(value):
    (node,) = parse("a.json", msgspec.json.encode(value))
    assert plain_of(node, [], "") == value


@LAW
@given(st.integers(0, 1_000_000))
def test_a_percentage_reads_back(ppm):
    assert percent_ppm(percent_text(ppm)) == ppm


def name(i: int) -> str:
    return ref_of("component", "default", f"n{i}")


@st.composite
def estates(draw):
    count = draw(st.integers(1, 9))
    edges = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count)), max_size=20))
    turned = draw(st.sets(st.sampled_from(sorted(edges)))) if edges else set()
    slas = draw(st.lists(st.none() | st.integers(1, 1_000_000), min_size=count, max_size=count))
    pools = draw(st.sets(st.integers(0, count - 1)))
    marked = draw(st.sets(st.integers(0, count - 1)))
    entities = [
        Entity(
            ref=name(i),
            kind=EntityKind.COMPONENT,
            name=f"n{i}",
            depends_on=tuple(name(b) for a, b in sorted(edges - turned) if a == i),
            dependency_of=tuple(name(a) for a, b in sorted(turned) if b == i),
            sla_ppm=slas[i],
            redundancy=Redundancy(needed=1, members=2) if i in pools else None,
            keys={"watchkeeper.dev/instance": str(i)} if i in marked else {},
        )
        for i in range(count)
    ]
    # An edge to `count`, which does not exist, is dangling; one declared from there is not declared at all.
    return entities, {(a, b) for a, b in edges if b < count}


def closure(edges: set[tuple[int, int]]) -> set[tuple[int, int]]:
    while True:
        more = edges | {(a, d) for (a, b), (c, d) in product(edges, edges) if b == c}
        if more == edges:
            return edges
        edges = more


@LAW
@given(estates(), st.data())
def test_the_graph_is_the_naive_closure(estate, data):
    entities, edges = estate
    catalog = catalog_of(entities)
    reach = closure(set(edges))
    everyone = range(len(entities))
    for i in everyone:
        assert catalog.needs.get(name(i), ()) == tuple(sorted(name(b) for a, b in edges if a == i))
        assert catalog.needed_by.get(name(i), ()) == tuple(sorted(name(a) for a, b in edges if b == i))
        assert dependencies(catalog, name(i)) == {name(b) for a, b in reach if a == i}
    targets = data.draw(st.sets(st.sampled_from(everyone)))
    assert dependents(catalog, map(name, targets)) == {name(a) for a, b in reach if b in targets}
    assert bool(cycles(catalog)) == any(a == b for a, b in reach)
    for cycle in cycles(catalog):
        assert cycle[0] == cycle[-1]
        assert all(after in catalog.needs[before] for before, after in pairwise(cycle))
    near = neighbourhood(catalog, name(0), 1)
    assert set(near) == {name(0)} | {name(b) for a, b in edges if a == 0} | {name(a) for a, b in edges if b == 0}


@LAW
@given(estates(), st.data())
def test_the_order_of_the_files_does_not_change_the_catalogue(estate, data):
    entities, _ = estate
    assert catalog_of(entities) == catalog_of(data.draw(st.permutations(entities)))


@LAW
@given(estates(), st.data())
def test_a_better_promise_never_lowers_the_composite(estate, data):
    entities, _ = estate
    i = data.draw(st.sampled_from([i for i, e in enumerate(entities) if e.sla_ppm is not None] or [0]))
    if entities[i].sla_ppm is None:
        return
    better = msgspec.structs.replace(entities[i], sla_ppm=data.draw(st.integers(entities[i].sla_ppm, 1_000_000)))
    roots = [name(j) for j in data.draw(st.sets(st.sampled_from(range(len(entities))), min_size=1))]
    before = composite(catalog_of(entities), roots)
    after = composite(catalog_of([*entities[:i], better, *entities[i + 1 :]]), roots)
    assert 0 <= before.ppm <= after.ppm <= 1_000_000


@LAW
@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=6), st.integers(0, 7))
def test_needing_more_members_is_never_likelier(ppms, needed):
    (some, whole), (more, _) = at_least(needed, ppms), at_least(needed + 1, ppms)
    assert 0 <= more <= some <= whole
