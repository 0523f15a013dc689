"""How much would be touched: the services that depend on the targets, and how many of a group may be away at once.

Automation never takes the last good replica. Source: SEMANTICS 2, "Blast radius".
"""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Members, Proposal, Situation
from watchkeeper.guards.words import count_of, names_of
from watchkeeper.packs.rule import Unavailable

_FREE: Final = Finding(
    guard="blast_radius",
    outcome=Outcome.PASS,
    reason="No service depends on it, and no limit is set.",
    configured=False,
)
_NO_LIMIT: Final = "No limit is set."
SERVICES_RECORDED_MAX: Final = 50


def blast_radius(proposal: Proposal, situation: Situation) -> Finding:
    limits = proposal.limits
    members = situation.members
    if limits.unavailable is not None or members is not None:
        away = _away(proposal, members, limits.unavailable)
        if away is not None:
            return away
    blast = situation.blast
    if limits.blast_max is not None and len(blast) > limits.blast_max:
        return Finding(
            guard="blast_radius",
            outcome=Outcome.ASK,
            reason=(
                f"{count_of(len(blast), 'service depends', 'services depend')} on it ({names_of(blast)}); "
                f"the rule may touch {limits.blast_max}."
            ),
            evidence={
                "services": sorted(blast)[:SERVICES_RECORDED_MAX],
                "count": len(blast),
                "limit": limits.blast_max,
            },
            change=f"No more than {limits.blast_max} depend on it, or the rule's limit is raised.",
        )
    if not blast and limits.blast_max is None and limits.unavailable is None:
        return _FREE
    depends = f"{count_of(len(blast), 'service depends', 'services depend')} on it."
    within = members is not None and limits.unavailable is not None
    return Finding(
        guard="blast_radius",
        outcome=Outcome.PASS,
        reason=f"{depends} Enough of {members.of} stays." if within and members is not None else depends,
        evidence={"count": len(blast)},
        configured=limits.blast_max is not None or limits.unavailable is not None,
    )


def allowed(limit: Unavailable, total: int) -> int:
    """How many members may be away at once; a percentage is rounded down."""
    if limit.most is not None:
        return limit.most
    return total * (limit.most_ppm or 0) // 1_000_000


def takes_good(proposal: Proposal, members: Members) -> tuple[str, ...]:
    """Targets that serve now, as far as anybody knows: taking the last of them is never automation's."""
    away = {*members.unhealthy, *members.repairing}
    return tuple(target.ref for target in proposal.targets if target.ref not in away)


def _away(proposal: Proposal, members: Members | None, limit: Unavailable | None) -> Finding | None:
    """What the group says against it; None when nothing."""
    if members is None or members.total < 1:
        return Finding(
            guard="blast_radius",
            outcome=Outcome.HOLD,
            reason=f"Nobody knows the members of {members.of if members else 'the group'} that the limit counts.",
            evidence={"known": False},
            unknown=True,
            change="The catalogue knows the members, and their health is read.",
        )
    refs = {target.ref for target in proposal.targets}
    unknown = [ref for ref in members.unknown if ref not in refs]
    if unknown:
        return Finding(
            guard="blast_radius",
            outcome=Outcome.HOLD,
            reason=f"The health of {names_of(unknown)} in {members.of} is not known.",
            evidence={"unknown": sorted(unknown)[:SERVICES_RECORDED_MAX], "of": members.of},
            unknown=True,
            change="Their health is read again.",
        )
    others = {*members.unhealthy, *members.repairing} - refs
    good = takes_good(proposal, members)
    evidence = {
        "of": members.of,
        "total": members.total,
        "away": sorted(others)[:SERVICES_RECORDED_MAX],
        "takes": len(refs),
    }
    if good and members.total - len(others) - len(refs) < 1:
        return Finding(
            guard="blast_radius",
            outcome=Outcome.REFUSE,
            reason=f"It would take the last good replica of {members.of} (1 of {members.total} must stay).",
            evidence=evidence,
            change=f"Another member of {members.of} is healthy.",
            escalate=True,
        )
    if limit is None:
        return None
    most = allowed(limit, members.total)
    if len(refs) > most:
        return Finding(
            guard="blast_radius",
            outcome=Outcome.REFUSE,
            reason=f"It would take {len(refs)} of {members.total} in {members.of} at once; the rule may take {most}.",
            evidence={**evidence, "limit": most},
            change="The rule takes fewer targets, or its limit is raised.",
        )
    if len(others) + len(refs) > most:
        return Finding(
            guard="blast_radius",
            outcome=Outcome.HOLD,
            reason=(
                f"{names_of(sorted(others))} of {members.of} {'is' if len(others) == 1 else 'are'} away already; "
                f"{most} of {members.total} may be."
            ),
            evidence={**evidence, "limit": most},
            change=f"Enough of {members.of} is healthy again.",
        )
    return None
