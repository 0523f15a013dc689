"""Reading sources: all that are configured, heard or not, and those that were heard and left the configuration."""

from typing import Final

from msgspec import Struct

from watchkeeper.engine.answer import No, missing
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.reading import Listed
from watchkeeper.engine.records import read
from watchkeeper.home.settings import DEFAULT_SOURCE, SourceKind, SourceSettings
from watchkeeper.learn.timing import HOUR_MS, MINUTE_MS, Slot, slots
from watchkeeper.signals.signal import Signal
from watchkeeper.values import Instant, ms_between

HOOKS: Final = {
    SourceKind.ALERTMANAGER: ("alertmanager", "alertmanager-events"),
    SourceKind.GRAFANA: ("grafana",),
    SourceKind.CLOUDEVENTS: ("cloudevents",),
    SourceKind.SNS: ("sns",),
    SourceKind.PAGERDUTY: ("pagerduty",),
    SourceKind.GITHUB: ("github",),
}


class BeatView(Struct, frozen=True, kw_only=True):
    """A heartbeat that is waited for."""

    name: str
    entity: str
    every_ms: int
    grace_ms: int


class ProbeView(Struct, frozen=True, kw_only=True):
    """A probe that this node runs."""

    name: str
    kind: str
    entity: str
    every_ms: int


class SourceView(Struct, frozen=True, kw_only=True):
    """`state`: never (no signal of it is kept), heard, stale (unseen for longer than `stale_after_ms`: what it said last is
    stale), or own (this node's probes: they say something when a thing turns). `hooks` are paths that it posts to.
    `minutes` are signals by minute over the last hour, oldest first, None where the node did not run; `hour` is their sum.
    `asks` is what this node asks for suppressed alerts, and `asking_fails` why it cannot.
    """

    name: str
    kind: str
    configured: bool
    state: str
    group: str
    region: str
    credential: str
    hooks: tuple[str, ...]
    last_at: Instant | None
    age_ms: int | None
    hour: int
    minutes: tuple[int | None, ...]
    dead_letters: int
    stale_after_ms: int
    rate_max_per_s: int
    entity_from: tuple[str, ...]
    asks: str = ""
    asking_fails: str = ""
    beats: tuple[BeatView, ...] = ()
    probes: tuple[ProbeView, ...] = ()


class SourceReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def sources(self) -> Listed:
        """By name; those that left the configuration last."""
        settings, minutes = self._engine.world.configuration.settings.sources, self._minutes()
        heard = {name for _, slot in minutes if slot is not None for name in slot.sources}
        left = sorted(heard - settings.keys())
        found = [await self._view(name, settings.get(name), minutes) for name in (*sorted(settings), *left)]
        return Listed(items=tuple(found))

    async def source(self, name: str) -> SourceView | No:
        found = self._engine.world.configuration.settings.sources.get(name)
        if found is None:
            return missing("source", name)
        return await self._view(name, found, self._minutes())

    def _minutes(self) -> list[tuple[Instant, Slot | None]]:
        timing, now = self._engine.scribe.timing, self._engine.clock.now()
        timing.alive(now)
        return slots(timing.hours, now, HOUR_MS, MINUTE_MS)

    async def _view(
        self, name: str, settings: SourceSettings | None, minutes: list[tuple[Instant, Slot | None]]
    ) -> SourceView:
        store, now = self._engine.store, self._engine.clock.now()
        page = await store.find("signal", {"source": name}, limit=1)
        last_at = read(page.items[0], Signal).received_at if page.items else None
        counts = tuple(slot.sources.get(name, 0) if slot is not None else None for _, slot in minutes)
        known = settings or DEFAULT_SOURCE
        age_ms = max(0, ms_between(last_at, now)) if last_at is not None else None
        return SourceView(
            name=name,
            kind=known.kind.value if settings is not None else "",
            configured=settings is not None,
            state=_state(known, age_ms),
            group=known.source.group if settings is not None else name,
            region=known.source.region,
            credential=known.credential.kind.value if settings is not None else "",
            hooks=_hooks(name, known) if settings is not None else (),
            last_at=last_at,
            age_ms=age_ms,
            hour=sum(each or 0 for each in counts),
            minutes=counts,
            dead_letters=await store.count("dead_letter", {"source": name, "state": "open"}),
            stale_after_ms=known.source.stale_after_ms,
            rate_max_per_s=known.source.rate_max_per_s,
            entity_from=known.source.entity_from,
            asks=known.api,
            asking_fails=self._engine.silences.failing.get(name, ""),
            beats=tuple(
                BeatView(name=each.name, entity=each.entity, every_ms=each.every_ms, grace_ms=each.grace_ms)
                for each in known.heartbeats
            ),
            probes=tuple(
                ProbeView(name=each.name, kind=each.kind, entity=each.entity, every_ms=each.every_ms)
                for each in known.polls
            ),
        )


def _state(settings: SourceSettings, age_ms: int | None) -> str:
    if settings.kind is SourceKind.PROBE:
        return "own"
    if age_ms is None:
        return "never"
    return "stale" if age_ms > settings.source.stale_after_ms else "heard"


def _hooks(name: str, settings: SourceSettings) -> tuple[str, ...]:
    found = [f"/hooks/{path}" for path in HOOKS.get(settings.kind, ())]
    if settings.mapping is not None:
        found.append(f"/hooks/generic/{name}")
    return (*found, *(f"/hooks/heartbeat/{beat.name}" for beat in settings.heartbeats))
