"""What a request would do, on each of its targets: the calls with their values, for the card that a person reads."""

from typing import Any, Final

import msgspec

from watchkeeper.decide.decision import Decision
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.facts import facts_of
from watchkeeper.engine.planning import plan_of
from watchkeeper.execute.foresee import foresee

TARGETS_FORESEEN_MAX: Final = 20


def foreseen(engine: Engine, decision: Decision) -> list[dict[str, Any]]:
    """One item a target, at most TARGETS_FORESEEN_MAX; none when the active configuration has no such runbook."""
    runbooks = engine.world.configuration.rulebook.runbooks
    if decision.runbook not in runbooks:
        return []
    alert = engine.correlation.alert(decision.alert)
    facts = None
    if alert is not None:
        facts = facts_of(alert, engine.correlation, engine.witnesses, engine.clock.now())
    plan = plan_of(decision, runbooks, facts)
    return [
        {"target": target.ref, "name": target.name, "steps": msgspec.to_builtins(foresee(plan, target))}
        for target in decision.targets[:TARGETS_FORESEEN_MAX]
    ]
