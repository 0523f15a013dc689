"""All guards are asked, in one order; which of them at which moment; and what could not be read never passes."""

import pytest

from situations import AT, HOUR, a_need, a_proposal, a_situation, a_target, said
from watchkeeper.guards.finding import Moment, Outcome, answer_key
from watchkeeper.guards.order import AT as MOMENTS
from watchkeeper.guards.order import NAMES, ORDER, ask, first_no, for_step
from watchkeeper.guards.situation import Exclusion, Freeze, Hold, Scope
from watchkeeper.guards.words import clipped, count_of, names_of, percent, when
from watchkeeper.values import digest

FREEZE = Freeze(id="F-1", scope=Scope(), by="cab", reason="close", at=AT, from_at=AT, until_at=AT + HOUR)
HOLD = Hold(id="hld_1", scope=Scope(), by="mira", reason="mine", at=AT, until_at=AT + HOUR)
EXCLUSION = Exclusion(
    id="EX-1", scope=Scope(), control="", reason="x", owner="o", approver="a", from_at=AT, until_at=AT + HOUR
)


def test_the_fixed_order():
    assert NAMES == (
        "stop",
        "trust",
        "clock",
        "exclusion",
        "capability",
        "permission",
        "ownership",
        "still_firing",
        "hold",
        "freeze",
        "maintenance",
        "deploy",
        "attempts",
        "breaker",
        "blast_radius",
        "dependency",
        "corroboration",
        "budget",
        "anomaly",
        "risk",
        "autonomy",
    )


def test_moments():
    names = {moment: [guard.__name__ for guard in guards] for moment, guards in MOMENTS.items()}
    assert names == {
        Moment.DECIDE: list(NAMES),
        Moment.START: list(NAMES),
        Moment.CONTINUE: ["stop", "trust", "exclusion", "permission", "hold", "freeze"],
        Moment.UNDO: ["stop", "exclusion"],
    }


def test_a_plain_proposal_passes_every_guard_and_each_finding_bears_its_guards_name():
    findings = ask(Moment.DECIDE, a_proposal(), a_situation())
    assert [finding.guard for finding in findings] == list(NAMES)
    assert {finding.outcome for finding in findings} == {Outcome.PASS}
    assert all(finding.reason.endswith(".") for finding in findings)


def test_all_are_asked_even_after_a_refusal():
    findings = ask(Moment.DECIDE, a_proposal(), a_situation(exclusions=(EXCLUSION,), holds=(HOLD,), freezes=(FREEZE,)))
    assert len(findings) == len(ORDER)
    assert [each.guard for each in findings if each.outcome is not Outcome.PASS] == ["exclusion", "hold", "freeze"]


@pytest.mark.parametrize("guard", NAMES)
def test_what_could_not_be_read_holds(guard):
    situation = a_situation(unread={guard: "no answer in 5 s"})
    finding = next(each for each in ask(Moment.DECIDE, a_proposal(), situation) if each.guard == guard)
    assert said(finding) == (
        "hold",
        f"What {guard.replace('_', ' ')} looks at could not be read: no answer in 5 s.",
    )
    assert finding.unknown


def test_a_refusal_stays_one():
    situation = a_situation(unread={"exclusion": "x"}, exclusions=(EXCLUSION,))
    findings = ask(Moment.UNDO, a_proposal(), situation)
    assert [each.outcome for each in findings] == [Outcome.PASS, Outcome.REFUSE]


def test_first_no_is_the_strictest():
    proposal = a_proposal()
    assert first_no(ask(Moment.CONTINUE, proposal, a_situation())) is None
    everything = a_situation(exclusions=(EXCLUSION,), holds=(HOLD,), freezes=(FREEZE,))
    assert first_no(ask(Moment.CONTINUE, proposal, everything)).guard == "exclusion"
    assert first_no(ask(Moment.CONTINUE, proposal, a_situation(holds=(HOLD,), freezes=(FREEZE,)))).guard == "hold"


def test_an_answered_ask_is_no_no():
    findings = ask(Moment.CONTINUE, a_proposal(), a_situation(freezes=(FREEZE,)))
    asked = first_no(findings)
    assert asked.guard == "freeze"
    assert first_no(findings, (answer_key(asked),)) is None
    assert first_no(ask(Moment.CONTINUE, a_proposal(), a_situation(holds=(HOLD,))), (answer_key(asked),)) is not None


def test_the_step_of_continue():
    proposal = a_proposal(needs=(a_need(step="a"), a_need(step="b", permitted=False)))
    assert first_no(ask(Moment.CONTINUE, for_step(proposal, "a"), a_situation())) is None
    assert first_no(ask(Moment.CONTINUE, for_step(proposal, "b"), a_situation())).guard == "permission"
    assert first_no(ask(Moment.CONTINUE, for_step(proposal, "unheard-of"), a_situation())).guard == "permission"


def test_evidence_is_hashable_everywhere():
    many = a_proposal(targets=(a_target("a"), a_target("b")))
    for finding in ask(Moment.DECIDE, many, a_situation(exclusions=(EXCLUSION,), freezes=(FREEZE,))):
        digest(finding.evidence)


def test_words():
    assert names_of([]) == "none"
    assert names_of(["a"]) == "a"
    assert names_of(["a", "b"], "or") == "a or b"
    assert names_of(["a", "b", "c"]) == "a, b and c"
    assert names_of(["a", "b", "c", "d", "e"], "or") == "a, b, c and 2 more"
    assert [count_of(1, "run"), count_of(2, "run"), count_of(1204, "person", "people")] == [
        "1 run",
        "2 runs",
        "1,204 people",
    ]
    assert clipped(" two\nlines. ") == "two lines"
    assert [len(clipped("x" * 200)), len(clipped("x" * 201)), clipped("x" * 201)[-1]] == [200, 200, "…"]
    assert when(AT, AT) == "03:04 UTC"
    assert when(AT, AT + 24 * HOUR) == "1 Mar 2026, 03:04 UTC"
    assert [percent(610_000), percent(999_500), percent(-1), percent(0)] == ["61 %", "99.95 %", "-0.0001 %", "0 %"]
