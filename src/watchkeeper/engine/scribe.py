"""The scribe: the one way in which the engine writes. Seals entries, commits, and tells those who watch.

Everything a page or a script may watch (`GET /api/v1/events`) is what was committed, in the order of its position.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchkeeper.engine.clock import Clock
from watchkeeper.engine.timing import Timing
from watchkeeper.ledger.entry import SALT_BYTES, Content, Entry, seal
from watchkeeper.ports import Commit, Committed, Put, Refused, Store
from watchkeeper.values import Instant, id_new

WATCHED_MAX: Final = 10_000  # changes kept for those who reconnect; older ones are answered with a reset
WATCHERS_MAX: Final = 200
BEHIND_MAX: Final = 5_000  # a watcher so far behind is let go

WATCHED_KINDS: Final = frozenset(
    {
        "alert",
        "incident",
        "decision",
        "proposal",
        "run",
        "approval",
        "hold",
        "freeze",
        "stop",
        "activation",
        "note",
        "breaker",
        "brake",
        "played",
    }
)

ACTORS_KEPT: Final = 1_024

Dice = Callable[[int], bytes]


class Change(Struct, frozen=True, kw_only=True):
    """One committed document, as watchers see it."""

    number: int
    kind: str
    id: str
    body: bytes


class Scribe:
    """`dice(n)` gives n random bytes; a simulation hands in seeded ones."""

    def __init__(self, store: Store, clock: Clock, dice: Dice) -> None:
        self.store, self.clock, self._dice = store, clock, dice
        self._changes: deque[Change] = deque(maxlen=WATCHED_MAX)
        self._number = int(
            clock.now().timestamp() * 1000
        )  # grows over restarts, so an old Last-Event-ID is seen as old
        self._watchers: set[asyncio.Queue[Change | None]] = set()
        self.versions: dict[str, int] = {}
        self.timing = Timing()
        # What in this process keeps count of documents of a kind: told each one that was written (with the position of
        # its commit: answers may be heard in another order), and the id of each one dropped.
        self.heard: dict[str, Callable[[Put, int], None]] = {}
        self.dropped: dict[str, Callable[[str], None]] = {}
        # Of those, what counts a document as soon as the store has been asked: it is judged by before it is durable.
        self.foreseen: dict[str, Callable[[Put], None]] = {}

    def new_id(self, prefix: str, at: Instant | None = None) -> str:
        return id_new(prefix, at or self.clock.now(), self._dice(10))

    def secret(self, size: int = 32) -> bytes:
        return self._dice(size)

    def entry(
        self,
        kind: str,
        ids: Mapping[str, str],
        *,
        actor: str,
        verdict: str = "",
        content: Any = None,
        at: Instant | None = None,
    ) -> tuple[Entry, Content]:
        """A sealed entry, of now unless its moment is given. Content is reduced to strings, integers, booleans, lists and maps first."""
        return seal(
            kind,
            {name: value for name, value in ids.items() if value},
            at=at or self.clock.now(),
            actor=_word(actor),
            verdict=verdict,
            content=plain(content if content is not None else {}),
            salt=self._dice(SALT_BYTES),
        )

    async def commit(self, commit: Commit) -> Committed | Refused:
        """Write all of it or nothing; then let watchers know. Refusals are for the caller to read."""
        began_s = asyncio.get_running_loop().time()
        outcome = await self.store.commit(commit)
        self.timing.since("commit", began_s, commit.at)
        if isinstance(outcome, Committed):
            for key, number in outcome.versions.items():  # answers may be heard in another order than they were written
                self.versions[key] = max(number, self.versions.get(key, 0))
            self._announce(commit.puts)
            for each in commit.puts:
                if (hear := self.heard.get(each.kind)) is not None:
                    hear(each, outcome.position)
            for gone in commit.drops:
                if (let_go := self.dropped.get(gone.kind)) is not None:
                    let_go(gone.id)
        return outcome

    def foresee(self, commit: Commit) -> None:
        """What it writes is on its way to the disk, and something is judged by it meanwhile."""
        for each in commit.puts:
            if (count := self.foreseen.get(each.kind)) is not None:
                count(each)
        for gone in commit.drops:
            if gone.kind in self.foreseen and (let_go := self.dropped.get(gone.kind)) is not None:
                let_go(gone.id)

    def _announce(self, puts: tuple[Put, ...]) -> None:
        for put in puts:
            if put.kind not in WATCHED_KINDS:
                continue
            self._number += 1
            change = Change(number=self._number, kind=put.kind, id=put.id, body=put.body)
            self._changes.append(change)
            for queue in tuple(self._watchers):
                try:
                    queue.put_nowait(change)
                except asyncio.QueueFull:
                    self._watchers.discard(queue)
                    queue.get_nowait()
                    queue.put_nowait(None)

    def forget(self) -> None:
        """Let go of the changes that are kept for those who reconnect: some of what they hold was erased."""
        self._changes.clear()

    @property
    def watched_by(self) -> int:
        return len(self._watchers)

    async def watch(self, after: int | None = None) -> AsyncGenerator[Change | None, None]:
        """Changes after a number, then live. None means *reset*: some were missed, read the lists again."""
        if len(self._watchers) >= WATCHERS_MAX:
            yield None
            return
        queue: asyncio.Queue[Change | None] = asyncio.Queue(BEHIND_MAX)
        self._watchers.add(queue)
        try:
            if after is not None and after < self._number:
                kept = [change for change in self._changes if change.number > after]
                if not kept or kept[0].number != after + 1:
                    yield None
                for change in kept:
                    yield change
            while True:
                found = await queue.get()
                yield found
                if found is None:
                    return
        finally:
            self._watchers.discard(queue)


def plain(value: Any) -> Any:
    """What may be hashed: floats become text (`0.5`), instants RFC 3339, structs maps. Nothing is dropped."""
    if type(value) in _HASHED_AS_THEY_ARE:
        return value
    if type(value) is dict and _HASHED_AS_THEY_ARE.issuperset(map(type, value.values())):
        if _NAMES.issuperset(map(type, value)):
            return value
    elif type(value) is list and _HASHED_AS_THEY_ARE.issuperset(map(type, value)):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | bool):
        return value
    return plain(msgspec.to_builtins(value))


_NAMES: Final = frozenset({str})
_HASHED_AS_THEY_ARE: Final = frozenset({str, int, bool, type(None)})


@lru_cache(ACTORS_KEPT)
def _word(text: str) -> str:
    """An actor's name as the tree may hold it: no free text, so anything unusual becomes `_`."""
    kept = "".join(char if char.isalnum() or char in "-_.:/@" else "_" for char in text)
    return kept[:200] or "unknown"
