"""One engine over the memory store and a simulated world, started, crashed and started again."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import structlog
from world import HOME, Fleet, FleetProber, Told, actions, catalog

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.approve.people import Actor, Grant
from watchkeeper.engine.changes import activation
from watchkeeper.engine.clock import LoopClock
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.lease import FreeLease
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.sequencer import Sequencer
from watchkeeper.errors import Unavailable
from watchkeeper.home.configuration import Configuration, compile_home
from watchkeeper.ports import Commit, Committed, Refused
from watchkeeper.report.scrub import Scrubber

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ALICE = Actor(
    name="alice", roles=frozenset({"admin", "approver", "operator"}), groups=("group:default/ops",), identity="idn_a"
)
BOB = Actor(
    name="bob", roles=frozenset({"admin", "approver", "operator"}), groups=("group:default/ops",), identity="idn_b"
)

RULE = """
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {{name: {name}, owner: group:ops}}
spec:
  match: {{alertname: {alert}}}
  target: {{within: {{system: shop}}}}
  runbook: shop/{runbook}
  priority: {priority}
  autonomy: {{ceiling: {ceiling}}}
  limits: {{attempts: {attempts}, within: 1h, settle: 30s, approve_within: 5m, start_by: 2m}}
"""

RUNBOOK = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: mend, owner: group:ops}
spec:
  permissions:
    - {do: http.request, methods: [POST], to: target.admin}
    - {do: service.restart, units: [target.name]}
  timeout: 5m
  on_stop: undo
  on_failure: undo
  steps:
    - id: drain
      do: http.request
      with: {method: POST, url: "${target.admin}/drain"}
      effect: keyed
      timeout: 5s
      retry: {attempts: 4, first: 200ms, max: 2s, errors: [unavailable]}
      undo: {do: http.request, with: {method: POST, url: "${target.admin}/undrain"}, safe_if_not_done: true}
    - id: restart
      do: service.restart
      via: api
      with: {unit: "${target.name}"}
      effect: probed
      timeout: 5s
      check: {do: service.started_since, with: {unit: "${target.name}", since: "${intent_at}"}}
    - id: healthy
      verify: {http: "${target.admin}/healthz", expect: {status: 200}, successes: 2, every: 500ms, within: 10s}
"""

ONCE = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: push, owner: group:ops}
spec:
  permissions:
    - {do: http.request, methods: [POST], to: target.admin}
  on_failure: stay
  steps:
    - id: push
      do: http.request
      with: {method: POST, url: "${target.admin}/reload"}
      effect: once
      timeout: 5s
"""


def home(services: int, **more: bytes) -> dict[str, bytes]:
    rule = RULE.format
    return {
        **HOME,
        "catalog/all.yaml": catalog(services),
        "packs/shop/runbooks/mend.yaml": RUNBOOK.encode(),
        "packs/shop/runbooks/push.yaml": ONCE.encode(),
        "packs/shop/rules/down.yaml": rule(
            name="down", alert="Down", runbook="mend", priority=10, ceiling="auto", attempts=3
        ).encode(),
        "packs/shop/rules/stuck.yaml": rule(
            name="stuck", alert="Stuck", runbook="push", priority=20, ceiling="auto", attempts=5
        ).encode(),
        "packs/shop/rules/slow.yaml": rule(
            name="slow", alert="Slow", runbook="mend", priority=5, ceiling="approve", attempts=3
        ).encode(),
        **more,
    }


def compiled(files: Mapping[str, bytes]) -> Configuration:
    found = compile_home(files, CelCompiler())
    assert found.configuration is not None, [str(problem) for problem in found.errors]
    return found.configuration


class LateStore(MemoryStore):
    """Writes in the order of the calls, and is heard of later, as a disk is: between the two others read and decide."""

    random: Random | None = None

    async def commit(self, commit: Commit) -> Committed | Refused:
        answer = self.commit_now(commit)
        await asyncio.sleep(self.random.choice((0.0, 0.0, 0.001, 0.01, 0.1)) if self.random is not None else 0.0)
        return answer

    def reopened(self) -> "LateStore":
        found = super().reopened()
        found.random = self.random
        return found


async def _at_once(work: Any, *arguments: Any) -> Any:
    """Computes on the loop: a thread beside it would run on another clock."""
    return work(*arguments)


class Rig:
    """`store` survives a crash; everything else is made anew by `boot`."""

    def __init__(
        self, seed: int, services: int = 4, files: Mapping[str, bytes] | None = None, *, late: bool = False
    ) -> None:
        self.random = Random(seed)
        self.fleet = Fleet(seed + 1, services)
        self.files = dict(files or home(services))
        self.configuration = compiled(self.files)
        self.store = LateStore()
        self.store.random = Random(seed + 2) if late else None
        self.told = Told()
        self.clock = LoopClock(START)
        self.engine: Engine | None = None
        self.boots = 0

    async def boot(self) -> Engine:
        self.boots += 1
        if self.boots == 1:
            scribe = Scribe(self.store, self.clock, self._dice)
            _, commit = activation(scribe, self.configuration, self.files, Actor(name="watchkeeper"), "test", "")
            await self.store.commit(commit)
        engine = Engine(
            self.store,
            self.clock,
            self._dice,
            self.configuration,
            actions=self.actions(),
            prober=self.prober(),
            channels={"webhook": self.told},
            leaser=self.leaser,
            scrubber=Scrubber(()),
            lease=FreeLease(),
            read_folder=lambda: self.files,
            compile_files=lambda files: compile_home(files, CelCompiler()),
            end_leftover=_nothing_left,
            versions={"watchkeeper": "test"},
            aside=_at_once,
            sequencer=Sequencer(self.store, "watchkeeper/test", b"k" * 32),
            fetch_calendar=self.fetch_calendar,
        )
        self.engine = engine
        await engine.start()
        return engine

    # What a test of one behaviour puts in place of the moody fleet.

    def actions(self) -> Mapping[str, Any]:
        return actions(self.fleet)

    def prober(self) -> Any:
        return FleetProber(self.fleet)

    async def fetch_calendar(self, calendar: Any) -> bytes:
        raise Unavailable(f"no server answers for {calendar.name}")

    async def leaser(self, _: Any) -> str:
        raise AssertionError("no secret is declared")

    def _dice(self, size: int) -> bytes:
        return self.random.randbytes(size)

    async def crash(self) -> Engine:
        """The process ends here and now; the next one finds what was committed."""
        assert self.engine is not None
        await self.engine.stop()
        self.store = self.store.reopened()
        for target in self.fleet.targets.values():
            target.acting.clear()
        return await self.boot()

    async def trust(self, rule: str = "shop/down", level: str = "auto") -> None:
        """A grant on record, with the second pair of eyes that production asks for."""
        assert self.engine is not None
        now = self.clock.now()
        wanted = Grant(id="", rule=rule, level=level, at=now, until_at=now + timedelta(days=30), by="", reason="tested")
        found = await self.engine.limits.grant(ALICE, wanted)
        assert isinstance(found, Grant), found
        if found.pending:
            second = await self.engine.limits.second(BOB, found.id)
            assert isinstance(second, Grant), second

    async def fire(
        self,
        alert: str,
        service: str,
        *,
        status: str = "firing",
        number: int = 0,
        severity: str = "critical",
        shard: str = "",
    ) -> None:
        """`number` tells episodes of one alert apart, `shard` alerts of one name."""
        assert self.engine is not None
        starts = START - timedelta(seconds=30) + timedelta(minutes=number)
        ends = self.clock.now().isoformat().replace("+00:00", "Z") if status == "resolved" else "0001-01-01T00:00:00Z"
        body = json.dumps(
            {
                "version": "4",
                "groupKey": "{}",
                "status": status,
                "receiver": "watchkeeper",
                "groupLabels": {},
                "commonLabels": {},
                "commonAnnotations": {},
                "externalURL": "",
                "truncatedAlerts": 0,
                "alerts": [
                    {
                        "status": status,
                        "labels": {"alertname": alert, "service": service, "severity": severity}
                        | ({"shard": shard} if shard else {}),
                        "annotations": {},
                        "startsAt": starts.isoformat().replace("+00:00", "Z"),
                        "endsAt": ends,
                        "generatorURL": "",
                        "fingerprint": hashlib.sha256(f"{alert} {service}{shard}".encode()).hexdigest()[:16],
                    }
                ],
            }
        ).encode()
        await self.engine.intake.accept("default", "alertmanager", body, {"content-type": "application/json"})
        self.engine.pipeline.nudge()

    async def until(self, what: Any, within_s: float = 300.0) -> None:
        """Virtual time passes until `what()` holds; the failure names what was waited for."""
        waited = 0.0
        while not what():
            await asyncio.sleep(0.05)
            waited += 0.05
            assert self.engine is not None
            assert not self.engine.failed, self.engine.failed
            assert waited < within_s, f"waited {within_s} s of virtual time for {what}"


async def _nothing_left(_pid: int, _ticks: int) -> None:
    return None
