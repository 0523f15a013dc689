"""Approvals: what exactly changes if I say yes, and until when?"""

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console.call import Refused
from watchkeeper.surface.console.pages.now import timed
from watchkeeper.surface.console.pages.services import drawn
from watchkeeper.surface.console.visit import Visit

PAGE: Final = 100
EARLIER_SHOWN: Final = 6
RISK_BARS: Final = {"low": 1, "medium": 2, "high": 3}


async def approvals(visit: Visit) -> Response:
    state = visit.query.get("state", "pending")
    found = await visit.api.get(
        "approvals", state="" if state == "all" else state, after=visit.query.get("after", ""), limit=PAGE
    )
    at = visit.status["at"]
    items = [timed(one, at) for one in found["items"]]
    return visit.page("approvals.html", at="approvals", title="Approvals", found={**found, "items": items}, state=state)


async def approval(visit: Visit) -> Response:
    return await card(visit)


async def card(visit: Visit, changed: str = "") -> Response:
    """`changed` is what moved between the look and the answer: the 409 of the API, in its own words."""
    found = timed(await visit.api.get("approvals", visit.part["identity"]), visit.status["at"])
    earlier = await visit.api.get("runs", rule=found["rule"], limit=EARLIER_SHOWN)
    around = None
    if found["service"]:
        try:
            around = await visit.api.get("neighbourhood", found["service"], hops=1)
        except Refused:
            around = None  # it left the catalogue since
    decided = found.get("decided")
    return visit.page(
        "approval.html",
        at="approvals",
        title=found["rule"].rpartition("/")[2] or found["runbook"],
        status=409 if changed else 200,
        a=found,
        d=decided,
        targets=decided["targets"] if decided else [],
        earlier=earlier["items"],
        around=drawn(around, acted=found["service"]) if around is not None else None,
        bars=RISK_BARS.get(found.get("risk", ""), 0),
        own=own_request(found, visit.me),
        mine=any(one["identity"] == visit.me["identity"] for one in found["answers"]),
        changed=changed,
        count=len(found["targets"]),
    )


def own_request(approval: Mapping[str, Any], me: Mapping[str, Any]) -> bool:
    """Whether whoever looks is who asked: nobody approves their own request in production."""
    return bool(approval["requester"]) and approval["requester"] in {me["name"], f"person:{me['name']}", me["identity"]}


async def approve(visit: Visit) -> Response:
    name = visit.part["identity"]
    given = await visit.fields()
    try:
        found = await visit.api.post(
            "approvals",
            name,
            "approve",
            digest=given.get("digest", ""),
            comment=given.get("comment", ""),
            emergency=given.get("emergency", "") == "yes",
        )
    except Refused as refused:
        if refused.status == 409:
            return await card(visit, str(refused))
        raise
    return visit.go(f"/approvals/{name}", f"Your yes is recorded. {found['why']}".strip())


async def reject(visit: Visit) -> Response:
    name = visit.part["identity"]
    given = await visit.fields()
    try:
        await visit.api.post(
            "approvals", name, "reject", digest=given.get("digest", ""), comment=given.get("comment", "")
        )
    except Refused as refused:
        if refused.status == 409:
            return await card(visit, str(refused))
        raise
    return visit.go(f"/approvals/{name}", "Rejected. Nothing was done.")


PAGES: Final = (
    ("GET", "/approvals", approvals),
    ("GET", "/approvals/{identity}", approval),
    ("POST", "/approvals/{identity}/approve", approve),
    ("POST", "/approvals/{identity}/reject", reject),
)
