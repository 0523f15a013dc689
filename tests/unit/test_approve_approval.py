"""Approvals: what is asked, who may answer, when it ends, what it covers."""

import msgspec
import pytest

from situations import AT, HOUR, MINUTE, SECOND, TICK, a_ladder, a_proposal, a_situation, a_target, an_alert
from watchkeeper.approve.answer import COMMENT_CHARS_MAX, No, Not, People, answer
from watchkeeper.approve.approval import (
    Approval,
    FourEyes,
    Present,
    State,
    answered,
    lapse,
    request,
    request_step,
    uncovered,
)
from watchkeeper.approve.people import Actor
from watchkeeper.approve.roles import Role, Verb
from watchkeeper.decide.decide import decide
from watchkeeper.decide.decision import Verdict
from watchkeeper.guards.situation import Freeze, Hold, Scope
from watchkeeper.packs.rule import Limits, Mode
from watchkeeper.values import Severity

replace = msgspec.structs.replace
FROZEN = Freeze(id="F-1", scope=Scope(), by="cab", reason="close", at=AT, from_at=AT, until_at=AT + HOUR)
HELD = Hold(id="hld_1", scope=Scope(), by="mira", reason="mine", at=AT, until_at=AT + HOUR)
MANY = People(humans=3)
ONLY = People(humans=1)


def a_person(name="mira", *roles, **fields):
    return Actor(**{"name": name, "identity": f"idn_{name}", "roles": frozenset(roles or (Role.APPROVER,)), **fields})


def a_decision(*, actor="automation", production=True, freezes=(), limits=None, **fields):
    proposal = a_proposal(actor=actor, targets=(a_target(production=production),), limits=limits or Limits(), **fields)
    ladder = a_ladder(Mode.APPROVE, risk_ceiling=Mode.APPROVE)
    return decide(proposal, a_situation(ladder=ladder, freezes=freezes, alert=an_alert(incident="inc_1")))


def an_approval(*, count=1, by=(), **fields) -> Approval:
    return request(a_decision(**fields), run="run_1", epoch=1, by=by, count=count)


def says(approval, actor, verb=Verb.APPROVE, *, people=MANY, at=AT + SECOND, displayed=None, comment="ok"):
    shown = approval.binding if displayed is None else displayed
    return answer(approval, actor, verb, shown, at, people, comment)


class TestRequest:
    def test_it_names_the_findings_that_ask(self):
        decision = a_decision()
        approval = request(decision, run="run_1", epoch=4)
        assert [each.guard for each in approval.findings] == ["risk", "autonomy"]
        assert all(each.key.startswith(f"{each.guard}:") for each in approval.findings)
        assert approval.findings[0].reason == decision.reason
        assert approval.id.startswith("apr_")
        assert (approval.binding, approval.decision, approval.run) == (decision.binding, decision.id, "run_1")
        assert (approval.asked_at, approval.expires_at) == (AT, AT + 30 * MINUTE)
        assert (approval.requester, approval.production, approval.emergency) == ("automation", True, False)
        assert (approval.severity, approval.configuration, approval.epoch) == (Severity.CRITICAL, "c" * 64, 4)
        assert (approval.team, approval.service) == ("group:default/payments-sre", "component:default/payments-api")
        assert (approval.targets, approval.incident, approval.state) == (("payments-api-3",), "inc_1", State.PENDING)

    def test_what_was_answered_is_not_asked_again(self):
        decision = a_decision()
        key = request(decision, run="run_1", epoch=1).findings[0].key
        again = request(decision, run="run_1", epoch=1, answered=(key,))
        assert [each.guard for each in again.findings] == ["autonomy"]
        assert again.id != request(decision, run="run_1", epoch=1).id

    def test_a_freeze_makes_it_an_emergency(self):
        assert an_approval(freezes=(FROZEN,)).emergency

    def test_production_if_any_target_is(self):
        assert not an_approval(production=False).production

    def test_only_an_ask(self):
        with pytest.raises(AssertionError):
            request(decide(a_proposal(), a_situation()), run="run_1", epoch=1)
        with pytest.raises(AssertionError):
            an_approval(count=0)

    def test_a_step_is_bound_to_what_it_shows(self):
        decision = decide(a_proposal(actor="person:ola"), a_situation())
        fields = {"run": "run_1", "epoch": 1, "path": "sure", "by": ("group:x",), "count": 2, "within_ms": 60_000}
        one = request_step(decision, **fields, shown={"status": "200"}, at=AT)
        two = request_step(decision, **fields, shown={"status": "500"}, at=AT)
        assert (one.path, one.shown, one.count, one.by) == ("sure", {"status": "200"}, 2, ("group:x",))
        assert one.expires_at == AT + MINUTE
        assert one.requester == "ola"
        assert one.findings[0].reason == "Step sure of payments/restart-instance asks before it goes on."
        assert one.binding != two.binding
        assert one.findings[0].key != two.findings[0].key
        assert request_step(decision, **fields, shown={"status": "200"}, at=AT) == one


class TestAnswer:
    def test_approved(self):
        approval = says(an_approval(limits=Limits(start_by_ms=5_000)), a_person(), comment="go")
        assert (approval.state, approval.ended_at) == (State.APPROVED, AT + SECOND)
        assert approval.start_by_at == AT + 6 * SECOND
        assert approval.why == "mira approved 1 target."
        assert approval.four_eyes is FourEyes.KEPT
        given = approval.answers[0]
        assert (given.identity, given.name, given.verb, given.comment) == ("idn_mira", "mira", Verb.APPROVE, "go")
        assert given.digest == approval.binding

    def test_rejected_by_one(self):
        approval = says(an_approval(count=2), a_person(), Verb.REJECT, comment="not now")
        assert (approval.state, approval.why, approval.start_by_at) == (State.REJECTED, "mira rejected it.", None)

    def test_a_rejection_says_why(self):
        no = says(an_approval(), a_person(), Verb.REJECT, comment="  ")
        assert (no.why, no.status, no.reason) == (Not.NO_COMMENT, 422, "A rejection needs a comment: say why.")
        assert says(an_approval(), a_person(), comment="").state is State.APPROVED

    def test_only_two_verbs(self):
        with pytest.raises(AssertionError):
            says(an_approval(), a_person(), Verb.RUN)

    def test_another_digest_was_displayed(self):
        no = says(an_approval(), a_person(), displayed="other")
        assert (no.why, no.status) == (Not.WRONG_DIGEST, 409)
        assert no.reason == "What was displayed is not what would happen now. Review it again."

    @pytest.mark.parametrize(("at", "taken"), [(AT + 30 * MINUTE - TICK, True), (AT + 30 * MINUTE, False)])
    def test_it_expires(self, at, taken):
        found = says(an_approval(), a_person(), at=at)
        if taken:
            assert found.state is State.APPROVED
        else:
            assert (found.why, found.status) == (Not.EXPIRED, 409)
            assert found.reason == "It lapsed at 03:34 UTC. Nothing was done."

    def test_what_has_ended_is_not_answered(self):
        approved = says(an_approval(), a_person())
        no = says(approved, a_person("ola"), Verb.REJECT)
        assert (no.why, no.status) == (Not.ENDED, 409)
        assert no.reason == "It is approved already: mira approved 1 target."

    def test_a_quorum_of_different_people(self):
        first = says(an_approval(count=2), a_person())
        assert (first.state, len(first.answers)) == (State.PENDING, 1)
        again = says(first, a_person())
        assert (again.why, again.status) == (Not.ALREADY, 409)
        by_token = says(first, a_person("other-name", identity="idn_mira"))
        assert by_token.why is Not.ALREADY
        by_socket = says(first, a_person("mira", identity=""))
        assert by_socket.why is Not.ALREADY
        second = says(first, a_person("ola"))
        assert (second.state, second.why) == (State.APPROVED, "mira and ola approved 1 target.")

    def test_actors_without_an_identity_are_told_apart_by_name(self):
        first = says(an_approval(count=2), a_person("mira", identity=""))
        assert says(first, a_person("ola", identity="")).state is State.APPROVED

    def test_who_may(self):
        no = says(an_approval(), a_person("vera", Role.VIEWER))
        assert (no.why, no.status) == (Not.NOT_ALLOWED, 403)
        assert no.reason == "vera may not approve: that needs the role approver or admin or emergency."
        machine = says(an_approval(), a_person("ci", human=False))
        assert machine.reason == "ci is no person, and only a person may approve."
        rejecting = says(an_approval(), a_person("ci", human=False), Verb.REJECT)
        assert rejecting.reason == "ci is no person, and only a person answers."

    def test_who_was_asked(self):
        approval = an_approval(by=("group:payments", "idn_ola", "vera"))
        assert says(approval, a_person("mira", groups=("group:payments",))).state is State.APPROVED
        assert says(approval, a_person("ola")).state is State.APPROVED
        assert says(approval, a_person("vera")).state is State.APPROVED
        no = says(approval, a_person("mira", groups=("group:other",)))
        assert (no.why, no.status) == (Not.NOT_ASKED, 403)
        assert no.reason == "mira was not asked; group:payments, idn_ola or vera may answer."

    @pytest.mark.parametrize("requester", ["person:mira", "person:idn_mira"])
    @pytest.mark.parametrize("people", [ONLY, MANY])
    def test_in_production_the_requester_never_counts(self, requester, people):
        no = says(an_approval(actor=requester), a_person(), people=people)
        assert (no.why, no.status) == (Not.OWN_REQUEST, 403)
        assert no.reason == "mira asked for this. In production somebody else answers."
        assert says(an_approval(actor=requester), a_person("ola"), people=people).state is State.APPROVED

    def test_elsewhere_only_where_nobody_else_could(self):
        mine = an_approval(actor="person:mira", production=False)
        no = says(mine, a_person(), people=People(humans=2))
        assert (no.why, no.reason) == (Not.OWN_REQUEST, "mira asked for this, and somebody else could answer.")
        alone = says(mine, a_person(), people=ONLY)
        assert (alone.state, alone.four_eyes) == (State.APPROVED, FourEyes.NONE)
        assert says(mine, a_person("ola"), people=MANY).four_eyes is FourEyes.KEPT

    def test_whoever_asked_may_take_it_back(self):
        mine = an_approval(actor="person:mira", by=("group:others",))
        taken_back = says(mine, a_person(), Verb.REJECT)
        assert (taken_back.state, taken_back.four_eyes) == (State.REJECTED, FourEyes.KEPT)

    def test_an_emergency_needs_its_own_permission_and_a_reason(self):
        approval = an_approval(freezes=(FROZEN,))
        no = says(approval, a_person())
        assert (no.why, no.reason) == (
            Not.NOT_ALLOWED,
            "mira may not approve an emergency: that needs the role admin or emergency.",
        )
        emergency = a_person("ola", Role.EMERGENCY)
        silent = says(approval, emergency, comment="")
        assert silent.reason == "An emergency approval needs a comment: say why."
        assert says(approval, emergency).state is State.APPROVED
        assert says(approval, a_person(), Verb.REJECT).state is State.REJECTED

    def test_the_bootstrap_token_cannot_approve(self):
        no = says(an_approval(), a_person("bootstrap", Role.ADMIN, bootstrap=True))
        assert no == No(
            why=Not.NOT_ALLOWED,
            reason="The bootstrap token may not approve: make an identity (wk identity add --me).",
        )

    def test_comments_are_bounded(self):
        approval = says(an_approval(), a_person(), comment="x" * 5_000)
        assert len(approval.answers[0].comment) == COMMENT_CHARS_MAX


def present(**fields):
    return Present(**{"configuration": "c" * 64, "epoch": 1, "severity": Severity.CRITICAL, **fields})


class TestLapse:
    def test_nothing_changed(self):
        approval = an_approval()
        assert lapse(approval, present(binding=approval.binding), AT + MINUTE) is approval
        assert lapse(approval, present(severity=None), AT + MINUTE) is approval

    @pytest.mark.parametrize(
        ("fields", "state", "why"),
        [
            ({"epoch": 2}, State.VOID, "The store was restored; approvals from before it are void."),
            ({"configuration": "d"}, State.LAPSED, "The configuration changed. It is decided afresh."),
            ({"firing": False}, State.LAPSED, "No longer needed: the alert resolved."),
            ({"severity": Severity.MAJOR}, State.LAPSED, "Severity fell from critical to major."),
            ({"binding": "x"}, State.VOID, "What it was bound to changed. Review the new request."),
            (
                {"binding": "x", "changed": ("payments-api-7",)},
                State.VOID,
                "payments-api-7 changed. Review the new request.",
            ),
        ],
    )
    @pytest.mark.parametrize("given", [False, True])
    def test_the_world_moved_on(self, fields, state, why, given):
        approval = says(an_approval(), a_person()) if given else an_approval()
        ended = lapse(approval, present(**fields), AT + MINUTE)
        assert (ended.state, ended.why, ended.ended_at) == (state, why, AT + MINUTE)

    def test_a_severity_that_rises_is_no_reason(self):
        approval = replace(an_approval(), severity=Severity.MINOR)
        assert lapse(approval, present(), AT).state is State.PENDING

    @pytest.mark.parametrize(
        ("at", "state"), [(AT + 30 * MINUTE - TICK, State.PENDING), (AT + 30 * MINUTE, State.LAPSED)]
    )
    def test_nobody_answered(self, at, state):
        ended = lapse(an_approval(), present(), at)
        assert ended.state is state
        if state is State.LAPSED:
            assert ended.why == "Nobody answered by 03:34 UTC. Nothing was done."

    @pytest.mark.parametrize(("after", "state"), [(-TICK, State.APPROVED), (0 * TICK, State.LAPSED)])
    def test_given_but_never_started(self, after, state):
        approval = says(an_approval(), a_person())
        assert approval.start_by_at == AT + SECOND + 10 * MINUTE
        ended = lapse(approval, present(), approval.start_by_at + after)
        assert ended.state is state
        if state is State.LAPSED:
            assert ended.why == "Approved, but it did not start by 03:14 UTC. Nothing was done."

    def test_one_given_in_time_does_not_expire_as_a_request(self):
        approval = says(an_approval(limits=Limits(start_by_ms=7_200_000)), a_person())
        assert lapse(approval, present(), AT + HOUR).state is State.APPROVED

    def test_what_has_ended_stays_as_it_ended(self):
        rejected = says(an_approval(), a_person(), Verb.REJECT)
        assert lapse(rejected, present(epoch=9), AT + HOUR) is rejected


class TestCovers:
    def test_given_it_acts_and_nothing_else_does(self):
        decision = a_decision(freezes=(FROZEN,))
        pending = request(decision, run="run_1", epoch=1)
        assert answered((pending,)) == ()
        assert len(uncovered(pending, decision.findings)) == 3
        given = says(pending, a_person("ola", Role.EMERGENCY))
        assert uncovered(given, decision.findings) == ()
        ladder = a_ladder(Mode.APPROVE, risk_ceiling=Mode.APPROVE)
        again = a_situation(ladder=ladder, freezes=(FROZEN,), answered=answered((given,)))
        assert decide(a_proposal(), again).verdict is Verdict.ACT

    def test_only_an_emergency_answers_a_freeze(self):
        given = says(an_approval(freezes=(FROZEN,)), a_person("ola", Role.EMERGENCY))
        ordinary = replace(given, emergency=False)
        assert [each.split(":")[0] for each in answered((given,))] == ["autonomy", "freeze", "risk"]
        assert [each.split(":")[0] for each in answered((ordinary,))] == ["autonomy", "risk"]

    def test_another_ask_asks_anew_and_hold_and_refuse_are_never_answered(self):
        given = says(an_approval(), a_person())
        ladder = a_ladder(Mode.APPROVE, risk_ceiling=Mode.APPROVE)
        later = decide(
            a_proposal(), a_situation(ladder=ladder, freezes=(FROZEN,), holds=(HELD,), alert=an_alert(firing=False))
        )
        assert [each.guard for each in uncovered(given, later.findings)] == ["still_firing", "hold", "freeze"]
