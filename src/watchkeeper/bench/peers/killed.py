"""What is lost when the process dies: a burst of alerts, `kill -9` as soon as all are accepted, and the same started again.

Counted, not timed: how many waited when it died, how many of the accepted alerts never had their effect, and how many had it twice at a target that
honours no key. Nobody sends anything again, though a real Alertmanager would while its alert fires.
"""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from watchkeeper.bench import home as homes
from watchkeeper.bench.account import prove
from watchkeeper.bench.figures import Figure, Measure, load
from watchkeeper.bench.measures import LOST, Unproven, ground, said
from watchkeeper.bench.node import TOKEN, Node, Outside
from watchkeeper.bench.outside import Order, Outcome
from watchkeeper.bench.peers.compare import PEERS, warmed
from watchkeeper.bench.peers.peer import Absent, Peer

COUNT: Final = 200  # alerts in the burst, each about a service of its own
SENDERS: Final = 16
QUIET_S: Final = 20.0  # of ours: longer than its longest back-off and a step's time-out


async def killed(folder: Path, seconds: float, services: int, *, installed: Path) -> Measure:
    """Accepted alerts that `kill -9` loses or repeats, through ours and what else people use."""
    del seconds
    before = load()
    figures: list[Figure] = []
    words: list[str] = []
    await _ours(folder / "watchkeeper", max(services, COUNT), figures, words)
    for peer in PEERS:
        try:
            name = f"{peer.name} {await peer.version(installed)}"
            burst, after = await _theirs(peer, installed, folder / peer.name)
        except Absent as absent:
            words.append(f"{peer.name} was skipped: {absent}; install it with: {peer.install}")
            continue
        figures += _figures(name, burst, after)
        words.append(_words(name, burst, after))
    return Measure(name="killed", figures=tuple(figures), proof="; ".join(words), load_before=before, load_after=load())


async def _ours(folder: Path, services: int, figures: list[Figure], words: list[str]) -> None:
    async with ground(folder, services) as here:
        (burst,) = await here.send(here.order("burst", "killed", 1.0, services=COUNT, connections=SENDERS))
        for pid in reversed(here.node.family()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await here.node.process.wait()
        async with Node(here.node.home):
            (after,) = await here.send(here.order("wait", "killed", 1.0, quiet_s=QUIET_S, connections=0))
            await asyncio.sleep(1.0)  # the sequencer takes what is pending
    found = await prove(here.node.home, here.outcomes)
    if found.wrong:
        raise Unproven(f"{LOST}: {'; '.join(found.wrong[:3])}")
    figures += _figures("watchkeeper", burst, after, goal="none", most=0.0)
    asked_again = f"; {after.again} were asked again under their key, and the target knew it" if after.again else ""
    words.append(f"{_words('watchkeeper', burst, after)}{asked_again}; {said(found)}")


async def _theirs(peer: Peer, installed: Path, into: Path) -> tuple[Outcome, Outcome]:
    async with Outside(into.with_suffix(".outside")) as outside, peer.start(installed, into, outside.port) as up:

        async def send(kind: str, **more: Any) -> Outcome:
            order = {"kind": kind, "name": peer.name, "seconds": 1.0, "alert": homes.ACT, "token": TOKEN, **up.how}
            (found,) = await outside.send(msgspec.convert({**order, "services": COUNT, **more}, Order))
            return found

        await warmed(lambda seconds: send("window", window=1, seconds=seconds, quiet_s=peer.quiet_s))
        burst = await send("burst", connections=SENDERS)
        await up.process.kill()
        await up.process.up()
        return burst, await send("wait", connections=0, quiet_s=peer.quiet_s)


def _figures(name: str, burst: Outcome, after: Outcome, *, goal: str = "", most: float | None = None) -> list[Figure]:
    unit = f"of {burst.alerts}"
    return [
        Figure(name=f"{name}: waiting for their effect when killed", unit=unit, value=burst.pending),
        Figure(name=f"{name}: lost by kill -9", unit=unit, value=after.missing, goal=goal, most=most),
        Figure(name=f"{name}: effects twice", unit=unit, value=after.strays, goal=goal, most=most),
    ]


def _words(name: str, burst: Outcome, after: Outcome) -> str:
    return (
        f"{name}: {burst.alerts} accepted, {burst.refused} refused, then killed while {burst.pending} waited; {after.effects} had their effect, "
        f"{after.missing} never, {after.strays} once more"
    )
