"""A ledger of many entries in a store of its own, written as the engine writes, then verified as the node verifies.

`python -m watchkeeper.bench.kept FOLDER ENTRIES`: one line of JSON.
"""

import asyncio
import sys
from pathlib import Path
from secrets import token_bytes
from time import perf_counter
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec

from watchkeeper.adapters.sqlite import SqliteStore
from watchkeeper.engine.clock import SystemClock
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.ledger_reading import LedgerReader
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.sequencer import Sequencer
from watchkeeper.ledger.entry import Kind
from watchkeeper.ports import Commit

TOGETHER: Final = 500


async def _work(folder: Path, entries: int) -> dict[str, float]:
    store = SqliteStore.open(folder / "store")
    scribe = Scribe(store, SystemClock(), token_bytes)
    sequencer = Sequencer(store, "watchkeeper/bench", token_bytes(32))
    began_s = perf_counter()
    for start in range(0, entries, TOGETHER):
        made = tuple(
            scribe.entry(
                Kind.OUTCOME,
                {"run": f"run_{number:032x}", "decision": f"dec_{number:032x}"},
                actor="automation",
                verdict="done",
                content={"step": "restart", "why": "", "number": number},
            )
            for number in range(start, min(entries, start + TOGETHER))
        )
        await scribe.commit(Commit(at=scribe.clock.now(), entries=made))
    await sequencer.step()
    written_s = perf_counter()
    engine: Any = SimpleNamespace(store=store, sequencer=sequencer)
    report = await LedgerReader(cast("Engine", engine)).verify()
    verified_s = perf_counter()
    assert report.ok, report.faults
    assert report.size == report.contents_matched == entries
    await store.close()
    return {"write_s": written_s - began_s, "verify_s": verified_s - written_s}


def main() -> int:
    found = asyncio.run(_work(Path(sys.argv[1]), int(sys.argv[2])))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
