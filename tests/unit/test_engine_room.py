"""How much room there is: entered and left at different shares, on both sides of each; and for how long it lasts."""

from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.engine.records import SizeSample
from watchkeeper.engine.room import Room, days_left, room_after

AT = datetime(2026, 3, 8, 10, 0, tzinfo=UTC)
MOST = 1_000_000


@pytest.mark.parametrize(
    ("before", "used", "after"),
    [
        (Room.AMPLE, 799_999, Room.AMPLE),
        (Room.AMPLE, 800_000, Room.TIGHT),
        (Room.AMPLE, 950_000, Room.FULL),
        (Room.TIGHT, 949_999, Room.TIGHT),
        (Room.TIGHT, 950_000, Room.FULL),
        (Room.FULL, 900_000, Room.FULL),
        (Room.FULL, 899_999, Room.TIGHT),
        (Room.TIGHT, 750_000, Room.TIGHT),
        (Room.TIGHT, 749_999, Room.AMPLE),
        (Room.FULL, 100, Room.AMPLE),
    ],
)
def test_a_state_is_left_below_where_it_began(before, used, after):
    assert room_after(before, used, MOST) is after


def sample(hours: int, used: int) -> SizeSample:
    at = AT - timedelta(hours=hours)
    return SizeSample(id=at.isoformat(), at=at, used=used)


@pytest.mark.parametrize(
    ("samples", "used", "days"),
    [
        ([], 500_000, None),
        ([sample(0, 400_000)], 500_000, None),  # a moment's growth says nothing
        ([sample(1, 500_000 - 5_000)], 500_000, 4),  # 5,000 an hour
        ([sample(24, 400_000)], 500_000, 5),
        ([sample(24, 400_000), sample(12, 490_000)], 500_000, 5),
        ([sample(24, 500_000)], 500_000, None),
        ([sample(24, 600_000)], 500_000, None),
        ([sample(200, 0), sample(24, 400_000)], 500_000, 5),  # older than a week is another time
        ([sample(24, 499_999)], 500_000, None),  # not in ten years
        ([], MOST, 0),
    ],
)
def test_days_until_the_limit(samples, used, days):
    assert days_left(samples, AT, used, MOST) == days
