"""From a signal to its place in the catalogue: the entity that its labels name, and what lies around it."""

from watchkeeper.catalog.catalog import Catalog, by_alias
from watchkeeper.correlate.alert import Alert, Mapped
from watchkeeper.guards.situation import AlertFacts
from watchkeeper.signals.signal import Signal, Source


def mapped_of(signal: Signal | Alert | AlertFacts, source: Source, catalog: Catalog) -> Mapped:
    """The first of the source's `entity_from` labels whose value equals an entity's name or alias (SEMANTICS 1)."""
    for label in source.entity_from:
        value = signal.labels.get(label, "")
        if value and (entity := by_alias(catalog, value)) is not None:
            return Mapped(
                entity=entity.ref,
                system=entity.system,
                environment=entity.environment,
                region=entity.region,
                tier=entity.tier,
                parents=catalog.needs.get(entity.ref, ()),
                stale_after_ms=source.stale_after_ms,
            )
    return Mapped(stale_after_ms=source.stale_after_ms)
