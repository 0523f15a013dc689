"""Laws of the ledger: any alteration is found and located; encodings and proofs agree with their sources."""

import hashlib
from datetime import UTC, datetime, timedelta

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.ledger import checkpoint, entry, export, note, tree, verify
from watchkeeper.ledger.checkpoint import Checkpoint
from watchkeeper.ledger.entry import Entry
from watchkeeper.ledger.fault import Wrong
from watchkeeper.ledger.verify import Contents, Row
from watchkeeper.values import canonical

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
SEED, ORIGIN = b"w" * 32, "log.example.org"
KEY = note.public_key(ORIGIN, SEED)
SIZE_MAX = 600

ascii_keys = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=12)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
integers = st.integers(-(2**53) + 1, 2**53 - 1)
plain = st.recursive(
    texts | integers | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ascii_keys, inner, max_size=4),
    max_leaves=12,
)
words = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=20).filter(str.isprintable)
names = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)


@settings(max_examples=100, deadline=None)
@given(plain)
def test_canonical_bytes_are_those_of_rfc_8785(value):
    assert canonical(value) == rfc8785.dumps(value)


@settings(max_examples=100, deadline=None)
@given(
    names,
    st.dictionaries(names, words, max_size=4),
    st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year >= 1970),
    words,
    plain,
    st.binary(min_size=16, max_size=16),
)
def test_an_entry_has_the_bytes_of_rfc_8785_and_reads_back(kind, ids, at, actor, content, salt):
    found, beside = entry.seal(kind, ids, at=at, actor=actor, verdict="act", content=content, salt=salt)
    fields = {name: getattr(found, name) for name in Entry.__struct_fields__}
    assert entry.encode(found) == rfc8785.dumps(fields)
    assert entry.read(entry.encode(found)) == found
    assert entry.matches(found, beside)
    assert found.digest == hashlib.sha256(salt + rfc8785.dumps(content)).hexdigest()


def _built():
    rows = []
    for number in range(SIZE_MAX):
        salt = hashlib.sha256(str(number).encode()).digest()[:16]
        found, content = entry.seal(
            "decision",
            {"decision": f"dec_{number}"},
            at=NOW + timedelta(milliseconds=number),
            actor="automation",
            verdict="act",
            content={"n": number},
            salt=salt,
        )
        rows.append(Row(index=number, data=entry.encode(found), beside=content))
    return rows


ROWS = _built()
LEAVES = [tree.leaf_hash(row.data) for row in ROWS]


class Store:
    def __init__(self, size, points):
        frontier, found = tree.grow(tree.Frontier(), LEAVES[:size])
        self.table = {(row.level, row.index): row.hash for row in found}
        self.size, self.root, self.rows = size, frontier.root(), ROWS[:size]
        self.points = [
            checkpoint.sign(Checkpoint(origin=ORIGIN, size=at, root=tree.root_at(self.kept, at)), SEED)
            for at in sorted({min(point, size) for point in points})
        ]

    def kept(self, level, first, count):
        return [self.table.get((level, at), b"") for at in range(first, first + count)]

    def verify(self, rows):
        return verify.verify_entries(
            rows, size=self.size, root=self.root, kept=self.kept, checkpoints=self.points, keys=[KEY], now=NOW
        )


stores = st.builds(Store, st.integers(1, SIZE_MAX), st.lists(st.integers(0, SIZE_MAX), max_size=4))


def renumbered(rows):
    return [Row(index=at, data=row.data, beside=row.beside) for at, row in enumerate(rows)]


def flipped(data, bit):
    bent = bytearray(data)
    bent[bit // 8 % len(bent)] ^= 1 << bit % 8
    return bytes(bent)


@settings(max_examples=80, deadline=None)
@given(stores, st.data())
def test_any_flipped_bit_of_an_entry_is_found_at_its_entry(store, data):
    assert store.verify(store.rows).ok
    index = data.draw(st.integers(0, store.size - 1))
    row = store.rows[index]
    bent = flipped(row.data, data.draw(st.integers(0, len(row.data) * 8 - 1)))
    report = store.verify(
        [*store.rows[:index], Row(index=index, data=bent, beside=row.beside), *store.rows[index + 1 :]]
    )
    assert [(fault.what, fault.first, fault.last) for fault in report.faults] == [(Wrong.ALTERED, index, index)]


@settings(max_examples=60, deadline=None)
@given(stores, st.data())
def test_any_flipped_bit_of_a_kept_hash_or_a_content_is_found(store, data):
    level, index = data.draw(st.sampled_from(sorted(store.table)))
    bit = data.draw(st.integers(0, 255))
    store.table[level, index] = flipped(store.table[level, index], bit)
    report = store.verify(store.rows)
    span = 256**level
    assert not report.ok
    assert (report.first.first, report.first.last) == (index * span, index * span + span - 1)

    whole = Store(store.size, [])
    at = data.draw(st.integers(0, whole.size - 1))
    beside = whole.rows[at].beside
    half = data.draw(st.booleans())
    bent = entry.Content(
        salt=flipped(beside.salt, bit) if half else beside.salt, body=beside.body if half else flipped(beside.body, bit)
    )
    rows = [*whole.rows[:at], Row(index=at, data=whole.rows[at].data, beside=bent), *whole.rows[at + 1 :]]
    report = whole.verify(rows)
    assert [(fault.what, fault.first) for fault in report.faults] == [(Wrong.CONTENT_ALTERED, at)]


@settings(max_examples=80, deadline=None)
@given(stores, st.data(), st.booleans())
def test_any_removed_entry_is_found_at_its_place(store, data, closed_up):
    index = data.draw(st.integers(0, store.size - 1))
    rows = [*store.rows[:index], *store.rows[index + 1 :]]
    report = store.verify(renumbered(rows) if closed_up else rows)
    assert (report.first.what, report.first.first, report.first.last) == (Wrong.REMOVED, index, index)


@settings(max_examples=80, deadline=None)
@given(stores, st.data())
def test_any_inserted_entry_is_found_at_its_place(store, data):
    index = data.draw(st.integers(0, store.size))
    rows = [*store.rows[:index], Row(index=0, data=ROWS[0].data + b" ", beside=None), *store.rows[index:]]
    report = store.verify(renumbered(rows))
    assert (report.first.what, report.first.first, report.first.last) == (Wrong.INSERTED, index, index)


@settings(max_examples=80, deadline=None)
@given(stores.filter(lambda store: store.size > 1), st.data())
def test_any_two_exchanged_entries_are_found(store, data):
    one, two = sorted(data.draw(st.lists(st.integers(0, store.size - 1), min_size=2, max_size=2, unique=True)))
    rows = list(store.rows)
    rows[one], rows[two] = rows[two], rows[one]
    report = store.verify(renumbered(rows))
    assert [(fault.what, fault.first, fault.last) for fault in report.faults] == [(Wrong.REORDERED, one, two)]


@settings(max_examples=60, deadline=None)
@given(st.integers(2, SIZE_MAX), st.lists(st.integers(1, SIZE_MAX), min_size=1, max_size=5), st.data())
def test_a_rewrite_with_all_hashes_made_to_fit_lies_between_two_checkpoints(size, points, data):
    store = Store(size, points)
    signed = [checkpoint.read(text).size for text in store.points]
    index = data.draw(st.integers(0, signed[-1] - 1))
    row = Row(index=index, data=entry.encode(entry.read(ROWS[index - 1].data)), beside=ROWS[index - 1].beside)
    rows = [*store.rows[:index], row, *store.rows[index + 1 :]]
    frontier, found = tree.grow(tree.Frontier(), [tree.leaf_hash(one.data) for one in rows])
    store.table, store.root = {(one.level, one.index): one.hash for one in found}, frontier.root()
    report = store.verify(rows)
    before = max([at for at in signed if at <= index], default=0)
    after = min(at for at in signed if at > index)
    assert [(fault.what, fault.first, fault.last) for fault in report.faults] == [(Wrong.REWRITTEN, before, after - 1)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, SIZE_MAX), st.data())
def test_any_flipped_bit_in_an_export_is_found_and_an_entry_is_located(size, data):
    store = Store(size, [size])
    files = dict(
        export.layout(
            store.points[-1],
            keys=[KEY],
            rows=lambda first, count: store.rows[first : first + count],
            kept=store.kept,
            contents=Contents.SHOWN,
        )
    )
    judged = sorted(path for path in files if path.startswith(("tile/", "content/")))
    path = data.draw(st.sampled_from(judged))
    bit = data.draw(st.integers(0, len(files[path]) * 8 - 1))
    files[path] = flipped(files[path], bit)
    report = export.verify_export(files.get, now=NOW, keys=[KEY])
    assert not report.ok
    if path.startswith("tile/entries/"):
        first = int(path.split("/")[2][:3]) * 256
        end = 0
        for index in range(first, size):
            end += 2 + len(ROWS[index].data)
            if bit // 8 < end:
                break
        assert (Wrong.ALTERED, index) in {(fault.what, fault.first) for fault in report.faults} or (
            min(fault.first for fault in report.faults if fault.what is not Wrong.EXPORT) == index
        )


@settings(max_examples=60, deadline=None)
@given(st.integers(1, SIZE_MAX), st.data())
def test_proofs_hold_and_a_flipped_bit_of_one_does_not(size, data):
    store = Store(size, [])
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion_proof(store.kept, index, size)
    assert tree.verify_inclusion(LEAVES[index], index, size, proof, store.root)
    old = data.draw(st.integers(0, size))
    old_root = tree.root_at(store.kept, old)
    path = tree.consistency_proof(store.kept, old, size)
    assert tree.verify_consistency(old, old_root, size, store.root, path)
    at, bit = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 255))
    if proof:
        bent = [flipped(step, bit) if place == at % len(proof) else step for place, step in enumerate(proof)]
        assert not tree.verify_inclusion(LEAVES[index], index, size, bent, store.root)
    if path:
        bent = [flipped(step, bit) if place == at % len(path) else step for place, step in enumerate(path)]
        assert not tree.verify_consistency(old, old_root, size, store.root, bent)
