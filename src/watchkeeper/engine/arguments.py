"""What a rule hands to its runbook: `with`, rendered over the alert and its first target."""

from watchkeeper.engine.situations import Situations
from watchkeeper.execute.bindings import parameters
from watchkeeper.guards.situation import AlertFacts, Target
from watchkeeper.packs.expression import Known
from watchkeeper.packs.rule import Rule
from watchkeeper.packs.runbook import Runbook
from watchkeeper.packs.template import render
from watchkeeper.values import Instant


def arguments_of(
    situations: Situations,
    rule: Rule,
    runbook: Runbook,
    facts: AlertFacts,
    targets: tuple[Target, ...],
    now: Instant,
) -> tuple[dict[str, object], str]:
    """The runbook's parameters as literals of their types, and why they do not fit it ("" when they do).

    What cannot be answered stays away: the runbook's default stands.
    """
    bindings = situations.bindings(facts, targets[0], now) if rule.arguments else {}
    found: dict[str, object] = {}
    for name, value in rule.arguments.items():
        match render(value, bindings):
            case Known(value=literal):
                found[name] = literal
            case _:
                continue
    try:
        return parameters(runbook, found), ""
    except ValueError as unfit:
        return found, f"with: {unfit}"
