"""The command palette's list: pages, things by name, and what can be done. Asked once when it opens."""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.visit import Visit

THINGS_MAX: Final = 400
ASK_MAX: Final = 15
PLACES: Final = (
    ("Now", "/", "radar"),
    ("Incidents", "/incidents", "siren"),
    ("Approvals", "/approvals", "hand"),
    ("Runs", "/runs", "list-checks"),
    ("Decisions", "/decisions", "scale"),
    ("Alerts", "/alerts", "activity"),
    ("Services", "/services", "waypoints"),
    ("Rules and runbooks", "/rules", "book-open"),
    ("Scenarios", "/scenarios", "flag"),
    ("Reviews", "/reviews", "thumbs-up"),
    ("Freezes and holds", "/limits", "calendar-clock"),
    ("Calendar of freezes and holds", "/limits/calendar", "calendar-clock"),
    ("Ledger", "/ledger", "link"),
    ("Dead letters", "/dead-letters", "inbox"),
    ("Sources", "/sources", "radio"),
    ("Metrics", "/measures", "chart-line"),
    ("Settings", "/settings", "settings"),
)
ASKED: Final = (
    "wk status",
    "wk decisions",
    "wk explain ID",
    "wk approvals",
    "wk runs",
    "wk hold set --scope service=NAME --for 1h",
    "wk freeze set --scope environment=NAME --for 8h",
    "wk freeze status --at 2026-12-24T12:00:00Z",
    "wk stop",
    "wk plan",
    "wk apply",
    "wk test --node",
    "wk latency",
    "wk sources",
    "wk ledger verify",
)


async def palette(visit: Visit) -> Response:
    services, rules, incidents = await visit.many(
        visit.api.get("services"), visit.api.get("rules"), visit.api.get("incidents", state="open", limit=50)
    )
    things: list[dict[str, Any]] = [
        {"label": label, "href": href, "icon": icon, "kind": "page"} for label, href, icon in PLACES
    ]
    things += [
        {"label": one["title"], "href": f"/incidents/{one['id']}", "icon": "siren", "kind": "incident"}
        for one in incidents["items"]
    ]
    things += [
        {"label": one["name"], "href": f"/rules/{one['name']}", "icon": "book-open", "kind": "rule"}
        for one in rules["items"][:THINGS_MAX]
    ]
    things += [
        {
            "label": one["name"],
            "href": f"/services?focus={one['ref']}",
            "icon": "waypoints",
            "kind": one["kind"].lower(),
        }
        for one in services["items"][:THINGS_MAX]
    ]
    do = [
        {"label": "Stop automation…", "dialog": "/stop", "icon": "octagon-pause", "kind": "stop"},
        {"label": "Hold or freeze…", "href": "/limits#new", "icon": "pause", "kind": "limit"},
        {"label": "Verify the ledger", "href": "/ledger", "icon": "shield-check", "kind": "ledger"},
    ]
    ask = [{"label": line, "copy": line, "icon": "terminal", "kind": "copy"} for line in ASKED[:ASK_MAX]]
    for one in things:
        one["label"] = "".join(shown for _, shown in words.pieces(one["label"], 120))
    body = msgspec.json.encode({"Pages and things": things, "Do": do, "Ask": ask})
    return Response(body, 200, media_type="application/json")


PAGES: Final = (("GET", "/palette.json", palette),)
