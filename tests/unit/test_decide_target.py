"""Targets: resolved by index, counted, never empty, never outside the rule's bound."""

from typing import Any

import pytest
from msgspec import Struct

from watchkeeper.catalog.catalog import catalog_of
from watchkeeper.catalog.entity import Automation, Entity, EntityKind, Honour, Reach
from watchkeeper.decide.target import NoTarget, Subject, Why, targets_of
from watchkeeper.guards.situation import Target
from watchkeeper.packs.expression import Answer, Broken, Known, Unknown
from watchkeeper.packs.rule import TargetQuery

INSTANCE = "watchkeeper.dev/instance"
PRODUCTION = {"prod": True, "staging": False}


class Says(Struct, frozen=True):
    source: str
    answer: Answer
    references: tuple[tuple[str, ...], ...] = ()

    def evaluate(self, bindings: Any) -> Answer:
        return self.answer


def an_instance(name, **fields):
    return Entity(
        **{
            "ref": f"resource:default/{name}",
            "kind": EntityKind.RESOURCE,
            "name": name,
            "system": "system:default/payments",
            "environment": "prod",
            "keys": {INSTANCE: name, "watchkeeper.dev/zone": "a", "watchkeeper.dev/pool": "blue"},
            "dependency_of": ("component:default/payments-api",),
            "digest": name * 2,
            **fields,
        }
    )


CATALOG = catalog_of(
    [
        Entity(
            ref="component:default/payments-api", kind=EntityKind.COMPONENT, name="payments-api", environment="prod"
        ),
        Entity(ref="system:default/payments", kind=EntityKind.SYSTEM, name="payments", domain="domain:default/money"),
        Entity(ref="domain:default/money", kind=EntityKind.DOMAIN, name="money"),
        an_instance(
            "api-1",
            reach=Reach.SSH,
            automation=Automation.DELAYED,
            region="eu-west",
            tier="gold",
            owner="group:default/sre",
            attrs={"unit": "api.service", "host": "10.0.0.1"},
            address=("host",),
            honours=(Honour.FENCING_TOKEN,),
        ),
        an_instance("api-2", environment="staging"),
        an_instance("api-3", environment="lab"),
        Entity(ref="resource:default/disk", kind=EntityKind.RESOURCE, name="disk"),
    ]
)


def by(value, /, **fields):
    return TargetQuery(
        **{"annotation": INSTANCE, "value": Says("alert.labels.instance", Known(value)), "kind": "Resource", **fields}
    )


def resolved(query, entity="resource:default/api-1"):
    return targets_of(query, [Subject(entity, {})], CATALOG, PRODUCTION)


def test_the_slice_of_the_entity():
    assert resolved(by("api-1")) == (
        Target(
            ref="resource:default/api-1",
            kind="Resource",
            name="api-1",
            digest="api-1api-1",
            environment="prod",
            production=True,
            region="eu-west",
            zone="a",
            tier="gold",
            system="system:default/payments",
            service="component:default/payments-api",
            owner="group:default/sre",
            automation="delayed",
            reach="ssh",
            attributes={"unit": "api.service", "host": "10.0.0.1"},
            addresses=("host",),
            honours=("fencing-token",),
        ),
    )


def test_production_is_declared_and_otherwise_assumed():
    assert [resolved(by(name))[0].production for name in ("api-1", "api-2", "api-3")] == [True, False, True]


def test_what_belongs_to_no_service_stands_for_itself():
    (target,) = resolved(TargetQuery(), "resource:default/disk")
    assert target.service == "resource:default/disk"
    assert target.reach == ""


def test_the_alerts_own_entity():
    (target,) = resolved(TargetQuery(), "component:default/payments-api")
    assert (target.ref, target.service) == ("component:default/payments-api",) * 2


@pytest.mark.parametrize("entity", ["", "component:default/gone"])
def test_unmapped(entity):
    assert resolved(TargetQuery(), entity) == NoTarget(
        why=Why.UNMAPPED, reason="The alert names no entity of the catalogue."
    )


def test_none():
    assert resolved(by("api-9")) == NoTarget(why=Why.NONE, reason="No entity has watchkeeper.dev/instance = 'api-9'.")
    assert resolved(by("")) == NoTarget(why=Why.NONE, reason="alert.labels.instance is empty in this alert.")
    assert targets_of(by("api-1"), [], CATALOG, PRODUCTION).why is Why.NONE


@pytest.mark.parametrize(
    ("answer", "why", "reason"),
    [
        (Unknown("not read"), Why.UNKNOWN, "x is unknown: not read."),
        (Broken("no such key"), Why.BROKEN, "x is broken: no such key."),
        (Known(3), Why.BROKEN, "x gives int, where text is needed."),
        (Known(["api-1"]), Why.BROKEN, "x gives list, where text is needed."),
    ],
)
def test_a_value_that_is_no_text(answer, why, reason):
    assert resolved(by("", value=Says("x", answer))) == NoTarget(why=why, reason=reason)


POOL = {"annotation": "watchkeeper.dev/pool", "value": Says("x", Known("blue"))}


def test_one_more_than_the_rule_may_have():
    assert resolved(by("", **POOL, most=2)) == NoTarget(
        why=Why.TOO_MANY, reason="3 targets found (api-1, api-2 and api-3), and the rule may have 2.", found=3
    )
    assert [target.name for target in resolved(by("", **POOL, most=3))] == ["api-1", "api-2", "api-3"]


@pytest.mark.parametrize(
    ("within", "inside"),
    [
        ({"system": "payments"}, True),
        ({"system": "search"}, False),
        ({"domain": "money"}, True),
        ({"domain": "other"}, False),
        ({"environment": "prod"}, True),
        ({"environment": "staging"}, False),
        ({"region": "eu-west"}, True),
        ({"region": "us-east"}, False),
        ({"tier": "gold"}, True),
        ({"tier": "gold", "environment": "staging"}, False),
    ],
)
def test_the_static_bound(within, inside):
    found = resolved(by("api-1", within=within))
    assert isinstance(found, tuple) is inside


def test_outside_says_the_bound():
    found = resolved(by("api-1", within={"system": "search", "tier": "gold"}))
    assert found == NoTarget(
        why=Why.OUTSIDE,
        reason="watchkeeper.dev/instance = 'api-1' is outside the rule's bound (kind: Resource, system: search, tier: gold).",
        found=1,
    )
    own = resolved(TargetQuery(kind="component"))
    assert own.reason == "The alert's entity api-1 is outside the rule's bound (kind: component)."


def test_the_bound_narrows_before_counting():
    assert [target.name for target in resolved(by("", **POOL, within={"environment": "prod"}))] == ["api-1"]


def test_the_union_over_an_incident():
    subjects = [Subject(f"resource:default/{name}", {}) for name in ("api-2", "api-1", "api-2")]
    found = targets_of(TargetQuery(most=2), subjects, CATALOG, PRODUCTION)
    assert [target.name for target in found] == ["api-1", "api-2"]
    assert targets_of(TargetQuery(most=1), subjects, CATALOG, PRODUCTION).why is Why.TOO_MANY
    assert targets_of(TargetQuery(most=2), [*subjects, Subject("", {})], CATALOG, PRODUCTION).why is Why.UNMAPPED
