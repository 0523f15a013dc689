"""What a runbook's steps need: their actions, the ways they go, and what the catalogue lacks for those."""

from collections.abc import Iterable, Mapping

from watchkeeper.catalog.reach import lacking
from watchkeeper.guards.situation import Need, Proposal, Unreached
from watchkeeper.packs.action import is_program
from watchkeeper.packs.runbook import Effect, Runbook, Step, StepKind, Via


def needs_of(steps: tuple[Step, ...], runbooks: Mapping[str, Runbook], path: str, reach: Via) -> Iterable[Need]:
    for step in steps:
        here = f"{path}/{step.id}" if path else step.id
        match step.kind:
            case StepKind.DO if step.call is not None:
                yield Need(
                    step=here,
                    action=step.call.action,
                    via=step.via or reach,
                    effect=step.effect,
                    permitted=True,
                )
                if step.undo is not None and is_program(step.undo.call.action):
                    # It runs on this node, also when what it undoes was a call to somewhere.
                    undo = step.undo.call.action
                    yield Need(step=f"{here} (undo)", action=undo, via=Via.LOCAL, effect=Effect.ONCE, permitted=True)
            case StepKind.CALL if step.runbook in runbooks:
                yield from needs_of(runbooks[step.runbook].steps, runbooks, here, reach)
            case _:
                yield from needs_of(step.steps, runbooks, here, reach)


def unreached(proposal: Proposal) -> Unreached | None:
    """What the catalogue lacks for the ways that the steps go."""
    for via in dict.fromkeys(need.via.value for need in proposal.needs):
        for target in proposal.targets:
            gap = lacking(via, target.attributes, target.addresses)
            if gap is not None:
                return Unreached(target=target.ref, name=target.name, via=via, attribute=gap.attribute, why=gap.why)
    return None
