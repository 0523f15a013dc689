"""History: what another configuration would have made of it."""

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.answer import No
from watchkeeper.engine.impact import LOOKED_AT_MAX
from watchkeeper.engine.suggesting import Suggested
from watchkeeper.engine.trying import DAYS_MAX, TRIED_AT_ONCE_MAX, Than, Tried
from watchkeeper.report.impact import Impact
from watchkeeper.surface.api.bodies import Body, Word
from watchkeeper.surface.api.configuration import FILES_MAX, decoded
from watchkeeper.surface.api.door import Family, Here, answer

family = Family("history")

DAYS_DEFAULT = 30

Files = Annotated[dict[str, str], Field(max_length=FILES_MAX)]
Days = Annotated[int, Field(ge=1, le=DAYS_MAX)]


class TryBody(Body):
    """`files`: path -> base64 of its bytes; without it the node's own folder. `than`: `record` or `active`. `after` is the
    cursor of the answer before.
    """

    files: Files | None = None
    days: Days = DAYS_DEFAULT
    rule: Word = ""
    after: Word = ""
    limit: Annotated[int, Field(ge=1, le=TRIED_AT_ONCE_MAX)] = TRIED_AT_ONCE_MAX
    than: Annotated[str, Field(pattern="^(record|active)$")] = Than.RECORD.value


@family.post("/history/try", Verb.READ, Tried)
async def attempt(node: Here, body: TryBody) -> Response:
    """Recorded situations decided under another configuration, a page at a time: what would have been otherwise."""
    files = decoded(body.files) if body.files is not None else None
    if isinstance(files, No):
        return answer(files)
    configuration = await node.trying.configuration(files)
    if isinstance(configuration, No):
        return answer(configuration)
    return answer(
        await node.trying.page(
            configuration,
            days=body.days,
            rule=body.rule,
            after=body.after or None,
            limit=body.limit,
            than=Than(body.than),
        )
    )


class ImpactBody(Body):
    """`files` as for a trial. `limit` decisions are looked at, the newest ones. `document`: `md` or `html` for the report as
    text beside the data.
    """

    files: Files | None = None
    days: Days = DAYS_DEFAULT
    limit: Annotated[int, Field(ge=1, le=LOOKED_AT_MAX)] = LOOKED_AT_MAX
    document: Annotated[str, Field(pattern="^(md|html|)$")] = ""


@family.post("/history/impact", Verb.READ, Impact)
async def impact(node: Here, body: ImpactBody) -> Response:
    """The impact report of a change: the plan, services, transactions and teams touched, and what history would have been
    under it, against what is active.
    """
    files = decoded(body.files) if body.files is not None else None
    if isinstance(files, No):
        return answer(files)
    return answer(await node.impacts.of(files, days=body.days, limit=body.limit, document=body.document))


@family.get("/history/suggestions", Suggested)
async def suggestions(
    node: Here,
    days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = DAYS_DEFAULT,
    least: Annotated[int, Query(ge=1, le=1_000_000)] = 2,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Response:
    """Rules that are missing: alerts that came at least so often and that no rule asks for, with a draft for each."""
    return answer(await node.suggesting.rules(days=days, least=least, limit=limit))
