"""Reading the store itself: what each kind takes, how long it is kept, and when the limit is reached."""

from typing import Any

from watchkeeper.engine.engine import Engine
from watchkeeper.engine.reading import Listed, View
from watchkeeper.engine.records import SizeSample, Tombstone, read
from watchkeeper.engine.retention import keep_ms
from watchkeeper.engine.room import days_left


class StoreReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def size(self) -> View:
        """`bytes` on the disk, `used` of them, and each kind with how long it is kept (`kept_ms` None: for ever)."""
        engine = self._engine
        settings = engine.world.configuration.settings
        page = await engine.store.find("size", limit=400)
        used = await engine.store.used_bytes()
        kinds: list[dict[str, Any]] = [
            {
                "kind": each.kind,
                "rows": each.rows,
                "bytes": each.bytes,
                "oldest_at": each.oldest_at,
                "kept_ms": keep_ms(settings.retention, each.kind),
            }
            for each in sorted(await engine.store.sizes(), key=lambda each: -each.bytes)
        ]
        return {
            "bytes": await engine.store.size_bytes(),
            "used": used,
            "disk_max": settings.store.disk_max,
            "room": engine.room.room.value,
            "days_left": days_left(
                (read(row, SizeSample) for row in page.items), engine.clock.now(), used, settings.store.disk_max
            ),
            "legal_hold": settings.retention.legal_hold,
            "swept_at": engine.sweeper.swept_at,
            "ledger": await engine.store.tree_size(),
            "kinds": kinds,
        }

    async def gone(self, kind: str, *, after: str | None, limit: int) -> Listed:
        """What went, by kind and day, newest first."""
        where = {"kind": kind} if kind else {}
        page = await self._engine.store.find("tombstone", where, after=after, limit=limit)
        return Listed(items=tuple(read(row, Tombstone) for row in page.items), next=page.next)
