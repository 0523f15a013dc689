"""What an expression can see, as a table of names and types."""

from typing import Final

_WHAT: Final = {
    "alert.labels": 'a map; an absent label is ""',
    "alert.annotations": 'a map; an absent one is ""',
    "target": "target.NAME is the entity's annotation watchkeeper.dev/attr.NAME",
    "slo": 'slo["NAME"] of slos/, with target, attainment, budget_left and burn["1h"]; with an age',
    "probe": "the last probe of an entity, by its name; with an age",
    "dependency": "the health of what it depends on, by name; with an age",
    "region": 'region["NAME"] is "seeing"; unknown when nothing came from there for 5 minutes',
    "params": "params.NAME, as the runbook's params declare it",
    "steps": "steps.ID.output, of a step before this one",
    "intent_at": "when the step was intended",
}


def names() -> dict[str, list[tuple[str, str, str]]]:
    """Where an expression stands -> (name, type, what it is), in order."""
    from watchkeeper.packs.metrics import METRICS
    from watchkeeper.packs.scope import RULE, RULE_TARGET, described, runbook_scope

    about = {**_WHAT, **{f"metrics.{name}": f"{what}; with an age" for name, (_, what) in METRICS.items()}}
    run = {**runbook_scope({}, ()), "params": "map", "steps": "map"}
    return {
        "rule: when, autonomy.when": _rows(described(RULE), about),
        "rule: target.by": _rows(described(RULE_TARGET), about),
        "runbook: when, with ${ }, show": _rows(described(run), about),
    }


def _rows(found: tuple[tuple[str, str], ...], about: dict[str, str]) -> list[tuple[str, str, str]]:
    return [(name, kind, about.get(name, "")) for name, kind in found]
