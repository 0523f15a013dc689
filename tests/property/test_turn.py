"""Laws of turns: one total order, nothing starves, and a line keeps it through arrivals and departures."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from watchkeeper.engine.line import SPARE_MAX, Line
from watchkeeper.signals.turn import AGED_AFTER_MS, AGED_EVERY, RANK_MAX, Waiting, by_age, by_rank, in_turn, is_aged

LAW = settings(max_examples=150, deadline=None)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def ago(ms: int) -> datetime:
    return NOW - timedelta(milliseconds=ms)


ages = st.integers(0, 3 * AGED_AFTER_MS) | st.sampled_from((AGED_AFTER_MS - 1, AGED_AFTER_MS))
waits = st.lists(st.tuples(st.integers(0, RANK_MAX), ages), max_size=60).map(
    lambda found: [
        Waiting(id=f"w{at}", rank=rank, since_at=ago(age), number=at + 1) for at, (rank, age) in enumerate(found)
    ]
)


@LAW
@given(waits, st.randoms(use_true_random=False), st.integers(0, 20))
def test_the_order_is_total_whatever_the_order_of_asking(found, random, given_before):
    order = in_turn(found, NOW, given_before)
    shuffled = list(found)
    random.shuffle(shuffled)
    assert in_turn(shuffled, NOW, given_before) == order
    assert sorted(order, key=by_rank) == sorted(found, key=by_rank)


@LAW
@given(waits)
def test_what_is_aged_is_worked_on_within_its_bound_whatever_its_rank(found):
    place = {one.id: at for at, one in enumerate(in_turn(found, NOW))}
    for longer, one in enumerate(sorted(found, key=by_age)):
        if is_aged(one, NOW):
            assert place[one.id] < AGED_EVERY * (longer + 1)


@LAW
@given(waits)
def test_rank_decides_all_other_places(found):
    order = in_turn(found, NOW)
    left = sorted(found, key=by_rank)
    for at, one in enumerate(order):
        oldest = min(left, key=by_age)
        kept = at % AGED_EVERY == AGED_EVERY - 1 and is_aged(oldest, NOW)
        assert one == (oldest if kept else left[0])
        left.remove(one)


@LAW
@given(waits, st.lists(st.integers(1, 9), max_size=70))
def test_a_line_gives_the_same_order_in_any_pieces(found, pieces):
    line = Line()
    for one in found:
        line.add(one.id, one.rank, one.since_at)
    taken = [identity for most in (*pieces, len(found)) for identity in line.take(most, NOW)]
    assert taken == [one.id for one in in_turn(found, NOW)]
    assert len(line) == 0


@LAW
@given(waits, st.integers(1, 9))
def test_a_look_is_one_place_and_names_who_would_have_it(found, most):
    line, other = Line(), Line()
    for one in found:
        line.add(one.id, one.rank, one.since_at)
        other.add(one.id, one.rank, one.since_at)
    for _ in range(AGED_EVERY):
        first = other.take(1, NOW)
        assert line.look(most, NOW)[:1] == first  # one look is one place
        for identity in first:
            line.discard(identity)
    assert len(line) == len(other)
    assert all(line.since(one.id) in {one.since_at, None} for one in found)


steps = st.lists(
    st.tuples(st.just("add"), st.integers(0, 12), st.integers(0, RANK_MAX))
    | st.tuples(st.just("discard"), st.integers(0, 12), st.just(0))
    | st.tuples(st.just("take"), st.integers(1, 4), st.just(0)),
    max_size=200,
)


@LAW
@given(steps)
def test_a_line_with_arrivals_and_departures_is_a_plain_list_kept_in_order(played):
    line, model, given_places, came = Line(), {}, 0, 0
    for at, (what, number, rank) in enumerate(played):
        now = NOW + timedelta(seconds=5 * at)
        name = f"w{number}"
        if what == "add":
            came += name not in model
            before = model.get(name, Waiting(id=name, rank=rank, since_at=now, number=came))
            model[name] = replace(before, rank=rank)
            line.add(name, rank, now)
        elif what == "discard":
            model.pop(name, None)
            line.discard(name)
        else:
            expected = [one.id for one in in_turn(model.values(), now, given_places)[:number]]
            assert line.take(number, now) == expected
            given_places += len(expected)
            for identity in expected:
                del model[identity]
        assert len(line) == len(model)
        assert len(line._ranked) <= 2 * len(model) + SPARE_MAX
        assert len(line._oldest) <= 2 * len(model) + SPARE_MAX
