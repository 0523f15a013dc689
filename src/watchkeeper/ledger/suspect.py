"""Suspects: places where an entry and the hash kept for it differ, and what became of each.

A difference alone does not say which of the two was altered, nor whether an entry was altered or moved. The hashes
kept over 256 entries and more take a side; a checkpoint decides; and an entry that turns up at another place tells a
removal, an insertion and an exchange apart. Only the first SUSPECTS_MAX are looked into, so that memory stays bounded.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from watchkeeper.ledger.fault import Fault, Wrong, entries

SUSPECTS_MAX: Final = 64


class Side(StrEnum):
    """Who is right where an entry and its kept hash differ."""

    ENTRY = "entry"
    HASH = "hash"


class Suspect:
    """One entry that differs from its kept hash. `came_from` and `stands_at` are where they were seen again."""

    __slots__ = ("came_from", "index", "kept", "proof", "shown", "side", "stands_at")

    def __init__(self, index: int, shown: bytes, kept: bytes) -> None:
        self.index, self.shown, self.kept = index, shown, kept
        self.side: Side | None = None
        self.proof = ""  # what decided, in words; "" while it is only what other kept hashes say
        self.came_from: int | None = None
        self.stands_at: int | None = None


class Span:
    """Entries and leaf hashes agree, and the hash kept over them says otherwise. `proof` as above."""

    __slots__ = ("first", "last", "proof")

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last, self.proof = first, last, ""


class Suspects:
    """All of one pass, in order of index."""

    def __init__(self) -> None:
        self.found: list[Suspect] = []
        self.spans: list[Span] = []
        self.unlisted = 0
        self._differing: set[int] = set()
        self._await_kept: dict[bytes, Suspect] = {}
        self._await_shown: dict[bytes, Suspect] = {}

    @property
    def watching(self) -> bool:
        return bool(self._await_kept or self._await_shown)

    def differ(self, index: int, shown: bytes, kept: bytes) -> None:
        self.shown_at(shown, index)
        self.kept_at(kept, index)
        if len(self._differing) <= SUSPECTS_MAX:
            self._differing.add(index)
        if len(self.found) >= SUSPECTS_MAX:
            self.unlisted += 1
            return
        suspect = Suspect(index, shown, kept)
        self.found.append(suspect)
        self._await_kept.setdefault(shown, suspect)
        self._await_shown.setdefault(kept, suspect)

    def gap(self, index: int) -> None:
        if len(self._differing) <= SUSPECTS_MAX:
            self._differing.add(index)

    def shown_at(self, shown: bytes, index: int) -> None:
        """An entry was read: is it one that is missed elsewhere?"""
        missed = self._await_shown.pop(shown, None)
        if missed is not None:
            missed.stands_at = index

    def kept_at(self, kept: bytes, index: int) -> None:
        """A kept hash was read: does it belong to an entry seen elsewhere?"""
        seen = self._await_kept.pop(kept, None)
        if seen is not None:
            seen.came_from = index

    def side(self, first: int, last: int, side: Side) -> None:
        """A hash over first..last takes a side. The smallest one that covers a suspect is asked first, and stands."""
        for suspect in self.found:
            if suspect.side is None and first <= suspect.index <= last:
                suspect.side = side

    def span(self, first: int, last: int) -> None:
        """A hash over first..last agrees with nobody. A smaller span inside it already says so more precisely."""
        if not self.spans_between(first, last) and len(self.spans) < SUSPECTS_MAX:
            self.spans.append(Span(first, last))

    def spans_between(self, first: int, last: int) -> bool:
        return any(not span.proof and span.first <= last and span.last >= first for span in self.spans)

    def decide(self, side: Side, proof: str, *, signed: bool) -> None:
        """A root agrees with all entries, or with all leaf hashes, read so far.

        An unsigned root clears no entry that another kept hash speaks against: either may have been altered.
        """
        for suspect in self.found:
            if not suspect.proof and (signed or suspect.side in {None, side}):
                suspect.side, suspect.proof = side, proof
        for span in self.spans:
            if not span.proof and signed:
                span.proof = proof

    def faults(self, size: int) -> Iterator[Fault]:
        for span in self.spans:
            yield _span_fault(span)
        explained = -1
        for suspect in self.found:
            if suspect.index <= explained:
                continue
            fault = self._fault(suspect, size)
            if fault.what in {Wrong.REMOVED, Wrong.INSERTED}:  # everything after it has moved, and differs for that
                explained = self.found[-1].index
                self.unlisted = 0
            elif fault.what is Wrong.REORDERED and fault.last is not None:
                explained = fault.last
            yield fault

    def _fault(self, suspect: Suspect, size: int) -> Fault:
        at, source, place = suspect.index, suspect.came_from, suspect.stands_at
        by = f"; {suspect.proof}" if suspect.proof else ""
        shifted = at + 1 >= size or at + 1 in self._differing
        if suspect.side is Side.ENTRY:
            what, last = Wrong.KEPT_HASH, at
            says = f"the hash kept for entry {at} was altered; the entry itself is right{by}"
            if not suspect.proof:
                says = f"the hash kept for entry {at} was altered, as far as the other kept hashes tell; no checkpoint covers it"
        elif source is not None and place is not None:
            what, last = Wrong.REORDERED, max(source, place)
            says = f"entry {at} is out of order: the entry of place {source} stands here, its own stands at {place}{by}"
        elif source is not None and shifted:
            what, last = Wrong.REMOVED, source - 1
            gone = "was" if last == at else "were"
            says = f"{entries(at, last)} {gone} removed and the later ones moved up: here stands the entry of place {source}{by}"
        elif place is not None and shifted:
            what, last = Wrong.INSERTED, place - 1
            says = f"{entries(at, last)} {'was' if last == at else 'were'} inserted: the entry of this place stands at {place}{by}"
        else:
            what, last = Wrong.ALTERED, at
            copied = f" It is a copy of entry {source}." if source is not None else ""
            says = f"entry {at} was altered: its bytes do not match the hash kept when it was written{by}.{copied}"
        return Fault(what=what, first=at, last=last, sentence=says)


def _span_fault(span: Span) -> Fault:
    where = entries(span.first, span.last)
    if span.proof:
        says = f"the hash kept over {where} was altered; the entries are right; {span.proof}"
        return Fault(what=Wrong.KEPT_HASH, first=span.first, last=span.last, sentence=says)
    says = (
        f"one or more of {where} were altered together with their kept hashes: the hash kept over all of them disagrees. "
        "Compare these entries with an export or a backup to find which"
    )
    return Fault(what=Wrong.REWRITTEN, first=span.first, last=span.last, sentence=says)
