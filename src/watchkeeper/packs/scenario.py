"""A scenario: a test that ships with a pack. Given signals and a situation, expect a decision and effects.

```yaml
apiVersion: watchkeeper.dev/v1
kind: Scenario
metadata: {name: wedged-in-a-freeze, owner: group:payments-sre}
spec:
  given:
    at: 2026-01-05T12:00:00Z
    mode: auto
    signals:
      - {labels: {alertname: InstanceWedged, severity: critical, instance: web-1}}
      - {after: 30s, labels: {alertname: InstanceWedged, severity: critical, instance: web-1}}
    situation:
      freezes: [{scope: {system: system:default/payments}, reason: month end, until: 2h}]
    catalog:
      - {ref: resource:default/web-1, health: unhealthy}
    outputs: {drain: {status: 200}}
  expect:
    verdict: ask
    rule: payments/wedged-instance
    findings: {freeze: ask}
    effects: []
```
"""

import itertools
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from watchkeeper.documents import Envelope, Fields, wrong
from watchkeeper.packs.clauses import canonical_ref, where_of
from watchkeeper.packs.given import Given, Mention
from watchkeeper.packs.load_given import Reader
from watchkeeper.packs.rule import Mode
from watchkeeper.values import Instant, Labels, instant

SIGNALS_MAX: Final = 1_000
EFFECTS_MAX: Final = 1_000
START_AT: Final = instant("2026-01-05T12:00:00Z")  # a Monday at noon, so that nothing is special about the time

VERDICTS: Final = ("act", "ask", "suggest", "observe", "hold", "refuse", "none")
OUTCOMES: Final = ("pass", "ask", "hold", "refuse")
FLEET: Final = ("begun", "done", "failed", "unhealthy")
LADDER: Final = ("mode", "binds", "ceiling", "risk", "standing", "demoted")
RESULTS: Final = ("healthy", "unhealthy", "inconclusive")


class Standing(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class GivenSignal(Struct, frozen=True, kw_only=True):
    """A signal received `after_ms` after the scenario's start."""

    labels: Labels
    after_ms: int = 0
    annotations: Labels = {}
    standing: Standing = Standing.FIRING
    source: str = "default"
    region: str = ""


class Expected(Struct, frozen=True, kw_only=True):
    """What must hold of the last decision and of its run; what is left empty is not looked at.

    `verdict` "none" says that no rule may decide. `findings` maps guards to outcomes. `effects` None is not looked
    at, an empty tuple says that nothing is done; each is a subset of {step, action, target, arguments}. `ladder` is what
    the autonomy guard saw, `fleet` how many targets of a foreach came to what. `until` is when the finding that decided
    may change by itself; `priority` that of the transaction that the targets are part of, `verification` what the run saw.
    """

    verdict: str = ""
    rule: str = ""
    runbook: str = ""
    targets: tuple[str, ...] = ()
    mode: Mode | None = None
    reason: str = ""
    findings: Labels = {}
    effects: tuple[dict[str, Any], ...] | None = None
    status: str = ""
    would_be: str = ""
    ladder: Labels = {}
    until: Instant | None = None
    priority: int | None = None
    verification: str = ""
    fleet: dict[str, int] = {}


class Scenario(Struct, frozen=True, kw_only=True):
    name: str
    pack: str
    owner: str
    where: str
    signals: tuple[GivenSignal, ...]
    expected: Expected
    at: Instant = START_AT
    mode: Mode = Mode.AUTO
    given: Given = Given()
    description: str = ""


def load_scenario(head: Envelope, pack: str, mentions: list[Mention]) -> Scenario | None:
    """None when the document has an error. What it names is added to `mentions`."""
    spec = head.spec
    before = len(spec.problems)
    given, expect = spec.child("given", required=True), spec.child("expect", required=True)
    found = None
    if given is not None and expect is not None:
        found = Scenario(
            name=f"{pack}/{head.name}",
            pack=pack,
            owner=canonical_ref(head.owner),
            where=where_of(head.node),
            signals=_signals(given),
            expected=_expected(expect),
            at=given.instant("at", default=START_AT),
            mode=given.choice("mode", Mode, default=Mode.AUTO),
            given=Reader(f"{pack}/{head.name}", mentions).given(given),
            description=spec.text("description"),
        )
        given.done()
        expect.done()
    spec.known.add("description")
    spec.done()
    return found if not any(problem.severity == "error" for problem in spec.problems[before:]) else None


def _signals(given: Fields) -> tuple[GivenSignal, ...]:
    found = []
    for fields in given.many("signals", required=True, most=SIGNALS_MAX):
        found.append(
            GivenSignal(
                labels=fields.labels("labels", required=True),
                after_ms=fields.duration("after"),
                annotations=fields.labels("annotations"),
                standing=fields.choice("standing", Standing, default=Standing.FIRING),
                source=fields.text("source", default="default"),
                region=fields.text("region"),
            )
        )
        fields.done()
    if any(later.after_ms < earlier.after_ms for earlier, later in itertools.pairwise(found)):
        given.wrong("signals", "are not in the order of `after`: write them as they arrive")
    return tuple(found)


def _mapping(fields: Fields, name: str) -> dict[str, Any]:
    value = fields.plain(name)
    if value is not None and not isinstance(value, dict):
        fields.wrong(name, "expected a mapping")
        return {}
    return value or {}


def _expected(fields: Fields) -> Expected:
    verdict = _one_of(fields, "verdict", VERDICTS)
    findings = fields.labels("findings")
    for guard, outcome in findings.items():
        if outcome not in OUTCOMES:
            fields.wrong("findings", f"{guard}: expected one of {', '.join(OUTCOMES)}, got {outcome!r}")
    effects = None
    if fields.has("effects"):
        effects = tuple(item for item in _effects(fields) if isinstance(item, dict))
    if not verdict and effects is None:
        wrong(fields.problems, fields.node, fields.path, "expects nothing: give a verdict, or effects")
    return Expected(
        verdict=verdict,
        rule=fields.text("rule"),
        runbook=fields.text("runbook"),
        targets=fields.texts("targets", one_will_do=True),
        mode=fields.choice("mode", Mode),
        reason=fields.text("reason"),
        findings=findings,
        effects=effects,
        status=fields.text("status"),
        would_be=_one_of(fields, "would_be", VERDICTS),
        ladder=_ladder(fields),
        until=fields.instant("until"),
        priority=fields.integer("priority", least=1, most=9) if fields.has("priority") else None,
        verification=_one_of(fields, "verification", RESULTS),
        fleet=_fleet(fields),
    )


def _one_of(fields: Fields, name: str, words: tuple[str, ...]) -> str:
    found = fields.text(name)
    if found and found not in words:
        fields.wrong(name, f"expected one of {', '.join(words)}, got {found!r}")
    return found


def _ladder(fields: Fields) -> Labels:
    child = fields.child("ladder")
    if child is None:
        return {}
    found = {name: child.text(name) for name in LADDER if child.has(name)}
    child.done()
    return found


def _fleet(fields: Fields) -> dict[str, int]:
    child = fields.child("fleet")
    if child is None:
        return {}
    found = {name: child.integer(name) for name in FLEET if child.has(name)}
    child.done()
    return found


def _effects(fields: Fields) -> list[Any]:
    found = []
    for item in fields.many("effects", most=EFFECTS_MAX):
        effect = {name: item.text(name) for name in ("step", "action", "target") if item.has(name)}
        arguments = _mapping(item, "arguments")
        if not effect and not arguments:
            item.wrong("", "names nothing: give a step, an action, a target or arguments")
        item.done()
        found.append({**effect, **({"arguments": arguments} if arguments else {})})
    return found
