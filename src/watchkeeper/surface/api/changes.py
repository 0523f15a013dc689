"""Changes that sources told of: deploys, releases, workflows. Those under way hold or ask about what would act on them."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed
from watchkeeper.engine.records import ChangeRecord
from watchkeeper.surface.api.bodies import Reason
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Filter, Limit, where

family = Family("changes")

State = Annotated[str | None, Query(pattern="^(open|closed)$")]


@family.get("/changes", Listed)
async def changes(
    node: Here,
    state: State = None,
    service: Filter = None,
    source: Filter = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Response:
    wanted = where(state=state, service=service, source=source)
    return answer(await node.reading.changes(wanted, after=after, limit=limit))


@family.get("/changes/{identity}", ChangeRecord)
async def change(node: Here, identity: str) -> Response:
    return answer(await node.reading.change(identity))


@family.post("/changes/{identity}/end", Verb.LIFT_HOLD, ChangeRecord)
async def end(node: Here, actor: Who, identity: str, body: Reason) -> Response:
    """Say that a change is over, where its sender never did."""
    return answer(await node.engine.sayings.end(actor, identity, body.reason))
