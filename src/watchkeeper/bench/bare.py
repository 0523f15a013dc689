"""The same durable writes with nothing around them: what this disk and this interpreter allow.

`python -m watchkeeper.bench.bare hook FOLDER`: an ASGI application beside the same server, one row a post, group
commit, 202 after the COMMIT; its first line is its port.
`python -m watchkeeper.bench.bare journal FOLDER SECONDS AT_ONCE`: the events of three-step runs, each event as the
engine groups them; one line of JSON.
"""

import asyncio
import hashlib
import os
import socket
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from time import monotonic, process_time
from typing import Any, Final

import apsw
import msgspec

BATCH_MAX: Final = 256
GROUPS: Final = (1, 3, 3, 3, 2)  # events in one commit of a three-step run, from Opened to Ended


class Writer:
    """`rows` of one statement; everything that waits goes into one COMMIT with synchronous=FULL."""

    def __init__(self, path: Path, table: str, insert: str) -> None:
        self._connection = apsw.Connection(str(path))
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "FULL")
        self._connection.execute(table)
        self._insert = insert
        self._queue: SimpleQueue[tuple[list[Any], asyncio.Future[None]] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    async def write(self, rows: list[Any]) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((rows, done))
        await done

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        run = self._connection.execute
        while (first := self._queue.get()) is not None:
            batch = [first]
            while len(batch) < BATCH_MAX and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    self._queue.put(None)
                    break
                batch.append(item)
            run("BEGIN IMMEDIATE")
            self._connection.executemany(self._insert, [row for rows, _ in batch for row in rows])
            run("COMMIT")
            self._loop.call_soon_threadsafe(_settle, [done for _, done in batch])
        self._connection.close()


def _settle(done: list[asyncio.Future[None]]) -> None:
    for each in done:
        each.set_result(None)


_DELIVERY: Final = "CREATE TABLE delivery (id INTEGER PRIMARY KEY, at REAL, sha256 TEXT, body BLOB)"
_EVENT: Final = "CREATE TABLE journal (run TEXT, number INTEGER, body BLOB, PRIMARY KEY (run, number)) WITHOUT ROWID"
_is_json: Final = msgspec.json.Decoder(msgspec.Raw).decode


async def _hook(folder: Path) -> None:
    import uvicorn

    writer = Writer(folder / "bare.db", _DELIVERY, "INSERT INTO delivery (at, sha256, body) VALUES (?, ?, ?)")
    start = {
        "type": "http.response.start",
        "status": 202,
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"2")],
    }

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        _is_json(body)
        await writer.write([(monotonic(), hashlib.sha256(body).hexdigest(), body)])
        await send(start)
        await send({"type": "http.response.body", "body": b"{}"})

    near = socket.create_server(("127.0.0.1", 0), backlog=1_024)
    sys.stdout.write(f"{near.getsockname()[1]}\n")
    sys.stdout.flush()
    await uvicorn.Server(
        uvicorn.Config(application, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False)
    ).serve([near])


async def _journal(folder: Path, seconds: float, at_once: int) -> dict[str, float]:
    writer = Writer(folder / "bare.db", _EVENT, "INSERT INTO journal VALUES (?, ?, ?)")
    body = b"x" * 180  # the mean length of such an event
    end_s = monotonic() + seconds
    runs = 0

    async def drive(lane: int) -> None:
        nonlocal runs
        turn = 0
        while monotonic() < end_s:
            turn += 1
            number = 0
            for size in GROUPS:
                await writer.write([(f"run_{lane}_{turn}", number + at, body) for at in range(size)])
                number += size
            runs += 1

    began_s, began_cpu_s = monotonic(), process_time()
    await asyncio.gather(*(drive(lane) for lane in range(at_once)))
    took_s, cpu_s = monotonic() - began_s, process_time() - began_cpu_s
    writer.close()
    rows: int = apsw.Connection(str(folder / "bare.db")).execute("SELECT count(*) FROM journal").get
    assert rows == runs * sum(GROUPS), "every event is there"
    return {"runs": runs, "runs_per_s": runs / took_s, "cpu_us": cpu_s / runs * 1e6}


def main() -> int:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    os.umask(0o077)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if kind == "hook":
            runner.run(_hook(folder))
        else:
            found = runner.run(_journal(folder, float(sys.argv[3]), int(sys.argv[4])))
            sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
