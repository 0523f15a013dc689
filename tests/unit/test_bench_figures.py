"""Figures: goals judged on the right number, the spread over turns, plots that are XML."""

import xml.etree.ElementTree as ET

from watchkeeper.bench.figures import Figure, Measure, percentile, spreads
from watchkeeper.bench.plot import bars, line


def turn(value: float, beside: float) -> tuple[Measure, ...]:
    figures = (
        Figure(name="posts", unit="/s", value=value, least=0.5, beside=beside, of_ratio=True),
        Figure(name="p99", unit="ms", value=value, most=25),
    )
    return (Measure(name="m", figures=figures, proof="", load_before=0, load_after=0),)


def test_a_goal_of_a_ratio_is_judged_by_the_median_ratio_and_not_by_the_value():
    posts, _ = spreads([turn(40, 100), turn(60, 100), turn(50, 100)])
    assert posts.value == 50
    assert posts.ratios == (0.4, 0.6, 0.5)
    assert posts.reached is True
    assert spreads([turn(49, 100)])[0].reached is False


def test_a_limit_holds_up_to_itself():
    assert spreads([turn(25, 100)])[1].reached is True
    assert spreads([turn(25.1, 100)])[1].reached is False
    assert (
        spreads(
            [(Measure(name="m", figures=(Figure(name="x", unit="", value=1),), proof="", load_before=0, load_after=0),)]
        )[0].reached
        is None
    )


def test_a_percentile_is_one_of_the_values():
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(1, 101), 0.99) == 100
    assert percentile([], 0.5) == 0


def test_plots_are_well_formed_whatever_the_words():
    for text in (
        line("a < b", "x & y", "ms", [(0, 0.0), (100, 12.5)]),
        line("empty", "", "", []),
        bars("t", "µs", [("a", 3.0)], {"a": 2}),
    ):
        assert ET.fromstring(text).tag.endswith("svg")
