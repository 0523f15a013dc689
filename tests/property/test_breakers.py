"""Laws of breakers: adding failures never closes, a trial is one, and the brake only grows with what fails."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from situations import AT, a_proposal, a_situation
from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.decide.admission import LimitSettings, claims
from watchkeeper.decide.decide import decide
from watchkeeper.guards.situation import Breaker
from watchkeeper.home.breakers import BrakeSettings, BreakerSettings
from watchkeeper.learn.brake import due
from watchkeeper.learn.breaker import Failure, failed, fresh, healthy, open_for_ms, standing
from watchkeeper.ports import Claim, Commit, Committed

law = settings(max_examples=200, deadline=None)

bounds = st.builds(
    BreakerSettings,
    failures=st.integers(1, 5),
    within_ms=st.integers(60_000, 3_600_000),
    open_ms=st.integers(1_000, 3_600_000),
    open_max_ms=st.integers(3_600_000, 14_400_000),
)
gaps = st.lists(st.tuples(st.integers(0, 4_000_000), st.booleans()), min_size=1, max_size=30)


def a_failure(at, rule="r", target="t", region="eu"):
    return Failure(at=at, run="run_1", rule=rule, target=target, region=region)


@law
@given(bounds, gaps)
def test_adding_failures_never_closes_a_breaker_and_never_lets_it_be_tried_sooner(bound, steps):
    circuit, at = fresh("restart", "t", "p@1", "eu", AT), AT
    for gap_ms, trial in steps:
        at += timedelta(milliseconds=gap_ms)
        before = circuit
        circuit = failed(before, a_failure(at), bound, trial=trial)
        assert circuit.failed == before.failed + 1
        if before.state == "open":
            assert circuit.state == "open"
            assert circuit.until_at >= before.until_at
            if trial:
                assert standing(circuit, at) == "open", "a trial that failed is followed by a pause"
        if circuit.state == "open":
            assert circuit.until_at <= max(
                before.until_at or at, at + timedelta(milliseconds=open_for_ms(circuit.opened, bound))
            )
            assert circuit.opened >= 1


@law
@given(bounds, gaps)
def test_only_a_healthy_trial_closes(bound, steps):
    circuit, at = fresh("restart", "t", "p@1", "eu", AT), AT
    for gap_ms, trial in steps:
        at += timedelta(milliseconds=gap_ms)
        circuit = failed(circuit, a_failure(at), bound)
        after = healthy(circuit, at, trial=trial)
        if circuit.state == "open":
            assert (after.state == "closed") is trial
        else:
            assert after is circuit


rows = st.lists(
    st.tuples(st.sampled_from(["r1", "r2", "r3", "r4"]), st.sampled_from("abcdef"), st.sampled_from(["eu", "us", ""])),
    max_size=20,
)


def circuits_of(found, bound):
    circuits = {}
    for number, (rule, target, region) in enumerate(found):
        before = circuits.get(target) or fresh("restart", target, "p@1", region, AT)
        failure = a_failure(AT + timedelta(seconds=number), rule, target, region)
        circuits[target] = failed(before, failure, bound)
    return circuits.values()


@law
@given(bounds, rows, rows)
def test_one_more_failure_never_ends_a_brake(bound, found, more):
    """At one instant, with windows that hold all of it."""
    wide = replace(bound, within_ms=3_600_000)
    brake = BrakeSettings(within_ms=3_600_000, targets=3, rules=2, open_max=2)
    now = AT + timedelta(minutes=1)
    assert (
        due(circuits_of(found, wide), brake, now, {}).keys()
        <= due(circuits_of([*found, *more], wide), brake, now, {}).keys()
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["admit", "end"]), max_size=20), st.integers(2, 4))
async def test_there_are_never_two_trials_at_once(acts, nodes):
    """Nodes that all see the breaker half open, and admit and end runs in any order, over one store."""
    store, number, under_way = MemoryStore(), 0, []
    situation = a_situation(breakers=(Breaker(key="restart on t by p", state="open", since_at=AT, until_at=AT),))
    for act in acts:
        if act == "end" and under_way:
            await store.commit(Commit(at=AT, releases=(under_way.pop(0),)))
            continue
        for _node in range(nodes):
            number += 1
            proposal = a_proposal(episode=f"e{number}")
            decision = decide(proposal, situation)
            wants = claims(proposal, decision, situation, LimitSettings())
            trial = [
                Claim(key=want.key, run=f"run_{number}", limit=want.limit) for want in wants if "trial" in want.key
            ]
            assert trial, "an open breaker whose time is up is a trial"
            outcome = await store.commit(Commit(at=AT, claims=tuple(trial)))
            if isinstance(outcome, Committed):
                under_way.append(f"run_{number}")
        assert len(under_way) <= 1
        assert len(await store.claims(AT, "trial:")) <= 1
