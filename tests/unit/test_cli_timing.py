"""What was the same for a while is one row of a table over time."""

from watchkeeper.surface.cli.timing import FOLDED_FROM, folded


def test_rows_that_say_the_same_stand_as_one_from_the_first_time_to_the_last() -> None:
    rows = [("00:00", "?"), ("00:01", "?"), ("00:02", "?"), ("00:03", 4), ("00:04", "?"), ("00:05", "?")]
    assert folded(rows) == [("00:00 to 00:02", "?"), ("00:03", 4), ("00:04", "?"), ("00:05", "?")]


def test_both_sides_of_the_limit() -> None:
    for count in (1, FOLDED_FROM - 1):
        assert len(folded([(number, 0) for number in range(count)])) == count
    assert folded([(number, 0) for number in range(FOLDED_FROM)]) == [(f"0 to {FOLDED_FROM - 1}", 0)]
    assert folded([]) == []
