"""A deploy of the target's own service under way: wait for the end it announced, or ask when it announced none."""

from typing import Final

from watchkeeper.guards.cover import about, bare
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Deploy, Proposal, Situation
from watchkeeper.guards.words import clipped, names_of, when

_NAMES: Final = ("deploy",)
_NONE: Final = Finding(
    guard="deploy", outcome=Outcome.PASS, reason="No deploy is under way.", names=_NAMES, configured=False
)
_ELSEWHERE: Final = Finding(
    guard="deploy", outcome=Outcome.PASS, reason="Deploys are under way, but of other services.", names=_NAMES
)


def deploy(proposal: Proposal, situation: Situation) -> Finding:
    if situation.deploys_unknown:
        return Finding(
            guard="deploy",
            outcome=Outcome.HOLD,
            reason=f"Nobody knows whether a deploy is under way: {clipped(situation.deploys_unknown)}.",
            evidence={"known": False},
            names=_NAMES,
            unknown=True,
            change="The source of deploys answers again.",
        )
    if not situation.deploys:
        return _NONE
    here = [each for each in situation.deploys if any(about(each.service, target) for target in proposal.targets)]
    if not here:
        return _ELSEWHERE
    announced = [each for each in here if each.until_at is not None and each.until_at > situation.at]
    if announced:
        return _hold(announced, situation)
    first = here[0]
    end = (
        "announced no end"
        if first.until_at is None
        else f"should have ended at {when(first.until_at, situation.at)} and has not"
    )
    return Finding(
        guard="deploy",
        outcome=Outcome.ASK,
        reason=f"The deploy of {bare(first.service)} ({first.id}) {end}.",
        evidence={"deploys": [each.id for each in here]},
        names=_NAMES,
        change="The deploy ends.",
    )


def _hold(announced: list[Deploy], situation: Situation) -> Finding:
    until_at = max(each.until_at for each in announced if each.until_at is not None)
    return Finding(
        guard="deploy",
        outcome=Outcome.HOLD,
        reason=(
            f"A deploy of {names_of(sorted({bare(each.service) for each in announced}))} is under way "
            f"until {when(until_at, situation.at)}."
        ),
        evidence={"deploys": [each.id for each in announced]},
        until_at=until_at,
        names=_NAMES,
        change="The deploy ends.",
    )
