"""Alerts: what fires, what it belongs to, and what nobody has mapped yet."""

from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console.visit import Visit

PAGE: Final = 100
FILTERS: Final = ("state", "entity", "severity", "source", "incident")


async def alerts(visit: Visit) -> Response:
    given: dict[str, Any] = {name: visit.query.get(name, "") for name in FILTERS}
    unmapped = visit.query.get("unmapped", "") == "true"
    more = {"unmapped": "true"} if unmapped else {}
    found = await visit.api.get("alerts", **given, **more, after=visit.query.get("after", ""), limit=PAGE)
    return visit.page("alerts.html", at="alerts", title="Alerts", found=found, given=given, unmapped=unmapped)


async def alert(visit: Visit) -> Response:
    found = await visit.api.get("alerts", visit.part["identity"])
    return visit.page("alert.html", at="alerts", title=found["name"] or "alert", a=found)


async def judge(visit: Visit) -> Response:
    name = visit.part["identity"]
    await visit.api.post("alerts", name, "judge")
    return visit.go(f"/alerts/{name}", "It is judged afresh; the decision stands below as soon as it is made.")


PAGES: Final = (
    ("GET", "/alerts", alerts),
    ("GET", "/alerts/{identity}", alert),
    ("POST", "/alerts/{identity}/judge", judge),
)
