"""What the API serves: the engine and its readers, and who is asking."""

import asyncio
import pwd
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from watchkeeper import __version__
from watchkeeper.approve.people import Actor
from watchkeeper.engine.agenda import AgendaReader
from watchkeeper.engine.breaker_reading import BreakerReader
from watchkeeper.engine.business_reading import BusinessReader
from watchkeeper.engine.calendar_reading import CalendarReader
from watchkeeper.engine.decision_counts import DecisionCounts
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.home_reading import HomeReader
from watchkeeper.engine.impact import Impacts
from watchkeeper.engine.incident_reading import IncidentReader
from watchkeeper.engine.ledger_reading import LedgerReader
from watchkeeper.engine.metric_reading import MetricReader
from watchkeeper.engine.reading import Reader
from watchkeeper.engine.register_reading import RegisterReader
from watchkeeper.engine.replaying import Replayer
from watchkeeper.engine.rhythm_reading import RhythmReader
from watchkeeper.engine.source_reading import SourceReader
from watchkeeper.engine.standing_reading import StandingReader
from watchkeeper.engine.store_reading import StoreReader
from watchkeeper.engine.suggesting import Suggester
from watchkeeper.engine.tallying import Tallies
from watchkeeper.engine.timing_reading import TimingReader
from watchkeeper.engine.trending import Trends
from watchkeeper.engine.trying import Trier
from watchkeeper.home.settings import Settings
from watchkeeper.packs.runbook import SecretRef
from watchkeeper.surface.api.metrics import Metrics
from watchkeeper.surface.api.refusals import Refusals

PEER: Final = "watchkeeper.peer"  # the extension of a scope that holds the uid at the other end of the home's socket
FOLDER_LOOKED_S: Final = 2.0  # how long an answer about the folder is repeated

COOKIE: Final = "wk_session"
FORM_WORD: Final = b"x-watchkeeper-form"  # carries `engine.sessions.form_word` on what a session changes

Leaser = Callable[[SecretRef], Awaitable[str]]
Scope = Mapping[str, Any]


class Unsigned(Struct, frozen=True):
    """Nobody, and why."""

    why: str


class Node:
    """`closing` is set when the listeners stop: answers that never end by themselves end then."""

    def __init__(self, engine: Engine, leaser: Leaser | None = None) -> None:
        self.engine = engine
        self.reading = Reader(engine)
        self.counted = DecisionCounts(engine, self.reading)
        self.incidents = IncidentReader(engine, self.reading)
        self.home = HomeReader(engine)
        self.business = BusinessReader(engine)
        self.register = RegisterReader(engine)
        self.measured = MetricReader(engine)
        self.ledger = LedgerReader(engine)
        self.replaying = Replayer(engine)
        self.kept = StoreReader(engine)
        self.trying = Trier(engine)
        self.breakers = BreakerReader(engine)
        self.impacts = Impacts(engine, self.trying)
        self.suggesting = Suggester(engine)
        self.calendars = CalendarReader(engine)
        self.agenda = AgendaReader(engine)
        self.tallies = Tallies(engine)
        self.sources = SourceReader(engine)
        self.timed = TimingReader(engine)
        self.trends = Trends(engine)
        self.standing = StandingReader(engine)
        self.rhythms = RhythmReader(engine)
        self.leaser = leaser or engine.leaser
        self.closing = asyncio.Event()
        self.version = __version__
        self.url = ""  # of the console, once it listens
        self.refusals = Refusals()
        self.metrics = Metrics(engine, __version__, self.refusals.counts)
        self._differing: tuple[float, tuple[str, ...]] = (-FOLDER_LOOKED_S, ())

    @property
    def settings(self) -> Settings:
        """Those in force now, not those of the start."""
        return self.engine.world.configuration.settings

    def actor(self, scope: Scope) -> Actor | Unsigned:
        """A bearer token first, then a session's cookie, then the uid of the home's socket."""
        given = header(scope, b"authorization")
        if given:
            kind, _, text = given.partition(" ")
            if kind.lower() != "bearer":
                return Unsigned("expected 'Authorization: Bearer <token>'")
            found = self.engine.identities.identify(text.strip(), self.engine.clock.now())
            return found or Unsigned("the token is unknown, expired or revoked: make one with 'wk token create'")
        cookie = session_text(scope)
        if cookie:
            within = self.engine.sessions.actor(cookie, self.engine.clock.now())
            return within or Unsigned("the session has ended: sign in again")
        peer = (scope.get("extensions") or {}).get(PEER)
        if peer is None:
            return Unsigned(
                "send 'Authorization: Bearer <token>', or on this machine use 'wk', which speaks over the home's socket"
            )
        return self.local(int(peer["uid"]))

    def local(self, uid: int) -> Actor | Unsigned:
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            return Unsigned(f"uid {uid} has no name on this machine")
        roles = self.settings.roles.users.get(user, ())
        return self.engine.identities.local(user, tuple(role.value for role in roles))

    async def differing(self) -> tuple[str, ...]:
        """Files of the folder that are not as in what is active. Read beside the loop, and not at every look."""
        now = asyncio.get_running_loop().time()
        at, found = self._differing
        if now - at >= FOLDER_LOOKED_S:
            found = await asyncio.to_thread(self.engine.changes.differing)
            self._differing = (now, found)
        return found


def header(scope: Scope, name: bytes) -> str:
    """The one value of a header, "" when there is none or more than one: two answers to one question are no answer."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1").strip() if len(values) == 1 else ""


def session_text(scope: Scope) -> str:
    """The text of the session's cookie, "" without one, and where two are sent."""
    pairs = [part.strip().partition("=") for part in header(scope, b"cookie").split(";")]
    values = [value for name, _, value in pairs if name == COOKIE]
    return values[0] if len(values) == 1 else ""
