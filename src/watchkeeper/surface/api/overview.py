"""The whole node at one look."""

from starlette.responses import Response

from watchkeeper.engine.breaker_reading import limits_in_force
from watchkeeper.surface.api.door import Family, Here, answer

family = Family("overview")


@family.get("/status")
async def status(node: Here) -> Response:
    found = await node.reading.status(node.version, await node.differing())
    return answer({**found, **limits_in_force(node.engine)})
