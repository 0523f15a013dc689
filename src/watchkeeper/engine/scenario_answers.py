"""What a scenario expects beside what happened: each expectation that was not met, in words."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from watchkeeper.decide.decision import Decision
from watchkeeper.engine.records import RunRecord
from watchkeeper.execute.state import Fleet, Run, StepState
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.home.transaction import UNRANKED
from watchkeeper.packs.scenario import Expected
from watchkeeper.values import Instant, rfc3339

AUTONOMY: Final = "autonomy"
NOTHING: Final = "none"
_STRICTEST: Final = (Outcome.REFUSE, Outcome.HOLD, Outcome.ASK, Outcome.PASS)


def compared(
    expected: Expected,
    decision: Decision | None,
    record: RunRecord | None,
    run: Run | None,
    priority: int,
    sent: list[dict[str, Any]],
) -> list[str]:
    """`priority` is that of the targets' transaction (UNRANKED for none); `sent` is everything that was, in order."""
    found = []
    verdict = decision.verdict.value if decision is not None else NOTHING
    if expected.verdict and verdict != expected.verdict:
        why = f": {decision.reason}" if decision is not None else ": no rule decided"
        found.append(f"verdict: expected {expected.verdict}, it was {verdict}{why}")
    if decision is not None:
        found += _decided(expected, decision)
        if expected.priority is not None and expected.priority != priority:
            was = f"it was {priority}" if priority != UNRANKED else "the targets are in no transaction"
            found.append(f"priority: expected {expected.priority}, {was}")
    status = record.status if record is not None else "no run"
    if expected.status and expected.status != status:
        why = f": {record.why}" if record is not None and record.why else ""
        found.append(f"status: expected {expected.status}, it was {status}{why}")
    return [*found, *_ran(expected, run), *_effects(expected.effects, sent)]


def _decided(expected: Expected, decision: Decision) -> Iterable[str]:
    for name, wanted, was in (
        ("would_be", expected.would_be, decision.would_be.value),
        ("rule", expected.rule, decision.rule),
        ("runbook", expected.runbook, decision.runbook),
        ("mode", expected.mode.value if expected.mode is not None else "", decision.mode.value),
    ):
        if wanted and wanted != was:
            yield f"{name}: expected {wanted}, it was {was}"
    if expected.reason and expected.reason not in decision.reason:
        yield f"reason: expected {expected.reason!r} in it, it was {decision.reason!r}"
    if expected.until is not None:
        yield from _until(expected.until, decision)
    yield from _findings(expected.findings, decision)
    yield from _ladder(expected.ladder, decision)
    yield from _targets(expected.targets, decision)


def _until(wanted: Instant, decision: Decision) -> Iterable[str]:
    """Of the finding that decided: the strictest one, the first of several."""
    finding = min(decision.findings, key=lambda each: _STRICTEST.index(each.outcome), default=None)
    until_at = finding.until_at if finding is not None else None
    if until_at != wanted:
        guard = finding.guard if finding is not None else "nothing"
        was = rfc3339(until_at) if until_at is not None else "no time"
        yield f"until: expected {rfc3339(wanted)}, {guard} says {was}"


def _findings(expected: Mapping[str, str], decision: Decision) -> Iterable[str]:
    asked = {each.guard.replace("_", " "): each for each in decision.findings}
    for guard, outcome in expected.items():
        finding = asked.get(guard.replace("_", " ").replace("-", " "))
        if finding is None:
            yield f"findings.{guard}: no guard of that name was asked; there are {', '.join(asked) or 'none'}"
        elif finding.outcome.value != outcome:
            yield f"findings.{guard}: expected {outcome}, it was {finding.outcome.value}: {finding.reason}"


def _ladder(expected: Mapping[str, str], decision: Decision) -> Iterable[str]:
    """What the autonomy guard saw: the four inputs, the mode, and which of them binds."""
    if not expected:
        return
    finding: Finding | None = next((each for each in decision.findings if each.guard == AUTONOMY), None)
    if finding is None:
        yield "ladder: the autonomy guard was not asked"
        return
    for name, wanted in expected.items():
        was = str(finding.evidence.get(name, ""))
        if was != wanted:
            yield f"ladder.{name}: expected {wanted or NOTHING}, it was {was or NOTHING}: {finding.reason}"


def _targets(expected: tuple[str, ...], decision: Decision) -> Iterable[str]:
    if not expected:
        return
    names = {name for target in decision.targets for name in (target.ref, target.name)}
    missing = [each for each in expected if each not in names]
    if missing or len(expected) != len(decision.targets):
        was = ", ".join(target.name for target in decision.targets) or "none"
        yield f"targets: expected {', '.join(expected)}, they were {was}"


# -- its run ---------------------------------------------------------------------------------------


def _ran(expected: Expected, run: Run | None) -> Iterable[str]:
    if expected.verification:
        was = run.result.value if run is not None and run.result is not None else "not verified"
        if was != expected.verification:
            yield f"verification: expected {expected.verification}, it was {was}"
    if not expected.fleet:
        return
    fleet = _fleet(run.steps) if run is not None else None
    if fleet is None:
        yield "fleet: no foreach was reached"
        return
    for name, wanted in expected.fleet.items():
        counted = getattr(fleet, name)
        if counted != wanted:
            yield f"fleet.{name}: expected {wanted}, it was {counted}"


def _fleet(steps: Iterable[StepState]) -> Fleet | None:
    """The first foreach that was reached."""
    for state in steps:
        found = state.fleet or _fleet(state.steps)
        if found is not None:
            return found
    return None


def _effects(expected: tuple[dict[str, Any], ...] | None, sent: list[dict[str, Any]]) -> Iterable[str]:
    """Each expected effect is found in what was sent, in order; nothing else was sent."""
    if expected is None:
        return
    for place, (wanted, was) in enumerate(zip(expected, sent, strict=False)):
        if not _subset(wanted, was):
            yield f"effects[{place}]: expected {_shown(wanted)}, sent was {_shown(was)}"
    if len(expected) != len(sent):
        all_of_it = "; ".join(_shown(each) for each in sent) or "nothing"
        yield f"effects: expected {len(expected)}, sent were {len(sent)}: {all_of_it}"


def _subset(wanted: Mapping[str, Any], was: Mapping[str, Any]) -> bool:
    for name, value in wanted.items():
        if name == "arguments":
            given = was["arguments"]
            if any(given.get(each) != expected for each, expected in value.items()):
                return False
        elif name == "target":
            if value not in (was["target"], was["ref"]):
                return False
        elif name == "step":
            if value not in (was["step"], was["step"].rpartition("/")[2]):
                return False
        elif was.get(name) != value:
            return False
    return True


def _shown(effect: Mapping[str, Any]) -> str:
    parts = [str(effect[name]) for name in ("step", "action", "target") if effect.get(name)]
    return " ".join(parts) or "arguments only"
