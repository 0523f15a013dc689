"""The story: a fleet, a node, two people, nine scenes, and the ledger verified at the end.

Without questions on a fresh machine. Ends with `demo: passed` and 0, or says what it waited for and 1. In a terminal it
stays up afterwards, to look around, until Ctrl-C.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Final

from watchkeeper.demo.desk import ANA, BEN, Desk, Waited
from watchkeeper.demo.fleet import Fleet
from watchkeeper.demo.home import write
from watchkeeper.demo.node import Node
from watchkeeper.demo.scenes import Scenes
from watchkeeper.demo.tell import Teller

GROUPS: Final = {
    ANA: ["group:default/payments-sre", "group:default/shop-web"],
    BEN: ["group:default/payments-sre", "group:default/platform", "group:default/finance-ops"],
}


def main(*, keep: bool = False, fast: bool = False, home: Path | None = None) -> int:
    """`keep`: stay up afterwards even without a terminal. `fast`: end at once, in a terminal too."""
    teller = Teller()
    stays = keep or (teller.terminal and not fast)
    try:
        return asyncio.run(_until_told(_demo(teller, home, stays=stays)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        teller.say("\nInterrupted; everything it started has ended.")
        return 130
    except (RuntimeError, FileExistsError) as failed:
        teller.failed(str(failed), ())
        return 1


async def _until_told(story: Coroutine[None, None, int]) -> int:
    """SIGTERM ends it as Ctrl-C does: everything it started is ended first."""
    task = asyncio.create_task(story)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def _demo(teller: Teller, home: Path | None, *, stays: bool) -> int:
    with ExitStack() as stack:
        if home is None:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wk-demo-")))
        async with Fleet() as fleet:
            write(home, fleet)
            teller.say(f"A fleet of {len(fleet.members)} services runs on this machine, and a prober that watches it.")
            async with Node(home, fleet.environment()) as node:
                teller.say(f"Watchkeeper runs on {node.url}, its home is {home}")
                return await _told(teller, home, fleet, node, stays=stays)


async def _told(teller: Teller, home: Path, fleet: Fleet, node: Node, *, stays: bool) -> int:
    began_s = monotonic()
    desk = Desk(node.url, home)
    scenes: Scenes | None = None
    try:
        hook = await desk.enter(GROUPS)
        teller.say("Two people sign in: ana and ben. Every alert below comes as an Alertmanager would send it.")
        fleet.report_to(f"{node.url}/hooks/alertmanager", hook)
        scenes = Scenes(fleet, desk, teller)
        await scenes.play()
        teller.table(scenes.told)
        kept = next((one["checkpoint"] for one in fleet.told if one.get("checkpoint")), "")
        if not kept:
            raise Waited("no message to people carried a checkpoint of the ledger")
        await _verified(teller, desk, kept)
    except (Waited, OSError, RuntimeError) as failed:
        lines = [f"the prober: {fleet.prober.why}"] if fleet.prober.why else []
        try:
            lines += ["the last decisions:", *await desk.last_decisions()]
        except (Waited, OSError) as silent:
            lines.append(f"the node does not say more: {silent}")
        teller.failed(str(failed), [*lines, f"the node's log: {_tail(node)}"])
        return 1
    teller.say(f"{len(scenes.told)} scenes in {monotonic() - began_s:.0f} s.")
    if stays:
        _where_to_look(teller, scenes, home, node, desk)
    teller.say("demo: passed")
    if stays:
        teller.say("It stays up until you press Ctrl-C.")
        await asyncio.Event().wait()
    return 0


async def _verified(teller: Teller, desk: Desk, kept: str) -> None:
    """Against the checkpoint that came with the first message to people: whoever kept it would see an alteration."""
    checked = await desk.post("/ledger/verify", {"against": kept})
    if not checked["ok"]:
        raise Waited(f"the ledger does not verify: {checked['faults'][:3] or checked['against']}")
    teller.say(
        f"\nThe ledger verifies: {checked['size']} entries, {checked['contents_matched']} contents match, "
        f"root {checked['root'][:16]}…"
    )
    teller.say(f"And against the checkpoint that the first message carried: {checked['against']['sentence']}.")


def _where_to_look(teller: Teller, scenes: Scenes, home: Path, node: Node, desk: Desk) -> None:
    teller.say("\nWhere to look, in another terminal:")
    shown = next(one for one in scenes.told if one.outcome.startswith("refused"))
    for words in (f"explain {shown.decision}", "decisions", "runs", "incidents", "ledger verify"):
        teller.say(f"  wk --home {home} {words}")
    teller.say(f"  {node.url}/sign-in#{desk.token(ANA)}  (the console, as ana)")
    teller.say(f"  {home}  (an example to copy)\n")


def _tail(node: Node) -> str:
    try:
        lines = node.log.read_text("utf-8", "replace").strip().splitlines()
    except OSError as unread:
        return str(unread)
    return lines[-1][:500] if lines else "empty"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="watchkeeper.demo.story", description=__doc__.split("\n")[0])
    parser.add_argument("--keep", action="store_true", help="stay up afterwards")
    parser.add_argument("--fast", action="store_true", help="end at once, in a terminal too")
    parser.add_argument("--home", type=Path, help="write the demo's home here, into an empty folder; it is kept")
    given = parser.parse_args()
    sys.exit(main(keep=given.keep, fast=given.fast, home=given.home))
