"""The Wilson lower bound, against values that are known, and on both sides of the limit."""

import pytest

from watchkeeper.learn.wilson import PPM, lower_ppm, reaches


@pytest.mark.parametrize(
    ("agreed", "of", "lower"),
    [
        # Source: R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
        (81, 263, 0.2553),
        (15, 148, 0.0624),
        (0, 20, 0.0),
        (1, 29, 0.0061),
        # When all agree the bound is n / (n + z^2), by hand: 1.96^2 is 3.8416.
        (1, 1, 1 / 4.8416),
        (10, 10, 10 / 13.8416),
        (15, 15, 15 / 18.8416),
        (16, 16, 16 / 19.8416),
    ],
)
def test_known_values(agreed, of, lower):
    assert lower_ppm(agreed, of) / PPM == pytest.approx(lower, abs=0.00005)


def test_sixteen_of_sixteen_is_the_first_that_reaches_eighty_percent():
    assert not reaches(15, 15, 800_000)
    assert reaches(16, 16, 800_000)
    assert lower_ppm(16, 16) == 806_386  # rounded down, never up


@pytest.mark.parametrize("of", [26, 40, 100, 1000])
def test_one_more_disagreement_is_the_other_side(of):
    fewest = next(agreed for agreed in range(of + 1) if reaches(agreed, of, 800_000))
    assert lower_ppm(fewest, of) >= 800_000 > lower_ppm(fewest - 1, of)
    assert not reaches(fewest - 1, of, 800_000)


def test_nothing_reaches_nothing():
    assert lower_ppm(0, 0) == 0
    assert not reaches(0, 0, 1)
    assert reaches(0, 0, 0)


def test_no_count_is_certainty():
    assert reaches(1_000_000, 1_000_000, 999_990)
    assert not reaches(1_000_000, 1_000_000, PPM)
