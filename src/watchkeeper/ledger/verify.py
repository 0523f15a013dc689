"""Verification: one pass over the entries, constant memory, the first wrong entry named.

Three things speak for an entry, weakest first: the hashes kept beside it (leaf hashes say *which* entry differs, hashes
over 256 and 65,536 entries say *which side* of a difference was altered), the stored head, and the signed checkpoints.
Two trees are grown in parallel: one of the entries as they are shown, one of the kept leaf hashes. A checkpoint that
agrees with the first clears the entries, one that agrees with the second convicts exactly those that differ; one that
agrees with neither proves that an entry was altered together with its hash, after the last checkpoint that agreed.

In: `Row`s in the order of their indexes, kept hashes, checkpoints, pending entries. Out: a `Report`.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final, assert_never

import msgspec
from msgspec import Struct

from watchkeeper.errors import Malformed, Untrusted
from watchkeeper.ledger import checkpoint as checkpoints_of
from watchkeeper.ledger import entry as entries_of
from watchkeeper.ledger.checkpoint import Checkpoint
from watchkeeper.ledger.entry import Content, Entry, Erased, Kind
from watchkeeper.ledger.fault import FAULTS_MAX, Fault, Report, Wrong, entries
from watchkeeper.ledger.note import PublicKey
from watchkeeper.ledger.suspect import SUSPECTS_MAX, Side, Suspects
from watchkeeper.ledger.tree import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Frontier,
    Growing,
    Kept,
    KeptHash,
    consistency_proof,
    leaf_hash,
    verify_consistency,
)
from watchkeeper.values import Instant, canonical, ms_between

PENDING_AGE_MAX_MS: Final = 1_000


class Row(Struct, frozen=True, kw_only=True):
    """One stored entry: its bytes as they are stored, and what lies beside it; None when that is not shown."""

    index: int
    data: bytes
    beside: Content | Erased | None = None


class Pending(Struct, frozen=True, kw_only=True):
    """An entry that was committed with its fact and has no place in the tree yet."""

    id: str
    sealed_at: Instant


class Contents(StrEnum):
    """Whether rows come with what lies beside them. SHOWN: one without content and without marker is a fault."""

    SHOWN = "shown"
    LEFT_OUT = "left_out"


def verify_entries(
    rows: Iterable[Row | Fault],
    *,
    size: int,
    root: bytes | None,
    kept: Kept | None,
    checkpoints: Iterable[str],
    keys: Sequence[PublicKey],
    now: Instant,
    origin: str = "",
    against: Sequence[str] = (),
    contents: Contents = Contents.SHOWN,
    pending: Iterable[Pending] = (),
    remarks: tuple[str, ...] = (),
) -> Report:
    """Does the ledger still say what it said?

    `rows` ascend by index; a Fault among them is what their reader found, and is reported as it is. `size` and `root`
    are the stored head; None where there is none but the checkpoints. `kept` are the stored hashes; None when only
    entries were kept, then checkpoints alone narrow an alteration down. `checkpoints` are signed texts ascending by
    size, read as the pass goes; `against` are texts that somebody kept elsewhere, in any order.
    """
    watch = _Pass(size=size, kept=kept, contents=contents)
    judges = _Judges(watch, checkpoints, against, keys, origin)
    judges.sit()
    for row in rows:
        if isinstance(row, Fault):
            watch.fault(row)
            continue
        if not watch.expects(row):
            continue
        while watch.position < row.index:  # a gap: the kept hashes stand in for what is missing
            watch.step(None)
            judges.sit()
        watch.step(row)
        judges.sit()
    while watch.position < size:
        watch.missing(watch.position, size - 1)
        while watch.position < size:
            watch.step(None)
            judges.sit()
    judges.rise(root)
    for fault in watch.suspects.faults(size):
        watch.fault(fault)
    watch.erasures()
    for fault in _overdue(pending, now):
        watch.fault(fault)
    return watch.report(judges, remarks)


class Comparison(Struct, frozen=True, kw_only=True):
    """A checkpoint somebody kept, held against the ledger: `fault` is None when it agrees; then `proof` shows it."""

    old: Checkpoint | None
    fault: Fault | None
    proof: tuple[bytes, ...] = ()


def against(
    text: str, *, keys: Sequence[PublicKey], size: int, root: bytes, kept: Kept, origin: str = ""
) -> Comparison:
    """Is the tree of `size` and `root` a continuation of the one in the checkpoint `text`? Reads kept hashes only."""
    try:
        old = checkpoints_of.verify(text, keys, origin)
    except (Malformed, Untrusted) as broken:
        return Comparison(old=None, fault=_refused(broken))
    if old.size > size:
        return Comparison(old=old, fault=_behind(old, size))
    try:
        proof = consistency_proof(kept, old.size, size)
    except Untrusted as broken:
        return Comparison(old=old, fault=Fault(what=Wrong.KEPT_HASH, sentence=str(broken)))
    if not verify_consistency(old.size, old.root, size, root, proof):
        return Comparison(old=old, fault=_rewritten(0, old))
    return Comparison(old=old, fault=None, proof=proof)


class _Judges:
    """The checkpoints, in order of size, each heard when the pass has reached its size."""

    def __init__(
        self, watch: "_Pass", texts: Iterable[str], kept: Sequence[str], keys: Sequence[PublicKey], origin: str
    ) -> None:
        self.watch, self.keys, self.origin = watch, keys, origin
        self.covered = self.before = self.agreed = 0  # before: the last size that agreed below `covered`
        self.lost = False  # one agreed with neither tree: until one agrees again, later ones say the same
        outside = sorted(self._read(kept), key=_size)
        self.rest = iter(heapq.merge(self._read(texts), outside, key=_size))
        self.next = next(self.rest, None)

    def sit(self) -> None:
        while self.next is not None and self.next.size <= self.watch.position:
            self._hear(self.next)
            self.next = next(self.rest, None)

    def rise(self, root: bytes | None) -> None:
        """The end: the head is heard, then nobody is left but checkpoints over more entries than there are."""
        watch = self.watch
        if (
            root is not None
            and not watch.blind
            and not watch.judge(root, "the stored head agrees, no checkpoint covers it", signed=False)
        ):
            if self.covered == watch.size:
                watch.fault(_head(watch.size))
            elif not self.lost and not watch.suspects.spans_between(self.covered, watch.size - 1):
                watch.fault(_unaccounted(self.covered, watch.size - 1))
        while self.next is not None:
            watch.fault(_behind(self.next, watch.size))
            self.next = next(self.rest, None)

    def _hear(self, found: Checkpoint) -> None:
        watch, last = self.watch, found.size - 1
        if found.size < watch.position:
            watch.fault(_misplaced(found))
        elif watch.blind:
            pass
        elif watch.judge(found.root, f"the checkpoint of {found.size} entries proves it", signed=True):
            if found.size > self.covered:
                self.before, self.covered = self.covered, found.size
            self.agreed, self.lost = self.agreed + 1, False
        elif not self.lost:
            self.lost = True
            since = self.covered if self.covered < found.size else self.before
            if not watch.suspects.spans_between(since, last):
                watch.fault(_rewritten(since, found))

    def _read(self, texts: Iterable[str]) -> Iterator[Checkpoint]:
        for text in texts:
            try:
                yield checkpoints_of.verify(text, self.keys, self.origin)
            except (Malformed, Untrusted) as broken:
                self.watch.fault(_refused(broken))


class _Pass:
    """Where the pass stands. `shown` grows from the entries, `kept` from the leaf hashes; one tree until they differ."""

    def __init__(self, *, size: int, kept: Kept | None, contents: Contents) -> None:
        self.size, self.reader, self.contents = size, kept, contents
        self.position = 0
        self.shown = self.kept = Growing(Frontier())
        self.blind = False  # an entry is missing and so is its hash: no root can be known any more
        self.suspects = Suspects()
        self.faults: list[Fault] = []
        self.faults_total = 0
        self.leaves: Sequence[bytes] = ()
        self.matched = self.absent = self.erased = 0
        self.orders: dict[str, tuple[int, entries_of.Erasure]] = {}
        self.gone: dict[str, list[tuple[int, int]]] = {}

    # -- rows ---------------------------------------------------------------------------------------

    def expects(self, row: Row) -> bool:
        """Is this row the next one, after a gap perhaps? Others are reported and left out of the tree."""
        at = row.index
        if at >= self.size:
            self.suspects.shown_at(leaf_hash(row.data), at)
            where = f"entry {at} lies beyond the head of {self.size} entries: it was never integrated"
            self.fault(Fault(what=Wrong.INSERTED, first=at, last=at, sentence=where))
            return False
        if at < self.position:
            late = f"entry {at} comes after entry {self.position - 1}: it was inserted, or moved out of its order"
            what = Wrong.REORDERED if self._was_missing(at) else Wrong.INSERTED
            self.fault(Fault(what=what, first=at, last=at, sentence=late))
            return False
        if at > self.position:
            self.missing(self.position, at - 1)
        return True

    def missing(self, first: int, last: int) -> None:
        says = f"{entries(first, last)} {'is' if first == last else 'are'} missing: removed from the store"
        self.fault(Fault(what=Wrong.REMOVED, first=first, last=last, sentence=says))

    def step(self, row: Row | None) -> None:
        """Take the entry at `position`; None when it is missing."""
        at = self.position
        stored = self._leaf(at)
        if row is None:
            self._grow(stored, stored)
            if stored:
                self.suspects.kept_at(stored, at)
            self.suspects.gap(at)
            return
        leaf = leaf_hash(row.data)
        if not stored:
            self._grow(leaf, leaf)
        elif leaf == stored:
            if self.suspects.watching:
                self.suspects.shown_at(leaf, at)
                self.suspects.kept_at(stored, at)
            self._grow(leaf, leaf)
        else:
            self.suspects.differ(at, leaf, stored)
            self._grow(leaf, stored)
            return  # what an altered entry commits to proves nothing
        self._content(row)

    def _grow(self, leaf: bytes, stored: bytes) -> None:
        self.position += 1
        if not leaf or self.blind:
            self.blind = True
            return
        if self.kept is self.shown and leaf != stored:
            self.kept = Growing(self.shown.frontier())
        made = self.shown.append(leaf)
        also = made if self.kept is self.shown else self.kept.append(stored)
        if self.reader is not None and made:
            for shown, kept in zip(made, also, strict=True):
                self._tile(shown, kept, self.reader(shown.level, shown.index, 1))

    def _tile(self, shown: KeptHash, kept: KeptHash, row: Sequence[bytes]) -> None:
        first = shown.index << TILE_HEIGHT * shown.level
        last = first + (1 << TILE_HEIGHT * shown.level) - 1
        if not row or not row[0]:
            self._hash_gone(shown.level, first, last)
        elif row[0] == shown.hash == kept.hash:
            pass
        elif row[0] == shown.hash:
            self.suspects.side(first, last, Side.ENTRY)
        elif row[0] == kept.hash:
            self.suspects.side(first, last, Side.HASH)
        else:
            self.suspects.span(first, last)

    def _leaf(self, at: int) -> bytes:
        """The kept leaf hash; b"" when there is none."""
        if self.reader is None:
            return b""
        if at % TILE_WIDTH == 0:
            self.leaves = self.reader(0, at, min(TILE_WIDTH, self.size - at))
        within = at % TILE_WIDTH
        found = self.leaves[within] if within < len(self.leaves) else b""
        if not found:
            self._hash_gone(0, at, at)
        return found

    def _hash_gone(self, level: int, first: int, last: int) -> None:
        says = f"the hash kept at level {level} for {entries(first, last)} is missing"
        self.fault(Fault(what=Wrong.KEPT_HASH, first=first, last=last, sentence=says))

    # -- content ------------------------------------------------------------------------------------

    def _content(self, row: Row) -> None:
        at, beside = row.index, row.beside
        try:
            entry = entries_of.read(row.data)
            plain = canonical(msgspec.json.decode(row.data)) == row.data
        except Malformed as broken:
            self.fault(Fault(what=Wrong.UNREADABLE, first=at, last=at, sentence=f"entry {at}: {broken}"))
            return
        if not plain:
            says = f"entry {at} is not in the canonical form: readers may disagree on what it says"
            self.fault(Fault(what=Wrong.UNREADABLE, first=at, last=at, sentence=says))
        match beside:
            case Content():
                self._compare(at, entry, beside)
            case Erased():
                self.erased += 1
                spans = self.gone.setdefault(beside.order, [])
                if spans and spans[-1][1] == at - 1:
                    spans[-1] = (spans[-1][0], at)
                else:
                    spans.append((at, at))
            case None:
                self.absent += 1
                if self.contents is Contents.SHOWN:
                    says = f"the content of entry {at} is missing and nothing says that it was erased"
                    self.fault(Fault(what=Wrong.CONTENT_MISSING, first=at, last=at, sentence=says))
            case _:
                assert_never(beside)

    def _compare(self, at: int, entry: Entry, content: Content) -> None:
        if not entries_of.matches(entry, content):
            says = f"the content of entry {at} ({entry.kind}) is not what the entry commits to: content or salt was altered"
            self.fault(Fault(what=Wrong.CONTENT_ALTERED, first=at, last=at, sentence=says))
            return
        self.matched += 1
        if entry.kind == Kind.ERASE:
            try:
                order = entries_of.read_erasure(content)
            except Malformed as broken:
                self.fault(Fault(what=Wrong.UNREADABLE, first=at, last=at, sentence=f"entry {at}: {broken}"))
            else:
                self.orders[order.erasure] = (at, order)

    def erasures(self) -> None:
        """Each content that is gone must be named by an order in the tree that is later than its entry."""
        for name, spans in self.gone.items():
            at, order = self.orders.get(name, (0, None))
            allowed = order.ranges if order is not None else ()
            for first, last in spans:
                for start, end in _outside((first, last), allowed, at):
                    says = (
                        f"the content of {entries(start, end)} is marked as erased by {name}, "
                        "but no order of that name in the ledger names it"
                    )
                    self.fault(Fault(what=Wrong.ERASED_WITHOUT_ORDER, first=start, last=end, sentence=says))

    # -- judgement ----------------------------------------------------------------------------------

    def judge(self, root: bytes, proof: str, *, signed: bool) -> bool:
        """Does `root` agree with the entries, or with the kept hashes? Then that tree is the one to go on with."""
        if root == self.shown.root():
            self.suspects.decide(Side.ENTRY, proof, signed=signed)
            self.kept = self.shown
            return True
        if root == self.kept.root():
            self.suspects.decide(Side.HASH, proof, signed=signed)
            self.shown = self.kept
            return True
        return False

    def fault(self, found: Fault) -> None:
        self.faults_total += 1
        self.faults.append(found)
        if len(self.faults) > FAULTS_MAX * 4:  # what is found late may lie early: keep the first by place
            self.faults = sorted(self.faults, key=_place)[:FAULTS_MAX]

    def _was_missing(self, at: int) -> bool:
        """A row that comes late: then it was not removed, and the gap it left is split around it."""
        for place, found in enumerate(self.faults):
            first, last = found.first, found.last
            if found.what is Wrong.REMOVED and first is not None and last is not None and first <= at <= last:
                del self.faults[place]
                self.faults_total -= 1
                for start, end in ((first, at - 1), (at + 1, last)):
                    if start <= end:
                        self.missing(start, end)
                return True
        return False

    def report(self, judges: _Judges, remarks: tuple[str, ...]) -> Report:
        if self.suspects.unlisted:
            remarks = (*remarks, f"{self.suspects.unlisted} more entries differ than the {SUSPECTS_MAX} looked into")
        ordered = sorted(self.faults, key=_place)
        return Report(
            size=self.size,
            root=None if self.blind else self.shown.root(),
            faults=tuple(ordered[:FAULTS_MAX]),
            faults_total=self.faults_total,
            covered=judges.covered,
            checkpoints_agreed=judges.agreed,
            contents_matched=self.matched,
            contents_erased=self.erased,
            contents_absent=self.absent,
            remarks=remarks,
        )


def _size(found: Checkpoint) -> int:
    return found.size


def _place(found: Fault) -> tuple[bool, int, int]:
    """By the first entry meant; where two begin alike the narrower; those that mean no entry last."""
    return (found.first is None, found.first or 0, found.last or 0)


def _outside(span: tuple[int, int], allowed: Sequence[tuple[int, int]], before: int) -> Iterator[tuple[int, int]]:
    """The parts of `span` that no range of `allowed` covers below index `before`; ranges ascend."""
    at, last = span
    for start, end in allowed:
        end = min(end, before - 1)  # noqa: PLW2901  an order speaks of what was there before it
        if end < at or start > last:
            continue
        if start > at:
            yield at, start - 1
        at = max(at, end + 1)
    if at <= last:
        yield at, last


def _overdue(pending: Iterable[Pending], now: Instant) -> Iterator[Fault]:
    for item in pending:
        age_ms = ms_between(item.sealed_at, now)
        if age_ms > PENDING_AGE_MAX_MS:
            says = (
                f"entry {item.id} has been pending for {age_ms} ms, at most {PENDING_AGE_MAX_MS} are right: "
                "nothing puts entries into the tree. Is the node up? 'watchkeeper status'"
            )
            yield Fault(what=Wrong.PENDING, sentence=says)


def _refused(why: Malformed | Untrusted) -> Fault:
    return Fault(what=Wrong.CHECKPOINT, sentence=f"a checkpoint is not trusted: {why}")


def _misplaced(found: Checkpoint) -> Fault:
    says = f"the checkpoint of {found.size} entries is listed after a larger one: the stored list was altered"
    return Fault(what=Wrong.CHECKPOINT, sentence=says)


def _behind(found: Checkpoint, size: int) -> Fault:
    says = (
        f"a checkpoint was signed over {found.size} entries and the ledger holds {size}: "
        f"{entries(size, found.size - 1)} were cut off, or an older copy was put back"
    )
    return Fault(what=Wrong.BEHIND, first=size, last=found.size - 1, sentence=says)


def _rewritten(since: int, found: Checkpoint) -> Fault:
    if not found.size:
        says = "a checkpoint of 0 entries has the root of something else: it was not signed over an empty ledger"
        return Fault(what=Wrong.CHECKPOINT, sentence=says)
    says = (
        f"{entries(since, found.size - 1)} are not what the checkpoint of {found.size} entries was signed over: one or more "
        "were altered together with the hashes kept for them, or it was signed over another copy of the ledger. "
        "Compare them with an export or a backup to find which"
    )
    return Fault(what=Wrong.REWRITTEN, first=since, last=found.size - 1, sentence=says)


def _unaccounted(first: int, last: int) -> Fault:
    says = (
        f"{entries(first, last)} do not add up to the stored head: one or more were altered together with the hashes kept "
        "for them, or the head was. No checkpoint covers them"
    )
    return Fault(what=Wrong.REWRITTEN, first=first, last=last, sentence=says)


def _head(size: int) -> Fault:
    says = f"the root of the stored head is wrong; the {size} entries are right: a checkpoint agrees with them"
    return Fault(what=Wrong.HEAD, sentence=says)
