"""The table's indexes say what a look at every request would say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from test_approve_approval import an_approval

from watchkeeper.approve.approval import State
from watchkeeper.approve.cards import card_id, desks, key_of
from watchkeeper.engine.table import Table

BASE = an_approval()

approvals = st.builds(
    lambda number, rule, episode, team, service, state: replace(
        BASE, id=f"apr_{number}", rule=rule, episode=episode, team=team, service=service, state=state
    ),
    st.integers(0, 8),
    st.sampled_from(("p/a", "p/b")),
    st.sampled_from(("", "e1", "e2")),
    st.sampled_from(("t1", "t2")),
    st.sampled_from(("s1", "s2")),
    st.sampled_from((State.PENDING, State.PENDING, State.APPROVED)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(approvals | st.integers(0, 8), max_size=40))
def test_an_index_is_a_look_at_every_request(played):
    table, model = Table(), {}
    for what in played:
        if isinstance(what, int):
            assert table.pop(f"apr_{what}", None) == model.pop(f"apr_{what}", None)
        else:
            table[what.id] = model[what.id] = what
    assert dict(table) == model
    for rule in ("p/a", "p/b"):
        for episode in ("", "e1", "e2"):
            expected = {each.id for each in model.values() if (each.rule, each.episode) == (rule, episode)}
            assert {each.id for each in table.about(rule, episode)} == expected
    for desk in desks(model.values(), most=100):
        assert table.cards(desk.team) == len(desk.cards)
        for card in desk.cards:
            key = (card.rule, card.service)
            assert {each.id for each in table.pending(desk.team, key)} == set(card.approvals)
            assert card.id == card_id(desk.team, key)
    assert table.cards("t3") == 0


@pytest.mark.parametrize(("most", "is_first"), [(3, True), (2, True), (1, False)])
def test_a_card_is_among_the_first_of_its_team_or_is_not(most, is_first):
    table = Table()
    for number in (1, 2):
        table[f"apr_{number}"] = replace(BASE, id=f"apr_{number}", service=f"s{number}")
    key = key_of(table["apr_2"])
    assert table.is_among_first(BASE.team, key, most) is is_first
    assert table.is_among_first(BASE.team, ("new", "s"), most) is (most > 2)
