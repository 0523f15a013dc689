"""Entries: what may be hashed, and what an operator reads when something may not."""

import hashlib
from datetime import UTC, datetime

import pytest

from watchkeeper.errors import Malformed
from watchkeeper.ledger import entry
from watchkeeper.ledger.entry import Content, Entry, Kind

AT = datetime(2026, 3, 1, 10, 0, 0, 5, tzinfo=UTC)
SALT = bytes(range(16))


def sealed(**change):
    given = {
        "kind": Kind.REFUSAL,
        "ids": {"decision": "dec_1", "freeze": "F-12"},
        "at": AT,
        "actor": "automation",
        "verdict": "refuse",
        "content": {"why": "refused by freeze F-12"},
        "salt": SALT,
    } | change
    return entry.seal(given.pop("kind"), given.pop("ids"), **given)


def test_the_leaf_is_canonical_and_holds_no_content():
    found, content = sealed()
    digest = hashlib.sha256(SALT + b'{"why":"refused by freeze F-12"}').hexdigest()
    assert entry.encode(found) == (
        b'{"actor":"automation","at":"2026-03-01T10:00:00.000005Z","digest":"' + digest.encode() + b'",'
        b'"ids":{"decision":"dec_1","freeze":"F-12"},"kind":"refusal","verdict":"refuse"}'
    )
    assert content == Content(salt=SALT, body=b'{"why":"refused by freeze F-12"}')
    assert entry.matches(found, content)


def test_reads_back_what_was_sealed():
    found, _ = sealed()
    assert entry.read(entry.encode(found)) == found


def test_a_kind_and_a_field_of_a_newer_release_are_read():
    data = b'{"actor":"a","at":"x","digest":"d","ids":{},"kind":"teleported","new":1,"verdict":""}'
    assert entry.read(data) == Entry(kind="teleported", ids={}, at="x", actor="a", verdict="", digest="d")


@pytest.mark.parametrize("data", [b"", b"{", b'{"kind":"x"}', b"\xff", b'{"actor":1}'])
def test_what_is_no_entry_is_malformed(data):
    with pytest.raises(Malformed, match="entry: cannot be read"):
        entry.read(data)


@pytest.mark.parametrize(
    "content", [Content(salt=SALT[:15], body=b"{}"), Content(salt=SALT, body=b'{"why":"refused by freeze F-13"}')]
)
def test_other_content_does_not_match(content):
    assert not entry.matches(sealed()[0], content)


def test_a_byte_cannot_move_from_the_salt_to_the_content():
    found, content = sealed(content=1)
    assert not entry.matches(found, Content(salt=content.salt + content.body[:1], body=content.body[1:]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"salt": b"short"}, "salt: has 5 bytes, expected 16 fresh random ones"),
        ({"ids": {"Run": "run_1"}}, "ids.Run: is not a name"),
        ({"ids": {"run": "the one that failed"}}, "ids.run: is not a name: 1 to 256 printable"),
        ({"ids": {"run": ""}}, "ids.run: is not a name"),
        ({"ids": {"run": "x" * 257}}, "ids.run: is not a name"),
        ({"ids": {f"n{n}": "x" for n in range(33)}}, "ids: has 33 names, at most 32"),
        ({"actor": ""}, "actor: is not a name"),
        ({"actor": "line\nbreak"}, "actor: is not a name"),
        ({"verdict": "because I said so"}, "verdict: is not a name"),
        ({"kind": "Free text"}, "kind: 'Free text' is not a kind"),
        ({"content": {"ratio": 0.5}}, "0.5 is a float: write a ratio in parts per million"),
        ({"content": {"a": [1, {"n": 2**53 + 1}]}}, r"content.a\[1\].n: 9007199254740993 is beyond 2\^53"),
        ({"content": {"n": -(2**53) - 1}}, "beyond"),
        ({"content": "x" * 1_048_575}, "content: has 1048577 bytes, at most 1048576"),
    ],
)
def test_what_may_not_be_hashed_is_named(change, words):
    with pytest.raises(Malformed, match=words):
        sealed(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": {"run": "x" * 256}},
        {"ids": {f"n{n}": "x" for n in range(32)}},
        {"ids": {"user": "oidc:josé@example.org"}},
        {"verdict": ""},
        {"kind": "a_kind_of_tomorrow"},
        {"content": {"n": 2**53, "m": -(2**53), "long": "1234567890123456789"}},
        {"content": "x" * 1_048_574},
    ],
)
def test_what_is_just_allowed(change):
    found, content = sealed(**change)
    assert entry.matches(found, content)


def test_the_largest_entry_fits_a_bundle():
    found, _ = sealed(ids={f"{'n' * 30}{n:02}": "\U00010348" * 256 for n in range(32)}, actor="\\" * 256)
    assert len(entry.encode(found)) <= entry.ENTRY_BYTES_MAX


def test_an_erasure_names_its_entries_as_ranges():
    found, content = entry.erasure("era_1", [7, 3, 4, 5, 7], reason="subject request 9", at=AT, actor="u", salt=SALT)
    assert found.kind == "erase"
    assert found.ids == {"erasure": "era_1"}
    order = entry.read_erasure(content)
    assert order.ranges == ((3, 5), (7, 7))
    assert order.reason == "subject request 9"


def test_content_that_is_no_order_is_malformed():
    with pytest.raises(Malformed, match="is not an erasure order"):
        entry.read_erasure(Content(salt=SALT, body=b"{}"))
