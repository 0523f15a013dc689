"""Laws of verification."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.packs.runbook import Verification
from watchkeeper.verify.judge import KNOWN, judge
from watchkeeper.verify.sample import Result, Sample, Seen
from watchkeeper.verify.verify import begin, next_at, observe, result, why

LAW = settings(max_examples=100, deadline=None)
T0 = datetime(2026, 3, 1, tzinfo=UTC)

SPECS = st.builds(
    Verification,
    probe=st.just("http"),
    arguments=st.just({}),
    successes=st.integers(1, 4),
    every_ms=st.sampled_from([200, 1_000]),
    within_ms=st.sampled_from([1_000, 5_000, 20_000]),
    soak_ms=st.sampled_from([0, 1_500, 6_000]),
    timeout_ms=st.just(500),
)
LOOKS = st.lists(st.tuples(st.sampled_from(list(Seen)), st.integers(0, 400)), max_size=60)
HARMLESS = st.lists(st.tuples(st.sampled_from([Seen.UNHEALTHY, Seen.NOTHING]), st.integers(0, 400)), max_size=60)


def play(spec, looks):
    """Every look is taken when it is due, and takes its time; then nothing more is seen."""
    state, now, seen = begin(spec, T0), T0, []
    for letter, took_ms in looks:
        if result(state, now) is not None:
            break
        now = max(now, next_at(state)) + timedelta(milliseconds=took_ms)
        seen.append(letter)
        state = observe(state, Sample(at=now, seen=letter))
    found = result(state, now)
    return state, found or result(state, now + timedelta(days=1)), seen


@LAW
@given(SPECS, LOOKS)
def test_every_verification_ends_and_healthy_means_a_row_to_the_end(spec, looks):
    state, found, seen = play(spec, looks)
    assert found is not None
    assert why(state, found)
    if found is Result.HEALTHY:
        assert seen[-spec.successes :] == [Seen.HEALTHY] * spec.successes
    if found is Result.UNHEALTHY:
        assert Seen.UNHEALTHY in seen
    assert state.samples == len(seen)
    assert state.healthy == seen.count(Seen.HEALTHY)


@LAW
@given(SPECS, HARMLESS)
def test_without_a_healthy_look_nothing_passes(spec, looks):
    assert play(spec, looks)[1] is not Result.HEALTHY


@LAW
@given(SPECS, LOOKS)
def test_one_bad_look_in_the_soak_starts_the_row_again(spec, looks):
    state = begin(spec, T0)
    now = T0
    for letter, took_ms in looks:
        now = max(now, next_at(state)) + timedelta(milliseconds=took_ms)
        before, state = state, observe(state, Sample(at=now, seen=letter))
        if letter is not Seen.HEALTHY and not before.soaked:
            assert state.in_row == 0
            assert state.complete_at is None
        if state.complete_at is not None and state.soaked:
            assert (now - state.complete_at) >= timedelta(0)


@LAW
@given(
    st.sampled_from([*KNOWN, "ping"]),
    st.dictionaries(
        st.sampled_from(sorted(set().union(*KNOWN.values()))),
        st.recursive(
            st.none() | st.booleans() | st.integers(-5, 600) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    ),
    st.dictionaries(
        st.sampled_from(["status", "body", "headers", "took_ms", "connected", "exit", "stdout", "samples", "why"]),
        st.none() | st.booleans() | st.integers(-5, 600) | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
        max_size=6,
    ),
)
def test_judge_never_raises_and_no_values_never_pass(probe, expect, values):
    seen, words = judge(probe, expect, values)
    assert seen is Seen.HEALTHY or words
    assert judge(probe, expect, {})[0] is Seen.NOTHING
