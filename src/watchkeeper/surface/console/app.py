"""The application of the console: addresses to pages, and what every answer carries.

Without a session every page leads to the sign-in. A form is taken only with the word of our own page and never from a
page elsewhere; what it does is a call of the API, with the roles of whoever signed in.
Source: OWASP, "Cross-Site Request Forgery Prevention"; W3C, Content Security Policy Level 3.
"""

import hmac
import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from watchkeeper.engine.answer import No
from watchkeeper.engine.sessions import SESSION_MS, form_word
from watchkeeper.surface.api.asgi import Application
from watchkeeper.surface.api.node import COOKIE, Node, session_text
from watchkeeper.surface.console import render
from watchkeeper.surface.console.call import UNSIGNED, Refused
from watchkeeper.surface.console.pages import (
    agenda,
    alerts,
    approvals,
    cards,
    decisions,
    incidents,
    ledger,
    letters,
    limits,
    metrics,
    now,
    palette,
    reviews,
    rules,
    runs,
    scenarios,
    services,
    settings,
    sources,
    stop,
)
from watchkeeper.surface.console.visit import Visit, own

log = structlog.get_logger("watchkeeper.console")

STATIC: Final = Path(__file__).parent / "static"
STATIC_MAX_AGE_S: Final = 3_600
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Page = Callable[[Visit], Awaitable[Response]]
PAGES: Final = (
    *now.PAGES,
    *incidents.PAGES,
    *alerts.PAGES,
    *decisions.PAGES,
    *approvals.PAGES,
    *cards.PAGES,
    *runs.PAGES,
    *services.PAGES,
    *reviews.PAGES,
    *rules.PAGES,
    *scenarios.PAGES,
    *limits.PAGES,
    *agenda.PAGES,
    *ledger.PAGES,
    *letters.PAGES,
    *sources.PAGES,
    *metrics.PAGES,
    *stop.PAGES,
    *settings.PAGES,
    *palette.PAGES,
)


class Console:
    """Made when the first page is asked for: hooks never wait for it."""

    def __init__(self, node: Node, api: Application) -> None:
        self._node, self._api = node, api
        self._app = Starlette(
            routes=[
                Route("/static/{name:path}", _static, methods=["GET"]),
                Route("/sign-in", self._door, methods=["GET"]),
                Route("/sign-in", self._enter, methods=["POST"]),
                Route("/sign-out", self._leave, methods=["POST"]),
                *[Route(path, self._seen(page, method), methods=[method]) for method, path, page in PAGES],
                Route("/{path:path}", self._seen(_nowhere, "GET"), methods=["GET"]),
            ]
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def dressed(message: Any) -> None:
            if message["type"] == "http.response.start":
                have = {name for name, _ in message["headers"]}
                more = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *[one for one in more if one[0] not in have]]}
            await send(message)

        await self._app(scope, receive, dressed)

    def _seen(self, page: Page, method: str) -> Callable[[Request], Awaitable[Response]]:
        """A page behind the door. What the API refuses is told on a page of its own."""

        async def handle(request: Request) -> Response:
            visit = Visit(request, self._api)
            if not visit.session:
                return _to_door(request)
            try:
                await visit.load()
                if method == "POST" and not await _own_form(visit):
                    return _told(visit, Refused(403, "not from our page", "Reload the page and try again.", {}))
                return await page(visit)
            except Refused as refused:
                if refused.status == UNSIGNED:
                    return _to_door(request)
                return _told(visit, refused)
            except Exception as broken:  # the edge: whatever happens, a person reads a page
                log.exception("a page failed", path=request.url.path)
                why = f"{type(broken).__name__}; the log of this node has the whole of it. The other pages go on, and so does the node."
                return _told(visit, Refused(500, "this page failed", why, {}))

        return handle

    async def _door(self, request: Request) -> Response:
        if self._node.engine.sessions.actor(session_text(request.scope), self._node.engine.clock.now()) is not None:
            return RedirectResponse(own(request.query_params.get("next", "/")), 303)
        return self._sign_in(request, "")

    async def _enter(self, request: Request) -> Response:
        """A form of sign-in carries no word: there is no session yet. It is taken from our own page only."""
        if not _from_here(request):
            return self._sign_in(request, "That form came from another page. Sign in here.", 403)
        visit = Visit(request, self._api)
        given = await visit.fields()
        begun = await self._node.engine.sessions.begin(given.get("token", ""))
        if isinstance(begun, No):
            return self._sign_in(request, begun.detail, 403)
        response = RedirectResponse(own(given.get("next", "/")), 303)
        response.set_cookie(
            COOKIE,
            begun[1],
            max_age=SESSION_MS // 1_000,
            path="/",
            httponly=True,
            secure=_encrypted(request),
            samesite="lax",
        )
        log.info("signed in", name=begun[0].name, session=begun[0].id)
        return response

    async def _leave(self, request: Request) -> Response:
        visit = Visit(request, self._api)
        if visit.session and await _own_form(visit):
            await self._node.engine.sessions.end(visit.session)
        response = RedirectResponse("/sign-in", 303)
        response.delete_cookie(COOKIE, path="/")
        return response

    def _sign_in(self, request: Request, why: str, status: int = 200) -> Response:
        wanted = own(request.query_params.get("next", "/"))
        home = str(self._node.engine.sequencer.key.name)
        theme = request.cookies.get("wk_theme", "")
        text = render.render(
            "sign-in.html",
            wanted=wanted,
            why=why,
            node=home,
            theme=theme if theme in {"light", "dark"} else "",
            version=self._node.version,
        )
        return HTMLResponse(text, status)


async def _own_form(visit: Visit) -> bool:
    """The word of our own page. The form is read once and kept for the page."""
    if not _from_here(visit.request):
        return False
    given = await visit.fields()
    return hmac.compare_digest(given.get("word", "").encode(), form_word(visit.session).encode())


def _encrypted(request: Request) -> bool:
    """Whether the browser came over TLS, to us or to a proxy in front that says so."""
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()}


def _from_here(request: Request) -> bool:
    """Whether a form came from a page of ours. A browser says so in Sec-Fetch-Site, over plain HTTP beyond loopback in
    Origin alone; who says neither is no browser of these years, and no page elsewhere made it send.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()


def _to_door(request: Request) -> Response:
    """A page that is asked for leads back after the sign-in; a form does not: it would be posted by nobody."""
    if request.method != "GET" or request.url.path == "/":
        return RedirectResponse("/sign-in", 303)
    where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?next={quote(where, safe='')}", 303)


def _told(visit: Visit, refused: Refused) -> Response:
    """What the API refused, in its own words."""
    return visit.page("refused.html", at="", title=refused.title.capitalize(), status=refused.status, refused=refused)


async def _nowhere(visit: Visit) -> Response:
    raise Refused(404, "not found", f"There is no page {visit.request.url.path}.", {})


async def _static(request: Request) -> Response:
    """One of our own files, by its name alone."""
    name = request.path_params["name"]
    path = STATIC / name
    if "/" in name or name.startswith(".") or not path.is_file():
        return PlainTextResponse("not found\n", 404)
    kind = "font/woff2" if path.suffix == ".woff2" else mimetypes.guess_type(name)[0] or "application/octet-stream"
    body = path.read_bytes()
    return Response(body, 200, {"Cache-Control": f"public, max-age={STATIC_MAX_AGE_S}"}, kind)
