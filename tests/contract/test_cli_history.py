"""What an operator types and reads of history: a change tried, its impact, rules that are missing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_api_schema import Behind

from served import HOME, SETTINGS
from watchkeeper.surface.cli import main
from watchkeeper.surface.cli.impact import in_short
from watchkeeper.surface.cli.place import Exit
from watchkeeper.surface.client import Client, Where

FILES = HOME | {"watchkeeper.yaml": SETTINGS.replace("api_requests_per_s: 1000", "api_requests_per_s: 10000").encode()}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    home = tmp_path_factory.mktemp("node")
    (home / ".watchkeeper").mkdir(mode=0o700)
    with Behind(home) as found:
        yield found


@pytest.fixture
def wk(node: Behind, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("WATCHKEEPER_TOKEN", node.token)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["--url", node.url, "--utc", *words])
        said = capsys.readouterr()
        return code, said.out, " ".join(said.err.split())

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, body in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(body)
    return tmp_path


def test_the_same_folder_says_that_nothing_differs(wk, folder: Path) -> None:
    code, said, _ = wk("replay", "--with", str(folder))
    assert code == Exit.DONE
    assert "2 the same, 0 otherwise, 0 not made; 0 new. Cannot judge: 0 of 2." in " ".join(said.split())


def test_what_would_be_otherwise_is_listed_with_its_reason(wk, folder: Path) -> None:
    (folder / "packs/shop/rules/seen.yaml").unlink()
    code, said, _ = wk("replay", "--with", str(folder), "--days", "1")
    assert code == Exit.NO
    assert "Would not have been decided" in said
    assert "shop/seen on web: ○ observe -> none" in " ".join(said.split())
    assert "shop/seen is not there any more." in " ".join(said.split())
    code, said, _ = wk("replay", "--with", str(folder), "--json", "--rule", "shop/down")
    assert code == Exit.DONE
    found = json.loads(said)
    assert (found["looked_at"], found["same"], found["items"], found["cannot_judge"]) == (1, 1, [], 0)


def test_wrong_use_of_with(wk, folder: Path) -> None:
    assert wk("replay", "dec_1", "--with", str(folder))[0] == Exit.USAGE
    code, _, error = wk("replay", "--with", str(folder / "nowhere"))
    assert code == Exit.NO
    assert "there is no such folder" in error
    (folder / "packs/shop/rules/seen.yaml").write_text("kind: Odd\n")
    code, _, error = wk("replay", "--with", str(folder))
    assert code == Exit.USAGE
    assert "packs/shop/rules/seen.yaml" in error


def test_the_impact_report_in_each_form(wk, tmp_path: Path) -> None:
    code, said, _ = wk("plan", "--impact")
    assert code == Exit.DONE
    assert said.startswith("# Impact of ")
    assert "Of 2 decisions of the last 30 days 2 would be the same" in said
    code, said, _ = wk("plan", "--impact", "--json", "--limit", "1")
    assert code == Exit.DONE
    assert json.loads(said)["history"]["looked_at"] == 1
    out = tmp_path / "impact.html"
    code, said, error = wk("plan", "--impact", "--format", "html", "--out", str(out), "--days", "7")
    assert (code, said) == (Exit.DONE, "")
    assert "2 decisions looked at, 0 would have been otherwise, 0 cannot be judged." in error
    assert out.read_text().startswith("<!doctype html>")
    assert wk("plan", "--impact", "--format", "pdf")[0] == Exit.USAGE
    assert wk("plan", "--out", str(out))[0] == Exit.USAGE
    code, _, error = wk("plan", "--impact", "--out", str(tmp_path / "no" / "where.md"))
    assert code == Exit.NO
    assert "cannot be written" in error


def test_rules_that_are_missing(wk) -> None:
    code, said, _ = wk("rules", "suggest")
    assert code == Exit.DONE
    assert "Nothing is missing" in said
    code, said, _ = wk("rules", "suggest", "--json", "--least", "1")
    assert json.loads(said)["looked_at"] == 2
    assert wk("rules")[0] == Exit.DONE


def test_before_a_person_says_yes_history_is_one_sentence(node: Behind, wk, capsys: pytest.CaptureFixture[str]) -> None:
    in_short(Client(Where(url=node.url, token=node.token, name="node")))
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(
        "Of the newest 2 decisions 2 would be the same, 0 otherwise, 0 not made, 0 new; 0 cannot be judged."
    )
    in_short(Client(Where(url="http://127.0.0.1:1", name="far")))
    assert "could not be worked out: no node listens at far" in " ".join(capsys.readouterr().out.split())


def test_a_decision_called_harmful_becomes_a_file_that_the_rules_must_pass(
    wk, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, said, _ = wk("decisions", "--json")
    decision = next(each for each in json.loads(said) if each["rule"] == "shop/seen")
    code, _, error = wk("decisions", "test", decision["id"])
    assert code == Exit.NO
    assert "nobody called" in error
    code, said, _ = wk("feedback", decision["id"], "false", "--text", "it was a deploy")
    assert code == Exit.DONE
    assert "wk decisions test" in said
    own = wk("run", "shop/mend", "--target", "web", "--reason", "by hand", "--json")[1]
    code, said, _ = wk("feedback", json.loads(own)["decision"]["id"], "harmful")
    assert (code, "wk decisions test" in said) == (Exit.DONE, False), "a person's own act makes no test"
    code, said, _ = wk("decisions", "test", decision["id"], "--out", str(folder))
    assert code == Exit.DONE, said
    (path,) = (folder / "packs/shop/replays").iterdir()
    assert "it fails while the rules would" in " ".join(said.split())
    assert "kind: ReplayTest" in path.read_text()
    code, _, error = wk("decisions", "test", decision["id"], "--out", str(folder))
    assert code == Exit.NO
    assert "is there already" in error
    assert wk("decisions", "test", decision["id"])[1] == path.read_text()

    def tested() -> tuple[int, str]:
        code = main(["--home", str(folder), "test", f"shop/{path.stem}"])
        return code, " ".join(capsys.readouterr().out.split())

    code, said = tested()
    assert code == Exit.NO
    assert "shop/seen would act again" in said
    assert "0 scenarios and 1 replay test: 0 passed, 1 failed." in said
    (folder / "packs/shop/rules/seen.yaml").unlink()
    code, said = tested()
    assert code == Exit.DONE
    assert "1 passed, 0 failed." in said


def test_a_query_of_an_erasure_is_a_label_and_its_value(wk) -> None:
    code, _, error = wk("erase", "--query", "customer")
    assert code == Exit.USAGE
    assert "expected a label as NAME=VALUE" in error
    code, said, _ = wk("erase", "--query", "service=nowhere", "--query", "customer=4711")
    assert (code, said.strip()) == (Exit.NO, "Nothing to erase.")
