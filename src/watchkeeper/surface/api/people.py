"""Identities and tokens, and who is asking."""

from typing import Annotated, Final

from pydantic import Field
from starlette.responses import Response

from watchkeeper.approve.people import Identity
from watchkeeper.approve.roles import Verb
from watchkeeper.engine.answer import No, denied, invalid
from watchkeeper.engine.identities import BESIDE, OWN_NAME, ROLES, including
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed, token_view
from watchkeeper.engine.sessions import SESSION_MS
from watchkeeper.surface.api.bodies import NO_REASON, Body, Reason, Word
from watchkeeper.surface.api.door import Answer, Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Limit
from watchkeeper.values import duration_ms

family = Family("people")

WORDS_MAX: Final = 100
OWN_FOR: Final = "12h"
SESSION: Final = "session"  # the channel of an actor behind a cookie

Words = Annotated[list[Word], Field(max_length=WORDS_MAX)]


class IdentityBody(Body):
    name: Word
    roles: Words
    groups: Words = Field(default_factory=list)
    human: bool = True


class TokenBody(Body):
    """`source` makes it a hook token: it can do nothing but post there."""

    identity: Word = ""
    name: Word = ""
    roles: Words = Field(default_factory=list)
    span: Annotated[Word, Field(alias="for")] = ""
    source: Word = ""


class OwnBody(Body):
    """`for` is at most twelve hours, as long as a session lasts."""

    span: Annotated[Word, Field(alias="for")] = OWN_FOR


OWN: Final = OwnBody()


@family.get("/identities", Listed)
async def identities(node: Here, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    return answer(await node.reading.identities(after=after, limit=limit))


@family.post("/identities", Verb.IDENTITY, Identity, status=201)
async def add(node: Here, actor: Who, body: IdentityBody) -> Response:
    found = await node.engine.identities.add(actor, body.name, tuple(body.roles), tuple(body.groups), human=body.human)
    return answer(found, 201)


@family.post("/identities/{identity}/remove", Verb.IDENTITY, Identity)
async def remove(node: Here, actor: Who, identity: str, body: Reason = NO_REASON) -> Response:
    return answer(await node.engine.identities.remove(actor, identity, body.reason))


@family.get("/tokens", Listed)
async def tokens(node: Here, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    return answer(await node.reading.tokens(after=after, limit=limit))


@family.post("/tokens", Verb.TOKEN, status=201)
async def issue(node: Here, actor: Who, body: TokenBody) -> Response:
    """Its text is in this answer and nowhere else: not in the store, and not in a repeated answer."""
    if body.source and body.source not in node.settings.sources:
        return answer(invalid("source", f"no source {body.source!r} in the active configuration"))
    if body.source and body.roles:
        return answer(invalid("roles", "a hook token has none: it can only post"))
    if not body.source and not body.roles:
        return answer(invalid("roles", f"say what it may do: one or more of {', '.join((*ROLES, *BESIDE))}"))
    try:
        for_ms = duration_ms(body.span) if body.span else None
    except ValueError as wrong:
        return answer(invalid("for", str(wrong)))
    made = await node.engine.identities.issue(
        actor, body.identity, body.name, tuple(body.roles), for_ms=for_ms, source=body.source
    )
    if isinstance(made, No):
        return answer(made)
    token, text = made
    shown = token_view(token)
    return Answer({**shown, "text": text}, 201, kept={**shown, "text": None})


@family.post("/tokens/{identity}/revoke", Verb.TOKEN)
async def revoke(node: Here, actor: Who, identity: str, body: Reason = NO_REASON) -> Response:
    found = await node.engine.identities.revoke(actor, identity, body.reason)
    return answer(found if isinstance(found, No) else token_view(found))


@family.post("/whoami/token", Verb.READ, status=201)
async def own(node: Here, actor: Who, body: OwnBody = OWN) -> Response:
    """A token of one's own to sign in to the console with, worth no more than whoever asks, for twelve hours at most. It
    ends with the token that asks for it.
    """
    if not actor.identity:
        return answer(denied(f"{actor.name} has no identity here: make one with 'wk identity add --me'"))
    if actor.channel == SESSION:
        return answer(denied("a session makes no tokens: ask with 'wk console' or with a token"))
    try:
        for_ms = min(duration_ms(body.span), SESSION_MS)
    except ValueError as wrong:
        return answer(invalid("for", str(wrong)))
    known = node.engine.identities.identities[actor.identity]
    roles = tuple(sorted(actor.roles & including(known.roles)))
    made = await node.engine.identities.issue(actor, actor.identity, OWN_NAME, roles, for_ms=for_ms, own=True)
    if isinstance(made, No):
        return answer(made)
    token, text = made
    shown = {**token_view(token), "url": node.url}
    return Answer({**shown, "text": text}, 201, kept={**shown, "text": None})


@family.get("/whoami", verb=None)
async def whoami(node: Here, actor: Who) -> Response:
    return answer(node.reading.whoami(actor))
