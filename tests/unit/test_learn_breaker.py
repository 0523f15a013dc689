"""Breakers and the brake, both sides of each limit."""

import pytest
from msgspec.structs import replace

from situations import AT, HOUR, MINUTE, SECOND, TICK, a_target
from watchkeeper.home.breakers import BrakeSettings, BreakerSettings
from watchkeeper.learn.brake import Brake, Brakes, binding, due, key_of
from watchkeeper.learn.breaker import (
    Failure,
    failed,
    fresh,
    healthy,
    idle,
    open_for_ms,
    shut,
    standing,
    within,
)

SETTINGS = BreakerSettings(failures=3, within_ms=30 * 60_000, open_ms=600_000, open_max_ms=3_600_000)
BRAKE = BrakeSettings(within_ms=30 * 60_000, targets=3, rules=2, open_max=2)


def a_failure(at=AT, **fields):
    return Failure(**{"at": at, "run": "run_1", "rule": "shop/down", "target": "web", "region": "eu", **fields})


def a_circuit(target="web", action="service.restart", region="eu"):
    return fresh(action, target, "shop@1.0.0", region, AT)


def an_open_one(at=AT, **fields):
    found = a_circuit(**fields)
    for number in range(3):
        found = failed(found, a_failure(at + number * SECOND, target=found.domain), SETTINGS)
    return found


class TestBreaker:
    def test_the_key_can_stand_in_a_sentence(self):
        assert a_circuit().key == "service.restart on web by shop@1.0.0"
        assert a_circuit().id == a_circuit().id != a_circuit("cart").id

    def test_it_opens_at_the_threshold_and_not_before(self):
        found = a_circuit()
        for number in (1, 2):
            found = failed(found, a_failure(AT + number * SECOND), SETTINGS)
            assert (found.state, found.failed) == ("closed", number)
        found = failed(found, a_failure(AT + 3 * SECOND), SETTINGS)
        assert (found.state, found.opened, found.opened_at) == ("open", 1, AT + 3 * SECOND)
        assert found.until_at == AT + 3 * SECOND + 10 * MINUTE

    @pytest.mark.parametrize(("gap", "state"), [(15 * MINUTE - TICK, "open"), (15 * MINUTE, "closed")])
    def test_what_lies_outside_the_window_does_not_count(self, gap, state):
        found = a_circuit()
        for number in range(3):
            found = failed(found, a_failure(AT + number * gap), SETTINGS)
        assert found.state == state

    def test_it_is_half_open_when_its_time_is_up(self):
        found = an_open_one()
        assert standing(found, found.until_at - TICK) == "open"
        assert standing(found, found.until_at) == "half_open"
        assert standing(a_circuit(), AT) == "closed"

    def test_a_healthy_trial_closes_it_and_forgets(self):
        found = healthy(an_open_one(), AT + HOUR, trial=True)
        assert (found.state, found.failures, found.failed, found.opened, found.until_at) == ("closed", (), 0, 0, None)

    def test_only_a_trial_closes_it(self):
        found = an_open_one()
        assert healthy(found, AT + HOUR, trial=False) is found
        counted = failed(a_circuit(), a_failure(), SETTINGS)
        assert healthy(counted, AT, trial=True) is counted, "a closed one keeps its count"

    def test_each_trial_that_fails_doubles_its_time_up_to_the_bound(self):
        found = an_open_one()
        spans = []
        for _ in range(4):
            at = found.until_at
            found = failed(found, a_failure(at), SETTINGS, trial=True)
            spans.append((found.until_at - at) // MINUTE)
        assert spans == [20, 40, 60, 60]
        assert found.opened == 5

    def test_a_failure_that_was_no_trial_never_lets_it_be_tried_sooner(self):
        found = an_open_one()
        again = failed(found, a_failure(AT + MINUTE), SETTINGS)
        assert (again.until_at, again.opened, again.failed) == (found.until_at, 1, 4)
        late = failed(found, a_failure(found.until_at), SETTINGS)
        assert (late.state, late.opened, late.until_at) == ("open", 1, found.until_at + 10 * MINUTE)

    def test_by_hand(self):
        found = shut(an_open_one(), AT + MINUTE, "alice", "new disk")
        assert (found.state, found.closed_by, found.reason, found.failures) == ("closed", "alice", "new disk", ())

    def test_how_long(self):
        assert open_for_ms(0, SETTINGS) == open_for_ms(1, SETTINGS) == 600_000
        assert open_for_ms(1_000, SETTINGS) == 3_600_000

    def test_it_keeps_the_newest_failures_only(self):
        found = a_circuit()
        many = replace(SETTINGS, failures=64)
        for number in range(100):
            found = failed(found, a_failure(AT + number * TICK, run=f"run_{number}"), many)
        assert len(found.failures) == 64
        assert found.failures[-1].run == "run_99"

    def test_one_that_only_counted_long_ago_is_idle(self):
        found = failed(a_circuit(), a_failure(), SETTINGS)
        assert not idle(found, SETTINGS, AT + 30 * MINUTE - TICK)
        assert idle(found, SETTINGS, AT + 30 * MINUTE)
        assert not idle(an_open_one(), SETTINGS, AT + 10 * HOUR)
        assert within((a_failure(),), 1000, AT + SECOND) == ()


def failing(rule, *targets, region="eu", at=AT):
    return [
        failed(a_circuit(target, region=region), a_failure(at, rule=rule, target=target, region=region), SETTINGS)
        for target in targets
    ]


class TestBrake:
    def test_many_targets_under_one_rule_brake_that_rule(self):
        assert due(failing("shop/down", "a", "b"), BRAKE, AT, {}) == {}
        found = due(failing("shop/down", "a", "b", "c"), BRAKE, AT, {})
        assert list(found) == ["rule:shop/down"]
        assert found["rule:shop/down"].why == "rule shop/down failed on 3 targets in 30m"

    def test_one_target_that_fails_again_and_again_is_no_brake(self):
        circuit = a_circuit()
        for number in range(20):
            circuit = failed(circuit, a_failure(AT + number * SECOND, rule=f"shop/r{number}"), SETTINGS)
        assert due([circuit], BRAKE, AT + MINUTE, {}) == {}

    def test_many_rules_on_as_many_targets_of_a_region_brake_it(self):
        two = [*failing("shop/down", "a"), *failing("shop/slow", "b")]
        assert due(two, BRAKE, AT, {})["region:eu"].why == (
            "2 rules failed on 2 targets in eu in 30m (shop/down and shop/slow)"
        )
        apart = [*failing("shop/down", "a"), *failing("shop/slow", "b", region="us")]
        assert due(apart, BRAKE, AT, {}) == {}
        nowhere = [*failing("shop/down", "a", region=""), *failing("shop/slow", "b", region="")]
        assert due(nowhere, BRAKE, AT, {}) == {}

    def test_breakers_that_open_together_brake_everything(self):
        calm = replace(BRAKE, targets=99, rules=99)
        assert due([an_open_one()], calm, AT + MINUTE, {}) == {}
        found = due([an_open_one(), an_open_one(target="cart", region="us")], calm, AT + MINUTE, {})
        assert list(found) == ["global"]
        assert found["global"].why == "breakers of 2 targets opened in 30m (cart and web)"
        two_actions = [an_open_one(), an_open_one(action="http.request")]
        assert due(two_actions, calm, AT + MINUTE, {}) == {}, "one target is one thing"

    @pytest.mark.parametrize(("later", "on"), [(30 * MINUTE - TICK, True), (30 * MINUTE, False)])
    def test_it_ends_when_its_cause_lies_too_far_back(self, later, on):
        assert bool(due(failing("shop/down", "a", "b", "c"), BRAKE, AT + later, {})) is on

    def test_what_a_person_released_counts_from_then_on(self):
        old = failing("shop/down", "a", "b", "c")
        released = {"rule:shop/down": AT}
        assert due(old, BRAKE, AT + MINUTE, released) == {}
        new = failing("shop/down", "a", "b", "c", at=AT + TICK)
        assert list(due(new, BRAKE, AT + MINUTE, released)) == ["rule:shop/down"]

    def test_what_people_ran_themselves_is_no_rule(self):
        assert due(failing("person/shop/mend", "a", "b", "c"), BRAKE, AT, {}) == {}

    def test_which_one_a_proposal_hears_of(self):
        def brake(what, name):
            return Brake(id="b", key=key_of(what, name), what=what, name=name, why="w", since_at=AT)

        everything = brake(Brakes.GLOBAL, "")
        region = brake(Brakes.REGION, "eu-west")
        rule = brake(Brakes.RULE, "shop/down")
        targets = (a_target(),)
        assert binding([everything, region, rule], "shop/down", targets) is rule
        assert binding([everything, region], "shop/down", targets) is region
        assert binding([everything], "shop/down", targets) is everything
        assert binding([region], "shop/down", (a_target(region="us"),)) is None
        assert binding([rule], "shop/other", targets) is None
