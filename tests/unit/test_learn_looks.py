"""Days of looks: counts in slots, exact turns, and the bounds that keep both small."""

from datetime import UTC, datetime, timedelta

from watchkeeper.learn.looks import (
    DAY_MS,
    TURNS_DAY_MAX,
    Counted,
    Day,
    Look,
    State,
    coarse,
    counted,
    looked,
    spans,
    standing,
    windows,
)
from watchkeeper.values import after_ms

AT = datetime(2026, 3, 2, 23, 50, tzinfo=UTC)
WEB = "component:default/web"


def seconds(count: float) -> datetime:
    return AT + timedelta(seconds=count)


class Row:
    """Looks of one check at a service, each good for `good_s` seconds."""

    def __init__(self, good_s: float = 30) -> None:
        self.days: dict[str, Day] = {}
        self.good_s = good_s
        self.last: Look | None = None

    def look(self, at: datetime, good: bool | None) -> None:
        if good is not None:
            self.last = Look(at=at, good=good, until_at=at + timedelta(seconds=self.good_s))
        state, until_at = standing([self.last] if self.last else [], at)
        newest = list(self.days.values())[-1] if self.days else None
        day = looked(newest, WEB, at, state, until_at, good)
        self.days[day.id] = day

    def all(self) -> list[Day]:
        return list(self.days.values())


def test_the_worst_of_the_checks_that_still_count_makes_the_state():
    good = Look(at=AT, good=True, until_at=seconds(30))
    bad = Look(at=AT, good=False, until_at=seconds(20))
    assert standing([good, bad], seconds(19.999)) == (State.DOWN, seconds(30))
    assert standing([good, bad], seconds(20)) == (State.UP, seconds(30))
    assert standing([good, bad], seconds(30)) == (State.UNKNOWN, seconds(30))
    assert standing([], AT) == (State.UNKNOWN, AT)


def test_a_state_lasts_from_the_look_that_turned_it_to_the_one_that_turned_it_back():
    row = Row()
    for at, good in ((0, True), (10, True), (20, False), (30, False), (40, True), (50, True)):
        row.look(seconds(at), good)
    assert spans(row.all(), AT, seconds(60)) == (
        (State.UP, seconds(0), seconds(20)),
        (State.DOWN, seconds(20), seconds(40)),
        (State.UP, seconds(40), seconds(60)),
    )


def test_before_the_first_look_and_after_the_last_one_counts_no_more_it_is_unknown():
    row = Row()
    row.look(seconds(100), True)
    assert spans(row.all(), AT, seconds(200)) == (
        (State.UNKNOWN, seconds(0), seconds(100)),
        (State.UP, seconds(100), seconds(130)),
        (State.UNKNOWN, seconds(130), seconds(200)),
    )


def test_a_gap_longer_than_a_look_counts_is_unknown_and_a_shorter_one_is_not():
    for gap, gaps in ((29.999, 1), (30.001, 3)):
        row = Row()
        row.look(seconds(0), False)
        row.look(seconds(gap), False)
        row.look(seconds(gap + 1), False)
        assert len(spans(row.all(), AT, seconds(gap + 2))) == gaps, gap


def test_a_blind_look_moves_nothing_and_is_counted_apart():
    row = Row()
    for at, good in ((0, True), (10, None), (20, None), (25, True)):
        row.look(seconds(at), good)
    assert spans(row.all(), AT, seconds(26)) == ((State.UP, AT, seconds(26)),)
    assert counted(row.all(), AT, seconds(60)) == Counted(good=2, bad=0, blind=2)
    assert row.all()[-1].seen_at == seconds(25)


def test_a_state_goes_on_over_midnight_and_each_day_stands_by_itself():
    row = Row()
    for minute in range(20):
        row.look(AT + timedelta(minutes=minute, seconds=0.5), minute != 8)
        row.good_s = 90
    first, second = row.all()
    assert (first.id, second.id) == (f"{WEB}@2026-03-02", f"{WEB}@2026-03-03")
    assert (second.turns[0].state, second.turns[0].at) == (State.UP, AT + timedelta(minutes=10, seconds=0.5))
    downs = windows([first, second], State.DOWN, AT, AT + timedelta(hours=1))
    assert [(each.from_at, each.until_at) for each in downs] == [
        (AT + timedelta(minutes=8, seconds=0.5), AT + timedelta(minutes=9, seconds=0.5))
    ]
    assert windows([second], State.UP, second.from_at, AT + timedelta(minutes=15))[0].from_at == second.turns[0].at


def test_a_window_counts_whole_slots():
    row = Row()
    row.look(AT + timedelta(minutes=4, seconds=59), False)
    row.look(AT + timedelta(minutes=5), True)
    assert counted(row.all(), AT + timedelta(minutes=4, seconds=59), AT + timedelta(minutes=6)).bad == 1
    assert counted(row.all(), AT + timedelta(minutes=5), AT + timedelta(minutes=6)) == Counted(good=1)
    assert counted(row.all(), AT, AT + timedelta(minutes=5)) == Counted(bad=1)


def test_a_coarse_day_counts_the_same_in_a_twelfth_of_the_room():
    row = Row()
    start = datetime(2026, 3, 2, tzinfo=UTC)
    for minute in range(0, 24 * 60, 7):
        row.look(start + timedelta(minutes=minute), minute % 3 != 0)
    (day,) = row.all()
    small = coarse(day)
    end = start + timedelta(days=1)
    assert counted([small], start, end) == counted([day], start, end)
    assert len(small.good) * 12 == len(day.good)
    assert coarse(small) is small
    half = start + timedelta(hours=12, minutes=30)
    assert counted([small], half, end) == counted([day], start + timedelta(hours=12), end), "from the whole hour on"


def test_a_service_that_turns_too_often_counts_as_down_for_the_rest_of_the_day():
    row = Row()
    start = datetime(2026, 3, 2, tzinfo=UTC)
    for number in range(TURNS_DAY_MAX + 100):
        row.look(start + timedelta(seconds=10 * number), number % 2 == 0)
    (day,) = row.all()
    assert len(day.turns) == TURNS_DAY_MAX
    assert day.turns[-1].state is State.DOWN
    assert counted([day], start, after_ms(start, DAY_MS)).good == (TURNS_DAY_MAX + 100) // 2, "what was seen is counted"


def test_a_clock_that_goes_back_takes_nothing_away():
    row = Row()
    row.look(seconds(10), True)
    row.look(seconds(0), False)
    assert counted(row.all(), AT, seconds(60)) == Counted(good=1, bad=1)
    assert [turn.at for turn in row.all()[-1].turns] == [seconds(10), seconds(10)]
