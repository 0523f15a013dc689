"""Where the time of an alert goes, hand-over by hand-over, and what held the loop meanwhile: a storm's stop-watch.

A stage is named by what ends it. Stamps are of the monotonic clock, in seconds. The loop's turns are looked at only when
asked for, because looking at each costs.
"""

import asyncio
import gc
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

STAGES = ("accepted", "taken", "judged", "submitted", "admitted", "sent")
LONG_S = 0.010  # a turn of the loop that is worth a line


class Times:
    """`watch` puts itself between the parts of an engine; `came` begins an alert of a service."""

    def __init__(self) -> None:
        self.at: dict[str, dict[str, float]] = {}
        self.collections: list[tuple[int, float]] = []  # (generation, seconds)
        self.turns: list[tuple[float, str]] = []  # (seconds, what ran), those of LONG_S
        self.phases: dict[str, list[float]] = defaultdict(list)  # seconds of each part of the pipeline's turns
        self.sizes: dict[str, list[float]] = defaultdict(list)
        self.checkpoints: list[tuple[float, float]] = []
        self._gc_began = 0.0

    def came(self, service: str) -> None:
        self.at[service] = {"came": time.monotonic()}

    def mark(self, stage: str, service: str) -> None:
        """The first time counts."""
        found = self.at.get(service)
        if found is not None:
            found.setdefault(stage, time.monotonic())

    def watch(self, engine: Any, theatre: Any) -> None:
        pipeline, judge = engine.pipeline, engine.judge
        read, judged, begin, opened = (
            pipeline._reader.read,
            judge.alert,
            engine.begin,
            engine.open,
        )
        perform = theatre.perform

        def take(delivery: Any) -> Any:
            parsed = read(delivery)
            if len(parsed.signals) == 1:
                self.mark("taken", parsed.signals[0].labels.get("service", ""))
            return parsed

        def judges(alert: Any, *more: Any, **named: Any) -> Any:
            self.mark("judged", alert.labels.get("service", ""))
            return judged(alert, *more, **named)

        def begins(opening: Any, look: Any) -> Any:
            found = begin(opening, look)
            self.mark("submitted", _target(opening.record))
            return found

        def opens(opening: Any) -> None:
            self.mark("admitted", _target(opening.record))
            opened(opening)

        async def performs(name: str, invocation: Any, around: Any) -> Any:
            self.mark("sent", invocation.target.name if invocation.target is not None else "")
            return await perform(name, invocation, around)

        pipeline._reader.read, judge.alert = take, judges
        engine.begin, engine.open, theatre.perform = begins, opens, performs
        self._watch_writer(engine.store._writer)
        for name in ("_next", "_take", "_stale", "_judge_next"):
            setattr(pipeline, name, self._timed(name, getattr(pipeline, name)))
        gc.callbacks.append(self._collected)

    def _watch_writer(self, writer: Any) -> None:
        """Each batch: how long, how long on a core, how long for a core, how long in COMMIT. What is left is the interpreter,
        which the loop holds meanwhile, and the disk's reads.
        """
        write, checkpoint = writer._write, writer._checkpoint
        watched = writer._connection = _Connection(writer._connection)

        def writes(items: Any) -> None:
            before, cpu_s, queued_s = time.monotonic(), time.thread_time(), queued()
            watched.commit_s, watched.statements = 0.0, 0
            write(items)
            took_s, cpu_s, queued_s = time.monotonic() - before, time.thread_time() - cpu_s, queued() - queued_s
            for name, spent_s in (
                ("batch", took_s),
                ("batch: on a core", cpu_s),
                ("batch: waits for a core", queued_s),
                ("batch: in COMMIT", watched.commit_s),
                ("batch: other waits", max(0.0, took_s - cpu_s - queued_s - watched.commit_s)),
            ):
                self.phases[name].append(spent_s)
            self.sizes["commits"].append(len(items))
            self.sizes["statements"].append(watched.statements)
            self.sizes["rows"].append(
                sum(len(c.puts) + len(c.appends) + len(c.entries) + len(c.accepts) for c in (i.commit for i in items))
            )

        def checkpoints(mode: int) -> None:
            before = time.monotonic()
            checkpoint(mode)
            self.checkpoints.append((before, time.monotonic()))

        writer._write, writer._checkpoint = writes, checkpoints

    def _timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        async def timed(*arguments: Any) -> Any:
            before = time.monotonic()
            try:
                return await work(*arguments)
            finally:
                self.phases[name].append(time.monotonic() - before)

        return timed

    def watch_turns(self) -> None:
        run = asyncio.Handle._run

        def timed(handle: Any) -> None:
            before = time.monotonic()
            run(handle)
            took = time.monotonic() - before
            if took >= LONG_S:
                self.turns.append((took, _named(handle)))

        asyncio.Handle._run = timed  # type: ignore[method-assign]

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._gc_began = time.monotonic()
        else:
            self.collections.append((info["generation"], time.monotonic() - self._gc_began))

    def clear(self) -> None:
        self.collections.clear()
        self.phases.clear()
        self.sizes.clear()
        self.checkpoints.clear()
        self.turns.clear()

    def of_checkpoints(self, services: Sequence[str]) -> dict[str, Any]:
        """Whether those that took longest met a checkpoint more often than the others did."""
        complete = [self.at[name] for name in services if "sent" in self.at.get(name, {})]
        complete.sort(key=lambda each: each["sent"] - each["accepted"])
        part = max(1, len(complete) * 3 // 100)

        def met(each: dict[str, float]) -> bool:
            return any(began < each["sent"] and ended > each["accepted"] for began, ended in self.checkpoints)

        def p99(found: Sequence[dict[str, float]]) -> float | None:
            return share([(each["sent"] - each["accepted"]) * 1000 for each in found], 0.99) if found else None

        return {
            "took": spread([ended - began for began, ended in self.checkpoints] or [0.0]),
            "slowest": part,
            "slowest_that_met_one": sum(map(met, complete[-part:])),
            "others": len(complete) - part,
            "others_that_met_one": sum(map(met, complete[:-part])),
            "p99_ms": p99(complete),
            "p99_ms_of_those_that_met_none": p99([each for each in complete if not met(each)]),
        }

    # -- what is said of it --------------------------------------------------------------------------

    def whole(self, services: Sequence[str]) -> list[float]:
        """Accepted to sent, in ms, sorted; of those that were sent."""
        found = (self.at.get(name, {}) for name in services)
        return sorted((each["sent"] - each["accepted"]) * 1000 for each in found if "sent" in each)

    def stages(self, services: Sequence[str]) -> dict[str, dict[str, float]]:
        """Each stage's p50, p99 and most, in ms; `tail` is its mean among the slowest hundredth: who makes the p99."""
        took: dict[str, list[float]] = defaultdict(list)
        complete = [self.at[name] for name in services if "sent" in self.at.get(name, {})]
        complete.sort(key=lambda each: each["sent"] - each["accepted"])
        slow = complete[-max(1, len(complete) // 100) :]
        for each in complete:
            for stage, ms in _split(each):
                took[stage].append(ms)
        tail: Counter[str] = Counter()
        for each in slow:
            for stage, ms in _split(each):
                tail[stage] += ms / len(slow)  # type: ignore[assignment]
        return {
            stage: {
                "p50": share(ms, 0.5),
                "p99": share(ms, 0.99),
                "most": round(max(ms), 2),
                "tail": round(tail[stage], 2),
            }
            for stage, ms in took.items()
        }

    def blocked(self) -> dict[str, Any]:
        """What held the loop: collections by generation, and the longest turns by what ran in them."""
        by: dict[str, list[float]] = defaultdict(list)
        for took, name in self.turns:
            by[name].append(took)
        longest = sorted(by.items(), key=lambda each: -max(each[1]))[:12]
        return {
            "collections": {
                f"generation {number}": {
                    "count": len(found),
                    "most_ms": round(max(found) * 1000, 1),
                    "together_ms": round(sum(found) * 1000),
                }
                for number in (0, 1, 2)
                if (found := [s for generation, s in self.collections if generation == number])
            },
            "phases": {name.strip("_"): spread(found) for name, found in self.phases.items()},
            "batches": {
                name: {"p50": share(found, 0.5), "p99": share(found, 0.99), "most": max(found)}
                for name, found in self.sizes.items()
            },
            "turns": {name: {"count": len(found), "most_ms": round(max(found) * 1000, 1)} for name, found in longest},
        }


class _Connection:
    """One that writes, watched."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.commit_s = 0.0
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> Any:
        self.statements += 1
        if sql != "COMMIT":
            return self._connection.execute(sql, *values)
        before, cpu_s, queued_s = time.monotonic(), time.thread_time(), queued()
        try:
            return self._connection.execute(sql)
        finally:
            self.commit_s = time.monotonic() - before - (time.thread_time() - cpu_s) - (queued() - queued_s)


def queued() -> float:
    """How long this thread was ready to run and had no core, in seconds. Source: Documentation/scheduler/sched-stats.rst."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


def spread(seconds: Sequence[float]) -> dict[str, float]:
    parts = (("p50_ms", 0.5), ("p99_ms", 0.99), ("most_ms", 1.0))
    return {"count": len(seconds), **{name: round(share(seconds, part) * 1000, 1) for name, part in parts}}


def share(sorted_or_not: Sequence[float], part: float) -> float:
    """Nearest rank. Source: NIST/SEMATECH, 7.2.6.2, the simplest of its definitions."""
    found = sorted(sorted_or_not)
    return round(found[min(len(found) - 1, int(len(found) * part))], 5)


def _split(at: dict[str, float]) -> list[tuple[str, float]]:
    """Of one alert: each stage and its milliseconds. Durable on the disk comes before the sender hears of it, so the
    pipeline may be first: that stage is then nothing.
    """
    found, before = [], at["came"]
    for stage in STAGES:
        then = max(at.get(stage, before), before)
        found.append((stage, (then - before) * 1000))
        before = then
    return found


def _target(record: Any) -> str:
    return str(record.targets[0].rpartition("/")[2])


def _named(handle: Any) -> str:
    callback: Callable[..., Any] = handle._callback
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        name = task.get_name()
        return f"task {name.partition(' ')[0]}: {getattr(task.get_coro(), '__qualname__', '')}"
    return str(getattr(callback, "__qualname__", callback))
