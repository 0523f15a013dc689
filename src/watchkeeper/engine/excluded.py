"""What of a decision the exclusion register has to know: which entry stopped it.

A decision counts for the entry that its finding names: the first in the file that covers a target. So every decision
that was stopped is counted once, and the sum over the register is the number of decisions stopped.
"""

from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.engine.records import Excluded
from watchkeeper.guards.finding import Outcome
from watchkeeper.guards.situation import Situation

GUARD = "exclusion"
STOPPED = Verdict.REFUSE.value  # any other verdict would have done nothing anyway (a rule that observes)


def named_by(decision: Decision) -> str:
    """The id of the exclusion that refuses this decision, "" when none does."""
    for finding in decision.findings:
        if finding.guard == GUARD and finding.outcome is Outcome.REFUSE:
            return str(finding.evidence.get("exclusion", ""))
    return ""


def excluded_of(decision: Decision, situation: Situation) -> Excluded | None:
    """The record for the register; None for a decision that no exclusion refuses."""
    name = named_by(decision)
    entry = next((each for each in situation.exclusions if each.id == name), None)
    if not name or entry is None:
        return None
    finding = next(each for each in decision.findings if each.guard == GUARD)
    return Excluded(
        id=decision.id,
        at=decision.at,
        exclusion=entry,
        verdict=decision.verdict.value,
        rule=decision.rule,
        runbook=decision.runbook,
        actor=decision.actor,
        target=str(finding.evidence.get("target", "")),
        targets=tuple(target.ref for target in decision.targets),
        reason=finding.reason,
        alert=decision.alert,
        incident=decision.incident,
        configuration=decision.configuration,
    )
