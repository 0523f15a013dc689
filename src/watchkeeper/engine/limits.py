"""Holds, freezes, the kill switch and grants: what people set so that automation waits, stops, or may do more.

Each is one commit that raises a version which admission and every intent commit compare: once the call has
returned, no intent that was judged before it can become durable (SEMANTICS 3).
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from watchkeeper.approve.people import Actor, Grant
from watchkeeper.engine.answer import No, changed, denied, invalid, missing
from watchkeeper.engine.records import put
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.guards.hold import RESTORE
from watchkeeper.guards.situation import Freeze, Hold, Scope, Stop
from watchkeeper.ledger.entry import Kind
from watchkeeper.packs.rule import MODE_ORDER, Mode
from watchkeeper.ports import Commit, Committed, Put
from watchkeeper.values import Instant, duration_text, ms_between

HOLD_MOST_MS: Final = 7 * 86_400_000
FREEZE_MOST_MS: Final = 60 * 86_400_000
GRANT_MOST_MS: Final = 90 * 86_400_000
REASON_CHARS_MAX: Final = 2_000

Limit = TypeVar("Limit", Hold, Freeze, Stop)
Changed = Callable[[str], Awaitable[None]]


class Limits:
    """`changed(key)` is awaited after a version was raised, so that what was held is judged afresh at once."""

    def __init__(self, scribe: Scribe, world: World, changed: Changed) -> None:
        self._scribe, self._world, self._changed = scribe, world, changed

    # What a caller may do is judged at the door by role; here stands only what depends on the thing itself.

    async def hold(
        self, actor: Actor, scope: Scope, until_at: Instant, reason: str, origin: str = "person", identity: str = ""
    ) -> Hold | No:
        """A person leads: automation waits for the scope until then."""
        now = self._scribe.clock.now()
        if no := _bad_reason(reason) or _bad_span(now, until_at, HOLD_MOST_MS) or self._bad_scope(scope):
            return no
        found = Hold(
            id=identity or self._scribe.new_id("hld", now),
            scope=scope,
            by=actor.name,
            reason=reason,
            at=now,
            until_at=until_at,
            origin=origin,
        )
        if no := await self._bind(actor, self._world.holds, found, "hold", Kind.HOLD, "set"):
            return no
        await self._changed("hold")
        return found

    async def extend(self, actor: Actor, identity: str, until_at: Instant) -> Hold | No:
        now = self._scribe.clock.now()
        before = self._world.holds.get(identity)
        if before is None or before.until_at <= now:
            return missing("hold", identity)
        if before.origin == RESTORE:
            return denied(f"hold {identity} stands since a restore: an admin ends it with 'wk resume --after-restore'")
        if no := _bad_span(now, until_at, HOLD_MOST_MS):
            return no
        found = msgspec.structs.replace(before, until_at=until_at)
        if no := await self._bind(actor, self._world.holds, found, "hold", Kind.HOLD, "extended"):
            return no
        await self._changed("hold")
        return found

    async def freeze(
        self, actor: Actor, scope: Scope, from_at: Instant, until_at: Instant, reason: str, origin: str = "person"
    ) -> Freeze | No:
        """No changes in the window: what would act asks, and only an emergency approval answers."""
        now = self._scribe.clock.now()
        if (
            no := _bad_reason(reason)
            or _bad_span(max(now, from_at), until_at, FREEZE_MOST_MS)
            or self._bad_scope(scope)
        ):
            return no
        found = Freeze(
            id=self._scribe.new_id("frz", now),
            scope=scope,
            by=actor.name,
            reason=reason,
            at=now,
            from_at=from_at,
            until_at=until_at,
            origin=origin,
        )
        if no := await self._bind(actor, self._world.freezes, found, "freeze", Kind.FREEZE, "set"):
            return no
        await self._changed("freeze")
        return found

    async def stop(self, actor: Actor, scope: Scope, reason: str, *, now_too: bool = False) -> Stop | No:
        """The kill switch. Easy on purpose: anyone on call, no second person, no confirmation here."""
        now = self._scribe.clock.now()
        if no := self._bad_scope(scope):
            return no
        found = Stop(
            id=self._scribe.new_id("stp", now),
            scope=scope,
            by=actor.name,
            reason=reason[:REASON_CHARS_MAX] or "no reason given",
            at=now,
            now=now_too,
        )
        if no := await self._bind(actor, self._world.stops, found, "stop", Kind.STOP, "set"):
            return no
        await self._changed("stop")
        return found

    async def lift_hold(self, actor: Actor, identity: str, reason: str) -> Hold | No:
        held = self._world.holds.get(identity)
        if held is not None and held.origin == RESTORE:
            return denied(f"hold {identity} stands since a restore: an admin ends it with 'wk resume --after-restore'")
        return await self._lift(actor, self._world.holds, identity, reason, "hold", Kind.HOLD)

    async def lift_freeze(self, actor: Actor, identity: str, reason: str) -> Freeze | No:
        return await self._lift(actor, self._world.freezes, identity, reason, "freeze", Kind.FREEZE)

    async def resume(self, actor: Actor, identity: str, reason: str) -> Stop | No:
        """Starting again is hard on purpose: a reason is needed, and the door asks for a higher role."""
        if no := _bad_reason(reason):
            return no
        return await self._lift(actor, self._world.stops, identity, reason, "stop", Kind.RESUME)

    async def resume_after_restore(self, actor: Actor, reason: str) -> Hold | No:
        """An admin has looked at what the backup does not know: automation goes on. Runs in doubt wait for their own word."""
        held = next((each for each in self._world.holds.values() if each.origin == RESTORE), None)
        if held is None:
            return changed("nothing is held since a restore")
        if no := _bad_reason(reason):
            return no
        return await self._lift(actor, self._world.holds, held.id, reason, "hold", Kind.RESUME)

    async def _lift(
        self, actor: Actor, held: dict[str, Limit], identity: str, reason: str, what: str, kind: Kind
    ) -> Limit | No:
        before = held.get(identity)
        if before is None:
            return missing(what, identity)
        now = self._scribe.clock.now()
        found = msgspec.structs.replace(before, lifted_at=now, lifted_by=actor.name)
        if no := await self._write(actor, put(found), what, kind, "lifted", {"id": identity, "reason": reason}):
            return no
        held.pop(identity, None)
        await self._changed(what)
        return found

    async def grant(self, actor: Actor, wanted: Grant) -> Grant | No:
        """A level on record, so that a team can start at `auto` today. In production it waits for a second person."""
        now = self._scribe.clock.now()
        rule = self._world.configuration.rulebook.rules.get(wanted.rule)
        if rule is None:
            return missing("rule", wanted.rule)
        if wanted.level not in {mode.value for mode in MODE_ORDER}:
            return invalid("level", f"{wanted.level!r} is none of {', '.join(MODE_ORDER)}")
        if no := _bad_reason(wanted.reason) or _bad_span(now, wanted.until_at, GRANT_MOST_MS):
            return no
        pending = self._in_production(wanted) and Mode(wanted.level) is not Mode.OBSERVE
        found = msgspec.structs.replace(
            wanted,
            id=self._scribe.new_id("grt", now),
            at=now,
            by=actor.name,
            pending=pending,
            in_force_at=None if pending else now,
        )
        if no := await self._write(actor, put(found), "grant", Kind.GRANT, "asked" if found.pending else "set", found):
            return no
        self._world.grants[found.id] = found
        await self._changed("grant")
        return found

    async def second(self, actor: Actor, identity: str) -> Grant | No:
        """The second pair of eyes on a grant for production."""
        before = self._world.grants.get(identity)
        if before is None:
            return missing("grant", identity)
        if not before.pending:
            return changed(f"grant {identity} does not wait for a second person")
        if actor.name == before.by or not actor.human:
            return denied(f"grant {identity} was asked for by {before.by}: another person must agree to it")
        found = msgspec.structs.replace(before, pending=False, second=actor.name, in_force_at=self._scribe.clock.now())
        if no := await self._write(actor, put(found), "grant", Kind.GRANT, "set", found):
            return no
        self._world.grants[identity] = found
        await self._changed("grant")
        return found

    async def revoke(self, actor: Actor, identity: str, reason: str) -> Grant | No:
        before = self._world.grants.get(identity)
        if before is None:
            return missing("grant", identity)
        found = msgspec.structs.replace(before, revoked_at=self._scribe.clock.now(), revoked_by=actor.name)
        if no := await self._write(
            actor, put(found), "grant", Kind.GRANT, "revoked", {"id": identity, "reason": reason}
        ):
            return no
        self._world.grants.pop(identity, None)
        await self._changed("grant")
        return found

    def _in_production(self, grant: Grant) -> bool:
        """One that names no environment covers every one in which something stands that steps can reach."""
        configuration = self._world.configuration
        environments = configuration.settings.environments
        named = (
            {grant.environment}
            if grant.environment
            else {entity.environment for entity in configuration.catalog.entities.values() if entity.reach is not None}
        )
        return any(each not in environments or environments[each].production for each in named)

    def _bad_scope(self, scope: Scope) -> No | None:
        """A scope that covers nothing that exists is a mistake somebody would find out too late."""
        catalog = self._world.configuration.catalog
        for field in ("entity", "service"):
            ref = getattr(scope, field)
            if ref and ref not in catalog.entities and ref not in catalog.named:
                return invalid(f"scope.{field}", f"no entity {ref!r} in the catalogue: run 'wk catalog' to list them")
        if scope.rule and scope.rule not in self._world.configuration.rulebook.rules:
            return invalid("scope.rule", f"no rule {scope.rule!r}: run 'wk rules' to list them")
        for field in ("environment", "region", "system", "tier"):
            value = getattr(scope, field)
            if value and not any(_has(entity, field, value) for entity in catalog.entities.values()):
                return invalid(f"scope.{field}", f"no entity with {field} {value!r} in the catalogue")
        return None

    async def _bind(
        self, actor: Actor, held: dict[str, Limit], found: Limit, key: str, kind: Kind, verdict: str
    ) -> No | None:
        """It binds before it is durable: what is judged before the answer is heard waits already. What could not be
        written binds no longer, whether it was refused or the store did not take it.
        """
        before, written = held.get(found.id), False
        held[found.id] = found
        try:
            no = await self._write(actor, put(found), key, kind, verdict, found)
            written = no is None
        finally:
            if not written and held.get(found.id) is found:
                if before is None:
                    del held[found.id]
                else:
                    held[found.id] = before
        return no

    async def _write(
        self, actor: Actor, document: Put, key: str, kind: Kind, verdict: str, content: object
    ) -> No | None:
        ids = {key: document.id}
        outcome = await self._scribe.commit(
            Commit(
                at=self._scribe.clock.now(),
                puts=(document,),
                bumps=(key,),
                entries=(self._scribe.entry(kind, ids, actor=actor.name, verdict=verdict, content=content),),
            )
        )
        if isinstance(outcome, Committed):
            return None
        return changed(outcome.why)


def _has(entity: object, field: str, value: str) -> bool:
    found = getattr(entity, field, "")
    return bool(found == value or (field == "system" and str(found).rpartition("/")[2] == value))


def _bad_reason(reason: str) -> No | None:
    if not reason.strip():
        return invalid("reason", "say why, for the person who reads it at night")
    if len(reason) > REASON_CHARS_MAX:
        return invalid("reason", f"is longer than {REASON_CHARS_MAX} characters")
    return None


def _bad_span(from_at: Instant, until_at: Instant, most_ms: int) -> No | None:
    span_ms = ms_between(from_at, until_at)
    if span_ms <= 0:
        return invalid("until", "lies in the past")
    if span_ms > most_ms:
        return invalid("until", f"is more than {duration_text(most_ms)} away; set it again when it ends")
    return None


def expired(limit: Hold | Freeze, now: Instant) -> bool:
    return limit.until_at <= now
