"""When a cell rises, and what it is told that is missing: both sides of every limit."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from watchkeeper.home.settings import Autonomy
from watchkeeper.learn.agreement import Cell, Evidence, How, Pool, Tally, agrees, tally
from watchkeeper.learn.standing import Because, Demotion, Ground, counts_text, evidence_line, outlook
from watchkeeper.packs.rule import Mode

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WEEK = START + timedelta(days=7)
POLICY = Autonomy()
EU = Cell(rule="shop/down", tier="gold", severity="critical", environment="prod", region="eu")
US = replace(EU, region="us")
MINOR = replace(EU, severity="minor")
DR = replace(EU, environment="dr")
STAGING = replace(EU, environment="staging")
BASIS = "shop/mend low"


def piece(number, *, agrees=True, cell=EU, how=How.SUGGESTION, by="alice", **more):
    return Evidence(
        id=f"{cell.key} {number} {by} {how}",
        cell=cell,
        episode=f"{cell.key} {number}",
        decision=f"dec_{number}",
        basis=more.pop("basis", BASIS),
        production=cell.environment != "staging",
        ceiling=Mode.AUTO,
        decided_at=more.pop("decided_at", START),
        how=how,
        agrees=agrees,
        by=by,
        at=START,
        **more,
    )


def history(agreed, of=None, **more):
    """`agreed` of `of` episodes, the disagreement first."""
    of = agreed if of is None else of
    return tuple(piece(number, agrees=number >= of - agreed, **more) for number in range(of))


def ground(*evidence, **more):
    given = {"cell": EU, "level": Mode.SUGGEST, "since_at": START, "basis": BASIS, "production": True}
    return Ground(**{**given, "ceiling": Mode.AUTO, "evidence": evidence, **more})


def fell(at, because=Because.UNHEALTHY, cell=EU, **more):
    level = Mode.OBSERVE if because is Because.HARM else Mode.APPROVE
    return Demotion(
        id=f"dmt {at}", cell=cell, level=level, because=because, cause="c", why="It harmed.", at=at, by="bob", **more
    )


def rises(found, at=WEEK, policy=POLICY):
    return outlook(found, policy, at).rises


# -- the limits ----------------------------------------------------------------------------------------


def test_sixteen_episodes_and_not_fifteen():
    lax = replace(POLICY, agreement_ppm=700_000)  # so that the count alone is what stands in the way
    assert not rises(ground(*history(15)), policy=lax)
    assert rises(ground(*history(16)), policy=lax)


def test_seven_days_on_the_level_and_not_a_millisecond_less():
    assert not rises(ground(*history(16)), WEEK - timedelta(milliseconds=1))
    assert rises(ground(*history(16)), WEEK)


@pytest.mark.parametrize(("agreed", "of", "rise"), [(16, 16, True), (16, 17, False), (38, 41, True), (37, 41, False)])
def test_the_lower_bound_and_not_the_share(agreed, of, rise):
    assert rises(ground(*history(agreed, of))) is rise


def test_fourteen_days_after_a_demotion_and_not_thirteen():
    """It was lifted the same day, and everybody agreed ever since."""
    demotion = fell(START, lifted_at=START, lifted_by="alice")
    found = ground(*history(16, decided_at=START + timedelta(hours=1)), demotions=(demotion,))
    assert not rises(found, START + timedelta(days=13))
    assert not rises(found, START + timedelta(days=14) - timedelta(milliseconds=1))
    assert rises(found, START + timedelta(days=14))


def test_an_open_demotion_blocks_whatever_the_time():
    found = outlook(ground(*history(16), demotions=(fell(START - timedelta(days=90)),)), POLICY, WEEK)
    assert not found.rises
    assert evidence_line(found, POLICY, WEEK) == "16 of 16 agreed. It was demoted to approve: It harmed."


def test_what_was_agreed_before_a_demotion_does_not_count_after_it():
    demotion = fell(START + timedelta(seconds=1), lifted_at=START + timedelta(hours=1))
    late = START + timedelta(days=30)
    assert not rises(ground(*history(16), demotions=(demotion,)), late)
    assert rises(ground(*history(16, decided_at=START + timedelta(seconds=1)), demotions=(demotion,)), late)


def test_seven_days_are_counted_from_the_lift():
    lifted_at = START + timedelta(days=20)
    evidence = history(16, decided_at=START + timedelta(days=1))
    found = ground(*evidence, demotions=(fell(START, lifted_at=lifted_at),))
    assert not rises(found, lifted_at + timedelta(days=7) - timedelta(milliseconds=1))
    assert rises(found, lifted_at + timedelta(days=7))


def test_a_demotion_of_a_cell_whose_episodes_are_pooled_counts_as_its_own():
    demotion = fell(START, cell=US, lifted_at=START)
    late = START + timedelta(hours=1)
    pooled = ground(*history(1, decided_at=late), *history(20, cell=US, decided_at=late), demotions=(demotion,))
    assert not rises(pooled, START + timedelta(days=14) - timedelta(milliseconds=1))
    assert rises(pooled, START + timedelta(days=14))
    own = ground(*history(16, decided_at=late), demotions=(demotion,))
    assert rises(own, WEEK)  # thick enough to stand for itself


def test_one_level_at_a_time_and_never_past_its_ceiling():
    assert outlook(ground(*history(16), level=Mode.OBSERVE), POLICY, WEEK).next is Mode.SUGGEST
    assert outlook(ground(*history(16), level=Mode.AUTO), POLICY, WEEK).next is None
    capped = outlook(ground(*history(16), ceiling=Mode.SUGGEST), POLICY, WEEK)
    assert not capped.rises
    assert evidence_line(capped, POLICY, WEEK) == "16 of 16 agreed. Its ceiling is suggest."
    assert rises(ground(*history(16), ceiling=Mode.APPROVE))


def test_what_was_agreed_on_an_earlier_level_or_to_another_runbook_does_not_count():
    assert not rises(ground(*history(16, decided_at=START - timedelta(milliseconds=1))))
    assert not rises(ground(*history(16, basis="shop/mend high")))
    assert not rises(ground(*history(16, basis="shop/wipe low")))


def test_no_evidence_is_not_agreement():
    found = outlook(ground(since_at=None, level=Mode.OBSERVE), POLICY, WEEK)
    assert not found.rises
    assert found.in_a_row == 16
    assert evidence_line(found, POLICY, WEEK) == (
        "No agreement measured yet. 16 more in a row to reach suggest. Not before 7 days after the first."
    )


# -- one episode ---------------------------------------------------------------------------------------


def test_an_episode_counts_once_however_many_people_agree():
    many = [piece(1, by=name, how=how) for name in ("alice", "bob") for how in (How.RUN, How.SUGGESTION)]
    assert tally(many) == Tally(agreed=1, of=1)


def test_one_who_disagrees_outweighs_all_who_agree():
    assert not agrees([piece(1), piece(1, by="bob", agrees=False)])


def test_what_was_said_outweighs_what_was_done():
    assert not agrees([piece(1), piece(1, how=How.REVIEW, agrees=False)])
    assert agrees([piece(1, agrees=False), piece(1, how=How.REVIEW)])
    assert not agrees([piece(1), piece(1, how=How.REVIEW), piece(1, by="bob", how=How.REPORT, agrees=False)])


# -- pools ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "pool", "whose"),
    [
        (US, Pool.REGIONS, "over regions"),
        (MINOR, Pool.SEVERITIES, "over regions and severities"),
        (DR, Pool.CLASS, "over environments of its class"),
        (STAGING, Pool.ENVIRONMENTS, "over all environments"),
    ],
)
def test_a_thin_cell_takes_the_narrowest_pool_that_is_thick_enough_and_says_so(cell, pool, whose):
    found = outlook(ground(*history(1), *history(15, cell=cell)), POLICY, WEEK)
    assert found.rises
    assert found.pool is pool
    assert counts_text(found) == f"16 of 16 agreed, pooled {whose}: 1 of its own"


def test_a_cell_that_is_not_thin_stands_for_itself():
    found = outlook(ground(*history(0, 16), *history(500, cell=US)), POLICY, WEEK)
    assert found.pool is Pool.OWN
    assert not found.rises


def test_a_cell_without_an_episode_of_its_own_is_carried_by_no_pool():
    found = outlook(ground(*history(100, cell=US)), POLICY, WEEK)
    assert not found.rises
    assert found.in_a_row == 1


def test_service_classes_and_rules_are_never_pooled():
    silver, other = replace(EU, tier="silver"), replace(EU, rule="shop/stuck")
    assert not rises(ground(*history(1), *history(100, cell=silver), *history(100, cell=other)))


def test_staging_carries_production_to_approve_and_never_to_auto():
    evidence = (*history(1), *history(100, cell=STAGING))
    assert rises(ground(*evidence, level=Mode.SUGGEST))
    found = outlook(ground(*evidence, level=Mode.APPROVE), POLICY, WEEK)
    assert not found.rises
    assert found.tally == Tally(agreed=1, of=1)
    assert found.in_a_row == 15


def test_an_environment_that_has_become_production_does_not_bring_its_past_into_auto():
    past = tuple(replace(each, production=False) for each in history(16))
    assert rises(ground(*past, level=Mode.SUGGEST))
    assert not rises(ground(*past, level=Mode.APPROVE))


# -- what it says comes true ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agreed", "of", "line"),
    [
        (12, 12, "12 of 12 agreed. 4 more in a row to reach approve."),
        (15, 15, "15 of 15 agreed. 1 more in a row to reach approve."),
        (17, 20, "17 of 20 agreed. 20 more in a row to reach approve."),
        (16, 16, "16 of 16 agreed. It rises to approve now."),
    ],
)
def test_the_number_in_the_line_is_true_when_it_is_tried(agreed, of, line):
    evidence = history(agreed, of)
    found = outlook(ground(*evidence), POLICY, WEEK)
    assert evidence_line(found, POLICY, WEEK) == line
    for more in range(found.in_a_row + 1):
        assert rises(ground(*evidence, *[piece(1000 + at) for at in range(more)])) is (more == found.in_a_row)


def test_the_number_knows_that_a_thin_cell_will_come_to_stand_for_itself():
    """Twelve of its own disagreed, a hundred elsewhere agreed: four more agreements would only make it thick and wrong."""
    evidence = (*history(0, 12), *history(30, cell=US))
    found = outlook(ground(*evidence), POLICY, WEEK)
    assert found.pool is Pool.REGIONS
    for more in range(found.in_a_row + 1):
        assert rises(ground(*evidence, *[piece(1000 + at) for at in range(more)])) is (more == found.in_a_row)
    assert found.in_a_row > 50


def test_the_line_says_when_time_alone_is_missing():
    found = outlook(ground(*history(16)), POLICY, START)
    assert (
        evidence_line(found, POLICY, START) == "16 of 16 agreed. Enough for approve, not before 2026-03-09 09:00 UTC."
    )


def test_the_line_says_when_there_is_nothing_above():
    found = outlook(ground(*history(3), level=Mode.AUTO), POLICY, WEEK)
    assert evidence_line(found, POLICY, WEEK) == "3 of 3 agreed. It is at the top."


def test_what_nobody_would_wait_for_is_told_as_such():
    found = outlook(ground(*history(0, 400)), POLICY, WEEK)
    assert found.in_a_row is None
    assert evidence_line(found, POLICY, WEEK) == "0 of 400 agreed. More than 1,000 in a row to reach approve."
