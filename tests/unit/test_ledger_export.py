"""Exports: the published layout, verification without the node, every kind of damage to a file."""

import hashlib
from datetime import UTC, datetime

import pymerkle
import pytest

from watchkeeper.errors import Malformed, Untrusted
from watchkeeper.ledger import checkpoint, entry, export, note, tile, tree
from watchkeeper.ledger.checkpoint import Checkpoint
from watchkeeper.ledger.entry import Erased
from watchkeeper.ledger.fault import Wrong
from watchkeeper.ledger.tile import Tile
from watchkeeper.ledger.verify import Contents, Row

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
SEED, ORIGIN = b"w" * 32, "log.example.org"
KEY = note.public_key(ORIGIN, SEED)


def exported(size, contents=Contents.SHOWN, points=(), erased=()):
    pairs = [
        entry.seal(
            "intent",
            {"run": f"run_{number}"},
            at=NOW,
            actor="automation",
            verdict="act",
            content={"n": number, "text": "one\ntwo é"},
            salt=hashlib.sha256(str(number).encode()).digest()[:16],
        )
        for number in range(size)
    ]
    if erased:
        pairs[-1] = entry.erasure("era_1", erased, reason="r", at=NOW, actor="u", salt=b"e" * 16)
    rows = [
        Row(index=at, data=entry.encode(found), beside=Erased(order="era_1") if at in erased else content)
        for at, (found, content) in enumerate(pairs)
    ]
    frontier, hashes = tree.grow(tree.Frontier(), [tree.leaf_hash(row.data) for row in rows])
    table = {(row.level, row.index): row.hash for row in hashes}

    def kept(level, first, count):
        return [table.get((level, at), b"") for at in range(first, first + count)]

    def sign(at):
        return checkpoint.sign(Checkpoint(origin=ORIGIN, size=at, root=tree.root_at(kept, at)), SEED)

    assert tree.root_at(kept, size) == frontier.root()
    return dict(
        export.layout(
            sign(size),
            keys=[KEY],
            rows=lambda first, count: rows[first : first + count],
            kept=kept,
            contents=contents,
            earlier=[sign(at) for at in points],
        )
    )


def checked(files, **change):
    return export.verify_export(files.get, **({"now": NOW, "keys": [KEY]} | change))


def seen(report):
    return [(fault.what, fault.first, fault.last) for fault in report.faults]


@pytest.mark.parametrize(
    ("found", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(1, 5, 17), "tile/1/005.p/17"),
        (Tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (Tile(0, 1_000, 1), "tile/0/x001/000.p/1"),
        (Tile(2, 999, 255), "tile/2/999.p/255"),
    ],
)
def test_paths_are_those_of_the_format(found, path):
    assert found.path() == path
    assert Tile(0, found.index, found.width).bundle_path() == "tile/entries/" + path.split("/", 2)[2]


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (0, []),
        (1, [(0, 0, 1)]),
        (256, [(0, 0, 256), (1, 0, 1)]),
        (600, [(0, 0, 256), (0, 1, 256), (0, 2, 88), (1, 0, 2)]),
    ],
)
def test_which_tiles_a_tree_has(size, found):
    assert [(one.level, one.index, one.width) for one in tile.tiles(size)] == found


def test_a_tree_of_a_million_has_three_levels():
    found = list(tile.tiles(1_000_000))
    assert [sum(one.level == level for one in found) for level in range(4)] == [3907, 16, 1, 0]
    assert found[-1] == Tile(2, 0, 15)


def test_bundles_read_back_and_a_cut_one_gives_what_is_whole():
    raw = tile.bundle([b"one", b"", b"x" * 65_535])
    assert raw[:5] == b"\x00\x03one"
    assert tile.unbundle(raw, 3) == ([b"one", b"", b"x" * 65_535], b"")
    assert tile.unbundle(raw, 2) == ([b"one", b""], b"\xff\xff" + b"x" * 65_535)
    assert tile.unbundle(raw[:6], 3) == ([b"one"], b"\x00")
    with pytest.raises(Malformed, match="has 65536 bytes, at most 65535 fit a bundle"):
        tile.bundle([b"x" * 65_536])


@pytest.mark.parametrize("size", [0, 1, 255, 256, 300, 600])
def test_an_export_verifies_with_nothing_but_its_files(size):
    files = exported(size, points=[at for at in (1, 200, 256) if at < size])
    report = checked(files)
    assert report.ok, report.lines()
    assert (report.size, report.covered, report.contents_matched) == (size, size, size)
    assert report.checkpoints_agreed == 1 + sum(at < size for at in (1, 200, 256))


def test_the_files_of_an_export():
    files = exported(300, points=(256, 300))
    assert list(files) == [
        "README.txt",
        "keys",
        "tile/entries/000",
        "content/000",
        "tile/entries/001.p/44",
        "content/001.p/44",
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "checkpoints/256",
        "checkpoints/index",
        "checkpoint",
    ]
    assert len(files["tile/0/000"]) == 8192
    line = files["content/000"].split(b"\n")[0]
    salt = hashlib.sha256(b"0").hexdigest()[:32].encode()
    assert line == b'{"content":{"n":0,"text":"one\\ntwo \xc3\xa9"},"index":0,"salt":"' + salt + b'"}'


def test_an_independent_tool_reaches_the_signed_root_from_the_bundles():
    files = exported(300)
    found = [*tile.unbundle(files["tile/entries/000"], 256)[0], *tile.unbundle(files["tile/entries/001.p/44"], 44)[0]]
    other = pymerkle.InmemoryTree.init_from_entries(found, algorithm="sha256")
    assert other.get_root() == checkpoint.read(files["checkpoint"].decode()).root


def test_a_proof_reads_only_the_tiles_on_its_way():
    files = exported(600)
    asked = []
    kept = tile.kept_in(lambda path: asked.append(path) or files.get(path), 600)
    leaf = kept(0, 300, 1)[0]
    root = checkpoint.read(files["checkpoint"].decode()).root
    assert tree.verify_inclusion(leaf, 300, 600, tree.inclusion_proof(kept, 300, 600), root)
    assert set(asked) == {"tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"}


def test_contents_may_be_left_out_or_erased():
    files = exported(300, contents=Contents.LEFT_OUT)
    assert not any(path.startswith("content/") for path in files)
    report = checked(files)
    assert report.ok
    assert report.contents_absent == 300
    report = checked(exported(300, erased=(3, 4, 290)))
    assert report.ok
    assert report.contents_erased == 3


def test_without_a_key_the_report_says_whose_word_was_taken():
    files = exported(3)
    assert "the checkpoint was checked with the key in the export itself" in checked(files, keys=()).lines()[1]
    del files["keys"]
    with pytest.raises(Malformed, match="keys: the export has no file of that name: give the public key"):
        checked(files, keys=())


def test_an_export_signed_anew_by_somebody_else_is_refused_with_the_key_one_holds():
    files = exported(3)
    files["checkpoint"] = checkpoint.sign(checkpoint.read(files["checkpoint"].decode()), b"f" * 32).encode()
    with pytest.raises(Untrusted):
        checked(files)
    with pytest.raises(Malformed, match="it was not finished, or this is not its folder"):
        checked({})


def test_against_a_checkpoint_kept_elsewhere():
    files, other = exported(300, points=(100,)), exported(300, points=(100,), erased=(1,))
    assert checked(files, against=[files["checkpoint"].decode(), other["checkpoints/100"].decode()]).ok
    report = checked(files, against=[other["checkpoint"].decode()])
    assert (report.first.what, report.first.first, report.first.last) == (Wrong.REWRITTEN, 100, 299)


@pytest.mark.parametrize("path", ["tile/entries/000", "tile/entries/001.p/44"])
def test_a_missing_bundle_names_its_entries(path):
    files = exported(300)
    del files[path]
    report = checked(files)
    first = 0 if path.endswith("000") else 256
    assert report.first.first == first
    assert {fault.what for fault in report.faults} == {Wrong.EXPORT, Wrong.REMOVED}
    assert f"{path} is missing" in " ".join(report.lines())


def test_bytes_after_the_last_entry_and_missing_ones_are_faults():
    files = exported(300)
    files["tile/entries/000"] += b"\x00\x01x"
    assert seen(checked(files)) == [(Wrong.EXPORT, 0, 255)]
    files = exported(300)
    files["tile/entries/000"] = files["tile/entries/000"][:-1]
    assert (Wrong.REMOVED, 255, 255) in seen(checked(files))


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"])
def test_a_tile_that_is_missing_cut_or_too_long_is_a_fault(path):
    files = exported(300)
    whole = files[path]
    for raw in (None, whole[:-1], whole + b"x"):
        files[path] = raw
        assert {fault.what for fault in checked(files).faults} == {Wrong.KEPT_HASH}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw[:-1], "does not end with a whole line"),
        (lambda raw: raw.replace(b'"index":1,', b'"index":0,'), "line 2 is for entry 0: it does not belong there"),
        (lambda raw: raw.replace(b'"index":2,', b'"index":300,'), "line 3 is for entry 300"),
        (lambda raw: raw.replace(b'"salt":"', b'"salt":"zz', 1), "line 1 cannot be read"),
        (lambda raw: raw.replace(b"{", b"[", 1), "line 1 cannot be read"),
        (lambda raw: raw.replace(b'"salt":"5f', b'"salt":"5F', 1), "line 1 is not written as an export writes it"),
        (lambda raw: raw.replace(b'"index":1,', b'"index": 1,'), "line 2 is not written as an export writes it"),
        (lambda raw: raw.split(b"\n", 1)[1], "the content of entry 0 is missing"),
        (lambda raw: raw.replace(b'"n":0', b'"n":9'), "the content of entry 0 (intent) is not what the entry"),
    ],
)
def test_a_damaged_content_file_is_a_fault(change, words):
    files = exported(3)
    path = "content/000.p/3"
    changed = change(files[path])
    assert changed != files[path]
    files[path] = changed
    assert any(words in line for line in checked(files).lines())


def test_every_single_bit_of_a_small_export_counts():
    files = exported(2)
    for path in ("tile/entries/000.p/2", "content/000.p/2", "tile/0/000.p/2", "checkpoint"):
        whole = files[path]
        for bit in range(len(whole) * 8):
            bent = bytearray(whole)
            bent[bit // 8] ^= 1 << bit % 8
            files[path] = bytes(bent)
            try:
                report = checked(files)
            except (Malformed, Untrusted):
                assert path == "checkpoint"
                continue
            assert not report.ok, (path, bit)
        files[path] = whole
    assert checked(files).ok


def test_one_content_file_of_several_missing_is_a_fault():
    files = exported(300)
    del files["content/001.p/44"]
    report = checked(files)
    assert (Wrong.EXPORT, 256, 299) in seen(report)
    assert any("content/001.p/44 is missing" in line for line in report.lines())


def test_earlier_checkpoints_are_checked_too():
    files = exported(300, points=(100, 200))
    files["checkpoints/100"] = files["checkpoints/100"].replace(b"100", b"101")
    assert seen(checked(files)) == [(Wrong.CHECKPOINT, None, None)]
    files = exported(300, points=(100, 200))
    del files["checkpoints/200"]
    files["checkpoints/index"] += b"../secret\n"
    asked = []
    report = export.verify_export(lambda path: asked.append(path) or files.get(path), now=NOW, keys=[KEY])
    assert seen(report) == [(Wrong.CHECKPOINT, None, None)] * 2
    assert "checkpoints/200" in asked
    assert not any("secret" in path for path in asked)


def test_a_store_with_holes_is_not_exported():
    files = exported(3)
    text = files["checkpoint"].decode()
    rows = [Row(index=at, data=b"{}", beside=None) for at in range(3)]

    def layout(rows, kept):
        return list(export.layout(text, keys=[KEY], rows=lambda first, count: rows, kept=kept, contents=Contents.SHOWN))

    with pytest.raises(Untrusted, match="entries 0 to 2 are not all there: run 'watchkeeper ledger verify' before"):
        layout(rows[:2], lambda *_: [])
    with pytest.raises(Untrusted, match=r"kept hashes of tile/0/000\.p/3 are not all there"):
        layout(rows, lambda *_: [b"x" * 32, b"", b"x" * 32])
    with pytest.raises(Untrusted, match="not by a key that is trusted here"):
        next(export.layout(text, keys=[], rows=lambda *_: [], kept=lambda *_: [], contents=Contents.SHOWN))
