"""Prefect: an automation of its server, on SQLite, that calls a webhook for each event."""

# ruff: noqa: ASYNC240  nothing else runs in this loop

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from watchkeeper.bench.peers.peer import Up, free_port, python, run, running, version_of

# Run by the peer's own interpreter: SINK_URL.
PROGRAM = """
import asyncio, sys
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

async def main():
    sink = await Webhook(method="POST", url=sys.argv[1], allow_private_urls=True).save("sink", overwrite=True)
    trigger = EventTrigger(
        expect={"bench.alert"},
        match={"prefect.resource.id": "bench.*"},
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=0,
    )
    call = CallWebhook(block_document_id=sink, payload='{"service": "{{ event.payload.service }}"}')
    async with get_client() as client:
        await client.create_automation(AutomationCore(name="bench", trigger=trigger, actions=[call]))

asyncio.run(main())
"""


class Prefect:
    name = "prefect"
    install = "python3 -m venv prefect && prefect/bin/pip install prefect"
    quiet_s = 10.0

    async def version(self, folder: Path) -> str:
        program = "from importlib.metadata import version; print(version('prefect'))"
        return await version_of([str(python(folder, self.name)), "-c", program])

    @asynccontextmanager
    async def start(self, folder: Path, into: Path, sink: int) -> AsyncIterator[Up]:
        into.mkdir(parents=True)
        program = into / "setup.py"
        program.write_text(PROGRAM, encoding="utf-8")
        port, interpreter = free_port(), python(folder, self.name)
        environment = {
            "PREFECT_HOME": str(into),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "DO_NOT_TRACK": "1",
        }
        words = [str(interpreter), "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        async with running(words, environment, into / "log", port) as process:
            await run(
                [str(interpreter), str(program), f"http://127.0.0.1:{sink}/by-body"], environment, log=into / "log"
            )
            yield Up({"port": port, "path": "/api/events", "shape": "prefect"}, process)
