"""Circuit breakers and the brake: what is left alone because it keeps failing, and a person's word that it is mended."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed
from watchkeeper.learn.brake import Brake
from watchkeeper.learn.breaker import Circuit
from watchkeeper.surface.api.bodies import Body, Text
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Limit, where

family = Family("breakers")

State = Annotated[str | None, Query(pattern="^(open|half_open|closed)$")]
OnOff = Annotated[str | None, Query(pattern="^(open|closed)$", description="open: the brake is on.")]


class Why(Body):
    reason: Text


@family.get("/breakers", Listed)
async def breakers(node: Here, state: State = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    return answer(await node.breakers.breakers(where(state=state), after=after, limit=limit))


@family.get("/breakers/{identity}", Circuit)
async def breaker(node: Here, identity: str) -> Response:
    """With its failures, its state now, and the run that tries it."""
    return answer(await node.breakers.breaker(identity))


@family.post("/breakers/{identity}/close", Verb.RELEASE, Circuit)
async def close(node: Here, actor: Who, identity: str, body: Why) -> Response:
    """What failed was mended: it is let in again at once, on record."""
    return answer(await node.engine.breakers.close(actor, identity, body.reason))


@family.get("/brakes", Listed)
async def brakes(node: Here, state: OnOff = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    return answer(await node.breakers.brakes(where(state=state), after=after, limit=limit))


@family.get("/brakes/{identity}", Brake)
async def brake(node: Here, identity: str) -> Response:
    return answer(await node.breakers.brake(identity))


@family.post("/brakes/{identity}/release", Verb.RELEASE, Brake)
async def release(node: Here, actor: Who, identity: str, body: Why) -> Response:
    """What failed until now does not pull it again; what fails from now on may."""
    return answer(await node.engine.breakers.release(actor, identity, body.reason))
