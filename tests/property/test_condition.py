"""Laws of the roll-up: unknown is never healthy, one more failing part never makes better, and order does not matter."""

from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.catalog.condition import Condition, Level, Seen, rolled

LAW = settings(max_examples=200, deadline=None)
RANK = list(Level)  # healthy, unknown, degraded, failing
OWN = st.sampled_from(Seen)
FAILING = Condition(level=Level.FAILING, watched=True)
PART = st.builds(
    lambda level, watched: Condition(level=level, watched=watched or level is not Level.UNKNOWN),
    st.sampled_from(Level),
    st.booleans(),
)
PARTS = st.lists(PART, max_size=6)
NEEDED = st.none() | st.integers(1, 6)


@LAW
@given(OWN, PARTS, NEEDED, st.randoms())
def test_the_order_of_the_parts_does_not_matter(own, parts, needed, dice):
    other = list(parts)
    dice.shuffle(other)
    assert rolled(own, parts, needed) == rolled(own, other, needed)


@LAW
@given(OWN, PARTS, NEEDED)
def test_healthy_means_that_nothing_watched_is_unknown_and_somebody_saw_it(own, parts, needed):
    found = rolled(own, parts, needed)
    if found.level is Level.HEALTHY:
        assert not any(each.watched and each.level is not Level.HEALTHY for each in parts)
        assert own is Seen.HEALTHY or (parts and all(each.level is Level.HEALTHY for each in parts))
    assert found.healthy == sum(each.level is Level.HEALTHY for each in parts)
    assert found.parts == len(parts)


@LAW
@given(OWN, PARTS, NEEDED, st.integers(0, 5))
def test_a_part_that_becomes_unknown_never_makes_the_whole_healthy(own, parts, needed, which):
    if not parts:
        return
    dark = list(parts)
    dark[which % len(parts)] = Condition(level=Level.UNKNOWN, watched=True)
    assert rolled(own, dark, needed).level is not Level.HEALTHY


@LAW
@given(OWN, PARTS, NEEDED)
def test_one_more_failing_part_never_makes_better(own, parts, needed):
    before, after = rolled(own, parts, needed), rolled(own, [*parts, FAILING], needed)
    assert RANK.index(after.level) >= RANK.index(before.level)


@LAW
@given(OWN, PARTS, NEEDED, st.integers(0, 5))
def test_a_part_that_begins_to_fail_never_makes_better(own, parts, needed, which):
    if not parts:
        return
    worse = list(parts)
    worse[which % len(parts)] = FAILING
    assert RANK.index(rolled(own, worse, needed).level) >= RANK.index(rolled(own, parts, needed).level)
