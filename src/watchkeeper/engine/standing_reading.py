"""Reading standing: every cell with where it stands, what binds and what is missing; what waits for a person's word."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.engine.agreements import incomparable
from watchkeeper.engine.earned import basis_now, granted
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.reading import Listed, decision_view, ladder_view
from watchkeeper.engine.records import Feedback, kind_of, read
from watchkeeper.engine.standing import cells_of
from watchkeeper.engine.standing_words import cell_text
from watchkeeper.guards.situation import Ladder, Target
from watchkeeper.learn.agreement import Cell, Evidence, How
from watchkeeper.learn.standing import Demotion, counts_text, evidence_line
from watchkeeper.packs.rule import Mode
from watchkeeper.values import Instant, ms_between

REVIEW_WITHIN_MS: Final = 30 * 86_400_000  # older episodes can be reviewed by id, and are not listed any more
REVIEW_LOOKED_AT_MAX: Final = 5_000  # decisions that one page of the list is looked for in
REPORTS_MAX: Final = 200  # newest words of feedback that are looked through
_PAGE: Final = 200
_SHADOW: Final = (Verdict.OBSERVE.value, Verdict.SUGGEST.value, Verdict.ASK.value)
_ANSWERS: Final = frozenset({How.SUGGESTION, How.RUN, How.REVIEW})

View = dict[str, Any]


class StandingReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # Cells.

    def cells(self, rule: str = "", *, after: str | None, limit: int) -> Listed:
        """Every cell that something was decided in lately, or that ever got evidence, a level or a demotion; by rule."""
        world = self._engine.world
        rules = world.configuration.rulebook.rules
        found = set(world.earned.cells())
        decisions = (each.decision for each in world.every_decided())
        found.update(cell for each in decisions if each.actor == "automation" for cell in cells_of(each))
        listed = sorted(
            (each for each in found if each.rule in rules and rule in {"", each.rule}), key=lambda each: each.key
        )
        first = int(after or 0)
        now = self._engine.clock.now()
        places = self._places()
        page = tuple(self._cell(each, places, now) for each in listed[first : first + limit])
        return Listed(items=page, next=str(first + limit) if len(listed) > first + limit else None)

    def _places(self) -> dict[tuple[str, str, str], Target]:
        """One target of each (tier, environment, region): a rule's ceiling may depend on where it acts."""
        found: dict[tuple[str, str, str], Target] = {}
        for ref, entity in self._engine.world.configuration.catalog.entities.items():
            where = (entity.tier, entity.environment, entity.region)
            if where not in found and (target := self._engine.situations.target(ref)) is not None:
                found[where] = target
        return found

    def _cell(self, cell: Cell, places: Mapping[tuple[str, str, str], Target], now: Instant) -> View:
        world = self._engine.world
        configuration = world.configuration
        rule = configuration.rulebook.rules[cell.rule]
        place = places.get((cell.tier, cell.environment, cell.region))
        ceiling, risk = self._engine.situations.ceilings(rule, place, now)
        grant = granted(world.grants.values(), cell, now)
        cap = world.earned.cap(cell)
        outlook = self._engine.standings.outlook(cell, now)
        ladder = Ladder(
            cell=cell.key,
            ceiling=ceiling,
            risk_ceiling=risk,
            earned=world.earned.level(cell, basis_now(rule, configuration)),
            granted=Mode(grant.level) if grant is not None else Mode.OBSERVE,
            grant=grant.id if grant is not None else "",
            demoted=cap.level if cap is not None else None,
            demotion=cap.id if cap is not None else "",
            evidence=counts_text(outlook) if outlook.tally.of else "",
        )
        held = world.earned.standings.get(cell)
        policy = configuration.settings.autonomy
        return {
            **ladder_view(ladder),
            "rule": cell.rule,
            "owner": rule.owner,
            "tier": cell.tier,
            "severity": cell.severity,
            "environment": cell.environment,
            "region": cell.region,
            "place": cell_text(cell),
            "production": self._engine.standings.production(cell),
            "since_at": held.since_at if held is not None else None,
            "granted_until_at": grant.until_at if grant is not None else None,
            "next": outlook.next.value if outlook.next is not None else None,
            "agreed": outlook.tally.agreed,
            "of": outlook.tally.of,
            "own": {"agreed": outlook.own.agreed, "of": outlook.own.of},
            "pool": outlook.pool.value,
            "lower_ppm": outlook.lower_ppm,
            "needed_ppm": policy.agreement_ppm,
            "in_a_row": outlook.in_a_row,
            "not_before_at": outlook.not_before_at,
            "blocked": outlook.blocked,
            "line": evidence_line(outlook, policy, now),
        }

    # What was stored.

    async def stored(
        self, document: type[Demotion | Evidence], where: Mapping[str, str], *, after: str | None, limit: int
    ) -> Listed:
        page = await self._engine.store.find(kind_of(document), where, after=after, limit=limit)
        return Listed(items=tuple(msgspec.Raw(row.body) for row in page.items), next=page.next)

    # What waits for a person's word.

    def suggestions(self, *, after: str | None, limit: int) -> Listed:
        found = self._engine.agreements.suggestions()
        first = int(after or 0)
        return Listed(
            items=tuple(decision_view(each) for each in found[first : first + limit]),
            next=str(first + limit) if len(found) > first + limit else None,
        )

    async def reviews(self, rule: str = "", *, after: str | None, limit: int) -> Listed:
        """Episodes in which a rule would have acted and nobody has said or shown whether that was right, newest first.
        Those that somebody reported come first.
        """
        where: dict[str, str | tuple[str, ...]] = {"verdict": _SHADOW, **({"rule": rule} if rule else {})}
        found = [] if after is not None else await self._reported(rule)
        seen = {(each["rule"], each["episode"]) for each in found}
        standing_now = {each.id for each in self._engine.agreements.suggestions()}
        now, looked_at, cursor = self._engine.clock.now(), 0, after
        while len(found) < limit and looked_at < REVIEW_LOOKED_AT_MAX:
            page = await self._engine.store.find("decision", where, after=cursor, limit=_PAGE)
            for row in page.items:
                decision = read(row, Decision)
                about = (decision.rule, decision.episode)
                if ms_between(decision.at, now) > REVIEW_WITHIN_MS:
                    return Listed(items=tuple(found), next=None)
                if about in seen or decision.id in standing_now or not self._waits(decision):
                    continue
                if after is None or await self._newest(decision):
                    seen.add(about)
                    found.append(review_view(decision))
            looked_at += len(page.items)
            cursor = page.next
            if cursor is None:
                break
        return Listed(items=tuple(found), next=cursor)

    def _waits(self, decision: Decision) -> bool:
        return not incomparable(decision) and not any(
            each.episode == decision.episode and each.how in _ANSWERS
            for each in self._engine.world.earned.evidence(decision.rule)
        )

    async def _newest(self, decision: Decision) -> bool:
        """Whether an earlier page has not shown a later decision of the same episode."""
        where = {"rule": decision.rule, "episode": decision.episode, "verdict": _SHADOW}
        page = await self._engine.store.find("decision", where, limit=1)
        return bool(page.items) and page.items[0].id == decision.id

    async def _reported(self, rule: str) -> list[View]:
        """What feedback says was false or harmful, and nobody reviewed: the act itself, whatever its mode."""
        page = await self._engine.store.find("feedback", {}, limit=REPORTS_MAX)
        words: dict[str, list[View]] = {}
        for row in page.items:
            word = read(row, Feedback)
            if word.says != "helpful" and rule in {"", word.rule}:
                words.setdefault(word.decision, []).append({"by": word.by, "says": word.says, "text": word.text})
        found: list[View] = []
        for identity, said in words.items():
            stored = await self._engine.store.get("decision", identity)
            if stored is not None and self._waits(decision := read(stored, Decision)):
                found.append({**review_view(decision), "reported": said})
        return found


def review_view(decision: Decision) -> View:
    """`would` is what it would have done, at auto."""
    targets = ", ".join(each.name for each in decision.targets)
    return {
        "decision": decision.id,
        "at": decision.at,
        "rule": decision.rule,
        "episode": decision.episode,
        "alert": decision.alert,
        "symptom": decision.symptom,
        "severity": decision.severity.value,
        "verdict": decision.verdict.value,
        "mode": decision.mode.value,
        "would": f"run {decision.runbook} on {targets}",
        "runbook": decision.runbook,
        "targets": [each.ref for each in decision.targets],
        "arguments": decision.arguments,
        "places": [cell_text(each) for each in cells_of(decision)],
        "reported": [],
    }
