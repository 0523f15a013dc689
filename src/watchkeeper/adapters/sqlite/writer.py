"""The one writer: a thread that turns what waits into one durable write after another.

A commit is answered after the COMMIT that holds it has returned, never before. An error of that COMMIT, of a sync or
of a write ends the process: nobody knows what was written, and only the recovery at the next start finds out.
"""

import asyncio
import os
import sys
import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import apsw

from watchkeeper.adapters.judge import leaves, size_of
from watchkeeper.adapters.sqlite.batch import Batch, Known, Waiting
from watchkeeper.adapters.sqlite.connect import shut, translated
from watchkeeper.errors import Rejected, Unavailable, WatchkeeperError
from watchkeeper.ports import WRITE_QUEUE_MAX, Commit, Committed, Refused

BATCH_COMMITS_MAX: Final = 256
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
QUEUE_BYTES_MAX: Final = 256 * 1024 * 1024
CHECKPOINT_PAGES: Final = 1_000  # of 4 KiB, when nobody waits
CHECKPOINT_PAGES_MAX: Final = 4_000  # whoever waits
EXIT_BROKEN: Final = 4

Die = Callable[[str], object]
Run = Callable[[apsw.Connection], Any]
Adopt = Callable[[Any], None]


def die(sentence: str) -> None:
    """The default end: no clean-up, for that would write."""
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201  the last words of the process
    os._exit(EXIT_BROKEN)


class Job:
    """Work of the writer that is no commit: integration, erasure, pruning. It has a transaction to itself.

    `adopt` takes what `run` gave, on the writer's thread, once the COMMIT has returned.
    """

    __slots__ = ("adopt", "future", "run")

    def __init__(self, run: Run, adopt: Adopt | None, future: "Future[Any]") -> None:
        self.run = run
        self.adopt = adopt
        self.future = future


class Writer:
    """Owns the writing connection. `submit` and `job` are called on one event loop's thread."""

    def __init__(
        self,
        connection: apsw.Connection,
        known: Known,
        path: Path,
        die: Die = die,
        sealed: Callable[[list[bytes]], object] = list,
    ) -> None:
        """`sealed` is told the leaf hashes of the entries that have become durable, on the writer's thread."""
        self.known = known
        self._sealed = sealed
        self.batches = 0
        self._connection = connection
        self._path = path
        self._die = die
        self._queue: SimpleQueue[Waiting | Job | None] = SimpleQueue()
        self._held: Waiting | Job | None = None  # taken, and too much for the batch before it
        self._busy: Sequence[Waiting | Job] = ()  # being written
        self._came = self._went = 0  # commits; each is written by one thread, so neither needs a lock
        self._came_bytes = self._went_bytes = 0
        self._ended = ""
        self._broken = False
        self._pages = 0
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    # -- the loop's side ---------------------------------------------------------------------------

    def submit(self, commit: Commit) -> "Future[Committed | Refused]":
        """Raises Unavailable when too much waits, Rejected for a commit no store takes."""
        size = size_of(commit)
        entries = leaves(commit) if commit.entries else ()
        self._open()
        waiting = self._came - self._went
        if waiting >= WRITE_QUEUE_MAX or self._came_bytes - self._went_bytes + size > QUEUE_BYTES_MAX:
            raise Unavailable(f"store {self._path}: {waiting} commits wait for the disk: try again in a second")
        future: Future[Committed | Refused] = asyncio.get_running_loop().create_future()
        self._came += 1
        self._came_bytes += size
        self._queue.put(Waiting(commit, entries, size, future))
        return future

    def job(self, run: Run, adopt: Adopt | None = None) -> "Future[Any]":
        self._open()
        future: Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put(Job(run, adopt, future))
        return future

    def close(self) -> None:
        """What waits is written first. Blocks until the thread has ended."""
        if not self._ended:
            self._ended = f"store {self._path}: is closed"
            self._queue.put(None)
        self._thread.join()

    @property
    def ended(self) -> str:
        """Why nothing more is taken; empty while it is."""
        return self._ended

    def _open(self) -> None:
        if self._ended:
            raise Unavailable(self._ended)

    # -- the thread's side -------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._loop()
        finally:
            broken = sys.exc_info()[1]
            if broken is not None:  # a fault of ours: ends the process like one of the disk, rather than let all wait
                self._broken = True
                self._ended = f"store {self._path}: the writer failed ({broken!r}): stopped"
                self._die(self._ended)
                _answer([(item.future, Unavailable(self._ended)) for item in self._busy])
                self._refuse_rest()
            shut(self._connection)

    def _loop(self) -> None:
        while (first := self._take()) is not None:
            if isinstance(first, Job):
                self._busy = (first,)
                self._do(first)
            else:
                self._busy = items = self._gather(first)
                self._write(items)
            self._busy = ()
            if self._pages >= (CHECKPOINT_PAGES if self._queue.empty() else CHECKPOINT_PAGES_MAX):
                self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)
        if not self._broken:
            self.empty_log()

    def _take(self) -> Waiting | Job | None:
        if self._broken:
            self._refuse_rest()
            return None
        if self._held is not None:
            held, self._held = self._held, None
            return held
        return self._queue.get()

    def _gather(self, first: Waiting) -> list[Waiting]:
        """Everything that waits now, up to the bounds. It never waits for more: the disk's own time fills batches."""
        batch, size = [first], first.size
        while len(batch) < BATCH_COMMITS_MAX and not self._queue.empty():
            item = self._queue.get()
            if item is None:
                self._queue.put(None)
                break
            if isinstance(item, Job) or size + item.size > BATCH_BYTES_MAX:
                self._held = item
                break
            batch.append(item)
            size += item.size
        self._went += len(batch)
        self._went_bytes += size
        return batch

    def _write(self, items: list[Waiting]) -> None:
        batch = Batch(self.known)
        run = self._connection.execute
        try:
            run("BEGIN IMMEDIATE")
            batch.read(self._connection, [item.commit for item in items])
            answers = [batch.apply(item.commit, item.leaves) for item in items]
            if batch.dirty:
                batch.write(self._connection)
        except apsw.Error as broken:
            self._failed(items, broken)
            return
        try:
            run("COMMIT")
        except apsw.FullError as full:  # the log could not grow: no commit frame, nothing happened
            self._failed(items, full)
            return
        except apsw.Error as broken:
            self._end(items, broken)
            return
        # Asked, not told: a hook would have to get the interpreter back in the middle of the COMMIT.
        self._pages += self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE, reset=True)[0]
        batch.adopt()
        self._sealed(batch.leaves)
        self.batches += 1
        _answer([(item.future, answer) for item, answer in zip(items, answers, strict=True)])

    def _failed(self, items: list[Waiting], broken: apsw.Error) -> None:
        """Before COMMIT. The batch is taken back; then whose fault it was is found by writing each alone."""
        if isinstance(broken, apsw.IOError | apsw.CorruptError | apsw.NotADBError):
            self._end(items, broken)
            return
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except apsw.Error as worse:
            self._end(items, worse)
            return
        if isinstance(broken, apsw.FullError | apsw.BusyError):
            _answer([(item.future, translated(broken, self._path)) for item in items])
        elif len(items) == 1:
            _answer([(items[0].future, Rejected(f"store {self._path}: cannot write this commit: {broken}"))])
        else:
            for at, item in enumerate(items):
                if self._broken:
                    _answer([(rest.future, Unavailable(self._ended)) for rest in items[at:]])
                    return
                self._write([item])

    def _do(self, job: Job) -> None:
        answer: Any
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            answer = job.run(self._connection)
            self._connection.execute("COMMIT")
        except apsw.Error as broken:
            if isinstance(broken, apsw.FullError | apsw.BusyError):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                _answer([(job.future, translated(broken, self._path))])
            else:
                self._end([job], broken)
            return
        except WatchkeeperError as refused:
            self._connection.execute("ROLLBACK")
            _answer([(job.future, refused)])
            return
        if job.adopt is not None:
            job.adopt(answer)
        _answer([(job.future, answer)])

    def empty_log(self) -> None:
        """On the writer's thread: everything into the file, nothing left in the log."""
        self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _checkpoint(self, mode: int) -> None:
        try:
            self._connection.wal_checkpoint(mode=mode)
        except apsw.BusyError:  # a reader holds the log; the next one will do
            pass
        except apsw.Error as broken:
            self._end([], broken)
        self._pages = 0

    def _end(self, items: "list[Waiting] | list[Job]", broken: apsw.Error) -> None:
        self._broken = True
        self._ended = f"store {self._path}: the disk refused a write ({broken}): stopped, nobody knows what was written"
        self._die(self._ended)
        # Only where `die` came back (a simulation): those who wait are told that nobody knows.
        _answer([(item.future, Unavailable(self._ended)) for item in items])

    def _refuse_rest(self) -> None:
        rest = [self._held] if self._held is not None else []
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None:
                rest.append(item)
        _answer([(item.future, Unavailable(self._ended)) for item in rest])


def _answer(answers: list[tuple["Future[Any]", Any]]) -> None:
    """One wake-up of the loop for the whole batch."""
    loops: dict[AbstractEventLoop, list[tuple[Future[Any], Any]]] = {}
    for future, answer in answers:
        loops.setdefault(future.get_loop(), []).append((future, answer))
    for loop, found in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, found)


def _settle(answers: list[tuple["Future[Any]", Any]]) -> None:
    for future, answer in answers:
        if future.done():  # the caller went away; what it asked for happened all the same
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)
