"""Wrong use of the command line: what is wrong and what to write instead; and streams that are closed, full or cut off."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from watchkeeper.bootstrap import init
from watchkeeper.surface.cli import main
from watchkeeper.surface.cli.find import known, whole
from watchkeeper.surface.cli.place import Ends, Exit, known_user, user
from watchkeeper.surface.client import Client, NoNode, Where


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["explain"], "wk: WHAT is missing: see 'wk explain --help'\n"),
        (["hold", "set", "--reason", "x"], "wk: --scope is missing: see 'wk hold set --help'\n"),
        (
            ["hold", "set", "--scope", "service=web", "--for", "-1h", "--reason", "x"],
            (
                "wk: --for needs a value, and '-1h' begins like an option (write --for=-1h if it is the value): "
                "see 'wk hold set --help'\n"
            ),
        ),
        (
            ["hold", "set", "--scope", "service=web", "--reason", "x", "--for"],
            "wk: --for needs a value: see 'wk hold set --help'\n",
        ),
        (["plan", "extra"], "wk: nothing more is expected here, and there is 'extra': see 'wk plan --help'\n"),
        (
            ["reject", "apr_x", "--reason", "x"],
            "wk: unknown option --reason (did you mean --comment?): see 'wk reject --help'\n",
        ),
        (
            ["alerts", "--status", "firing"],
            "wk: unknown option --status (did you mean --state?): see 'wk alerts --help'\n",
        ),
        (["metrics", "--days", "3"], "wk: unknown option --days: see 'wk metrics --help'\n"),
        (["runs", "--staus", "failed"], "wk: unknown option --staus (did you mean --status?): see 'wk runs --help'\n"),
        (["alerts", "--limit", "abc"], "wk: --limit abc: give a whole number: see 'wk alerts --help'\n"),
    ],
)
def test_wrong_use_says_what_to_write(line: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == Exit.USAGE
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("text", ["dec_…826812", "dec_01a218d9-8584-7293-8841-b82d307c536c"])
def test_an_id_of_another_kind_is_said_to_be_one_without_a_look(text: str) -> None:
    nobody = Client(Where(socket=Path("/nowhere"), name="nobody"))
    with pytest.raises(Ends) as end:
        whole(nobody, "/runs", text, "run")
    assert end.value.sentence == f"{text!r} is the id of a decision, not of a run: wk runs lists what there is"
    assert end.value.code == Exit.USAGE


def test_a_short_id_is_looked_for_only_where_it_says_its_kind() -> None:
    nobody = Client(Where(socket=Path("/nowhere"), name="nobody"))
    for text in ("1042", "sig_…826812", "dec_01a218d9-8584-7293-8841-b82d307c536c", "c3f8e1"):
        assert known(nobody, text) == text
    with pytest.raises(NoNode):
        known(nobody, "dec_…826812")


def test_the_users_of_this_machine_are_known() -> None:
    assert known_user(user())
    assert not known_user("nobody-of-that-name")


def wk(line: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell, in which `wk` is this program."""
    program = f"{sys.executable} -m watchkeeper"
    return subprocess.run(
        f'wk() {{ {program} "$@"; }}; {line}',
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_a_closed_stream_is_nowhere_and_no_bug(tmp_path: Path) -> None:
    init(tmp_path / "home")
    check = f"wk --home {tmp_path / 'home'} check"
    for line in (f"{check} >&-", f"{check} <&-", f"{check} 2>&-", f"{check} <&- >&- 2>&-"):
        found = wk(line)
        assert (found.returncode, found.stderr) == (Exit.DONE, ""), line
    wrong = wk("wk nonsuch 2>&-")
    assert (wrong.returncode, wrong.stdout) == (Exit.USAGE, "")


def test_who_reads_the_first_line_alone_is_no_failure() -> None:
    found = wk("wk --help | head -1; exit ${PIPESTATUS[0]}")
    assert (found.returncode, found.stderr) == (Exit.DONE, "")
    assert found.stdout == "Usage: wk COMMAND\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")  # noqa: PTH110
def test_an_answer_that_finds_no_room_is_said_to_be_cut_short(tmp_path: Path) -> None:
    init(tmp_path / "home")
    for line in (f"wk --home {tmp_path / 'home'} check > /dev/full", "wk --help > /dev/full"):
        found = wk(line)
        assert found.returncode == Exit.LATER
        assert found.stderr == (
            "wk: the answer could not be written: No space left on device: make room, then ask again\n"
        )


def test_a_name_that_the_terminal_cannot_spell_is_no_bug(tmp_path: Path) -> None:
    init(tmp_path / "大")
    for encoding in ("ascii", "latin-1"):
        found = wk(f"PYTHONIOENCODING={encoding} wk --home {tmp_path / '大'} check")
        assert (found.returncode, found.stderr) == (Exit.DONE, "")
        assert r"/\u5927 is" in found.stdout
