"""How many decisions of each verdict a list would show, without reading them.

A window begins at a place in the store, found by halving (decisions lie in the order in which they were made) and kept for a
minute; from there on the store counts its keys. What it costs follows the window, never the store.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from watchkeeper.decide.decision import Verdict
from watchkeeper.engine.answer import No, invalid
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.reading import Listed, Reader
from watchkeeper.values import Instant, after_ms, duration_ms, duration_text, instant, ms_between

WINDOW_MIN_MS: Final = 60_000
WINDOW_MAX_MS: Final = 400 * 86_400_000
KEPT_MS: Final = 60_000  # a window begins at a whole minute at most so old
PLACES_MAX: Final = 32  # windows whose beginning is kept


class Counts(Struct, frozen=True, kw_only=True):
    """`counts` has every verdict, also with 0. `from_at` None: all that is kept."""

    total: int
    counts: dict[str, int]
    from_at: Instant | None = None
    window_ms: int | None = None


class _Made(Struct, frozen=True):
    at: Instant


class DecisionCounts:
    def __init__(self, engine: Engine, reader: Reader) -> None:
        self._engine, self._reader = engine, reader
        self._places: dict[int, tuple[Instant, str | None]] = {}  # window -> where it began when it was looked up

    async def counts(self, where: Mapping[str, str], window: str = "") -> Counts | No:
        """Of all verdicts, whatever verdict `where` names."""
        window_ms = _window(window)
        if isinstance(window_ms, No):
            return window_ms
        from_at, since = await self._begin(window_ms)
        keys = {name: value for name, value in where.items() if name != "verdict"}
        store = self._engine.store
        found = {
            verdict.value: await store.count("decision", {**keys, "verdict": verdict.value}, since=since)
            for verdict in Verdict
        }
        return Counts(total=sum(found.values()), counts=found, from_at=from_at, window_ms=window_ms)

    async def decisions(self, where: Mapping[str, str], window: str, *, after: str | None, limit: int) -> Listed | No:
        """The list, as far back as the window reaches."""
        window_ms = _window(window)
        if isinstance(window_ms, No):
            return window_ms
        from_at, _ = await self._begin(window_ms)
        found = await self._reader.decisions(where, after=after, limit=limit)
        if from_at is None:
            return found
        within = tuple(each for each in found.items if instant(each["at"]) >= from_at)
        return Listed(items=within, next=found.next if len(within) == len(found.items) else None)

    async def _begin(self, window_ms: int | None) -> tuple[Instant | None, str | None]:
        """From when, and behind which place in the store; (None, None) without a window."""
        if window_ms is None:
            return None, None
        now = self._engine.clock.now()
        kept = self._places.get(window_ms)
        if kept is not None and 0 <= ms_between(after_ms(kept[0], window_ms), now) < KEPT_MS:
            return kept
        from_at = after_ms(now.replace(second=0, microsecond=0), -window_ms)
        if len(self._places) >= PLACES_MAX:
            self._places.pop(next(iter(self._places)))
        self._places[window_ms] = (from_at, await self._place(from_at))
        return self._places[window_ms]

    async def _place(self, from_at: Instant) -> str | None:
        """A place that everything before the window lies at or before, and nothing of it; None: all of them lie within."""
        newest = await self._engine.store.find("decision", limit=1)
        if not newest.items:
            return None
        high = newest.items[0].position
        if _at(newest.items[0].body) < from_at:
            return str(high)
        low = 0  # what lies at or before it is older than the window; what lies at `high` is not
        while high - low > 1:
            middle = (low + high) // 2
            page = await self._engine.store.find("decision", after=str(middle + 1), limit=1)
            if not page.items or _at(page.items[0].body) < from_at:
                low = middle
            else:
                high = page.items[0].position
        return str(low) if low else None


def _at(body: bytes) -> Instant:
    return msgspec.json.decode(body, type=_Made).at


def _window(text: str) -> int | No | None:
    if not text:
        return None
    try:
        found = duration_ms(text)
    except ValueError as wrong:
        return invalid("window", str(wrong))
    if not WINDOW_MIN_MS <= found <= WINDOW_MAX_MS:
        return invalid(
            "window", f"{text} lies outside {duration_text(WINDOW_MIN_MS)} to {duration_text(WINDOW_MAX_MS)}"
        )
    return found
