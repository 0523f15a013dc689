"""What a stopped node left in its store, held against what must hold whatever was killed, and when."""

import asyncio
from collections import defaultdict
from pathlib import Path

from watchkeeper import bootstrap
from watchkeeper.engine.records import RunRecord
from watchkeeper.engine.runner import decode
from watchkeeper.execute.invariants import violations


def wrong(home: Path) -> list[str]:
    """Sentences; empty when every promise was kept. The node must be down."""
    return asyncio.run(_wrong(home))


async def _wrong(home: Path) -> list[str]:
    node = await bootstrap.open_node(home)
    try:
        engine, found = node.engine, list[str]()
        episodes = defaultdict[str, list[str]](list)
        ended: set[str] = set()
        async for record in engine.taken.all(RunRecord, {}):
            live = await engine.taken.folded(record)
            if isinstance(live, str):
                found.append(f"{record.id}: {live}")
                continue
            events = [decode.decode(body) for body in await node.store.journal(record.id)]
            found += [f"{record.id}: {sentence}" for sentence in violations(live.plan, events)]
            if record.open == live.run.ended or record.status != live.run.status.value:
                found.append(f"{record.id}: listed as {record.status}, its journal says {live.run.status.value}")
            if live.run.ended:
                ended.add(record.id)
            episodes[f"{record.rule} {record.alert}"].append(record.id)
        found += [f"{name}: {len(runs)} runs for one episode" for name, runs in episodes.items() if len(runs) > 1]
        for claim in await node.store.claims(engine.clock.now()):
            if claim.until_at is None and claim.run in ended:
                found.append(f"{claim.run}: has ended and still holds {claim.key}")
        if left := await node.store.deliveries(10):
            found.append(f"{len(left)} deliveries were never taken apart")
    finally:
        await node.close()
    return found
