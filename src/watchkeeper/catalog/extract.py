"""The part of the catalogue that a decision looks at, small enough to be recorded with it."""

from collections.abc import Iterable

from msgspec import Struct

from watchkeeper.catalog.catalog import Catalog, domains_of
from watchkeeper.catalog.entity import Automation, Entity, EntityKind, Honour, Reach
from watchkeeper.values import Labels


class Facts(Struct, frozen=True, kw_only=True):
    """An entity as guards and conditions see it. `digest` is the entity's: it changes when anything about it does."""

    ref: str
    kind: EntityKind
    name: str
    digest: str
    namespace: str = ""
    type: str = ""
    lifecycle: str = ""
    owner: str = ""
    system: str = ""
    domain: str = ""
    environment: str = ""
    region: str = ""
    tier: str = ""
    sla_ppm: int | None = None
    automation: Automation = Automation.REALTIME
    reach: Reach | None = None
    attrs: Labels = {}
    address: tuple[str, ...] = ()
    honours: tuple[Honour, ...] = ()
    status_probe: str = ""


class Slice(Struct, frozen=True, kw_only=True):
    """Facts in reference order. `missing` are references that the catalogue does not hold."""

    catalog: str
    entities: tuple[Facts, ...]
    missing: tuple[str, ...] = ()

    def find(self, ref: str) -> Facts | None:
        return next((facts for facts in self.entities if facts.ref == ref), None)


def facts_of(catalog: Catalog, entity: Entity) -> Facts:
    return Facts(
        ref=entity.ref,
        kind=entity.kind,
        name=entity.name,
        digest=entity.digest,
        namespace=entity.namespace,
        type=entity.type,
        lifecycle=entity.lifecycle,
        owner=entity.owner,
        system=entity.system,
        domain=next(iter(domains_of(catalog, entity)), ""),
        environment=entity.environment,
        region=entity.region,
        tier=entity.tier,
        sla_ppm=entity.sla_ppm,
        automation=entity.automation,
        reach=entity.reach,
        attrs=entity.attrs,
        address=entity.address,
        honours=entity.honours,
        status_probe=entity.status_probe,
    )


def slice_of(catalog: Catalog, refs: Iterable[str]) -> Slice:
    """The facts of `refs` (canonical), each once, and which of them are not known."""
    wanted = sorted(set(refs))
    return Slice(
        catalog=catalog.digest,
        entities=tuple(facts_of(catalog, catalog.entities[ref]) for ref in wanted if ref in catalog.entities),
        missing=tuple(ref for ref in wanted if ref not in catalog.entities),
    )


def target_of(facts: Facts) -> dict[str, str]:
    """What an expression sees as `target`: the attributes, and the fixed words, which no attribute can bear.

    `env` and `environment` are one thing. Absent is empty.
    """
    return {
        **facts.attrs,
        "ref": facts.ref,
        "kind": facts.kind.value,
        "name": facts.name,
        "namespace": facts.namespace,
        "type": facts.type,
        "lifecycle": facts.lifecycle,
        "owner": facts.owner,
        "system": facts.system,
        "env": facts.environment,
        "environment": facts.environment,
        "region": facts.region,
        "tier": facts.tier,
    }
