"""A backup on its way to whoever asked for it: the pieces of one file, and what to take away afterwards."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from msgspec import Struct


class Archive(Struct, frozen=True, kw_only=True):
    """`size` and `checkpoint` are those of the ledger in it. `close` is called once, whatever became of it."""

    name: str
    size: int
    checkpoint: str
    pieces: Iterator[bytes]
    close: Callable[[], object]


class Archiver(Protocol):
    """Raises Rejected where there is no room for a copy."""

    def __call__(self, *, with_key: bool) -> Awaitable[Archive]: ...
