"""Runs on these targets: earlier ones (too many means a person), one under way (wait), and other proposals beside it.

One acting run a target; different runbooks of equal priority for one target are a person's choice (SEMANTICS 1).
"""

from typing import Final

from watchkeeper.guards.finding import Finding, Outcome
from watchkeeper.guards.situation import Attempt, Proposal, Situation
from watchkeeper.guards.words import count_of, names_of
from watchkeeper.values import Instant, after_ms, duration_text, id_short

NOTHING_DONE: Final = "lapsed"  # a run that lapsed sent no effect, so it was no attempt

_FIRST: Final = Finding(guard="attempts", outcome=Outcome.PASS, reason="This is the first attempt.")


def attempts(proposal: Proposal, situation: Situation) -> Finding:
    """The run after `limits.attempts` inside the window is refused and goes to a person, whatever became of the others.

    Source of escalating instead of going on: repeated remediation hides a cause (CAPABILITIES 3.2).
    """
    worst = _worst(proposal, situation) if situation.attempts else ()
    most = proposal.limits.attempts
    if len(worst) >= most:
        return _spent(proposal, situation, worst)
    if situation.busy:
        return Finding(
            guard="attempts",
            outcome=Outcome.HOLD,
            reason=f"Waits for {names_of([id_short(run) for run in situation.busy])}, at work on the same target.",
            evidence={"busy": list(situation.busy)},
            names=tuple([f"target:{target.ref}" for target in proposal.targets]),
            change="That run ends.",
        )
    if situation.rivals:
        both = [proposal.runbook, *situation.rivals]
        return Finding(
            guard="attempts",
            outcome=Outcome.ASK,
            reason=f"{names_of(both)} are both proposed for the same target with equal priority.",
            evidence={"rivals": sorted(situation.rivals), "priority": proposal.priority},
            names=("configuration",),
            change="One of the rules gets the higher priority.",
        )
    if not worst:
        return _FIRST
    return Finding(
        guard="attempts",
        outcome=Outcome.PASS,
        reason=f"Attempt {len(worst) + 1} of {most} in {duration_text(proposal.limits.attempts_within_ms)}.",
        evidence={"attempts": len(worst), "limit": most},
    )


def _worst(proposal: Proposal, situation: Situation) -> tuple[Attempt, ...]:
    """The attempts of the target that had most, oldest first."""
    found: dict[str, list[Attempt]] = {}
    refs = {target.ref for target in proposal.targets}
    for each in situation.attempts:
        if each.target in refs and each.status != NOTHING_DONE and situation.at < _leaves_at(each, proposal):
            found.setdefault(each.target, []).append(each)
    if not found:
        return ()
    worst: list[Attempt] = max(found.values(), key=len)
    return tuple(sorted(worst, key=lambda each: (each.ended_at, each.run)))


def _leaves_at(each: Attempt, proposal: Proposal) -> Instant:
    return after_ms(each.ended_at, proposal.limits.attempts_within_ms)


def _spent(proposal: Proposal, situation: Situation, worst: tuple[Attempt, ...]) -> Finding:
    limits = proposal.limits
    within = duration_text(limits.attempts_within_ms)
    if limits.attempts < 1:
        reason, until_at = f"{proposal.rule} allows no attempt.", None
    else:
        tried = [f"{each.runbook or id_short(each.run)} {each.status}" for each in reversed(worst)]
        reason = f"Tried {count_of(len(worst), 'time')} in {within}, and it fires again: {names_of(tried)}. A person takes over."
        until_at = _leaves_at(worst[len(worst) - limits.attempts], proposal)
    return Finding(
        guard="attempts",
        outcome=Outcome.REFUSE,
        reason=reason,
        evidence={
            "attempts": len(worst),
            "limit": limits.attempts,
            "within_ms": limits.attempts_within_ms,
            "symptom": situation.alert.symptom if situation.alert else "",
            "runs": [each.run for each in worst],
        },
        until_at=until_at,
        change=f"Fewer than {limits.attempts} attempts lie within {within}, or a person repairs it.",
        escalate=True,
    )
