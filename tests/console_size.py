"""How quick the console is on a large node: ten thousand decisions, a thousand services, two hundred live runs.

    .venv/bin/python tests/console_size.py [--decisions 10000] [--services 1000] [--live 200] [--turns 5]

Prints a table, and JSON with --json. Needs Chromium; a real node, real alerts, every decision made and kept as always.
"""

import argparse
import asyncio
import json
import os
import pwd
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import monotonic

from playwright.async_api import async_playwright, expect

from watchkeeper.bench import home as homes
from watchkeeper.bench.measures import Ground
from watchkeeper.bench.node import Node, Outside
from watchkeeper.surface.client import SOCKET, Client, Where

WAIT_RULE = """
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: wait, owner: group:ops}
spec:
  match: {alertname: BenchWait}
  target: {within: {system: bench}}
  runbook: bench/wait
  autonomy: {ceiling: auto}
  limits: {attempts: 1000, within: 1m, settle: 1d, start_by: 10m}
"""
WAIT_BOOK = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: wait, owner: group:ops}
spec:
  timeout: 1h
  on_failure: stay
  steps:
    - {id: rest, do: wait, with: {for: 45m}, timeout: 50m}
"""
PAGES = {
    "Now": "/",
    "Decisions": "/decisions",
    "Runs, live": "/runs?state=open",
    "Services": "/services",
    "Services, one in focus": "/services?focus=component:default/svc-1",
    "Metrics": "/measures",
    "Ledger": "/ledger",
}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WITHIN_S = 900.0
SETTLE_MS = 400


async def measured(given):
    with tempfile.TemporaryDirectory(prefix="wk-size-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        async with Outside(Path(folder) / "outside.log") as outside:
            homes.write(home, outside.port, homes.services(given.services))
            (home / "packs/bench/rules/wait.yaml").write_text(WAIT_RULE)
            (home / "packs/bench/runbooks/wait.yaml").write_text(WAIT_BOOK)
            async with Node(home) as node:
                node.grant("bench/act", "bench/wait")
                here = Ground(node, outside, given.services)
                client = Client(Where(name="node", socket=home / SOCKET))
                await filled(here, client, given)
                return await looked(node, here, token(client), given)


def token(client):
    me = f"local:{pwd.getpwuid(os.getuid()).pw_name}"
    client.post("/identities", {"name": me, "roles": ["admin"]})
    return client.post("/whoami/token", {})["text"]


async def filled(here, client, given):
    """Until there is as much as was asked for. The waiting runs are started last, on services of their own turn."""
    end = monotonic() + WITHIN_S
    while counted(client, "decisions") < given.decisions:
        assert monotonic() < end, "the decisions did not come"
        await here.send(here.order("window", f"fill-{monotonic():.0f}", 10.0, window=64))
        print(f"{counted(client, 'decisions'):,} decisions", file=sys.stderr)  # noqa: T201
    await here.send(here.order("posts", "wait", 2.0, "BenchWait", connections=1, batch=given.live, quiet_s=1.0))
    while counted(client, "runs", state="open") < given.live:
        assert monotonic() < end, "the live runs did not come"
        await asyncio.sleep(0.5)
    await here.settled()  # what was sent for the live runs is judged: an alert of its rank would wait behind it


def counted(client, what, **query):
    return sum(1 for _ in client.items(f"/{what}", query, limit=20_000))


async def looked(node, here, text, given):
    url = f"http://127.0.0.1:{node.port}"
    rows = {}
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        context = await chromium.new_context(viewport={"width": 1440, "height": 900}, timezone_id="UTC")
        page = await context.new_page()
        await page.goto(f"{url}/sign-in#{text}")
        await page.wait_for_url(f"{url}/")
        for name, path in PAGES.items():
            answers, paints = [], []
            for _ in range(given.turns):
                await page.goto(url + path)
                await page.wait_for_timeout(SETTLE_MS)  # the paint is told a moment after it
                timing = await page.evaluate(
                    "() => { const [n] = performance.getEntriesByType('navigation');"
                    " const [p] = performance.getEntriesByName('first-contentful-paint');"
                    " return [n.responseEnd - n.requestStart, p.startTime, n.transferSize]; }"
                )
                answers.append(timing[0])
                paints.append(timing[1])
            rows[name] = {"answer_ms": spread(answers), "first_paint_ms": spread(paints), "bytes": timing[2]}
        await page.goto(url)
        await page.mouse.move(5, 5)
        updates = []
        for turn in range(given.turns):
            before = await page.locator("table.feed tbody tr").first.get_attribute("id")
            began = monotonic()
            await here.send(here.order("posts", f"live-{turn}", 0.05, connections=1, quiet_s=0.5))
            await expect(page.locator("table.feed tbody tr").first).not_to_have_attribute("id", before, timeout=30_000)
            updates.append((monotonic() - began) * 1_000)
        rows["an alert sent to its row on Now"] = {"answer_ms": spread(updates), "first_paint_ms": None, "bytes": 0}
        await chromium.close()
    return rows


def spread(values):
    return [round(median(values), 1), round(min(values), 1), round(max(values), 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decisions", type=int, default=10_000)
    parser.add_argument("--services", type=int, default=1_000)
    parser.add_argument("--live", type=int, default=200)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = asyncio.run(measured(given))
    if given.json:
        print(json.dumps({"given": vars(given), "rows": rows}, indent=1))  # noqa: T201
        return
    print("| page | answer, ms | first paint, ms | KiB |\n|---|--:|--:|--:|")  # noqa: T201
    for name, row in rows.items():
        answer, paint = row["answer_ms"], row["first_paint_ms"]
        shown = f"{paint[0]} ({paint[1]} to {paint[2]})" if paint else ""
        kib = f"{row['bytes'] / 1024:.0f}" if row["bytes"] else ""
        print(f"| {name} | {answer[0]} ({answer[1]} to {answer[2]}) | {shown} | {kib} |")  # noqa: T201


if __name__ == "__main__":
    main()
