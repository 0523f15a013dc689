"""Calendars: what they say, how old that is, and whether a time is open to changes."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Query
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.agenda import Agenda
from watchkeeper.engine.answer import No
from watchkeeper.engine.calendar_reading import FreezeStatus
from watchkeeper.engine.reading import Listed
from watchkeeper.guards.situation import Scope
from watchkeeper.surface.api.bodies import NOTHING, Nothing, moment
from watchkeeper.surface.api.door import Family, Here, answer
from watchkeeper.surface.api.lists import Filter
from watchkeeper.values import after_ms

family = Family("calendars")

AGENDA_MS: Final = 31 * 86_400_000  # without `until`
LAST_BEGIN: Final = after_ms(datetime.max.replace(tzinfo=UTC), -AGENDA_MS)  # what begins later ends with the calendar

Moment = Annotated[str, Query(max_length=64, description="An instant such as 2026-12-24T12:00:00Z.")]


@family.get("/calendars", Listed)
async def calendars(node: Here) -> Response:
    """Each with its age, whether it is open now, and its next windows."""
    return answer(node.calendars.calendars())


@family.get("/calendars/{name}")
async def calendar(node: Here, name: str) -> Response:
    return answer(node.calendars.calendar(name))


@family.post("/calendars/{name}/read", Verb.FREEZE)
async def read(node: Here, name: str, _body: Nothing = NOTHING) -> Response:
    """Read it again now, and not only at its interval."""
    return answer(await node.engine.calendars.again(name))


@family.get("/agenda", Agenda)
async def agenda(node: Here, begin: Annotated[Moment, Query(alias="from")] = "", until: Moment = "") -> Response:
    """Freezes, maintenance, holds and stops that touch a span of time, past or to come; from now, 31 days, without one."""
    from_at = moment("from", begin, node.engine.clock.now())
    if isinstance(from_at, No):
        return answer(from_at)
    until_at = moment("until", until, after_ms(min(from_at, LAST_BEGIN), AGENDA_MS))
    return answer(until_at if isinstance(until_at, No) else await node.agenda.agenda(from_at, until_at))


@family.get("/freeze-status", FreezeStatus)
async def freeze_status(
    node: Here,
    at: Annotated[
        str, Query(max_length=64, description="An instant such as 2026-12-24T12:00:00Z; now without it.")
    ] = "",
    environment: Filter = None,
    system: Filter = None,
    region: Filter = None,
    kind: Filter = None,
    tier: Filter = None,
    entity: Filter = None,
    service: Filter = None,
    rule: Filter = None,
) -> Response:
    """Open or closed to changes, why, until when, and what comes next. Freezes that people set count too."""
    asked = moment("at", at, node.engine.clock.now())
    if isinstance(asked, No):
        return answer(asked)
    scope = Scope(
        environment=environment or "",
        system=system or "",
        region=region or "",
        kind=kind or "",
        tier=tier or "",
        entity=entity or "",
        service=service or "",
        rule=rule or "",
    )
    return answer(await node.calendars.status(asked, scope))
