"""The table of verbs: each leads to a function, a mistyped one to the nearest, and the line to what it said."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from watchkeeper.bootstrap import init
from watchkeeper.correlate.alert import AlertState
from watchkeeper.decide.decision import Verdict
from watchkeeper.engine.answer import missing
from watchkeeper.execute.run import Status
from watchkeeper.surface.cli import look, main
from watchkeeper.surface.cli.limits import scope_of
from watchkeeper.surface.cli.place import Ends, Exit
from watchkeeper.surface.cli.runs import STATUSES, arguments
from watchkeeper.surface.cli.verbs import GROUPS, VERBS, elsewhere, nearest, subs, tops
from watchkeeper.values import Severity


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb.words))
def test_every_verb_leads_to_a_function_with_help(verb) -> None:
    module, _, name = verb.function.partition(":")
    found = getattr(importlib.import_module(module), name)
    assert inspect.getdoc(found)
    assert verb.help.endswith((".", "?"))
    assert verb.group in GROUPS
    if verb.bare:
        needed = [
            each for each in inspect.signature(found).parameters.values() if each.default is inspect.Parameter.empty
        ]
        assert not needed, "a bare verb works without arguments"
        assert "json" in inspect.signature(found).parameters


def test_no_two_verbs_have_the_same_words() -> None:
    words = [verb.words for verb in VERBS]
    assert len(words) == len(set(words))


def test_later_verbs_are_absent() -> None:
    known = {verb.words[0] for verb in tops()}
    assert not known & {"drill", "pack", "agent"}


@pytest.mark.parametrize(
    ("typed", "meant"), [("aprove", "approve"), ("stauts", "status"), ("incident", "incidents"), ("zzz", ""), ("x", "")]
)
def test_the_nearest_verb(typed: str, meant: str) -> None:
    assert nearest(typed, tuple(verb.words[0] for verb in tops())) == meant


def test_an_unknown_verb_is_wrong_use_and_suggests_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aprove", "x"]) == Exit.USAGE
    assert capsys.readouterr().err == "wk: unknown verb 'aprove': did you mean 'wk approve'?\n"
    assert main(["zzz"]) == Exit.USAGE
    assert capsys.readouterr().err == "wk: unknown verb 'zzz': wk --help lists them\n"
    assert main(["demotions"]) == Exit.USAGE
    assert capsys.readouterr().err == "wk: unknown verb 'demotions': did you mean 'wk autonomy demotions'?\n"
    assert main(["runs", "shwo", "x"]) == Exit.USAGE
    assert "did you mean 'wk runs show'?" in capsys.readouterr().err


def test_one_word_that_stands_below_several_verbs_is_none_of_them() -> None:
    assert elsewhere("demotions") == "autonomy demotions"
    assert elsewhere("show") == elsewhere("nothing") == ""


@pytest.mark.parametrize("days", [0, -1, 401])
@pytest.mark.parametrize("line", [["rules", "suggest"], ["replay", "--with", "."], ["plan", "--impact"]])
def test_history_goes_back_a_day_at_least(line: list[str], days: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*line, "--days", str(days)]) == Exit.USAGE
    assert capsys.readouterr().err == f"wk: --days {days}: give 1 to 400\n"


def test_what_holds_nothing_to_draft_from_is_a_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words.yml").write_text("just: words")
    assert main(["import", str(tmp_path / "words.yml"), "--into", str(tmp_path / "home")]) == Exit.NO
    error = " ".join(capsys.readouterr().err.split())
    assert "can be drafted from; the first:" in error
    assert "neither a Prometheus rule file (groups:) nor an Alertmanager configuration" in error
    assert not (tmp_path / "home").exists()


def test_a_log_in_which_nothing_can_be_read_is_a_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(tmp_path / "home")
    log = tmp_path / "words.log"
    log.write_text("just words\n")
    assert main(["--home", str(tmp_path / "home"), "backtest", "--alertmanager-log", str(log)]) == Exit.NO
    shown = capsys.readouterr().out
    assert "words.log:1: is neither a webhook body" in shown
    assert "Nothing in it could be played" in shown


@pytest.mark.parametrize(
    "line", [["runs", "--colour", "red"], ["alerts", "--limit", "many"], ["approve"], ["explain"], ["token", "revoke"]]
)
def test_what_the_parser_refuses_is_one_sentence_and_2(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == Exit.USAGE
    error = capsys.readouterr().err
    assert error.startswith("wk: ")
    assert error.count("\n") == 1
    assert f"see 'wk {line[0]}" in error


def test_help_lists_every_verb_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == Exit.DONE
    shown = capsys.readouterr().out
    assert all(verb.words[0] in shown for verb in tops())
    assert "3 cannot now" in shown
    assert main([]) == Exit.DONE
    assert main(["help", "approve"]) == Exit.DONE
    assert "--emergency" in capsys.readouterr().out
    for verb in ("runs", "hold", "ledger"):
        assert main([verb, "--help"]) == Exit.DONE
        shown = capsys.readouterr().out
        assert all(sub.words[1] in shown for sub in subs(verb))


def test_a_bug_is_one_sentence_a_file_and_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "watchkeeper.yaml").write_text("")
    (tmp_path / ".watchkeeper").mkdir(mode=0o700)

    def broken(**_: object) -> int:
        raise ZeroDivisionError("nothing by nothing")

    monkeypatch.setattr("watchkeeper.surface.cli.look.status", broken)
    assert main(["--home", str(tmp_path), "status"]) == Exit.BUG
    error = capsys.readouterr().err
    log = tmp_path / ".watchkeeper" / "cli.log"
    assert error == f"wk: internal error, ZeroDivisionError: nothing by nothing; what happened stands in {log}\n"
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_interrupted_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("watchkeeper.surface.cli.look.status", interrupted)
    assert main(["status"]) == Exit.INTERRUPTED


def test_parameters_of_a_run() -> None:
    assert arguments(("a=1", "b=-2", "c=true", "d=10s", 'e="5"', "f=x=y", "g=")) == {
        "a": 1,
        "b": -2,
        "c": True,
        "d": "10s",
        "e": "5",
        "f": "x=y",
        "g": "",
    }
    with pytest.raises(Ends, match="write name=value"):
        arguments(("a",))
    with pytest.raises(Ends, match="given twice"):
        arguments(("a=1", "a=2"))


def test_a_scope_on_the_line() -> None:
    assert scope_of(()) == {}
    assert scope_of(("service=web", "region=eu")) == {"service": "web", "region": "eu"}
    assert scope_of(("component:web",)) == {"entity": "component:web"}
    for wrong in ("colour=red", "service="):
        with pytest.raises(Ends, match="name one of environment, system"):
            scope_of((wrong,))
    with pytest.raises(Ends, match="given twice"):
        scope_of(("service=a", "service=b"))


def test_check_context_names_what_an_expression_sees(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--context"]) == Exit.DONE
    shown = capsys.readouterr().out
    assert "alert.labels" in shown
    assert "an absent label is" in shown
    assert "runbook: when, with ${ }, show" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_verb(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == Exit.DONE
    script = capsys.readouterr().out
    assert all(verb.words[0] in script for verb in tops())
    assert "extend" in script


def test_the_bash_completion_is_a_script_that_bash_reads(capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out + '\nCOMP_WORDS=(wk runs se) COMP_CWORD=2; _wk; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "settle\n"
    assert main(["completion", "tcsh"]) == Exit.USAGE


def test_looking_needs_no_parser_and_no_colours_library() -> None:
    """What is typed most starts in half the time without them."""
    program = (
        "import sys; from watchkeeper.surface.cli import main; main(['status']); "
        "print([name for name in ('cyclopts', 'rich', 'asyncio', 'ruamel', 'fastapi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd="/", check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "line",
    [
        ["runs", "--status", "in-doubt"],
        ["runs", "--state", "running"],
        ["decisions", "--verdict", "held"],
        ["alerts", "--state", "open"],
        ["alerts", "--severity", "page"],
        ["incidents", "--state", "firing"],
        ["incidents", "--severity", "page"],
        ["approvals", "--state", "open"],
        ["dead-letters", "--state", "closed"],
        ["notify", "--state", "failed"],
        ["notify", "--channel", "pager"],
    ],
    ids=" ".join,
)
def test_a_misspelt_filter_is_wrong_use_and_never_an_empty_list(line: list[str], capsys) -> None:
    assert main(line) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert f"wk: {line[1]} {line[2]}: is none of " in said.err


@pytest.mark.parametrize("number", ["0", "-1"])
def test_a_list_of_none_is_wrong_use(number: str, capsys) -> None:
    assert main(["alerts", "--limit", number]) == Exit.USAGE
    assert "give a number of at least 1" in capsys.readouterr().err
    assert main(["alerts", f"--limit={number}"]) == Exit.USAGE


def test_other_numbers_may_be_none(tmp_path: Path, capsys) -> None:
    assert main(["--home", str(tmp_path / "none"), "up", "--port", "0"]) == Exit.LATER
    assert "there is no such folder" in capsys.readouterr().err


def test_filters_know_the_words_of_the_record() -> None:
    assert set(look.VERDICTS) == {each.value for each in Verdict}
    assert set(look.SEVERITIES) == {each.value for each in Severity}
    assert set(look.STATES) == {each.value for each in AlertState}
    assert set(STATUSES) == {each.value for each in Status}


@pytest.mark.parametrize(
    "what",
    [
        *("alert", "approval", "dead-letter", "decision", "freeze", "grant", "hold", "identity", "incident"),
        *("rule", "run", "runbook", "service", "situation", "stop", "suggestion", "token", "demotion"),
    ],
)
def test_what_is_not_there_is_answered_with_a_verb_that_exists(what: str) -> None:
    words = tuple(missing(what, "x").detail.partition("run 'wk ")[2].partition("'")[0].split())
    assert words in {each.words for each in VERBS}
