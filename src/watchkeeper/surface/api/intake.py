"""What came in and could not be read, and what goes out: signals, dead letters, messages."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.answer import No, invalid
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed
from watchkeeper.engine.source_reading import SourceView
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.signals.signal import DeadLetter
from watchkeeper.surface.api.bodies import NOTHING, Body, Nothing, Reason, Word
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Filter, Limit, where
from watchkeeper.values import Severity, id_from

family = Family("intake")

LetterState = Annotated[str, Query(pattern="^(open|replayed|dropped)$")]


class RouteBody(Body):
    """`route` names one of `notify.routes`; "" is every route that a critical notice takes."""

    route: Word = ""


TEST_ALL = RouteBody()


@family.get("/sources", Listed)
async def sources(node: Here) -> Response:
    """Every configured source, also one that was never heard: last signal, rate, staleness, dead letters, where it posts."""
    return answer(await node.sources.sources())


@family.get("/refusals", Listed)
async def refusals(node: Here) -> Response:
    """Hooks that refused a post (401) since this process began, how often, and why the last one was."""
    return answer(Listed(items=node.refusals.listed()))


@family.get("/sources/{name}", SourceView)
async def source(node: Here, name: str) -> Response:
    return answer(await node.sources.source(name))


@family.get("/signals", Listed)
async def signals(
    node: Here, source: Filter = None, alert: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Response:
    return answer(await node.reading.signals(where(source=source, alert=alert), after=after, limit=limit))


@family.get("/dead-letters", Listed)
async def dead_letters(
    node: Here,
    source: Filter = None,
    state: LetterState = "open",
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Response:
    return answer(await node.reading.dead_letters(where(source=source, state=state), after=after, limit=limit))


@family.post("/dead-letters/{identity}/replay", Verb.REPLAY_DEAD_LETTER)
async def replay(node: Here, actor: Who, identity: str, _body: Nothing = NOTHING) -> Response:
    """Take it apart again, after what was wrong was mended."""
    found = await node.engine.letters.replay(identity, actor)
    return answer(found if isinstance(found, No) else {"delivery": found})


@family.post("/dead-letters/{identity}/drop", Verb.REPLAY_DEAD_LETTER, DeadLetter)
async def drop(node: Here, actor: Who, identity: str, body: Reason) -> Response:
    return answer(await node.engine.incidents.drop(actor, identity, body.reason))


@family.get("/messages", Listed)
async def messages(
    node: Here,
    state: Filter = None,
    channel: Filter = None,
    subject: Filter = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Response:
    wanted = where(state=state, channel=channel, subject=subject)
    return answer(await node.reading.messages(wanted, after=after, limit=limit))


@family.post("/notify/test", Verb.ACKNOWLEDGE, status=202)
async def try_routes(node: Here, actor: Who, body: RouteBody = TEST_ALL) -> Response:
    """Send a test the way every notice goes, and see it under `messages`."""
    routes = node.settings.notify.routes
    if not routes:
        return answer(invalid("route", "no route is configured: add one under notify.routes in watchkeeper.yaml"))
    if body.route and body.route not in {route.name for route in routes}:
        names = ", ".join(route.name for route in routes)
        return answer(invalid("route", f"no route {body.route!r}; there are {names}"))
    now = node.engine.clock.now()
    notice = Notice(
        id=id_from("ntc", now, actor.name, "test"),
        at=now,
        kind=NoticeKind.TEST,
        subject="A test of Watchkeeper's notices",
        text=f"{actor.name} asked for it. Nothing is wrong.",
        severity=Severity.CRITICAL,
    )
    return answer({"notice": notice.id, "routes": await node.engine.tell(notice, body.route)}, 202)
