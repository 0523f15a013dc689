"""Laws of approving: no sequence of answers approves without a quorum of different people who may."""

from datetime import timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from situations import AT, HOUR, a_ladder, a_proposal, a_situation, a_target
from watchkeeper.approve.answer import No, People, answer
from watchkeeper.approve.approval import Approval, FourEyes, Present, State, answered, lapse, request, uncovered
from watchkeeper.approve.people import Actor
from watchkeeper.approve.roles import Role, Verb
from watchkeeper.decide.decide import decide
from watchkeeper.decide.decision import Verdict
from watchkeeper.guards.finding import Outcome
from watchkeeper.guards.situation import Freeze, Hold, Scope
from watchkeeper.packs.rule import Mode
from watchkeeper.values import Severity

law = settings(max_examples=100, deadline=None)
FROZEN = Freeze(id="F-1", scope=Scope(), by="cab", reason="close", at=AT, from_at=AT, until_at=AT + HOUR)
HELD = Hold(id="h", scope=Scope(), by="someone", reason="r", at=AT, until_at=AT + HOUR)
NAMES = ("mira", "ola", "vera", "sam")

actors = st.builds(
    lambda name, role, human, group, bootstrap, source: Actor(
        name=name,
        identity=f"idn_{name}",
        roles=frozenset({role}),
        human=human,
        groups=(group,),
        bootstrap=bootstrap,
        source=source,
    ),
    st.sampled_from(NAMES),
    st.sampled_from([Role.APPROVER, Role.APPROVER, Role.ADMIN, Role.EMERGENCY, Role.OPERATOR, Role.VIEWER]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from(["group:a", "group:b"]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from(["", "", "", "alertmanager"]),
)
words = st.lists(
    st.tuples(
        actors,
        st.sampled_from([Verb.APPROVE, Verb.APPROVE, Verb.APPROVE, Verb.REJECT]),
        st.sampled_from(["shown", "shown", "other"]),
        st.integers(0, 2_400),
    ),
    max_size=12,
)


@st.composite
def requests(draw: st.DrawFn) -> Approval:
    frozen = draw(st.booleans())
    proposal = a_proposal(
        actor=draw(st.sampled_from(["automation", "person:mira", "person:idn_ola"])),
        targets=(a_target(production=draw(st.booleans())),),
    )
    situation = a_situation(
        ladder=a_ladder(Mode.APPROVE, risk_ceiling=Mode.APPROVE), freezes=(FROZEN,) if frozen else ()
    )
    decision = decide(proposal, situation)
    return request(
        decision,
        run="run_1",
        epoch=1,
        by=draw(st.sampled_from([(), ("group:a",), ("group:a", "vera")])),
        count=draw(st.integers(1, 3)),
    )


def may_count(approval: Approval, actor: Actor, people: People) -> bool:
    """Independent of the code under test: who may say yes to this."""
    wants = {Role.ADMIN, Role.EMERGENCY} if approval.emergency else {Role.APPROVER, Role.ADMIN, Role.EMERGENCY}
    mine = approval.requester in {actor.name, actor.identity}
    return (
        actor.human
        and not actor.bootstrap
        and not actor.source
        and bool(actor.roles & wants)
        and (not approval.by or actor.name in approval.by or bool(set(actor.groups) & set(approval.by)))
        and not (mine and (approval.production or people.humans > 1))
    )


@law
@given(requests(), words, st.integers(1, 3).map(lambda humans: People(humans=humans)))
def test_no_sequence_of_answers_approves_without_a_quorum(approval, said, people):
    yes: set[str] = set()
    rejected = False
    for actor, verb, shown, seconds in said:
        displayed = approval.binding if shown == "shown" else "other"
        at = AT + timedelta(seconds=seconds)
        found = answer(approval, actor, verb, displayed, at, people, "because")
        if isinstance(found, No):
            assert found.reason.endswith(".")
            assert found.status in {403, 409, 422}
            continue
        assert displayed == approval.binding
        assert at < approval.expires_at
        assert approval.state is State.PENDING
        if verb is Verb.REJECT:
            rejected = True
        else:
            assert may_count(approval, actor, people)
            yes.add(actor.name)
        approval = found
    assert (approval.state is State.REJECTED) is rejected
    assert (approval.state is State.APPROVED) is (not rejected and len(yes) >= approval.count)
    mine = {approval.requester, approval.requester.removeprefix("idn_")} & yes
    assert (approval.four_eyes is FourEyes.NONE) is bool(mine)
    assert not mine or (not approval.production and people.humans == 1)


presents = st.builds(
    Present,
    configuration=st.sampled_from(["c" * 64, "d"]),
    epoch=st.integers(1, 2),
    firing=st.booleans(),
    severity=st.none() | st.sampled_from(Severity),
    binding=st.sampled_from(["", "other"]),
)


@law
@given(requests(), words, presents, st.integers(0, 7_200))
def test_what_has_ended_never_comes_back(approval, said, present, seconds):
    ended = lapse(approval, present, AT + timedelta(seconds=seconds))
    if ended.state is State.PENDING:
        return
    assert ended.why.endswith(".")
    for actor, verb, _, later in said:
        found = answer(ended, actor, verb, ended.binding, AT + timedelta(seconds=later), People(humans=3), "x")
        assert isinstance(found, No)
    assert lapse(ended, present, AT + timedelta(days=1)) is ended
    assert answered((ended,)) == ()


@law
@given(requests(), st.booleans(), st.booleans())
def test_an_approval_never_answers_more_than_it_names(approval, freeze_later, hold_later):
    given_ = msgspec.structs.replace(approval, state=State.APPROVED)
    situation = a_situation(
        ladder=a_ladder(Mode.APPROVE, risk_ceiling=Mode.APPROVE),
        freezes=(FROZEN,) if freeze_later or approval.emergency else (),
        holds=(HELD,) if hold_later else (),
        answered=answered((given_,)),
    )
    decision = decide(a_proposal(), situation)
    left = uncovered(given_, decision.findings)
    named = {question.guard for question in approval.findings}
    assert {each.guard for each in left} == {
        each.guard
        for each in decision.findings
        if each.outcome in {Outcome.HOLD, Outcome.REFUSE} or (each.outcome is Outcome.ASK and each.guard not in named)
    }
    assert (decision.verdict is Verdict.ACT) is (not left)


@law
@given(requests(), words)
def test_it_survives_the_store(approval, said):
    for actor, verb, _, seconds in said:
        at = AT + timedelta(seconds=seconds)
        found = answer(approval, actor, verb, approval.binding, at, People(humans=3), "because")
        approval = approval if isinstance(found, No) else found
    assert msgspec.json.decode(msgspec.json.encode(approval), type=Approval) == approval
