"""Availability of services and their objectives: what the node measured, each value with its age and response class."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from watchkeeper.engine.metric_reading import ServiceMetrics, SloView
from watchkeeper.engine.reading import Listed
from watchkeeper.surface.api.door import Family, Here, answer
from watchkeeper.surface.api.lists import Filter

family = Family("availability")

Window = Annotated[str, Query(max_length=20, description="Such as 7d or 12h; without it that of the home.")]


@family.get("/metrics", Listed)
async def services(node: Here, window: Window = "") -> Response:
    """Every service of which anything was measured, over a window that ends now."""
    return answer(node.measured.services(window))


@family.get("/metrics/{name:path}", ServiceMetrics)
async def service(node: Here, name: str, window: Window = "") -> Response:
    """One service, with its failovers."""
    return answer(node.measured.service(name, window))


@family.get("/slos", Listed)
async def slos(node: Here, service: Filter = None) -> Response:
    return answer(node.measured.slos(service or ""))


@family.get("/slos/{name}", SloView)
async def slo(node: Here, name: str) -> Response:
    """One objective: target, attainment, budget left, burn rates, and how old its numbers are."""
    return answer(node.measured.slo(name))
