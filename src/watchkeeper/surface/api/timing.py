"""Over time: latencies of the pipeline, what comes in, how repairs end, how long incidents take, how much is up."""

from typing import Annotated, Final

from fastapi import Query
from starlette.responses import Response

from watchkeeper.engine.timing_reading import Latency, Traffic
from watchkeeper.engine.trending import TREND_DAYS_MAX, Trend
from watchkeeper.surface.api.door import Family, Here, answer
from watchkeeper.surface.api.lists import Filter

family = Family("timing")
DAYS: Final = 30

Timed = Annotated[str, Query(max_length=20, description="1h by the minute, 24h by the hour, 7d by six hours.")]


@family.get("/latency", Latency)
async def latency(node: Here, window: Timed = "1h") -> Response:
    """Median and 99th percentile of each stage of the pipeline, in microseconds. None is: nothing was measured."""
    return answer(node.timed.latency(window))


@family.get("/traffic", Traffic)
async def traffic(node: Here, window: Timed = "1h") -> Response:
    """Signals that came, by what they were: news, repeated, suppressed at their source, beats, unread."""
    return answer(node.timed.traffic(window))


@family.get("/trend", Trend)
async def trend(
    node: Here, days: Annotated[int, Query(ge=1, le=TREND_DAYS_MAX)] = DAYS, service: Filter = None
) -> Response:
    """By day (UTC): how repairs ended, times to detect, acknowledge and restore, uptime. Of one service, or of all."""
    return answer(await node.trends.trend(days, service or ""))
