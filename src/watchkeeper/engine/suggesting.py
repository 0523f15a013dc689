"""Which rules are missing: alerts that keep coming and that no rule asks for, and what people did about them by hand.

In: recorded alerts and people's own runs. Out: `Suggestion`s, the most worthwhile first, each with a draft that only watches.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from watchkeeper.correlate.alert import Alert
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.records import RunRecord, read
from watchkeeper.packs.index import matches
from watchkeeper.packs.rule import Risk
from watchkeeper.packs.runbook import Runbook
from watchkeeper.report.drafts import rule_draft, rule_name
from watchkeeper.values import Instant, after_ms, ms_between

HAND_WITHIN_MS: Final = 1_800_000  # a person's run so soon after an alert on the same target is about that alert
ALERTS_MAX: Final = 100_000  # looked at, newest first
RUNS_MAX: Final = 20_000
NAMES_MAX: Final = 5_000
HAND_WEIGHT: Final = 10  # one run by hand says as much as ten alerts that nobody answered
PAGE: Final = 500
DAY_MS: Final = 86_400_000
PLACEHOLDER: Final = "imported/look"


class Suggestion(Struct, frozen=True, kw_only=True):
    """`alerts` came in the window, on so many `entities` (and `unmapped` ones on none). `by_hand`: runbook -> how often a
    person ran it within half an hour of one of them, on its target. `draft` is YAML of a rule at ceiling observe.
    """

    alert: str
    severity: str
    alerts: int
    entities: int
    unmapped: int
    last_at: Instant
    by_hand: dict[str, int]
    runbook: str
    draft: str


class Suggested(Struct, frozen=True, kw_only=True):
    """`cut`: there were more alerts than are looked at. `pack` is where the runbooks of the drafts stand."""

    since: Instant
    looked_at: int
    items: tuple[Suggestion, ...]
    cut: bool = False


class _Seen(Struct):
    alerts: int = 0
    unmapped: int = 0
    last_at: Instant | None = None
    severities: Counter[str] = Counter()
    entities: Counter[str] = Counter()
    by_hand: Counter[str] = Counter()


class Suggester:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def rules(self, *, days: int, least: int, limit: int) -> Suggested:
        """Alerts of the last `days` that came at least `least` times, or that a person ran something for."""
        since = after_ms(self._engine.clock.now(), -days * DAY_MS)
        hand = await self._by_hand(since)
        seen: dict[str, _Seen] = {}
        looked_at, after, cut = 0, None, False
        while True:
            page = await self._engine.store.find("alert", {}, after=after, limit=PAGE)
            await asyncio.sleep(0)
            for row in page.items:
                alert = read(row, Alert)
                if alert.first_seen_at < since or looked_at >= ALERTS_MAX:
                    cut = looked_at >= ALERTS_MAX
                    return Suggested(since=since, looked_at=looked_at, items=self._ranked(seen, least)[:limit], cut=cut)
                looked_at += 1
                self._see(alert, seen, hand)
            after = page.next
            if after is None:
                return Suggested(since=since, looked_at=looked_at, items=self._ranked(seen, least)[:limit], cut=cut)

    async def _by_hand(self, since: Instant) -> dict[str, list[RunRecord]]:
        """People's own runs by target."""
        found: dict[str, list[RunRecord]] = {}
        looked_at, after = 0, None
        while looked_at < RUNS_MAX:
            page = await self._engine.store.find("run", {}, after=after, limit=PAGE)
            for row in page.items:
                run = read(row, RunRecord)
                looked_at += 1
                if run.at < since:
                    return found
                if run.actor.startswith("person:") and not run.drill:
                    for target in run.targets:
                        found.setdefault(target, []).append(run)
            after = page.next
            if after is None:
                break
        return found

    def _see(self, alert: Alert, seen: dict[str, _Seen], hand: dict[str, list[RunRecord]]) -> None:
        rulebook = self._engine.world.configuration.rulebook
        if any(matches(rule, alert.labels) for rule in rulebook.candidates(alert.labels)):
            return
        name = alert.labels.get("alertname", "")
        if not name or (name not in seen and len(seen) >= NAMES_MAX):
            return
        found = seen.setdefault(name, _Seen(severities=Counter(), entities=Counter(), by_hand=Counter()))
        found.alerts += 1
        found.severities[alert.labels.get("severity", "")] += 1
        found.last_at = max(found.last_at or alert.last_seen_at, alert.last_seen_at)
        if not alert.entity:
            found.unmapped += 1
            return
        found.entities[alert.entity] += 1
        for run in hand.get(alert.entity, ()):
            if 0 <= ms_between(alert.first_seen_at, run.at) <= HAND_WITHIN_MS:
                found.by_hand[run.runbook] += 1

    def _ranked(self, seen: dict[str, _Seen], least: int) -> tuple[Suggestion, ...]:
        wanted = [(name, each) for name, each in seen.items() if each.alerts >= least or each.by_hand]
        wanted.sort(key=lambda pair: (-(pair[1].alerts + HAND_WEIGHT * pair[1].by_hand.total()), pair[0]))
        return tuple(self._suggestion(name, each) for name, each in wanted)

    def _suggestion(self, name: str, seen: _Seen) -> Suggestion:
        configuration = self._engine.world.configuration
        severities = [severity for severity in seen.severities if severity]
        severity = severities[0] if len(seen.severities) == 1 and severities else ""
        books = configuration.rulebook.runbooks
        by_hand = [runbook for runbook, _ in seen.by_hand.most_common() if runbook in books]
        runbook = by_hand[0] if by_hand else _stands_for(books)
        owners = Counter(
            owner
            for ref, number in seen.entities.items()
            if (entity := configuration.catalog.entities.get(ref)) is not None and (owner := entity.owner)
            for _ in range(number)
        )
        owner = books[runbook].owner if by_hand else next((each for each, _ in owners.most_common(1)), "group:imported")
        comments = [f"Suggested: it came {seen.alerts} times, and no rule asks for it."]
        if seen.unmapped:
            comments.append(f"{seen.unmapped} of them name no entity of the catalogue: wk draft ALERT makes a stub.")
        for done, number in seen.by_hand.most_common():
            comments.append(f"People ran {done} for it {number} times within half an hour.")
        if not by_hand:
            comments.append(f"{runbook} stands for a runbook that is still to be written: it is never run at observe.")
        match_ = {"alertname": name, **({"severity": severity} if severity else {})}
        assert seen.last_at is not None
        return Suggestion(
            alert=name,
            severity=severity,
            alerts=seen.alerts,
            entities=len(seen.entities),
            unmapped=seen.unmapped,
            last_at=seen.last_at,
            by_hand=dict(seen.by_hand.most_common()),
            runbook=runbook,
            draft=rule_draft(rule_name(name), match_, owner=owner, runbook=runbook, comments=comments),
        )


def _stands_for(books: Mapping[str, Runbook]) -> str:
    """A runbook of the home that does no harm, so that the draft loads: one that looks, else one of the lowest risk."""
    names = sorted(books)
    looks = [name for name in names if name.endswith("/look")]
    low = [name for name in names if books[name].risk is Risk.LOW]
    return next(iter((*looks, *low, *names)), PLACEHOLDER)
