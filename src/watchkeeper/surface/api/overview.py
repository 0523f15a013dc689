"""The whole node at one look."""

from starlette.responses import Response

from watchkeeper.surface.api.door import Family, Here, answer

family = Family("overview")


@family.get("/status")
async def status(node: Here) -> Response:
    return answer(await node.reading.status(node.version, await node.differing()))
