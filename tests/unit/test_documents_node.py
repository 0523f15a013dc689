"""Reading files: what a value is, where it stands, and what is refused."""

from decimal import Decimal

import pytest

from watchkeeper.documents import Kind, Problem, Unreadable, parse, read
from watchkeeper.documents.node import DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX
from watchkeeper.errors import Malformed


def one(text: str):
    (node,) = parse("a.yaml", text.encode())
    return node


def refused(text: str | bytes) -> str:
    with pytest.raises(Malformed) as caught:
        parse("a.yaml", text if isinstance(text, bytes) else text.encode())
    return str(caught.value)


@pytest.mark.parametrize(
    "word",
    [
        "yes",
        "on",
        "Off",
        "1e3",
        "2026-01-01",
        "10:30",
        "1_000",
        ".inf",
        ".nan",
        "0b1",
        "v1.2.3",
        "-",
        "12h",
        "=",
        "TRue",
    ],
)
def test_a_plain_word_stays_what_was_written(word):
    value = one(f"a: [{word}]" if word != "-" else "a: ['-']").find("a").items[0]
    assert (value.kind, value.scalar, value.raw) == (Kind.TEXT, word, word)


@pytest.mark.parametrize(
    ("word", "kind", "value"),
    [
        ("5", Kind.INTEGER, 5),
        ("-5", Kind.INTEGER, -5),
        ("012", Kind.INTEGER, 12),
        ("0x1F", Kind.INTEGER, 31),
        ("0o17", Kind.INTEGER, 15),
        ("1.10", Kind.FRACTION, Decimal("1.10")),
        ("1.5e3", Kind.FRACTION, Decimal("1.5e3")),
        ("true", Kind.BOOLEAN, True),
        ("FALSE", Kind.BOOLEAN, False),
        ("null", Kind.NULL, None),
        ("~", Kind.NULL, None),
        ("", Kind.NULL, None),
    ],
)
def test_the_core_schema_reads_numbers_booleans_and_nothing(word, kind, value):
    found = one(f"a: {word}").find("a")
    assert (found.kind, found.scalar) == (kind, value)


@pytest.mark.parametrize("word", ["5", "true", "null", "1.5"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_quoted_scalar_is_a_text(word, quote):
    assert one(f"a: {quote}{word}{quote}").find("a").scalar == word


def test_keys_and_values_know_their_place_from_one():
    node = one("top:\n  name: x\n  list: [a,\n    b]\n")
    entry = node.find("top").entries[0]
    assert (entry.key, entry.line, entry.column) == ("name", 2, 3)
    assert (entry.value.line, entry.value.column) == (2, 9)
    assert [(item.line, item.column) for item in node.find("top").find("list").items] == [(3, 10), (4, 5)]
    assert node.find("absent") is None


def test_several_documents_and_empty_ones():
    nodes = parse("a.yaml", b"---\n# nothing\n---\na: 1\n---\n- 2\n...\n")
    assert [(node.kind, node.line) for node in nodes] == [(Kind.MAPPING, 4), (Kind.LIST, 6)]
    assert parse("a.yaml", b"") == () == parse("a.yaml", b"# only a comment\n")


def test_json_is_read_too():
    assert one('{"a": [1, "x", true, null]}').find("a").items[1].scalar == "x"


def test_a_byte_order_mark_is_tolerated_at_the_start_only():
    (node,) = parse("a.yaml", b"\xef\xbb\xbfa: 1")
    assert (node.line, node.column) == (1, 1)
    assert "U+FEFF" in refused("a: \ufeff")


def test_keys_are_texts_whatever_they_look_like():
    assert [entry.key for entry in one("200: a\nyes: b\ntrue: c\n1.5: d").entries] == ["200", "yes", "true", "1.5"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: &x 1\nb: *x", "a.yaml:1:4", "anchors (&)"),
        ("a: *x", "a.yaml:1:4", "aliases (*)"),
        ("&k a: 1", "a.yaml:1:1", "anchors (&)"),
        ("a: !!str 5", "a.yaml:1:4", "tags (!)"),
        ("a: !!python/object:os.system x", "a.yaml:1:4", "tags (!)"),
        ("a: ! 5", "a.yaml:1:4", "tags (!)"),
        ("a: !secret x", "a.yaml:1:4", "tags (!)"),
        ("!!map {a: 1}", "a.yaml:1:1", "tags (!)"),
        ("a:\n  <<: {b: 1}", "a.yaml:2:3", "merge keys (<<)"),
        ("a: 1\nb: 2\na: 3", "a.yaml:3:1", "the key 'a' stands twice, first in line 1"),
        ("{a: {b: 1, 'b': 2}}", "a.yaml:1:12", "the key 'b' stands twice"),
        ("? [a]\n: 1", "a.yaml:1:3", "a key must be a text"),
        ("a: {{x}}", "a.yaml:1:5", "a key must be a text"),
        (": 1", "a.yaml:1:1", "a key is missing"),
        ("%YAML 1.1\n---\na: yes", "a.yaml:2:1", "a directive"),
        ("%TAG ! tag:example,2000:\n---\na: 1", "a.yaml:2:1", "a directive"),
        ("a: [1", "a.yaml:1:6", "this is not YAML"),
        ("a: {u: ${target.url}}", "a.yaml:1:9", "quote a value with ${ } inside { }"),
        ("\ta: 1", "a.yaml:1:1", "a tab stands where YAML wants spaces: indent with spaces"),
        ("a: 'x\x00'", "a.yaml:1:6", "U+0000"),
        ("a: 1\nb: \x1b[31m", "a.yaml:2:4", "U+001B"),
        ("a: x\u202ey", "a.yaml:1:5", "U+202E"),
        ("a: x\u2066y", "a.yaml:1:5", "U+2066"),
        ("a: \u200bx", "a.yaml:1:4", "U+200B"),
        ("a: x\u2028y", "a.yaml:1:5", "U+2028"),
        ('a: "\\u202e"', "a.yaml:1:4", "U+202E"),
        ('a: "\\0"', "a.yaml:1:4", "U+0000"),
        ('a: "\\ud800"', "a.yaml:1:4", "U+D800"),
        ('"\\u202e": 1', "a.yaml:1:1", "U+202E"),
        ('a: "\\Uffffffff"', "a.yaml", "this is not YAML"),
        ("a: " + "9" * 41, "a.yaml:1:4", "a number of 41 characters"),
    ],
)
def test_what_hides_what_a_file_says_is_refused_with_its_place(text, place, words):
    said = refused(text)
    assert said.startswith(f"{place}: "), said
    assert words in said


def test_text_that_is_not_utf_8_names_the_byte():
    assert refused(b"a: 1\nb: \xff") == "a.yaml:2:4: this is not UTF-8: save the file as UTF-8"


def test_letters_tabs_and_line_ends_of_the_world_are_fine():
    assert one('a: "ü 漢 🙂\\t\\n"\r\nb: |\r\n  x\r\n').find("a").scalar == "ü 漢 🙂\t\n"


def test_the_size_bound_counts_bytes():
    comment = b"a: 1\n#"
    assert parse("a.yaml", comment + b"x" * (FILE_BYTES_MAX - len(comment)))
    said = refused(comment + b"x" * (FILE_BYTES_MAX - len(comment) + 1))
    assert (
        said
        == f"a.yaml: the file has {FILE_BYTES_MAX + 1} bytes, more than {FILE_BYTES_MAX}: split it into several files"
    )


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_the_depth_bound_counts_lists_and_mappings(opening, closing):
    assert parse("a.yaml", (opening * DEPTH_MAX + "1" + closing * DEPTH_MAX).encode())
    assert "deeper than 32" in refused(opening * (DEPTH_MAX + 1) + "1" + closing * (DEPTH_MAX + 1))


def test_the_number_of_values_is_bound():
    assert f"more than {NODES_MAX} keys" in refused("[" + "a," * NODES_MAX + "]")


def test_a_billion_laughs_end_at_the_first_anchor():
    laughs = "a: &a [lol, lol]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert refused(laughs).startswith("a.yaml:1:4: anchors")


def test_read_collects_what_parse_raises():
    problems: list[Problem] = []
    assert read("a.yaml", b"a: &x 1", problems) == ()
    assert [str(p) for p in problems] == [
        "a.yaml:1:4: anchors (&) and aliases (*) are not read here: write the value out, or quote it"
    ]
    with pytest.raises(Unreadable) as caught:
        parse("a.yaml", b"a: &x 1")
    assert caught.value.problem == problems[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5", "the number 5"),
        ("1.10", "the number 1.10"),
        ("true", "the boolean true"),
        ("[]", "a list"),
        ("{}", "a mapping"),
    ],
)
def test_a_message_names_a_value_as_it_was_written(text, words):
    assert str(one(f"a: {text}").find("a")) == words


def test_a_message_shows_at_most_forty_characters_of_a_text():
    assert str(one("a: " + "x" * 40).find("a")) == f"the text '{'x' * 40}'"
    assert str(one("a: " + "x" * 41).find("a")) == f"the text '{'x' * 39}…'"
    assert str(one("a:").find("a")) == "nothing"
