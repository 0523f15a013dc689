"""Composite availability: serial, redundant, and whether an objective can be met."""

from fractions import Fraction

import pytest

from watchkeeper.catalog.availability import Feasibility, at_least, can_meet, composite
from watchkeeper.catalog.catalog import catalog_of
from watchkeeper.catalog.entity import Entity, EntityKind, Redundancy, ref_of

INSTANCE = "watchkeeper.dev/instance"


def c(name: str) -> str:
    return ref_of("component", "default", name)


def service(
    name: str, sla_ppm: int | None = None, *needs: str, kind: EntityKind = EntityKind.COMPONENT, **more: object
) -> Entity:
    ref = ref_of(kind, "default", name)
    return Entity(ref=ref, kind=kind, name=name, sla_ppm=sla_ppm, depends_on=tuple(c(need) for need in needs), **more)


def test_serial_promises_multiply_and_round_down():
    catalog = catalog_of([service("a", 999_000, "b", "c"), service("b", 999_000), service("c", 995_000)])
    found = composite(catalog, [c("a")])
    assert found.ppm == 993_010  # 0.999 * 0.999 * 0.995 = 0.993010995
    assert [(term.ref, term.ppm) for term in found.terms] == [(c("c"), 995_000), (c("a"), 999_000), (c("b"), 999_000)]
    assert found.weakest.ref == c("c")


def test_a_shared_dependency_fails_once():
    catalog = catalog_of(
        [service("a", None, "b", "c"), service("b", None, "d"), service("c", None, "d"), service("d", 990_000)]
    )
    assert composite(catalog, [c("a"), c("b")]).ppm == 990_000


def test_nothing_relied_on_is_always_there_and_silence_is_listed():
    catalog = catalog_of([service("a", None, "b"), service("b", 999_000)])
    assert composite(catalog, []).ppm == 1_000_000
    assert composite(catalog, []).weakest is None
    assert composite(catalog, [c("a")]).undeclared == (c("a"),)


def test_a_redundant_service_without_described_members_is_so_many_of_itself():
    catalog = catalog_of([service("a", 900_000, redundancy=Redundancy(needed=1, members=3))])
    assert composite(catalog, [c("a")]).ppm == 999_000  # 1 - 0.1^3
    catalog = catalog_of([service("a", 900_000, redundancy=Redundancy(needed=2, members=3))])
    assert composite(catalog, [c("a")]).ppm == 972_000  # 3 * 0.9^2 * 0.1 + 0.9^3


def test_described_members_stand_in_the_group_and_what_they_need_is_serial():
    catalog = catalog_of(
        [
            service("top", None, "pool"),
            service("pool", 999_000, redundancy=Redundancy(needed=1, members=2)),
            *(service(f"m{i}", 900_000, "db", keys={INSTANCE: str(i)}, dependency_of=(c("pool"),)) for i in (1, 2)),
            service("db", 995_000),
        ]
    )
    found = composite(catalog, [c("top")])
    assert found.ppm == 984_064  # (1 - 0.1^2) * 0.999 * 0.995 = 0.98406495
    pool = next(term for term in found.terms if term.ref == c("pool"))
    assert (pool.members, pool.ppm) == ((c("m1"), c("m2")), 989_010)
    assert found.undeclared == (c("top"),)


def test_a_system_of_instances_is_redundant_too():
    system = ref_of("system", "default", "pool")
    catalog = catalog_of(
        [
            service("pool", kind=EntityKind.SYSTEM, redundancy=Redundancy(needed=1, members=2)),
            *(service(f"m{i}", 900_000, keys={INSTANCE: str(i)}, system=system) for i in (1, 2)),
        ]
    )
    assert composite(catalog, [system]).ppm == 990_000


def test_a_member_that_somebody_needs_by_itself_counts_in_full():
    members = [service(f"m{i}", 900_000, keys={INSTANCE: str(i)}, dependency_of=(c("pool"),)) for i in (1, 2)]
    pool = service("pool", None, redundancy=Redundancy(needed=1, members=2))
    catalog = catalog_of([service("top", None, "pool", "m1"), pool, *members])
    assert composite(catalog, [c("top")]).ppm == 891_000  # 0.99 * 0.9
    assert composite(catalog, [c("pool"), c("m2")]).ppm == 891_000


def test_a_member_that_promises_nothing_is_listed():
    members = [
        service(f"m{i}", sla, keys={INSTANCE: str(i)}, dependency_of=(c("pool"),))
        for i, sla in ((1, None), (2, 900_000))
    ]
    catalog = catalog_of([service("pool", redundancy=Redundancy(needed=2, members=2)), *members])
    found = composite(catalog, [c("pool")])
    assert (found.ppm, found.undeclared) == (900_000, (c("m1"),))


@pytest.mark.parametrize(
    ("needed", "exact"), [(0, Fraction(1)), (1, Fraction(98, 100)), (2, Fraction(72, 100)), (3, 0)]
)
def test_k_of_n_with_unlike_members_is_exact(needed, exact):
    assert Fraction(*at_least(needed, [900_000, 800_000])) == exact


def test_an_objective_on_both_sides_of_what_is_promised():
    catalog = catalog_of([service("a", 999_000, "b"), service("b", 995_000)])
    meets, cannot = (can_meet(catalog, [c("a")], ppm) for ppm in (994_005, 994_006))
    assert meets.feasibility is Feasibility.MEETS
    assert meets.reason == "what is relied on promises 99.4005% together, at least 99.4005%"
    assert cannot.feasibility is Feasibility.CANNOT
    assert cannot.weakest == c("b")
    assert cannot.reason == (
        "what is relied on promises 99.4005% together, less than 99.4006%: "
        "the weakest is component:default/b with 99.5%"
    )


def test_a_need_that_promises_nothing_is_unknown_unless_the_rest_already_falls_short():
    catalog = catalog_of([service("a"), service("b", 990_000), service("c", 999_900, "a")])
    unknown = can_meet(catalog, [c("a")], 999_000)
    assert (unknown.feasibility, unknown.weakest) == (Feasibility.UNKNOWN, c("a"))
    assert unknown.reason == "component:default/a declares no SLA: set watchkeeper.dev/sla on it"
    assert can_meet(catalog, [c("a"), c("b")], 999_000).feasibility is Feasibility.CANNOT
    missing = can_meet(catalog, [c("x")], 999_000)
    assert (missing.feasibility, missing.reason) == (Feasibility.UNKNOWN, "component:default/x is not in the catalogue")
    assert can_meet(catalog, [c("c")], 999_000).feasibility is Feasibility.MEETS  # silence further down is only listed
    assert can_meet(catalog, [], 999_000).feasibility is Feasibility.MEETS


def test_a_systems_list_of_its_parts_does_not_make_members_serial():
    system = ref_of("system", "default", "all")
    catalog = catalog_of(
        [
            service("pool", redundancy=Redundancy(needed=1, members=2), system=system),
            *(service(f"m{i}", 900_000, keys={INSTANCE: str(i)}, part_of=c("pool"), system=system) for i in (1, 2)),
            service("all", kind=EntityKind.SYSTEM),
        ]
    )
    assert composite(catalog, [system]).ppm == 990_000
