"""History: what another configuration would have made of it."""

from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.answer import No
from watchkeeper.engine.trying import DAYS_MAX, TRIED_AT_ONCE_MAX, Than, Tried
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
