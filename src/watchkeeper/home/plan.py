"""What would change if a folder's configuration became the active one, in words.

In: the active configuration (None before the first) and the folder's. Out: a `Plan`: files, nouns, risk, and above all
what could act afterwards and could not before.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.documents import percent_text
from watchkeeper.home.calendar import Calendar
from watchkeeper.home.configuration import Configuration, highest
from watchkeeper.home.settings import Environment
from watchkeeper.packs.expression import Template
from watchkeeper.packs.rule import MODE_ORDER, Mode, Rule
from watchkeeper.packs.runbook import Runbook
from watchkeeper.packs.template import SecretUse
from watchkeeper.values import duration_text

SHOWN_CHARS_MAX: Final = 80
ENTITIES_SHOWN_MAX: Final = 200


class Did(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class Change(Struct, frozen=True, kw_only=True):
    """One noun that differs. `kind` is rule, runbook, pack, action, exclusion, calendar, transaction, slo, entity or setting;
    `words` say how.
    """

    kind: str
    name: str
    did: Did
    words: tuple[str, ...] = ()


class Plan(Struct, frozen=True, kw_only=True):
    """`acts` says what becomes able to act or to do more; `risks` which risk classes rise or fall. Empty: nothing differs."""

    active: str
    folder: str
    files: tuple[tuple[str, Did], ...]
    changes: tuple[Change, ...] = ()
    risks: tuple[str, ...] = ()
    acts: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.files


def difference(active: Configuration | None, folder: Configuration) -> Plan:
    return Plan(
        active=active.digest if active is not None else "",
        folder=folder.digest,
        files=files_differ(active.files if active is not None else {}, folder.files),
        changes=tuple(_changes(active, folder)),
        risks=tuple(_risks(active, folder)),
        acts=tuple(_acts(active, folder)),
    )


def files_differ(active: Mapping[str, str], folder: Mapping[str, str]) -> tuple[tuple[str, Did], ...]:
    """Paths whose digests differ, in path order: for "2 files differ" without compiling anything."""
    found = []
    for path in sorted({*active, *folder}):
        if path not in active:
            found.append((path, Did.ADDED))
        elif path not in folder:
            found.append((path, Did.REMOVED))
        elif active[path] != folder[path]:
            found.append((path, Did.CHANGED))
    return tuple(found)


def _changes(active: Configuration | None, folder: Configuration) -> Iterator[Change]:
    old = active
    yield from _nouns("pack", old.rulebook.packs if old else {}, folder.rulebook.packs)
    yield from _nouns("rule", old.rules if old else {}, folder.rules)
    yield from _nouns("runbook", old.rulebook.runbooks if old else {}, folder.rulebook.runbooks)
    yield from _nouns("action", old.rulebook.actions if old else {}, folder.rulebook.actions)
    yield from _nouns("exclusion", _by_id(old), _by_id(folder))
    yield from _nouns("calendar", _calendars(old), _calendars(folder))
    yield from _nouns("transaction", _by_name(old), _by_name(folder))
    yield from _nouns("slo", old.slos if old else {}, folder.slos)
    yield from _entities(old.catalog if old else None, folder.catalog)
    yield from _settings(old, folder)


def _calendars(configuration: Configuration | None) -> dict[str, Any]:
    return {each.name: each for each in configuration.calendars} if configuration is not None else {}


def _by_id(configuration: Configuration | None) -> dict[str, Any]:
    return {each.id: each for each in configuration.exclusions} if configuration is not None else {}


def _by_name(configuration: Configuration | None) -> dict[str, Any]:
    return {each.name: each for each in configuration.transactions} if configuration is not None else {}


def _nouns(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if name not in old:
            yield Change(kind=kind, name=name, did=Did.ADDED, words=_about(new[name]))
        elif name not in new:
            yield Change(kind=kind, name=name, did=Did.REMOVED)
        else:
            words = tuple(_differences(old[name], new[name]))
            if words:
                yield Change(kind=kind, name=name, did=Did.CHANGED, words=words)


def _about(noun: Any) -> tuple[str, ...]:
    match noun:
        case Rule():
            return (f"runs {noun.runbook}, as far as {highest(noun).value}{'' if noun.enabled else ', disabled'}",)
        case Calendar():
            return (f"{noun.kind.value}, {noun.file or 'read from elsewhere'}, {_shown('', noun.scope)}",)
        case Runbook():
            return (
                f"{len(noun.steps)} steps, {noun.risk.value} risk: {noun.risk_reasons[0] if noun.risk_reasons else ''}",
            )
        case _:
            return ()


def _differences(old: Any, new: Any) -> Iterator[str]:
    """One sentence a field; what only says where something stands, or repeats the rest, is left out."""
    for name in old.__struct_fields__:
        if name in {"digest", "where", "name", "pack", "risk_reasons"}:
            continue
        before, after = getattr(old, name), getattr(new, name)
        if name == "steps":
            yield from _steps(before, after)
            continue
        if isinstance(before, Struct) and type(before) is type(after):
            yield from (f"{name.removesuffix('_ms')}.{line}" for line in _differences(before, after))
            continue
        shown, instead = _shown(name, before), _shown(name, after)
        if shown != instead:
            yield f"{name.removesuffix('_ms').removesuffix('_ppm')}: {_cut(shown)} -> {_cut(instead)}"


def _steps(old: Iterable[Any], new: Iterable[Any]) -> Iterator[str]:
    before, after = {step.id: step for step in old}, {step.id: step for step in new}
    for name in [*before, *(name for name in after if name not in before)]:
        if name not in after:
            yield f"step {name}: removed"
        elif name not in before:
            yield f"step {name}: added ({_doing(after[name])})"
        else:
            yield from (
                f"step {name}: {line}" for line in _differences(before[name], after[name]) if not line.startswith("id:")
            )
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        yield f"steps: in another order: {', '.join(after)}"


def _doing(step: Any) -> str:
    return step.call.action if step.call is not None else f"{step.kind.value} {step.runbook}".strip()


def _shown(name: str, value: Any) -> str:
    """A value as a person wrote it: expressions by their source, durations and shares spelt out."""
    match value:
        case None:
            return "none"
        case bytes():
            return hashlib.sha256(value).hexdigest()[:12]
        case bool():
            return "yes" if value else "no"
        case int() if name.endswith("_ms"):
            return duration_text(value)
        case int() if name.endswith("_ppm"):
            return percent_text(value)
        case Template():
            return value.source
        case SecretUse():
            return f"secret {value.name}"
        case Struct():
            fields = ((field, _shown(field, getattr(value, field))) for field in value.__struct_fields__)
            return (
                "{"
                + ", ".join(f"{field.removesuffix('_ms')}: {text}" for field, text in fields if field != "where")
                + "}"
            )
        case dict():
            return "{" + ", ".join(f"{key}: {_shown(str(key), inner)}" for key, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_shown("", inner) for inner in value) + "]"
        case _ if hasattr(value, "source"):
            return str(value.source)
        case _:
            return str(value) or "nothing"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"


def _entities(old: Catalog | None, new: Catalog) -> Iterator[Change]:
    before = {ref: entity.digest for ref, entity in old.entities.items()} if old is not None else {}
    after = {ref: entity.digest for ref, entity in new.entities.items()}
    found = files_differ(before, after)
    for ref, did in found[:ENTITIES_SHOWN_MAX]:
        words: tuple[str, ...] = ()
        if did is Did.CHANGED and old is not None:
            one, other = old.entities[ref], new.entities[ref]
            words = tuple(line for line in _differences(one, other) if not line.startswith(("file:", "line:", "keys:")))
        yield Change(kind="entity", name=ref, did=did, words=words)
    if len(found) > ENTITIES_SHOWN_MAX:
        yield Change(kind="entity", name=f"and {len(found) - ENTITIES_SHOWN_MAX} more", did=Did.CHANGED)


def _settings(old: Configuration | None, new: Configuration) -> Iterator[Change]:
    if old is None:
        return
    for name in new.settings.__struct_fields__:
        before, after = getattr(old.settings, name), getattr(new.settings, name)
        if before != after:
            words = tuple(_differences(before, after)) if isinstance(after, Struct) else tuple(_keys(before, after))
            yield Change(kind="setting", name=name, did=Did.CHANGED, words=words)


def _keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*before, *after}, key=str):
        if key not in before:
            yield f"{key}: added"
        elif key not in after:
            yield f"{key}: removed"
        elif before[key] != after[key]:
            lines = list(_differences(before[key], after[key])) if isinstance(after[key], Struct) else []
            yield from (
                f"{key}: {line}" for line in lines or [f"{_shown('', before[key])} -> {_shown('', after[key])}"]
            )


def _risks(active: Configuration | None, folder: Configuration) -> Iterator[str]:
    old = active.rulebook.runbooks if active is not None else {}
    for name, runbook in folder.rulebook.runbooks.items():
        before = old.get(name)
        why = runbook.risk_reasons[0] if runbook.risk_reasons else ""
        if before is None:
            yield f"{name}: {runbook.risk.value} risk: {why}"
        elif before.risk is not runbook.risk:
            yield f"{name}: {before.risk.value} -> {runbook.risk.value} risk: {why}"


def _acts(active: Configuration | None, folder: Configuration) -> Iterator[str]:
    """What could act afterwards and could not before, most dangerous first to last as they are found."""
    rules = active.rulebook.rules if active is not None else {}
    for name, rule in folder.rulebook.rules.items():
        before, after = highest(rules[name]) if name in rules else Mode.OBSERVE, highest(rule)
        if MODE_ORDER.index(after) > MODE_ORDER.index(before):
            yield f"rule {name} may go as far as {after.value}" + (f", was {before.value}" if name in rules else "")
        elif name in rules and after is not Mode.OBSERVE:
            yield from (f"rule {name}: {line}" for line in _wider(rules[name], rule))
    for name, rests in folder.measured.items():
        before_review = active.measured[name].review if active is not None and name in active.measured else ()
        for metric in before_review:
            if metric in rests.on and metric not in rests.review:
                yield f"rule {name} may act on {metric} by itself: it was for manual review"
    books = active.rulebook.runbooks if active is not None else {}
    for name, runbook in folder.rulebook.runbooks.items():
        had = {_shown("", permission) for permission in books[name].permissions} if name in books else set()
        for permission in runbook.permissions:
            if name in books and _shown("", permission) not in had:
                bounds = _shown("", permission.bounds)
                yield f"runbook {name} may now use {permission.action} {bounds}"
    for identity in sorted(_by_id(active).keys() - _by_id(folder).keys()):
        yield f"exclusion {identity} is gone: what it covered is no longer kept out"
    calendars = _calendars(folder)
    for name, before_calendar in _calendars(active).items():
        after_calendar = calendars.get(name)
        if after_calendar is None:
            yield f"calendar {name} is gone: it closes nothing any more"
        elif (before_calendar.scope, before_calendar.kind) != (after_calendar.scope, after_calendar.kind):
            yield f"calendar {name} closes something else: {_shown('', after_calendar.scope)}, {after_calendar.kind.value}"
    before_environments = active.settings.environments if active is not None else {}
    for name, environment in folder.settings.environments.items():
        was = before_environments.get(name, Environment())
        if active is not None and was.production and not environment.production:
            yield f"environment {name} no longer counts as production"
        if environment.local and not was.local:
            yield f"environment {name} lets steps act on this node itself (local)"


def _wider(old: Rule, new: Rule) -> Iterator[str]:
    for name in ("match", "when", "target", "ceilings", "limits"):
        if _shown(name, getattr(old, name)) != _shown(name, getattr(new, name)):
            yield f"{name} changed: it may act where it did not"
    if old.runbook != new.runbook:
        yield f"runs {new.runbook}, was {old.runbook}"
