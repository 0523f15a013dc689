"""The words of the console's pages: short names, spans, hidden characters, and where an address may lead."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.engine.handling import Stage
from watchkeeper.surface.console import render, words
from watchkeeper.surface.console.pages.incidents import folded
from watchkeeper.surface.console.pages.now import answer
from watchkeeper.surface.console.pages.now import folded as feed
from watchkeeper.surface.console.visit import own

NOW = "2026-03-29T02:30:00Z"


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0:00"),
        (999, "0:00"),
        (1_000, "0:01"),
        (59_999, "0:59"),
        (3_599_999, "59:59"),
        (3_600_000, "1 h 0 min"),
        (172_799_999, "47 h 59 min"),
        (172_800_000, "2 d 0 h"),
        (-5, "0:00"),
    ],
)
def test_a_span_on_both_sides_of_each_change_of_form(ms, said):
    assert words.span(ms) == said


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("component:default/mailer", "mailer"),
        ("mailer", "mailer"),
        ("https://x/y", "https://x/y"),
        ("a:b", "b"),
        ("", ""),
    ],
)
def test_a_reference_is_said_by_its_name(ref, name):
    if ref == "https://x/y":
        assert words.tidy(f"see {ref}") == f"see {ref}"
    else:
        assert words.short_ref(ref) == name


def test_a_sentence_names_things_as_people_do_and_leaves_the_rest():
    said = words.tidy("group:default/web owns Component:default/mail-1, see http://a:80/b and time 10:30.")
    assert said == "web owns mail-1, see http://a:80/b and time 10:30."


@pytest.mark.parametrize(
    ("identity", "short"),
    [("dec_01a21781-7d54-7b7b-a130-64bf989fc07f", "dec_…9fc07f"), ("abc", "abc"), ("0" * 24, "…000000")],
)
def test_an_id_is_its_prefix_and_its_last_six(identity, short):
    assert words.short_id(identity) == short


def test_a_time_is_the_viewers_and_has_its_date_when_it_is_another_day():
    berlin = ZoneInfo("Europe/Berlin")
    assert words.clock("2026-03-29T01:30:00Z", NOW, berlin) == "03:30:00"  # the hour after the clocks went forward
    assert words.clock("2026-03-28T23:30:00Z", NOW, berlin) == "00:30:00"
    assert words.clock("2026-03-28T22:30:00Z", NOW, berlin) == "28 Mar 23:30"
    assert words.clock("2025-03-28T22:30:00Z", NOW, berlin) == "28 Mar 2025"


@settings(deadline=None)
@given(st.text(max_size=300))
def test_no_hidden_character_and_no_markup_of_theirs_is_left(text):
    shown = str(render.said(text))
    inner = shown.removeprefix("<bdi>").removesuffix("</bdi>")
    for char in inner:
        assert char in "\n\t" or words.unicodedata.category(char) not in words.HIDDEN
    assert "<" not in inner.replace('<span class="mark">', "").replace("</span>", "")


@pytest.mark.parametrize(("length", "more"), [(400, ""), (401, "… 1 more characters")])
def test_a_long_text_is_clipped_at_its_bound_and_says_so(length, more):
    shown = "".join(piece for _, piece in words.pieces("x" * length))
    assert shown == "x" * 400 + more


@pytest.mark.parametrize(
    "where", ["https://e.example", "//e.example", "/\\e.example", "", "e", "/a\nb", "javascript:1"]
)
def test_an_address_elsewhere_is_never_followed(where):
    assert own(where) == "/"


def incident(name, *transactions):
    touched = [{"name": each, "priority": 1} for each in transactions]
    return {"entity": f"component:default/{name}", "place": "", "title": name, "handling": {"transactions": touched}}


@pytest.mark.parametrize(
    ("names", "approvals", "said"),
    [
        ([], 0, "Nothing is broken. Nothing waits for you."),
        (["a"], 0, "a is in trouble. Nothing waits for you."),
        (["a", "b", "c"], 1, "a, b and c are in trouble. One approval waits for a person."),
        (["a", "b", "c", "d"], 2, "a, b and 2 more are in trouble. 2 approvals wait for a person."),
        (["a", "a"], 0, "a is in trouble. Nothing waits for you."),
    ],
)
def test_the_first_sentence_of_now(names, approvals, said):
    assert answer([incident(name) for name in names], approvals) == said


@pytest.mark.parametrize(
    ("incidents", "said"),
    [
        ([incident("a", "card-payment")], "Card payment is degraded."),
        ([incident("a", "card-payment"), incident("b", "card-payment")], "Card payment is degraded."),
        ([incident("a", "card-payment", "refund")], "Card payment and refund are degraded."),
        ([incident("a", "card-payment"), incident("b")], "Card payment is degraded and b is in trouble."),
        ([incident("a", "p", "q", "r", "s")], "P, q and 2 more are degraded."),
        ([incident("a", "p", "q", "r")], "P, q and r are degraded."),
        ([incident("a", "x\u202ey")], "XU+202Ey is degraded."),
    ],
)
def test_the_first_sentence_names_the_transaction_that_customers_miss(incidents, said):
    assert answer(incidents, 0) == f"{said} Nothing waits for you."


def test_an_id_inside_a_sentence_is_short_too():
    said = words.tidy("sale (frz_01a21851-5178-7b49-9f22-14adbb88187f) closes this; dec_1 and x_01a21851-5178 stay.")
    assert said == "sale (frz_…88187f) closes this; dec_1 and x_01a21851-5178 stay."


def test_every_stage_of_an_incident_has_a_shape_and_a_word_and_stands_in_the_reference():
    assert set(words.STAGE) == set(Stage)
    text = (Path(__file__).parents[2] / "docs/reference/states.md").read_text()
    assert all(f"| `{each}` |" in text for each in Stage)


def told(at, verdict="", target="web", reason="a deploy is under way"):
    same = (verdict, "shop/down", reason, f"mend on {target}") if verdict else ()
    return {"at": at, "same": same}


def test_a_timeline_folds_what_was_decided_again_until_something_else_happens():
    rows = folded(
        [told(9, "hold"), told(8, "hold", "cart"), told(7, "hold"), told(6), told(5, "hold"), told(4, "hold"), told(3)]
    )
    assert [(row["at"], row["times"], row["since"]) for row in rows] == [
        (9, 2, 7),
        (8, 1, ""),
        (6, 1, ""),
        (5, 2, 4),
        (3, 1, ""),
    ]


@pytest.mark.parametrize(("verdict", "rows"), [("hold", 1), ("ask", 1), ("act", 3)])
def test_the_feed_folds_what_did_nothing_again(verdict, rows):
    decided = [
        {
            "id": f"dec_{n}",
            "at": n,
            "verdict": verdict,
            "rule": "shop/down",
            "reason": "x",
            "alert": "alr_1",
            "targets": [],
        }
        for n in (3, 2, 1)
    ]
    found = feed([*decided, {**decided[0], "id": "dec_0", "reason": "another"}])
    assert len(found) == rows + 1
    assert (found[0]["id"], found[0]["times"], found[0]["since"]) == ("dec_3", 4 - rows, 1 if rows == 1 else "")
