"""Cards: requests of one rule for one service, answered together as they were shown, or one alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console import change
from watchkeeper.surface.console.call import Refused
from watchkeeper.surface.console.pages.asked import around, blocks, highest, own_request, things, timed
from watchkeeper.surface.console.visit import Visit

REQUESTS_SHOWN: Final = 50  # as in a terminal: a yes goes to those that are shown
EARLIER_SHOWN: Final = 6
HEALTH_SHOWN: Final = 3  # targets of one request whose health stands in its row
DID: Final = {"approve": "Approved", "reject": "Rejected"}
NO_REASON: Final = "A no needs its reason: write a comment. Nothing was answered."


async def card(visit: Visit) -> Response:
    return await show(visit)


async def show(visit: Visit, moved: Mapping[str, Any] | None = None, comment: str = "", why: str = "") -> Response:
    """`moved` is the 409 of the API, member by member; `why` says what the form lacked; `comment` is what was typed."""
    name = visit.part["identity"]
    try:
        found = timed(await visit.api.get("cards", name, requests=REQUESTS_SHOWN), visit.status["at"])
    except Refused as refused:
        if refused.status != 404:
            raise
        return visit.page(
            "card-over.html", at="approvals", title="Card", status=409 if moved else 404, moved=moved, name=name
        )
    requests = [timed(each, visit.status["at"]) for each in found["approvals"]]
    first = requests[0]
    earlier, book = await visit.many(
        visit.api.get(
            "runs", rule=first["rule"], runbook="" if first["rule"] else first["runbook"], limit=EARLIER_SHOWN
        ),
        _book(visit, first["runbook"]),
    )
    apart = [list((each.get("decided") or {}).get("targets") or ()) for each in requests]
    targets = [target for of_one in apart for target in of_one]
    entities = await things(visit, [target["ref"] for of_one in apart for target in of_one[:HEALTH_SHOWN]])
    does = [one for each in requests for one in each.get("does") or ()]
    joined = set(moved["joined"] if moved else ()) | set(moved["changed"] if moved else ())
    return visit.page(
        "card.html",
        at="approvals",
        address=f"/cards/{name}",
        title=first["runbook"].rpartition("/")[2],
        status=409 if moved else 400 if why else 200,
        whole=found,
        requests=[{**each, "new": each["id"] in joined, "mine": mine(each, visit.me)} for each in requests],
        first=first,
        beyond=max(0, found["count"] - len(requests)),
        shown=packed({each["id"]: each["digest"] for each in requests}),
        seen=packed({each["id"]: each["digest"] for each in requests if each["id"] not in joined}),
        seen_count=len([each for each in requests if each["id"] not in joined]),
        targets=targets,
        entities=entities,
        health_shown=HEALTH_SHOWN,
        noun=change.noun(list(entities.values())),
        count=len({target["ref"] for target in targets}) or len(found["targets"]),
        questions=change.questions(requests),
        merged=change.merged(does),
        does=does,
        undone=change.undone(does[0]["steps"]) if does else "",
        takes=change.takes(earlier["items"]),
        stops=change.stops(book) if book else [],
        earlier=earlier["items"],
        around=await around(visit, found["service"], [target["ref"] for target in targets]),
        risk=highest(requests),
        bars=blocks(highest(requests)),
        own=sum(own_request(each, visit.me) for each in requests),
        moved=moved,
        why=why,
        comment=comment,
    )


async def _book(visit: Visit, name: str) -> Any:
    try:
        return await visit.api.get("runbooks", name)
    except Refused:
        return None  # it left the configuration since


def mine(approval: Mapping[str, Any], me: Mapping[str, Any]) -> bool:
    """Whether whoever looks has answered already."""
    return any(one["identity"] == me["identity"] for one in approval["answers"])


def packed(shown: Mapping[str, str]) -> str:
    """What was displayed, as one field of a form: `id=digest id=digest`."""
    return " ".join(f"{name}={digest}" for name, digest in shown.items())


def unpacked(text: str) -> dict[str, str]:
    return {name: digest for name, _, digest in (each.partition("=") for each in text.split())}


async def answer(visit: Visit) -> Response:
    """One word to all that was shown. With the card's digest it is for the whole of it: a card that moved is told, and
    nothing is answered. Without it (what was seen and still stands) each goes by itself.
    """
    name, verb = visit.part["identity"], visit.part["verb"]
    given = await visit.fields()
    comment = given.get("comment", "")
    if verb not in DID:
        raise Refused(404, "not found", "A card is approved or rejected.", {})
    if verb == "reject" and not comment.strip():
        return await show(visit, why=NO_REASON)
    shown = unpacked(given.get("shown", ""))
    body: dict[str, Any] = {"shown": shown, "comment": comment, "digest": given.get("digest", "")}
    if verb == "approve":
        body["emergency"] = given.get("emergency", "") == "yes"
    try:
        done = await visit.api.post("cards", name, verb, **body)
    except Refused as refused:
        if refused.status == 409 and "joined" in refused.more:
            return await show(visit, {**refused.more, "said": refused.detail}, comment)
        raise
    if not done["refused"] and not done["not_shown"]:
        waits = sum(state == "pending" for _, state in done["answered"])
        more = f" {waits} of them wait for another person." if waits else ""
        count = len(done["answered"])
        return visit.go("/approvals", f"{DID[verb]} {count} request{'' if count == 1 else 's'}.{more}")
    return await told(visit, name, verb, shown, done)


async def told(visit: Visit, name: str, verb: str, shown: Mapping[str, str], done: Mapping[str, Any]) -> Response:
    """What became of each, item by item."""
    every = [*shown, *[each for each in done["not_shown"] if each not in shown][:REQUESTS_SHOWN]]
    found = await visit.many(*[_request(visit, each) for each in every])
    names: dict[str, Sequence[str]] = {each["id"]: each["targets"] for each in found if each is not None}
    return visit.page(
        "card-done.html",
        at="approvals",
        address=f"/cards/{name}",
        title="Card",
        did=DID[verb],
        name=name,
        done=done,
        names=names,
        of=len(shown),
    )


async def _request(visit: Visit, name: str) -> Any:
    try:
        return await visit.api.get("approvals", name)
    except Refused:
        return None


PAGES: Final = (
    ("GET", "/cards/{identity}", card),
    ("POST", "/cards/{identity}/{verb}", answer),
)
