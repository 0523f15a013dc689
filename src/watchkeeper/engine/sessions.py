"""Sessions: a browser that signed in with a token, and what that is worth on each request.

A session is no credential of its own: it stands for one token, or for one person whom something else vouched for, and ends
with it. Its text lies in a cookie and nowhere
else; what is stored is the text's digest. Forms prove that they came from our own page by a word derived from the text.
"""

import hashlib
import hmac
import secrets
from typing import Final

from msgspec.structs import replace

from watchkeeper.approve.people import Actor, Session
from watchkeeper.engine.answer import No, denied
from watchkeeper.engine.identities import Identities
from watchkeeper.engine.records import put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.ports import Commit, Committed, Drop
from watchkeeper.values import Instant, after_ms

SESSION_MS: Final = 43_200_000  # twelve hours: a shift and its hand-over
SESSIONS_MAX: Final = 2_000
SESSIONS_OF_ONE_MAX: Final = (
    50  # of one token, or of one person: the oldest makes room, so that nobody takes all places
)
TEXT_CHARS_MAX: Final = 200


class Sessions:
    """Mirrors what is stored: a restart signs nobody out."""

    def __init__(self, scribe: Scribe, identities: Identities) -> None:
        self._scribe, self._identities = scribe, identities
        self._live: dict[str, Session] = {}

    async def load(self) -> None:
        after: str | None = None
        while True:
            page = await self._scribe.store.find("session", after=after, limit=1_000)
            self._live |= {row.id: read(row, Session) for row in page.items}
            after = page.next
            if after is None:
                return

    async def begin(self, token: str) -> tuple[Session, str] | No:
        """A new session and its text, for the text of a live token of somebody who may look at something."""
        now = self._scribe.clock.now()
        actor = self._identities.identify(token.strip(), now)
        if actor is None:
            return denied("the token is unknown, expired or revoked: make one with 'wk token create'")
        if actor.source:
            return denied("that token belongs to a source and can only post to its hook: sign in with one of a person")
        return await self._open(actor, now, token=actor.token)

    async def begin_as(self, identity_id: str, way: str) -> tuple[Session, str] | No:
        """The same for a person whose identity `way` has established: the caller has seen its proof."""
        actor = self._identities.person(identity_id)
        if actor is None:
            return denied(f"{way} vouches for somebody who is no person of this node: add them with 'wk identity add'")
        return await self._open(actor, self._scribe.clock.now(), identity=actor.identity, way=way)

    async def _open(
        self, actor: Actor, now: Instant, *, token: str = "", identity: str = "", way: str = "token"
    ) -> tuple[Session, str] | No:
        await self._forget(now)
        if len(self._live) >= SESSIONS_MAX:
            return denied(f"{SESSIONS_MAX} sessions is the bound of one node: sign out somewhere, or wait")
        theirs = [each for each in self._live.values() if (each.token, each.identity) == (token, identity)]
        oldest = min(theirs, key=lambda each: each.at) if len(theirs) >= SESSIONS_OF_ONE_MAX else None
        name = self._scribe.secret(12).hex()
        text = f"{name}.{secrets.token_urlsafe(32)}"
        found = Session(
            id=name,
            sha256=_digest(text),
            token=token,
            name=actor.name,
            at=now,
            until_at=after_ms(now, SESSION_MS),
            identity=identity,
            way=way,
        )
        drops = (Drop(kind="session", id=oldest.id),) if oldest is not None else ()
        outcome = await self._scribe.commit(Commit(at=now, puts=(put(found, identity=name, expect=0),), drops=drops))
        assert isinstance(outcome, Committed)
        self._live[name] = found
        if oldest is not None:
            self._live.pop(oldest.id, None)
        return found, text

    def actor(self, text: str, now: Instant) -> Actor | None:
        """Who is behind a cookie's text, with what its token may do now; None for anything but a live session."""
        found = self._find(text, now)
        if found is None:
            return None
        actor = self._behind(found, now)
        return replace(actor, channel="session") if actor is not None and not actor.source else None

    async def end(self, text: str) -> None:
        """Sign out. What is not a live session has nothing to end."""
        now = self._scribe.clock.now()
        found = self._find(text, now)
        if found is not None:
            await self._scribe.commit(Commit(at=now, drops=(Drop(kind="session", id=found.id),)))
            self._live.pop(found.id, None)

    def _find(self, text: str, now: Instant) -> Session | None:
        if not text or len(text) > TEXT_CHARS_MAX:
            return None
        found = self._live.get(text.partition(".")[0])
        if found is None or not hmac.compare_digest(found.sha256, _digest(text)) or found.until_at <= now:
            return None
        return found

    def _behind(self, session: Session, now: Instant) -> Actor | None:
        if session.identity:
            return self._identities.person(session.identity)
        return self._identities.holder(session.token, now)

    async def _forget(self, now: Instant) -> None:
        """What has run out goes, and what stands for a token or a person that is no more."""
        gone = [each.id for each in self._live.values() if each.until_at <= now or self._behind(each, now) is None]
        if gone:
            await self._scribe.commit(Commit(at=now, drops=tuple(Drop(kind="session", id=each) for each in gone)))
            for each in gone:
                self._live.pop(each, None)


def form_word(text: str) -> str:
    """What a form of this session carries, so that a page elsewhere cannot post it. Source: OWASP, "HMAC based token"."""
    return hmac.new(text.encode(), b"watchkeeper form", hashlib.sha256).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
