"""The verifier: each way to tamper, with and without the means to hide it, and the words a person reads."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.ledger import checkpoint, entry, note, tree, verify
from watchkeeper.ledger.checkpoint import Checkpoint
from watchkeeper.ledger.entry import Content, Erased
from watchkeeper.ledger.fault import FAULTS_MAX, Fault, Wrong
from watchkeeper.ledger.suspect import Side, Suspects
from watchkeeper.ledger.tree import EMPTY_ROOT, Frontier
from watchkeeper.ledger.verify import Contents, Pending, Row

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)
SEED, ORIGIN = b"w" * 32, "log.example.org"
KEY = note.public_key(ORIGIN, SEED)


def sealed(number, what="restart"):
    salt = hashlib.sha256(f"{number} {what}".encode()).digest()[:16]
    return entry.seal(
        "intent", {"run": f"run_{number}"}, at=NOW, actor="automation", verdict="act", content={what: number}, salt=salt
    )


class Log:
    """A store in memory that a test may tamper with: rows, kept hashes, head, checkpoints."""

    def __init__(self, size, points=(), orders=()):
        pairs = [sealed(number) for number in range(size)] + list(orders)
        self.rows = [
            Row(index=at, data=entry.encode(found), beside=content) for at, (found, content) in enumerate(pairs)
        ]
        self.size = len(self.rows)
        self.hashes = {}
        self.rehash()
        self.points = [self.sign(point) for point in points]

    def rehash(self):
        """What an attacker does who knows the tree: every kept hash and the head made to fit the rows."""
        frontier, found = tree.grow(Frontier(), [tree.leaf_hash(row.data) for row in self.rows])
        self.hashes = {(row.level, row.index): row.hash for row in found}
        self.root = frontier.root()

    def kept(self, level, first, count):
        return [self.hashes.get((level, at), b"") for at in range(first, first + count)]

    def sign(self, size):
        return checkpoint.sign(Checkpoint(origin=ORIGIN, size=size, root=tree.root_at(self.kept, size)), SEED)

    def alter(self, index, what="erase_everything"):
        found, content = sealed(index, what)
        self.rows[index] = Row(index=index, data=entry.encode(found), beside=content)

    def renumber(self):
        self.rows = [Row(index=at, data=row.data, beside=row.beside) for at, row in enumerate(self.rows)]

    def verify(self, **change):
        given = {
            "size": self.size,
            "root": self.root,
            "kept": self.kept,
            "checkpoints": self.points,
            "keys": [KEY],
            "now": NOW,
        } | change
        return verify.verify_entries(given.pop("rows", self.rows), **given)


def seen(report):
    return [(fault.what, fault.first, fault.last) for fault in report.faults]


def test_an_untouched_ledger_holds():
    log = Log(600, points=(0, 1, 256, 300, 600))
    report = log.verify()
    assert report.ok
    assert report.first is None
    assert report.root == log.root
    assert (report.covered, report.checkpoints_agreed, report.contents_matched) == (600, 5, 600)
    answer = f"ledger holds: 600 entries, root {log.root.hex()[:16]}…, 5 checkpoints agree, 600 contents match, "
    assert report.lines() == (answer + "0 erased on record",)


def test_an_empty_ledger_holds():
    report = Log(0).verify()
    assert report.ok
    assert report.root == EMPTY_ROOT
    assert seen(Log(0).verify(root=b"x" * 32)) == [(Wrong.HEAD, None, None)]


def test_entries_after_the_last_checkpoint_are_said_to_be_unsigned():
    report = Log(10, points=(4,)).verify()
    assert report.ok
    assert report.lines()[1].startswith("entries 4 to 9 are under no agreeing checkpoint")


@pytest.mark.parametrize("points", [(), (300,), (300, 600), (600,)])
@pytest.mark.parametrize("index", [0, 255, 256, 299, 300, 599])
def test_an_altered_entry_is_located(points, index):
    log = Log(600, points=points)
    log.alter(index)
    report = log.verify()
    assert seen(report) == [(Wrong.ALTERED, index, index)]
    assert report.lines()[0].startswith("ledger DOES NOT hold: 1 fault in 600 entries. Keep this copy untouched")
    assert f"entry {index} was altered: its bytes do not match the hash kept" in report.first.sentence
    proven = any(size > index for size in points)
    assert ("proves it" in report.first.sentence) is proven
    assert ("the stored head agrees, no checkpoint covers it" in report.first.sentence) is not proven


def test_several_altered_entries_are_each_located():
    log = Log(600, points=(300, 600))
    for index in (5, 299, 300, 512):
        log.alter(index)
    assert seen(log.verify()) == [(Wrong.ALTERED, at, at) for at in (5, 299, 300, 512)]


@pytest.mark.parametrize("points", [(), (600,)])
def test_an_altered_leaf_hash_leaves_the_entry_right(points):
    log = Log(600, points=points)
    log.hashes[0, 7] = b"x" * 32
    report = log.verify()
    assert seen(report) == [(Wrong.KEPT_HASH, 7, 7)]
    assert "the hash kept for entry 7 was altered; the entry itself is right" in report.first.sentence


def test_an_altered_leaf_hash_of_an_open_tile_is_judged_by_the_head():
    log = Log(300)
    log.hashes[0, 299] = b"x" * 32
    assert seen(log.verify()) == [(Wrong.KEPT_HASH, 299, 299)]


def test_a_hash_that_only_other_kept_hashes_clear_is_hedged():
    log = Log(600)
    log.hashes[0, 7] = b"x" * 32
    assert "as far as the other kept hashes tell; no checkpoint covers it" in log.verify(root=None).first.sentence


def test_entry_and_head_altered_with_the_leaf_hash_forgotten():
    log = Log(600)
    log.alter(7)
    tampered = Log(600)
    tampered.rows = log.rows
    tampered.rehash()
    assert seen(log.verify(root=tampered.root)) == [(Wrong.ALTERED, 7, 7)]


def test_entry_and_leaf_hash_altered_together_narrow_to_a_tile():
    log = Log(1000, points=(600, 1000))
    log.alter(300)
    log.hashes[0, 300] = tree.leaf_hash(log.rows[300].data)
    report = log.verify()
    assert seen(report) == [(Wrong.REWRITTEN, 256, 511)]
    assert "one or more of entries 256 to 511 were altered together with their kept hashes" in report.first.sentence


def test_everything_altered_together_narrows_to_the_checkpoints_around_it():
    log = Log(1000, points=(100, 290, 310, 1000))
    log.alter(300)
    log.rehash()
    report = log.verify()
    assert seen(report) == [(Wrong.REWRITTEN, 290, 309)]
    assert report.covered == 290
    assert "entries 290 to 309 are not what the checkpoint of 310 entries was signed over" in report.first.sentence


def test_without_any_checkpoint_a_complete_rewrite_cannot_show_and_that_is_said():
    log = Log(1000)
    log.alter(300)
    log.rehash()
    report = log.verify()
    assert report.ok
    assert "entries 0 to 999 are under no agreeing checkpoint" in report.lines()[1]


def test_a_checkpoint_that_somebody_kept_shows_a_complete_rewrite():
    log = Log(1000)
    ticket = [log.sign(500), log.sign(200)]
    log.alter(300)
    log.rehash()
    log.points = [log.sign(1000)]
    assert seen(log.verify(against=ticket)) == [(Wrong.REWRITTEN, 200, 499)]


def test_a_tile_hash_altered_alone_leaves_the_entries_right():
    log = Log(1000, points=(1000,))
    log.hashes[1, 1] = b"x" * 32
    report = log.verify()
    assert seen(report) == [(Wrong.KEPT_HASH, 256, 511)]
    assert "the entries are right; the checkpoint of 1000 entries proves it" in report.first.sentence


@pytest.mark.parametrize(("key", "first", "last"), [((0, 7), 7, 7), ((1, 0), 0, 255)])
def test_a_missing_kept_hash_is_a_fault(key, first, last):
    log = Log(300, points=(300,))
    del log.hashes[key]
    assert seen(log.verify()) == [(Wrong.KEPT_HASH, first, last)]
    assert seen(log.verify(checkpoints=[], root=None)) == [(Wrong.KEPT_HASH, first, last)]


def test_an_altered_head_leaves_the_entries_right():
    report = Log(10, points=(10,)).verify(root=b"x" * 32)
    assert seen(report) == [(Wrong.HEAD, None, None)]
    assert "the 10 entries are right: a checkpoint agrees with them" in report.first.sentence


def test_a_head_that_nothing_covers_narrows_to_what_follows_the_checkpoint():
    assert seen(Log(10, points=(4,)).verify(root=b"x" * 32)) == [(Wrong.REWRITTEN, 4, 9)]


@pytest.mark.parametrize("points", [(), (200, 300), (300,)])
@pytest.mark.parametrize(("first", "last"), [(0, 0), (7, 7), (7, 9), (255, 260), (298, 298)])
def test_removed_and_closed_up(points, first, last):
    log = Log(300, points=points)
    del log.rows[first : last + 1]
    log.renumber()
    report = log.verify()
    assert seen(report)[0] == (Wrong.REMOVED, first, last)
    assert "removed and the later ones moved up" in report.first.sentence
    assert seen(report)[1:] == [(Wrong.REMOVED, 300 - (last + 1 - first), 299)]


@pytest.mark.parametrize(("first", "last"), [(0, 0), (7, 9), (255, 260), (299, 299), (100, 299)])
def test_removed_with_a_gap(first, last):
    log = Log(300, points=(50, 300))
    log.alter(20)
    del log.rows[first : last + 1]
    report = log.verify()
    assert (Wrong.REMOVED, first, last) in seen(report)
    assert (Wrong.ALTERED, 20, 20) in seen(report)
    assert len(report.faults) == 2
    assert report.covered == 300  # what is left is proven by the hashes of what is gone


def test_a_gap_without_kept_hashes_leaves_the_rest_unjudged():
    log = Log(20, points=(5, 20))
    del log.rows[10]
    report = log.verify(kept=None)
    assert seen(report) == [(Wrong.REMOVED, 10, 10)]
    assert report.covered == 5
    assert report.root is None


@pytest.mark.parametrize("points", [(), (200, 300), (300,)])
@pytest.mark.parametrize("index", [0, 7, 255, 299])
def test_inserted_and_moved_down(points, index):
    log = Log(300, points=points)
    found, content = sealed(index, "inserted")
    log.rows.insert(index, Row(index=0, data=entry.encode(found), beside=content))
    log.renumber()
    report = log.verify()
    assert seen(report) == [(Wrong.INSERTED, index, index), (Wrong.INSERTED, 300, 300)]
    assert "the entry of this place stands at" in report.first.sentence


def test_inserted_at_the_end():
    log = Log(10, points=(10,))
    found, content = sealed(10)
    log.rows.append(Row(index=10, data=entry.encode(found), beside=content))
    report = log.verify()
    assert seen(report) == [(Wrong.INSERTED, 10, 10)]
    assert report.first.sentence == "entry 10 lies beyond the head of 10 entries: it was never integrated"


@pytest.mark.parametrize("points", [(), (100, 300), (300,)])
@pytest.mark.parametrize(("one", "two"), [(0, 1), (3, 299), (255, 256), (50, 150)])
def test_exchanged_entries(points, one, two):
    log = Log(300, points=points)
    log.rows[one], log.rows[two] = log.rows[two], log.rows[one]
    log.renumber()
    report = log.verify()
    assert seen(report) == [(Wrong.REORDERED, one, two)]
    assert f"the entry of place {two} stands here, its own stands at {two}" in report.first.sentence


def test_rows_that_come_in_another_order_under_their_own_index():
    log = Log(20, points=(20,))
    log.rows[5], log.rows[6] = log.rows[6], log.rows[5]
    assert seen(log.verify()) == [(Wrong.REORDERED, 5, 5)]


def test_several_rows_that_come_late_are_told_from_those_that_are_gone():
    log = Log(20, points=(20,))
    late = [log.rows[6], log.rows[8]]
    log.rows[5:10] = []
    log.rows[10:10] = late
    assert seen(log.verify()) == [
        (Wrong.REMOVED, 5, 5),
        (Wrong.REORDERED, 6, 6),
        (Wrong.REMOVED, 7, 7),
        (Wrong.REORDERED, 8, 8),
        (Wrong.REMOVED, 9, 9),
    ]


def test_an_index_that_comes_twice():
    log = Log(20, points=(20,))
    log.rows.insert(6, log.rows[5])
    report = log.verify()
    assert seen(report) == [(Wrong.INSERTED, 5, 5)]
    assert report.covered == 20


def test_an_entry_overwritten_by_a_copy_is_altered_not_removed():
    log = Log(300, points=(300,))
    log.rows[9] = Row(index=9, data=log.rows[12].data, beside=log.rows[12].beside)
    report = log.verify()
    assert seen(report) == [(Wrong.ALTERED, 9, 9)]
    assert report.first.sentence.endswith("It is a copy of entry 12.")


def test_an_entry_moved_over_another_leaves_two_altered():
    log = Log(300, points=(300,))
    log.rows[12] = Row(index=12, data=log.rows[9].data, beside=log.rows[9].beside)
    log.alter(9)
    assert seen(log.verify()) == [(Wrong.ALTERED, 9, 9), (Wrong.ALTERED, 12, 12)]


def test_a_signed_entry_that_nobody_can_read_is_named():
    log = Log(5)
    log.rows[3] = Row(index=3, data=b"{}", beside=None)
    log.rows[4] = Row(index=4, data=log.rows[4].data.replace(b",", b", ", 1), beside=log.rows[4].beside)
    log.rehash()
    report = log.verify()
    assert seen(report) == [(Wrong.UNREADABLE, 3, 3), (Wrong.UNREADABLE, 4, 4)]
    assert "is not in the canonical form" in report.faults[1].sentence


# -- content ---------------------------------------------------------------------------------------


def beside(log, index, what):
    log.rows[index] = Row(index=index, data=log.rows[index].data, beside=what)


def test_content_that_does_not_match_is_named():
    log = Log(10, points=(10,))
    beside(log, 4, Content(salt=log.rows[4].beside.salt, body=b'{"restart":5}'))
    report = log.verify()
    assert seen(report) == [(Wrong.CONTENT_ALTERED, 4, 4)]
    assert "the content of entry 4 (intent) is not what the entry commits to" in report.first.sentence


def test_content_that_is_gone_without_a_word_is_a_fault_unless_it_was_left_out():
    log = Log(10, points=(10,))
    beside(log, 4, None)
    assert seen(log.verify()) == [(Wrong.CONTENT_MISSING, 4, 4)]
    report = log.verify(contents=Contents.LEFT_OUT)
    assert report.ok
    assert report.lines()[-1] == "1 contents were not shown, so they were not compared"


def order(indexes, name="era_1"):
    return entry.erasure(name, indexes, reason="retention", at=NOW, actor="local:alice", salt=b"e" * 16)


def test_erased_on_record_is_not_a_fault():
    log = Log(10, points=(11,), orders=[order([2, 3, 7])])
    for index in (2, 3, 7):
        beside(log, index, Erased(order="era_1"))
    report = log.verify()
    assert report.ok
    assert report.contents_erased == 3
    assert "3 erased on record" in report.lines()[0]


@pytest.mark.parametrize(
    ("named", "gone", "wrong"),
    [
        ([], [4], [(4, 4)]),
        ([3, 5], [3, 4, 5], [(4, 4)]),
        ([4, 5], [3, 4, 5, 6], [(3, 3), (6, 6)]),
        ([9, 10], [9, 10], [(9, 10)]),  # an order that is gone itself vouches for nothing
    ],
)
def test_erased_beyond_its_order_is_a_fault(named, gone, wrong):
    log = Log(10, points=(11,), orders=[order(named)])
    for index in gone:
        beside(log, index, Erased(order="era_1"))
    report = log.verify()
    assert seen(report) == [(Wrong.ERASED_WITHOUT_ORDER, first, last) for first, last in wrong]
    assert "no order of that name in the ledger names it" in report.first.sentence


def test_an_order_speaks_only_of_what_was_there_before_it():
    log = Log(10, orders=[order([4, 11]), sealed(11)])
    for index in (4, 11):
        beside(log, index, Erased(order="era_1"))
    assert seen(log.verify()) == [(Wrong.ERASED_WITHOUT_ORDER, 11, 11)]


def test_an_order_that_cannot_be_read_is_named():
    found, content = entry.seal("erase", {}, at=NOW, actor="u", verdict="", content={}, salt=b"e" * 16)
    log = Log(2, orders=[(found, content)])
    assert seen(log.verify()) == [(Wrong.UNREADABLE, 2, 2)]


# -- checkpoints and pending -------------------------------------------------------------------------


def test_a_ledger_behind_a_checkpoint_says_what_was_cut_off():
    log = Log(20, points=(20,))
    short = Log(15)
    report = short.verify(checkpoints=log.points)
    assert seen(report) == [(Wrong.BEHIND, 15, 19)]
    assert report.first.sentence.endswith("entries 15 to 19 were cut off, or an older copy was put back")


def test_a_checkpoint_that_is_not_trusted_is_named_and_the_others_still_count():
    log = Log(20, points=(10, 20))
    foreign = checkpoint.sign(Checkpoint(origin=ORIGIN, size=15, root=b"x" * 32), b"f" * 32)
    report = log.verify(checkpoints=[log.points[0], foreign, "rubbish", log.points[1]])
    assert seen(report) == [(Wrong.CHECKPOINT, None, None)] * 2
    assert report.covered == 20
    assert report.checkpoints_agreed == 2
    assert seen(log.verify(origin="another.example.org"))[0] == (Wrong.CHECKPOINT, None, None)


def test_a_signed_checkpoint_of_another_history_is_a_fault_even_when_later_ones_agree():
    log = Log(20, points=(10, 20))
    fork = checkpoint.sign(Checkpoint(origin=ORIGIN, size=15, root=b"x" * 32), SEED)
    report = log.verify(against=[fork])
    assert seen(report) == [(Wrong.REWRITTEN, 10, 14)]
    assert report.covered == 20


def test_two_signed_histories_of_one_size_are_a_fault():
    log = Log(20, points=(10, 20))
    fork = checkpoint.sign(Checkpoint(origin=ORIGIN, size=20, root=b"x" * 32), SEED)
    report = log.verify(against=[fork])
    assert seen(report) == [(Wrong.REWRITTEN, 10, 19)]
    assert "or it was signed over another copy of the ledger" in report.first.sentence


def test_a_checkpoint_of_nothing_has_the_root_of_nothing():
    log = Log(20, points=(20,))
    assert log.verify(against=[log.sign(0)]).ok
    false = checkpoint.sign(Checkpoint(origin=ORIGIN, size=0, root=b"x" * 32), SEED)
    assert seen(log.verify(against=[false])) == [(Wrong.CHECKPOINT, None, None)]
    found = verify.against(false, keys=[KEY], size=20, root=log.root, kept=log.kept)
    assert found.fault.what is Wrong.CHECKPOINT


def test_checkpoints_out_of_order_are_a_fault():
    log = Log(20, points=(15, 10, 20))
    assert [what for what, _, _ in seen(log.verify())] == [Wrong.CHECKPOINT]


@pytest.mark.parametrize(("age_ms", "ok"), [(0, True), (1_000, True), (1_001, False)])
def test_pending_entries_are_integrated_within_a_second(age_ms, ok):
    report = Log(3).verify(pending=[Pending(id="pen_1", sealed_at=NOW - timedelta(milliseconds=age_ms))])
    assert report.ok is ok
    if not ok:
        assert report.first.what is Wrong.PENDING
        assert report.first.sentence.startswith("entry pen_1 has been pending for 1001 ms, at most 1000 are right")


def test_against_an_older_checkpoint():
    log = Log(300)
    old = log.sign(200)
    found = verify.against(old, keys=[KEY], size=300, root=log.root, kept=log.kept, origin=ORIGIN)
    assert found.fault is None
    assert tree.verify_consistency(200, found.old.root, 300, log.root, found.proof)
    log.alter(100)
    log.rehash()
    found = verify.against(old, keys=[KEY], size=300, root=log.root, kept=log.kept)
    assert (found.fault.what, found.fault.first, found.fault.last) == (Wrong.REWRITTEN, 0, 199)
    found = verify.against(old, keys=[KEY], size=150, root=log.root, kept=log.kept)
    assert (found.fault.what, found.fault.first, found.fault.last) == (Wrong.BEHIND, 150, 199)
    found = verify.against(old, keys=[], size=300, root=log.root, kept=log.kept)
    assert (found.old, found.fault.what) == (None, Wrong.CHECKPOINT)
    del log.hashes[0, 299]
    assert verify.against(old, keys=[KEY], size=300, root=log.root, kept=log.kept).fault.what is Wrong.KEPT_HASH


def test_a_flood_of_faults_is_counted_and_bounded():
    log = Log(1000, points=(1000,))
    for index in range(0, 1000, 2):
        log.alter(index)
    report = log.verify()
    assert len(report.faults) == FAULTS_MAX
    assert report.first.first == 0
    assert any("more entries differ than the 64 looked into" in line for line in report.lines())
    rows = [*Log(1000).rows, *[Fault(what=Wrong.EXPORT, sentence=f"file {n}") for n in range(300)]]
    report = Log(1000).verify(rows=rows)
    assert report.faults_total == 300
    assert report.lines()[-1 - 1] == "236 further faults are counted but not listed"


def test_a_flood_of_lesser_faults_never_hides_the_first_wrong_entry():
    log = Log(1000, points=(1000,))
    for index in range(1, 1000):
        beside(log, index, None)
    log.alter(0)
    report = log.verify()
    assert (report.faults_total, len(report.faults)) == (1000, FAULTS_MAX)
    assert [(fault.what, fault.first) for fault in report.faults[:2]] == [
        (Wrong.ALTERED, 0),
        (Wrong.CONTENT_MISSING, 1),
    ]
    assert report.faults[-1].first == FAULTS_MAX - 1


# -- several kinds of damage in one ledger -------------------------------------------------------------


def test_a_damaged_hash_before_a_checkpoint_does_not_blur_an_alteration_after_it():
    log = Log(300, points=(100, 200, 300))
    log.hashes[0, 5] = b"x" * 32
    log.alter(150)
    assert seen(log.verify()) == [(Wrong.KEPT_HASH, 5, 5), (Wrong.ALTERED, 150, 150)]


def test_an_alteration_before_a_checkpoint_does_not_blur_a_damaged_hash_after_it():
    log = Log(300, points=(100, 200, 300))
    log.alter(5)
    log.hashes[0, 150] = b"x" * 32
    assert seen(log.verify()) == [(Wrong.ALTERED, 5, 5), (Wrong.KEPT_HASH, 150, 150)]


def test_each_foreign_history_between_agreeing_checkpoints_is_told():
    log = Log(40, points=(10, 20, 40))
    forks = [checkpoint.sign(Checkpoint(origin=ORIGIN, size=size, root=b"x" * 32), SEED) for size in (15, 17, 25)]
    assert seen(log.verify(against=forks)) == [(Wrong.REWRITTEN, 10, 14), (Wrong.REWRITTEN, 20, 24)]


def test_a_head_made_to_fit_clears_no_tile_that_disagrees():
    log = Log(600)
    log.alter(300)
    log.hashes[0, 300] = tree.leaf_hash(log.rows[300].data)
    fitted = Log(600)
    fitted.alter(300)
    fitted.rehash()
    assert seen(log.verify(root=fitted.root)) == [(Wrong.REWRITTEN, 256, 511)]


def test_the_smallest_hash_that_speaks_is_the_one_that_counts():
    suspects = Suspects()
    suspects.differ(7, b"shown", b"kept")
    suspects.side(0, 255, Side.ENTRY)
    suspects.side(0, 65_535, Side.HASH)
    suspects.span(256, 511)
    suspects.span(0, 65_535)
    assert [(fault.what, fault.first, fault.last) for fault in suspects.faults(65_536)] == [
        (Wrong.REWRITTEN, 256, 511),
        (Wrong.KEPT_HASH, 7, 7),
    ]


def test_the_first_faults_by_place_are_kept_in_whatever_order_they_are_found():
    found = [
        Fault(what=Wrong.EXPORT, first=at, last=at, sentence=f"file {at}") for at in range(836, 0, -1)
    ]  # cut for the last time at the last
    report = Log(3).verify(rows=[*found, *Log(3).rows])
    assert [fault.first for fault in report.faults] == list(range(1, FAULTS_MAX + 1))
    assert report.faults_total == 836
