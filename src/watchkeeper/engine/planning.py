"""The plan that a decision commits its run to: the runbook, what it calls, its targets, its alert."""

from watchkeeper.decide.decision import Decision
from watchkeeper.execute.run import Plan
from watchkeeper.guards.situation import AlertFacts
from watchkeeper.packs.runbook import Runbook


def plan_of(decision: Decision, runbooks: dict[str, Runbook], facts: AlertFacts | None) -> Plan:
    """The plan that a decision commits to: a run in flight keeps the configuration it was compiled from."""
    runbook = runbooks[decision.runbook]
    return Plan(
        configuration=decision.configuration,
        runbook=runbook,
        called=_called(runbook, runbooks),
        targets=decision.targets,
        arguments=decision.arguments,
        alert=_alert_binding(facts, decision),
    )


def _called(runbook: Runbook, runbooks: dict[str, Runbook]) -> dict[str, Runbook]:
    found: dict[str, Runbook] = {}
    queue = [runbook]
    while queue:
        stack = list(queue.pop().steps)
        while stack:
            step = stack.pop()
            stack.extend(step.steps)
            if step.runbook and step.runbook not in found and step.runbook in runbooks:
                found[step.runbook] = runbooks[step.runbook]
                queue.append(runbooks[step.runbook])
    return found


def _alert_binding(facts: AlertFacts | None, decision: Decision) -> dict[str, object]:
    if facts is None:
        return {"labels": {}, "annotations": {}, "incident": "", "name": "", "severity": decision.severity.value}
    return {
        "name": facts.labels.get("alertname", ""),
        "labels": facts.labels,
        "annotations": facts.annotations,
        "severity": facts.severity.value,
        "symptom": facts.symptom,
        "source": facts.source,
        "group": facts.group,
        "region": facts.region,
        "entity": facts.entity,
        "firing": facts.firing,
        "starts_at": facts.starts_at,
        "first_seen_at": facts.first_seen_at,
        "last_seen_at": facts.last_seen_at,
        "incident": facts.incident,
    }
