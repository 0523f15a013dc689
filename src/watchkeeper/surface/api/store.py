"""The store itself: what it takes of the disk, what went out of it, and when."""

from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed
from watchkeeper.surface.api.bodies import NOTHING, Nothing
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Filter, Limit

family = Family("store")


@family.get("/store")
async def size(node: Here) -> Response:
    """By kind: rows, bytes, the oldest, how long it is kept; and the days until `store.disk_max` at the present growth."""
    return answer(await node.kept.size())


@family.get("/store/gone", Listed)
async def gone(node: Here, kind: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    """What went, by kind and day, and why."""
    return answer(await node.kept.gone(kind or "", after=after, limit=limit))


@family.post("/store/sweep", Verb.ERASE)
async def sweep(node: Here, _actor: Who, _body: Nothing = NOTHING) -> Response:
    """Take out now what retention lets go: what happens every hour by itself."""
    return answer({"gone": dict(await node.engine.sweeper.sweep())})
