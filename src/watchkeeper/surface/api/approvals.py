"""Approvals: a person's yes or no to exactly what was displayed."""

from fastapi import Request
from starlette.responses import Response

from watchkeeper.approve.approval import Approval
from watchkeeper.approve.roles import Denied, Verb, may
from watchkeeper.engine.answer import No, denied, invalid
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed, approval_view
from watchkeeper.surface.api.bodies import Body, Text, Word
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Filter, Limit, where

family = Family("approvals")


class AnswerBody(Body):
    """`digest` is the one that was displayed; `If-Match` may carry it instead."""

    digest: Word = ""
    comment: Text = ""
    emergency: bool = False


@family.get("/approvals", Listed)
async def approvals(
    node: Here,
    state: Filter = None,
    decision: Filter = None,
    run: Filter = None,
    rule: Filter = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Response:
    wanted = where(state=state, decision=decision, run=run, rule=rule)
    return answer(await node.reading.approvals(wanted, after=after, limit=limit))


@family.get("/approvals/{identity}", Approval)
async def approval(node: Here, identity: str) -> Response:
    return answer(await node.reading.approval(identity))


@family.post("/approvals/{identity}/approve", Verb.APPROVE, Approval)
async def approve(node: Here, actor: Who, request: Request, identity: str, body: AnswerBody) -> Response:
    digest = shown_digest(request, body.digest)
    if isinstance(digest, No):
        return answer(digest)
    if body.emergency and isinstance(refused := may(actor, Verb.APPROVE_EMERGENCY), Denied):
        return answer(denied(refused.reason))
    found = await node.engine.steering.approve(actor, identity, digest, body.comment, emergency=body.emergency)
    return answer(found if isinstance(found, No) else approval_view(found))


@family.post("/approvals/{identity}/reject", Verb.REJECT, Approval)
async def reject(node: Here, actor: Who, request: Request, identity: str, body: AnswerBody) -> Response:
    digest = shown_digest(request, body.digest)
    if isinstance(digest, No):
        return answer(digest)
    found = await node.engine.steering.reject(actor, identity, digest, body.comment)
    return answer(found if isinstance(found, No) else approval_view(found))


def shown_digest(request: Request, stated: str) -> str | No:
    """The digest that was displayed, from `If-Match: "<digest>"` or the body; both must agree."""
    tag = request.headers.get("if-match", "").strip().removeprefix("W/").strip('"')
    if tag and stated and tag != stated:
        return invalid("digest", "If-Match and the body name different digests")
    if not tag and not stated:
        return invalid("digest", "send the digest that was displayed, in the body or as If-Match")
    return tag or stated
