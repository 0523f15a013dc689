"""The whole node at one look."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from watchkeeper.engine.breaker_reading import limits_in_force
from watchkeeper.engine.tallying import DAYS_MAX, Tally
from watchkeeper.surface.api.door import Family, Here, answer

family = Family("overview")


@family.get("/status")
async def status(node: Here) -> Response:
    found = await node.reading.status(node.version, await node.differing())
    return answer({**found, **limits_in_force(node.engine)})


@family.get("/tally", Tally)
async def tally(node: Here, days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = 30) -> Response:
    """Decisions a day by verdict, how runs ended, and how long detection, repair and runs took."""
    return answer(await node.tallies.tally(days))
