"""What a scope covers: which entities a stop, hold, freeze, exclusion or maintenance is about.

One function answers for the guards, which see resolved targets, and for the static proof, which sees the catalogue:
what is proven out of reach is out of reach of the same words.
"""

from typing import Final, Protocol

from msgspec import Struct

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.entity import Entity, EntityKind
from watchkeeper.catalog.graph import services_of
from watchkeeper.home.exclusion import Scope

EVERYTHING: Final = Scope()


class Placed(Protocol):
    """What of a target a scope looks at. `service` is the one it belongs to; what belongs to none stands for itself."""

    @property
    def ref(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def tier(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def service(self) -> str: ...


class Place(Struct, frozen=True, kw_only=True):
    """An entity as scopes see it. Satisfies `Placed`."""

    ref: str
    name: str
    kind: str
    environment: str = ""
    region: str = ""
    tier: str = ""
    system: str = ""
    service: str = ""


def place_of(entity: Entity, catalog: Catalog) -> Place:
    return Place(
        ref=entity.ref,
        name=entity.name,
        kind=entity.kind.value,
        environment=entity.environment,
        region=entity.region,
        tier=entity.tier,
        system=entity.system,
        service=service_of(entity, catalog),
    )


def service_of(entity: Entity, catalog: Catalog) -> str:
    """The service that an entity is a member of, the first when there are several; itself when there is none."""
    services = services_of(catalog, entity.ref)
    return services[0] if services else entity.ref


def covers(scope: Scope, rule: str, target: Placed) -> bool:
    """All given fields agree; an absent attribute equals "" (SEMANTICS 8), so it agrees with no given field.

    `entity` and `service` also cover what belongs to the service: excluding a service excludes its instances.
    """
    if scope == EVERYTHING:
        return True
    return (
        (not scope.entity or about(scope.entity, target))
        and (not scope.service or about(scope.service, target))
        and (not scope.environment or scope.environment == target.environment)
        and (not scope.system or _lies_in(scope.system, target))
        and (not scope.region or scope.region == target.region)
        and (not scope.kind or scope.kind.lower() == target.kind.lower())
        and (not scope.tier or scope.tier == target.tier)
        and (not scope.rule or scope.rule == rule)
    )


def _lies_in(system: str, target: Placed) -> bool:
    """A system lies in itself: what is said of a system is said of the entity that stands for it, too."""
    if system in {target.system, bare(target.system)}:
        return True
    return target.kind == EntityKind.SYSTEM and system in {target.ref, target.name}


def about(name: str, target: Placed) -> bool:
    """Whether a reference or bare name is the target, or the service that it belongs to.

    A name without its kind and namespace counts as whatever it names: a limit covers too much rather than too little.
    """
    return name in {target.ref, target.name, target.service} or name == bare(target.service)


def bare(ref: str) -> str:
    """`component:default/payments-api` -> `payments-api`."""
    return ref.rpartition("/")[2].rpartition(":")[2]
