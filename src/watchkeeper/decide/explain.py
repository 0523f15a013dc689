"""A decision in plain words, from its record alone: what it did, what decided first, and what almost matched.

`counterfactual` says what would change it. Near misses and counterfactuals are computed when somebody asks.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, assert_never

from msgspec import Struct

from watchkeeper.decide.decision import ClauseResult, Decision, Verdict
from watchkeeper.decide.match import TRUE, clause_rows, for_row, label_rows
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import AlertFacts
from watchkeeper.guards.words import count_of, when
from watchkeeper.packs.rule import Mode, Rule
from watchkeeper.values import Instant

NEAR_MISSES_MAX: Final = 5
_STRICTEST_FIRST: Final = (Outcome.REFUSE, Outcome.HOLD, Outcome.ASK)


class Explanation(Struct, frozen=True, kw_only=True):
    """`sentence` answers why; `counts` sums up the guards. `decided` are the findings of the strictest outcome in guard
    order, `also` the other ones that were not clear. `clauses` has false, broken and unknown ones first.
    """

    sentence: str
    counts: str
    decided: tuple[Finding, ...]
    also: tuple[Finding, ...]
    clauses: tuple[ClauseResult, ...]
    changes: tuple[str, ...]


class NearMiss(Struct, frozen=True, kw_only=True):
    """A rule that would have matched but for one thing."""

    rule: str
    failed: ClauseResult
    sentence: str


def explain(decision: Decision) -> Explanation:
    not_clear = [each for each in decision.findings if each.outcome is not Outcome.PASS]
    strictest = next(
        (outcome for outcome in _STRICTEST_FIRST if any(each.outcome is outcome for each in not_clear)), None
    )
    decided = tuple(each for each in not_clear if each.outcome is strictest)
    also = tuple(each for each in not_clear if each.outcome is not strictest)
    changes = dict.fromkeys(each.change for each in (*decided, *also) if each.change)
    return Explanation(
        sentence=sentence(decision),
        counts=_counts(decision),
        decided=decided,
        also=also,
        clauses=tuple(sorted(decision.clauses, key=lambda row: row.answer == TRUE)),
        changes=tuple(changes),
    )


def sentence(decision: Decision) -> str:
    """The headline: the verdict in the past tense, then the reason."""
    reason = decision.reason
    match decision.verdict:
        case Verdict.ACT:
            return f"It acted: {reason[:1].lower()}{reason[1:].replace(' are ', ' were ')}"
        case Verdict.ASK:
            return f"It asked first: {reason}"
        case Verdict.HOLD:
            again = f" It looks again at {when(decision.wake_at, decision.at)}." if decision.wake_at else ""
            return f"It held: {reason}{again}"
        case Verdict.REFUSE:
            return f"It refused: {reason}"
        case Verdict.OBSERVE:
            return f"It only watched: {reason}{_would(decision)}"
        case Verdict.SUGGEST:
            return f"It suggested: {reason} Run it yourself: wk run {decision.runbook}."
        case _ as never:
            assert_never(never)


def near_misses(
    rules: Iterable[Rule],
    facts: AlertFacts,
    bindings: Mapping[str, Any],
    now: Instant,
    most: int = NEAR_MISSES_MAX,
) -> tuple[NearMiss, ...]:
    """Enabled rules of which exactly one label, clause or `for:` failed, in rule order. Rules that match are none."""
    found: list[NearMiss] = []
    for rule in rules:
        if len(found) == most:
            break
        failed = _only_failure(rule, facts, bindings, now)
        if failed is not None:
            why = f": {failed.why}" if failed.why else ""
            found.append(
                NearMiss(
                    rule=rule.name,
                    failed=failed,
                    sentence=f"{rule.name} almost matched; {failed.source} was {failed.answer}{why}.",
                )
            )
    return tuple(found)


def _only_failure(rule: Rule, facts: AlertFacts, bindings: Mapping[str, Any], now: Instant) -> ClauseResult | None:
    """The one row that failed; None when none or more did. Expressions are evaluated only when labels are near."""
    if not rule.enabled:
        return None
    failed = [row for row in label_rows(rule, facts) if row.answer != TRUE]
    if len(failed) > 1:
        return None
    failed += [row for row in clause_rows(rule, bindings) if row.answer != TRUE]
    if rule.for_ms:
        failed += [row for row in (for_row(rule, facts, now),) if row.answer != TRUE]
    return failed[0] if len(failed) == 1 else None


def _would(decision: Decision) -> str:
    """What the verdict had been at auto, for a decision that only watched."""
    if decision.would_be is Verdict.OBSERVE:
        return ""  # an unmapped alert
    return f" At {Mode.AUTO.value} it would have been: {decision.would_be.value}."


def _counts(decision: Decision) -> str:
    if not decision.findings:
        return "No guard was asked."
    asked = {outcome: sum(each.outcome is outcome for each in decision.findings) for outcome in Outcome}
    return (
        f"{count_of(len(decision.findings), 'guard')}: {asked[Outcome.PASS]} clear, {asked[Outcome.ASK]} asked, "
        f"{asked[Outcome.HOLD]} held, {asked[Outcome.REFUSE]} refused. The strictest outcome wins."
    )
