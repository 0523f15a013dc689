"""`given:` of a scenario: the situation, what is known of the catalogue's entities, and how the outside answers.

Everything that is named is also added to `mentions`; whether it exists only the home can say.
"""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Final

from msgspec.structs import replace

from watchkeeper.documents import Fields, Kind, Node, percent_ppm, wrong
from watchkeeper.packs.given import (
    Failing,
    Given,
    GivenAgreement,
    GivenAttempt,
    GivenBrake,
    GivenBreaker,
    GivenCalendar,
    GivenCell,
    GivenDemotion,
    GivenDeploy,
    GivenHealth,
    GivenMetrics,
    GivenObjective,
    GivenRegion,
    Limit,
    Mention,
    Named,
    Until,
)
from watchkeeper.packs.rule import Mode
from watchkeeper.values import SEVERITY_ORDER, Instant, Labels, duration_ms, instant

SITUATION: Final = (
    "stops",
    "holds",
    "freezes",
    "exclusions",
    "maintenance",
    "deploys",
    "attempts",
    "breakers",
    "brakes",
    "dependencies",
    "metrics",
    "slo",
    "budget",
    "regions",
    "groups",
    "busy",
    "agreement",
    "demotions",
    "calendars",
)
SCOPE: Final = ("environment", "system", "region", "kind", "tier", "entity", "service", "rule")
HEALTH: Final = ("healthy", "unhealthy", "unknown")
BECAUSE: Final = ("harm", "unhealthy", "anomaly", "budget")
SEVERITIES: Final = tuple(severity.value for severity in SEVERITY_ORDER)
MEANS: Final = ("mttd", "mtta", "mttr", "failover")
UNKNOWN: Final = "unknown"
AGREEMENTS_MAX: Final = 10_000  # episodes of one cell
PPM: Final = 1_000_000
BURN_MAX_PPM: Final = 10**12
_SHARE: Final = "a share such as 12.5%, or 'unknown'"


class Reader:
    """Reads the parts of one scenario's `given`, and remembers what they name."""

    def __init__(self, scenario: str, mentions: list[Mention]) -> None:
        self._scenario, self._mentions = scenario, mentions

    def given(self, fields: Fields) -> Given:
        situation = fields.child("situation")
        health = [*self._catalog(fields)]
        failing = tuple(self._failing(each) for each in fields.many("failing"))
        probes = {}
        for name, node in fields.mapping("probes"):
            self._named(Named.ENTITY, name, node, f"{fields.at('probes')}.{name}")
            value = fields.plain("probes").get(name)
            if isinstance(value, dict):
                probes[name] = value
            else:
                fields.wrong("probes", f"{name}: expected what a look at it sees, such as {{status: 500}}")
        outputs = fields.plain("outputs")
        if outputs is not None and not isinstance(outputs, dict):
            fields.wrong("outputs", "expected a mapping")
            outputs = {}
        found = Given(health=tuple(health), failing=failing, probes=probes, outputs=outputs or {})
        if situation is None:
            return found
        if situation.has("anomaly"):
            situation.wrong(
                "anomaly",
                "cannot be given: this release does not measure how often automation acts, so nothing would read it; leave it out",
            )
        found = self._situation(situation, found)
        situation.done()
        return found

    def _situation(self, fields: Fields, outside: Given) -> Given:
        known = (self._dependency(name, node, fields) for name, node in fields.mapping("dependencies"))
        return replace(
            outside,
            stops=self._limits(fields, "stops"),
            holds=self._limits(fields, "holds"),
            freezes=self._limits(fields, "freezes"),
            exclusions=self._limits(fields, "exclusions"),
            maintenance=self._limits(fields, "maintenance"),
            deploys=tuple(self._deploy(each) for each in fields.many("deploys")),
            attempts=tuple(self._attempt(each) for each in fields.many("attempts")),
            breakers=tuple(self._breaker(each) for each in fields.many("breakers")),
            brakes=tuple(self._brake(each) for each in fields.many("brakes")),
            busy=self._busy(fields),
            health=(*outside.health, *known),
            metrics=tuple(self._metrics(name, each) for name, each in fields.children("metrics").items()),
            objectives=(*self._objectives(fields), *self._budgets(fields)),
            regions=tuple(self._region(name, node, fields) for name, node in fields.mapping("regions")),
            groups=self._groups(fields),
            agreements=tuple(self._agreement(each) for each in fields.many("agreement")),
            demotions=tuple(self._demotion(each) for each in fields.many("demotions")),
            calendars=tuple(self._calendar(name, node, fields) for name, node in fields.mapping("calendars")),
        )

    # What limits.

    def _limits(self, fields: Fields, name: str) -> tuple[Limit, ...]:
        return tuple(self._limit(each) for each in fields.many(name))

    def _limit(self, fields: Fields) -> Limit:
        scope: Labels = {}
        child = fields.child("scope")
        if child is not None:
            scope = {name: child.text(name) for name in SCOPE if child.has(name)}
            if "entity" in scope:
                self._name(Named.ENTITY, child, "entity", scope["entity"])
            if "rule" in scope:
                self._name(Named.RULE, child, "rule", scope["rule"])
            child.done()
        found = Limit(
            scope=scope,
            reason=fields.text("reason", default="given"),
            by=fields.text("by", default="scenario"),
            until=_until(fields),
            control=fields.text("control"),
            owner=fields.text("owner"),
            approver=fields.text("approver"),
        )
        fields.done()
        return found

    def _deploy(self, fields: Fields) -> GivenDeploy:
        found = GivenDeploy(
            service=self._text(fields, "service", Named.ENTITY),
            reason=fields.text("reason", default="given"),
            until=_until(fields),
        )
        fields.done()
        return found

    def _attempt(self, fields: Fields) -> GivenAttempt:
        found = GivenAttempt(
            target=self._text(fields, "target", Named.ENTITY),
            ago_ms=fields.duration("ago", default=60_000),
            status=fields.text("status", default="succeeded"),
            runbook=self._text(fields, "runbook", Named.RUNBOOK, required=False),
            symptom=fields.text("symptom"),
        )
        fields.done()
        return found

    def _breaker(self, fields: Fields) -> GivenBreaker:
        found = GivenBreaker(
            runbook=self._text(fields, "runbook", Named.RUNBOOK),
            action=fields.text("action", required=True),
            target=self._text(fields, "target", Named.ENTITY),
            until=_until(fields),
        )
        fields.done()
        return found

    def _brake(self, fields: Fields) -> GivenBrake:
        found = GivenBrake(
            rule=self._text(fields, "rule", Named.RULE, required=False),
            region=self._text(fields, "region", Named.REGION, required=False),
        )
        if found.rule and found.region:
            fields.wrong("region", "one brake is for a rule, or for a region, or (neither is given) for everything")
        fields.done()
        return found

    def _busy(self, fields: Fields) -> tuple[str, ...]:
        found = fields.texts("busy")
        for name, node in zip(found, fields.items("busy"), strict=False):
            self._named(Named.ENTITY, name, node, fields.at("busy"))
        return found

    # What is known.

    def _catalog(self, fields: Fields) -> Iterable[GivenHealth]:
        for each in fields.many("catalog"):
            name = self._text(each, "ref", Named.ENTITY)
            found = each.text("health", required=True)
            if found and found not in HEALTH:
                each.wrong("health", f"expected one of {', '.join(HEALTH)}, got {found!r}")
            yield GivenHealth(entity=name, health=found, age_ms=each.duration("age") if each.has("age") else None)
            each.done()

    def _dependency(self, name: str, node: Node, fields: Fields) -> GivenHealth:
        path = f"{fields.at('dependencies')}.{name}"
        self._named(Named.ENTITY, name, node, path)
        found, age_ms = node.raw, None
        inner = fields
        if node.kind is Kind.MAPPING:
            inner = Fields(node, fields.problems, path)
            found = inner.text("health", required=True)
            age_ms = inner.duration("age") if inner.has("age") else None
            inner.done()
        if found not in HEALTH:
            _at(
                inner,
                node,
                path,
                f"expected one of {', '.join(HEALTH)}, or {{health, age}}, got {found or str(node)!r}",
            )
        return GivenHealth(entity=name, health=found, age_ms=age_ms)

    def _metrics(self, service: str, fields: Fields) -> GivenMetrics:
        self._named(Named.SERVICE, service, fields.node, fields.path)
        if fields.has("budget_left"):
            fields.wrong("budget_left", "is what the objectives of the service say: give it under `slo` or `budget`")
        uptime = _share(fields, "uptime")
        known = {name: fields.duration(name) for name in MEANS if fields.has(name) and not _unknown(fields, name)}
        found = GivenMetrics(
            service=service,
            uptime_ppm=uptime if isinstance(uptime, int) else None,
            blind=uptime == UNKNOWN,
            mttd_ms=known.get("mttd"),
            mtta_ms=known.get("mtta"),
            mttr_ms=known.get("mttr"),
            failover_ms=known.get("failover"),
            incidents=fields.integer("incidents", most=1_000) if fields.has("incidents") else None,
            age_ms=fields.duration("age"),
        )
        if uptime is not None and not isinstance(uptime, str) and not 0 <= uptime <= PPM:
            fields.wrong("uptime", "expected a share from 0% to 100%, or 'unknown'")
        if found.incidents == 0 and known:
            fields.wrong("incidents", "without an incident there is no mean time: leave one of them out")
        longest = (found.mttd_ms or 0) + (found.mtta_ms or 0)
        if found.mttr_ms is not None and found.mttr_ms < longest:
            fields.wrong("mttr", "an incident cannot end before it was detected and acknowledged: mttr < mttd + mtta")
        fields.done()
        return found

    def _objectives(self, fields: Fields) -> Iterable[GivenObjective]:
        for name, node in fields.mapping("slo"):
            path = f'{fields.at("slo")}["{name}"]'
            self._named(Named.SLO, name, node, path)
            yield self._objective(node, fields, path, name=name)

    def _budgets(self, fields: Fields) -> Iterable[GivenObjective]:
        """`budget: {web: 5%}`: all objectives of a service say so."""
        for name, node in fields.mapping("budget"):
            path = f"{fields.at('budget')}.{name}"
            self._named(Named.SERVICE_WITH_SLO, name, node, path)
            yield self._objective(node, fields, path, service=name)

    def _objective(self, node: Node, fields: Fields, path: str, *, name: str = "", service: str = "") -> GivenObjective:
        if node.kind is Kind.TEXT and node.raw == UNKNOWN:
            return GivenObjective(name=name, service=service, unknown=True)
        if node.kind is Kind.TEXT:
            share = _share_of(node.raw)
            if share is None:
                _at(fields, node, path, f"expected {_SHARE}, or a mapping with budget_left, burn and age")
            return GivenObjective(name=name, service=service, left_ppm=PPM if share is None else share)
        inner = Fields(node, fields.problems, path)
        left = _share(inner, "budget_left")
        burn = {}
        for window, rate in inner.mapping("burn"):
            self._named(Named.BURN, window, rate, f"{path}.burn")
            value = _rate(rate)
            if value is None:
                _at(
                    inner,
                    rate,
                    f"{path}.burn.{window}",
                    "expected a burn rate such as 14.4; 1 spends the budget exactly",
                )
            else:
                burn[window] = value
        age_ms = inner.duration("age") if inner.has("age") else None
        inner.done()
        if isinstance(left, str):
            return GivenObjective(name=name, service=service, unknown=True)
        return GivenObjective(
            name=name, service=service, left_ppm=PPM if left is None else left, burn_ppm=burn, age_ms=age_ms
        )

    def _region(self, name: str, node: Node, fields: Fields) -> GivenRegion:
        path = f"{fields.at('regions')}.{name}"
        self._named(Named.REGION, name, node, path)
        if node.kind is Kind.MAPPING:
            inner = Fields(node, fields.problems, path)
            age_ms = inner.duration("age", required=True)
            inner.done()
            return GivenRegion(name=name, heard_ms=age_ms)
        if node.raw == "seeing":
            return GivenRegion(name=name, heard_ms=0)
        if node.raw != "blind":
            hint = ": write the signal that it sends, with its region" if node.raw == "firing" else ""
            _at(fields, node, path, f"expected seeing, blind, or {{age: 20m}}, got {node.raw or str(node)!r}{hint}")
        return GivenRegion(name=name, heard_ms=None)

    def _groups(self, fields: Fields) -> tuple[str, ...]:
        found = fields.texts("groups")
        for name, node in zip(found, fields.items("groups"), strict=False):
            self._named(Named.GROUP, name, node, fields.at("groups"))
        return found

    # Where a rule stands.

    def _cell(self, fields: Fields) -> GivenCell:
        severity = fields.text("severity", default="critical")
        if severity not in SEVERITIES:
            fields.wrong("severity", f"expected one of {', '.join(SEVERITIES)}, got {severity!r}")
        return GivenCell(
            rule=self._text(fields, "rule", Named.RULE),
            target=self._text(fields, "target", Named.ENTITY),
            severity=severity,
        )

    def _agreement(self, fields: Fields) -> GivenAgreement:
        found = GivenAgreement(
            cell=self._cell(fields),
            agreed=fields.integer("agreed", required=True, most=AGREEMENTS_MAX),
            of=fields.integer("of", required=True, least=1, most=AGREEMENTS_MAX),
            level=fields.choice("level", Mode, default=Mode.OBSERVE),
            since_ms=fields.duration("since", default=8 * 86_400_000, least=60_000),
        )
        if found.agreed > found.of:
            fields.wrong("agreed", f"people agreed in at most all of the {found.of} episodes")
        fields.done()
        return found

    def _demotion(self, fields: Fields) -> GivenDemotion:
        because = fields.text("because", default="unhealthy")
        if because not in BECAUSE:
            fields.wrong("because", f"expected one of {', '.join(BECAUSE)}, got {because!r}")
        found = GivenDemotion(
            cell=self._cell(fields), because=because, ago_ms=fields.duration("ago", default=3_600_000)
        )
        fields.done()
        return found

    def _calendar(self, name: str, node: Node, fields: Fields) -> GivenCalendar:
        path = f"{fields.at('calendars')}.{name}"
        self._named(Named.CALENDAR, name, node, path)
        if node.kind is Kind.TEXT and node.raw == "unreadable":
            return GivenCalendar(name=name, readable=False)
        inner = Fields(node, fields.problems, path)
        said = inner.text("says", required=True, most=65_536)
        age_ms = inner.duration("age") if inner.has("age") else None
        inner.done()
        return GivenCalendar(name=name, body=said, age_ms=age_ms, readable=age_ms is None)

    # How the outside answers.

    def _failing(self, fields: Fields) -> Failing:
        targets = fields.texts("targets", one_will_do=True)
        node = fields.node_of("targets")
        for position, name in enumerate(targets):
            place = node.items[position] if node is not None and node.kind is Kind.LIST else node
            if place is not None:
                self._named(Named.ENTITY, name, place, fields.at("targets"))
        found = Failing(
            step=fields.text("step", required=True), why=fields.text("why", default="it says no"), targets=targets
        )
        fields.done()
        return found

    # What is named.

    def _text(self, fields: Fields, name: str, what: Named, *, required: bool = True) -> str:
        found = fields.text(name, required=required)
        if found:
            self._name(what, fields, name, found)
        return found

    def _name(self, what: Named, fields: Fields, field: str, found: str) -> None:
        node = fields.node_of(field)
        if node is not None:
            self._named(what, found, node, fields.at(field))

    def _named(self, what: Named, name: str, node: Node, field: str) -> None:
        self._mentions.append(
            Mention(
                what=what,
                name=name,
                scenario=self._scenario,
                file=node.file,
                line=node.line,
                column=node.column,
                field=field,
            )
        )


def _until(fields: Fields) -> Until:
    """An instant, or a length of time from the scenario's start."""
    text = fields.text("until")
    if not text:
        return Until()
    try:
        return Until(after_ms=duration_ms(text))
    except ValueError:
        pass
    try:
        at: Instant = instant(text)
    except ValueError:
        fields.wrong("until", f"expected a length of time such as 2h, or an instant, got {text!r}")
        return Until()
    return Until(at=at)


def _unknown(fields: Fields, name: str) -> bool:
    node = fields.node_of(name)
    return node is not None and node.kind is Kind.TEXT and node.raw == UNKNOWN


def _share(fields: Fields, name: str) -> int | str | None:
    """Parts per million, `unknown`, or None when it is not given. Overspent budgets lie below zero."""
    node = fields.node_of(name)
    if node is None:
        return None
    if node.kind is Kind.TEXT and node.raw == UNKNOWN:
        return UNKNOWN
    found = _share_of(node.raw) if node.kind is Kind.TEXT else None
    if found is None:
        fields.wrong(name, f"expected {_SHARE}, got {node}")
    return found


def _share_of(text: str) -> int | None:
    below = text.startswith("-")
    try:
        found = percent_ppm(text.removeprefix("-"))
    except ValueError:
        return None
    return -found if below else found


def _rate(node: Node) -> int | None:
    """A burn rate in parts per million."""
    try:
        found = Decimal(node.raw)
    except InvalidOperation:
        return None
    ppm = found * PPM if found.is_finite() else Decimal(-1)
    return int(ppm) if 0 <= ppm <= BURN_MAX_PPM and ppm == int(ppm) else None


def _at(fields: Fields, node: Node, path: str, message: str) -> None:
    wrong(fields.problems, node, path, message)
