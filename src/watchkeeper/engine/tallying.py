"""Tallies: what was decided a day, how repairs ended, and how long things took; counted once, and kept.

A decision never changes, so what was counted stays counted: each look reads only what came since the last one. Runs and
incidents are those of the newest LOOKED_AT_MAX.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from watchkeeper.correlate.incident import Incident
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.records import RunRecord, read
from watchkeeper.values import Instant, ms_between

DAYS_MAX: Final = 400
LOOKED_AT_MAX: Final = 2_000
PAGE: Final = 1_000

Kept = TypeVar("Kept", RunRecord, Incident)


class Day(Struct, frozen=True, kw_only=True):
    """`day` in UTC, `2026-03-01`; decisions by verdict."""

    day: str
    verdicts: dict[str, int]


class Tally(Struct, frozen=True, kw_only=True):
    """Medians in milliseconds, None where nothing was measured. `runs`: ended runs by status."""

    decisions: int
    days: tuple[Day, ...]
    runs: dict[str, int]
    run_ms: int | None
    incidents: int
    detect_ms: int | None
    restore_ms: int | None


class _Made(Struct, frozen=True):
    """What is counted of a decision; the rest of it is passed over unread."""

    at: Instant
    verdict: str


class Tallies:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._position = 0  # of the newest decision that is counted
        self._days: dict[str, Counter[str]] = {}

    async def tally(self, days: int) -> Tally:
        await self._count()
        shown = sorted(self._days.items())[-days:]
        runs = [record for record in await self._newest("run", RunRecord) if record.ended_at is not None]
        incidents = await self._newest("incident", Incident)
        return Tally(
            decisions=sum(counts.total() for counts in self._days.values()),
            days=tuple(Day(day=day, verdicts=dict(counts)) for day, counts in shown),
            runs=dict(Counter(record.status for record in runs)),
            run_ms=_median(ms_between(record.at, record.ended_at) for record in runs if record.ended_at is not None),
            incidents=len(incidents),
            detect_ms=_median(max(0, ms_between(each.began_at, each.opened_at)) for each in incidents),
            restore_ms=_median(
                ms_between(each.began_at, each.resolved_at) for each in incidents if each.resolved_at is not None
            ),
        )

    async def _count(self) -> None:
        """Newest first, down to what was counted before; a look that is interrupted has counted nothing."""
        fresh: dict[str, Counter[str]] = {}
        newest, after = self._position, None
        while True:
            page = await self._engine.store.find("decision", after=after, limit=PAGE)
            rows = [row for row in page.items if row.position > self._position]
            newest = max([newest, *(row.position for row in rows)])
            for row in rows:
                made = msgspec.json.decode(row.body, type=_Made)
                fresh.setdefault(made.at.date().isoformat(), Counter())[made.verdict] += 1
            after = page.next
            if after is None or len(rows) < len(page.items):
                break
        self._position = newest
        for day, counts in fresh.items():
            self._days.setdefault(day, Counter()).update(counts)
        for day in sorted(self._days)[:-DAYS_MAX]:
            del self._days[day]

    async def _newest(self, kind: str, shape: type[Kept]) -> list[Kept]:
        found: list[Kept] = []
        after: str | None = None
        while len(found) < LOOKED_AT_MAX:
            page = await self._engine.store.find(kind, after=after, limit=PAGE)
            found += [read(row, shape) for row in page.items]
            after = page.next
            if after is None:
                break
        return found[:LOOKED_AT_MAX]


def _median(values: Iterable[int]) -> int | None:
    found = sorted(values)
    return found[len(found) // 2] if found else None
