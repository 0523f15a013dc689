"""Whether the world agrees that this is so: the rule's clauses could be judged, nothing above explains the alert, and as
many groups and regions see it as the rule demands. A region that cannot see is unknown, never down.
"""

from collections.abc import Iterable
from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Proposal, Seen, Situation
from watchkeeper.guards.words import clipped, names_of

FIRING: Final = "firing"
BLIND: Final = "blind"

_NONE: Final = Finding(
    guard="corroboration", outcome=Outcome.PASS, reason="The rule asks for no corroboration.", configured=False
)


def corroboration(proposal: Proposal, situation: Situation) -> Finding:
    if situation.broken_clause:
        return Finding(
            guard="corroboration",
            outcome=Outcome.HOLD,
            reason=f"A clause of {proposal.rule} is broken: {clipped(situation.broken_clause)}.",
            evidence={"broken": True},
            names=("configuration",),
            change=f"{proposal.owner or 'The owner'} repairs the clause.",
        )
    if situation.unknown_clause:
        return Finding(
            guard="corroboration",
            outcome=Outcome.HOLD,
            reason=f"A clause of {proposal.rule} could not be judged: {clipped(situation.unknown_clause)}.",
            evidence={"judged": False},
            unknown=True,
            change="Its input is read again.",
        )
    alert = situation.alert
    if alert is not None and alert.inhibited:
        return Finding(
            guard="corroboration",
            outcome=Outcome.HOLD,
            reason=f"Something else explains the alert: {clipped(alert.inhibited)}.",
            evidence={"inhibited": True},
            change="What explains it has passed, and the alert still fires.",
        )
    if not situation.groups_needed and not situation.regions_needed:
        return _NONE
    names = (f"symptom:{alert.symptom}",) if alert is not None else ()
    for needed, seen, what in (
        (situation.groups_needed, situation.groups_seen, "source"),
        (situation.regions_needed, situation.regions, "region"),
    ):
        if needed:
            short = _short(needed, seen, what, names)
            if short is not None:
                return short
    firing = sorted({*_saying(FIRING, situation.groups_seen), *_saying(FIRING, situation.regions)})
    return Finding(
        guard="corroboration", outcome=Outcome.PASS, reason=f"{names_of(firing)} agree that it fires.", names=names
    )


def _saying(says: str, seen: Iterable[Seen]) -> set[str]:
    return {each.name for each in seen if each.says == says}


def _short(needed: int, seen: tuple[Seen, ...], what: str, names: tuple[str, ...]) -> Finding | None:
    """What is missing from agreement; None when enough distinct names say that it fires."""
    firing = _saying(FIRING, seen)
    if len(firing) >= needed:
        return None
    blind = sorted(_saying(BLIND, seen) - firing)
    sees = f"{len(firing)} {what}{'' if len(firing) == 1 else 's'} of the {needed} needed"
    evidence = {"what": what, "needed": needed, "firing": sorted(firing), "blind": blind}
    if len(firing) + len(blind) >= needed:
        return Finding(
            guard="corroboration",
            outcome=Outcome.HOLD,
            reason=f"{sees} {'sees' if len(firing) == 1 else 'see'} it; {names_of(blind)} cannot see.",
            evidence=evidence,
            names=names,
            unknown=True,
            change=f"{names_of(blind, 'or')} can see again, and agrees.",
        )
    quiet = sorted({each.name for each in seen} - firing - set(blind))
    rest = f"; {names_of(quiet)} {'says' if len(quiet) == 1 else 'say'} that all is well" if quiet else ""
    return Finding(
        guard="corroboration",
        outcome=Outcome.HOLD,
        reason=f"{sees} {'sees' if len(firing) == 1 else 'see'} it{rest}.",
        evidence=evidence,
        names=names,
        change=_more(needed - len(firing), what),
    )


def _more(count: int, what: str) -> str:
    return (
        f"1 more {what} reports the same symptom." if count == 1 else f"{count} more {what}s report the same symptom."
    )
