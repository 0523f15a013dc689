"""The storm at its real size, on the real clock and the store on disk: measures memory, order, drain and how long a fresh
critical alert waits, prints one line.

    python tests/chaos/storm_run.py [--alerts 100000] [--services 5000] [--fresh 1000] [--turns]

First fresh critical alerts of the most important transaction come one at a time, about one each FRESH_EVERY_S, to a node
that has nothing else to do. Then all of the storm is put on the disk before anything is judged: one alert in twenty is
critical and has a repair, the rest is noise about the same services, three of which are of that transaction too. While
it drains, as many fresh ones come at the same pace. Each is timed from *accepted* to its effect going out, by stage; the
two p99 are of one process and one run. The line is JSON: what was measured, and `failures`, which is empty when the
promises held. `--turns` names the longest turns of the loop, and slows it.
"""

import argparse
import asyncio
import gc
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import storm  # noqa: E402
from stage import Stage  # noqa: E402
from storm_times import Times, share  # noqa: E402

from watchkeeper import bootstrap  # noqa: E402
from watchkeeper.adapters.sqlite import SqliteStore  # noqa: E402
from watchkeeper.engine.clock import SystemClock  # noqa: E402
from watchkeeper.engine.pipeline import LINE_MAX  # noqa: E402
from watchkeeper.engine.records import RunRecord  # noqa: E402
from watchkeeper.errors import Unavailable  # noqa: E402
from watchkeeper.surface.garbage import Garbage  # noqa: E402

BATCH = 50  # alerts in one delivery
AT_ONCE = 200  # runs
WITHIN_S = 3_600.0
GROWTH_KIB_MAX = 12  # of memory for each alert that is known: the alert, its incident and the store's own pages
FIRST = ("s17", "s1234", "s4321")
WARM = 100  # fresh ones before the first that counts
FRESH_EVERY_S = 0.025
FRESH_ENOUGH = 1_000  # for a p99 that ten alerts stand behind
HOPS_MAX = 200  # of one transaction
RATIO_MAX = 2.0  # of the p99 in a storm to the one without


class Disk(Stage):
    def __init__(self, folder: Path, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.store = SqliteStore.open(folder)
        self.clock = SystemClock()


def critical(names: Sequence[str]) -> str:
    """Transactions of the same and highest importance, as many as it takes to name all of these."""
    parts = [names[start : start + HOPS_MAX] for start in range(0, len(names), HOPS_MAX)]
    return "".join(
        f"- {{name: checkout-{number}, priority: 1, owner: group:ops, hops: [{', '.join(part)}]}}\n"
        for number, part in enumerate(parts)
    )


def rss_mib() -> float:
    return float(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


class Sender:
    """Fresh critical alerts, each of a service of its own, at a pace that no timer of the node has."""

    def __init__(self, stage: Stage, times: Times, seed: int) -> None:
        self._stage, self._times, self._random = stage, times, Random(seed)
        self.ending = False

    async def send(self, names: Sequence[str]) -> list[str]:
        """Those that came before it was to end."""
        engine, came = self._stage.on, []
        for name in names:
            if self.ending:
                break
            body = storm.webhook([storm.alert("Down", name, "critical")])
            self._times.came(name)
            await engine.intake.accept("default", "alertmanager", body, {"content-type": "application/json"})
            self._times.mark("accepted", name)
            engine.pipeline.nudge()
            came.append(name)
            await asyncio.sleep(FRESH_EVERY_S * self._random.uniform(0.5, 1.5))
        return came


async def played(folder: Path, count: int, services: int, seed: int, fresh: int, *, turns: bool) -> dict[str, object]:
    sys.setswitchinterval(bootstrap.SWITCH_S)  # as a node does
    first = [name for name in FIRST if int(name[1:]) < services] or ["s0"]
    more = [f"s{number}" for number in range(services, services + WARM + 2 * fresh)]
    warm, quiet, loaded = more[:WARM], more[WARM : WARM + fresh], more[WARM + fresh :]
    transactions = critical((*first, *more))
    stage = Disk(folder, storm.many(services + len(more), at_once=AT_ONCE, transactions=transactions))
    await stage.begin()
    Garbage(lambda: False).settle()
    engine, times = stage.on, Times()
    times.watch(engine, stage.theatre)
    if turns:
        times.watch_turns()
    alerts = [storm.alert("Down", f"s{number}", "critical") for number in range(services)]
    alerts += [storm.alert("Noise", f"s{n % services}", "info", 1 + n // services) for n in range(count - services)]
    Random(seed).shuffle(alerts)
    bodies = [storm.webhook(alerts[start : start + BATCH]) for start in range(0, len(alerts), BATCH)]
    line_most, waiting_most, later = 0, 0, 0

    async def settled() -> None:
        while engine.intake.pending or len(engine.pipeline._line) or engine.runner.live:
            await asyncio.sleep(0.05)

    await Sender(stage, times, seed).send(warm)
    await settled()
    times.clear()
    quiet = await Sender(stage, times, seed).send(quiet)
    await settled()
    unloaded, unloaded_checkpoints = times.blocked(), times.of_checkpoints(quiet)
    times.clear()
    before, began = rss_mib(), time.monotonic()

    async def post() -> None:
        nonlocal later
        for body in bodies:
            while True:
                try:
                    await engine.intake.accept("default", "alertmanager", body, {"content-type": "application/json"})
                    break
                except Unavailable:
                    later += 1
                    await asyncio.sleep(0.2)
            engine.pipeline.nudge()

    async with engine.pipeline.turn:
        await post()
    posted_s, repaired_s, drained_s = time.monotonic() - began, 0.0, 0.0
    sent_before, cpu_s = len(stage.theatre.sent), time.process_time()
    sender = Sender(stage, times, seed)
    posting = asyncio.create_task(sender.send(loaded))
    while not posting.done() or engine.intake.pending or len(engine.pipeline._line) or engine.runner.live:
        assert not engine.failed, engine.failed
        assert time.monotonic() - began < WITHIN_S, f"{engine.intake.pending} deliveries wait after {WITHIN_S:.0f} s"
        line_most, waiting_most = max(line_most, len(engine.pipeline._line)), max(waiting_most, engine.intake.pending)
        # A fresh one may be under way: the backlog is gone when there is nothing but those.
        if not drained_s and engine.intake.pending <= 1 and len(engine.pipeline._line) <= 1:
            drained_s = time.monotonic() - began - posted_s
            sender.ending = True
        if len(stage.theatre.sent) - sent_before >= services and not repaired_s:
            repaired_s = time.monotonic() - began - posted_s
        await asyncio.sleep(0.05)
    cpu_s = time.process_time() - cpu_s
    drained_s = drained_s or time.monotonic() - began - posted_s
    came = posting.result()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    records = await stage.all(RunRecord)
    fresh_ones = {*warm, *quiet, *came}
    ran = [name for record in records if (name := record.targets[0].rpartition("/")[2]) not in fresh_ones]
    places = [ran.index(name) for name in first]
    alone, beside = times.whole(quiet), times.whole(came)
    failures = []
    if sorted(ran) != sorted(f"s{number}" for number in range(services)):
        failures.append(f"{len(ran)} runs, {len(set(ran))} targets, expected {services}")
    if max(places) >= len(first) or len(beside) < len(came) or len(alone) < len(quiet):
        failures.append(
            f"the critical transaction's runs were number {places}; {len(beside)} of {len(came)} fresh ones ran"
        )
    if line_most > LINE_MAX + 2 * BATCH + services:
        failures.append(f"{line_most} alerts stood in line")
    if (peak - before) * 1024 / count > GROWTH_KIB_MAX:
        failures.append(f"memory grew by {(peak - before) * 1024 / count:.1f} KiB an alert")
    held = await stage.store.count("decision", {"verdict": "hold"})
    await engine.stop()
    size = await stage.store.size_bytes()
    await stage.store.close()
    ratio = round(share(beside, 0.99) / share(alone, 0.99), 2) if alone and beside else None
    return {
        "alerts": count,
        "services": services,
        "posted_s": round(posted_s, 1),
        "repaired_s": round(repaired_s, 1),
        "drained_s": round(drained_s, 1),
        "alerts_per_s": round(count / drained_s),
        "cpu_us_an_alert": round(cpu_s / count * 1e6),
        "rss_before_mib": round(before),
        "rss_peak_mib": round(peak),
        "objects": len(gc.get_objects()) + gc.get_freeze_count(),
        "line_most": line_most,
        "deliveries_waiting_most": waiting_most,
        "answered_later": later,
        "held_decisions": held,
        "transaction_places": [place + 1 for place in places],
        "fresh": len(beside),
        "fresh_enough": len(beside) >= FRESH_ENOUGH,
        "fresh_ms_p50": share(beside, 0.5) if beside else None,
        "fresh_ms_p99": share(beside, 0.99) if beside else None,
        "fresh_ms_most": round(beside[-1], 2) if beside else None,
        "unloaded": len(alone),
        "unloaded_ms_p50": share(alone, 0.5) if alone else None,
        "unloaded_ms_p99": share(alone, 0.99) if alone else None,
        "unloaded_ms_most": round(alone[-1], 2) if alone else None,
        "p99_ratio": ratio,
        "p99_ratio_reached": ratio is not None and ratio < RATIO_MAX,
        "store_mib": round(size / 2**20),
        "stages_ms": times.stages(came),
        "unloaded_stages_ms": times.stages(quiet),
        "held_up": times.blocked(),
        "unloaded_held_up": unloaded,
        "checkpoints": times.of_checkpoints(came),
        "unloaded_checkpoints": unloaded_checkpoints,
        "failures": failures,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--alerts", type=int, default=100_000)
    parser.add_argument("--services", type=int, default=5_000)
    parser.add_argument("--fresh", type=int, default=1_200, help="fresh critical alerts without the storm, and in it")
    parser.add_argument("--turns", action="store_true", help="name the longest turns of the loop")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        found = asyncio.run(
            played(Path(folder), given.alerts, given.services, given.seed, given.fresh, turns=given.turns)
        )
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if found["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
