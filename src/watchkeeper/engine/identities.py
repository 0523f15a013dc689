"""Identities and tokens: who may come in, and what they may do there.

A token's text is shown once and never stored. `wk_<24 hex of its id>_<secret>`: the id finds the row, the secret is
compared by digest in constant time. The bootstrap token makes the first identity possible and nothing else.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from watchkeeper.approve.people import BOOTSTRAP_HOURS, Actor, Identity, Token
from watchkeeper.engine.answer import No, changed, denied, invalid, missing
from watchkeeper.engine.records import put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.ledger.entry import Kind
from watchkeeper.ports import Commit, Committed
from watchkeeper.values import Instant, after_ms

ROLES: Final = ("viewer", "operator", "approver", "admin")
BESIDE: Final = ("emergency", "metrics")  # each gives its one permission, beside the ladder of the others
IDENTITIES_MAX: Final = 10_000
TOKENS_MAX: Final = 50_000
NAME_CHARS_MAX: Final = 100
OWN_TOKENS_MAX: Final = 50  # live links to the console that one identity may have made
OWN_NAME: Final = "console"

Shape = TypeVar("Shape", Identity, Token)


class Identities:
    """Mirrors what is stored; a commit comes before every change here."""

    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe
        self.identities: dict[str, Identity] = {}
        self.tokens: dict[str, Token] = {}

    async def load(self) -> None:
        await self._each("identity", Identity, lambda found: self.identities.__setitem__(found.id, found))
        await self._each("token", Token, lambda found: self.tokens.__setitem__(found.id, found))

    async def _each(self, kind: str, shape: type[Shape], keep: Callable[[Shape], None]) -> None:
        after: str | None = None
        while True:
            page = await self._scribe.store.find(kind, {"state": "open"}, after=after, limit=1000, oldest_first=True)
            for row in page.items:
                keep(read(row, shape))
            after = page.next
            if after is None:
                return

    def named(self, name: str) -> Identity | None:
        return next((found for found in self.identities.values() if found.name == name), None)

    def is_person(self, name: str) -> bool:
        """Whether a name that acted is a human being's: what is no identity of a machine is."""
        found = self.named(name)
        return found is None or found.human

    def identify(self, text: str, now: Instant) -> Actor | None:
        """The actor behind a bearer text; None for anything that is not exactly a live token."""
        parts = text.split("_", 2)
        if len(parts) != 3 or parts[0] != "wk" or len(text) > 200:
            return None
        token = self.tokens.get(parts[1])
        if token is None or not hmac.compare_digest(token.sha256, _hash(text)):
            return None
        return self.holder(token.id, now)

    def holder(self, token_id: str, now: Instant) -> Actor | None:
        """Who holds a token and what it is worth now; None when it is worth nothing."""
        token = self.tokens.get(token_id)
        if token is None:
            return None
        if token.revoked_at is not None:
            return None
        late = _late(token, now)
        if late and not token.bootstrap:
            return None
        if token.parent and self.holder(token.parent, now) is None:
            return None
        if token.bootstrap and (late or self.identities):
            # Time or the first identity ends its powers; posting to the default source is what remains of it.
            return Actor(
                name="bootstrap", roles=frozenset(), human=False, token=token.id, source="default", channel="token"
            )
        if token.bootstrap:
            return Actor(
                name="bootstrap", human=False, token=token.id, source="default", bootstrap=True, channel="token"
            )
        if token.source:
            return Actor(
                name=f"source:{token.source}", human=False, token=token.id, source=token.source, channel="token"
            )
        identity = self.identities.get(token.identity)
        if identity is None:
            return None
        return Actor(
            name=identity.name,
            roles=frozenset(token.roles) & including(identity.roles),
            groups=identity.groups,
            human=identity.human,
            identity=identity.id,
            token=token.id,
            channel="token",
        )

    def person(self, identity_id: str) -> Actor | None:
        """A human being whose identity is established without a token; None when it was removed, or is a machine's."""
        identity = self.identities.get(identity_id)
        if identity is None or not identity.human:
            return None
        return Actor(
            name=identity.name,
            roles=including(identity.roles),
            groups=identity.groups,
            identity=identity.id,
            channel="session",
        )

    def local(self, user: str, roles: tuple[str, ...]) -> Actor:
        """The actor behind a uid of this machine: roles from watchkeeper.yaml, and those of a `local:` identity."""
        name = f"local:{user}"
        identity = self.named(name)
        known = frozenset(identity.roles) if identity is not None else frozenset()
        return Actor(
            name=name,
            roles=frozenset(roles) | known,
            groups=identity.groups if identity is not None else (),
            identity=identity.id if identity is not None else "",
            channel="socket",
        )

    async def add(
        self, actor: Actor, name: str, roles: tuple[str, ...], groups: tuple[str, ...] = (), *, human: bool = True
    ) -> Identity | No:
        """A person or a machine. The bootstrap token may add the first one, which must be an admin."""
        if not name or len(name) > NAME_CHARS_MAX or not name.isprintable() or " " in name:
            return invalid("name", f"1 to {NAME_CHARS_MAX} printable characters without spaces")
        for role in roles:
            if role not in (*ROLES, *BESIDE):
                return invalid("roles", f"{role!r} is none of {', '.join((*ROLES, *BESIDE))}")
        if not roles:
            return invalid("roles", f"name at least one of {', '.join(ROLES)}")
        if self.named(name) is not None:
            return changed(f"identity {name} exists already: remove it first, or choose another name")
        if human and not actor.human and not actor.bootstrap:
            return denied(f"{actor.name} is no person, and only a person adds people: --machine adds a machine")
        if actor.bootstrap and "admin" not in roles:
            return denied("the first identity must be an admin: with the bootstrap token add --role admin")
        if len(self.identities) >= IDENTITIES_MAX:
            return denied(f"{IDENTITIES_MAX} identities is the bound of one node")
        now = self._scribe.clock.now()
        found = Identity(
            id=self._scribe.new_id("idn", now),
            name=name,
            roles=tuple(roles),
            at=now,
            by=actor.name,
            groups=groups,
            human=human,
        )
        entry = self._scribe.entry(
            Kind.IDENTITY, {"identity": found.id}, actor=actor.name, verdict="added", content=found
        )
        outcome = await self._scribe.commit(Commit(at=now, puts=(put(found, expect=0),), entries=(entry,)))
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        self.identities[found.id] = found
        return found

    async def remove(self, actor: Actor, identity: str, reason: str) -> Identity | No:
        """Ends an identity and every token of it. The last admin stays, and nobody removes themselves: whoever removes
        can come in, which of a name that was typed wrong nobody knows.
        """
        before = self.identities.get(identity) or self.named(identity)
        if before is None:
            return missing("identity", identity)
        admins = [found for found in self.identities.values() if "admin" in found.roles and found.id != before.id]
        if "admin" in before.roles and not admins:
            return denied(f"{before.name} is the last admin: add another one first")
        if actor.identity == before.id or actor.name == before.name:
            return denied(f"{before.name} is you: another admin removes you, so that one who can come in stays")
        now = self._scribe.clock.now()
        found = msgspec.structs.replace(before, removed_at=now, removed_by=actor.name)
        theirs = [
            msgspec.structs.replace(token, revoked_at=now, revoked_by=actor.name)
            for token in self.tokens.values()
            if token.identity == before.id
        ]
        content = {"name": before.name, "reason": reason, "tokens": [token.id for token in theirs]}
        entry = self._scribe.entry(
            Kind.IDENTITY, {"identity": before.id}, actor=actor.name, verdict="removed", content=content
        )
        puts = (put(found), *(put(token, identity=token.id) for token in theirs))
        outcome = await self._scribe.commit(Commit(at=now, puts=puts, entries=(entry,)))
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        self.identities.pop(before.id)
        for token in theirs:
            self.tokens.pop(token.id, None)
        return found

    async def issue(
        self,
        actor: Actor,
        identity: str,
        name: str,
        roles: tuple[str, ...],
        *,
        for_ms: int | None = None,
        source: str = "",
        bootstrap: bool = False,
        own: bool = False,
    ) -> tuple[Token, str] | No:
        """A new token and its text, which is shown this once. A token has no role that its identity lacks. `own`: whoever
        asks makes it for themselves.
        """
        owner = self.identities.get(identity) or self.named(identity)
        if owner is None and not source and not bootstrap:
            return missing("identity", identity)
        if owner is not None:
            beyond = set(roles) - including(owner.roles)
            if beyond:
                return denied(
                    f"{owner.name} has no role {', '.join(sorted(beyond))}: a token has no more than its identity"
                )
            if owner.human and not actor.human and not actor.bootstrap and not own:
                return denied(f"{actor.name} is no person, and only a person makes a token of {owner.name}")
        if for_ms is not None and for_ms <= 0:
            return invalid("for", "must be longer than nothing")
        now = self._scribe.clock.now()
        if len(self.tokens) >= TOKENS_MAX:
            self._forget(now)
        if len(self.tokens) >= TOKENS_MAX:
            return denied(f"{TOKENS_MAX} live tokens is the bound of one node: revoke some")
        expires_at = after_ms(now, for_ms) if for_ms is not None else None
        if own:
            made = self._own(actor, now, expires_at)
            if isinstance(made, No):
                return made
            expires_at = made
        key = self._scribe.secret(12).hex()
        text = f"wk_{key}_{secrets.token_urlsafe(32)}"
        found = Token(
            id=key,
            identity=owner.id if owner is not None else "",
            name=name,
            sha256=_hash(text),
            roles=tuple(roles),
            at=now,
            by=actor.name,
            expires_at=expires_at,
            source=source,
            bootstrap=bootstrap,
            parent=actor.token if own else "",
        )
        content = {"name": name, "roles": list(roles), "source": source, "identity": found.identity}
        entry = self._scribe.entry(Kind.TOKEN, {"token": key}, actor=actor.name, verdict="issued", content=content)
        outcome = await self._scribe.commit(
            Commit(at=now, puts=(put(found, identity=key, expect=0),), entries=(entry,))
        )
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        self.tokens[key] = found
        return found, text

    def _own(self, actor: Actor, now: Instant, expires_at: Instant | None) -> Instant | No | None:
        """When a token that somebody makes for themselves ends: never after the one that they came with."""
        theirs = [
            each
            for each in self.tokens.values()
            if each.identity == actor.identity and each.name == OWN_NAME and not _late(each, now)
        ]
        if len(theirs) >= OWN_TOKENS_MAX:
            return denied(
                f"{actor.name} has {OWN_TOKENS_MAX} links to the console that still work: wait for one to end, or ask an "
                "admin to revoke some (wk token)"
            )
        parent = self.tokens.get(actor.token)
        if parent is None:
            return expires_at
        if parent.parent:
            return denied("a token that was made for the console makes no other one: use the one that it was made with")
        ends = [each for each in (expires_at, parent.expires_at) if each is not None]
        return min(ends, default=None)

    def _forget(self, now: Instant) -> None:
        """Tokens that have run out take no room."""
        for each in [found for found in self.tokens.values() if _late(found, now) and not found.bootstrap]:
            self.tokens.pop(each.id)

    async def bootstrap(self, kept: str = "") -> str | None:
        """The text of a fresh bootstrap token for a node without identities; None where `kept` still is one.

        `kept` is the text that lies in the home. It may be missing, because a process ended after it had issued a
        token and before it wrote the text down, or have run out: neither may shut out whoever comes first.
        """
        found = self.identify(kept, self._scribe.clock.now())
        if self.identities or (found is not None and found.bootstrap):
            return None
        made = await self.issue(
            Actor(name="watchkeeper", human=False),
            "",
            "bootstrap",
            (),
            for_ms=BOOTSTRAP_HOURS * 3_600_000,
            bootstrap=True,
        )
        return made[1] if isinstance(made, tuple) else None

    async def revoke(self, actor: Actor, identity: str, reason: str) -> Token | No:
        before = self.tokens.get(identity)
        if before is None:
            return missing("token", identity)
        now = self._scribe.clock.now()
        found = msgspec.structs.replace(before, revoked_at=now, revoked_by=actor.name)
        entry = self._scribe.entry(
            Kind.TOKEN, {"token": identity}, actor=actor.name, verdict="revoked", content={"reason": reason}
        )
        outcome = await self._scribe.commit(Commit(at=now, puts=(put(found, identity=identity),), entries=(entry,)))
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        self.tokens.pop(identity, None)
        return found


def including(roles: tuple[str, ...]) -> frozenset[str]:
    """Each role includes those before it: an admin may make a token that only reads."""
    highest = max((ROLES.index(role) for role in roles if role in ROLES), default=-1)
    return frozenset(ROLES[: highest + 1]) | frozenset(roles)


def _late(token: Token, now: Instant) -> bool:
    return token.expires_at is not None and token.expires_at <= now


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
