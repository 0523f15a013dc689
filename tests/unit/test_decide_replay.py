"""A recorded decision made again: identical, or what differs and who made it so."""

import msgspec

from situations import AT, HOUR, a_ladder, a_proposal, a_situation, a_target
from watchkeeper.decide.decide import decide, decide_untargeted
from watchkeeper.decide.decision import ClauseResult, Verdict
from watchkeeper.decide.replay import Cause, Difference, Differs, Record, Same, replay, stored_digest
from watchkeeper.decide.target import NoTarget, Untargeted, Why
from watchkeeper.guards.situation import Freeze, Scope
from watchkeeper.packs.rule import Mode

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


def test_a_field_that_came_later_is_no_alteration():
    """The bytes of an earlier release lack the fields that this one knows; their digest is that of what was written."""
    body = msgspec.json.encode(RECORD.situation)
    earlier = msgspec.json.decode(body)
    del earlier["contended"]
    written = msgspec.json.encode(earlier)
    made = decide(RECORD.proposal, RECORD.situation, clauses=ROWS, stored_as=stored_digest(written))
    situation = msgspec.json.decode(written, type=type(RECORD.situation))
    record = Record(decision=made, situation=situation, proposal=RECORD.proposal, stored_as=stored_digest(written))
    assert isinstance(replay(record), Same)
    assert stored_digest(body) == RECORD.decision.situation
    unnamed = replay(replace(record, stored_as=""))
    assert {each.what for each in unnamed.differences} == {"field:id", "field:situation"}
