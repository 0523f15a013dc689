"""Failovers as they happen: runs of failover runbooks that end, and services that are active in another region than before.

A run's duration comes from its journal, a change's from the service's own checks. Where a run moved the service, the
change beside it is not counted a second time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from watchkeeper.catalog import graph
from watchkeeper.engine.episodes import Episodes
from watchkeeper.engine.records import RunRecord, put, read
from watchkeeper.engine.runner import decode
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.home.settings import Poll
from watchkeeper.learn.failover import RECENT_MS, Cause, Failover, bad_since, good_since, verified_at
from watchkeeper.learn.looks import Day
from watchkeeper.ports import Commit, Put
from watchkeeper.values import Instant, after_ms, id_from, ms_between

FAILOVERS_MAX: Final = 1_000  # of one service; the oldest go first
RUNS_READ_MAX: Final = 1_000  # of each failover runbook, at a start
REGION_CHARS_MAX: Final = 63
PATH_PARTS_MAX: Final = 16

Days = Callable[[str], tuple[Day, ...]]


class Failovers:
    def __init__(
        self, scribe: Scribe, world: World, episodes: Episodes, days: Days, changed: Callable[[str], None]
    ) -> None:
        self._scribe, self._world, self._episodes = scribe, world, episodes
        self._days, self._changed = days, changed
        self._found: dict[str, dict[str, Failover]] = defaultdict(dict)
        self._awaited: dict[str, dict[str, None]] = defaultdict(dict)  # changes whose good look is not verified yet
        self._active: dict[str, str] = {}
        self._ended: list[RunRecord] = []
        self._unwritten: dict[str, Failover] = {}
        scribe.heard["run"] = self._run

    def of(self, ref: str) -> tuple[Failover, ...]:
        """Oldest first."""
        return tuple(self._found.get(ref, {}).values())

    def services(self) -> Iterable[str]:
        return tuple(ref for ref, found in self._found.items() if found)

    def active(self, ref: str) -> str:
        """The region that a service is active in; "" where nothing says so."""
        return self._active.get(ref, "")

    def keep(self, one: Failover) -> None:
        found = self._found[one.service]
        found[one.id] = one
        if one.to_region:
            self._active[one.service] = one.to_region
        if one.cause is Cause.ACTIVE_IN and one.bad_at is not None and one.good_at is None:
            self._awaited[one.service][one.id] = None
        else:
            self._awaited[one.service].pop(one.id, None)
        while len(found) > FAILOVERS_MAX:
            self._awaited[one.service].pop(next(iter(found)), None)
            del found[next(iter(found))]
        self._changed(one.service)

    # A service is active elsewhere.

    def active_in(self, ref: str, region: str, at: Instant) -> None:
        """As a check or the catalogue says. The first word about a service is where it is, and no change."""
        before = self._active.get(ref, "")
        self._active[ref] = region
        if not before or before == region or self._by_a_run(ref, at):
            return
        found = Failover(
            id=id_from("fov", at, ref, before, region),
            service=ref,
            cause=Cause.ACTIVE_IN,
            at=at,
            bad_at=bad_since(self._days(ref), at),
            from_region=before,
            to_region=region,
        )
        self._unwritten[found.id] = found
        self.keep(found)

    def _by_a_run(self, ref: str, at: Instant) -> bool:
        """Whether a failover runbook works on the service, or has just ended."""
        live = any(self._moves(record) and ref in self._services(record) for record in self._world.runs.values())
        ended = any(ref in self._services(record) for record in self._ended)
        lately = (one for one in self._found[ref].values() if one.cause is Cause.RUN)
        return live or ended or any(0 <= ms_between(one.at, at) <= RECENT_MS for one in lately)

    def looked(self, ref: str, poll: Poll, at: Instant) -> None:
        """After a look: a change is verified by as many good looks in a row as the check wants to resolve its alert."""
        lasts_ms = (poll.probe.successes - 1) * poll.every_ms
        for identity in tuple(self._awaited.get(ref, ())):
            one = self._found[ref][identity]
            assert one.bad_at is not None
            good_at = good_since(self._days(ref), one.bad_at, one.at, lasts_ms, after_ms(at, 1))
            if good_at is not None:
                done = replace(one, good_at=good_at)
                self._unwritten[done.id] = done
                self.keep(done)

    # A failover runbook ended.

    def _run(self, stored: Put, position: int) -> None:
        del position  # a run ends once
        record = msgspec.json.decode(stored.body, type=RunRecord)
        if record.ended_at is not None and record.effects and self._moves(record):
            self._ended.append(record)

    def _moves(self, record: RunRecord) -> bool:
        book = self._world.configuration.rulebook.runbooks.get(record.runbook)
        return book is not None and book.failover and not record.drill

    def _services(self, record: RunRecord) -> set[str]:
        catalog = self._world.configuration.catalog
        return {service for each in record.targets for service in graph.services_of(catalog, each) or (each,)}

    async def work(self) -> None:
        """Measure what ended since the last call, and write what changed."""
        ended, self._ended = self._ended, []
        for record in ended:
            for found in await self._measured(record):
                self._unwritten[found.id] = found
                self.keep(found)
        if self._unwritten:
            unwritten, self._unwritten = self._unwritten, {}
            puts = tuple(put(one) for one in unwritten.values())
            await self._scribe.commit(Commit(at=self._scribe.clock.now(), puts=puts))

    async def _measured(self, record: RunRecord) -> list[Failover]:
        """One for each service that the run moved: from the first bad look of its own checks, else from its incident."""
        assert record.ended_at is not None
        events = [decode.decode(body) for body in await self._scribe.store.journal(record.id)]
        good_at = verified_at(events)
        episode = self._episodes.get(record.incident)
        began_at = episode.began_at if episode is not None else None
        return [
            Failover(
                id=id_from("fov", record.at, record.id, service),
                service=service,
                cause=Cause.RUN,
                at=record.ended_at,
                run=record.id,
                bad_at=bad_since(self._days(service), record.at) or began_at,
                good_at=good_at,
                failed=good_at is None,
                to_region=self._active.get(service, ""),
            )
            for service in sorted(self._services(record))
        ]

    # Taken up again.

    async def load(self, stored: Iterable[Failover], oldest_at: Instant) -> None:
        """What was measured before, and runs that ended without being measured: the process ended first."""
        for one in sorted(stored, key=lambda each: (each.at, each.id)):
            self.keep(one)
        measured = {one.run for found in self._found.values() for one in found.values()}
        for name, book in self._world.configuration.rulebook.runbooks.items():
            if not book.failover:
                continue
            page = await self._scribe.store.find("run", {"runbook": name, "state": "closed"}, limit=RUNS_READ_MAX)
            records = [read(row, RunRecord) for row in page.items]
            self._ended += [
                each
                for each in reversed(records)
                if each.ended_at is not None
                and each.ended_at >= oldest_at
                and each.effects
                and each.id not in measured
                and self._moves(each)
            ]


def region_in(where: tuple[str, str], values: Mapping[str, Any]) -> str:
    """The region that an answer names, at its header or JSON path; "" when it names none."""
    place, name = where
    found: Any = None
    if place == "header":
        headers = values.get("headers")
        if isinstance(headers, Mapping):
            found = next((text for key, text in headers.items() if str(key).lower() == name.lower()), None)
    else:
        try:
            found = msgspec.json.decode(str(values.get("body", "")).encode("utf-8", "replace"))
        except (msgspec.DecodeError, RecursionError):
            return ""
        for part in name.split(".")[:PATH_PARTS_MAX]:
            found = found.get(part) if isinstance(found, dict) else None
    return found[:REGION_CHARS_MAX] if isinstance(found, str) and found.isprintable() else ""
