"""The exclusion register: subsystems kept out of automation. It wins over every rule, role and approval."""

from typing import Final

from watchkeeper.guards.cover import covered
from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.guards.words import clipped, count_of, day

_NAMES: Final = ("exclusion",)
_NONE: Final = Finding(
    guard="exclusion", outcome=Outcome.PASS, reason="Nothing is registered as excluded.", names=_NAMES, configured=False
)


def exclusion(proposal: Proposal, situation: Situation) -> Finding:
    """An expired exclusion still binds, until it is renewed or removed on record; a future one does not bind yet."""
    if not situation.exclusions:
        return _NONE
    for each in situation.exclusions:
        if each.from_at > situation.at:
            continue
        target = covered(each.scope, proposal)
        if target is not None:
            expired = each.until_at <= situation.at
            lifts = each.approver or each.owner
            binds = (
                f"It expired on {day(each.until_at)} and binds until it is renewed or removed on record."
                if expired
                else f"Only {lifts} can lift that."
            )
            return Finding(
                guard="exclusion",
                outcome=Outcome.REFUSE,
                reason=f"{each.owner} excluded {target.name} on {day(each.from_at)} ({each.id}): {clipped(each.reason)}. {binds}",
                evidence={"exclusion": each.id, "control": each.control, "target": target.ref, "expired": expired},
                names=_NAMES,
                change=f"{lifts} removes exclusion {each.id} on record.",
            )
    return Finding(
        guard="exclusion",
        outcome=Outcome.PASS,
        reason=f"None of {count_of(len(situation.exclusions), 'exclusion')} covers these targets.",
        evidence={"exclusions": [each.id for each in situation.exclusions]},
        names=_NAMES,
    )
