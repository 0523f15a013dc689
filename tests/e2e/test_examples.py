"""The examples as a newcomer meets them: written by `wk init`, clean for `wk check`, played by `wk test`; and a scenario that
is made wrong fails there, with the words and the place.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from watchkeeper.adapters.topics import TOPICS, topic_files
from watchkeeper.bootstrap import init

WK = str(Path(sys.executable).with_name("wk"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER_")}
WITHIN_S = 100


def wk(at: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [WK, *words], cwd=at, env=ENVIRONMENT, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )


def topic_paths(home: Path) -> list[Path]:
    return [file.relative_to(home) for file in home.rglob("*") if file.is_file()]


@pytest.mark.parametrize("topic", TOPICS)
def test_the_scenarios_of_an_example_hold(topic: str, tmp_path: Path) -> None:
    home = tmp_path / topic
    init(home, topic_files(topic))
    played = wk(home, "test", "--json")
    results = json.loads(played.stdout)
    assert played.returncode == 0, [each for each in results if each["failures"]]
    assert {each["scenario"].partition("/")[0] for each in results} == {topic}
    assert all(not each["failures"] for each in results)


def test_a_scenario_that_is_made_wrong_fails_and_says_where(tmp_path: Path) -> None:
    written = wk(tmp_path, "init", "--example", "exclusions", "home")
    assert written.returncode == 0, written.stderr
    assert f"cd {tmp_path}/home && wk test" in written.stdout
    assert {file.as_posix() for file in topic_paths(tmp_path / "home")} == set(topic_files("exclusions"))
    at = tmp_path / "home" / "packs" / "exclusions" / "scenarios" / "register.yaml"
    text = at.read_text()
    wrong = "{verdict: act, findings: {exclusion: pass}, reason: X-1, effects: [{step: recycle}]}"
    right = "{verdict: refuse, findings: {exclusion: refuse}, reason: X-1, effects: []}"
    assert right in text
    at.write_text(text.replace(right, wrong, 1))
    played = wk(tmp_path / "home", "test")
    assert played.returncode == 1
    assert "failed  exclusions/nothing-touches-what-is-excluded" in played.stdout
    flat = " ".join(played.stdout.split())
    assert "verdict: expected act, it was refuse" in flat
    assert "findings.exclusion: expected pass, it was refuse" in flat
    assert "effects: expected 1, sent were 0: nothing" in flat
    assert "packs/exclusions/scenarios/register.yaml:" in flat
    assert "4 scenarios: 3 passed, 1 failed." in flat


def test_what_does_not_exist_is_refused_with_its_place(tmp_path: Path) -> None:
    init(tmp_path / "home", topic_files("metrics"))
    at = tmp_path / "home" / "packs" / "metrics" / "scenarios" / "numbers.yaml"
    at.write_text(
        at.read_text().replace("slo: {checkout-answers: {budget_left: 5%", "slo: {checkout-anwers: {budget_left: 5%")
    )
    checked = wk(tmp_path / "home", "check")
    assert checked.returncode == 1
    said = " ".join((checked.stdout + checked.stderr).split())
    assert "packs/metrics/scenarios/numbers.yaml:" in said
    assert "there is no SLO 'checkout-anwers' here: did you mean 'checkout-answers'?" in said


def test_an_example_that_does_not_exist_or_has_no_room(tmp_path: Path) -> None:
    found = wk(tmp_path, "init", "--example", "autonmy", "home")
    assert (found.returncode, "no example 'autonmy': did you mean 'autonomy'?" in found.stderr) == (2, True)
    assert not (tmp_path / "home").exists()
    init(tmp_path / "home")
    again = wk(tmp_path, "init", "--example", "waves", "home")
    assert (again.returncode, "is a home already: name an empty folder" in again.stderr) == (2, True)
