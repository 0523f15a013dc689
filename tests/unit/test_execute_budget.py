"""Retry budgets and pauses."""

from datetime import timedelta

from execute_material import T0, at

from watchkeeper.execute.backoff import backoff_ms, dice_ppm, step_key
from watchkeeper.execute.budget import full, take
from watchkeeper.packs.runbook import Retry


def test_a_storm_of_retries_is_capped_by_the_budget():
    budget, granted = full(T0, most=5, refill=10, each_ms=60_000), 0
    for _ in range(1_000):
        budget, yes = take(budget, T0)
        granted += yes
    assert granted == 5


def test_the_budget_refills_with_time_and_never_beyond_its_most():
    budget = full(T0, most=2, refill=10, each_ms=60_000)
    for _ in range(2):
        budget, yes = take(budget, T0)
        assert yes
    assert not take(budget, at(5_999))[1]
    assert take(budget, at(6_000))[1]
    late = T0 + timedelta(days=1)
    budget, _ = take(budget, late)
    budget, _ = take(budget, late)
    assert not take(budget, late)[1]


def test_looking_often_does_not_starve_the_refill():
    budget = full(T0, most=1, refill=1, each_ms=60_000)
    budget, _ = take(budget, T0)
    yes = False
    for ms in range(1, 60_062):
        budget, yes = take(budget, at(ms))
        if yes:
            break
    assert yes
    assert ms <= 60_061


def test_time_that_runs_backwards_refills_nothing():
    budget = full(at(60_000), most=1)
    budget, _ = take(budget, at(60_000))
    budget, yes = take(budget, at(0))
    assert not yes
    assert budget.at == at(60_000)
    assert not take(budget, at(60_001))[1]


def test_pauses_double_up_to_their_most():
    retry = Retry(first_ms=500, most_ms=3_000)
    bounds = [backoff_ms(retry, attempt, 999_999) for attempt in range(1, 6)]
    assert bounds == [500, 1_000, 2_000, 3_000, 3_000]
    assert backoff_ms(retry, 1, 0) == 0
    assert backoff_ms(retry, 10_000, 999_999) == 3_000
    assert backoff_ms(retry, 0, 999_999) == 500


def test_dice_and_keys_are_functions_of_the_run_and_the_step():
    key = step_key("root", "drain", undo=False)
    assert key == step_key("root", "drain", undo=False)
    assert len({key, step_key("root", "drain", undo=True), step_key("root", "drai", undo=False)}) == 3
    assert len(key) == 32
    assert 0 <= dice_ppm(key, 1) < 1_000_000
    assert dice_ppm(key, 1) != dice_ppm(key, 2)
