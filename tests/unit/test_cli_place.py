"""Which home or node a command means, and what the flags that every verb takes leave behind."""

from pathlib import Path

import pytest

from watchkeeper.surface.cli.place import Ends, Exit, bootstrap_token, taken


def test_flags_for_every_verb_are_taken_wherever_they_stand(tmp_path: Path) -> None:
    place, rest = taken(["--home", str(tmp_path), "runs", "--utc", "show", "--no-color", "abc"], {})
    assert rest == ["runs", "show", "abc"]
    assert place.home_text == str(tmp_path)
    assert place.utc
    place, rest = taken([f"--home={tmp_path}", "status"], {})
    assert (place.home_text, rest) == (str(tmp_path), ["status"])


def test_what_follows_two_dashes_is_left_alone() -> None:
    _, rest = taken(["incidents", "comment", "x", "--", "--utc"], {})
    assert rest == ["incidents", "comment", "x", "--", "--utc"]


def test_a_flag_without_its_value_is_wrong_use() -> None:
    with pytest.raises(Ends, match="--home needs a value: write --home DIR") as ended:
        taken(["status", "--home"], {})
    assert ended.value.code is Exit.USAGE
    with pytest.raises(Ends, match="write it with its scheme"):
        taken(["--url", "127.0.0.1:8420", "status"], {})


def test_the_environment_names_a_home_and_the_line_wins(tmp_path: Path) -> None:
    place, _ = taken(["status"], {"WATCHKEEPER_HOME": "/from/environment"})
    assert place.home_text == "/from/environment"
    place, _ = taken(["status", "--home", str(tmp_path)], {"WATCHKEEPER_HOME": "/x", "WATCHKEEPER_URL": "http://far:1"})
    assert place.home_text == str(tmp_path)
    assert place.local, "a home on the line means this machine, whatever the environment says"


def test_no_home_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place, _ = taken(["status"], {})
    with pytest.raises(Ends, match=r"no home here: .* has no watchkeeper.yaml; run 'wk init'") as ended:
        place.home()
    assert ended.value.code is Exit.LATER
    (tmp_path / "watchkeeper.yaml").write_text("")
    assert place.home() == tmp_path
    place, _ = taken(["status", "--home", str(tmp_path / "gone")], {})
    with pytest.raises(Ends, match="there is no such folder; make one with 'wk init"):
        place.home()


def test_colour_and_width_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    place, _ = taken(["status"], {})
    assert (place.colour, place.width) == (False, 0)
    monkeypatch.setenv("COLUMNS", "72")
    place, _ = taken(["status"], {"COLUMNS": "72"})
    assert place.width == 72
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert taken(["status"], {})[0].colour
    assert not taken(["status"], {"NO_COLOR": "1"})[0].colour
    assert not taken(["status", "--no-color"], {})[0].colour
    assert not taken(["status"], {"TERM": "dumb"})[0].colour


def test_the_token_of_a_home_is_read_and_never_through_a_link(tmp_path: Path) -> None:
    assert bootstrap_token(tmp_path) == ""
    state = tmp_path / ".watchkeeper"
    state.mkdir()
    (state / "token").write_text("wk_abc_def\n")
    assert bootstrap_token(tmp_path) == "wk_abc_def"
    (state / "token").rename(state / "elsewhere")
    (state / "token").symlink_to(state / "elsewhere")
    assert bootstrap_token(tmp_path) == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:abc", "http://", "http://h:99999", "http://[::1"])
def test_what_is_no_address_is_wrong_use(url: str) -> None:
    with pytest.raises(Ends, match="no address; write for example") as end:
        taken(["--url", url, "status"], {})
    assert end.value.code == Exit.USAGE


@pytest.mark.parametrize("token", ["wk_a\r\nX-Other: y", "wk_ä", "wk_a\x1b[31m"])
def test_what_no_token_can_be_is_never_sent(token: str) -> None:
    with pytest.raises(Ends, match="WATCHKEEPER_TOKEN: holds characters that no token has") as end:
        taken(["status"], {"WATCHKEEPER_TOKEN": token})
    assert token not in end.value.sentence
    assert taken(["status"], {"WATCHKEEPER_TOKEN": "wk_a_b\n"})[0].inherited == "wk_a_b"
