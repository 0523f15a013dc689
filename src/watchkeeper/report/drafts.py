"""Drafts of a home from other people's monitoring: rules that only watch, catalogue stubs, and what could not be said.

In: `Monitoring`. Out: files by path, which load without an error, and a page for the person who goes on from there. Every
rule's ceiling is observe: a draft never acts, whatever somebody grants.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from watchkeeper.report.monitoring import (
    NAMING,
    InhibitLine,
    Matcher,
    Monitoring,
    ReceiverLine,
    Untranslated,
    receiver_of,
)
from watchkeeper.report.stub import name_of, stub
from watchkeeper.values import Labels

PACK: Final = "imported"
GROUP: Final = "group:imported"
LOOK: Final = f"{PACK}/look"
NOTES: Final = "IMPORTED.md"
NAME_CHARS_MAX: Final = 60
TEXT_CHARS_MAX: Final = 300
ENTITIES_MAX: Final = 2_000
ALIKE_MAX: Final = 10  # other places named in a comment
STATIC: Final = ("severity",)  # static labels a draft matches on, beside the alert's name

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_UNFIT: Final = re.compile(r"[^a-z0-9]+")


class Drafts(Struct, frozen=True, kw_only=True):
    """`files` are new ones. `rules` and `entities` are how many were drafted."""

    files: dict[str, bytes]
    rules: int
    entities: int
    untranslated: tuple[Untranslated, ...]
    suggestions: tuple[str, ...]


def drafts(
    monitoring: Monitoring,
    *,
    owner: str = "",
    known: Collection[str] = (),
    settings: bool = False,
    grouped: bool = False,
) -> Drafts:
    """`owner` answers for what nobody is named for; without it a group `imported` is drafted. `known` are names and
    references of the catalogue that is there: they are not drafted again. `settings`: write a watchkeeper.yaml too. `grouped`: the owner's group is there already.
    """
    team = owner or GROUP
    groups = _groups(monitoring, known)
    owners = {alert: _owner(alert, monitoring, groups, team) for alert in range(len(monitoring.alerts))}
    untranslated = list(monitoring.untranslated)
    rules, files = _rules(monitoring, owners, untranslated)
    entities = dict(_entities(monitoring, owners, known))
    named = {*groups.values(), *(() if grouped else (team.rpartition(":")[2],))}
    documents = [_group(name) for name in sorted(named) if f"group:{name}" not in known]
    documents += list(entities.values())
    if documents:
        files[f"catalog/{PACK}.yaml"] = "---\n".join(documents).encode()
    if rules:
        files[f"packs/{PACK}/pack.yaml"] = _pack(team).encode()
        files[f"packs/{PACK}/runbooks/look.yaml"] = _runbook(team).encode()
    if settings:
        files["watchkeeper.yaml"] = (
            b"# Drafted by wk import: every field has a default.\nsources:\n  default: {kind: alertmanager}\n"
        )
    suggestions = tuple(_suggestions(monitoring, groups))
    ordered = tuple(sorted(untranslated, key=lambda each: (each.file, each.line, each.what)))
    files[NOTES] = _notes(monitoring, rules, len(entities), ordered, suggestions).encode()
    return Drafts(files=files, rules=rules, entities=len(entities), untranslated=ordered, suggestions=suggestions)


def rule_name(alert: str, severity: str = "") -> str:
    words = _UNFIT.sub("-", _CAMEL.sub("-", alert).lower()).strip("-")[:NAME_CHARS_MAX].strip("-") or "unnamed"
    return f"{words}-{_UNFIT.sub('-', severity.lower()).strip('-')}".strip("-") if severity else words


def rule_draft(
    name: str,
    match: Mapping[str, str],
    *,
    owner: str,
    runbook: str,
    comments: Iterable[str] = (),
    description: str = "",
) -> str:
    """YAML of one rule at ceiling observe."""
    lines = [f"# {_line(comment)}" for comment in comments]
    lines += [
        "apiVersion: watchkeeper.dev/v1",
        "kind: Rule",
        f"metadata: {{name: {name}, owner: {_scalar(owner)}}}",
        "spec:",
    ]
    if description:
        lines.append(f"  description: {_scalar(_line(description))}")
    lines.append(f"  match: {{{', '.join(f'{_scalar(label)}: {_scalar(value)}' for label, value in match.items())}}}")
    lines += [f"  runbook: {runbook}", "  autonomy: {ceiling: observe}"]
    return "\n".join(lines) + "\n"


# -- rules -----------------------------------------------------------------------------------------


def _rules(
    monitoring: Monitoring, owners: Mapping[int, str], untranslated: list[Untranslated]
) -> tuple[int, dict[str, bytes]]:
    """One rule for (alert, static severity); several lines of one alert that say the same are one rule."""
    alike: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for place, alert in enumerate(monitoring.alerts):
        if not alert.name:
            untranslated.append(Untranslated(file=alert.file, line=alert.line, what="an alert without a name"))
            continue
        alike[alert.name, alert.labels.get("severity", "")].append(place)
    several = {name for name, _ in alike if sum(other == name for other, _ in alike) > 1}
    taken: set[str] = set()
    by_group: defaultdict[str, list[str]] = defaultdict(list)
    for (name, severity), places in alike.items():
        alert = monitoring.alerts[places[0]]
        wanted = rule_name(name, severity if name in several else "")
        unique, number = wanted, 2
        while unique in taken:
            unique, number = f"{wanted}-{number}", number + 1
        taken.add(unique)
        by_group[rule_name(alert.group or "alerts")].append(
            rule_draft(
                unique,
                {"alertname": name, **({"severity": severity} if severity else {})},
                owner=owners[places[0]],
                runbook=LOOK,
                comments=_comments(monitoring, places),
                description=alert.summary,
            )
        )
    return len(alike), {
        f"packs/{PACK}/rules/{group}.yaml": "---\n".join(texts).encode() for group, texts in by_group.items()
    }


def _comments(monitoring: Monitoring, places: list[int]) -> Iterator[str]:
    alert = monitoring.alerts[places[0]]
    yield f"Drafted from {alert.file}:{alert.line}" + (f", group {alert.group}." if alert.group else ".")
    for place in places[1:ALIKE_MAX]:
        other = monitoring.alerts[place]
        yield f"The same alert stands at {other.file}:{other.line}."
    if len(places) > ALIKE_MAX:
        yield f"and at {len(places) - ALIKE_MAX} more places."
    if alert.expr:
        yield f"expr: {alert.expr}"
    if alert.waits:
        yield f"Prometheus waits {alert.waits} before it fires; a `for:` here would be added to that."
    if alert.runbook_url:
        yield f"runbook: {alert.runbook_url}"
    static = {label: value for label, value in alert.labels.items() if label not in STATIC}
    if static:
        yield "Its other static labels: " + ", ".join(f"{label}={value}" for label, value in static.items())


# -- the catalogue ---------------------------------------------------------------------------------


def _entities(monitoring: Monitoring, owners: Mapping[int, str], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """A stub for each value that names what an alert is about. The first label of a source that names one counts."""
    found: dict[str, tuple[str, Labels, str]] = {}
    for place, alert in enumerate(monitoring.alerts):
        stated: dict[str, tuple[str, ...]] = {**alert.selected}
        stated.update({label: (value,) for label, value in alert.labels.items()})
        label = next((each for each in NAMING if each in stated), "")
        for value in stated.get(label, ()) if label else ():
            labels: Labels = {
                label: value,
                **{name: alert.labels[name] for name in ("environment", "env", "region") if name in alert.labels},
            }
            found.setdefault(value, (label, labels, owners[place]))
    names: set[str] = set()
    for value, (label, labels, owner) in sorted(found.items())[:ENTITIES_MAX]:
        name = name_of(value)
        if value in known or name in known or name in names:
            continue
        names.add(name)
        yield value, stub(labels, (label,), owner)


def _group(name: str) -> str:
    return (
        "# Drafted: a group that answers for what was imported. Name your own instead.\n"
        "apiVersion: backstage.io/v1alpha1\nkind: Group\n"
        f"metadata: {{name: {name}}}\nspec: {{type: team, children: []}}\n"
    )


def _groups(monitoring: Monitoring, known: Collection[str]) -> dict[str, str]:
    """Receiver -> the name of a group, where a route leads somebody's alerts to it. The default receiver is nobody's own."""
    del known
    named = {route.receiver for route in monitoring.routes if route.matchers and route.receiver}
    return {name: name_of(name).lower() for name in sorted(named)}


def _owner(place: int, monitoring: Monitoring, groups: Mapping[str, str], team: str) -> str:
    receiver = receiver_of(monitoring.alerts[place], monitoring.routes)
    return f"group:{groups[receiver]}" if receiver in groups else team


# -- the rest of the pack --------------------------------------------------------------------------


def _pack(owner: str) -> str:
    return (
        "apiVersion: watchkeeper.dev/v1\nkind: Pack\n"
        f"metadata: {{name: {PACK}, owner: {_scalar(owner)}}}\n"
        "spec: {version: 0.1.0, description: Drafted from monitoring files}\n"
    )


def _runbook(owner: str) -> str:
    return (
        "# Stands for the runbook that nobody has written yet: it tells people, and touches nothing.\n"
        "apiVersion: watchkeeper.dev/v1\nkind: Runbook\n"
        f"metadata: {{name: look, owner: {_scalar(owner)}}}\n"
        "spec:\n  timeout: 5m\n  steps:\n"
        "    - id: tell\n      do: notify\n"
        '      with: {subject: "${alert.name} on ${target.name}", text: Look at it by hand., severity: warning}\n'
    )


# -- words for a person ----------------------------------------------------------------------------


def _suggestions(monitoring: Monitoring, groups: Mapping[str, str]) -> Iterator[str]:
    for receiver in monitoring.receivers:
        yield _told(receiver, groups)
    for inhibit in monitoring.inhibits:
        yield _inhibited(inhibit)


def _told(receiver: ReceiverLine, groups: Mapping[str, str]) -> str:
    team = f"match: {{team: [group:{groups[receiver.name]}]}}, " if receiver.name in groups else ""
    if receiver.to:
        how = f"- {{{team}email: {{to: [{', '.join(receiver.to)}], via: smtp://..., from: ...}}}}"
    else:
        how = f'- {{{team}webhook: "secret:..."}}'
    ways = ", ".join(receiver.ways) or "nothing"
    return f"{receiver.file}:{receiver.line}: receiver {receiver.name} ({ways}): a route of notify in watchkeeper.yaml: {how}"


def _inhibited(inhibit: InhibitLine) -> str:
    equal = f" with equal {', '.join(inhibit.equal)}" if inhibit.equal else ""
    return (
        f"{inhibit.file}:{inhibit.line}: {_matched(inhibit.source)} silences {_matched(inhibit.target)}{equal}: here an alert "
        "is inhibited while something that its entity depends on is down (dependsOn in the catalogue), or while a runbook "
        "that `expects` it works"
    )


def _matched(matchers: Iterable[Matcher]) -> str:
    return "{" + ", ".join(each.text for each in matchers) + "}"


def _notes(
    monitoring: Monitoring,
    rules: int,
    entities: int,
    untranslated: tuple[Untranslated, ...],
    suggestions: tuple[str, ...],
) -> str:
    lines = [
        "# Imported",
        "",
        f"{rules} rules and {entities} catalogue stubs were drafted from {len(monitoring.alerts)} alerts. They only watch.",
        "",
        "Next: run `wk check`; name real owners; give entities a tier and a reach; write a runbook where one is worth it,",
        "and put it in place of `imported/look`; `wk backtest` shows what they would have seen.",
    ]
    if untranslated:
        lines += ["", "## Not translated", "", *(f"- {_plain(str(each))}" for each in untranslated)]
    if suggestions:
        lines += ["", "## Suggestions", "", *(f"- {_plain(each)}" for each in suggestions)]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return f"`{_line(text).replace('`', chr(39))}`"


def _line(text: str) -> str:
    """Text from outside on one line, in a comment or a scalar: nothing in it can begin another line."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return clean if len(clean) <= TEXT_CHARS_MAX else clean[: TEXT_CHARS_MAX - 1] + "…"


def _scalar(text: str) -> str:
    """A YAML scalar: as it is where it is a plain word, else quoted."""
    return (
        text
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_./:-]*[A-Za-z0-9]", text)
        and ": " not in text
        and text.lower() not in _WORDS
        else json.dumps(text)
    )


_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
