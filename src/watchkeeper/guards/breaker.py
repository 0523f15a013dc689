"""Circuit breakers: what keeps failing is left alone, then tried once over all nodes. Several together are a brake."""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Breaker, Proposal, Situation
from watchkeeper.guards.words import clipped, count_of, when
from watchkeeper.values import id_short

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"
OWN_RULE: Final = "rule"  # `Situation.brake`: the rule itself is what fails, so its being a failover excuses nothing
BRAKE: Final = "breaker:brake"

_CLOSED: Final = Finding(guard="breaker", outcome=Outcome.PASS, reason="No breaker is open.", names=(BRAKE,))


def breaker(proposal: Proposal, situation: Situation) -> Finding:
    """A breaker past its `until_at`, or half open, admits one trial: that trial is claimed at admission."""
    if not situation.breakers and not situation.braked:
        return _CLOSED
    names = (BRAKE, *[f"breaker:{each.key}" for each in situation.breakers])
    for each in situation.breakers:
        if each.state not in {CLOSED, OPEN, HALF_OPEN}:
            return Finding(
                guard="breaker",
                outcome=Outcome.HOLD,
                reason=f"The breaker of {each.key} is in a state nobody knows: {clipped(each.state)}.",
                evidence={"breaker": each.key},
                names=names,
                unknown=True,
                change="The breaker is closed by hand.",
            )
        if each.state == OPEN and not on_trial(each, situation):
            return Finding(
                guard="breaker",
                outcome=Outcome.HOLD,
                reason=_open_words(each, situation),
                evidence={"breaker": each.key, "failures": each.failures},
                until_at=each.until_at,
                names=names,
                change="The trial after that time verifies healthy.",
            )
        if each.trial and on_trial(each, situation):
            return Finding(
                guard="breaker",
                outcome=Outcome.HOLD,
                reason=f"{each.key} is tried by {id_short(each.trial)} now, and only one run tries.",
                evidence={"breaker": each.key, "trial": each.trial},
                names=names,
                change="That trial ends: healthy closes the breaker, anything else leaves it open for longer.",
            )
    if situation.braked:
        return _brake(proposal, situation, names)
    trials = [each.key for each in situation.breakers if on_trial(each, situation)]
    return Finding(
        guard="breaker",
        outcome=Outcome.PASS,
        reason=f"This is the trial of {trials[0]}." if trials else "Every breaker on the way is closed.",
        evidence={"trials": trials},
        names=names,
    )


def on_trial(each: Breaker, situation: Situation) -> bool:
    """Whether one run may try: admission lets no second one through."""
    if each.state == OPEN:
        return each.until_at is not None and each.until_at <= situation.at
    return each.state == HALF_OPEN


def _open_words(each: Breaker, situation: Situation) -> str:
    failed = f"{each.key} failed {count_of(each.failures, 'time')} and is left alone"
    if each.until_at is None:
        return f"{failed} since {when(each.since_at, situation.at)}."
    return f"{failed} until {when(each.until_at, situation.at)}."


def _brake(proposal: Proposal, situation: Situation, names: tuple[str, ...]) -> Finding:
    """A region's loss must not stop the failover that cures it, so a failover asks where a restart holds."""
    asks = proposal.failover and situation.brake != OWN_RULE
    about = {"brake": situation.brake} if situation.brake else {}
    return Finding(
        guard="breaker",
        outcome=Outcome.ASK if asks else Outcome.HOLD,
        reason=f"The brake is on: {clipped(situation.braked)}.",
        evidence={"braked": True, **about, "seen": {"brake": clipped(situation.braked)}},
        names=names,
        change="What failed lies further back, or a person releases the brake.",
        escalate=not asks,
    )
