"""Parameters: typed, bounded, on both sides of each bound."""

import pytest

from watchkeeper.packs.load_runbook import unfit
from watchkeeper.packs.runbook import Parameter

DURATION = Parameter(type="duration", least=1_000, most=300_000)
INTEGER = Parameter(type="integer", least=-1, most=5)
BOOL = Parameter(type="bool")
TEXT = Parameter(type="text", least=2, most=4, pattern="[a-z]+")
CHOICE = Parameter(type="choice", options=("a", "b"))


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (DURATION, "1s"),
        (DURATION, "5m"),
        (DURATION, 1_000),
        (DURATION, 300_000),
        (INTEGER, -1),
        (INTEGER, 5),
        (BOOL, True),
        (BOOL, False),
        (TEXT, "ab"),
        (TEXT, "abcd"),
        (CHOICE, "a"),
    ],
)
def test_what_fits(parameter, value):
    assert unfit(parameter, value) == ""


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        (DURATION, "999ms", "is less than its min (1000)"),
        (DURATION, "5m1s", "is more than its max (300000)"),
        (DURATION, "soon", "'soon' is not a duration"),
        (DURATION, True, "expected a duration such as 30s, got True"),
        (DURATION, None, "expected a duration"),
        (INTEGER, -2, "is less than its min (-1)"),
        (INTEGER, 6, "is more than its max (5)"),
        (INTEGER, True, "expected an integer, got True"),
        (INTEGER, "5", "expected an integer, got '5'"),
        (BOOL, 1, "expected true or false, got 1"),
        (BOOL, "true", "expected true or false, got 'true'"),
        (TEXT, "a", "is less than its min (2)"),
        (TEXT, "abcde", "is more than its max (4)"),
        (TEXT, "AB", "'AB' does not match '[a-z]+'"),
        (TEXT, "ab\n", "does not match"),
        (TEXT, 5, "expected text, got 5"),
        (CHOICE, "c", "expected one of a, b, got 'c'"),
    ],
)
def test_what_does_not(parameter, value, words):
    assert words in unfit(parameter, value)
