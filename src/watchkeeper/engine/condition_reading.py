"""How things are, for people to read: the condition of what is made of parts, and what keeps automation off.

Guards do not read this: they ask about the targets of a proposal, by the same scopes.
"""

from collections.abc import Mapping
from typing import Any

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.condition import Composition, Conditions, Seen, composition, sentence
from watchkeeper.catalog.entity import Automation, Entity
from watchkeeper.catalog.outline import Outline, outline
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.vitals import UNSEEN
from watchkeeper.engine.windows import windows_of
from watchkeeper.guards.breaker import CLOSED
from watchkeeper.guards.situation import Freeze, Health, Scope
from watchkeeper.home.cover import Place, covers, place_of
from watchkeeper.learn.breaker import standing

View = dict[str, Any]


class Estate:
    """What a catalogue is made of, worked out once for each that becomes active."""

    def __init__(self) -> None:
        self._for: Catalog | None = None
        self._made = Composition(parts={}, needs={}, needed={})
        self._drawn: Outline | None = None

    def of(self, catalog: Catalog) -> Composition:
        if self._for is not catalog:
            self._for, self._made, self._drawn = catalog, composition(catalog), None
        return self._made

    def outline(self, catalog: Catalog) -> Outline:
        made = self.of(catalog)
        if self._drawn is None:
            self._drawn = outline(catalog, made)
        return self._drawn


class Look:
    """One look at everything, at one moment: for the entities that one answer shows."""

    def __init__(self, engine: Engine, estate: Estate) -> None:
        self._engine, self._now = engine, engine.scribe.clock.now()
        self._world = engine.world
        self._catalog = engine.world.configuration.catalog
        self._made = estate.of(self._catalog)
        self._conditions = Conditions(self._made, self._seen)
        world, now = self._world, self._now
        self._scoped: list[tuple[Scope, View]] = [
            *[(each.scope, _stop(each.id, each.by, each.reason)) for each in world.stops.values() if not each.lifted_at],
            *[
                (each.scope, {"kind": "exclusion", "id": each.id, "until_at": None, "by": each.owner, "why": each.reason})
                for each in world.configuration.exclusions
                if each.from_at <= now
            ],
            *[(each.scope, _limit("freeze", each)) for each in world.freezes.values() if _in_force(each, now)],
            *[
                (each.scope, {"kind": "hold", "id": each.id, "until_at": each.until_at, "by": each.by, "why": each.reason})
                for each in world.holds.values()
                if each.lifted_at is None and now < each.until_at
            ],
        ]  # fmt: skip

    def health(self, ref: str) -> View:
        """As the guards see it: by alerts and by probes that are fresh."""
        seen = self._world.health.of(ref, self._now)
        failing = bool(self._world.failing.get(ref))
        return {"is": "unhealthy" if failing else seen.health.value, "at": seen.at, "why": seen.why}

    def condition(self, ref: str) -> View:
        """Of the whole: its parts, and what it needs, counted in."""
        found = self._conditions.of(ref)
        names = [self._catalog.entities[each].name for each in found.because]
        return {
            "is": found.level.value,
            "why": sentence(found, names),
            "parts": found.parts,
            "healthy": found.healthy,
            "degraded": found.degraded,
            "failing": found.failing,
            "unknown": found.unknown,
            "because": list(found.because),
            "of": list(self._made.parts.get(ref, ())),
        }

    def parts(self, ref: str) -> tuple[str, ...]:
        return self._made.parts.get(ref, ())

    def run(self, ref: str) -> str:
        """The run that works on it, or on a part of it; "" without one."""
        busy = self._world.busy
        return next((busy[each] for each in (ref, *self._made.parts.get(ref, ())) if each in busy), "")

    def limits(self, entity: Entity) -> list[View]:
        """What keeps automation off an entity now: a stop, an exclusion, freezes, holds, its breakers, or that it has no
        automation at all.
        """
        place: Place = place_of(entity, self._catalog)
        found = [view for scope, view in self._scoped if covers(scope, "", place)]
        if self._world.calendars:
            windows = windows_of(self._world.calendars, lambda scope: covers(scope, "", place), self._now)
            found += [_limit("freeze", each) for each in windows.freezes if _in_force(each, self._now)]
        if entity.automation is Automation.NONE:
            found.append(_bare("no_automation", "The catalogue says that it has no automation."))
        for circuit in self._world.circuits_of(entity.ref):
            if circuit.state != CLOSED:
                state = standing(circuit, self._now)
                view = _bare(
                    "breaker", f"{circuit.action} kept failing here: its breaker is {state.replace('_', ' ')}."
                )
                found.append({**view, "id": circuit.id, "until_at": circuit.until_at})
        return found

    def _seen(self, ref: str) -> Seen:
        if self._world.failing.get(ref):
            return Seen.UNHEALTHY
        found = self._world.health.of(ref, self._now)
        if found == UNSEEN:
            return Seen.UNWATCHED
        return SEEN[found.health]


SEEN: Mapping[Health, Seen] = {
    Health.HEALTHY: Seen.HEALTHY,
    Health.UNHEALTHY: Seen.UNHEALTHY,
    Health.UNKNOWN: Seen.SILENT,
}


def _in_force(freeze: Freeze, now: Any) -> bool:
    return bool(freeze.lifted_at is None and freeze.from_at <= max(now, freeze.at) and now < freeze.until_at)


def _limit(kind: str, freeze: Freeze) -> View:
    return {"kind": kind, "id": freeze.id, "until_at": freeze.until_at, "by": freeze.by, "why": freeze.reason}


def _stop(identity: str, by: str, reason: str) -> View:
    return {"kind": "stop", "id": identity, "until_at": None, "by": by, "why": reason}


def _bare(kind: str, why: str) -> View:
    return {"kind": kind, "id": "", "until_at": None, "by": "", "why": why}
