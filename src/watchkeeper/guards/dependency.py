"""What the runbook needs: is it up, and can its SLA carry the runbook's objective along the graph?"""

from typing import Final

from watchkeeper.guards.cover import bare
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import DependencyState, Health, Proposal, Situation
from watchkeeper.guards.words import names_of, percent

_NONE: Final = Finding(
    guard="dependency", outcome=Outcome.PASS, reason="The runbook declares no dependency.", configured=False
)


def dependency(proposal: Proposal, situation: Situation) -> Finding:
    """Down refuses, unknown holds, an SLA that cannot meet the objective asks: a person may know better than a figure."""
    needed = situation.dependencies
    if not needed:
        return _NONE
    names = tuple([f"dependency:{each.ref}" for each in needed])
    down = [each for each in needed if each.health is Health.UNHEALTHY]
    if down:
        return Finding(
            guard="dependency",
            outcome=Outcome.REFUSE,
            reason=f"{proposal.runbook} needs {names_of([bare(each.ref) for each in down])}, which {_is(down)} down.",
            evidence={"down": [each.ref for each in down]},
            names=names,
            change=f"{names_of([bare(each.ref) for each in down])} {_is(down)} healthy again.",
        )
    unknown = [each for each in needed if each.health is Health.UNKNOWN]
    if unknown:
        return Finding(
            guard="dependency",
            outcome=Outcome.HOLD,
            reason=f"{proposal.runbook} needs {names_of([bare(each.ref) for each in unknown])}, whose health is not known.",
            evidence={"unknown": [each.ref for each in unknown]},
            names=names,
            unknown=True,
            change=f"The health of {names_of([bare(each.ref) for each in unknown])} is read again.",
        )
    short = _weakest(needed, situation.objective_ppm)
    if short is not None and short.composite_ppm is not None and situation.objective_ppm is not None:
        weakest = bare(short.weakest or short.ref)
        return Finding(
            guard="dependency",
            outcome=Outcome.ASK,
            reason=(
                f"{bare(short.ref)} offers {percent(short.composite_ppm)} and the runbook's objective is "
                f"{percent(situation.objective_ppm)}; the weakest link is {weakest}."
            ),
            evidence={
                "dependency": short.ref,
                "composite_ppm": short.composite_ppm,
                "objective_ppm": situation.objective_ppm,
                "weakest": short.weakest,
            },
            names=names,
            change=f"{weakest} offers more, or the runbook's objective is lower.",
        )
    healthy = f"{names_of([bare(each.ref) for each in needed])} {_is(needed)} healthy"
    undeclared = [bare(each.ref) for each in needed if each.composite_ppm is None]
    if situation.objective_ppm is not None and undeclared:
        healthy += f"; {names_of(undeclared)} {'declares' if len(undeclared) == 1 else 'declare'} no SLA to compare"
    return Finding(guard="dependency", outcome=Outcome.PASS, reason=f"{healthy}.", names=names)


def _is(states: "list[DependencyState] | tuple[DependencyState, ...]") -> str:
    return "is" if len(states) == 1 else "are"


def _weakest(needed: tuple[DependencyState, ...], objective_ppm: int | None) -> DependencyState | None:
    """The dependency furthest below the objective; None when all that declare an SLA meet it."""
    if objective_ppm is None:
        return None
    below = [each for each in needed if each.composite_ppm is not None and each.composite_ppm < objective_ppm]
    return min(below, key=lambda each: (each.composite_ppm or 0, each.ref), default=None)
