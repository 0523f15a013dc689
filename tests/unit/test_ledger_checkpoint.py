"""Signed notes and checkpoints: the published vector, round trips, and every way to be refused."""

import base64

import pytest

from watchkeeper.errors import Malformed, Untrusted
from watchkeeper.ledger import checkpoint, note
from watchkeeper.ledger.checkpoint import Checkpoint

# Source: golang.org/x/mod/sumdb/note, the example in its documentation.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

SEED, ORIGIN = b"w" * 32, "watchkeeper.example.org/ledger"
KEY = note.public_key(ORIGIN, SEED)
OTHER = note.public_key("witness.example.org", b"o" * 32)
POINT = Checkpoint(origin=ORIGIN, size=20_852_163, root=bytes(range(32)))
TEXT = checkpoint.sign(POINT, SEED)


def test_the_published_note_verifies():
    found = note.verify(NOTE, [note.read_key(VKEY)])
    assert found.text.startswith("If you think")
    with pytest.raises(Untrusted, match="the signature of PeterNeumann is false"):
        note.verify(NOTE.replace("problem is", "problem was"), [note.read_key(VKEY)])


def test_a_key_reads_back():
    assert note.read_key(VKEY).text() == VKEY
    assert note.read_key(KEY.text() + "\n") == KEY


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("PeterNeumann", "not of the form"),
        (VKEY.replace("c74f20a3", "c74f20a4"), "its id is c74f20a3, the text says c74f20a4: copied wrongly"),
        (VKEY.replace("PeterNeumann", "PeterNewmann"), "copied wrongly"),
        (VKEY[:-4], "not an Ed25519 key of 32 bytes"),
        (VKEY.replace("+AR", "+ZR"), "not an Ed25519 key"),
        (VKEY[:-1] + "!", "is not base64"),
        (VKEY.replace("PeterNeumann", ""), "'' is not a name"),
    ],
)
def test_a_key_that_was_copied_wrongly_is_refused(text, words):
    with pytest.raises(Malformed, match=words):
        note.read_key(text)


def test_a_checkpoint_has_the_lines_of_the_format():
    lines = TEXT.split("\n")
    assert lines[:4] == [ORIGIN, "20852163", base64.b64encode(POINT.root).decode(), ""]
    assert lines[4].startswith(f"— {ORIGIN} ")
    assert lines[5:] == [""]
    raw = base64.b64decode(lines[4].rpartition(" ")[2])
    assert (raw[:4], len(raw)) == (KEY.identity(), 68)


def test_a_note_is_read_up_to_its_bound(monkeypatch):
    monkeypatch.setattr(note, "NOTE_CHARS_MAX", len(TEXT))
    assert checkpoint.read(TEXT) == POINT
    monkeypatch.setattr(note, "NOTE_CHARS_MAX", len(TEXT) - 1)
    with pytest.raises(Malformed, match=f"has {len(TEXT)} characters, at most {len(TEXT) - 1} are read"):
        checkpoint.read(TEXT)


def test_a_checkpoint_reads_back():
    assert checkpoint.read(TEXT) == POINT
    assert checkpoint.verify(TEXT, [OTHER, KEY], ORIGIN) == POINT
    extended = Checkpoint(origin="o", size=0, root=POINT.root, extensions=("one", "two"))
    text = checkpoint.sign(extended, SEED, "node-1")
    assert checkpoint.verify(text, [note.public_key("node-1", SEED)], "o") == extended


def test_a_witness_line_is_carried():
    witnessed = TEXT + note.sign(note.read(TEXT).text, OTHER.name, b"o" * 32).rpartition("\n\n")[2]
    assert [signature.name for signature in note.read(witnessed).signatures] == [ORIGIN, OTHER.name]
    assert checkpoint.verify(witnessed, [KEY]) == POINT
    assert checkpoint.verify(witnessed, [OTHER]) == POINT
    foreign = TEXT + f"— witness.example.org {base64.b64encode(OTHER.identity() + b'time' + b's' * 64).decode()}\n"
    assert checkpoint.verify(foreign, [KEY]) == POINT
    with pytest.raises(Untrusted, match=r"witness\.example\.org is false"):
        checkpoint.verify(foreign, [KEY, OTHER])


def test_a_signature_by_nobody_trusted_is_refused():
    with pytest.raises(Untrusted, match=r"is signed by watchkeeper.*, not by a key that is trusted here \(witness"):
        checkpoint.verify(TEXT, [OTHER])
    with pytest.raises(Untrusted, match=r"trusted here \(nobody\)"):
        checkpoint.verify(TEXT, [])
    with pytest.raises(Untrusted):  # the same name, another key
        checkpoint.verify(TEXT, [note.public_key(ORIGIN, b"x" * 32)])


def test_a_checkpoint_of_another_log_is_refused():
    with pytest.raises(Untrusted, match=f"checkpoint is of log {ORIGIN}, expected other: it belongs to another ledger"):
        checkpoint.verify(TEXT, [KEY], "other")


def test_every_flipped_bit_is_refused():
    raw = TEXT.encode()
    for place in range(len(raw)):
        for bit in range(8):
            bent = bytearray(raw)
            bent[place] ^= 1 << bit
            with pytest.raises((Malformed, Untrusted)):
                checkpoint.verify(bytes(bent).decode("utf-8", "replace"), [KEY])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("20852163", "020852163", "checkpoint.size: '020852163' is not a number of entries"),
        ("20852163", "-1", "is not a number"),
        ("20852163", "٣", "is not a number"),
        ("20852163", "1" * 40, "is not a number"),
        (base64.b64encode(POINT.root).decode(), "AAAA", "is not the base64 of 32 bytes"),
        (base64.b64encode(POINT.root).decode(), "?", "checkpoint.root: '\\?' is not base64"),
        ("20852163\n", "", "needs three lines"),
    ],
)
def test_a_body_that_is_no_checkpoint_is_malformed(old, new, words):
    body = note.read(TEXT).text.replace(old, new)
    with pytest.raises(Malformed, match=words):
        checkpoint.read(note.sign(body, ORIGIN, SEED))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no blank line"),
        ("a\nb\n", "no blank line"),
        (TEXT.removesuffix("\n"), "no blank line"),
        (TEXT.replace("— ", "- "), "is not '— name base64'"),
        (TEXT + "— two words AAAAAAAA\n", "is not '— name base64'"),
        (TEXT + "— a+b AAAAAAAA\n", "is not a name"),
        (TEXT + "— short AAAA\n", "is too short"),
        (TEXT + "— name AAAAAAB=\n", "is not base64 as it is written"),
        (TEXT.replace("ledger\n", "led\tger\n"), "no control characters"),
        (TEXT.replace("ledger\n", "led\ud800ger\n"), "is not UTF-8"),
        ("x" * 65_537, "at most 65536 are read"),
        (TEXT + TEXT.rpartition("\n\n")[2] * 100, "has 101 signatures"),
    ],
)
def test_what_is_no_note_is_malformed(text, words):
    with pytest.raises(Malformed, match=words):
        note.read(text)


@pytest.mark.parametrize("body", ["no newline at the end", "tab\t\n", "\ud800\n"])
def test_what_cannot_be_a_note_is_not_signed(body):
    with pytest.raises(Malformed):
        note.sign(body, ORIGIN, SEED)


def test_a_checkpoint_that_would_not_read_back_is_not_signed():
    with pytest.raises(Malformed, match="would not read back"):
        checkpoint.sign(Checkpoint(origin="a", size=1, root=POINT.root, extensions=("one\ntwo",)), SEED, "n")
    with pytest.raises(Malformed):
        checkpoint.sign(Checkpoint(origin="a", size=1, root=b"short"), SEED, "n")
    with pytest.raises(Malformed, match="signing key: has 5 bytes, expected 32"):
        checkpoint.sign(POINT, b"short")
    with pytest.raises(Malformed, match="no spaces and no '\\+'"):
        checkpoint.sign(POINT, SEED, "a b")


@pytest.mark.parametrize(
    "mangled",
    [
        TEXT.replace("\n", "\r\n"),
        "\n\n" + TEXT.rstrip() + "\n\n\n",
        "".join(f"> {line}\n" for line in TEXT.splitlines()),
        "".join(f"    {line}\n" for line in TEXT.splitlines()),
        f"```\n{TEXT}```\n",
    ],
)
def test_a_checkpoint_pasted_from_a_ticket_verifies(mangled):
    assert checkpoint.verify(checkpoint.pasted(mangled), [KEY]) == POINT
