"""Reading what people wrote: the active configuration, its rules, runbooks and services."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from watchkeeper.catalog.catalog import by_alias, by_ref
from watchkeeper.catalog.entity import Entity, EntityKind
from watchkeeper.catalog.outline import around
from watchkeeper.engine.answer import No, missing
from watchkeeper.engine.condition_reading import Estate, Look
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.reading import Listed, View
from watchkeeper.engine.records import Activation, read
from watchkeeper.home.transaction import members_of
from watchkeeper.learn.coverage import leads_to
from watchkeeper.packs.expression import Template
from watchkeeper.packs.rule import Rule
from watchkeeper.packs.runbook import Runbook
from watchkeeper.packs.template import SecretUse
from watchkeeper.report.handbook import page

SERVICES: Final = (EntityKind.COMPONENT, EntityKind.RESOURCE, EntityKind.API, EntityKind.SYSTEM)
NEIGHBOURS_MAX: Final = 500
REFS_MAX: Final = 200  # asked for by name in one go


class HomeReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._estate = Estate()

    async def configuration(self, differing: Iterable[str]) -> View:
        """What is active, since when and by whom; and how the folder differs from it."""
        found = self._engine.world.configuration
        page = await self._engine.store.find("activation", limit=1)
        made = read(page.items[0], Activation) if page.items else None
        names = tuple(differing)
        return {
            "digest": found.digest,
            "at": made.at if made is not None else None,
            "by": made.by if made is not None else "",
            "reason": made.reason if made is not None else "",
            "previous": made.previous if made is not None else "",
            "files": found.files,
            "packs": found.packs,
            "counts": {
                "entities": len(found.catalog.entities),
                "rules": len(found.rulebook.rules),
                "runbooks": len(found.rulebook.runbooks),
                "exclusions": len(found.exclusions),
                "sources": len(found.settings.sources),
                "routes": len(found.settings.notify.routes),
            },
            "exclusions": found.exclusions,
            "folder": {"differs": len(names), "files": list(names)},
        }

    def rules(self) -> Listed:
        return Listed(items=tuple(_rule(rule) for _, rule in sorted(self._engine.world.configuration.rules.items())))

    def rule(self, name: str) -> View | No:
        found = self._engine.world.configuration.rules.get(name)
        return _rule(found) if found is not None else missing("rule", name)

    def runbooks(self) -> Listed:
        books = self._engine.world.configuration.rulebook.runbooks
        return Listed(items=tuple(_runbook(book) for _, book in sorted(books.items())))

    def runbook(self, name: str) -> View | No:
        found = self._engine.world.configuration.rulebook.runbooks.get(name)
        if found is None:
            return missing("runbook", name)
        used_by = sorted(rule.name for rule in self._engine.world.configuration.rules.values() if rule.runbook == name)
        return {
            **_runbook(found),
            "used_by": used_by,
            "handbook": page(found, self._engine.world.configuration.rulebook),
        }

    def services(self, kind: str = "", environment: str = "", refs: Sequence[str] = (), condition: str = "") -> Listed:
        """Of the whole catalogue, or only those of `refs` that are in it; `condition`: only those that are so."""
        entities = self._engine.world.configuration.catalog.entities
        look = Look(self._engine, self._estate)
        among = [entities[ref] for ref in dict.fromkeys(refs) if ref in entities] if refs else entities.values()
        found = [
            self._service(entity, look)
            for entity in among
            if entity.kind in SERVICES
            and (not kind or entity.kind.value.lower() == kind.lower())
            and (not environment or entity.environment == environment)
        ]
        kept = [each for each in found if not condition or each["condition"]["is"] == condition]
        return Listed(items=tuple(kept))

    def service(self, name: str) -> View | No:
        catalog = self._engine.world.configuration.catalog
        entity = by_ref(catalog, name) or by_alias(catalog, name)
        if entity is None:
            return missing("service", name)
        look = Look(self._engine, self._estate)
        return {
            **plain(entity),
            **self._service(entity, look),
            "needs": [_neighbour(ref, look) for ref in catalog.needs.get(entity.ref, ())[:NEIGHBOURS_MAX]],
            "needed_by": [_neighbour(ref, look) for ref in catalog.needed_by.get(entity.ref, ())[:NEIGHBOURS_MAX]],
            "parts": [_neighbour(ref, look) for ref in look.parts(entity.ref)[:NEIGHBOURS_MAX]],
            "rules": self._reaching(entity.ref),
        }

    def neighbourhood(self, name: str, hops: int) -> View | No:
        """What stands around an entity, `hops` steps either way, nearest first, at most NEIGHBOURS_MAX. An edge leads
        from who needs to what it needs; `complete` is false where the bound cut something off.
        """
        catalog = self._engine.world.configuration.catalog
        entity = by_ref(catalog, name) or by_alias(catalog, name)
        if entity is None:
            return missing("service", name)
        found = {entity.ref: None}
        complete = True
        for table in (catalog.needs, catalog.needed_by):
            edge = [entity.ref]
            for _ in range(hops):
                edge = [other for ref in edge for other in table.get(ref, ()) if other not in found]
                edge = list(dict.fromkeys(edge))
                complete = complete and len(found) + len(edge) <= NEIGHBOURS_MAX
                found |= dict.fromkeys(edge[: max(0, NEIGHBOURS_MAX - len(found))])
        look = Look(self._engine, self._estate)
        nodes = [self._service(one, look) for ref in found if (one := by_ref(catalog, ref)) is not None]
        known = {one["ref"] for one in nodes}
        edges = [(ref, other) for ref in known for other in catalog.needs.get(ref, ()) if other in known]
        return {"focus": entity.ref, "nodes": nodes, "edges": sorted(edges), "complete": complete}

    def whole_neighbourhood(self, name: str, hops: int, *, rules: bool = False) -> View | No:
        """The same with parts folded into their wholes: an edge joins services, not instances. `peers` are what its direct
        callers need beside it. `rules`: each node says which rules can be led to it.
        """
        catalog = self._engine.world.configuration.catalog
        entity = by_ref(catalog, name) or by_alias(catalog, name)
        if entity is None:
            return missing("service", name)
        look = Look(self._engine, self._estate)
        found = around(catalog, self._estate.outline(catalog), entity.ref, hops, NEIGHBOURS_MAX)
        nodes = [self._service(catalog.entities[ref], look) for ref in found.refs]
        if rules:
            nodes = [{**node, "rules": self._reaching(node["ref"])} for node in nodes]
        return {
            "focus": entity.ref,
            "nodes": nodes,
            "edges": list(found.edges),
            "complete": found.complete,
            "peers": list(found.peers),
        }

    def _service(self, entity: Entity, look: Look) -> View:
        """`health` is what guards see of it by itself, `condition` what people read of the whole."""
        return {
            "ref": entity.ref,
            "kind": entity.kind.value,
            "name": entity.name,
            "owner": entity.owner,
            "system": entity.system,
            "environment": entity.environment,
            "region": entity.region,
            "tier": entity.tier,
            "health": look.health(entity.ref),
            "alerts": sorted(self._engine.world.failing.get(entity.ref, ())),
            "type": entity.type,
            "condition": look.condition(entity.ref),
            "limits": look.limits(entity),
            "run": look.run(entity.ref),
        }

    def _reaching(self, ref: str) -> list[str]:
        """The enabled rules that can be led to an entity, or to what serves it."""
        configuration = self._engine.world.configuration
        sources = configuration.settings.sources.values()
        labels = frozenset(label for each in sources for label in each.source.entity_from)
        whole = (ref, *members_of(ref, configuration.catalog))
        return [
            name
            for name, rule in sorted(configuration.rules.items())
            if rule.enabled and any(leads_to(rule, each, configuration.catalog, labels) for each in whole)
        ]


def _neighbour(ref: str, look: Look) -> View:
    return {"ref": ref, "health": look.health(ref), "condition": look.condition(ref)}


def _rule(rule: Rule) -> View:
    found: View = plain(rule)
    return found


def _runbook(runbook: Runbook) -> View:
    found: View = plain(runbook)
    return found


def plain(value: Any) -> Any:
    """Configuration as plain values; an expression is the text that was written."""
    match value:
        case Template():
            return value.source
        case SecretUse():
            return {"secret": value.name}
        case _ if callable(getattr(value, "evaluate", None)):
            return value.source
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case set() | frozenset():
            return sorted(plain(item) for item in value)
        case msgspec.Struct():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case _:
            return value
