"""Business transactions and their coverage: which hop is protected, by which rule, and whether that was ever proven."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from watchkeeper.engine.answer import No, invalid
from watchkeeper.engine.business_reading import Covered
from watchkeeper.engine.reading import Listed
from watchkeeper.surface.api.door import Family, Here, answer
from watchkeeper.values import duration_ms

family = Family("business")

WITHIN_MIN_MS = 60_000
Span = Annotated[str, Query(max_length=40, description="A duration such as 90d; without it the home's own setting.")]


@family.get("/transactions", Listed)
async def transactions(node: Here) -> Response:
    """Most important first; `troubled` are the hops on which an alert fires."""
    return answer(node.business.transactions())


@family.get("/transactions/{name}")
async def transaction(node: Here, name: str) -> Response:
    return answer(node.business.transaction(name))


@family.get("/coverage", Covered)
async def coverage(node: Here, within: Span = "", transaction: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Each hop of each transaction: proven, declared (never proven in time), or uncovered."""
    span = _span(within)
    if isinstance(span, No):
        return answer(span)
    return answer(await node.business.coverage(span, transaction))


def _span(text: str) -> int | No | None:
    if not text:
        return None
    try:
        found = duration_ms(text)
    except ValueError as wrong:
        return invalid("within", str(wrong))
    return found if found >= WITHIN_MIN_MS else invalid("within", "is less than a minute: nothing is proven in that")
