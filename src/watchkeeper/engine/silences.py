"""Silences: what an Alertmanager keeps to itself. It sends nothing of an alert that somebody silenced or that another one
inhibits, so the node asks for those where the source says how, and listens to its event recorder where it has one. A
suppressed alert is known, shown, and not acted upon.

The two are one state. What was asked counts for everything that was so until then, what the recorder said later counts
beside it, and both give the same reason in the same words. What was last heard counts while it is fresh, over a restart too.
When a source that is asked does not answer any more, nobody knows, and unknown holds: what it kept to itself waits until it
answers, or until the source's own word counts again: an alert that reaches the node after that is not suppressed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct

from watchkeeper.correlate.correlation import Correlation
from watchkeeper.correlate.muted import over
from watchkeeper.engine.clock import Clock
from watchkeeper.engine.recorder import Documents, Recorders
from watchkeeper.engine.silence_answers import Answer, Answers, Told, read_answer
from watchkeeper.engine.silence_words import Cause, Causes, sentence
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import World
from watchkeeper.errors import WatchkeeperError
from watchkeeper.home.settings import SourceKind, SourceSettings
from watchkeeper.ports import Put
from watchkeeper.signals.recorded import Because
from watchkeeper.signals.signal import Delivery, Parsed
from watchkeeper.values import Instant, Labels

log = structlog.get_logger("watchkeeper.silences")

PATH: Final = "/api/v2/alerts?active=false&silenced=true&inhibited=true&unprocessed=false"
LOOK_S: Final = 1.0
FIRST_LOOK_S: Final = 2.0  # at a start, for all of them together: a node that starts again must be back soon
SETTLE_EVERY_MS: Final = 5_000  # so often it is looked whether something that a recorder said is over by time
SETTLED_AT_ONCE: Final = 500  # alerts that are looked at before others get the loop

Ask = Callable[[str], Awaitable[bytes]]
Key = tuple[str, str]


class Suppressed(Struct, frozen=True, kw_only=True):
    """`alert` is ours by the same fingerprint, "" when none ever reached the node."""

    source: str
    group: str
    fingerprint: str
    labels: Labels
    why: str
    alert: str = ""


class _Found(Struct, frozen=True):
    """A suppressed alert with what its sentence was made of, so that it is made again only when that changed."""

    shown: Suppressed
    causes: Causes
    told: int  # how much was known of the source's silences
    unsure: bool  # its source does not answer any more


class Silences:
    """`ask` gets a document from an address that the settings declare; None: this node asks nobody."""

    def __init__(
        self,
        clock: Clock,
        world: World,
        correlation: Correlation,
        witnesses: Witnesses,
        recorders: Recorders,
        answers: Answers,
        judge: Callable[[str, str], None],
    ) -> None:
        self._clock, self._world, self._correlation, self._judge = clock, world, correlation, judge
        self._witnesses, self.recorders, self._answers = witnesses, recorders, answers
        self.ask: Ask | None = None
        self.failing: dict[str, str] = {}
        self._due_ms: dict[str, int] = {}
        self._found: dict[Key, _Found] = {}
        self._settle_ms = 0

    async def work(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def load(self, documents: Documents) -> None:
        """What was said before this process began, and what Alertmanagers answer now: before anything is decided.
        Judged by nobody yet: at a start every alert is.
        """
        await self.recorders.load(documents)
        await self._answers.load(documents, [name for name, each in self._sources() if each.api])
        await self._look_at_once()
        self._settle(self._keys(), judged=False)

    def take(self, delivery: Delivery, parsed: Parsed) -> tuple[Put, ...]:
        """What a recorder said, in the commit that takes its delivery."""
        if parsed.recorded is None:
            return ()
        if not parsed.dead:
            self.recorders.spend(delivery.id, delivery.received_at)
        said = self.recorders.take(delivery.source, parsed.recorded, delivery.received_at)
        settings = self._world.configuration.settings.sources.get(delivery.source)
        if settings is not None:
            self._settle({(settings.source.group, each) for each in said.fingerprints})
        return said.puts

    async def look(self) -> None:
        """Ask every source whose time has come; what changed is judged afresh."""
        now_ms = self._clock.monotonic_ms()
        asked = {name: each for name, each in self._sources() if each.api}
        turned = False
        for name, settings in asked.items():
            if self.ask is not None and now_ms >= self._due_ms.get(name, 0):
                self._due_ms[name] = now_ms + settings.every_ms
                await self._look(name, settings, self.ask)
                turned = True
        turned = await self._answers.let_go(asked) or turned
        await self.recorders.sweep(now_ms)
        if turned or now_ms >= self._settle_ms:
            self._settle_ms = now_ms + SETTLE_EVERY_MS
            await self._settle_all()

    async def _look_at_once(self) -> None:
        """Ask all of them at the same time, for FIRST_LOOK_S at most. Who does not answer is asked again in its turn."""
        if self.ask is None:
            return
        asked = [(name, each) for name, each in self._sources() if each.api]
        looks = [asyncio.create_task(self._look(name, each, self.ask)) for name, each in asked]
        if not looks:
            return
        try:
            await asyncio.wait(looks, timeout=FIRST_LOOK_S)
        finally:
            for each in looks:
                each.cancel()
        for failed in await asyncio.gather(*looks, return_exceptions=True):
            if isinstance(failed, Exception):
                raise failed

    def _sources(self) -> Iterable[tuple[str, SourceSettings]]:
        sources = self._world.configuration.settings.sources.items()
        return [(name, each) for name, each in sources if each.kind is SourceKind.ALERTMANAGER]

    async def _look(self, name: str, settings: SourceSettings, ask: Ask) -> None:
        asked_at = self._clock.now()
        try:
            found = read_answer(asked_at, await ask(f"{settings.api.rstrip('/')}{PATH}"))
        except (WatchkeeperError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failed:
            if name not in self.failing:
                log.warning("silences cannot be read", source=name, why=str(failed))
            self.failing[name] = str(failed)
        else:
            self.failing.pop(name, None)
            await self._answers.keep(name, found, settings.every_ms)

    # What stands.

    async def _settle_all(self) -> None:
        """A part at a time: hooks and effects wait for the loop."""
        keys = list(self._keys())
        for start in range(0, len(keys), SETTLED_AT_ONCE):
            self._settle(keys[start : start + SETTLED_AT_ONCE])
            await asyncio.sleep(0)

    def _keys(self) -> set[Key]:
        keys = set(self._found)
        for name, settings in self._sources():
            heard = self._answers.get(name)
            of_source = {*(heard.found if heard is not None else ()), *self.recorders.fingerprints(name)}
            keys.update((settings.source.group, each) for each in of_source)
        return keys

    def _settle(self, keys: Iterable[Key], *, judged: bool = True) -> None:
        """What the world shows of these, and the alerts that turn by it."""
        now = self._clock.now()
        sources: dict[str, list[str]] = {}
        for name, settings in self._sources():
            sources.setdefault(settings.source.group, []).append(name)
        for key in keys:
            before = self._found.get(key)
            after = self._suppressed(key, sources.get(key[0], ()), now, before)
            if after is before:
                continue
            if after is None:
                del self._found[key]
                self._world.suppressed.pop(key, None)
            else:
                self._found[key] = after
                self._world.suppressed[key] = after.shown.why
            if judged and (before is None) != (after is None):
                because = "it is suppressed no more" if after is None else "it is suppressed at its source"
                for alert in self._witnesses.episodes(*key):
                    self._judge(alert.id, because)

    def _suppressed(self, key: Key, sources: Iterable[str], now: Instant, before: _Found | None) -> _Found | None:
        """By the first of the sources of the group that keeps it to itself. What is as before is the same object."""
        group, fingerprint = key
        for name in sources:
            heard = self._answers.get(name)
            told = heard.found.get(fingerprint) if heard is not None else None
            every_ms = self._world.configuration.settings.sources[name].every_ms
            unsure = heard is not None and told is not None and not heard.fresh(every_ms, now)
            if unsure and heard is not None and not self._waits_since(key, heard.asked_at):
                told, unsure = None, False
            causes = self._causes(name, fingerprint, heard, told, now)
            if causes is None:
                continue
            # An alert that inhibits may have come to be known by its name meanwhile.
            named = any(each.because is Because.INHIBITED for each in causes)
            labels = (told.labels if told is not None else {}) or self.recorders.labels(name, fingerprint)
            after = _Found(
                Suppressed(source=name, group=group, fingerprint=fingerprint, labels=labels, why=""),
                causes,
                self.recorders.told(name),
                unsure,
            )
            if before is not None and not named and _same(before, after):
                return before
            why = sentence(name, causes, self.recorders.silences(name), self._named(name, group))
            if unsure and heard is not None:
                why += f", as it said at {heard.asked_at:%Y-%m-%dT%H:%MZ}; it does not answer any more"
            return msgspec.structs.replace(after, shown=msgspec.structs.replace(after.shown, why=why))
        return None

    def _waits_since(self, key: Key, at: Instant) -> bool:
        """Whether an alert fires that did not reach this node after that: nobody said since that it is kept back no more."""
        firing = [alert for alert in self._witnesses.episodes(*key) if alert.resolved_at is None]
        return bool(firing) and all(alert.last_seen_at <= at for alert in firing)

    def _causes(
        self, name: str, fingerprint: str, heard: Answer | None, told: Told | None, now: Instant
    ) -> Causes | None:
        """None: this source does not suppress it."""
        found: dict[Cause, None] = {}
        suppressed = False
        if heard is not None and told is not None:
            rules = {(each.because, each.name): each.rule for each in self.recorders.known(name, fingerprint)}
            silences = self.recorders.silences(name)
            left = [each for each in told.causes if not over(each.because, each.name, silences, now)]
            if (left or not told.causes) and not self.recorders.resolved_since(name, fingerprint, heard.asked_at):
                suppressed = True
                named = [Cause(each.because, each.name, rules.get((each.because, each.name), "")) for each in left]
                found.update(dict.fromkeys(named))
        since = heard.asked_at if heard is not None and heard.whole else None
        for reason in self.recorders.standing(name, fingerprint, now, since):
            suppressed = True
            found[Cause(reason.because, reason.name, reason.rule)] = None
        return tuple(sorted(found)) if suppressed else None

    def _named(self, source: str, group: str) -> Callable[[str], str]:
        """The name of an alert by its fingerprint: one that reached this node, or that the recorder told of; "" for none."""

        def name_of(fingerprint: str) -> str:
            episodes = self._witnesses.episodes(group, fingerprint)
            labels = episodes[-1].labels if episodes else self.recorders.labels(source, fingerprint)
            return labels.get("alertname", "")

        return name_of

    # What people read.

    def listed(self) -> tuple[Suppressed, ...]:
        """Everything that is suppressed now, also what never reached this node."""
        ours = {(alert.group, alert.fingerprint): alert.id for alert in self._correlation.alerts()}
        return tuple(msgspec.structs.replace(each.shown, alert=ours.get(key, "")) for key, each in self._found.items())

    def sources(self) -> tuple[dict[str, Any], ...]:
        """Who says what is suppressed: each Alertmanager that is asked, or whose recorder was ever heard."""
        now = self._clock.now()
        found: list[dict[str, Any]] = []
        for name, settings in self._sources():
            heard, recorder = self._answers.get(name), self.recorders.view(name, now)
            if not settings.api and recorder is None:
                continue
            found.append(
                {
                    "source": name,
                    "group": settings.source.group,
                    "asked": bool(settings.api),
                    "asked_at": heard.asked_at if heard is not None else None,
                    "failing": self.failing.get(name, "") if settings.api else "",
                    "recorder": recorder,
                    "suppressed": sum(each.shown.source == name for each in self._found.values()),
                }
            )
        return tuple(found)


def _same(before: _Found, after: _Found) -> bool:
    """But for the words."""
    what = (before.shown.source, before.shown.labels, before.causes, before.told, before.unsure)
    return what == (after.shown.source, after.shown.labels, after.causes, after.told, after.unsure)
