"""No changes in this window. A freeze asks; only an emergency approval, with its own permission, answers it."""

from typing import Final

from watchkeeper.guards.cover import covered
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Freeze, Proposal, Situation
from watchkeeper.guards.words import clipped, count_of, when
from watchkeeper.values import Instant, rfc3339

_NAMES: Final = ("freeze",)
_NONE: Final = Finding(
    guard="freeze", outcome=Outcome.PASS, reason="No freeze is in force.", names=_NAMES, configured=False
)


def freeze(proposal: Proposal, situation: Situation) -> Finding:
    """`until_at` is the end of the whole closed time, windows that follow without a gap included."""
    if not situation.freezes:
        return _NONE
    open_ended = [each for each in situation.freezes if each.lifted_at is None and covered(each.scope, proposal)]
    distrusted = not situation.clock.trusted  # none runs out by such a clock
    closed = [
        each for each in open_ended if _began(each, situation.at) and (situation.at < each.until_at or distrusted)
    ]
    if not closed:
        return Finding(
            guard="freeze",
            outcome=Outcome.PASS,
            reason=f"None of {count_of(len(situation.freezes), 'freeze')} closes these targets now.",
            evidence={"freezes": [each.id for each in situation.freezes]},
            names=_NAMES,
            until_at=min((each.from_at for each in open_ended if each.from_at > situation.at), default=None),
        )
    until_at = _end(closed, open_ended)
    if situation.frozen_until is not None and situation.frozen_until > until_at:
        until_at = situation.frozen_until
    first = closed[0]
    return Finding(
        guard="freeze",
        outcome=Outcome.ASK,
        reason=f"{clipped(first.reason)} ({first.id}) closes this to changes until {when(until_at, situation.at)}.",
        evidence={"freezes": [each.id for each in closed], "until": rfc3339(until_at)},
        until_at=until_at,
        names=_NAMES,
        change="The freeze ends or is lifted, or somebody with that permission approves it as an emergency.",
    )


def _began(freeze: Freeze, at: Instant) -> bool:
    """One that was set for "from now" has begun, also when the clock has been put back since."""
    return freeze.from_at <= max(at, freeze.at)


def _end(closed: list[Freeze], all_of_them: list[Freeze]) -> Instant:
    """When the first gap begins, following windows that touch."""
    until_at = max(each.until_at for each in closed)
    for each in sorted(all_of_them, key=lambda window: window.from_at):
        if each.from_at <= until_at < each.until_at:
            until_at = each.until_at
    return until_at
