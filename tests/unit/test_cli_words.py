"""What a terminal shows: nothing from outside moves the cursor, and a table fits."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.surface.cli import words
from watchkeeper.surface.cli.place import Place, go
from watchkeeper.surface.cli.words import Column


@pytest.fixture(autouse=True)
def place() -> Iterator[None]:
    go(Place(utc=True))
    yield
    go(Place())


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "␛[31mred"),
        ("a\nb\tc", "a b c"),
        ("left\u202eright", "left<U+202E>right"),
        ("zero\u200bwidth", "zero<U+200B>width"),
        ("\x7f", "<U+007F>"),
        ("Größe 大きい", "Größe 大きい"),
        (None, ""),
        (0, "0"),
    ],
)
def test_text_from_outside_is_drawn(given: object, shown: str) -> None:
    assert words.safe(given) == shown


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (3_599_999, "59 min"),
        (3_600_000, "1 h"),
        (10_320_000, "2 h 52 min"),
        (172_799_999, "47 h 59 min"),
        (172_800_000, "2 d"),
    ],
)
def test_a_span_is_said_in_the_unit_it_has(milliseconds: int, said: str) -> None:
    assert words.span(milliseconds) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (20 * 1024**3, "20.0 GiB"), (2**60, "1048576.0 TiB")],
)
def test_sizes(number: int, said: str) -> None:
    assert words.size(number) == said


def test_a_time_today_is_a_time_and_another_day_has_its_day() -> None:
    now = datetime.now(UTC).replace(hour=12, minute=30, second=5, microsecond=7)
    assert words.at(now.isoformat()) == "12:30:05Z"
    other = now - timedelta(days=400)
    assert words.at(other.isoformat()) == f"{other:%Y-%m-%d} 12:30Z"
    assert words.at("") == ""
    assert words.at("soon") == ""


def test_how_long_until() -> None:
    now = datetime.now(UTC)
    assert words.left((now + timedelta(minutes=5, seconds=30)).isoformat()) == "in 5 min"
    assert words.left((now - timedelta(seconds=1)).isoformat()) == "over"
    assert words.left(None) == ""


def test_a_verdict_is_shape_and_word_before_colour() -> None:
    assert words.coloured("refuse") == "■ refuse"
    go(Place(plain=True))
    assert words.coloured("refuse") == "# refuse"
    go(Place(colour=True))
    assert words.coloured("refuse") == "\x1b[7m■ refuse\x1b[0m"
    assert words.mark("in_doubt") == "◆ in doubt"
    assert words.mark("a word of others") == "a word of others"


def test_ids_in_a_sentence_are_shown_short_and_tokens_are_left_alone() -> None:
    whole = "frz_01a2094b-e8a4-7056-ae03-a96be6eaf973 closes this, not frz_01a2"
    assert words.brief(whole) == "frz_…eaf973 closes this, not frz_01a2"


def test_a_scope_reads_as_words_and_an_empty_one_is_everything() -> None:
    assert words.scope({}) == "everything"
    assert words.scope({"service": "component:default/web", "region": "eu", "tier": ""}) == "service web, region eu"


def test_a_table_leaves_out_what_is_empty_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    words.table((Column(name="a"), Column(name="b"), Column(name="n", right=True)), [("x", "", 1), ("yy", None, 20)])
    assert capsys.readouterr().out == "a    n\nx    1\nyy  20\n"


def test_a_narrow_table_drops_spare_columns_then_clips_flexible_ones(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column(name="id"), Column(name="what", flex=True), Column(name="by", spare=True))
    rows = [("dec_…123456", "a sentence that is much longer than the room there is", "somebody with a name")]
    go(Place(width=60))
    words.table(columns, rows)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["id", "what", "by"]
    go(Place(width=40))
    words.table(columns, rows)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["id", "what"]
    assert shown[1] == "dec_…123456  a sentence that is much lo…"
    assert len(shown[1]) == 40
    go(Place(width=0))
    words.table(columns, rows)
    assert "than the room there is" in capsys.readouterr().out, "what is piped is never cut"


def test_wide_characters_take_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    words.table((Column(name="a"), Column(name="b")), [("大き", "x"), ("ab", "y")])
    assert capsys.readouterr().out == "a     b\n大き  x\nab    y\n"
    assert words.clipped("大きい大きい", 5) == "大き…"


def test_a_command_stays_on_one_line_when_its_sentence_is_folded(capsys: pytest.CaptureFixture[str]) -> None:
    go(Place(width=40))
    words.wrapped("It stopped everything; end it with 'wk resume stp_…123456'.")
    shown = capsys.readouterr().out.splitlines()
    assert any("'wk resume stp_…123456'" in line for line in shown), shown
    assert all(len(line) <= 40 for line in shown)


def test_a_terminal_without_utf8_is_given_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    go(Place(plain=True))
    words.say("dec_…123456 ✓ 4 − 2")
    assert capsys.readouterr().out == "dec_~123456 + 4 - 2\n"


HOSTILE = "\x1b[2J\x9b31m\x7f\u202etxt\u2028\u200b\ufeff Größe 大 🙂"


@pytest.mark.parametrize(
    ("plain", "shown"),
    [
        (False, r'"\u001b[2J\u009b31m\u007f\u202etxt\u2028\u200b\ufeff Größe 大 🙂"'),
        (True, r'"\u001b[2J\u009b31m\u007f\u202etxt\u2028\u200b\ufeff Gr\u00f6\u00dfe \u5927 \ud83d\ude42"'),
    ],
)
def test_json_moves_no_cursor_and_says_the_same(plain: bool, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    go(Place(plain=plain))
    words.as_json(HOSTILE)
    written = capsys.readouterr().out
    assert written.strip() == shown
    assert json.loads(written) == HOSTILE


def test_what_was_not_made_safe_moves_no_cursor_either(capsys: pytest.CaptureFixture[str]) -> None:
    words.say("a\x1b[2Jb \x1b]8;;http://x\x07c\x9b1m \u202ed \x1b[31mred\x1b[0m\tend")
    words.tell("\x1b[H")
    shown = capsys.readouterr()
    assert shown.out == "a␛[2Jb ␛]8;;http://x␇c<U+009B>1m <U+202E>d \x1b[31mred\x1b[0m\tend\n"
    assert shown.err == "␛[H\n"
