"""Cards: one a rule and service, twenty a team, then one page."""

import msgspec
from test_approve_approval import a_person, an_approval, says

from situations import AT, MINUTE
from watchkeeper.approve.cards import CARDS_A_TEAM_MAX, desks

replace = msgspec.structs.replace
BASE = an_approval()


def asked(number, **fields):
    return replace(BASE, **{"id": f"apr_{number:03d}", "asked_at": AT + number * MINUTE, **fields})


def test_nothing_open():
    assert desks([]) == ()
    assert desks([says(BASE, a_person())]) == ()


def test_one_card_a_rule_and_service():
    group = (
        asked(2, targets=("b",), expires_at=AT + MINUTE),
        asked(1, targets=("a", "b")),
        asked(3, service="component:default/search"),
        asked(4, rule="p/other"),
    )
    (desk,) = desks(group)
    assert [(card.rule, card.service, card.approvals) for card in desk.cards] == [
        ("payments/wedged-instance", "component:default/payments-api", ("apr_002", "apr_001")),
        ("payments/wedged-instance", "component:default/search", ("apr_003",)),
        ("p/other", "component:default/payments-api", ("apr_004",)),
    ]
    first = desk.cards[0]
    assert first.targets == ("b", "a")
    assert (first.asked_at, first.expires_at) == (AT + MINUTE, AT + MINUTE)
    assert first.sentence == "payments/wedged-instance asks for 2 targets of payments-api."
    assert (desk.withheld, desk.page) == ((), "")


def test_a_persons_run_is_named_by_its_runbook():
    (desk,) = desks([asked(1, rule="")])
    assert desk.cards[0].rule == "payments/restart-instance"


def test_twenty_and_then_one_page():
    storm = [asked(number, service=f"component:default/s{number}") for number in range(CARDS_A_TEAM_MAX + 1)]
    (calm,) = desks(storm[:-1])
    assert (len(calm.cards), calm.withheld, calm.page) == (20, (), "")
    (desk,) = desks(storm[::-1])
    assert len(desk.cards) == 20
    assert desk.withheld == ("apr_020",)
    assert desk.page == (
        "Automation is asking too much: 21 cards wait for group:default/payments-sre, 1 of them not shown. "
        "Stop or raise what asks (wk approvals)."
    )


def test_teams_do_not_crowd_each_other_out():
    storm = [asked(number, service=f"s{number}", team=f"group:{number % 2}") for number in range(40)]
    assert [(desk.team, len(desk.cards), desk.page) for desk in desks(storm)] == [
        ("group:0", 20, ""),
        ("group:1", 20, ""),
    ]
    (nobody,) = desks([asked(1, team=""), asked(2, team="", service="s")], most=1)
    assert nobody.page.startswith("Automation is asking too much: 2 cards wait for nobody in particular, 1 of them")
