"""Laws of deciding, for any situation: strictness, the unknown, the verdict's own rule, replay, counterfactuals, binding."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from situations import AT, ELSEWHERE, HOUR, MINUTE, SECOND, a_need, a_proposal, a_situation, a_target, an_alert
from watchkeeper.decide.admission import LimitSettings, claims
from watchkeeper.decide.counterfactual import applied, counterfactual
from watchkeeper.decide.decide import binding_of, decide, verdict_of
from watchkeeper.decide.decision import STRICTNESS, ClauseResult, Verdict
from watchkeeper.decide.replay import Record, Same, replay
from watchkeeper.guards.finding import Finding, Moment, Outcome, answer_key
from watchkeeper.guards.order import NAMES, ask, first_no
from watchkeeper.guards.situation import (
    Attempt,
    Breaker,
    Clock,
    DependencyState,
    Deploy,
    Exclusion,
    Freeze,
    Health,
    Hold,
    Ladder,
    Maintenance,
    Measured,
    Members,
    Proposal,
    Scope,
    Seen,
    Situation,
    Stop,
)
from watchkeeper.packs.rule import Limits, Mode, Risk, Unavailable
from watchkeeper.packs.runbook import Via

replace = msgspec.structs.replace
law = settings(max_examples=100, deadline=None)

NAMED = ("payments-api-3", "payments-api-4")
instants = st.integers(-7_200, 7_200).map(lambda seconds: AT + timedelta(seconds=seconds))
scopes = st.sampled_from(
    [Scope(), ELSEWHERE, Scope(entity="payments-api-4"), Scope(environment="prod"), Scope(region="us-east")]
)
words = st.sampled_from(["", "why"])
modes = st.sampled_from(Mode)
ids = st.integers(0, 9).map(lambda number: f"id_{number}")


def few(strategy: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


lifted = st.sampled_from([None, None, AT])
stops = st.builds(Stop, id=ids, scope=scopes, by=words, reason=words, at=instants, lifted_at=lifted)
holds = st.builds(
    Hold,
    id=ids,
    scope=scopes,
    by=st.sampled_from(["mira", "ola"]),
    reason=words,
    at=instants,
    until_at=instants,
    lifted_at=lifted,
)
freezes = st.builds(
    Freeze,
    id=ids,
    scope=scopes,
    by=words,
    reason=words,
    at=instants,
    from_at=instants,
    until_at=instants,
    lifted_at=lifted,
)
exclusions = st.builds(
    Exclusion,
    id=ids,
    scope=scopes,
    control=words,
    reason=words,
    owner=words,
    approver=words,
    from_at=instants,
    until_at=instants,
)
maintenances = st.builds(Maintenance, id=ids, scope=scopes, reason=words, from_at=instants, until_at=instants)
deploys = st.builds(
    Deploy,
    id=ids,
    service=st.sampled_from(["payments-api", "search"]),
    reason=words,
    at=instants,
    until_at=st.none() | instants,
)
tries = st.builds(
    Attempt,
    run=ids,
    target=st.sampled_from([f"resource:default/{name}" for name in NAMED]),
    symptom=words,
    ended_at=instants,
    status=st.sampled_from(["failed", "succeeded", "lapsed"]),
)
breakers = st.builds(
    Breaker,
    key=ids,
    state=st.sampled_from(["open", "closed", "half_open", "ajar"]),
    since_at=instants,
    until_at=st.none() | instants,
)
dependencies = st.builds(
    DependencyState,
    ref=ids,
    health=st.sampled_from(Health),
    composite_ppm=st.none() | st.integers(990_000, 1_000_000),
)
refs = few(st.sampled_from([f"resource:default/{name}" for name in (*NAMED, "other")]))
members = st.builds(
    Members, of=st.just("payments-api"), total=st.integers(0, 4), unhealthy=refs, repairing=refs, unknown=refs
)
seen = few(
    st.builds(Seen, name=st.sampled_from(["a", "b", "c"]), says=st.sampled_from(["firing", "quiet", "blind"])), 4
)
measured = st.builds(
    Measured,
    name=st.just("m"),
    value=st.none() | st.integers(-10, 10),
    as_of=st.none() | instants,
    age_max_ms=st.integers(0, 7_200_000),
    limit=st.none() | st.integers(-5, 5),
)
ladders = st.builds(
    Ladder,
    cell=st.just("cell"),
    ceiling=modes,
    risk_ceiling=modes,
    earned=modes,
    granted=modes,
    demoted=st.none() | modes,
)
alerts = st.none() | st.builds(
    an_alert,
    firing=st.sampled_from([True, True, False]),
    stale=st.sampled_from([False, False, True]),
    flapping=words,
    inhibited=words,
)


def rarely(strategy: st.SearchStrategy[Any], usual: Any) -> st.SearchStrategy[Any]:
    """Mostly the plain value, so that situations in which it acts or asks are not lost among those that refuse."""
    return st.integers(0, 5).flatmap(lambda dice: strategy if dice == 0 else st.just(usual))


SITUATION: dict[str, st.SearchStrategy[Any]] = {
    "alert": rarely(alerts, an_alert()),
    "clock": rarely(st.builds(Clock, trusted=st.booleans(), since_at=st.none() | instants), Clock()),
    "stops": rarely(few(stops), ()),
    "holds": rarely(few(holds), ()),
    "freezes": rarely(few(freezes), ()),
    "exclusions": rarely(few(exclusions), ()),
    "maintenance": rarely(few(maintenances), ()),
    "deploys": rarely(few(deploys), ()),
    "deploys_unknown": rarely(words, ""),
    "attempts": rarely(few(tries, 4), ()),
    "breakers": rarely(few(breakers), ()),
    "braked": rarely(words, ""),
    "brake": st.sampled_from(["", "rule", "region", "global"]),
    "blast": few(ids, 3),
    "dependencies": rarely(few(dependencies), ()),
    "objective_ppm": rarely(st.integers(990_000, 1_000_000), None),
    "members": rarely(members, None),
    "groups_needed": rarely(st.integers(0, 3), 0),
    "groups_seen": seen,
    "regions_needed": rarely(st.integers(0, 3), 0),
    "regions": seen,
    "budget": rarely(measured, None),
    "anomaly": rarely(measured, None),
    "trusted_pack": words,
    "untrusted": rarely(words, ""),
    "denied": rarely(words, ""),
    "owner_known": rarely(st.booleans(), True),
    "busy": rarely(few(ids), ()),
    "rivals": rarely(few(ids), ()),
    "unknown_clause": rarely(words, ""),
    "broken_clause": rarely(words, ""),
    "unread": rarely(st.dictionaries(st.sampled_from(NAMES), st.just("why"), max_size=1), {}),
    "local_allowed": st.booleans(),
}
situations = st.builds(
    a_situation,
    ladder=st.integers(0, 1).flatmap(
        lambda dice: (
            ladders if dice else st.just(Ladder(cell="c", ceiling=Mode.AUTO, risk_ceiling=Mode.AUTO, earned=Mode.AUTO))
        )
    ),
    **SITUATION,
)
targets = st.builds(
    a_target,
    st.sampled_from(NAMED),
    automation=rarely(st.sampled_from(["realtime", "delayed", "none"]), "realtime"),
    reach=rarely(st.sampled_from(["ssh", ""]), "ssh"),
    production=st.booleans(),
)
proposals = st.builds(
    a_proposal,
    targets=st.lists(targets, min_size=1, max_size=2, unique_by=lambda target: target.ref).map(tuple),
    limits=st.builds(
        Limits,
        attempts=st.integers(0, 3),
        unavailable=rarely(st.builds(Unavailable, of=st.just("service"), most=st.integers(0, 3)), None),
        blast_max=rarely(st.integers(0, 3), None),
    ),
    risk=st.sampled_from(Risk),
    owner=rarely(st.just(""), "group:default/payments-sre"),
    actor=st.sampled_from(["automation", "automation", "person:mira"]),
    failover=st.booleans(),
    needs=st.lists(
        st.builds(a_need, via=st.sampled_from([Via.SSH, Via.LOCAL]), permitted=rarely(st.just(False), True)), max_size=2
    ).map(tuple),
    unbuilt=rarely(st.just(("via: agent",)), ()),
)

STRICTER_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "stops": stops,
    "holds": holds,
    "freezes": freezes,
    "exclusions": exclusions,
    "maintenance": maintenances,
    "deploys": deploys,
    "attempts": tries,
    "busy": ids,
    "rivals": ids,
    "dependencies": st.builds(DependencyState, ref=ids, health=st.sampled_from([Health.UNKNOWN, Health.UNHEALTHY])),
}


def strictness(proposal: Proposal, situation: Situation) -> int:
    return STRICTNESS[decide(proposal, situation).verdict]


@law
@given(
    proposals,
    situations,
    st.sampled_from(sorted(STRICTER_FIELDS)).flatmap(lambda name: st.tuples(st.just(name), STRICTER_FIELDS[name])),
)
def test_one_more_limit_never_frees_a_decision(proposal, situation, added):
    name, item = added
    stricter = replace(situation, **{name: (*getattr(situation, name), item)})
    assert strictness(proposal, stricter) >= strictness(proposal, situation)


@law
@given(proposals, situations, st.sampled_from(NAMES))
def test_one_more_unreadable_input_never_frees_and_never_passes(proposal, situation, guard):
    blind = replace(situation, unread={**situation.unread, guard: "why"})
    assert strictness(proposal, blind) >= strictness(proposal, situation)
    assert decide(proposal, blind).verdict in {Verdict.OBSERVE, Verdict.HOLD, Verdict.REFUSE}


@law
@given(proposals, situations)
def test_the_unknown_never_passes(proposal, situation):
    decision = decide(proposal, situation)
    assert all(finding.outcome is Outcome.HOLD for finding in decision.findings if finding.unknown)
    if any(finding.unknown for finding in decision.findings):
        assert decision.verdict in {Verdict.OBSERVE, Verdict.HOLD, Verdict.REFUSE}
        assert decision.would_be in {Verdict.HOLD, Verdict.REFUSE} or decision.findings[-1].unknown


findings = st.lists(
    st.builds(Finding, guard=st.sampled_from(NAMES), outcome=st.sampled_from(Outcome), reason=st.just("r")), max_size=6
).map(tuple)


def oracle(mode: Mode, outcomes: list[str]) -> str:
    """SEMANTICS 2, word for word."""
    if mode == "observe":
        return "observe"
    if any(outcome == "refuse" for outcome in outcomes):
        return "refuse"
    if any(outcome == "hold" for outcome in outcomes):
        return "hold"
    if mode == "suggest":
        return "suggest"
    if mode == "approve" or any(outcome == "ask" for outcome in outcomes):
        return "ask"
    return "act"


@law
@given(modes, findings)
def test_the_verdict_is_the_rule_of_the_semantics(mode, found):
    assert verdict_of(mode, found).value == oracle(mode, [each.outcome.value for each in found])


@law
@given(proposals, situations)
def test_so_is_every_decision_and_what_it_would_be(proposal, situation):
    decision = decide(proposal, situation)
    outcomes = [each.outcome.value for each in decision.findings]
    assert decision.verdict.value == oracle(decision.mode, outcomes)
    assert decision.would_be.value == oracle(Mode.AUTO, outcomes[:-1])
    assert [each.guard for each in decision.findings] == list(NAMES)


@law
@given(modes, findings, findings)
def test_one_more_guard_never_frees(mode, found, more):
    assert STRICTNESS[verdict_of(mode, (*found, *more))] >= STRICTNESS[verdict_of(mode, found)]


@law
@given(proposals, situations)
def test_a_hold_always_wakes_within_a_minute_and_only_a_hold(proposal, situation):
    decision = decide(proposal, situation)
    if decision.verdict is Verdict.HOLD:
        assert AT < decision.wake_at <= AT + MINUTE
    else:
        assert decision.wake_at is None
    assert (decision.approve_by_at is not None) is (decision.verdict is Verdict.ASK)
    assert not decision.escalate or decision.verdict in {Verdict.REFUSE, Verdict.HOLD}


@law
@given(proposals, situations)
def test_findings_that_decide_say_what_would_change_them(proposal, situation):
    for finding in decide(proposal, situation).findings:
        assert finding.reason.endswith((".", "…"))
        assert finding.outcome is Outcome.PASS or finding.change


@law
@given(proposals, situations)
def test_replay_through_the_store_is_identical(proposal, situation):
    rows = (ClauseResult(source="a", answer="true", why="seen"),)
    decision = decide(proposal, situation, clauses=rows, follows="dec_0", because="woke")
    record = Record(decision=decision, situation=situation, proposal=proposal)
    again = msgspec.json.decode(msgspec.json.encode(record), type=Record)
    assert again.decision == decision
    assert replay(again) == Same(decision=decision)


@settings(max_examples=40, deadline=None)
@given(proposals, situations, st.sampled_from(Verdict))
def test_counterfactuals_are_true_and_minimal(proposal, situation, verdict):
    found = counterfactual(proposal, situation, verdict)
    if found is None:
        return
    assert decide(proposal, situation).verdict is not verdict
    assert decide(*applied((proposal, situation), found.changes)).verdict is verdict
    assert 1 <= len(found.changes) <= 3
    for left_out in range(len(found.changes)):
        fewer = found.changes[:left_out] + found.changes[left_out + 1 :]
        assert decide(*applied((proposal, situation), fewer)).verdict is not verdict


@law
@given(proposals, situations)
def test_answering_every_ask_leaves_no_ask_and_lifts_nothing_stricter(proposal, situation):
    before = decide(proposal, situation)
    keys = tuple(answer_key(each) for each in before.findings)
    after = decide(proposal, replace(situation, answered=keys))
    expected = Verdict.ACT if before.verdict is Verdict.ASK else before.verdict
    assert after.verdict is expected
    assert after.binding == before.binding


@law
@given(proposals, situations)
def test_what_acts_is_clear_at_start_and_at_every_later_moment(proposal, situation):
    if decide(proposal, situation).verdict is Verdict.ACT:
        for moment in Moment:
            assert first_no(ask(moment, proposal, situation)) is None


@law
@given(proposals, situations)
def test_claims_are_in_key_order_once_each_and_only_for_what_acts(proposal, situation):
    decision = decide(proposal, situation)
    wants = claims(proposal, decision, situation, LimitSettings())
    keys = [want.key for want in wants]
    assert keys == sorted(set(keys))
    assert bool(wants) is (decision.verdict is Verdict.ACT)
    assert all(want.units >= 1 for want in wants)
    assert all(want.limit >= want.units for want in wants if want.key.startswith(("unavailable:", "run:", "trial:")))


@dataclass(frozen=True)
class Edit:
    """One edit of what is bound (`proposal`, `situation`, the first `target`, or `mode`), or of what is not."""

    where: str
    fields: dict[str, Any]


BOUND = [
    Edit("proposal", {"pack": "other"}),
    Edit("proposal", {"pack_version": "9"}),
    Edit("proposal", {"rule": "x/y"}),
    Edit("proposal", {"rule_digest": "9"}),
    Edit("proposal", {"runbook": "x/z"}),
    Edit("proposal", {"runbook_digest": "9"}),
    Edit("proposal", {"arguments": {"grace": 1}}),
    Edit("proposal", {"episode": "other"}),
    Edit("proposal", {"targets": (a_target("new"),)}),
    Edit("situation", {"configuration": "9"}),
    Edit("mode", {}),
    *[
        Edit("target", {name: value})
        for name, value in {
            "ref": "r",
            "kind": "k",
            "name": "n",
            "environment": "lab",
            "region": "x",
            "zone": "x",
            "tier": "x",
            "system": "x",
            "service": "x",
            "owner": "x",
            "automation": "x",
            "reach": "x",
            "attributes": {"unit": "x"},
            "addresses": ("x",),
            "honours": ("x",),
        }.items()
    ],
]
FREE = [
    Edit("proposal", {"id": "prp_9"}),
    Edit("proposal", {"priority": 9}),
    Edit("proposal", {"limits": Limits(attempts=9)}),
    Edit("proposal", {"needs": ()}),
    Edit("target", {"digest": "9"}),
    Edit("situation", {"at": AT + SECOND}),
    Edit("situation", {"blast": ("x",)}),
    Edit("situation", {"versions": {"stop": 99}}),
    Edit(
        "situation",
        {"freezes": (Freeze(id="F", scope=Scope(), by="", reason="", at=AT, from_at=AT, until_at=AT + HOUR),)},
    ),
]


def bound(proposal: Proposal, situation: Situation, edit: Edit | None = None) -> str:
    mode = Mode.APPROVE
    match edit:
        case Edit("proposal"):
            proposal = replace(proposal, **edit.fields)
        case Edit("situation"):
            situation = replace(situation, **edit.fields)
        case Edit("target"):
            first, *rest = proposal.targets
            proposal = replace(proposal, targets=(replace(first, **edit.fields), *rest))
        case Edit("mode"):
            mode = Mode.AUTO
    return binding_of(proposal, situation, mode)


@law
@given(proposals, situations, st.sampled_from(BOUND))
def test_any_bound_thing_changes_the_binding(proposal, situation, edit):
    assert bound(proposal, situation, edit) != bound(proposal, situation)


@law
@given(proposals, situations, st.sampled_from(FREE))
def test_and_nothing_else_does(proposal, situation, edit):
    assert bound(proposal, situation, edit) == bound(proposal, situation)
