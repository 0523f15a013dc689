"""A recorded decision made again: identical, or what differs and who made it so."""

import msgspec

from situations import AT, HOUR, a_ladder, a_proposal, a_situation, a_target
from watchkeeper.decide.decide import decide, decide_untargeted
from watchkeeper.decide.decision import ClauseResult, Verdict
from watchkeeper.decide.replay import CannotJudge, Cause, Difference, Differs, Record, Same, replay, replay_with
from watchkeeper.decide.target import NoTarget, Untargeted, Why
from watchkeeper.guards.situation import Freeze, Scope
from watchkeeper.packs.rule import Limits, Mode, Unavailable

replace = msgspec.structs.replace
FROZEN = Freeze(id="F-1", scope=Scope(), by="cab", reason="close", at=AT, from_at=AT, until_at=AT + HOUR)
ROWS = (ClauseResult(source="a", answer="true"),)


def recorded(proposal, situation):
    decision = decide(proposal, situation, clauses=ROWS, engine={"watchkeeper": "0.9"}, follows="dec_0", because="woke")
    return Record(decision=decision, situation=situation, proposal=proposal)


def stored(record):
    return msgspec.json.decode(msgspec.json.encode(record), type=Record)


RECORD = recorded(a_proposal(), a_situation(freezes=(FROZEN,), ladder=a_ladder(Mode.APPROVE)))


def test_the_same_through_the_store():
    assert replay(stored(RECORD)) == Same(decision=RECORD.decision)


def test_untargeted_too():
    untargeted = Untargeted(
        rule="p/r",
        rule_digest="1",
        runbook="p/b",
        pack="p",
        pack_version="1",
        missing=NoTarget(why=Why.TOO_MANY, reason="Too many.", found=3),
    )
    decision = decide_untargeted(untargeted, a_situation(), clauses=ROWS, follows="dec_0", because="first")
    record = Record(decision=decision, situation=a_situation(), untargeted=untargeted)
    assert replay(stored(record)) == Same(decision=decision)


def test_an_altered_record_shows_the_field():
    altered = replace(RECORD, decision=replace(RECORD.decision, verdict=Verdict.ACT, reason="x" * 1_000))
    found = replay(altered)
    assert isinstance(found, Differs)
    verdict, reason = found.differences
    assert verdict == Difference(what="field:verdict", was='"act"', now='"ask"', cause=Cause.RECORD)
    assert (reason.what, len(reason.was)) == ("field:reason", 400)
    assert found.decision == RECORD.decision


def test_an_altered_situation_shows():
    altered = replace(RECORD, situation=replace(RECORD.situation, freezes=()))
    assert "field:situation" in {each.what for each in replay(altered).differences}


def older(**fields):
    """The record as another revision of the engine made it."""
    decision = replace(RECORD.decision, engine={"decide_rev": "0"}, **fields)
    return replace(RECORD, decision=decision)


def test_another_revision_is_compared_by_outcome():
    reworded = tuple(replace(each, reason="other words") for each in RECORD.decision.findings)
    assert isinstance(replay(older(findings=reworded, reason="other", binding="other")), Same)


def test_another_revision_that_decided_otherwise():
    findings = RECORD.decision.findings[:-1]
    targets = (*RECORD.decision.targets, a_target("b"))
    found = replay(older(verdict=Verdict.ACT, findings=findings, targets=targets))
    assert found.differences == (
        Difference(what="verdict", was="act", now="ask", cause=Cause.ENGINE),
        Difference(
            what="targets",
            was="resource:default/b and resource:default/payments-api-3",
            now="resource:default/payments-api-3",
            cause=Cause.ENGINE,
        ),
        Difference(what="guard:autonomy", was="not asked", now="ask", cause=Cause.ENGINE),
    )


def test_changed_rules_are_told_apart_from_a_changed_engine():
    same = replay_with(RECORD, a_proposal(arguments={"grace": 1}))
    assert isinstance(same, Same)
    found = replay_with(older(verdict=Verdict.ACT), a_proposal(limits=Limits(attempts=0)))
    assert found.decision.verdict is Verdict.REFUSE
    assert found.differences == (
        Difference(what="verdict", was="act", now="ask", cause=Cause.ENGINE),
        Difference(what="verdict", was="ask", now="refuse", cause=Cause.RULES),
        Difference(what="guard:attempts", was="pass", now="refuse", cause=Cause.RULES),
    )


def test_what_was_not_recorded_cannot_be_judged():
    assert replay_with(RECORD, a_proposal(targets=(a_target("b"),))) == CannotJudge(
        why="resource:default/b was no target then, so its limits and health were not recorded."
    )
    limited = a_proposal(limits=Limits(unavailable=Unavailable(of="service", most=1)))
    assert replay_with(RECORD, limited) == CannotJudge(
        why="The members that limits.unavailable counts were not recorded."
    )
    longer = a_proposal(limits=Limits(attempts_within_ms=7_200_000))
    assert replay_with(RECORD, longer) == CannotJudge(why="Attempts before the shorter window were not recorded.")


def test_a_rule_that_found_no_target_then():
    untargeted = Untargeted(
        rule="p/r",
        rule_digest="1",
        runbook="p/b",
        pack="p",
        pack_version="1",
        missing=NoTarget(why=Why.NONE, reason="x"),
    )
    record = Record(
        decision=decide_untargeted(untargeted, a_situation()), situation=a_situation(), untargeted=untargeted
    )
    assert isinstance(replay_with(record, a_proposal()), CannotJudge)
