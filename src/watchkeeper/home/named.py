"""Whether what scenarios name exists in their home: a test about nothing would pass or fail for the wrong reason."""

from collections.abc import Collection, Iterable, Mapping

from watchkeeper.catalog import graph
from watchkeeper.catalog.catalog import Catalog, by_alias, by_ref
from watchkeeper.catalog.entity import Entity
from watchkeeper.documents import Problem, suggestion
from watchkeeper.home.calendar import Calendar
from watchkeeper.home.settings import Settings
from watchkeeper.home.slo import BURN_WINDOWS, Slo
from watchkeeper.packs.given import Mention, Named
from watchkeeper.packs.rule import Rule
from watchkeeper.packs.rulebook import Rulebook


def entity_of(catalog: Catalog, name: str) -> Entity | None:
    """As people write it: a reference, a name, an alias."""
    return by_ref(catalog, catalog.named.get(name, name)) or by_alias(catalog, name)


def regions_of(settings: Settings, catalog: Catalog, rules: Iterable[Rule]) -> frozenset[str]:
    """Every region that a home knows of: of its sources, its entities, and those that rules ask."""
    found = {each.source.region for each in settings.sources.values()}
    found |= {poll.probe.region for poll in settings.polls} | {beat.region for beat in settings.heartbeats}
    found |= {entity.region for entity in catalog.entities.values()}
    found |= {name for rule in rules if rule.regions is not None for name in rule.regions.of}
    return frozenset(found - {""})


def named(
    mentions: Iterable[Mention],
    catalog: Catalog,
    settings: Settings,
    rulebook: Rulebook,
    slos: Mapping[str, Slo],
    calendars: Iterable[Calendar],
    problems: list[Problem],
) -> None:
    """A problem for each name that is nothing here."""
    listed = tuple(mentions)
    if not listed:
        return
    words: dict[Named, Collection[str]] = {
        Named.SLO: slos,
        Named.BURN: BURN_WINDOWS,
        Named.REGION: regions_of(settings, catalog, rulebook.rules.values()),
        Named.GROUP: {each.source.group for each in settings.sources.values()},
        Named.RULE: rulebook.rules,
        Named.RUNBOOK: rulebook.runbooks,
        Named.CALENDAR: {each.name for each in calendars if each.remote},
    }
    of_files = {each.name for each in calendars if not each.remote}
    with_slo = {slo.entity for slo in slos.values()}
    for each in listed:
        if each.what in words:
            why = "" if each.name in words[each.what] else _unknown(each, words[each.what])
            if each.what is Named.CALENDAR and each.name in of_files:
                why = f"the calendar {each.name} is a file of this home, which can always be read: what it says is played at the scenario's time"
        else:
            why = _entity(each, catalog, with_slo)
        if why:
            problems.append(Problem(file=each.file, line=each.line, column=each.column, field=each.field, message=why))


def _unknown(mention: Mention, known: Collection[str]) -> str:
    hint = suggestion(mention.name, known)
    if not hint:
        there = ", ".join(sorted(known)[:8])
        hint = f": there are {there}" if there else ": this home has none"
    return f"there is no {mention.what.value} {mention.name!r} here{hint}"


def _entity(mention: Mention, catalog: Catalog, with_slo: Collection[str]) -> str:
    found = entity_of(catalog, mention.name)
    if found is None:
        return f"no entity {mention.name!r} in the catalogue{suggestion(mention.name, catalog.named)}"
    if mention.what is Named.ENTITY:
        return ""
    services = [each for each in graph.services_of(catalog, found.ref) if each != found.ref]
    if services:
        return f"{mention.name} is an instance of {services[0]}: name the service, which is what is measured"
    if mention.what is Named.SERVICE_WITH_SLO and found.ref not in with_slo:
        return f"{mention.name} has no SLO, so it has no error budget: write one in slos/, or leave this out"
    return ""
