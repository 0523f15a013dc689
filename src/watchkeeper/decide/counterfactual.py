"""What would change it: the smallest set of changes to the situation that leads to a given verdict.

Nothing is claimed that was not tried: each set is applied, and the guards are asked again.
"""

from itertools import combinations
from typing import Final

from msgspec import Struct

from watchkeeper.decide.changes import Change, World, candidates
from watchkeeper.decide.decide import decide, verdict_of
from watchkeeper.decide.decision import Verdict
from watchkeeper.guards.autonomy import mode_of
from watchkeeper.guards.finding import Moment
from watchkeeper.guards.order import ask
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.guards.words import names_of

CHANGES_MAX: Final = 3
CANDIDATES_MAX: Final = 40  # combinations of three of them: some ten thousand times all guards


class Counterfactual(Struct, frozen=True, kw_only=True):
    """`changes` make the verdict `verdict`, and no smaller set of the changes that were tried does."""

    verdict: Verdict
    changes: tuple[Change, ...]
    sentence: str


def counterfactual(proposal: Proposal, situation: Situation, verdict: Verdict) -> Counterfactual | None:
    """None when it is the verdict already, or when no set of at most three changes leads there."""
    now = decide(proposal, situation)
    if now.verdict is verdict:
        return None
    tried = list(candidates((proposal, situation), now))[:CANDIDATES_MAX]
    for size in range(1, CHANGES_MAX + 1):
        for changes in combinations(tried, size):
            if verdict_in(applied((proposal, situation), changes)) is verdict:
                sentence = f"If {names_of([change.text for change in changes])}, it would {_WOULD[verdict]}."
                return Counterfactual(verdict=verdict, changes=changes, sentence=sentence)
    return None


def counterfactuals(proposal: Proposal, situation: Situation) -> tuple[Counterfactual, ...]:
    """One for each other verdict that can be reached, `act` first."""
    found = (counterfactual(proposal, situation, verdict) for verdict in reversed(Verdict))
    return tuple(each for each in found if each is not None)


def applied(world: World, changes: tuple[Change, ...]) -> World:
    for change in changes:
        world = change.apply(world)
    return world


def verdict_in(world: World) -> Verdict:
    """What `decide` would say, without making the record of it."""
    return verdict_of(mode_of(*world), ask(Moment.DECIDE, *world), world[1].answered)


_WOULD: Final = {
    Verdict.ACT: "act",
    Verdict.ASK: "ask first",
    Verdict.SUGGEST: "suggest it",
    Verdict.OBSERVE: "only watch",
    Verdict.HOLD: "hold",
    Verdict.REFUSE: "refuse",
}
