"""Dice: random bytes of the operating system, drawn many at a time.

A draw gives the interpreter away and waits to get it back, and a run needs a dozen of them. What must stay secret for
longer than an entry's content (keys, tokens) is drawn by itself, so that no copy of it stays in a pool.
"""

import os
from typing import Final

POOL_BYTES: Final = 4_096
POOLED_BYTES_MAX: Final = 16  # ids, salts and nonces; more than that is a key


class Dice:
    """`dice(n)` gives n random bytes. Called on one thread."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def __call__(self, size: int) -> bytes:
        if size > POOLED_BYTES_MAX:
            return os.urandom(size)
        end = self._at + size
        if end > len(self._pool):
            self._pool = os.urandom(POOL_BYTES)
            self._at, end = 0, size
        found = self._pool[self._at : end]
        self._at = end
        return found
