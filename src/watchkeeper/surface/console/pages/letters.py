"""Dead letters: what did we fail to understand?"""

from typing import Final

from starlette.responses import Response

from watchkeeper.surface.console.visit import Visit

PAGE: Final = 100


async def letters(visit: Visit) -> Response:
    state = visit.query.get("state", "open")
    found = await visit.api.get("dead-letters", state=state, after=visit.query.get("after", ""), limit=PAGE)
    return visit.page("letters.html", at="letters", title="Dead letters", found=found, state=state)


async def act(visit: Visit) -> Response:
    name, what = visit.part["identity"], visit.part["act"]
    given = await visit.fields()
    body = {"reason": given.get("reason", "")} if what == "drop" else {}
    await visit.api.post("dead-letters", name, what, **body)
    return visit.go("/dead-letters", "It was taken apart again." if what == "replay" else "Dropped, on record.")


PAGES: Final = (("GET", "/dead-letters", letters), ("POST", "/dead-letters/{identity}/{act}", act))
