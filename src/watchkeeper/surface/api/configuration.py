"""What runs: the active configuration, what the folder would change, and applying exactly that."""

import asyncio
import base64
import binascii
from typing import Annotated, Final

import msgspec
from fastapi import Query, Request
from pydantic import Field
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.answer import No, invalid
from watchkeeper.engine.changes import Planned
from watchkeeper.engine.home_reading import REFS_MAX
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed
from watchkeeper.engine.records import Activation
from watchkeeper.surface.api.approvals import shown_digest
from watchkeeper.surface.api.bodies import Body, Text, Word
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Limit

family = Family("configuration")

FILES_MAX = 20_000
HOPS_MAX: Final = 8
NAME = "{name:path}"  # rules and runbooks are called pack/name, services kind:namespace/name


class PlanBody(Body):
    """`files`: path -> base64 of its bytes. Without it the node reads its own folder."""

    files: Annotated[dict[str, str], Field(max_length=FILES_MAX)] | None = None


class ApplyBody(Body):
    """`digest` is the one that the plan named; `If-Match` may carry it instead. `despite_replays`: apply it although it
    does not pass its replay tests, on record.
    """

    digest: Word = ""
    reason: Text = ""
    despite_replays: bool = False


OWN_FOLDER = PlanBody()


@family.get("/configuration")
async def configuration(node: Here) -> Response:
    return answer(await node.home.configuration(await node.differing()))


@family.post("/configuration/plan", Verb.READ, Planned)
async def plan(node: Here, body: PlanBody = OWN_FOLDER) -> Response:
    """Compiled beside the loop: ten thousand rules take a while, and nothing waits for them."""
    files = decoded(body.files) if body.files is not None else None
    if isinstance(files, No):
        return answer(files)
    found = await asyncio.to_thread(node.engine.changes.plan, files, await node.engine.changes.harms())
    return answer({**msgspec.to_builtins(found), "ok": bool(found.digest)})


def decoded(given: dict[str, str]) -> dict[str, bytes] | No:
    found: dict[str, bytes] = {}
    for path, text in given.items():
        try:
            found[path] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as wrong:
            return invalid(f"files.{path[:200]}", f"is not base64: {wrong}")
    return found


@family.post("/configuration/apply", Verb.APPLY, Activation)
async def apply(node: Here, actor: Who, request: Request, body: ApplyBody) -> Response:
    """The node reads its own folder; it applies only what was planned, named by its digest."""
    digest = shown_digest(request, body.digest)
    if isinstance(digest, No):
        return answer(digest)
    return answer(await node.engine.changes.apply(actor, digest, body.reason, despite=body.despite_replays))


@family.get("/configuration/activations", Listed)
async def activations(node: Here, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    """Every configuration that was made active, by whom and why, newest first. All of them are kept."""
    found, following = await node.engine.changes.activations(after=after, limit=limit)
    return answer(Listed(items=found, next=following))


@family.get("/configuration/activations/{digest}")
async def kept(node: Here, digest: str, file: Annotated[str, Query(max_length=500)] = "") -> Response:
    """One of them with its files (path -> base64), each checked against its SHA-256; with `file` that one alone."""
    found = await node.engine.changes.kept(digest)
    if isinstance(found, No):
        return answer(found)
    one, files = found
    shown = {path: base64.b64encode(body).decode() for path, body in sorted(files.items()) if file in {"", path}}
    return answer({"activation": one, "files": shown})


@family.post("/configuration/restore", Verb.APPLY, Activation)
async def restore(node: Here, actor: Who, request: Request, body: ApplyBody) -> Response:
    """Put an earlier configuration into force again, as a change on record."""
    digest = shown_digest(request, body.digest)
    if isinstance(digest, No):
        return answer(digest)
    return answer(await node.engine.changes.restore(actor, digest, body.reason))


@family.get("/rules", Listed)
async def rules(node: Here) -> Response:
    return answer(node.home.rules())


@family.get(f"/rules/{NAME}")
async def rule(node: Here, name: str) -> Response:
    return answer(node.home.rule(name))


@family.get("/runbooks", Listed)
async def runbooks(node: Here) -> Response:
    return answer(node.home.runbooks())


@family.get(f"/runbooks/{NAME}")
async def runbook(node: Here, name: str) -> Response:
    """Its steps as data, and its handbook: what a person would do by hand."""
    return answer(node.home.runbook(name))


@family.get("/services", Listed)
async def services(
    node: Here,
    kind: Annotated[str, Query(max_length=40)] = "",
    environment: Annotated[str, Query(max_length=100)] = "",
    ref: Annotated[list[str] | None, Query(max_length=REFS_MAX)] = None,
    condition: Annotated[str, Query(pattern="^(healthy|degraded|failing|unknown)?$")] = "",
) -> Response:
    """`ref`, again for each: only these, and of them those that are in the catalogue. `health` is what guards see of the
    thing itself, `condition` what people read of the whole with its parts and needs, `limits` what keeps automation off it.
    """
    return answer(node.home.services(kind, environment, ref or (), condition))


@family.get(f"/services/{NAME}")
async def service(node: Here, name: str) -> Response:
    """One entity: what it is made of, what it needs, what needs it, and how each of these is."""
    return answer(node.home.service(name))


@family.get(f"/neighbourhood/{NAME}")
async def neighbourhood(
    node: Here,
    name: str,
    hops: Annotated[int, Query(ge=1, le=HOPS_MAX)] = 1,
    whole: Annotated[bool, Query()] = False,
    rules: Annotated[bool, Query()] = False,
) -> Response:
    """What stands around a service: who needs it, and what it needs. `whole`: instances and subcomponents stand for what
    they are parts of, and `peers` are what its callers need beside it; with `rules` each node names those that reach it.
    """
    if whole:
        return answer(node.home.whole_neighbourhood(name, hops, rules=rules))
    return answer(node.home.neighbourhood(name, hops))
