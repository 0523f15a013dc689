"""The kill switch: what to stop, what that withholds, what finishes anyway, and who can resume."""

from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.visit import Visit

SCOPES: Final = ("service", "system", "environment", "region", "rule")


async def ask(visit: Visit) -> Response:
    runs, rules, services = await visit.many(
        visit.api.get("runs", state="open", limit=1_000), visit.api.get("rules"), visit.api.get("services")
    )
    live = runs["items"]
    enabled = [one for one in rules["items"] if one["enabled"] and one["ceiling"] != "observe"]
    names: dict[str, list[str]] = {
        "system": sorted({one["system"] for one in services["items"] if one["system"]}),
        "environment": sorted({one["environment"] for one in services["items"] if one["environment"]}),
        "region": sorted({one["region"] for one in services["items"] if one["region"]}),
    }
    return visit.page(
        "stop.html", at="stop", title="Stop automation", live=live, rules=enabled, scopes=SCOPES, names=names
    )


async def stop(visit: Visit) -> Response:
    given = await visit.fields()
    scope: dict[str, Any] = {}
    if given.get("scope") == "choose":
        if given.get("by") not in SCOPES or not given.get("value", "").strip():
            return visit.go("/stop", "Not stopped: name what to stop.")
        scope = {given["by"]: given["value"].strip()}
    await visit.api.post("stops", scope=scope, reason=given.get("reason", ""), now=given.get("now", "") == "yes")
    what = ", ".join(f"{key} {words.short_ref(value)}" for key, value in scope.items()) or "everything"
    return visit.go("/", f"Stopped {what}. No new effect can begin; watching, deciding and recording go on.")


PAGES: Final = (("GET", "/stop", ask), ("POST", "/stop", stop))
