"""The ledger: what was done and refused, and proof that nothing of it was altered since."""

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.ledger_reading import Verified
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed
from watchkeeper.ledger.tree import SIZE_MAX
from watchkeeper.surface.api.bodies import Body
from watchkeeper.surface.api.door import Family, Here, answer
from watchkeeper.surface.api.lists import After, Limit

family = Family("ledger")

CHECKPOINT_CHARS_MAX = 16_384
Index = Annotated[int | None, Query(ge=0, le=SIZE_MAX)]


class VerifyBody(Body):
    """`against`: a checkpoint that somebody kept, as it was pasted into a ticket or a mail."""

    against: Annotated[str, Field(max_length=CHECKPOINT_CHARS_MAX)] = ""


EVERYTHING = VerifyBody()


@family.get("/ledger/entries", Listed)
async def entries(node: Here, first: Index = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    """Newest first; with `first` oldest first from that index on."""
    if first is not None:
        return answer(await node.ledger.entries(first if after is None else int(after), limit))
    return answer(await node.ledger.newest(limit, None if after is None else int(after)))


@family.get("/ledger/checkpoint")
async def checkpoint(node: Here) -> Response:
    return answer(await node.ledger.checkpoint())


@family.get("/ledger/entries/{index}/proof")
async def proof(node: Here, index: int, size: Index = None) -> Response:
    return answer(await node.ledger.proof(index, size))


@family.get("/ledger/consistency")
async def consistency(
    node: Here,
    start: Annotated[int, Query(ge=0, le=SIZE_MAX, alias="from")],
    end: Annotated[int | None, Query(ge=0, le=SIZE_MAX, alias="to")] = None,
) -> Response:
    return answer(await node.ledger.consistency(start, end))


@family.post("/ledger/verify", Verb.READ, Verified)
async def verify(node: Here, body: VerifyBody = EVERYTHING) -> Response:
    return answer(await node.ledger.verify(body.against))
