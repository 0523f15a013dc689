"""What people are told of proposals: a card each, one page beyond the limit, one word an hour on a broken rule."""

from datetime import timedelta

from msgspec.structs import replace

from situations import AT
from watchkeeper.approve.approval import Approval
from watchkeeper.decide.decision import ClauseResult, Decision, Verdict
from watchkeeper.engine.table import Table
from watchkeeper.engine.words import Words, of_lapse
from watchkeeper.packs.rule import Mode
from watchkeeper.values import Severity


class _Limits:
    cards_per_team = 2


class _Settings:
    limits = _Limits()


class _Configuration:
    settings = _Settings()


class _World:
    """The two things of the world that words look at."""

    def __init__(self) -> None:
        self.configuration = _Configuration()
        self.approvals = Table()


def _decision(**changes: object) -> Decision:
    base = Decision(
        id="dec_1",
        at=AT,
        verdict=Verdict.ASK,
        would_be=Verdict.ASK,
        mode=Mode.APPROVE,
        reason="The ladder stands at approve.",
        rule="shop/down",
        runbook="shop/mend",
        arguments={},
        targets=(),
        findings=(),
        clauses=(),
        alert="alr_1",
        episode="alr_1",
        symptom="Down on web",
        incident="inc_1",
        severity=Severity.CRITICAL,
        pack="shop@1",
        configuration="c",
        situation="s",
        binding="b",
        engine={},
        owner="group:default/ops",
    )
    return replace(base, **changes)


def _approval(number: int) -> Approval:
    return Approval(
        id=f"apr_{number}",
        decision=f"dec_{number}",
        run="",
        rule=f"shop/rule-{number}",
        runbook="shop/mend",
        binding="b",
        findings=(),
        asked_at=AT + timedelta(seconds=number),
        expires_at=AT + timedelta(minutes=30),
        start_by_ms=600_000,
        team="group:default/ops",
        targets=("web",),
        service="component:default/web",
        severity=Severity.CRITICAL,
    )


def test_each_ask_is_a_card_up_to_the_teams_limit_and_then_one_page():
    world = _World()
    words = Words(world)
    told = []
    for number in range(1, 6):
        approval = _approval(number)
        told.append([notice.subject for notice in words.of_ask(approval, _decision())])
        world.approvals[approval.id] = approval
    assert told[0] == ["Approve shop/mend on no target?"]
    assert told[1] == ["Approve shop/mend on no target?"]
    assert told[2] == ["Automation is asking too much of group:default/ops"]
    assert told[3] == []
    assert told[4] == []


def test_the_page_is_sent_again_after_half_an_hour():
    world = _World()
    words = Words(world)
    for number in range(1, 4):
        world.approvals[f"apr_{number}"] = _approval(number)
    assert len(words.of_ask(_approval(9), _decision())) == 1
    assert words.of_ask(_approval(9), _decision(at=AT + timedelta(minutes=29, seconds=59))) == ()
    assert len(words.of_ask(_approval(9), _decision(at=AT + timedelta(minutes=30)))) == 1


def test_the_owner_of_a_broken_rule_is_told_once_an_hour():
    words = Words(_World())
    row = ClauseResult(source="alert.labels.tier > 3", answer="broken", why="no such overload")
    broken = _decision(verdict=Verdict.HOLD, clauses=(row,))
    first = words.of_decision(broken)
    assert [notice.subject for notice in first] == ["Rule shop/down is broken and holds"]
    assert "alert.labels.tier > 3 is broken: no such overload." in first[0].text
    assert words.of_decision(replace(broken, at=AT + timedelta(minutes=59, seconds=59))) == ()
    assert len(words.of_decision(replace(broken, at=AT + timedelta(hours=1)))) == 1


def test_what_nobody_answered_goes_on_to_the_next_person():
    lapsed = replace(_approval(1), why="Nobody answered by 09:30 UTC. Nothing was done.")
    notice = of_lapse(lapsed, AT)
    assert notice.subject == "Nobody answered: shop/mend on web"
    assert notice.text == "Nobody answered by 09:30 UTC. Nothing was done. It still fires, so it is asked again."
