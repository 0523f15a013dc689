"""n8n: a workflow on SQLite, from a webhook to an HTTP request."""

# ruff: noqa: ASYNC240  nothing else runs in this loop

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.bench.peers.peer import Absent, Up, free_port, run, running


class N8n:
    name = "n8n"
    install = (
        "mkdir n8n && cd n8n && npm install n8n (where its spreadsheet library cannot be fetched: "
        '"overrides": {"xlsx": "0.18.5"} in package.json)'
    )
    quiet_s = 10.0

    async def version(self, folder: Path) -> str:
        try:
            text = (folder / self.name / "node_modules" / "n8n" / "package.json").read_bytes()
        except OSError as absent:
            raise Absent(f"no {absent.filename}") from absent
        return str(msgspec.json.decode(text)["version"])

    @asynccontextmanager
    async def start(self, folder: Path, into: Path, sink: int) -> AsyncIterator[Up]:
        into.mkdir(parents=True)
        (into / "workflow.json").write_bytes(msgspec.json.encode([_workflow(sink)]))
        port, broker = free_port(), free_port()
        program = str(folder / self.name / "node_modules" / ".bin" / "n8n")
        environment = {
            "N8N_USER_FOLDER": str(into),
            "N8N_PORT": str(port),
            "N8N_RUNNERS_BROKER_PORT": str(broker),
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_HIRING_BANNER_ENABLED": "false",
            "DB_TYPE": "sqlite",
            "PATH": os.environ.get("PATH", ""),
        }
        log = into / "log"
        await run([program, "import:workflow", f"--input={into / 'workflow.json'}"], environment, log=log)
        await run([program, "publish:workflow", "--id=bench"], environment, log=log)
        async with running([program, "start"], environment, log, port) as process:
            yield Up({"port": port, "path": "/webhook/alerts", "shape": "alertmanager"}, process)


def _workflow(sink: int) -> dict[str, Any]:
    return {
        "id": "bench",
        "name": "bench",
        "active": True,
        "settings": {},
        "nodes": [
            {
                "id": "1",
                "name": "Webhook",
                "type": "n8n-nodes-base.webhook",
                "typeVersion": 2,
                "position": [0, 0],
                "webhookId": "alerts",
                "parameters": {"httpMethod": "POST", "path": "alerts", "responseMode": "onReceived"},
            },
            {
                "id": "2",
                "name": "Act",
                "type": "n8n-nodes-base.httpRequest",
                "typeVersion": 4.2,
                "position": [200, 0],
                "parameters": {
                    "method": "POST",
                    "url": f"=http://127.0.0.1:{sink}/{{{{ $json.body.alerts[0].labels.service }}}}/restart",
                },
            },
        ],
        "connections": {"Webhook": {"main": [[{"node": "Act", "type": "main", "index": 0}]]}},
    }
