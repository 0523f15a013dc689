"""Where a target query can lead, case by case; that the proof is true in general is a property test."""

import pytest
from packs_material import COMPILER

from watchkeeper.catalog.catalog import catalog_of
from watchkeeper.catalog.entity import Entity, EntityKind, ref_of
from watchkeeper.guards.cover import covers
from watchkeeper.home.cover import place_of
from watchkeeper.home.exclusion import Exclusion, Scope, State, state_of
from watchkeeper.home.reach import led_by
from watchkeeper.packs.rule import TargetQuery
from watchkeeper.packs.scope import RULE_TARGET
from watchkeeper.values import instant


def entity(name, kind=EntityKind.COMPONENT, **more):
    return Entity(ref=ref_of(kind, "default", name), kind=kind, name=name, **more)


CATALOG = catalog_of(
    [
        entity("web", aliases=("www",), system="system:default/shop", keys={"watchkeeper.dev/zone": "z1"}),
        entity("cart", keys={"watchkeeper.dev/zone": "z1"}),
        entity("shop", EntityKind.SYSTEM),
        entity("ops", EntityKind.GROUP),
    ]
)
WEB, SHOP, OPS = (
    CATALOG.entities[ref] for ref in ("component:default/web", "system:default/shop", "group:default/ops")
)


def look(annotation, source="alert.labels.x", **more):
    return TargetQuery(annotation=annotation, value=COMPILER.compile(source, RULE_TARGET, "string"), **more)


@pytest.mark.parametrize(
    ("query", "found", "value"),
    [
        (TargetQuery(), WEB, "component:default/web"),
        (TargetQuery(), OPS, None),  # no alert names a group
        (look("name"), OPS, "ops"),  # a look-up finds it
        (look("watchkeeper.dev/alias"), WEB, "www"),
        (look("watchkeeper.dev/instance"), WEB, None),
        (look("watchkeeper.dev/zone"), WEB, None),  # two bear it, and one may be the target
        (look("watchkeeper.dev/zone", most=2), WEB, "z1"),
        (look("watchkeeper.dev/zone", within={"system": "system:default/shop"}), WEB, "z1"),
        (look("name", "'web'"), WEB, "web"),
        (look("name", "'cart'"), WEB, None),  # it says the same whatever fires
        (look("name", kind="Resource"), WEB, None),
        (TargetQuery(within={"environment": "prod"}), WEB, None),
    ],
)
def test_where_a_query_leads(query, found, value):
    assert led_by(query, found, CATALOG) == value


@pytest.mark.parametrize("system", ["system:default/shop", "shop"])
def test_what_is_said_of_a_system_is_said_of_the_system_itself_too(system):
    assert covers(Scope(system=system), "", place_of(SHOP, CATALOG))
    assert covers(Scope(system=system), "", place_of(WEB, CATALOG))
    assert not covers(Scope(system=system), "", place_of(OPS, CATALOG))


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("2025-12-31T23:59:59Z", State.PLANNED),
        ("2026-01-01T00:00:00Z", State.IN_FORCE),
        ("2026-05-31T23:59:59Z", State.IN_FORCE),
        ("2026-06-01T00:00:00Z", State.REVIEW_DUE),
        ("2026-12-30T23:59:59Z", State.REVIEW_DUE),
        ("2026-12-31T00:00:00Z", State.EXPIRED),
    ],
)
def test_an_exclusion_stands_by_its_dates(at, state):
    exclusion = Exclusion(
        id="X-1",
        scope=Scope(system="shop"),
        control="c",
        reason="r",
        owner="o",
        approver="a",
        from_at=instant("2026-01-01T00:00:00Z"),
        review_at=instant("2026-06-01T00:00:00Z"),
        until_at=instant("2026-12-31T00:00:00Z"),
    )
    assert state_of(exclusion, instant(at)) is state
