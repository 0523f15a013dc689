"""A visit: one request of a signed-in person, and the page that answers it."""

import asyncio
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from watchkeeper.engine.sessions import form_word
from watchkeeper.surface.api.asgi import Application
from watchkeeper.surface.api.node import session_text
from watchkeeper.surface.console import render
from watchkeeper.surface.console.call import Api

FORM_BYTES_MAX: Final = 64 * 1024
FORM_WITHIN_S: Final = 30.0
FIELDS_MAX: Final = 100
THEMES: Final = frozenset({"light", "dark"})
THEME_COOKIE: Final = "wk_theme"
ZONE_COOKIE: Final = "wk_zone"
KEYS_COOKIE: Final = "wk_keys"
SAID_COOKIE: Final = "wk_said"  # what the page before did, shown once
SAID_CHARS_MAX: Final = 300


class Visit:
    """`api` is the API as this person sees it; `query` the address's; `frame` what every page shows around itself."""

    def __init__(self, request: Request, application: Application) -> None:
        self.request = request
        self.session = session_text(request.scope)
        self.api = Api(application, self.session)
        self.query: Mapping[str, str] = request.query_params
        self.part: Mapping[str, str] = request.path_params
        self.cookies = _cookies(request.headers.get("cookie", ""))
        self.me: Any = {}
        self.status: Any = {}
        self._fields: dict[str, str] | None = None

    async def load(self) -> None:
        """Who this is and how the node is. Raises Refused (401) when the session has ended."""
        self.me = await self.api.get("whoami")
        self.status = await self.api.get("status")

    async def many(self, *asked: Any) -> list[Any]:
        """Several answers at once."""
        return list(await asyncio.gather(*asked))

    @property
    def zone(self) -> ZoneInfo:
        """The viewer's."""
        return render.zone_of(self.cookies.get(ZONE_COOKIE, ""))

    def may(self, verb: str) -> bool:
        return verb in self.me.get("may", ())

    async def fields(self) -> dict[str, str]:
        """The fields of the posted form. Of a field that was sent twice the last counts; beyond the bounds, or too
        late: none.
        """
        if self._fields is None:
            self._fields = await self._read()
        return self._fields

    async def _read(self) -> dict[str, str]:
        body = bytearray()
        try:
            async with asyncio.timeout(FORM_WITHIN_S):
                async for chunk in self.request.stream():
                    body += chunk
                    if len(body) > FORM_BYTES_MAX:
                        return {}
        except (TimeoutError, ClientDisconnect):  # also who is not signed in sends a form: no place is kept for them
            return {}
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX))
        except ValueError:
            return {}

    def page(
        self, template: str, *, at: str, title: str, status: int = 200, address: str = "", **context: Any
    ) -> Response:
        """A whole page. `at` is its place in the navigation; `address` where it is asked for, when a form led here."""
        theme = self.cookies.get(THEME_COOKIE, "")
        text = render.render(
            template,
            place=at,
            title=title,
            me=self.me,
            status=self.status,
            now=self.status.get("at"),
            zone=self.zone,
            zone_known=bool(self.cookies.get(ZONE_COOKIE)),
            theme=theme if theme in THEMES else "",
            keys=self.cookies.get(KEYS_COOKIE, "") != "off",
            word=form_word(self.session),
            said=self.cookies.get(SAID_COOKIE, "")[:SAID_CHARS_MAX],
            path=self.request.url.path + (f"?{self.request.url.query}" if self.request.url.query else ""),
            address=address if self.request.method == "POST" else "",
            may=self.may,
            query=self.query,
            **context,
        )
        response = HTMLResponse(text, status)
        if SAID_COOKIE in self.cookies:
            response.delete_cookie(SAID_COOKIE, path="/")
        return response

    def go(self, where: str, said: str = "") -> Response:
        """After a form: look at the result. `said` is shown there once."""
        response = RedirectResponse(own(where), 303)
        if said:
            response.set_cookie(SAID_COOKIE, _plain(said), max_age=30, path="/", httponly=True, samesite="lax")
        return response


def own(where: str) -> str:
    """An address on this node; the start page for anything that would lead elsewhere."""
    return where if where.startswith("/") and not where.startswith(("//", "/\\")) and where.isprintable() else "/"


def _plain(said: str) -> str:
    """Text that a cookie can carry."""
    return said[:SAID_CHARS_MAX].encode("ascii", "replace").decode().replace(";", ",").replace('"', "'")


def _cookies(header: str) -> dict[str, str]:
    found: SimpleCookie = SimpleCookie()
    try:
        found.load(header)
    except CookieError:  # what others set on this host is no concern of ours
        return {}
    return {name: morsel.value for name, morsel in found.items()}
