"""The comparison: one sender, one sink, one turn; alerts one at a time, then AT_ONCE at a time, through each that is there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from watchkeeper.bench import home as homes
from watchkeeper.bench.figures import Figure, Measure, load, percentile
from watchkeeper.bench.measures import AT_ONCE, Unproven, ground, once, proof, said
from watchkeeper.bench.node import TOKEN, Outside
from watchkeeper.bench.outside import Order, Outcome
from watchkeeper.bench.peers import dbos
from watchkeeper.bench.peers.n8n import N8n
from watchkeeper.bench.peers.peer import Absent, Peer
from watchkeeper.bench.peers.prefect import Prefect
from watchkeeper.bench.peers.rulebook import Rulebook

PEERS: Final[tuple[Peer, ...]] = (Prefect(), Rulebook(), N8n())
TOGETHER: Final = 16
WARM_TRIES: Final = 10
WARM_S: Final = 0.5


async def peers(folder: Path, seconds: float, services: int, *, installed: Path) -> Measure:
    """The same alerts and runs through what else people use, where it is installed."""
    before = load()
    figures: list[Figure] = []
    words: list[str] = []
    await _runs(folder, seconds, installed, figures, words)
    async with ground(folder / "watchkeeper", services) as here:
        outcomes = [
            (await here.send(here.order("window", f"peers-{window}", seconds, window=window)))[0]
            for window in (1, TOGETHER)
        ]
    found = await proof(here)
    figures += _figures("watchkeeper", outcomes)
    words.append(said(found))
    for peer in PEERS:
        try:
            version = await peer.version(installed)
            name = f"{peer.name} {version}"
            outcomes = await _through(peer, installed, folder / peer.name, seconds, services)
        except Absent as absent:
            words.append(f"{peer.name} was skipped: {absent}; install it with: {peer.install}")
            continue
        figures += _figures(name, outcomes)
        sums = [(each.alerts, each.effects, each.missing, each.strays) for each in outcomes]
        words.append(
            f"{name}: {sum(one[0] for one in sums)} alerts, {sum(one[1] for one in sums)} effects, "
            f"{sum(one[2] for one in sums)} missing, {sum(one[3] for one in sums)} unasked for"
        )
    return Measure(name="peers", figures=tuple(figures), proof="; ".join(words), load_before=before, load_after=load())


async def _runs(folder: Path, seconds: float, installed: Path, figures: list[Figure], words: list[str]) -> None:
    try:
        version = await dbos.version(installed)
        theirs = await dbos.runs(installed, folder / "dbos", seconds, AT_ONCE)
    except Absent as absent:
        words.append(f"DBOS was skipped: {absent}; install it with: {dbos.INSTALL}")
        return
    ours = await once("alone", "", folder / "alone", seconds)
    figures.append(
        Figure(
            name="three-step durable runs beside DBOS",
            unit="/s",
            value=ours["runs_per_s"],
            goal="10 times DBOS on SQLite",
            least=10,
            beside=theirs["runs_per_s"],
            beside_name=f"DBOS {version}",
            of_ratio=True,
        )
    )
    words.append(f"DBOS {version}: {theirs['runs']:,.0f} workflows are recorded as done")


async def _through(peer: Peer, installed: Path, into: Path, seconds: float, services: int) -> list[Outcome]:
    async with _outside(into.with_suffix(".outside")) as outside, peer.start(installed, into, outside.port) as up:

        async def send(window: int, seconds: float) -> Outcome:
            order = {
                "kind": "window",
                "name": f"{peer.name}-{window}",
                "alert": homes.ACT,
                "token": TOKEN,
                "services": services,
                "connections": TOGETHER,
                "quiet_s": peer.quiet_s,
                **up.how,
            }
            (found,) = await outside.send(msgspec.convert({**order, "window": window, "seconds": seconds}, Order))
            return found

        await warmed(partial(send, 1))
        return [await send(window, seconds) for window in (1, TOGETHER)]


async def warmed(send: Callable[[float], Awaitable[Outcome]]) -> None:
    """Until it acts upon an alert: some listen before they do. Raises Absent when it never does."""
    for _ in range(WARM_TRIES):
        if (await send(WARM_S)).effects:
            return
        await asyncio.sleep(WARM_S)
    raise Absent("it acted upon no alert")


@asynccontextmanager
async def _outside(log: Path) -> AsyncIterator[Outside]:
    async with Outside(log) as found:
        yield found


def _figures(name: str, outcomes: list[Outcome]) -> list[Figure]:
    alone, together = outcomes
    if not alone.effects or not together.effects:
        raise Unproven(f"{name}: no effect was seen")
    # From the sending: some answer at once and keep nothing, some once all is done, so their answer says little.
    took = [(at - since) / 1e6 for since, at in zip(alone.sent_ns, alone.effect_ns, strict=True)]
    return [
        Figure(name=f"{name}: sent to effect, one at a time, p50", unit="ms", value=percentile(took, 0.5)),
        Figure(name=f"{name}: sent to effect, one at a time, p99", unit="ms", value=percentile(took, 0.99)),
        Figure(name=f"{name}: effects, {TOGETHER} at once", unit="/s", value=_per_s(together)),
    ]


def _per_s(found: Outcome) -> float:
    """From the first alert sent to the last effect: a slow one ends long after the last alert was sent."""
    return found.effects / ((max(found.effect_ns) - min(found.sent_ns)) / 1e9)
