"""Whether a rule matches an alert, as a table of every clause with what it saw.

In: a rule, the facts of one alert, the bindings of its expressions. Out: `Matched`, or `Missed` with the reason.
Corroboration and regions are left to the guard of that name: they hold, they do not unmatch.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, assert_never

from msgspec import Struct

from watchkeeper.decide.decision import ClauseResult
from watchkeeper.guards.situation import AlertFacts
from watchkeeper.guards.words import clipped
from watchkeeper.packs.expression import Broken, Expression, Known, Unknown
from watchkeeper.packs.rule import Rule, WhenUnknown
from watchkeeper.values import Instant, after_ms, duration_text, ms_between, rfc3339

VALUE_SHOWN_MAX: Final = 200

TRUE: Final = "true"
FALSE: Final = "false"
UNKNOWN: Final = "unknown"
BROKEN: Final = "broken"


class Miss(StrEnum):
    """Why a rule does not match. `too_early` passes by itself at `again_at`."""

    DISABLED = "disabled"
    LABEL = "label"
    CLAUSE = "clause"
    UNKNOWN = "unknown"
    NOT_FIRING = "not_firing"
    TOO_EARLY = "too_early"


class Matched(Struct, frozen=True, kw_only=True):
    """`unknown_clause` and `broken_clause` go into the Situation: the proposal then holds."""

    clauses: tuple[ClauseResult, ...]
    unknown_clause: str = ""
    broken_clause: str = ""


class Missed(Struct, frozen=True, kw_only=True):
    why: Miss
    reason: str
    clauses: tuple[ClauseResult, ...] = ()
    again_at: Instant | None = None


def match(rule: Rule, facts: AlertFacts, bindings: Mapping[str, Any], now: Instant) -> Matched | Missed:
    """Labels first: expressions cost, so they are evaluated only for an alert whose labels agree. All of them are then:
    a false clause unmatches whatever the others say, in any order.
    """
    if not rule.enabled:
        return Missed(why=Miss.DISABLED, reason=f"{rule.name} is disabled.")
    labels = label_rows(rule, facts)
    for row in labels:
        if row.answer != TRUE:
            return Missed(why=Miss.LABEL, reason=f"{row.source} is not so: {row.why}.", clauses=labels)
    clauses = (*labels, *clause_rows(rule, bindings))
    for row in clauses:
        if row.answer == FALSE:
            return Missed(why=Miss.CLAUSE, reason=_is_false(row), clauses=clauses)
    if not facts.firing:
        return Missed(why=Miss.NOT_FIRING, reason="The alert resolved.", clauses=clauses)
    unknown = next((row for row in clauses if row.answer == UNKNOWN), None)
    broken = next((row for row in clauses if row.answer == BROKEN), None)
    if unknown is not None and broken is None and rule.when_unknown is WhenUnknown.SKIP:
        return Missed(why=Miss.UNKNOWN, reason=f"{unknown.source} is unknown: {unknown.why}.", clauses=clauses)
    if rule.for_ms:
        row = for_row(rule, facts, now)
        clauses = (*clauses, row)
        if row.answer == FALSE:
            again_at = after_ms(facts.first_seen_at, rule.for_ms)
            return Missed(why=Miss.TOO_EARLY, reason=f"{row.why}.", clauses=clauses, again_at=again_at)
    return Matched(
        clauses=clauses,
        unknown_clause=f"{unknown.source}: {unknown.why}" if unknown is not None else "",
        broken_clause=f"{broken.source}: {broken.why}" if broken is not None else "",
    )


def label_rows(rule: Rule, facts: AlertFacts) -> tuple[ClauseResult, ...]:
    """One row a label of `match`. An absent label is the empty string."""
    rows = []
    for label, accepted in rule.match.items():
        value = facts.labels.get(label, "")
        name = f"alert.labels.{label}" if label.isidentifier() else f"alert.labels[{_quoted(label)}]"
        wanted = (
            f"== {_quoted(accepted[0])}"
            if len(accepted) == 1
            else f"in [{', '.join(_quoted(one) for one in accepted)}]"
        )
        rows.append(
            ClauseResult(
                source=f"{name} {wanted}",
                answer=TRUE if value in accepted else FALSE,
                why=f"it is {_shown(value)}" if label in facts.labels else "the alert has no such label",
            )
        )
    return tuple(rows)


def clause_rows(rule: Rule, bindings: Mapping[str, Any]) -> tuple[ClauseResult, ...]:
    """One row a clause of `when`, evaluated, with the values that it mentions."""
    return tuple(_clause_row(clause, bindings) for clause in rule.when)


def for_row(rule: Rule, facts: AlertFacts, now: Instant) -> ClauseResult:
    """`for:` counts from our own first receipt, so that a sender's clock cannot make it old."""
    fires_ms = max(0, ms_between(facts.first_seen_at, now))
    enough = fires_ms >= rule.for_ms
    shown_ms = fires_ms // 1000 * 1000
    return ClauseResult(
        source=f"for: {duration_text(rule.for_ms)}",
        answer=TRUE if enough else FALSE,
        why=f"it fires for {duration_text(shown_ms)}" + ("" if enough else f" of {duration_text(rule.for_ms)}"),
    )


def _clause_row(clause: Expression, bindings: Mapping[str, Any]) -> ClauseResult:
    match clause.evaluate(bindings):
        case Known(value=bool() as value):
            return ClauseResult(source=clause.source, answer=TRUE if value else FALSE, why=_saw(clause, bindings))
        case Known(value=value):
            why = f"it gives {type(value).__name__}, where true or false is needed"
            return ClauseResult(source=clause.source, answer=BROKEN, why=why)
        case Unknown(why=why):
            return ClauseResult(source=clause.source, answer=UNKNOWN, why=clipped(why))
        case Broken(why=why):
            return ClauseResult(source=clause.source, answer=BROKEN, why=clipped(why))
        case _ as never:
            assert_never(never)


def _is_false(row: ClauseResult) -> str:
    return f"{row.source} is false" + (f": {row.why}." if row.why else ".")


def _saw(clause: Expression, bindings: Mapping[str, Any]) -> str:
    """`alert.labels.tier = "canary"` for each input the clause mentions, as the engine saw it."""
    seen = [f"{'.'.join(path)} = {_shown(_at(path, bindings))}" for path in clause.references]
    return clipped("; ".join(seen)) if seen else ""


def _at(path: tuple[str, ...], bindings: Mapping[str, Any]) -> Any:
    value: Any = bindings
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return ""  # absent equals empty
        value = value[name]
    return value


def _shown(value: Any) -> str:
    match value:
        case str():
            return _quoted(value if len(value) <= VALUE_SHOWN_MAX else value[: VALUE_SHOWN_MAX - 1] + "…")
        case bool():
            return TRUE if value else FALSE
        case Instant():
            return rfc3339(value)
        case timedelta():
            return duration_text(value // timedelta(milliseconds=1))
        case Mapping():
            return f"{len(value)} names"
        case _:
            return str(value)[:VALUE_SHOWN_MAX]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
