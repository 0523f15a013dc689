"""The API: one family a file, behind one door."""

from functools import lru_cache
from time import monotonic
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from watchkeeper import __version__
from watchkeeper.approve.roles import Verb
from watchkeeper.surface.api import (
    approvals,
    availability,
    breakers,
    business,
    calendars,
    cards,
    changes,
    configuration,
    events,
    exclusions,
    health,
    history,
    intake,
    ledger,
    limits,
    overview,
    people,
    rhythms,
    runs,
    scenarios,
    situation,
    standing,
    store,
    timing,
)
from watchkeeper.surface.api.description import describe
from watchkeeper.surface.api.door import VERB, Answer, Guarded
from watchkeeper.surface.api.framework import install
from watchkeeper.surface.api.kept import Keeper
from watchkeeper.surface.api.node import Node
from watchkeeper.surface.api.pace import Pace

PREFIX: Final = "/api/v1"
FAMILIES: Final = (
    overview.family,
    situation.family,
    runs.family,
    approvals.family,
    cards.family,
    limits.family,
    breakers.family,
    availability.family,
    timing.family,
    calendars.family,
    standing.family,
    rhythms.family,
    people.family,
    intake.family,
    configuration.family,
    history.family,
    scenarios.family,
    business.family,
    exclusions.family,
    ledger.family,
    store.family,
    changes.family,
    events.family,
)


def create_app(node: Node) -> FastAPI:
    """No page of documentation: it would fetch scripts from elsewhere."""
    app = FastAPI(
        title="Watchkeeper",
        version=__version__,
        description="Signals in, governed decisions, durable runs, a tamper-evident record.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.node = node
    app.state.keeper = Keeper(node.engine.scribe)
    app.state.pace = Pace(lambda: node.settings.limits.api_requests_per_s, monotonic)
    install(app)
    for family in FAMILIES:
        app.include_router(family.router, prefix=PREFIX)
    app.include_router(health.router)

    @lru_cache(maxsize=1)
    def described() -> dict[str, Any]:
        return describe(app, FAMILIES, PREFIX)

    async def openapi(_request: Request) -> Response:
        return Answer(described())

    own = APIRouter(route_class=Guarded)
    own.add_api_route(
        "/openapi.json",
        openapi,
        include_in_schema=False,
        openapi_extra={VERB: Verb.READ.value},
        response_class=Response,
    )
    app.include_router(own, prefix=PREFIX)
    return app
