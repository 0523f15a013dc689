"""Holds, freezes, stops and grants: what people set so that automation waits, stops, or may do more."""

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from watchkeeper.approve.people import Grant
from watchkeeper.approve.roles import Verb
from watchkeeper.engine.answer import No
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed
from watchkeeper.guards.situation import Freeze, Hold, Stop
from watchkeeper.surface.api.bodies import (
    EVERYTHING,
    NO_REASON,
    NOTHING,
    Body,
    Nothing,
    Reason,
    ScopeBody,
    Text,
    Word,
    moment,
    until,
)
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Filter, Limit, where

family = Family("limits")

State = Annotated[str | None, Query(pattern="^(open|closed)$")]


class HoldBody(Body):
    scope: ScopeBody
    span: Annotated[Word, Field(alias="for")] = ""
    until: Word = ""
    reason: Text = ""


class ExtendBody(Body):
    span: Annotated[Word, Field(alias="for")] = ""
    until: Word = ""


class FreezeBody(Body):
    scope: ScopeBody
    begin: Annotated[Word, Field(alias="from")] = ""
    span: Annotated[Word, Field(alias="for")] = ""
    until: Word = ""
    reason: Text = ""


class StopBody(Body):
    """An empty scope is everything."""

    scope: ScopeBody = EVERYTHING
    reason: Text = ""
    now: bool = False


class GrantBody(Body):
    rule: Word
    level: Word
    span: Annotated[Word, Field(alias="for")] = ""
    until: Word = ""
    reason: Text = ""
    tier: Word = ""
    severity: Word = ""
    environment: Word = ""
    region: Word = ""


STOP_EVERYTHING = StopBody()


@family.get("/holds", Listed)
async def holds(node: Here, state: State = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    return answer(await node.reading.limits(Hold, where(state=state), after=after, limit=limit))


@family.get("/holds/{identity}", Hold)
async def hold(node: Here, identity: str) -> Response:
    return answer(await node.reading.limit(Hold, "hold", identity))


@family.post("/holds", Verb.HOLD, Hold, status=201)
async def add_hold(node: Here, actor: Who, body: HoldBody) -> Response:
    end = until(node.engine.clock.now(), body.span, body.until)
    if isinstance(end, No):
        return answer(end)
    return answer(await node.engine.limits.hold(actor, body.scope.scope(), end, body.reason), 201)


@family.post("/holds/{identity}/extend", Verb.HOLD, Hold)
async def extend(node: Here, actor: Who, identity: str, body: ExtendBody) -> Response:
    end = until(node.engine.clock.now(), body.span, body.until)
    return answer(end if isinstance(end, No) else await node.engine.limits.extend(actor, identity, end))


@family.post("/holds/{identity}/lift", Verb.LIFT_HOLD, Hold)
async def lift_hold(node: Here, actor: Who, identity: str, body: Reason = NO_REASON) -> Response:
    return answer(await node.engine.limits.lift_hold(actor, identity, body.reason))


@family.get("/freezes", Listed)
async def freezes(node: Here, state: State = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    return answer(await node.reading.limits(Freeze, where(state=state), after=after, limit=limit))


@family.get("/freezes/{identity}", Freeze)
async def freeze(node: Here, identity: str) -> Response:
    return answer(await node.reading.limit(Freeze, "freeze", identity))


@family.post("/freezes", Verb.FREEZE, Freeze, status=201)
async def add_freeze(node: Here, actor: Who, body: FreezeBody) -> Response:
    now = node.engine.clock.now()
    begin = moment("from", body.begin, now)
    if isinstance(begin, No):
        return answer(begin)
    end = until(now, body.span, body.until, begin)
    if isinstance(end, No):
        return answer(end)
    return answer(await node.engine.limits.freeze(actor, body.scope.scope(), begin, end, body.reason), 201)


@family.post("/freezes/{identity}/lift", Verb.LIFT_FREEZE, Freeze)
async def lift_freeze(node: Here, actor: Who, identity: str, body: Reason = NO_REASON) -> Response:
    return answer(await node.engine.limits.lift_freeze(actor, identity, body.reason))


@family.get("/stops", Listed)
async def stops(node: Here, state: State = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    return answer(await node.reading.limits(Stop, where(state=state), after=after, limit=limit))


@family.get("/stops/{identity}", Stop)
async def stop(node: Here, identity: str) -> Response:
    return answer(await node.reading.limit(Stop, "stop", identity))


@family.post("/stops", Verb.STOP, Stop, status=201)
async def add_stop(node: Here, actor: Who, body: StopBody = STOP_EVERYTHING) -> Response:
    """The kill switch. Once this has answered, no new effect can be intended."""
    return answer(await node.engine.limits.stop(actor, body.scope.scope(), body.reason, now_too=body.now), 201)


@family.post("/stops/{identity}/resume", Verb.RESUME, Stop)
async def resume(node: Here, actor: Who, identity: str, body: Reason) -> Response:
    return answer(await node.engine.limits.resume(actor, identity, body.reason))


@family.get("/grants", Listed)
async def grants(
    node: Here, state: State = None, rule: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Response:
    return answer(await node.reading.limits(Grant, where(state=state, rule=rule), after=after, limit=limit))


@family.get("/grants/{identity}", Grant)
async def grant(node: Here, identity: str) -> Response:
    return answer(await node.reading.limit(Grant, "grant", identity))


@family.post("/grants", Verb.GRANT, Grant, status=201)
async def add_grant(node: Here, actor: Who, body: GrantBody) -> Response:
    now = node.engine.clock.now()
    end = until(now, body.span, body.until)
    if isinstance(end, No):
        return answer(end)
    wanted = Grant(
        id="",
        rule=body.rule,
        level=body.level,
        at=now,
        until_at=end,
        by=actor.name,
        reason=body.reason,
        tier=body.tier,
        severity=body.severity,
        environment=body.environment,
        region=body.region,
    )
    return answer(await node.engine.limits.grant(actor, wanted), 201)


@family.post("/grants/{identity}/second", Verb.GRANT, Grant)
async def second(node: Here, actor: Who, identity: str, _body: Nothing = NOTHING) -> Response:
    return answer(await node.engine.limits.second(actor, identity))


@family.post("/grants/{identity}/revoke", Verb.GRANT, Grant)
async def revoke(node: Here, actor: Who, identity: str, body: Reason = NO_REASON) -> Response:
    return answer(await node.engine.limits.revoke(actor, identity, body.reason))
