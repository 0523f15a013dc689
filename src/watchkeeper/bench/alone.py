"""The run machine alone: the real runner and the real store, guards that always say yes, effects that cost nothing.

`python -m watchkeeper.bench.alone FOLDER SECONDS AT_ONCE`: three-step runs, AT_ONCE at a time; one line of JSON. It
ends by folding every journal again.
"""

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from secrets import token_bytes
from time import monotonic, process_time
from typing import Any, Final

import msgspec
import structlog

from watchkeeper import bootstrap
from watchkeeper.adapters.sqlite import SqliteStore
from watchkeeper.bench import home as homes
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.decide.target import target_from
from watchkeeper.engine.clock import SystemClock
from watchkeeper.engine.moments import Permitted
from watchkeeper.engine.records import RunRecord
from watchkeeper.engine.runner import Live, Runner, decode, encode
from watchkeeper.engine.scribe import Scribe
from watchkeeper.execute import machine
from watchkeeper.execute.run import Done, Event, Intended, Opened, Perform, Plan, Started, Status
from watchkeeper.packs.rule import Mode
from watchkeeper.ports import Append, Commit
from watchkeeper.values import Severity, after_ms

HOUR_MS: Final = 3_600_000


class _Yes:
    """`Moments` and `Performer` at once: everything is allowed and nothing is sent."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock

    def begin(self, _live: Live, _command: Any) -> Permitted:
        now = self._clock.now()
        return Permitted(events=(Started(at=now, timeout_at=after_ms(now, HOUR_MS), fence=1),))

    def step(self, _live: Live, command: Perform) -> Permitted:
        intent = Intended(
            at=self._clock.now(),
            path=command.path,
            attempt=command.attempt,
            key=command.key,
            undo=command.undo,
            fence=1,
        )
        return Permitted(events=(intent,))

    def puts(self, _live: Live, _events: Sequence[Event], _after: machine.Run) -> Commit:
        return Commit(at=self._clock.now())

    def committed(self, _live: Live, _events: Sequence[Event]) -> None:
        return

    async def wait_for_change(self) -> None:
        return

    async def effect(self, _live: Live, command: Perform, _intent: Intended) -> Event:
        return Done(at=self._clock.now(), path=command.path, attempt=command.attempt, output={"status": 200})

    def verification(self, live: Live, command: Any) -> Coroutine[None, None, Event]:
        raise NotImplementedError("the runbook verifies nothing")

    async def probe(self, live: Live, command: Any) -> Event:
        raise NotImplementedError("nothing is ever in doubt")

    async def request(self, live: Live, command: Any) -> Any:
        raise NotImplementedError("nobody is asked")


async def _work(folder: Path, seconds: float, at_once: int) -> dict[str, float]:
    homes.write(folder / "home", 9, homes.services(1))
    configuration = bootstrap.check(folder / "home").configuration
    assert configuration is not None
    catalog = configuration.catalog
    entity = next(each for each in catalog.entities.values() if each.name == "svc-0")
    runbook = configuration.rulebook.runbooks["bench/three"]
    plan = Plan(
        configuration=configuration.digest,
        runbook=runbook,
        called={},
        targets=(target_from(entity, catalog, {"bench": False}),),
        arguments={},
        alert={"labels": {}, "annotations": {}},
    )
    store = SqliteStore.open(folder / "store")
    clock = SystemClock()
    scribe = Scribe(store, clock, token_bytes)
    yes = _Yes(clock)
    ends: dict[str, asyncio.Future[None]] = {}
    broken: list[str] = []

    async def ended(live: Live) -> None:
        assert live.run.status is Status.SUCCEEDED, live.run.why
        ends.pop(live.run.id).set_result(None)

    async def doubt(live: Live, _doubt: Any) -> None:
        broken.append(live.run.id)

    runner = Runner(scribe, clock, yes, yes, doubt, ended, broken.append)
    ids: list[str] = []

    async def drive(until_s: float) -> None:
        while monotonic() < until_s:
            now = clock.now()
            run = scribe.new_id("run", now)
            opened = Opened(
                at=now,
                run=run,
                decision="dec_bench",
                runbook=runbook.name,
                configuration=configuration.digest,
                key_root=run,
                start_by_at=after_ms(now, HOUR_MS),
                actor="automation",
            )
            await scribe.commit(Commit(at=now, appends=(Append(run=run, number=0, body=encode(opened)),)))
            record = RunRecord(
                id=run,
                decision="dec_bench",
                runbook=runbook.name,
                rule="bench/act-long",
                status="queued",
                open=True,
                at=now,
                targets=(entity.ref,),
                configuration=configuration.digest,
            )
            ends[run] = done = asyncio.get_running_loop().create_future()
            runner.take(Live(plan, machine.start(plan, opened), 1, _DECISION, record))
            await done
            ids.append(run)

    began_s, began_cpu_s = monotonic(), process_time()
    await asyncio.gather(*(drive(began_s + seconds) for _ in range(at_once)))
    took_s, cpu_s = monotonic() - began_s, process_time() - began_cpu_s
    assert not broken, broken[0]
    for run in ids:
        found = machine.fold(plan, [decode.decode(body) for body in await store.journal(run)])
        assert found.status is Status.SUCCEEDED, f"{run} is {found.status} by its journal"
    await store.close()
    return {"runs": len(ids), "runs_per_s": len(ids) / took_s, "cpu_us": cpu_s / len(ids) * 1e6}


_DECISION: Final[Any] = msgspec.json.decode(
    msgspec.json.encode(
        {
            "id": "dec_bench",
            "at": "2026-01-01T00:00:00Z",
            "verdict": Verdict.ACT,
            "would_be": Verdict.ACT,
            "mode": Mode.AUTO,
            "reason": "the bench",
            "rule": "bench/act-long",
            "runbook": "bench/three",
            "arguments": {},
            "targets": [],
            "findings": [],
            "clauses": [],
            "alert": "",
            "episode": "",
            "symptom": "",
            "incident": "",
            "severity": Severity.CRITICAL,
            "pack": "bench",
            "configuration": "",
            "situation": "",
            "binding": "",
            "engine": {},
            "actor": "automation",
            "owner": "",
        }
    ),
    type=Decision,
)


def main() -> int:
    import uvloop

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    sys.setswitchinterval(bootstrap.SWITCH_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_work(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
