"""Approvals: what exactly changes if I say yes, and until when?"""

from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console import change
from watchkeeper.surface.console.call import Refused
from watchkeeper.surface.console.pages.asked import around, blocks, highest, own_request, things, timed
from watchkeeper.surface.console.pages.cards import EARLIER_SHOWN, NO_REASON, mine
from watchkeeper.surface.console.visit import Visit

PAGE: Final = 100


async def approvals(visit: Visit) -> Response:
    """What waits, as cards: requests of one rule for one service stand together. What is over, one by one."""
    state, at = visit.query.get("state", "pending"), visit.status["at"]
    after, beyond = visit.query.get("after", ""), visit.query.get("withheld", "") == "shown"
    if state == "pending":
        found = await visit.api.get("cards", after=after, limit=PAGE)
    else:
        found = await visit.api.get("approvals", state="" if state == "all" else state, after=after, limit=PAGE)
    items = [timed(one, at) for one in found["items"]]
    withheld = [one for one in items if one.get("withheld")]
    return visit.page(
        "approvals.html",
        at="approvals",
        title="Approvals",
        found=found,
        cards=[one for one in items if beyond or not one.get("withheld")] if state == "pending" else [],
        requests=items if state != "pending" else [],
        withheld=withheld,
        withheld_shown=beyond,
        teams=sorted({one["team"] for one in withheld}),
        state=state,
    )


async def approval(visit: Visit) -> Response:
    return await card(visit)


async def card(visit: Visit, changed: str = "", why: str = "", comment: str = "") -> Response:
    """`changed` is what moved between the look and the answer: the 409 of the API, in its own words. `why` says what the
    form lacked; `comment` is what was typed.
    """
    found = timed(await visit.api.get("approvals", visit.part["identity"]), visit.status["at"])
    decided = found.get("decided")
    targets = decided["targets"] if decided else []
    refs = [target["ref"] for target in targets]
    earlier, beside, book, entities, radius = await visit.many(
        visit.api.get("runs", rule=found["rule"], limit=EARLIER_SHOWN),
        _card_of(visit, found["id"]) if found["state"] == "pending" else _nothing(),
        _book(visit, found["runbook"]),
        things(visit, refs),
        around(visit, found["service"], refs),
    )
    does = found.get("does") or []
    return visit.page(
        "approval.html",
        at="approvals",
        address=f"/approvals/{found['id']}",
        title=found["rule"].rpartition("/")[2] or found["runbook"],
        status=409 if changed else 400 if why else 200,
        a=found,
        d=decided,
        targets=targets,
        entities=entities,
        noun=change.noun(list(entities.values())),
        earlier=earlier["items"],
        takes=change.takes(earlier["items"]),
        merged=change.merged(does),
        does=does,
        undone=change.undone(does[0]["steps"]) if does else "",
        stops=change.stops(book) if book else [],
        around=radius,
        bars=blocks(highest([found])),
        own=own_request(found, visit.me),
        mine=mine(found, visit.me),
        beside=beside,
        changed=changed,
        why=why,
        comment=comment,
        count=len(found["targets"]),
    )


async def _nothing() -> None:
    return None


async def _book(visit: Visit, name: str) -> Any:
    try:
        return await visit.api.get("runbooks", name)
    except Refused:
        return None  # it left the configuration since


async def _card_of(visit: Visit, name: str) -> Any:
    """The card that the request lies in, when others lie in it too."""
    found = (await visit.api.get("cards"))["items"]
    return next((one for one in found if name in one["shown"] and one["count"] > 1), None)


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
            return await card(visit, str(refused), comment=given.get("comment", ""))
        raise
    return visit.go(f"/approvals/{name}", f"Your yes is recorded. {found['why']}".strip())


async def reject(visit: Visit) -> Response:
    name = visit.part["identity"]
    given = await visit.fields()
    if not given.get("comment", "").strip():
        return await card(visit, why=NO_REASON)
    try:
        await visit.api.post(
            "approvals", name, "reject", digest=given.get("digest", ""), comment=given.get("comment", "")
        )
    except Refused as refused:
        if refused.status == 409:
            return await card(visit, str(refused), comment=given.get("comment", ""))
        raise
    return visit.go(f"/approvals/{name}", "Rejected. Nothing was done.")


PAGES: Final = (
    ("GET", "/approvals", approvals),
    ("GET", "/approvals/{identity}", approval),
    ("POST", "/approvals/{identity}/approve", approve),
    ("POST", "/approvals/{identity}/reject", reject),
)
