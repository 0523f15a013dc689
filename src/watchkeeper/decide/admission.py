"""What admission commits for a decision: versions that must still be current, and claims that must not pass their limits.

`decide` proposes, admission commits (SEMANTICS 3): everything below goes into one store transaction, all or nothing.
"""

from typing import Final

from watchkeeper.decide.decision import ClaimWant, Decision, Verdict
from watchkeeper.guards.blast_radius import allowed, takes_good
from watchkeeper.guards.breaker import on_trial
from watchkeeper.guards.situation import Members, Proposal, Situation
from watchkeeper.home.limits import LimitSettings as LimitSettings  # noqa: PLC0414  what `claims` takes
from watchkeeper.packs.rule import Unavailable
from watchkeeper.values import after_ms

TRIES_MAX: Final = 3  # then the decision is `hold: contention`


def expects(decision: Decision, situation: Situation) -> tuple[tuple[str, int], ...]:
    """(version key, number) in key order: what the situation was read at. A key that was never raised is 0."""
    return tuple(sorted({**decision.versions, **situation.versions}.items()))


def claims(
    proposal: Proposal, decision: Decision, situation: Situation, settings: LimitSettings
) -> tuple[ClaimWant, ...]:
    """In key order, so that two admissions never wait for each other. Empty unless the run may really act:
    `ask` is admitted at its last approval, by the decision that is made then.
    """
    if decision.verdict is not Verdict.ACT:
        return ()
    targets = proposal.targets
    wants = [ClaimWant(key="run:global", limit=settings.global_max)]
    wants += [ClaimWant(key=f"run:target:{target.ref}", limit=1) for target in targets]
    wants += [
        ClaimWant(key=f"run:service:{name}", limit=settings.service_max)
        for name in {target.service for target in targets if target.service}
    ]
    wants += [
        ClaimWant(key=f"run:region:{name}", limit=settings.region_max)
        for name in {target.region for target in targets if target.region}
    ]
    wants += _attempts(proposal, decision)
    wants += [ClaimWant(key=f"trial:{each.key}", limit=1) for each in situation.breakers if on_trial(each, situation)]
    if situation.members is not None:
        wants.append(_unavailable(proposal, situation.members, proposal.limits.unavailable))
    return tuple(sorted(wants, key=lambda want: want.key))


def _attempts(proposal: Proposal, decision: Decision) -> list[ClaimWant]:
    """A window claim a target and symptom: it outlives the run, and ends with the window."""
    if not decision.symptom:
        return []  # a person's own run without an alert is no attempt at a symptom
    limits = proposal.limits
    until_at = after_ms(decision.at, limits.attempts_within_ms)
    return [
        ClaimWant(key=f"attempts:{target.ref}:{decision.symptom}", limit=limits.attempts, until_at=until_at)
        for target in proposal.targets
    ]


def _unavailable(proposal: Proposal, members: Members, limit: Unavailable | None) -> ClaimWant:
    """Members under repair hold claims of the same key; members that are unhealthy and nobody's take from the limit.

    Whoever takes a member that still serves leaves one more that does, so that two runs, admitted one after the other,
    never take the last two.
    """
    refs = {target.ref for target in proposal.targets}
    nobodys = len(set(members.unhealthy) - set(members.repairing) - refs)
    most = allowed(limit, members.total) if limit is not None else members.total
    if takes_good(proposal, members):
        most = min(most, members.total - 1)
    return ClaimWant(key=f"unavailable:{members.of}", limit=max(0, most - nobodys), units=len(refs))
