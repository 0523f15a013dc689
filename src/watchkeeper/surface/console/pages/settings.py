"""Settings of the viewer: theme, zone, keys; and the way out."""

from typing import Final

from starlette.responses import Response

from watchkeeper.surface.console.render import zone_of
from watchkeeper.surface.console.visit import KEYS_COOKIE, THEME_COOKIE, THEMES, ZONE_COOKIE, Visit

YEAR_S: Final = 31_536_000


async def settings(visit: Visit) -> Response:
    zone = visit.cookies.get(ZONE_COOKIE, "")
    return visit.page("settings.html", at="settings", title="Settings", zone_name=zone_of(zone).key)


async def keep(visit: Visit) -> Response:
    given = await visit.fields()
    response = visit.go("/settings", "Kept in this browser.")
    theme = given.get("theme", "")
    if theme in THEMES:
        response.set_cookie(THEME_COOKIE, theme, max_age=YEAR_S, path="/", samesite="lax")
    else:
        response.delete_cookie(THEME_COOKIE, path="/")
    keys = "off" if given.get("keys") == "off" else "on"
    response.set_cookie(KEYS_COOKIE, keys, max_age=YEAR_S, path="/", samesite="lax")
    zone = zone_of(given.get("zone", "").strip()).key
    response.set_cookie(ZONE_COOKIE, zone, max_age=YEAR_S, path="/", samesite="lax")
    return response


PAGES: Final = (("GET", "/settings", settings), ("POST", "/settings", keep))
