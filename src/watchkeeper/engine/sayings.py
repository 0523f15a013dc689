"""Sayings: what sources say beside alerts. A deploy under way, which the guard `deploy` looks at; and a person who takes
an incident in a pager, for whom automation steps back.

Each is carried out before its delivery counts as taken apart, under ids that are functions of what was said: taken twice,
after a crash or by a sender that repeats, it comes to the same. Source: SEMANTICS 9 and 14.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from msgspec.structs import replace

from watchkeeper.approve.people import Actor
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.engine.answer import No, changed, invalid, missing
from watchkeeper.engine.incidents import Incidents, Mark
from watchkeeper.engine.limits import Limits
from watchkeeper.engine.records import ChangeRecord, Heard, put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.guards.situation import Deploy, Hold, Scope
from watchkeeper.home.settings import DEFAULT_SOURCE, SourceSettings
from watchkeeper.ledger.entry import Kind
from watchkeeper.ports import Commit
from watchkeeper.signals.said import Acknowledgement, Act, Change, Stage
from watchkeeper.signals.signal import DeadLetter, Delivery, Parsed
from watchkeeper.signals.statement import dead_letter
from watchkeeper.values import after_ms, id_from, ms_between

log = structlog.get_logger("watchkeeper.sayings")

DEPLOY_MOST_MS: Final = 86_400_000  # nobody said that it ended: it is no longer counted, and the record says so
REASON_CHARS_MAX: Final = 500
SKEW_MAX_MS: Final = 300_000


class Sayings:
    def __init__(
        self,
        scribe: Scribe,
        world: World,
        correlation: Correlation,
        limits: Limits,
        incidents: Incidents,
        changed_: Callable[[str], Awaitable[None]],
    ) -> None:
        self._scribe, self._world, self._correlation = scribe, world, correlation
        self._limits, self._incidents, self._changed = limits, incidents, changed_

    async def take(self, delivery: Delivery, parsed: Parsed) -> Parsed:
        """Everything of a delivery that is no alert. What means nothing here becomes a dead letter."""
        dead: list[DeadLetter] = []
        for change in parsed.changes:
            await self._change(change)
        for said in parsed.acknowledgements:
            why = await self._acknowledged(said)
            if why:
                dead.append(dead_letter(delivery, "event.data.service", why, delivery.body))
        return replace(parsed, dead=(*parsed.dead, *dead), changes=(), acknowledgements=()) if dead else parsed

    # Changes.

    async def _change(self, said: Change) -> None:
        settings = self._settings(said.source)
        if said.kind == "workflow" and said.title not in settings.workflows:
            return  # it builds or tests: which workflows deploy is said in the settings
        row = await self._scribe.store.get("change", said.id)
        before = read(row, ChangeRecord) if row is not None else None
        after = self._after(before, said, settings)
        if after == before:
            return
        await self._write(after, heard_of=before is None)

    def _after(self, before: ChangeRecord | None, said: Change, settings: SourceSettings) -> ChangeRecord:
        """A function of the set of words: an end is the last word, in whatever order it arrived."""
        at = said.at if abs(ms_between(said.at, said.received_at)) <= SKEW_MAX_MS else said.received_at
        found = before or ChangeRecord(
            id=said.id,
            source=said.source,
            kind=said.kind,
            subject=said.subject,
            service=self.entity((said.subject,), settings),
            environment=said.environment,
            title=said.title,
            url=said.url,
            by=said.by,
            at=at,
        )
        if said.stage is Stage.STARTED:
            within_ms = settings.deploy_within_ms
            started_at = min(found.at, at)
            until_at = after_ms(started_at, within_ms) if within_ms is not None and found.ended_at is None else None
            return replace(found, at=started_at, until_at=until_at, title=found.title or said.title)
        return replace(found, ended_at=found.ended_at or at, outcome=found.outcome or said.outcome, until_at=None)

    async def _write(self, record: ChangeRecord, *, heard_of: bool = False) -> None:
        before = self._world.deploys.get(record.id)
        now = self.under_way(record)
        if now is not None:
            self._world.deploys[record.id] = now  # it binds before it is durable, like a hold
        else:
            self._world.deploys.pop(record.id, None)
        bumps = ("deploy",) if before != now else ()
        await self._scribe.commit(Commit(at=self._scribe.clock.now(), puts=(put(record),), bumps=bumps))
        if bumps:
            await self._changed("deploy")
        if heard_of and not record.service:
            log.info("a change of something that is not in the catalogue", subject=record.subject, change=record.id)

    def under_way(self, record: ChangeRecord) -> Deploy | None:
        """What the guard sees of it: nothing when it ended, or concerns another environment than its service's."""
        if record.ended_at is not None or not record.service or not self._here(record):
            return None
        return Deploy(
            id=record.id,
            service=record.service,
            reason=record.title or record.subject,
            at=record.at,
            until_at=record.until_at,
        )

    def _here(self, record: ChangeRecord) -> bool:
        """An environment that nobody here knows by that name counts: too much is held rather than too little."""
        catalog = self._world.configuration.catalog
        entity = catalog.entities.get(record.service)
        known = {each.environment.lower() for each in catalog.entities.values() if each.environment}
        named = record.environment.lower()
        return entity is None or named not in known or named == entity.environment.lower()

    async def end(self, actor: Actor, identity: str, reason: str) -> ChangeRecord | No:
        """A person says that it is over, where the sender never did."""
        row = await self._scribe.store.get("change", identity)
        if row is None:
            return missing("change", identity)
        before = read(row, ChangeRecord)
        if not reason.strip() or len(reason) > REASON_CHARS_MAX:
            return invalid("reason", f"1 to {REASON_CHARS_MAX} characters, for the record")
        if before.ended_at is not None:
            return changed(f"change {identity} ended already ({before.outcome})")
        now = self._scribe.clock.now()
        after = replace(before, ended_at=now, outcome=f"ended by {actor.name}", until_at=None)
        entry = self._scribe.entry(
            Kind.REVIEW, {"change": identity}, actor=actor.name, verdict="ended", content={"reason": reason}
        )
        await self._scribe.commit(Commit(at=now, entries=(entry,)))
        await self._write(after)
        return after

    async def expire(self) -> None:
        now = self._scribe.clock.now()
        for each in [each for each in self._world.deploys.values() if ms_between(each.at, now) > DEPLOY_MOST_MS]:
            row = await self._scribe.store.get("change", each.id)
            if row is not None:
                await self._write(replace(read(row, ChangeRecord), ended_at=now, outcome="unknown", until_at=None))

    # People.

    async def _acknowledged(self, said: Acknowledgement) -> str:
        """Why it means nothing here; "" when it was carried out, before or now."""
        name = f"{said.source}:{said.event}"
        if await self._scribe.store.get("heard", name) is not None:
            return ""
        origin = f"{said.source}:{said.incident}"
        actor = Actor(name=f"{said.source}:{said.by}", human=said.human, channel="hook")
        mine = [each for each in self._world.holds.values() if each.origin == origin]
        why = ""
        match said.act:
            case Act.ACKNOWLEDGED if said.human:
                why = await self._hold(said, actor, origin, mine)
            case Act.ACKNOWLEDGED:
                pass  # an integration is no person who works on it
            case Act.UNACKNOWLEDGED | Act.RESOLVED:
                for each in mine:
                    await self._limits.lift_hold(actor, each.id, f"{said.act.value} in {said.source}: {said.title}")
        now = self._scribe.clock.now()
        heard = Heard(id=name, at=said.received_at, source=said.source, what=said.act.value, by=said.by)
        await self._scribe.commit(Commit(at=now, puts=(put(heard),)))
        return why

    async def _hold(self, said: Acknowledgement, actor: Actor, origin: str, mine: list[Hold]) -> str:
        """For the incident's services, from when it was heard. A fresh act lets it last longer; it never ends it sooner."""
        settings = self._settings(said.source)
        until_at = after_ms(said.received_at, settings.hold_for_ms)
        if until_at <= self._scribe.clock.now():
            return ""
        incident = await self._incidents.find(said.key) if said.key.startswith("inc_") else None
        if incident is not None:
            await self._incidents.mark(actor, incident.id, Mark.ACKNOWLEDGED, f"in {said.source}: {said.title}"[:500])
            places = [alert.entity for alert in self._correlation.members(incident.id) if alert.entity]
        else:
            places = [entity] if (entity := self.entity(said.services, settings)) else []
        if not places:
            named = ", ".join(said.services) or "none"
            return f"no entity is known for {named}: add it under sources.{said.source}.services in watchkeeper.yaml"
        for place in dict.fromkeys(places):
            held = next((each for each in mine if each.scope.entity == place), None)
            if held is not None:
                if until_at > held.until_at:
                    await self._limits.extend(actor, held.id, until_at)
                continue
            reason = f"acknowledged in {said.source}: {said.title or said.incident}"[:REASON_CHARS_MAX]
            identity = id_from("hld", said.received_at, origin, said.event, place)
            done = await self._limits.hold(
                actor, Scope(entity=place), until_at, reason, origin=origin, identity=identity
            )
            if isinstance(done, No):
                return done.detail
        return ""

    # Names.

    def entity(self, names: tuple[str, ...], settings: SourceSettings) -> str:
        """The entity that one of the names means: as the settings say, else the one that is called so; "" for none."""
        catalog = self._world.configuration.catalog
        for name in names:
            for word in (settings.services.get(name, ""), name, name.rpartition("/")[2], _slug(name)):
                ref = word if word in catalog.entities else catalog.named.get(word, "")
                if ref:
                    return ref
        return ""

    def _settings(self, source: str) -> SourceSettings:
        return self._world.configuration.settings.sources.get(source, DEFAULT_SOURCE)


def _slug(name: str) -> str:
    """`Web Shop` as people name services in a pager -> `web-shop`."""
    return "-".join(name.lower().split())
