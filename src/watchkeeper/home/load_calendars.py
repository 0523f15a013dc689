"""calendars/calendars.yaml: which `.ics` closes what, and what holds when it cannot be read.

```yaml
- name: year-end
  file: year-end.ics
  kind: freeze
  scope: {environment: prod}
  zone: Europe/Berlin
- name: cab
  url: https://calendar.example/changes.ics
  bearer: secret:calendar
  kind: freeze
  scope: {system: payments}
  every: 15m
  when_unreadable: last_known
  max_age: 24h
```
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.entity import resolve
from watchkeeper.documents import Fields, Kind, Node, Problem, ProblemSeverity, refuse_credentials, suggestion, wrong
from watchkeeper.home.calendar import AGE_MAX_MS, READ_EVERY_MS, Calendar, CalendarKind, WhenUnreadable
from watchkeeper.home.exclusion import Scope
from watchkeeper.home.ics import read_ics
from watchkeeper.home.load_exclusions import REFERENCES
from watchkeeper.home.load_notify import secret_of

NAME: Final = "calendars/calendars.yaml"
FOLDER: Final = "calendars/"
CALENDARS_MAX: Final = 200
SCOPE: Final = ("environment", "system", "region", "kind", "tier", "entity", "service", "rule")
EVERY_LEAST_MS: Final = 10_000
EVERY_MOST_MS: Final = 86_400_000
AGE_MOST_MS: Final = 90 * 86_400_000
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FILE: Final = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*\.ics")
_URL: Final = re.compile(r"https?://[^\s/@]+(?:/\S*)?|(?:secret|env):[A-Za-z0-9_./-]{1,128}")


def load_calendars(
    documents: Sequence[Node],
    files: Mapping[str, bytes],
    catalog: Catalog,
    rules: Mapping[str, object],
    problems: list[Problem],
) -> tuple[Calendar, ...]:
    """The calendars that could be read, with the content of their files. The file is one list."""
    found: dict[str, Calendar] = {}
    for extra in documents[1:]:
        wrong(problems, extra, "", f"a second document: {NAME} holds one list")
    for root in documents[:1]:
        refuse_credentials(root, problems)
        if root.kind is not Kind.LIST:
            wrong(problems, root, "", f"expected a list of calendars, got {root}", expected="a list")
            continue
        if len(root.items) > CALENDARS_MAX:
            wrong(problems, root, "", f"holds {len(root.items)} calendars, more than {CALENDARS_MAX}")
        for position, item in enumerate(root.items[:CALENDARS_MAX]):
            fields = Fields(item, problems, f"[{position}]")
            if item.kind is not Kind.MAPPING:
                continue
            calendar = _calendar(fields, files, catalog, rules, problems)
            if calendar.name in found:
                fields.wrong("name", f"the name {calendar.name!r} stands twice")
            found.setdefault(calendar.name, calendar)
    _unmapped(files, found, problems)
    return tuple(found.values())


def _calendar(
    fields: Fields,
    files: Mapping[str, bytes],
    catalog: Catalog,
    rules: Mapping[str, object],
    problems: list[Problem],
) -> Calendar:
    file = fields.text("file", pattern=_FILE, expected="the path of an .ics beside this file, such as year-end.ics")
    url = fields.text(
        "url", pattern=_URL, expected="an address such as https://calendar.example/cab.ics, or secret:NAME"
    )
    if bool(file) == bool(url) and fields.has("file") is fields.has("url"):
        fields.wrong("file", "name either a `file` or a `url`")
    zone = fields.text("zone", default="UTC")
    zoned = _zoned(fields, zone)
    kind = fields.choice("kind", CalendarKind, required=True) or CalendarKind.FREEZE
    reference = secret_of(fields, "url") if url.startswith(("secret:", "env:")) else None
    found = Calendar(
        name=fields.text("name", required=True, pattern=_NAME, expected="a name in lower case, such as year-end"),
        kind=kind,
        scope=_scope(fields, catalog, rules),
        file=f"{FOLDER}{file}" if file else "",
        url="" if reference is not None else url,
        url_secret=reference,
        bearer=secret_of(fields, "bearer"),
        zone=zone,
        when_unreadable=fields.choice("when_unreadable", WhenUnreadable, default=WhenUnreadable.HOLD),
        max_age_ms=fields.duration("max_age", default=AGE_MAX_MS, least=60_000, most=AGE_MOST_MS),
        every_ms=fields.duration("every", default=READ_EVERY_MS, least=EVERY_LEAST_MS, most=EVERY_MOST_MS),
        body=files.get(f"{FOLDER}{file}", b"") if file else b"",
    )
    if file:
        for name in ("every", "max_age", "bearer", "when_unreadable"):
            if fields.has(name):
                fields.wrong(name, "goes with a `url` only: a file is part of what is applied, and is always there")
        if zoned:
            _content(fields, found, files, problems)
    elif found.max_age_ms < found.every_ms:
        fields.wrong("max_age", "is less than `every`: it would be too old before it is read again")
    fields.done()
    return found


def _zoned(fields: Fields, zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fields.wrong("zone", f"no time zone is called {zone!r}; write for example Europe/Berlin or UTC")
        return False
    return True


def _content(fields: Fields, calendar: Calendar, files: Mapping[str, bytes], problems: list[Problem]) -> None:
    if calendar.file not in files:
        others = [path.removeprefix(FOLDER) for path in files if path.endswith(".ics")]
        fields.wrong("file", f"there is no {calendar.file}{suggestion(calendar.file.removeprefix(FOLDER), others)}")
        return
    _, told = read_ics(calendar.body, calendar.zone)
    problems += [
        Problem(file=calendar.file, line=line, column=1 if line else 0, field="", message=message)
        for line, message in told
    ]


def _scope(fields: Fields, catalog: Catalog, rules: Mapping[str, object]) -> Scope:
    """Without one, or an empty one: everything. A freeze may well close everything; that is not said by accident."""
    child = fields.child("scope", required=True)
    if child is None:
        return Scope()
    found: dict[str, str] = {}
    for name in SCOPE:
        text = child.text(name)
        if not text:
            continue
        if name in REFERENCES:
            try:
                text = resolve(text, kind=REFERENCES[name])
            except ValueError as why:
                child.wrong(name, str(why))
            if text not in catalog.entities:
                child.wrong(
                    name,
                    f"{text} is not in the catalogue: this would close nothing{suggestion(text, catalog.entities)}",
                )
        elif name == "rule" and text not in rules:
            child.wrong(name, f"no rule is called {text!r}{suggestion(text, rules)}")
        elif name in {"environment", "region", "tier"} and not any(
            getattr(entity, name, "") == text for entity in catalog.entities.values()
        ):
            child.warn(name, f"no entity of the catalogue has {name} {text!r}: this closes nothing yet")
        found[name] = text
    child.done()
    return Scope(**found)


def _unmapped(files: Mapping[str, bytes], found: Mapping[str, Calendar], problems: list[Problem]) -> None:
    named = {calendar.file for calendar in found.values()}
    problems += [
        Problem(
            file=path,
            line=0,
            column=0,
            field="",
            message=f"no entry of {NAME} names this file, so it closes nothing",
            severity=ProblemSeverity.WARNING,
        )
        for path in sorted(files)
        if path.startswith(FOLDER) and path.endswith(".ics") and path not in named
    ]
