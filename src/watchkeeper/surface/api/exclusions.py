"""The exclusion register: how each entry stands, what it stopped, the proof, and the whole for auditors."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.answer import No
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed
from watchkeeper.engine.register_reading import Reach
from watchkeeper.report.register import Export, csv_of
from watchkeeper.surface.api.bodies import moment
from watchkeeper.surface.api.door import Family, Here, answer
from watchkeeper.surface.api.lists import After, Limit
from watchkeeper.surface.api.node import Node
from watchkeeper.surface.api.problems import HEADERS
from watchkeeper.values import EPOCH

family = Family("exclusions")

CSV = "text/csv; charset=utf-8"
When = Annotated[str, Query(max_length=40, description="An instant such as 2026-01-01T00:00:00Z.")]


@family.get("/exclusions", Listed)
async def exclusions(node: Here) -> Response:
    return answer(await node.register.exclusions())


@family.get("/exclusions/proof", Reach)
async def proof(node: Here) -> Response:
    """Whether an enabled rule of the active configuration can be led to what is excluded, with a witness for each."""
    return answer(node.register.proof())


@family.get("/exclusions/export", Export, verb=Verb.EXPORT)
async def export(node: Here, since: When = "", until: When = "") -> Response:
    """Each exclusion and every decision that it stopped, held against the decisions taken, with places in the ledger."""
    return answer(await _export(node, since, until))


@family.get("/exclusions/export.csv", verb=Verb.EXPORT, media=CSV)
async def export_csv(node: Here, since: When = "", until: When = "") -> Response:
    """The same, one line a decision. The header `Watchkeeper-Agrees` says whether it agrees with the decisions taken."""
    found = await _export(node, since, until)
    if isinstance(found, No):
        return answer(found)
    agrees = {"Watchkeeper-Agrees": "true" if found.agrees else "false"}
    return Response(csv_of(found), headers={**HEADERS, **agrees}, media_type=CSV)


@family.get("/exclusions/{identity}")
async def exclusion(node: Here, identity: str) -> Response:
    return answer(await node.register.exclusion(identity))


@family.get("/exclusions/{identity}/decisions", Listed)
async def decisions(node: Here, identity: str, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    """What it stopped, newest first; of an exclusion that was removed, too."""
    return answer(await node.register.decisions(identity, after=after, limit=limit))


async def _export(node: Node, since: str, until: str) -> Export | No:
    begin, end = moment("since", since, EPOCH), moment("until", until, EPOCH)
    if isinstance(begin, No):
        return begin
    if isinstance(end, No):
        return end
    return await node.register.export(begin if since else None, end if until else None)
