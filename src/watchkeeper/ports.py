"""The ports: what the engine needs of the outside, as protocols. Adapters satisfy them; bootstrap joins the two.

A transaction is data: the core and the engine compute a `Commit`, the store applies all of it or nothing.
That is what makes "one transaction" mean the same in memory, on SQLite and on a server, and what lets a test
stop the world between any two of them.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from watchkeeper.ledger.entry import Content, Entry
from watchkeeper.ledger.tree import Frontier
from watchkeeper.signals.signal import Delivery
from watchkeeper.values import Instant

LIST_LIMIT_MAX: Final = 1_000
WRITE_QUEUE_MAX: Final = 20_000  # commits that wait for the writer; past it `Unavailable`, never unbounded memory
DOCUMENT_BYTES_MAX: Final = 16 * 1024 * 1024  # a decision over 10,000 targets holds what each of them is
ENTRIES_MAX: Final = 10_000  # ledger entries in one answer
HASHES_MAX: Final = 65_536  # kept hashes in one answer

KINDS: Final[dict[str, tuple[str, ...]]] = {
    # kind of document -> the keys it can be listed by (text; "" when absent)
    "signal": ("alert", "source"),
    "dead_letter": ("source", "state"),
    "alert": ("state", "entity", "incident", "severity", "symptom", "source"),
    "incident": ("state", "entity", "severity"),
    "track": (),
    "situation": (),
    "judged": (),
    "decision": ("verdict", "rule", "alert", "incident", "episode", "service", "run"),
    "proposal": ("state", "rule", "episode", "target"),
    "run": ("state", "status", "runbook", "decision", "incident", "target", "rule"),
    "approval": ("state", "decision", "run", "rule", "team"),
    "hold": ("state", "scope"),
    "freeze": ("state", "scope"),
    "stop": ("state", "scope"),
    "grant": ("state", "rule"),
    "feedback": ("run", "decision"),
    "standing": ("rule",),
    "demotion": ("state", "rule"),
    "evidence": ("rule", "decision", "run"),
    "message": ("state", "channel", "subject"),
    "identity": ("state", "name"),
    "token": ("state", "identity", "name"),
    "session": (),
    "configuration": (),
    "activation": ("state",),
    "file": (),
    "health": ("entity",),
    "beat": ("source",),
    "note": ("subject",),
    "answered": ("state",),
    "import": (),
    "tombstone": ("kind",),
    "erasure": ("state",),
    "change": ("state", "service", "source"),
    "heard": (),
    "muted": ("source",),
    "silence": ("source",),
    "recorder": (),
    "swept": (),
    "size": (),
    "breaker": ("state",),
    "brake": ("state",),
    "excluded": ("exclusion", "verdict", "rule"),
    "looks": ("entity",),
    "failover": ("service",),
    "measured": (),
    "timing": (),
    "objective": (),
    "calendar": (),
    "played": (),
    "rhythm": ("rule",),
    "rhythms": (),
    "unusual": ("rule", "service"),
    "answer": (),
}


class Put(Struct, frozen=True, kw_only=True):
    """Write one document. `keys` are a subset of `KINDS[kind]`. `expect`: the row's revision must be this
    (0: the row must not exist); None: whatever it is.
    """

    kind: str
    id: str
    body: bytes
    keys: Mapping[str, str] = {}
    expect: int | None = None


class Drop(Struct, frozen=True, kw_only=True):
    kind: str
    id: str


class Append(Struct, frozen=True, kw_only=True):
    """One journal event under (run, number). A number that exists refuses the whole commit: one writer a number."""

    run: str
    number: int
    body: bytes


class Claim(Struct, frozen=True, kw_only=True):
    """Take `units` of `key` for `run` unless that would pass `limit`. See `decide.decision.ClaimWant`."""

    key: str
    run: str
    limit: int
    units: int = 1
    until_at: Instant | None = None


class Commit(Struct, frozen=True, kw_only=True):
    """All or nothing. Checked first, in this order: `expects`, `appends`, `puts[].expect`, `claims`.

    `expects`: (version key, number) that must be current; a key never bumped is 0. `bumps`: version keys to raise.
    `releases`: runs whose concurrency claims end (window claims stay until their window closes).
    `voids`: runs whose claims all end, those of a window too: they ended without an effect, so they were no attempt.
    `entries`: sealed ledger entries, pending until the sequencer integrates them, in commit order.
    `accepts`: deliveries to keep; `taken`: delivery ids that were taken apart.
    Then all is applied in the order of the fields: a drop beside a put of the same document wins, a release ends
    what the same commit claimed. What is unknown (drops, releases, taken) or known already (accepts) is passed over.
    """

    at: Instant
    expects: tuple[tuple[str, int], ...] = ()
    bumps: tuple[str, ...] = ()
    puts: tuple[Put, ...] = ()
    drops: tuple[Drop, ...] = ()
    appends: tuple[Append, ...] = ()
    claims: tuple[Claim, ...] = ()
    releases: tuple[str, ...] = ()
    voids: tuple[str, ...] = ()
    entries: tuple[tuple[Entry, Content], ...] = ()
    accepts: tuple[Delivery, ...] = ()
    taken: tuple[str, ...] = ()


class Forget(Struct, frozen=True, kw_only=True):
    """What goes, by retention or by order, and the commit that says so (drops and tombstones; no entries): all or nothing.

    `runs`: journals that go whole. `rewrites`: events that stay, with less in them; one that is not there is passed over.
    `deliveries`: ids of those that go, once they were taken apart. `secure`: nothing of it stays in freed room of the file
    or in its log.
    """

    commit: Commit
    runs: tuple[str, ...] = ()
    rewrites: tuple[Append, ...] = ()
    deliveries: tuple[str, ...] = ()
    secure: bool = False


class Size(Struct, frozen=True, kw_only=True):
    """What one kind takes. `kind` is one of KINDS, or `journal`, `delivery`, `entry`, `content`. `bytes` are those of the
    bodies alone. `oldest_at` is None where nothing says it.
    """

    kind: str
    rows: int
    bytes: int
    oldest_at: Instant | None = None


class Committed(Struct, frozen=True, kw_only=True):
    """Durable. `position` is the journal position: it orders everything, whatever the clocks say."""

    position: int
    versions: dict[str, int] = {}


class Refused(Struct, frozen=True, kw_only=True):
    """Nothing was written. `what` is `version`, `journal`, `document` or `claim`; `key` names which; `why` is a sentence."""

    what: str
    key: str
    why: str


class Row(Struct, frozen=True, kw_only=True):
    """`revision` counts the writes, from 1. `position` is where it was first written and stays, so lists and cursors
    do not move when it is written again.
    """

    id: str
    revision: int
    position: int
    body: bytes


class Page(Struct, frozen=True, kw_only=True):
    """`next` is the cursor for the following page, None at the end. A page of large documents may end early."""

    items: tuple[Row, ...]
    next: str | None = None


class ClaimRow(Struct, frozen=True, kw_only=True):
    key: str
    run: str
    units: int
    until_at: Instant | None


class EntryRow(Struct, frozen=True, kw_only=True):
    """An integrated entry: its index in the tree, exact bytes, and the leaf hash stored when it was integrated.

    `erased`: its content went by the order of erasure `order`. Neither content nor erased: the content is damaged.
    """

    index: int
    body: bytes
    leaf: bytes
    content: bytes | None = None
    salt: bytes | None = None
    erased: bool = False
    order: str = ""


class Store(Protocol):
    """Everything durable. One instance owns the data of one node.

    Raises `Unavailable` when the writer's queue is full or the disk is, `Rejected` for what no store keeps (an unknown
    kind or key, text that is not Unicode, a number or size out of bounds); an error of fsync or commit itself ends
    the process, because nobody knows what was written. Cancelling a `commit` does not undo it.
    """

    async def commit(self, commit: Commit) -> Committed | Refused: ...

    async def get(self, kind: str, identity: str) -> Row | None: ...

    async def find(
        self,
        kind: str,
        where: Mapping[str, str | Sequence[str]] | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
        oldest_first: bool = False,
    ) -> Page: ...

    async def count(
        self, kind: str, where: Mapping[str, str | Sequence[str]] | None = None, *, since: str | None = None
    ) -> int:
        """`since` is a cursor: only what was first written behind it. Read from the keys alone, whatever the documents weigh."""
        ...

    async def versions(self) -> dict[str, int]: ...

    async def journal(self, run: str) -> tuple[bytes, ...]: ...

    async def claims(self, at: Instant, prefix: str = "") -> tuple[ClaimRow, ...]: ...

    async def deliveries(self, limit: int) -> tuple[Delivery, ...]:
        """Accepted and not yet taken apart: lowest `priority` number first, then by position."""

    async def longest_waiting(self, limit: int) -> tuple[Delivery, ...]:
        """Of the same the ones accepted first, whatever their priority."""

    async def delivery(self, identity: str) -> Delivery | None: ...

    async def deliveries_waiting(self) -> int:
        """How many were accepted and are not yet taken apart."""

    async def integrate(self, limit: int = 10_000) -> int:
        """Move pending entries into the tree, in commit order; the number integrated."""

    async def pending_entries(self) -> tuple[tuple[Instant, bytes], ...]: ...

    async def tree_size(self) -> int: ...

    async def entries(self, first: int, limit: int) -> tuple[EntryRow, ...]: ...

    async def entries_of(self, name: str, identity: str) -> tuple[EntryRow, ...]:
        """Entries whose `ids` hold `name: identity`, in order: the trail of an incident, a run, a decision."""

    async def leaf_hashes(self, first: int, limit: int) -> tuple[bytes, ...]: ...

    async def kept_hashes(self, level: int, first: int, limit: int) -> tuple[bytes, ...]:
        """As `ledger.tree.Kept` wants them; `leaf_hashes` are those of level 0."""

    async def frontier(self) -> Frontier:
        """The tree's size and right edge, as last integrated: the root is `frontier().root()`."""

    async def entries_on(self, day: str) -> tuple[tuple[int, int], ...]:
        """Integrated entries of a day (`2026-03-01`, UTC) that still have content, as inclusive ranges of indexes."""

    async def erase(self, order: str, indexes: Sequence[int]) -> int:
        """Contents of these entries go; the number that went. A day's key goes with the last content under it.

        The `erase` entry named `order` must be in the tree before (`ledger.entry.erasure`). Raises Rejected for
        an entry that is not in the tree, or that is itself an order of erasure.
        """

    async def prune(self, before: Instant, *, deliveries: bool = True) -> int:
        """Forget windows of claims that closed before, and deliveries taken apart that came before; the number."""

    async def forget(self, forget: Forget) -> Committed | Refused:
        """Raises Rejected for a commit with entries: what the tree holds is `commit`'s, and its content `erase`'s."""

    async def old_deliveries(self, before: Instant, limit: int, after: str = "") -> tuple[Delivery, ...]:
        """Taken apart, and received before: oldest first, from behind the delivery with the id `after` on."""

    async def size_bytes(self) -> int:
        """What it takes of the disk: the file with room that was freed in it, and the log."""

    async def used_bytes(self) -> int:
        """What is in use of it: freed room is used again before the file grows."""

    async def sizes(self) -> tuple[Size, ...]:
        """Every kind that has any rows. Reads everything once: for a person who asks."""

    async def close(self) -> None: ...
