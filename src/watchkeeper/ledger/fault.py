"""What a verifier found wrong, where, and the report a person reads."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

FAULTS_MAX: Final = 64  # the first ones are listed; the rest are counted


class Wrong(StrEnum):
    """What is wrong. With entries: what stands there is not what was written."""

    ALTERED = "altered"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    REWRITTEN = "rewritten"  # entry and kept hash altered together: known to a range only
    UNREADABLE = "unreadable"
    KEPT_HASH = "kept_hash"  # a stored hash is wrong; the entries it covers are right
    HEAD = "head"  # the stored size or root is wrong; the entries are right
    CONTENT_ALTERED = "content_altered"
    CONTENT_MISSING = "content_missing"
    ERASED_WITHOUT_ORDER = "erased_without_order"
    CHECKPOINT = "checkpoint"  # it cannot be read, or nobody trusted signed it
    BEHIND = "behind"  # a checkpoint was signed over more entries than there are
    PENDING = "pending"
    EXPORT = "export"  # a file of an export is missing or has bytes too many


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that is wrong. `first` and `last` are indexes of entries, inclusive; None when no entry is meant."""

    what: Wrong
    sentence: str
    first: int | None = None
    last: int | None = None


class Report(Struct, frozen=True, kw_only=True):
    """What one pass over the ledger found.

    `faults` are in order of the entries they name, those that name none last; at most FAULTS_MAX, `faults_total` counts
    all. `covered` is the size of the largest checkpoint that agrees: entries from there on are not signed yet.
    `root` is over the entries as they were shown; None when a gap made it unknowable.
    """

    size: int
    root: bytes | None
    faults: tuple[Fault, ...]
    faults_total: int
    covered: int
    checkpoints_agreed: int
    contents_matched: int
    contents_erased: int
    contents_absent: int
    remarks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.faults_total

    @property
    def first(self) -> Fault | None:
        """The first wrong entry; else the first thing wrong at all; None when all is well."""
        return self.faults[0] if self.faults else None

    def lines(self) -> tuple[str, ...]:
        """For a person: the answer first, then each fault, then what was not looked at."""
        return (self._answer(), *(fault.sentence for fault in self.faults), *self._rest())

    def _answer(self) -> str:
        if self.ok:
            root = f", root {self.root.hex()[:16]}…" if self.root is not None else ""
            return (
                f"ledger holds: {self.size} entries{root}, {_agree(self.checkpoints_agreed)}, "
                f"{self.contents_matched} contents match, {self.contents_erased} erased on record"
            )
        return (
            f"ledger DOES NOT hold: {self.faults_total} fault{'' if self.faults_total == 1 else 's'} in {self.size} entries. "
            "Keep this copy untouched as evidence; verify a backup and the last export before anything is restored"
        )

    def _rest(self) -> tuple[str, ...]:
        found = list(self.remarks)
        if self.faults_total > len(self.faults):
            found.append(f"{self.faults_total - len(self.faults)} further faults are counted but not listed")
        if self.covered < self.size:
            found.append(
                f"entries {self.covered} to {self.size - 1} are under no agreeing checkpoint: only the hashes kept beside "
                "them speak for them. Compare with a checkpoint from a notification or ticket: "
                "'watchkeeper ledger verify --against FILE'"
            )
        if self.contents_absent:
            found.append(f"{self.contents_absent} contents were not shown, so they were not compared")
        return tuple(found)


def entries(first: int, last: int) -> str:
    """`entry 7`, `entries 7 to 9`: how a range is said."""
    return f"entry {first}" if first == last else f"entries {first} to {last}"


def _agree(number: int) -> str:
    return "1 checkpoint agrees" if number == 1 else f"{number} checkpoints agree"
