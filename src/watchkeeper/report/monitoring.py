"""Other people's monitoring files, read for what they say of alerts: Prometheus rule files, Alertmanager's configuration.

In: bytes of YAML, with the name of the file. Out: nouns that know their line, and `Untranslated`: what has no counterpart
here, each with its place. Nothing is guessed out of an expression but the labels that it demands by equality.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from watchkeeper.documents import Kind, Node, Unreadable, parse
from watchkeeper.values import Labels

ALERTS_MAX: Final = 10_000
ROUTES_MAX: Final = 5_000
VALUES_MAX: Final = 64  # of one label, out of `a|b|c`
NAMING: Final = ("service", "job", "app", "component")  # labels that commonly name what an alert is about

_MATCHER: Final = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^,{}"']*)\s*"""
)
_SELECTED: Final = re.compile(r"\{([^{}]*)\}")
_LITERAL: Final = re.compile(r"[A-Za-z0-9_.:/ -]+")
_TEMPLATE: Final = re.compile(r"\{\{")


class Untranslated(Struct, frozen=True, kw_only=True):
    """Something that has no counterpart here, or that only a person can say. `advice` is what to do instead."""

    file: str
    line: int
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" + (f": {self.advice}" if self.advice else "")


class AlertLine(Struct, frozen=True, kw_only=True):
    """One alert of a rule file. `labels` are its static ones; `selected` what its expression demands by equality."""

    name: str
    file: str
    line: int
    group: str
    expr: str
    labels: Labels
    selected: dict[str, tuple[str, ...]]
    summary: str = ""
    runbook_url: str = ""
    waits: str = ""


class Matcher(Struct, frozen=True, kw_only=True):
    """`values` None: it is not equality, and nobody knows which values it takes."""

    label: str
    text: str
    values: tuple[str, ...] | None


class RouteLine(Struct, frozen=True, kw_only=True):
    """One route with all matchers on the way to it. `stops`: an alert that takes it goes no further."""

    receiver: str
    matchers: tuple[Matcher, ...]
    file: str
    line: int
    stops: bool = True


class ReceiverLine(Struct, frozen=True, kw_only=True):
    """`ways` are the kinds of its configurations (`email`, `pagerduty`), `to` the addresses of people in them."""

    name: str
    ways: tuple[str, ...]
    to: tuple[str, ...]
    file: str
    line: int


class InhibitLine(Struct, frozen=True, kw_only=True):
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]
    file: str
    line: int


class Monitoring(Struct, frozen=True, kw_only=True):
    alerts: tuple[AlertLine, ...] = ()
    routes: tuple[RouteLine, ...] = ()
    receivers: tuple[ReceiverLine, ...] = ()
    inhibits: tuple[InhibitLine, ...] = ()
    untranslated: tuple[Untranslated, ...] = ()


def read_monitoring(files: Mapping[str, bytes]) -> Monitoring:
    """All files as one. What a file is, is read off what stands in it."""
    reader = _Reader()
    for name in sorted(files):
        try:
            documents = parse(name, files[name])
        except Unreadable as wrong:
            reader.no(name, wrong.problem.line, f"this file was not read: {wrong.problem.message}")
            continue
        for document in documents:
            reader.document(document)
    return Monitoring(
        alerts=tuple(reader.alerts),
        routes=tuple(reader.routes),
        receivers=tuple(reader.receivers),
        inhibits=tuple(reader.inhibits),
        untranslated=tuple(reader.untranslated),
    )


class _Reader:
    def __init__(self) -> None:
        self.alerts: list[AlertLine] = []
        self.routes: list[RouteLine] = []
        self.receivers: list[ReceiverLine] = []
        self.inhibits: list[InhibitLine] = []
        self.untranslated: list[Untranslated] = []

    def no(self, file: str, line: int, what: str, advice: str = "") -> None:
        self.untranslated.append(Untranslated(file=file, line=line, what=what, advice=advice))

    def document(self, node: Node) -> None:
        spec = node.find("spec")
        groups = node.find("groups") or (spec.find("groups") if spec is not None else None)
        if groups is not None:
            for group in groups.items:
                self._group(group)
        elif node.find("route") is not None or node.find("receivers") is not None:
            self._alertmanager(node)
        else:
            self.no(
                node.file,
                node.line,
                "neither a Prometheus rule file (groups:) nor an Alertmanager configuration (route:, receivers:)",
                "leave it out",
            )

    # -- Prometheus --------------------------------------------------------------------------------

    def _group(self, group: Node) -> None:
        name = _text(group.find("name"))
        rules = group.find("rules")
        for rule in rules.items if rules is not None else ():
            alert = rule.find("alert")
            if alert is None:
                record = rule.find("record")
                if record is None:
                    self.no(rule.file, rule.line, "neither alert: nor record: stands in this rule")
                continue  # a recording rule is no alert: there is nothing to translate
            if len(self.alerts) >= ALERTS_MAX:
                self.no(rule.file, rule.line, f"more than {ALERTS_MAX} alerts", "import the rest by itself")
                return
            self._alert(name, rule, alert)

    def _alert(self, group: str, rule: Node, alert: Node) -> None:
        labels: Labels = {}
        found = rule.find("labels")
        for entry in found.entries if found is not None else ():
            text = _text(entry.value)
            if _TEMPLATE.search(text):
                self.no(
                    rule.file,
                    entry.line,
                    f"label {entry.key} of {_text(alert)} is worked out by a template",
                    "the draft does not match on it",
                )
            elif text:
                labels[entry.key] = text
        if rule.find("keep_firing_for") is not None:
            self.no(
                rule.file,
                rule.line,
                f"keep_firing_for of {_text(alert)}",
                "nothing is to be done: Prometheus goes on sending it, and flapping is seen here too",
            )
        notes = rule.find("annotations")
        self.alerts.append(
            AlertLine(
                name=_text(alert),
                file=rule.file,
                line=rule.line,
                group=group,
                expr=_text(rule.find("expr")),
                labels=labels,
                selected=selected_in(_text(rule.find("expr"))),
                summary=_note(notes, ("summary", "description", "message")),
                runbook_url=_note(notes, ("runbook_url", "runbook")),
                waits=_text(rule.find("for")),
            )
        )

    # -- Alertmanager ------------------------------------------------------------------------------

    def _alertmanager(self, node: Node) -> None:
        route = node.find("route")
        if route is not None:
            self._route(route, (), "")
        receivers = node.find("receivers")
        for receiver in receivers.items if receivers is not None else ():
            self._receiver(receiver)
        inhibits = node.find("inhibit_rules")
        for inhibit in inhibits.items if inhibits is not None else ():
            self._inhibit(inhibit)
        for key in ("time_intervals", "mute_time_intervals"):
            intervals = node.find(key)
            for interval in intervals.items if intervals is not None else ():
                self.no(
                    interval.file,
                    interval.line,
                    f"time interval {_text(interval.find('name'))}",
                    "a time in which nothing may be changed is a freeze here (wk freeze set, or a calendar)",
                )

    def _route(self, node: Node, above: tuple[Matcher, ...], receiver: str) -> None:
        if len(self.routes) >= ROUTES_MAX:
            self.no(node.file, node.line, f"more than {ROUTES_MAX} routes", "the rest was not read")
            return
        own = self._matchers(node, (("matchers", ""), ("match", "="), ("match_re", "=~")))
        receiver = _text(node.find("receiver")) or receiver
        matchers = (*above, *own)
        inner = node.find("routes")
        for each in inner.items if inner is not None else ():
            self._route(each, matchers, receiver)
        for key in ("mute_time_intervals", "active_time_intervals"):
            found = node.find(key)
            if found is not None:
                self.no(found.file, found.line, f"{key} of the route to {receiver}", "see freezes and maintenance")
        goes_on = node.find("continue")
        stops = goes_on is None or goes_on.scalar is not True
        self.routes.append(RouteLine(receiver=receiver, matchers=matchers, file=node.file, line=node.line, stops=stops))

    def _receiver(self, node: Node) -> None:
        ways, to = [], []
        for entry in node.entries:
            if entry.key.endswith("_configs"):
                ways.append(entry.key.removesuffix("_configs"))
                to += [_text(each.find("to")) for each in entry.value.items if each.find("to") is not None]
        self.receivers.append(
            ReceiverLine(
                name=_text(node.find("name")),
                ways=tuple(ways),
                to=tuple(part.strip() for text in to for part in text.split(",") if part.strip()),
                file=node.file,
                line=node.line,
            )
        )

    def _inhibit(self, node: Node) -> None:
        sides = [
            self._matchers(node, ((f"{side}_matchers", ""), (f"{side}_match", "="), (f"{side}_match_re", "=~")))
            for side in ("source", "target")
        ]
        equal = node.find("equal")
        self.inhibits.append(
            InhibitLine(
                source=sides[0],
                target=sides[1],
                equal=tuple(_text(each) for each in equal.items) if equal is not None else (),
                file=node.file,
                line=node.line,
            )
        )

    def _matchers(self, node: Node, keys: Iterable[tuple[str, str]]) -> tuple[Matcher, ...]:
        found: list[Matcher] = []
        for key, sign in keys:
            value = node.find(key)
            if value is None:
                continue
            if value.kind is Kind.MAPPING:
                found += [matcher(entry.key, sign, _text(entry.value)) for entry in value.entries]
                continue
            for each in value.items or (value,):
                read = tuple(matchers_of(_text(each).strip().removeprefix("{").removesuffix("}")))
                if not read:
                    self.no(each.file, each.line, f"the matcher {_text(each)!r} cannot be read")
                found += read
        return tuple(found)


# -- matchers and expressions ----------------------------------------------------------------------


def matchers_of(text: str) -> Iterator[Matcher]:
    """`severity="critical", team=~"a|b"` as PromQL and Alertmanager write it. Ends at the first thing it cannot read."""
    at = 0
    while at < len(text):
        found = _MATCHER.match(text, at)
        if found is None:
            return
        yield matcher(found[1], found[2], _unquoted(found[3]))
        at = found.end()
        if at < len(text) and text[at] != ",":
            return
        at += 1


def matcher(label: str, sign: str, value: str) -> Matcher:
    """A pattern that is a list of plain words (`a|b`) counts as equality with one of them."""
    values: tuple[str, ...] | None = None
    if sign == "=" and value:
        values = (value,)
    elif sign == "=~":
        words = value.removeprefix("^").removesuffix("$").removeprefix("(").removesuffix(")").split("|")
        if 0 < len(words) <= VALUES_MAX and all(_LITERAL.fullmatch(word) and "." not in word for word in words):
            values = tuple(dict.fromkeys(words))
    return Matcher(label=label, text=f"{label}{sign}{value!r}", values=values)


def selected_in(expr: str) -> dict[str, tuple[str, ...]]:
    """Labels that selectors of an expression demand by equality: label -> values, in the order they stand."""
    found: dict[str, dict[str, None]] = {}
    for selector in _SELECTED.findall(expr):
        for each in matchers_of(selector):
            if each.values is not None:
                found.setdefault(each.label, {}).update(dict.fromkeys(each.values))
    return {label: tuple(values)[:VALUES_MAX] for label, values in found.items()}


def receiver_of(alert: AlertLine, routes: Iterable[RouteLine]) -> str:
    """The receiver that the alert's static labels alone lead to; "" when that depends on more. Inner routes go first."""
    labels = {
        "alertname": alert.name,
        **{label: values[0] for label, values in alert.selected.items() if len(values) == 1},
    }
    labels |= alert.labels
    for route in routes:
        if not route.matchers:
            continue
        answers = [
            None if each.values is None or each.label not in labels else labels[each.label] in each.values
            for each in route.matchers
        ]
        if all(answers):
            return route.receiver
        if None in answers and False not in answers:
            return ""  # it may go there: who is told of it is not known from the files
    return next((route.receiver for route in routes if not route.matchers), "")


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _text(node: Node | None) -> str:
    return str(node.raw) if node is not None and node.kind not in {Kind.LIST, Kind.MAPPING, Kind.NULL} else ""


def _note(notes: Node | None, names: Iterable[str]) -> str:
    if notes is None:
        return ""
    return next((text for name in names if (text := _text(notes.find(name)))), "")
