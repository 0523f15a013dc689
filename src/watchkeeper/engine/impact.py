"""The impact of a change, worked out by the node: its plan, whom it touches, and what history would have been under it."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from watchkeeper.decide.otherwise import Otherwise
from watchkeeper.engine.answer import No
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.trying import TRIED_AT_ONCE_MAX, Than, Trier
from watchkeeper.home.configuration import Configuration
from watchkeeper.home.plan import difference
from watchkeeper.report.impact import Impact, Tally, html, markdown, touched

LOOKED_AT_MAX: Final = 20_000  # decisions of one report
LISTED_MAX: Final = 5_000  # differences of one report; more than that is another policy, not a change


class Impacts:
    def __init__(self, engine: Engine, trier: Trier) -> None:
        self._engine, self._trier = engine, trier

    async def of(self, files: Mapping[str, bytes] | None, *, days: int, limit: int, document: str = "") -> Impact | No:
        """`document` is `md` or `html` for the text beside the data. The folder against what is active, and nothing else:
        what an earlier change did to older decisions is no impact of this one.
        """
        configuration = await self._trier.configuration(files)
        if isinstance(configuration, No):
            return configuration
        active = self._engine.world.configuration
        plan = difference(active, configuration)
        reached = await self._engine.changes.aside(touched, active, configuration, plan)
        history = await self._history(configuration, days, min(limit, LOOKED_AT_MAX))
        if isinstance(history, No):
            return history
        impact = Impact(at=self._engine.clock.now(), plan=plan, touched=reached, history=history)
        match document:
            case "md":
                return replace(impact, document=await self._engine.changes.aside(markdown, impact))
            case "html":
                return replace(impact, document=await self._engine.changes.aside(html, impact))
            case _:
                return impact

    async def _history(self, configuration: Configuration, days: int, limit: int) -> Tally | No:
        looked_at = same = passed_over = alerts = 0
        cannot: Counter[str] = Counter()
        items: list[Otherwise] = []
        after: str | None = None
        cut = False
        while True:
            in_alerts = (after or "").startswith("alerts:")
            left = limit - (alerts if in_alerts else looked_at)
            if left <= 0:
                cut = True
                if in_alerts:
                    break
                after = "alerts:"
                continue
            page = await self._trier.page(
                configuration, days=days, after=after, limit=min(left, TRIED_AT_ONCE_MAX), than=Than.ACTIVE
            )
            if isinstance(page, No):
                return page
            looked_at, same = looked_at + page.looked_at, same + page.same
            passed_over, alerts = passed_over + page.passed_over, alerts + page.alerts
            cannot.update(page.cannot)
            items.extend(page.items[: LISTED_MAX - len(items)])
            cut = cut or len(items) >= LISTED_MAX
            after = page.next
            if after is None:
                break
        return Tally(
            days=days,
            looked_at=looked_at,
            same=same,
            passed_over=passed_over,
            alerts=alerts,
            cannot=dict(cannot.most_common()),
            items=tuple(items),
            cut=cut,
        )
