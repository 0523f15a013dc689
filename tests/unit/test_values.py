"""Times that people and senders write: read, or refused with an example, whatever stands there."""

import pytest

from watchkeeper.values import instant, rfc3339


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tomorrow", "'tomorrow' is not an instant"),
        ("", "'' is not an instant"),
        ("2026-13-01T00:00:00Z", "is not an instant"),
        ("2026-03-01T10:00:00", "has no time zone"),
        ("0001-01-01T00:00:00+14:00", "lies outside the calendar"),
        ("9999-12-31T23:59:59-14:00", "lies outside the calendar"),
    ],
)
def test_what_is_no_instant_says_so_with_an_example(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"write for example 2026-03-01T10:00:00Z$") as refused:
        instant(text)
    assert why in str(refused.value)


def test_an_instant_is_read_in_any_zone() -> None:
    assert rfc3339(instant("2026-03-01T10:00:00+02:00")) == "2026-03-01T08:00:00.000000Z"
    assert rfc3339(instant("0001-01-01T00:00:00Z")) == "0001-01-01T00:00:00.000000Z"
