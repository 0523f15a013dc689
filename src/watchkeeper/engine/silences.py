"""Silences: what an Alertmanager keeps to itself. It sends nothing of an alert that somebody silenced or that another one
inhibits, so the node asks for those where the source says how. A suppressed alert is known, shown, and not acted upon.

What was last heard counts while it is fresh. When it can no longer be read it is forgotten, and the source's own word counts
again: an alert that fires and reaches the node is not suppressed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct

from watchkeeper.correlate.correlation import Correlation
from watchkeeper.engine.clock import Clock
from watchkeeper.engine.world import World
from watchkeeper.errors import Malformed, WatchkeeperError
from watchkeeper.home.settings import SourceSettings
from watchkeeper.values import Instant, Labels, ms_between

log = structlog.get_logger("watchkeeper.silences")

PATH: Final = "/api/v2/alerts?active=false&silenced=true&inhibited=true&unprocessed=false"
LOOK_S: Final = 1.0
FRESH_TIMES: Final = 10  # of the source's `every`: for so long what was heard counts while nothing new can be read
SUPPRESSED_MAX: Final = 20_000
NAMED_MAX: Final = 3

Ask = Callable[[str], Awaitable[bytes]]


class Suppressed(Struct, frozen=True, kw_only=True):
    """`alert` is ours by the same fingerprint, "" when none ever reached the node."""

    source: str
    group: str
    fingerprint: str
    labels: Labels
    why: str
    alert: str = ""


class Silences:
    """`ask` gets a document from an address that the settings declare; None: this node asks nobody."""

    def __init__(self, clock: Clock, world: World, correlation: Correlation, judge: Callable[[str, str], None]) -> None:
        self._clock, self._world, self._correlation, self._judge = clock, world, correlation, judge
        self.ask: Ask | None = None
        self.failing: dict[str, str] = {}
        self._heard: dict[str, tuple[Instant, dict[tuple[str, str], Suppressed]]] = {}
        self._due_ms: dict[str, int] = {}

    async def work(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask every source whose time has come; what changed is judged afresh."""
        now_ms = self._clock.monotonic_ms()
        asked = {name: each for name, each in self._world.configuration.settings.sources.items() if each.api}
        for name, settings in asked.items():
            if self.ask is not None and now_ms >= self._due_ms.get(name, 0):
                self._due_ms[name] = now_ms + settings.every_ms
                await self._look(name, settings, self.ask)
        for name in [name for name in self._heard if name not in asked]:
            del self._heard[name]
        self._settle()

    async def _look(self, name: str, settings: SourceSettings, ask: Ask) -> None:
        try:
            body = await ask(f"{settings.api.rstrip('/')}{PATH}")
            self._heard[name] = (self._clock.now(), _read(name, settings.source.group, body))
            self.failing.pop(name, None)
        except (WatchkeeperError, msgspec.DecodeError, UnicodeDecodeError) as failed:
            if name not in self.failing:
                log.warning("silences cannot be read", source=name, why=str(failed))
            self.failing[name] = str(failed)
            at = self._heard.get(name, (self._clock.now(), {}))[0]
            if ms_between(at, self._clock.now()) > FRESH_TIMES * settings.every_ms:
                self._heard.pop(name, None)

    def _settle(self) -> None:
        """What the world shows, and the alerts that turn by it."""
        after = {key: each.why for _, found in self._heard.values() for key, each in found.items()}
        before = self._world.suppressed
        if after == before:
            return
        self._world.suppressed = after
        for alert in tuple(self._correlation.alerts()):
            key = (alert.group, alert.fingerprint)
            if (key in before) != (key in after):
                self._judge(alert.id, "it is suppressed at its source" if key in after else "it is suppressed no more")

    def listed(self) -> tuple[Suppressed, ...]:
        """Everything that is suppressed now, also what never reached this node."""
        ours = {(alert.group, alert.fingerprint): alert.id for alert in self._correlation.alerts()}
        found = [each for _, heard in self._heard.values() for each in heard.values()]
        return tuple(
            msgspec.structs.replace(each, alert=ours.get((each.group, each.fingerprint), "")) for each in found
        )


def _read(name: str, group: str, body: bytes) -> dict[tuple[str, str], Suppressed]:
    """Raises Malformed for what is no list of alerts. An element that cannot be read is passed over: it suppresses nothing.

    Source: Alertmanager's API, version 2 (`gettableAlerts`).
    """
    found: Any = msgspec.json.decode(body)
    if not isinstance(found, list):
        raise Malformed("", "the answer is no list of alerts")
    suppressed: dict[tuple[str, str], Suppressed] = {}
    for each in found[:SUPPRESSED_MAX]:
        status = each.get("status") if isinstance(each, dict) else None
        fingerprint = each.get("fingerprint") if isinstance(each, dict) else None
        if not isinstance(status, dict) or status.get("state") != "suppressed" or not isinstance(fingerprint, str):
            continue
        labels = each.get("labels")
        kept = {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}
        suppressed[group, fingerprint] = Suppressed(
            source=name, group=group, fingerprint=fingerprint, labels=kept, why=_why(name, status)
        )
    return suppressed


def _why(name: str, status: dict[str, Any]) -> str:
    for field, word in (("silencedBy", "silenced"), ("inhibitedBy", "inhibited")):
        by = status.get(field)
        if isinstance(by, list) and by:
            named = ", ".join(str(each)[:40] for each in by[:NAMED_MAX])
            return f"it is {word} in {name} by {named}"
    return f"it is suppressed in {name}"
