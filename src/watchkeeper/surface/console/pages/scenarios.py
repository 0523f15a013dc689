"""Scenarios: does the configuration still decide what its authors said it must?"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.call import Refused
from watchkeeper.surface.console.visit import Visit, own


async def scenarios(visit: Visit) -> Response:
    found = await visit.api.get("scenarios")
    items = found["items"]
    packs = sorted({one["pack"] for one in items})
    return visit.page(
        "scenarios.html",
        at="rules",
        title="Scenarios",
        found=found,
        packs=[(pack, [one for one in items if one["pack"] == pack]) for pack in packs],
        answer=answer(items),
    )


def answer(items: Sequence[Mapping[str, Any]]) -> str:
    """One sentence on all of them."""
    count = len(items)
    states = [one["state"] for one in items]
    bad, never = states.count("failed") + states.count("broken"), states.count("never")
    if not items:
        return "No scenario says what must be decided."
    if bad:
        return f"{words.plural(bad, 'scenario')} of {count} did not go as expected."
    if never == count:
        return f"None of {words.plural(count, 'scenario')} was played under this configuration."
    if never:
        return f"{count - never} of {words.plural(count, 'scenario')} passed; {never} were not played under this configuration."
    return (
        f"All {words.plural(count, 'scenario')} pass under this configuration."
        if count > 1
        else "Its one scenario passes."
    )


async def play(visit: Visit) -> Response:
    """Back to where it was asked for: the results come in there as they are played."""
    given = await visit.fields()
    back = own(given.get("back", "/scenarios"))
    wanted = {name: given[name] for name in ("pack", "rule", "runbook") if given.get(name)}
    try:
        begun = await visit.api.post("scenarios", "play", **wanted)
    except Refused as refused:
        if refused.status in {404, 409}:
            return visit.go(back, str(refused))
        raise
    return visit.go(back, f"Playing {words.plural(begun['of'], 'scenario')}. Nothing real is touched.")


PAGES: Final = (("GET", "/scenarios", scenarios), ("POST", "/scenarios/play", play))
