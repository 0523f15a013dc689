"""Trying another configuration against history: which recorded decisions it would have made otherwise, and why.

One page at a time, so that a long history costs neither memory nor the loop. First the decisions, newest first; then the
alerts, for rules that would have matched and did not. What was not recorded is counted, never guessed.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.approve.people import Grant
from watchkeeper.correlate.alert import Alert
from watchkeeper.decide.decide import decide_untargeted
from watchkeeper.decide.decision import Decision
from watchkeeper.decide.otherwise import (
    CannotJudge,
    Judged,
    Meant,
    NotDecided,
    Otherwise,
    differences,
    first_reason,
    otherwise,
)
from watchkeeper.decide.replay import Cause, Difference, Record, again, outcomes_compared
from watchkeeper.decide.target import Why
from watchkeeper.engine.answer import No, invalid
from watchkeeper.engine.book import Book, Later, Untargetable
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.judge import UNMAPPED
from watchkeeper.engine.recorded import record_of
from watchkeeper.engine.records import read
from watchkeeper.guards.autonomy import is_person
from watchkeeper.guards.situation import AlertFacts
from watchkeeper.home.configuration import Compiled, Configuration, file_digests, home_digest
from watchkeeper.packs.rule import MODE_ORDER, Mode
from watchkeeper.ports import Row
from watchkeeper.values import Instant, after_ms

BOOKS_MAX: Final = 4  # configurations kept compiled for comparison
TRIED_AT_ONCE_MAX: Final = 500  # decisions or alerts in one answer
REASONS_MAX: Final = 50  # different reasons told why something cannot be judged; the rest is counted as one
DAYS_MAX: Final = 400
DAY_MS: Final = 86_400_000
DECISIONS_OF_ALERT_MAX: Final = 1_000
NONE: Final = "none"  # no decision
UNJUDGED: Final = "cannot judge"
OTHER_REASONS: Final = "for other reasons"


class Than(StrEnum):
    """What the other configuration is compared with: what was decided, or what the active one would decide of it."""

    RECORD = "record"
    ACTIVE = "active"


class Tried(Struct, frozen=True, kw_only=True):
    """One page. `looked_at` are decisions, of which `same` would be the same, `passed_over` were people's own acts, and
    those in `cannot` (reason -> number) cannot be judged. `alerts` were looked at for new matches. `next` is the cursor.
    """

    configuration: str
    than: str
    since: Instant
    looked_at: int = 0
    same: int = 0
    passed_over: int = 0
    alerts: int = 0
    cannot: dict[str, int] = {}
    items: tuple[Otherwise, ...] = ()
    next: str | None = None


class _Page:
    def __init__(self) -> None:
        self.looked_at = self.same = self.passed_over = self.alerts = 0
        self.cannot: Counter[str] = Counter()
        self.items: list[Otherwise] = []

    def unjudged(self, why: str) -> None:
        known = why in self.cannot or len(self.cannot) < REASONS_MAX
        self.cannot[why if known else OTHER_REASONS] += 1


class Trier:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._books: OrderedDict[str, Book] = OrderedDict()
        self._gone: set[str] = set()  # configurations that cannot be had any more, as they were asked for

    async def configuration(self, files: Mapping[str, bytes] | None) -> Configuration | No:
        """The configuration of these files, or of the node's own folder."""
        engine = self._engine
        given: Mapping[str, bytes] = files if files is not None else await engine.changes.folder()
        name = home_digest(file_digests(given))
        kept = self._books.get(name)
        if kept is not None:
            return kept.configuration
        compiled: Compiled = await engine.changes.compile(given)
        if compiled.configuration is None:
            errors = [str(problem) for problem in compiled.errors]
            return No(
                status=422,
                title="invalid",
                detail=f"{len(errors)} errors in that folder; the first: {errors[0]}",
                more={"errors": errors[:REASONS_MAX]},
            )
        self._keep(Book(compiled.configuration))
        return compiled.configuration

    async def page(
        self,
        configuration: Configuration,
        *,
        days: int,
        rule: str = "",
        after: str | None = None,
        limit: int = TRIED_AT_ONCE_MAX,
        than: Than = Than.RECORD,
    ) -> Tried | No:
        """`after` is the cursor of the page before."""
        now = self._engine.clock.now()
        since = after_ms(now, -days * DAY_MS)
        phase, _, cursor = (after or "decisions:").partition(":")
        if phase not in {"decisions", "alerts"}:
            return invalid("after", f"{after!r} is no cursor of this list")
        book = self._keep(self._books.get(configuration.digest) or Book(configuration))
        page, most = _Page(), min(limit, TRIED_AT_ONCE_MAX)
        if phase == "decisions":
            following = await self._decisions(book, page, since, rule, cursor or None, most, than)
        else:
            following = await self._alerts(book, page, since, rule, cursor or None, most, than)
        return Tried(
            configuration=configuration.digest,
            than=than.value,
            since=since,
            looked_at=page.looked_at,
            same=page.same,
            passed_over=page.passed_over,
            alerts=page.alerts,
            cannot=dict(page.cannot),
            items=tuple(page.items),
            next=following,
        )

    # -- decisions ---------------------------------------------------------------------------------

    async def _decisions(
        self, book: Book, page: _Page, since: Instant, rule: str, after: str | None, most: int, than: Than
    ) -> str | None:
        found = await self._engine.store.find("decision", {"rule": rule} if rule else {}, after=after, limit=most)
        for row in found.items:
            decision = read(row, Decision)
            if decision.at < since:
                return "alerts:"
            await asyncio.sleep(0)  # the engine goes on between two of them
            await self._try(book, page, decision, than)
        return f"decisions:{found.next}" if found.next is not None else "alerts:"

    async def _try(self, book: Book, page: _Page, decision: Decision, than: Than) -> None:
        page.looked_at += 1
        record = await record_of(self._engine.store, decision)
        if isinstance(record, CannotJudge):
            page.unjudged(record.why)
            return
        if (record.proposal is not None and is_person(record.proposal)) or record.situation.alert is None:
            page.passed_over += 1
            return
        before = again(record)
        engine = outcomes_compared(decision, before, Cause.ENGINE)
        if engine:
            why = first_reason(engine, before)
            page.items.append(_item("engine", decision, before, decision.verdict, before.verdict, why, engine))
        if decision.rule == UNMAPPED:
            self._unmapped(book, page, decision, record.situation.alert)
            return
        then = await self._then(decision.configuration)
        if then is None:
            page.unjudged("The configuration it was decided under is no longer kept, or no longer compiles.")
            return
        was: Judged | NotDecided | CannotJudge = Judged(decision=before)
        if than is Than.ACTIVE and then.configuration.digest != self._engine.world.configuration.digest:
            was = await self._judged(self._active(), then, record)
        self._compare(page, decision, was, await self._judged(book, then, record))

    def _compare(
        self,
        page: _Page,
        decision: Decision,
        was: Judged | NotDecided | CannotJudge,
        now: Judged | NotDecided | CannotJudge,
    ) -> None:
        match (was, now):
            case (CannotJudge(why=why), _) | (_, CannotJudge(why=why)):
                page.unjudged(why)
            case (Judged(decision=one), NotDecided(why=why)):
                page.items.append(_item("lost", decision, one, one.verdict, NONE, why))
            case (NotDecided(), Judged(decision=other)):
                page.items.append(_item("new", decision, other, NONE, other.verdict, other.reason))
            case (Judged(decision=one) as left, Judged(decision=other) as right):
                found = differences(one, other, certain=left.certain and right.certain)
                if found:
                    why = first_reason(found, other)
                    page.items.append(_item("differs", decision, other, one.verdict, other.verdict, why, found))
                else:
                    page.same += 1
            case _:
                page.same += 1

    def _unmapped(self, book: Book, page: _Page, decision: Decision, recorded: AlertFacts) -> None:
        """It was only observed because nothing answered for it: that a rule matches now is told with the new matches."""
        facts = book.facts(recorded)
        if facts.entity:
            why = f"It is mapped, to {facts.entity}, and no longer an unknown alert."
        elif book.matching(recorded, decision.at):
            why = "A rule matches it."
        else:
            page.same += 1
            return
        page.items.append(_item("lost", decision, decision, decision.verdict, NONE, why))

    async def _judged(self, book: Book, then: Book, record: Record) -> Judged | NotDecided | CannotJudge:
        recorded, decision = record.situation.alert, record.decision
        assert recorded is not None
        said = book.says(decision.rule, recorded, decision.at, record)
        match said:
            case NotDecided() | CannotJudge():
                return said
            case Later(again_at=again_at, why=why):
                ended = await self._ended_at(recorded.id)
                if ended is not None and ended <= again_at:
                    return NotDecided(why=f"{why.removesuffix('.')}, and it ended before.")
                return CannotJudge(why="It would have been decided later, and nothing was recorded then.")
            case Untargetable() as found:
                situation = replace(record.situation, alert=found.facts, configuration=book.configuration.digest)
                return Judged(
                    decision=decide_untargeted(
                        found.untargeted, situation, clauses=found.clauses, engine=decision.engine
                    ),
                    certain=False,
                )
            case Meant() as now:
                was = then.says(decision.rule, recorded, decision.at, record)
                return otherwise(record, was if isinstance(was, Meant) else None, now)

    async def _ended_at(self, alert: str) -> Instant | None:
        row = await self._engine.store.get("alert", alert)
        return _end_of(read(row, Alert)) if row is not None else None

    # -- new matches -------------------------------------------------------------------------------

    async def _alerts(
        self, book: Book, page: _Page, since: Instant, rule: str, after: str | None, most: int, than: Than
    ) -> str | None:
        found = await self._engine.store.find("alert", {}, after=after, limit=most)
        for row in found.items:
            alert = read(row, Alert)
            if alert.first_seen_at < since:
                return None
            await asyncio.sleep(0)
            page.alerts += 1
            await self._new(book, page, alert, rule, than)
        return f"alerts:{found.next}" if found.next is not None else None

    async def _new(self, book: Book, page: _Page, alert: Alert, wanted: str, than: Than) -> None:
        names = [each.name for each in book.configuration.rulebook.candidates(alert.labels)]
        names = [name for name in names if not wanted or name == wanted]
        if not names:
            return
        incident = self._engine.correlation.incident_id_of(alert.id) or ""
        decided = await self._decided(alert.id, incident)
        active = self._active()
        for name in sorted(set(names) - decided):
            rule = book.configuration.rulebook.rules[name]
            at = after_ms(alert.first_seen_at, rule.for_ms)
            ended = _end_of(alert)
            if ended is not None and ended <= at:  # over before its time, or over when it was first heard of
                continue
            facts = _facts(alert, incident, at)
            said = book.says(name, facts, at, None)
            if isinstance(said, NotDecided | Later):
                continue
            if than is Than.ACTIVE and not isinstance(active.says(name, facts, at, None), NotDecided | Later):
                continue
            page.items.append(await self._matched(alert, name, at, said))

    async def _matched(
        self, alert: Alert, name: str, at: Instant, said: Meant | Untargetable | CannotJudge
    ) -> Otherwise:
        match said:
            case Meant() as meant:
                why = f"It matches, and would run {meant.proposal.runbook}."
                now = Mode.OBSERVE.value
                if await self._could_stand(name, meant, at):
                    now, why = UNJUDGED, f"{why} No situation was recorded for it then."
                targets = meant.proposal.targets
                return _new_item(
                    alert,
                    name,
                    at,
                    now,
                    why,
                    targets=tuple(each.ref for each in targets),
                    services=tuple(sorted({each.service for each in targets if each.service})),
                    runbook=meant.proposal.runbook,
                )
            case Untargetable() as found:
                missing = found.untargeted.missing
                observed = missing.why is Why.UNMAPPED
                now = Mode.OBSERVE.value if observed else "refuse"
                return _new_item(alert, name, at, now, missing.reason, runbook=found.untargeted.runbook)
            case CannotJudge(why=why):
                return _new_item(alert, name, at, UNJUDGED, why)

    async def _could_stand(self, name: str, meant: Meant, at: Instant) -> bool:
        """Whether the rule may have stood above observe then: below its ceiling it can only by a grant or by its history."""
        ladder = meant.situation.ladder
        if Mode.OBSERVE in {ladder.ceiling, ladder.risk_ceiling}:
            return False
        store = self._engine.store
        if (await store.find("decision", {"rule": name}, limit=1)).items:
            return True
        grants = [read(row, Grant) for row in (await store.find("grant", {"rule": name}, limit=100)).items]
        return any(
            each.at <= at < each.until_at
            and not each.pending
            and (each.revoked_at is None or each.revoked_at > at)
            and MODE_ORDER.index(Mode(each.level)) > 0
            for each in grants
        )

    async def _decided(self, alert: str, incident: str) -> set[str]:
        """Rules that decided on this alert, or on its incident as a whole."""
        rows: list[Row] = []
        for where in ({"alert": alert}, {"episode": incident}):
            if all(where.values()):
                rows += (await self._engine.store.find("decision", where, limit=DECISIONS_OF_ALERT_MAX)).items
        return {read(row, Decision).rule for row in rows}

    # -- configurations ----------------------------------------------------------------------------

    def _active(self) -> Book:
        active = self._engine.world.configuration
        return self._keep(self._books.get(active.digest) or Book(active))

    async def _then(self, digest: str) -> Book | None:
        """The configuration that a decision was made under."""
        kept = self._books.get(digest)
        if kept is not None:
            return self._keep(kept)
        if digest in self._gone:
            return None
        world = self._engine.world
        found = world.compiled.get(digest) or await self._engine.changes.compiled(digest)
        if found is None:
            self._gone.add(digest)
            return None
        return self._keep(Book(found))

    def _keep(self, book: Book) -> Book:
        self._books[book.configuration.digest] = book
        self._books.move_to_end(book.configuration.digest)
        while len(self._books) > BOOKS_MAX:
            self._books.popitem(last=False)
        return book


def _end_of(alert: Alert) -> Instant | None:
    return alert.cleared_at if alert.resolved_at is not None else None


def _facts(alert: Alert, incident: str, at: Instant) -> AlertFacts:
    """The alert as it was at `at`, as far as its record says: what else fired then is not in it."""
    return AlertFacts(
        id=alert.id,
        episode=alert.id,
        symptom=alert.symptom,
        labels=alert.labels,
        annotations=alert.annotations,
        severity=alert.severity,
        source=alert.source,
        group=alert.group,
        region=alert.region,
        entity=alert.entity,
        starts_at=alert.starts_at,
        first_seen_at=alert.first_seen_at,
        last_seen_at=max(alert.first_seen_at, min(alert.last_seen_at, at)),
        firing=True,
        incident=incident,
        incomplete=alert.incomplete,
    )


def _item(
    kind: str,
    record: Decision,
    shown: Decision,
    was: str,
    now: str,
    why: str,
    found: tuple[Difference, ...] = (),
) -> Otherwise:
    targets = shown.targets or record.targets
    return Otherwise(
        kind=kind,
        decision=record.id,
        rule=record.rule,
        alert=record.alert,
        name=record.symptom,
        at=record.at,
        was=str(was),
        now=str(now),
        why=why,
        targets=tuple(each.ref for each in targets),
        services=tuple(sorted({each.service for each in targets if each.service})),
        runbook=shown.runbook,
        differences=found,
    )


def _new_item(
    alert: Alert,
    rule: str,
    at: Instant,
    now: str,
    why: str,
    *,
    targets: tuple[str, ...] = (),
    services: tuple[str, ...] = (),
    runbook: str = "",
) -> Otherwise:
    return Otherwise(
        kind="new",
        rule=rule,
        alert=alert.id,
        name=alert.symptom,
        at=at,
        was=NONE,
        now=now,
        why=why,
        targets=targets,
        services=services,
        runbook=runbook,
    )
