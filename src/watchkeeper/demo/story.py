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

VERIFY_WITHIN_S: Final = 60.0
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
        await _verified(teller, desk, home)
    except (Waited, OSError, RuntimeError) as failed:
        lines = [f"the prober: {fleet.prober.why}"] if fleet.prober.why else []
        try:
            lines += ["the last decisions:", *await desk.last_decisions()]
        except (Waited, OSError) as silent:
            lines.append(f"the node does not say more: {silent}")
        teller.failed(str(failed), [*lines, f"the node's log: {_tail(node)}"])
        return 1
    _where_to_look(teller, scenes, home, node, stays=stays)
    teller.say(f"demo: passed ({len(scenes.told)} scenes in {monotonic() - began_s:.0f} s)")
    if stays:
        teller.say("It stays up until you press Ctrl-C.")
        await asyncio.Event().wait()
    return 0


async def _verified(teller: Teller, desk: Desk, home: Path) -> None:
    """Over the API, and by the command that an auditor would type."""
    checked = await desk.post("/ledger/verify")
    if not checked["ok"]:
        raise Waited(f"the ledger does not verify: {checked['faults'][:3]}")
    teller.say(
        f"\nThe ledger verifies: {checked['size']} entries, {checked['contents_matched']} contents match, "
        f"root {checked['root'][:16]}…"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "watchkeeper", "--home", str(home), "ledger", "verify"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(VERIFY_WITHIN_S):
        said, _ = await process.communicate()
    if process.returncode != 0:
        raise Waited(f"'wk ledger verify' ended with {process.returncode}: {said.decode('utf-8', 'replace').strip()}")


def _where_to_look(teller: Teller, scenes: Scenes, home: Path, node: Node, *, stays: bool) -> None:
    if not stays:
        return
    teller.say("\nWhere to look, in another terminal:")
    shown = next(one for one in scenes.told if one.outcome.startswith("refused"))
    for words in (f"explain {shown.decision}", "decisions", "runs", "incidents", "ledger verify"):
        teller.say(f"  wk --home {home} {words}")
    teller.say(f"  {node.url}/")
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
