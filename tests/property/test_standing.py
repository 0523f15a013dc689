"""Laws of standing, for any history."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from watchkeeper.home.settings import Autonomy
from watchkeeper.learn.agreement import Cell, Evidence, How, tally
from watchkeeper.learn.standing import Ground, outlook
from watchkeeper.learn.wilson import PPM, lower_ppm, reaches
from watchkeeper.packs.rule import MODE_ORDER, Mode

LAW = settings(max_examples=60, deadline=None)
START = datetime(2026, 3, 2, tzinfo=UTC)
LATER = START + timedelta(days=30)
POLICY = Autonomy()

cells = st.builds(
    Cell,
    rule=st.just("shop/down"),
    tier=st.just("gold"),
    severity=st.sampled_from(["critical", "minor"]),
    environment=st.sampled_from(["prod", "dr", "staging"]),
    region=st.sampled_from(["eu", "us"]),
)


@st.composite
def pieces(draw, number, cell=None):
    found = draw(cells) if cell is None else cell
    return Evidence(
        id=f"evd_{number}",
        cell=found,
        episode=f"{found.key} {draw(st.integers(0, 30)) if cell is None else f'own {number}'}",
        decision="dec",
        basis="shop/mend low",
        production=found.environment != "staging",
        ceiling=Mode.AUTO,
        decided_at=START,
        how=draw(st.sampled_from(How)),
        agrees=draw(st.integers(0, 5)) > 0 if cell is None else True,
        by=draw(st.sampled_from(["alice", "bob"])),
        at=START,
    )


@st.composite
def grounds(draw):
    evidence = tuple(draw(pieces(number)) for number in range(draw(st.integers(0, 80))))
    cell = draw(cells)
    return Ground(
        cell=cell,
        level=draw(st.sampled_from(MODE_ORDER)),
        since_at=START,
        basis="shop/mend low",
        production=cell.environment != "staging",
        ceiling=Mode.AUTO,
        evidence=evidence,
    )


@LAW
@given(grounds(), st.data())
def test_what_happened_outside_production_never_makes_auto_in_production(ground, data):
    """However much of it there is, and whatever it says: with it or without it, the way to auto is the same."""
    production = replace(ground, cell=replace(ground.cell, environment="prod"), production=True, level=Mode.APPROVE)
    staging = replace(production.cell, environment="staging")
    more = tuple(data.draw(pieces(1000 + number, cell=staging)) for number in range(40))
    without = replace(production, evidence=tuple(each for each in production.evidence if each.production))
    assert outlook(replace(production, evidence=(*production.evidence, *more)), POLICY, LATER) == outlook(
        without, POLICY, LATER
    )


@LAW
@given(grounds())
def test_the_number_of_agreements_that_are_missing_is_the_least_that_suffices(ground):
    found = outlook(ground, POLICY, LATER)

    def after(more):
        own = [
            Evidence(
                id=f"more_{at}",
                cell=ground.cell,
                episode=f"more {at}",
                decision="dec",
                basis=ground.basis,
                production=ground.production,
                ceiling=Mode.AUTO,
                decided_at=START,
                how=How.RUN,
                agrees=True,
                by="alice",
                at=START,
            )
            for at in range(more)
        ]
        return outlook(replace(ground, evidence=(*ground.evidence, *own)), POLICY, LATER).rises

    if found.next is None:
        assert not found.rises
    else:
        assert found.in_a_row is not None
        assert after(found.in_a_row)
        assert not any(after(fewer) for fewer in range(max(0, found.in_a_row - 20), found.in_a_row))


@LAW
@given(grounds(), st.randoms())
def test_the_order_of_evidence_changes_nothing(ground, random):
    shuffled = list(ground.evidence)
    random.shuffle(shuffled)
    assert tally(shuffled) == tally(ground.evidence)
    assert outlook(replace(ground, evidence=tuple(shuffled)), POLICY, LATER) == outlook(ground, POLICY, LATER)


@LAW
@given(st.integers(0, 400), st.integers(1, 400), st.integers(0, PPM))
def test_the_bound_is_exact(first, second, bound_ppm):
    """The polynomial of the interval's ends, in exact fractions: at the bound it changes its sign."""
    agreed, of = min(first, second), second
    share, bound, z2 = Fraction(agreed, of), Fraction(bound_ppm, PPM), Fraction(49, 25) ** 2
    below = bound <= share and bound_ppm < PPM and (share - bound) ** 2 >= z2 * bound * (1 - bound) / of
    assert reaches(agreed, of, bound_ppm) == (below or bound_ppm == 0)
    assert reaches(agreed, of, lower_ppm(agreed, of))
    assert not reaches(agreed, of, lower_ppm(agreed, of) + 1)


@LAW
@given(st.integers(0, 200), st.integers(0, 200))
def test_an_agreement_more_is_never_worth_less(agreed, disagreed):
    of = agreed + disagreed
    assert lower_ppm(agreed + 1, of + 1) >= lower_ppm(agreed, of)
    assert lower_ppm(agreed, of + 1) <= lower_ppm(agreed, of)
