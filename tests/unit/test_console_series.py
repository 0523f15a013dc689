"""Plots over time: a line never crosses what was not measured, unknown is shaded, and zero is not nothing."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.learn.timing import length_text
from watchkeeper.surface.console.draw import series
from watchkeeper.surface.console.draw.series import HIGH, LEFT, TOP, WIDE, Line, Part
from watchkeeper.surface.console.pages.metrics import share, spanned
from watchkeeper.surface.console.pages.sources import answer

UNKNOWN = "the node did not run, so nobody knows"


def drawn(*values, watched=None, **more):
    seen = watched if watched is not None else [True] * len(values)
    ticks = [f"{place:02}:00" for place in range(len(values))]
    return series.lines((Line(name="p99", values=values),), seen, ticks, length_text, "label", **more)


def ways(svg):
    """The drawn lines, each as its points."""
    found = re.findall(r'<path d="M([\d. L]+)" fill="none"', str(svg))
    return [[tuple(map(float, pair.split())) for pair in way.split("L")] for way in found]


def test_a_line_ends_where_nothing_was_measured_and_begins_again_behind_it():
    svg = drawn(10, 20, None, 30, 40)
    one, two = ways(svg)
    assert (len(one), len(two)) == (2, 2)
    assert one[-1][0] < two[0][0]
    assert UNKNOWN not in svg
    assert str(svg).count("h2") == 1  # the short mark under the line: somebody looked, nothing came


def test_a_single_value_between_gaps_is_a_dot():
    svg = drawn(None, 5, None)
    assert ways(svg) == []
    assert str(svg).count('r="2"') == 1


def test_zero_stands_on_the_line_and_is_not_nothing():
    assert ways(drawn(0, 0, 0)) == [[(x, TOP + HIGH) for x, _ in ways(drawn(0, 0, 0))[0]]]
    assert drawn(None, None) is None


def test_where_nobody_looked_the_ground_is_shaded_once_a_stretch():
    svg = drawn(1, None, None, 2, None, watched=[True, False, False, True, False])
    assert str(svg).count(UNKNOWN) == 2
    assert "h2" not in str(svg)


def test_what_is_beyond_the_scale_stays_inside_the_frame():
    svg = drawn(5, 500, ceiling=100, floor=50)
    assert [y for _, y in ways(svg)[0]] == [TOP + HIGH, TOP]


VALUES = st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=1, max_size=80)


@given(VALUES, st.data())
def test_whatever_the_values_each_known_one_is_drawn_inside_and_no_line_crosses_a_gap(values, data):
    watched = [value is not None or data.draw(st.booleans()) for value in values]
    svg = drawn(*values, watched=watched)
    if svg is None:
        assert all(value is None for value in values)
        return
    points = [point for way in ways(svg) for point in way]
    assert all(LEFT <= x <= LEFT + WIDE and TOP - 0.1 <= y <= TOP + HIGH + 0.1 for x, y in points)
    joined = sum(one is not None and other is not None for one, other in pairwise(values))
    assert sum(len(way) - 1 for way in ways(svg)) == joined
    assert str(svg).count('r="5"') == sum(value is not None for value in values)  # each says its number


def test_bars_stand_on_each_other_and_say_what_they_are():
    parts = (Part(name="repeated", values=(1, 0), fill="a"), Part(name="news", values=(3, 0), fill="b"))
    svg = str(series.bars(parts, [True, True], ["09:00", "09:01"], "label"))
    tops = [
        (float(y), float(tall))
        for y, tall in re.findall(r'<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', svg)
    ]
    (low, low_tall), (high, high_tall) = tops
    assert low + low_tall == TOP + HIGH
    assert high + high_tall == low
    assert high == TOP
    assert "09:00: 3 news" in svg
    assert series.bars(parts, [False, False], ["a", "b"], "label") is None


def test_a_day_is_whole_dented_broken_or_unknown_by_its_shape_too():
    svg = str(series.cells((1_000_000, 998_999, 949_999, None), ["a", "b", "c", "d"], share, "label"))
    assert re.findall(r'height="(\d+)" rx', svg) == ["20", "14", "8", "20"]
    assert "stroke-dasharray" in svg
    assert "d: unknown, nobody looked" in svg
    assert "b: up 99.9 %" in svg


def test_a_row_of_counts_is_left_out_where_nothing_came_and_kept_where_nobody_knows():
    quiet = Part(name="signals", values=(0, 0), fill="a")
    assert series.sparks(quiet, [True, True], ["a", "b"], "label") is None
    assert series.sparks(quiet, [False, False], ["a", "b"], "label") is not None


def test_shares_and_spans_are_said_short():
    assert [share(ppm) for ppm in (1_000_000, 999_000, 549_300)] == ["100 %", "99.9 %", "54.93 %"]
    assert [spanned(ms) for ms in (0, 14, 2_400, 61_000)] == ["0", "14.0 ms", "2.4 s", "1:01"]


def source(name, state, *, configured=True):
    return {"name": name, "state": state, "configured": configured}


def test_the_answer_of_the_sources_page():
    assert answer([]) == "No source is configured."
    assert answer([source("eyes", "own")]) == "No source is configured."
    assert answer([source("a", "never"), source("b", "never")]) == "Nobody has told us anything yet."
    assert answer([source("a", "heard"), source("b", "never")]) == "1 source of 2 was heard. 1 was never heard."
    assert answer([source("a", "heard"), source("b", "heard")]) == "2 sources of 2 were heard."
    assert answer([source("a", "stale"), source("b", "heard")]) == "a is silent."
    assert answer([source(name, "stale") for name in "abcde"]) == "a, b, c and 2 more are silent."
    assert answer([source("gone", "stale", configured=False), source("a", "heard")]) == "1 source of 1 was heard."
