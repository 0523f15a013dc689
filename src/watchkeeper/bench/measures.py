"""The measures: each starts what it needs, drives it, takes it down, and has what happened proven before it answers.

Goals are those of the design, stated beside each figure; a goal that is missed is shown as missed.
"""

# ruff: noqa: ASYNC240  nothing else runs in this loop

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from watchkeeper.bench import home as homes
from watchkeeper.bench.account import Proof, prove
from watchkeeper.bench.figures import Figure, Measure, load, percentile
from watchkeeper.bench.node import TOKEN, Child, Node, Outside
from watchkeeper.bench.outside import Order, Outcome

WINDOW: Final = 64
AT_ONCE: Final = 20
CONNECTIONS: Final = 64
BATCH: Final = 50
WARM_S: Final = 2.0
SETTLE_S: Final = 2.0
SETTLE_WITHIN_S: Final = 300.0
IDLE_S: Final = 10.0
BURST_S: Final = 2.0  # of batches: what they hold is taken apart before the next measure
LOST: Final = "an alert or an effect is not accounted for"


class Unproven(Exception):
    """The record does not bear the figure out: there is no figure."""


class Ground:
    """A node, the outside, and all that was sent."""

    def __init__(self, node: Node, outside: Outside, services: int) -> None:
        self.node, self.outside, self.services = node, outside, services
        self.outcomes: list[Outcome] = []

    def order(self, kind: str, name: str, seconds: float, alert: str = homes.ACT, **more: object) -> Order:
        start = {"kind": kind, "name": name, "seconds": seconds, "alert": alert, "services": self.services}
        return msgspec.convert({**start, "port": self.node.port, "token": TOKEN, **more}, Order)

    async def send(self, *orders: Order) -> list[Outcome]:
        found = await self.outside.send(*orders)
        self.outcomes.extend(found)
        return found

    async def settled(self) -> None:
        """Until the node has taken apart what it accepted: its CPU is quiet."""
        end_s = monotonic() + SETTLE_WITHIN_S
        before_s = self.node.cpu_s()
        while monotonic() < end_s:
            await asyncio.sleep(SETTLE_S)
            now_s = self.node.cpu_s()
            if now_s - before_s < 0.2 * SETTLE_S:
                return
            before_s = now_s


@asynccontextmanager
async def ground(folder: Path, services: int, *, profiled: Path | None = None) -> AsyncIterator[Ground]:
    """Taken down at the end. Proven by `proof`, which needs it down."""
    home = folder / "home"
    home.mkdir(parents=True)
    async with Outside(folder / "outside.log") as outside:
        homes.write(home, outside.port, homes.services(services))
        async with Node(home, profiled=profiled) as node:
            node.grant("bench/act", "bench/act-long")
            here = Ground(node, outside, services)
            await here.send(here.order("paced", "warm", WARM_S, rate=50.0))
            yield here
            await asyncio.sleep(SETTLE_S)  # the sequencer takes what is pending


async def proof(here: Ground) -> Proof:
    found = await prove(here.node.home, here.outcomes)
    if found.wrong:
        raise Unproven(f"{LOST}: {'; '.join(found.wrong[:3])}")
    return found


def said(found: Proof) -> str:
    return (
        f"{found.accepted:,} alerts accepted, {found.acted:,} acted upon once each; {found.runs:,} runs with "
        f"{found.events:,} journal events and {found.entries:,} ledger entries verified"
    )


async def latency(folder: Path, seconds: float, services: int) -> Measure:
    """Accepted to first effect of a one-step runbook, at 50 alerts a second."""
    before = load()
    async with ground(folder, services) as here:
        (paced,) = await here.send(here.order("paced", "latency", seconds, rate=50.0))
    found = await proof(here)
    took = [
        max(0.0, (effect - accepted) / 1e6) for accepted, effect in zip(paced.accepted_ns, paced.effect_ns, strict=True)
    ]
    return Measure(
        name="latency",
        figures=(
            Figure(name="accepted to effect, p50", unit="ms", value=percentile(took, 0.5), goal="under 5", most=5),
            Figure(name="accepted to effect, p99", unit="ms", value=percentile(took, 0.99), goal="under 25", most=25),
        ),
        proof=said(found),
        load_before=before,
        load_after=load(),
        raw={"accepted_to_effect_ms": [round(each, 3) for each in took]},
    )


async def effects(folder: Path, seconds: float, services: int) -> Measure:
    """Effects a second, sustained: as many alerts under way as WINDOW, one a post; then three-step runs, AT_ONCE at a time."""
    before = load()
    async with ground(folder, services) as here:
        cpu_s = here.node.cpu_s()
        (one,) = await here.send(here.order("window", "effects", seconds, window=WINDOW, warm_s=1.0))
        cpu_s = here.node.cpu_s() - cpu_s
        memory = here.node.memory_bytes()
        (three,) = await here.send(
            here.order("window", "long", seconds, homes.ACT_LONG, window=AT_ONCE, warm_s=1.0, steps=3)
        )
    found = await proof(here)
    return Measure(
        name="effects",
        figures=(
            Figure(
                name="effects sustained",
                unit="/s",
                value=one.effects_per_s,
                goal="at least 1,000; 2,000 aimed at",
                least=1_000,
            ),
            Figure(
                name="CPU an effect",
                unit="µs",
                value=cpu_s / max(1, one.effects) * 1e6,
                goal="450 at 2,000/s",
                most=1_000,
            ),
            Figure(name="three-step runs with all guards and the ledger", unit="/s", value=three.effects_per_s),
            Figure(name="memory after that", unit="MiB", value=memory / 2**20),
        ),
        proof=said(found),
        load_before=before,
        load_after=load(),
        raw={"effects_by_second": _by_second(one)},
    )


async def intake(folder: Path, seconds: float, services: int) -> Measure:
    """Durable posts while 200 alerts a second are decided beside them, and the bare hook before and after."""
    before = load()
    first = await _bare_hook(folder / "bare-1", seconds / 2)
    async with ground(folder / "node", services) as here:
        posts, beside = await here.send(
            here.order("posts", "posts", seconds, homes.IGNORED, severity="info", connections=CONNECTIONS),
            here.order("paced", "decided", seconds, rate=200.0),
        )
        await here.settled()
        (batches,) = await here.send(
            here.order(
                "posts", "batches", min(seconds, BURST_S), homes.IGNORED, severity="info", connections=8, batch=BATCH
            )
        )
        await here.settled()
    second = await _bare_hook(folder / "bare-2", seconds / 2)
    found = await proof(here)
    bare = (first.posts_per_s + second.posts_per_s) / 2
    return Measure(
        name="intake",
        figures=(
            Figure(
                name="durable posts, 64 connections",
                unit="/s",
                value=posts.posts_per_s,
                goal="half of the bare hook",
                least=0.5,
                beside=bare,
                beside_name="bare hook",
                of_ratio=True,
            ),
            Figure(name="acted upon beside the posts", unit="/s", value=beside.effects_per_s, goal="200", least=190),
            Figure(
                name=f"alerts in batches of {BATCH}", unit="/s", value=batches.alerts_per_s, goal="40,000", least=40_000
            ),
        ),
        proof=f"{said(found)}; {posts.refused} posts were answered 503",
        load_before=before,
        load_after=load(),
    )


async def _bare_hook(folder: Path, seconds: float) -> Outcome:
    folder.mkdir(parents=True)
    words = (sys.executable, "-m", "watchkeeper.bench.bare", "hook", str(folder))
    async with Child(*words, log=folder / "log") as bare, Outside(folder / "outside.log") as outside:
        order = Order(
            kind="posts",
            name="bare",
            seconds=seconds,
            port=int(bare.first),
            token=TOKEN,
            alert=homes.IGNORED,
            connections=CONNECTIONS,
        )
        (found,) = await outside.send(order)
    import apsw

    rows: int = apsw.Connection(str(folder / "bare.db")).execute("SELECT count(*) FROM delivery").get
    if rows != found.posts:
        raise Unproven(f"the bare hook stored {rows} of {found.posts} posts")
    return found


async def runs(folder: Path, seconds: float, services: int) -> Measure:
    """Three-step durable runs, AT_ONCE at a time, the machine alone; and the same events written bare, around it."""
    del services
    before = load()
    bare_1 = await once("bare", "journal", folder / "bare-1", seconds / 2)
    alone = await once("alone", "", folder / "alone", seconds)
    bare_2 = await once("bare", "journal", folder / "bare-2", seconds / 2)
    bare = (bare_1["runs_per_s"] + bare_2["runs_per_s"]) / 2
    return Measure(
        name="runs",
        figures=(
            Figure(
                name="three-step durable runs, the machine alone",
                unit="/s",
                value=alone["runs_per_s"],
                goal="a third of the bare journal",
                least=1 / 3,
                beside=bare,
                beside_name="bare journal",
                of_ratio=True,
            ),
            Figure(
                name="CPU a run", unit="µs", value=alone["cpu_us"], beside=bare_1["cpu_us"], beside_name="bare journal"
            ),
        ),
        proof=f"{alone['runs']:,.0f} journals folded again, each to its end",
        load_before=before,
        load_after=load(),
    )


async def once(module: str, kind: str, folder: Path, seconds: float) -> dict[str, float]:
    """What a program of the bench says in its one line."""
    folder.mkdir(parents=True)
    words = [sys.executable, "-m", f"watchkeeper.bench.{module}", *([kind] if kind else []), str(folder)]
    async with Child(*words, str(seconds), str(AT_ONCE), log=folder / "log") as child:
        found = msgspec.json.decode(child.first.encode(), type=dict[str, float])
        await child.process.wait()
    return found


async def ledger(folder: Path, seconds: float, services: int, *, entries: int = 50_000) -> Measure:
    """Verifying the whole ledger of a store, as the node does it: bytes, hashes, contents, root."""
    del seconds, services
    before = load()
    folder.mkdir(parents=True)
    words = (sys.executable, "-m", "watchkeeper.bench.kept", str(folder), str(entries))
    async with Child(*words, log=folder / "log") as child:
        found = msgspec.json.decode(child.first.encode(), type=dict[str, float])
        await child.process.wait()
    return Measure(
        name="ledger",
        figures=(
            Figure(
                name="a million entries verified" + ("" if entries >= 1_000_000 else f" (from {entries:,})"),
                unit="s",
                value=found["verify_s"] * 1e6 / entries,
                goal="under 20",
                most=20,
            ),
            Figure(name="entries written and integrated", unit="/s", value=entries / found["write_s"]),
        ),
        proof=f"{entries:,} entries, and the report says that the ledger holds",
        load_before=before,
        load_after=load(),
    )


async def start(folder: Path, seconds: float, services: int) -> Measure:
    """`wk up` to ready with 500 rules: the first time, and again; then a node that has nothing to do."""
    del seconds, services
    before = load()
    home = folder / "home"
    home.mkdir(parents=True)
    homes.write(home, 9, homes.services(100), rules_more=500)
    async with Node(home) as node:
        cold_s = node.ready_s
    async with Node(home) as node:
        warm_s = node.ready_s
        await asyncio.sleep(SETTLE_S)
        began_s, cpu_s = monotonic(), node.cpu_s()
        await asyncio.sleep(IDLE_S)
        busy = (node.cpu_s() - cpu_s) / (monotonic() - began_s)
        memory = node.memory_bytes()
    return Measure(
        name="start",
        figures=(
            Figure(name="up to ready, 500 rules, first start", unit="s", value=cold_s),
            Figure(name="up to ready, 500 rules, after that", unit="s", value=warm_s, goal="under 2", most=2),
            Figure(name="idle CPU", unit="% of a core", value=busy * 100, goal="under 1", most=1),
            Figure(name="idle memory", unit="MiB", value=memory / 2**20, goal="under 200", most=200),
        ),
        proof="it said ready; supervisor and worker are counted together",
        load_before=before,
        load_after=load(),
    )


async def profile(folder: Path, seconds: float, services: int) -> tuple[dict[str, float], int]:
    """CPU µs an effect by stage, from a node that looks at itself; and how many effects that was."""
    import signal

    into = folder / "stages.json"
    folder.mkdir(parents=True, exist_ok=True)
    async with ground(folder / "node", services, profiled=into) as here:
        here.node.process.send_signal(signal.SIGUSR1)
        (one,) = await here.send(here.order("window", "profiled", seconds, window=WINDOW))
    await proof(here)
    found = msgspec.json.decode(into.read_bytes())
    spent = {stage: nanoseconds / 1e3 / one.effects for stage, nanoseconds in found["spent_ns"].items()}
    return dict(sorted(spent.items(), key=lambda pair: -pair[1])), one.effects


def _by_second(outcome: Outcome) -> list[int]:
    if not outcome.effect_ns:
        return []
    first_ns = min(outcome.effect_ns)
    counts = [0] * ((max(outcome.effect_ns) - first_ns) // 1_000_000_000 + 1)
    for each in outcome.effect_ns:
        counts[(each - first_ns) // 1_000_000_000] += 1
    return counts[:-1] or counts


ALL: Final = {
    "latency": latency,
    "effects": effects,
    "intake": intake,
    "runs": runs,
    "ledger": ledger,
    "start": start,
}
