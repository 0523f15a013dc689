"""The keystone: a proposal and a situation to a decision, with every guard's finding. Pure and replayable.

In: a `Proposal` (what a rule or a person wants, its targets resolved) and a `Situation` (the world, read once).
Out: a `Decision`. Nothing is committed: admission claims what the decision needs.
"""

from collections.abc import Mapping
from typing import Final

from watchkeeper.decide.decision import DECIDE_REV, STRICTNESS, ClauseResult, Decision, Verdict
from watchkeeper.decide.target import Untargeted, Why
from watchkeeper.guards.autonomy import effective, mode_of
from watchkeeper.guards.finding import Finding, Moment, Outcome, answer_key
from watchkeeper.guards.order import ask
from watchkeeper.guards.situation import Proposal, Situation, Target
from watchkeeper.packs.rule import Mode
from watchkeeper.values import Instant, Severity, after_ms, digest, id_from

WAKE_EVERY_MS: Final = 60_000  # a held decision is looked at again at least so often
LADDER: Final = "autonomy"  # the guard whose finding the mode itself is
ALWAYS_COMPARED: Final = ("configuration", "epoch", "exclusion", "freeze", "grant", "hold", "stop")
ENGINE: Final[Mapping[str, str]] = {"decide_rev": str(DECIDE_REV)}


def decide(
    proposal: Proposal,
    situation: Situation,
    *,
    clauses: tuple[ClauseResult, ...] = (),
    engine: Mapping[str, str] = ENGINE,
    follows: str = "",
    because: str = "",
    stored_as: str = "",
) -> Decision:
    """`engine` names the versions that judged; `follows` is the decision before this one of the same episode, and
    `because` why it was due. At *start* the same is asked again, with `Situation.answered` from the approvals.
    `stored_as` is the digest of a situation that was read from its record, where fields of later releases are not.
    """
    findings = ask(Moment.DECIDE, proposal, situation)
    mode = mode_of(proposal, situation)
    objections = [each for each in findings if each.outcome is not Outcome.PASS]
    verdict, decided = _verdict(mode, objections, situation.answered)
    would_be, _ = _verdict(Mode.AUTO, [each for each in objections if each.guard != LADDER], ())
    alert = situation.alert
    at = situation.at
    situation_digest = stored_as or digest(situation)
    binding = binding_of(proposal, situation, mode)
    limits = proposal.limits
    return Decision(
        id=id_from("dec", at, proposal.id, binding, situation_digest, follows),
        at=at,
        verdict=verdict,
        would_be=would_be,
        mode=mode,
        reason=_reason(verdict, findings, objections, decided),
        rule=proposal.rule,
        runbook=proposal.runbook,
        arguments=proposal.arguments,
        targets=proposal.targets,
        findings=findings,
        clauses=clauses,
        alert=alert.id if alert is not None else "",
        episode=proposal.episode,
        symptom=alert.symptom if alert is not None else "",
        incident=alert.incident if alert is not None else "",
        severity=alert.severity if alert is not None else Severity.INFO,
        pack=f"{proposal.pack}@{proposal.pack_version}",
        configuration=situation.configuration,
        situation=situation_digest,
        binding=binding,
        engine=_engine(engine),
        actor=proposal.actor,
        owner=proposal.owner,
        escalate=_escalates(verdict, objections),
        start_by_at=after_ms(at, limits.start_by_ms),
        approve_by_at=after_ms(at, limits.approve_within_ms) if verdict is Verdict.ASK else None,
        wake_at=_wake_at(at, objections) if verdict is Verdict.HOLD else None,
        follows=follows,
        because=because,
        priority=proposal.priority,
        versions=_versions(proposal.targets, findings, situation),
    )


def verdict_of(mode: Mode, findings: tuple[Finding, ...], answered: tuple[str, ...] = ()) -> Verdict:
    """SEMANTICS 2. `findings` are all of them; an ask that an approval answered no longer asks, and where the ladder's
    own ask is answered, mode approve acts.
    """
    return _verdict(mode, [each for each in findings if each.outcome is not Outcome.PASS], answered)[0]


def decide_untargeted(
    untargeted: Untargeted,
    situation: Situation,
    *,
    clauses: tuple[ClauseResult, ...] = (),
    engine: Mapping[str, str] = ENGINE,
    follows: str = "",
    because: str = "",
    stored_as: str = "",
) -> Decision:
    """The decision on a rule that matched and found nothing to act upon: before any guard, and before any mode.

    An unmapped alert is `observe`; every other reason is `refuse: no target`.
    """
    missing = untargeted.missing
    alert = situation.alert
    verdict = Verdict.OBSERVE if missing.why is Why.UNMAPPED else Verdict.REFUSE
    situation_digest = stored_as or digest(situation)
    return Decision(
        id=id_from(
            "dec", situation.at, untargeted.rule, untargeted.rule_digest, situation_digest, missing.why, follows
        ),
        at=situation.at,
        verdict=verdict,
        would_be=verdict,
        mode=effective(situation.ladder)[0],
        reason=missing.reason if verdict is Verdict.OBSERVE else f"No target: {missing.reason}",
        rule=untargeted.rule,
        runbook=untargeted.runbook,
        arguments={},
        targets=(),
        findings=(),
        clauses=clauses,
        alert=alert.id if alert is not None else "",
        episode=alert.episode if alert is not None else "",
        symptom=alert.symptom if alert is not None else "",
        incident=alert.incident if alert is not None else "",
        severity=alert.severity if alert is not None else Severity.INFO,
        pack=f"{untargeted.pack}@{untargeted.pack_version}",
        configuration=situation.configuration,
        situation=situation_digest,
        binding="",
        engine=_engine(engine),
        owner=untargeted.owner,
        follows=follows,
        because=because,
        priority=untargeted.priority,
        versions=_versions((), (), situation),
    )


def binding_of(proposal: Proposal, situation: Situation, mode: Mode) -> str:
    """The digest that an approval answers (SEMANTICS 5). Of a target: what steps and guards use, not its whole entity,
    so that an edit of its description voids nothing. A field that a later release added counts only where it is set:
    what was bound before it keeps its digest.
    """
    targets = [_bound(each) for each in proposal.targets]
    return digest(
        [
            proposal.pack,
            proposal.pack_version,
            proposal.rule,
            proposal.rule_digest,
            proposal.runbook,
            proposal.runbook_digest,
            proposal.arguments,
            targets,
            situation.configuration,
            mode,
            proposal.episode,
        ]
    )


def _bound(target: Target) -> dict[str, object]:
    found = {name: getattr(target, name) for name in _BOUND_OF_TARGET}
    for name, unset in _BOUND_LATER:
        value = getattr(target, name)
        if value != unset:
            found[name] = value
    return found


_BOUND_OF_TARGET: Final = (
    "ref",
    "kind",
    "name",
    "environment",
    "production",
    "region",
    "zone",
    "tier",
    "system",
    "service",
    "owner",
    "automation",
    "reach",
    "attributes",
    "addresses",
    "honours",
)
_UNSET: Final = Target(ref="", kind="", name="", digest="")
_BOUND_LATER: Final = tuple(
    (name, getattr(_UNSET, name)) for name in Target.__struct_fields__ if name not in {*_BOUND_OF_TARGET, "digest"}
)


def stricter(one: Verdict, other: Verdict) -> Verdict:
    return one if STRICTNESS[one] >= STRICTNESS[other] else other


def _verdict(mode: Mode, objections: list[Finding], answered: tuple[str, ...]) -> tuple[Verdict, Finding | None]:
    """The verdict, and the finding that decided it; None when the mode alone did, or nothing stood in the way."""
    if mode is Mode.OBSERVE:
        return Verdict.OBSERVE, None
    if not objections and mode is Mode.AUTO:
        return Verdict.ACT, None
    first: dict[Outcome, Finding] = {}
    ladder_answered = False
    for finding in objections:
        if finding.outcome is Outcome.ASK and answered and answer_key(finding) in answered:
            ladder_answered = ladder_answered or finding.guard == LADDER
        else:
            first.setdefault(finding.outcome, finding)
    if Outcome.REFUSE in first:
        return Verdict.REFUSE, first[Outcome.REFUSE]
    if Outcome.HOLD in first:
        return Verdict.HOLD, first[Outcome.HOLD]
    if mode is Mode.SUGGEST:
        return Verdict.SUGGEST, None
    if Outcome.ASK in first or (mode is Mode.APPROVE and not ladder_answered):
        return Verdict.ASK, first.get(Outcome.ASK)
    return Verdict.ACT, None


def _reason(verdict: Verdict, findings: tuple[Finding, ...], objections: list[Finding], decided: Finding | None) -> str:
    if decided is not None:
        return decided.reason
    if verdict is not Verdict.ACT:
        return findings[-1].reason
    clear = len(findings) - len(objections)
    if not objections:
        return f"All {clear} guards are clear."
    return f"{clear} guards are clear, and {len(objections)} asked and were answered by a person."


def _escalates(verdict: Verdict, objections: list[Finding]) -> bool:
    match verdict:
        case Verdict.REFUSE | Verdict.HOLD:
            return any(each.escalate for each in objections if each.outcome in _STANDS_IN_THE_WAY)
        case _:
            return False


_STANDS_IN_THE_WAY: Final = frozenset({Outcome.REFUSE, Outcome.HOLD})


def _wake_at(at: Instant, objections: list[Finding]) -> Instant:
    """The earliest instant at which a hold may end by itself, and never later than a minute from now."""
    latest = after_ms(at, WAKE_EVERY_MS)
    ends = [each.until_at for each in objections if each.outcome is Outcome.HOLD and each.until_at is not None]
    return min([latest, *[end for end in ends if end > at]])


def _versions(targets: tuple[Target, ...], findings: tuple[Finding, ...], situation: Situation) -> dict[str, int]:
    """What admission compares: everything the situation lists, and 0 for a key that was never raised."""
    versions = dict.fromkeys(ALWAYS_COMPARED, 0)
    for target in targets:
        versions[f"target:{target.ref}"] = 0
    for finding in findings:
        for name in finding.names:
            versions[name] = 0
    versions.update(situation.versions)
    return versions


def _engine(engine: Mapping[str, str]) -> dict[str, str]:
    return {**engine, **ENGINE}
