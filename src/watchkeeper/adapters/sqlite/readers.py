"""Readers: what is quick is read at once, what is not moves to a thread.

A hop to a thread costs more than most reads do. So a read starts on the loop, where SQLite counts its steps; one that
passes STEPS_INLINE_MAX is interrupted there and done again in a thread, and the loop has lost about a millisecond.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar

import apsw

from watchkeeper.adapters.sqlite.connect import reading, translated
from watchkeeper.errors import Unavailable

T = TypeVar("T")

THREADS: Final = 2
STEPS_INLINE_MAX: Final = 20_000
_STEPS_BETWEEN: Final = 2_000


class Readers:
    def __init__(self, path: Path, vfs: str | None = None) -> None:
        self._path = path
        self._vfs = vfs
        self._steps = 0
        self._inline = reading(path, vfs)
        self._inline.set_progress_handler(self._too_long, _STEPS_BETWEEN)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="store-reader")
        self._idle: SimpleQueue[apsw.Connection] = SimpleQueue()
        self._closed = False

    async def read(self, what: Callable[[apsw.Connection], T]) -> T:
        """Raises Unavailable, or Untrusted when the file is damaged."""
        if self._closed:
            raise Unavailable(f"store {self._path}: is closed")
        self._steps = 0
        try:
            return what(self._inline)
        except apsw.InterruptError:
            return await self.read_apart(what)
        except apsw.Error as broken:
            raise translated(broken, self._path) from broken

    async def read_apart(self, what: Callable[[apsw.Connection], T]) -> T:
        """In a thread from the start: for what is known to be long."""
        if self._closed:
            raise Unavailable(f"store {self._path}: is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._threaded, what)

    def close(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=True)
        while not self._idle.empty():
            self._idle.get().close()
        self._inline.close()

    def _threaded(self, what: Callable[[apsw.Connection], T]) -> T:
        try:
            connection = reading(self._path, self._vfs) if self._idle.empty() else self._idle.get()
            try:
                return what(connection)
            finally:
                self._idle.put(connection)
        except apsw.Error as broken:
            raise translated(broken, self._path) from broken

    def _too_long(self) -> bool:
        self._steps += _STEPS_BETWEEN
        return self._steps > STEPS_INLINE_MAX
