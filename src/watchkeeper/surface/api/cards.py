"""Cards: requests of one rule for one service, answered at once, each that was displayed and no other."""

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from watchkeeper.approve.roles import Denied, Verb, may
from watchkeeper.engine.answer import No, denied
from watchkeeper.engine.group_answers import SHOWN_MAX, GroupAnswer, card_view
from watchkeeper.engine.reading import Listed
from watchkeeper.ports import LIST_LIMIT_MAX
from watchkeeper.surface.api.bodies import Body, Text, Word
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Limit

family = Family("cards")


class CardAnswer(Body):
    """`shown`: each request that was displayed, with the digest that was displayed of it. `digest`: that of the card; with
    it a card that changed since is answered with 409, what moved is named, and nothing is answered.
    """

    shown: Annotated[dict[Word, Word], Field(max_length=SHOWN_MAX)]
    comment: Text = ""
    emergency: bool = False
    digest: Word = ""


@family.get("/cards", Listed)
async def cards(
    node: Here,
    team: Annotated[str, Query(max_length=300)] = "",
    after: After = None,
    limit: Limit = LIST_LIMIT_MAX,
) -> Response:
    """By team, in the order in which they were first asked; those beyond the team's limit are `withheld`."""
    found = node.engine.groups.desks(team)
    shown = [card_view(card, withheld=False) for desk in found for card in desk.cards]
    held = {approval for desk in found for approval in desk.withheld}
    beyond = [card_view(card, withheld=True) for card in node.engine.groups.every(team) if held & set(card.approvals)]
    every, start = (*shown, *beyond), int(after or 0)
    more = str(start + limit) if start + limit < len(every) else None
    return answer(Listed(items=every[start : start + limit], next=more))


@family.get("/cards/{identity}")
async def card(node: Here, identity: str, requests: Annotated[int, Query(ge=1, le=SHOWN_MAX)] = SHOWN_MAX) -> Response:
    """One card with its requests in full, those that end first at the front, at most `requests` of them."""
    found = node.engine.groups.card(identity)
    if isinstance(found, No):
        return answer(found)
    held = {approval for desk in node.engine.groups.desks() for approval in desk.withheld}
    shown = [await node.reading.approval(each) for each in found.approvals[:requests]]
    view = card_view(found, withheld=bool(held & set(found.approvals)))
    return answer({**view, "approvals": [each for each in shown if not isinstance(each, No)]})


@family.post("/cards/{identity}/approve", Verb.APPROVE, GroupAnswer)
async def approve(node: Here, actor: Who, identity: str, body: CardAnswer) -> Response:
    if body.emergency and isinstance(refused := may(actor, Verb.APPROVE_EMERGENCY), Denied):
        return answer(denied(refused.reason))
    return answer(
        await node.engine.groups.answer(
            actor, identity, Verb.APPROVE, body.shown, body.comment, emergency=body.emergency, digest=body.digest
        )
    )


@family.post("/cards/{identity}/reject", Verb.REJECT, GroupAnswer)
async def reject(node: Here, actor: Who, identity: str, body: CardAnswer) -> Response:
    return answer(
        await node.engine.groups.answer(
            actor, identity, Verb.REJECT, body.shown, body.comment, emergency=False, digest=body.digest
        )
    )
