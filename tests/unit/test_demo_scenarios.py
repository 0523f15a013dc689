"""The example's scenarios are documentation that is played: each says what one guard does, and each can fail."""

import pytest
from msgspec.structs import replace

from watchkeeper import bootstrap
from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.decide.decision import Verdict
from watchkeeper.demo.home import home_files
from watchkeeper.home.configuration import compile_home

COMPILED = compile_home(home_files(), CelCompiler())
assert COMPILED.configuration is not None, [str(problem) for problem in COMPILED.errors]
SCENARIOS = {each.name: each for each in COMPILED.configuration.scenarios}


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_scenario_is_what_happens(name):
    found = bootstrap.play(COMPILED.configuration, SCENARIOS[name])
    assert found.failures == (), (found.verdict, found.reason)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_another_verdict_would_have_been_seen(name):
    scenario = SCENARIOS[name]
    happened = bootstrap.play(COMPILED.configuration, scenario).verdict
    other = next(verdict for verdict in Verdict if verdict.value != happened)
    wrong = replace(scenario, expected=replace(scenario.expected, verdict=other.value))
    assert bootstrap.play(COMPILED.configuration, wrong).failures


def test_each_verdict_has_a_scenario():
    assert {bootstrap.play(COMPILED.configuration, each).verdict for each in SCENARIOS.values()} == set(Verdict)
