"""How the node itself does: latencies of its pipeline, and what comes in, over time."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from watchkeeper.engine.timing_reading import Latency, Traffic
from watchkeeper.surface.api.door import Family, Here, answer

family = Family("timing")

Timed = Annotated[str, Query(max_length=20, description="1h by the minute, 24h by the hour, 7d by six hours.")]


@family.get("/latency", Latency)
async def latency(node: Here, window: Timed = "1h") -> Response:
    """Median and 99th percentile of each stage of the pipeline, in microseconds. None is: nothing was measured."""
    return answer(node.timed.latency(window))


@family.get("/traffic", Traffic)
async def traffic(node: Here, window: Timed = "1h") -> Response:
    """Signals that came, by what they were: news, repeated, suppressed at their source, beats, unread."""
    return answer(node.timed.traffic(window))
