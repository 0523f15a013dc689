"""The autonomy ladder: how far this rule may go here, and which of the four inputs binds (SEMANTICS 4)."""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Ladder, Proposal, Situation
from watchkeeper.guards.words import clipped
from watchkeeper.packs.rule import MODE_ORDER, Mode

RANK: Final = {mode: rank for rank, mode in enumerate(MODE_ORDER)}

_NAMES: Final = ("grant", "configuration")
_PERSON: Final = Finding(
    guard="autonomy",
    outcome=Outcome.PASS,
    reason="A person runs it; the ladder binds automation.",
    evidence={"mode": Mode.AUTO.value, "binds": "nothing"},
    names=_NAMES,
)


def mode_of(proposal: Proposal, situation: Situation) -> Mode:
    """The mode of the verdict. A person's own run is not held back by what automation has earned."""
    return Mode.AUTO if is_person(proposal) else effective(situation.ladder)[0]


def standing_key(rule: str) -> str:
    """The version that moves with what a rule earned or lost, in any of its cells."""
    return f"standing:{rule}"


def is_person(proposal: Proposal) -> bool:
    return proposal.actor.startswith("person:")


def standing(ladder: Ladder) -> Mode:
    """The higher of earned and granted."""
    return max(ladder.earned, ladder.granted, key=RANK.__getitem__)


def effective(ladder: Ladder) -> tuple[Mode, str]:
    """The lowest of ceiling, risk class, standing and demotion, and the name of the first input that binds."""
    lowest, binds = ladder.ceiling, "ceiling"
    if RANK[ladder.risk_ceiling] < RANK[lowest]:
        lowest, binds = ladder.risk_ceiling, "risk"
    stands = standing(ladder)
    if RANK[stands] < RANK[lowest]:
        lowest, binds = stands, "standing"
    if ladder.demoted is not None and RANK[ladder.demoted] < RANK[lowest]:
        lowest, binds = ladder.demoted, "demotion"
    return lowest, binds


def autonomy(proposal: Proposal, situation: Situation) -> Finding:
    """Clear at auto alone. In observe and suggest the mode gives the verdict before any ask counts; that it asks there
    too keeps a run from starting whose rule was demoted after the decision.
    """
    if is_person(proposal):
        return _PERSON
    ladder = situation.ladder
    mode, binds = effective(ladder)
    return Finding(
        guard="autonomy",
        outcome=Outcome.PASS if mode is Mode.AUTO else Outcome.ASK,
        reason=_words(ladder, mode, binds),
        evidence={
            "cell": ladder.cell,
            "mode": mode._value_,
            "binds": binds if mode is not Mode.AUTO else "nothing",
            "ceiling": ladder.ceiling._value_,
            "risk": ladder.risk_ceiling._value_,
            "standing": standing(ladder)._value_,
            "demoted": ladder.demoted._value_ if ladder.demoted is not None else "",
            "grant": ladder.grant,
        },
        names=(*_NAMES, standing_key(proposal.rule)),
        change="" if mode is Mode.AUTO else _REVIEWED if binds == "ceiling" and ladder.review else _CHANGE[binds],
    )


_CHANGE: Final = {
    "ceiling": "The rule's ceiling is raised by a reviewed change.",
    "risk": "The policy raises the ceiling of this risk class.",
    "standing": "The rule earns more by agreement (wk autonomy), or somebody grants it on record (wk autonomy grant).",
    "demotion": "Somebody lifts the demotion on record (wk autonomy lift).",
}


_REVIEWED: Final = "A reviewed change declares the metric automated (metrics.response in watchkeeper.yaml)."


def _words(ladder: Ladder, mode: Mode, binds: str) -> str:
    if mode is Mode.AUTO:
        how = f"granted on record ({ladder.grant})" if ladder.earned is not Mode.AUTO and ladder.grant else "earned"
        return f"The ladder stands at auto, {how}."
    because = {
        "ceiling": f"the ceiling of a rule that rests on {ladder.review}, which is for manual review"
        if ladder.review
        else "the rule's own ceiling",
        "risk": "the ceiling of its risk class",
        "standing": f"what it has earned here ({clipped(ladder.evidence) or 'no agreement measured yet'})",
        "demotion": f"a demotion ({clipped(ladder.demotion) or 'recorded'})",
    }[binds]
    return f"The ladder stands at {mode._value_}: that is {because}."
