"""Reading rhythms: how often each rule is called for now, what is usual at this time of the week, and what was not."""

from collections.abc import Mapping
from typing import Any

import msgspec

from watchkeeper.engine.answer import No, missing
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.reading import Listed
from watchkeeper.engine.records import read
from watchkeeper.engine.rhythm_words import next_step, why_of
from watchkeeper.engine.rhythms import Series
from watchkeeper.home.anomaly import WEEKS_MIN
from watchkeeper.learn.rhythm import CALLS_MIN, HOURS, WEEK_HOURS, Learning, Span, Unusual, Usual, window
from watchkeeper.values import Instant

View = dict[str, Any]


class RhythmReader:
    def __init__(self, engine: Engine) -> None:
        self._engine, self._rhythms = engine, engine.rhythms

    def rhythms(self, rule: str = "", service: str = "", *, after: str | None, limit: int) -> Listed:
        """Every pair of rule and service that was called for, by name."""
        found = self._rhythms.series(rule, service)
        first = int(after or 0)
        now = self._engine.clock.now()
        page = tuple(self._view(each, now) for each in found[first : first + limit])
        return Listed(items=page, next=str(first + limit) if len(found) > first + limit else None)

    async def anomalies(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        """Newest first."""
        page = await self._engine.store.find("unusual", where, after=after, limit=limit)
        return Listed(items=tuple(self._said(read(row, Unusual)) for row in page.items), next=page.next)

    async def anomaly(self, identity: str) -> View | No:
        row = await self._engine.store.get("unusual", identity)
        return self._said(read(row, Unusual)) if row is not None else missing("anomaly", identity)

    def _said(self, found: Unusual) -> View:
        name = self._rhythms.name(found.service)
        view: View = msgspec.to_builtins(found)
        return {**view, "name": name, "why": why_of(found, name, self._rhythms.settings.zone), "next": next_step(found)}

    def _view(self, series: Series, now: Instant) -> View:
        settings = self._rhythms.settings
        windows = tuple(self._window(series, span, now) for span in Span)
        watched = settings.watch and any(each["mean_milli"] is not None for each in windows)
        return {
            "rule": series.rule,
            "service": series.service,
            "name": self._rhythms.name(series.service),
            "since_at": series.since_at,
            "state": "watched" if watched else "learning" if settings.watch else "off",
            "zone": settings.zone,
            "windows": windows,
            "week": self._week(series, now),
            "unusual": sum(len(found) for found in series.unusual.values()),
        }

    def _window(self, series: Series, span: Span, now: Instant) -> View:
        """`limit` and `floor` None: no number of calls is called too many, or too few, there."""
        start = window(self._rhythms.hour(now), span)
        answer = self._rhythms.usual(series, span, now)
        known = answer if isinstance(answer, Usual) else None
        return {
            "span": span.value,
            "from_at": self._rhythms.instant(start),
            "until_at": self._rhythms.instant(start + HOURS[span]),
            "calls": self._rhythms.calls(series, span, now),
            "mean_milli": known.mean_milli if known else None,
            "limit": known.limit if known and span is not Span.WEEK else None,
            "floor": known.floor if known and span is not Span.HOUR else None,
            "weeks": answer.weeks,
            "learning": learning_text(answer) if isinstance(answer, Learning) else "",
        }

    def _week(self, series: Series, now: Instant) -> tuple[int, ...]:
        """Calls by hour of the week, Monday first, over the weeks that are compared with."""
        this = window(self._rhythms.hour(now), Span.WEEK)
        oldest = this - self._rhythms.settings.weeks * WEEK_HOURS
        found = [0] * WEEK_HOURS
        for hour, calls in series.wall.items():
            if oldest <= hour < this:
                found[(hour - this) % WEEK_HOURS] += calls
        return tuple(found)


def learning_text(found: Learning) -> str:
    """What is missing before anything is called unusual."""
    missing_ = []
    if found.weeks < WEEKS_MIN:
        missing_.append(f"this window was watched in {found.weeks} of {WEEKS_MIN} weeks")
    if found.calls < CALLS_MIN:
        missing_.append(f"it was called for {found.calls} of {CALLS_MIN} times")
    return ", ".join(missing_)
