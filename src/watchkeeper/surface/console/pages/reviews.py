"""Reviews: what has automation earned, and whose word does it wait for?"""

from typing import Final

from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.visit import Visit

SHOWN: Final = 100


async def reviews(visit: Visit) -> Response:
    suggested, waiting, fallen, cells = await visit.many(
        visit.api.get("suggestions", limit=SHOWN),
        visit.api.get("reviews", limit=SHOWN),
        visit.api.get("demotions", state="open", limit=SHOWN),
        visit.api.get("autonomy", limit=SHOWN),
    )
    return visit.page(
        "reviews.html",
        at="reviews",
        title="Reviews",
        suggested=suggested["items"],
        waiting=waiting["items"],
        fallen=fallen["items"],
        cells=cells,
        answer=answer(len(suggested["items"]), len(waiting["items"])),
    )


def answer(suggested: int, waiting: int) -> str:
    if not suggested and not waiting:
        return "Nothing waits for a word."
    parts = []
    if suggested:
        parts.append(f"{words.plural(suggested, 'suggestion stands', 'suggestions stand')}")
    if waiting:
        parts.append(f"{words.plural(waiting, 'episode waits', 'episodes wait')} for a verdict")
    return f"{' and '.join(parts)}."


async def judge(visit: Visit) -> Response:
    """Agree or disagree with what it would have done."""
    given = await visit.fields()
    name = visit.part["identity"]
    await visit.api.post(
        "decisions", name, "review", agrees=given.get("says") == "agree", reason=given.get("reason", "")
    )
    return visit.go("/reviews", "Your verdict counts. A later one of yours replaces it.")


async def accept(visit: Visit) -> Response:
    """Run what was suggested, as one's own act."""
    given = await visit.fields()
    made = await visit.api.post("decisions", visit.part["identity"], "accept", reason=given.get("reason", ""))
    if made["run"]:
        return visit.go(f"/runs/{made['run']['id']}", "It runs, as your own act.")
    return visit.go(f"/decisions/{made['decision']['id']}", "Your act was judged like any other: see what came of it.")


async def reject(visit: Visit) -> Response:
    given = await visit.fields()
    await visit.api.post("decisions", visit.part["identity"], "reject", reason=given.get("reason", ""))
    return visit.go("/reviews", "Rejected, on record. It counts against the rule.")


async def lift(visit: Visit) -> Response:
    """Lift a demotion, or agree to it as the second person."""
    given = await visit.fields()
    name = visit.part["identity"]
    if given.get("second") == "yes":
        await visit.api.post("demotions", name, "second")
    else:
        await visit.api.post("demotions", name, "lift", reason=given.get("reason", ""))
    return visit.go("/reviews", "On record. In production a second person must agree.")


PAGES: Final = (
    ("GET", "/reviews", reviews),
    ("POST", "/decisions/{identity}/review", judge),
    ("POST", "/decisions/{identity}/accept", accept),
    ("POST", "/decisions/{identity}/reject", reject),
    ("POST", "/demotions/{identity}/lift", lift),
)
