"""Sources: who tells us, and is anybody silent?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console.visit import Visit

SIGNALS_SHOWN: Final = 50
SIGNALS_LOOKED_AT: Final = 1_000


async def sources(visit: Visit) -> Response:
    signals, messages, letters = await visit.many(
        visit.api.get("signals", limit=SIGNALS_LOOKED_AT),
        visit.api.get("messages", limit=50),
        visit.api.get("dead-letters", state="open", limit=1_000),
    )
    found = by_source(signals["items"])
    return visit.page(
        "sources.html",
        at="sources",
        title="Sources",
        sources=found,
        signals=signals["items"][:SIGNALS_SHOWN],
        messages=messages["items"],
        dead=Counter(one["source"] for one in letters["items"]),
    )


def by_source(signals: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each source that was heard among the newest signals: how often, and when last. Newest first as they come."""
    found: dict[str, dict[str, Any]] = {}
    for one in signals:
        row = found.setdefault(one["source"], {"name": one["source"], "count": 0, "last_at": one["received_at"]})
        row["count"] += 1
    return sorted(found.values(), key=lambda row: row["name"])


PAGES: Final = (("GET", "/sources", sources),)
