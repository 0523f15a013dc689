"""A real Alertmanager: what somebody silences there is known here, though it is never sent."""

import asyncio
import json
import shutil
import subprocess
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from served import HOME, SETTINGS, Served
from watchkeeper.adapters.http import AddressRule, HttpClient, Request
from watchkeeper.demo.loopback import free_port

NAME = "prometheus-alertmanager"

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(shutil.which(NAME) is None, reason=f"not installed here: {NAME} (apt install {NAME})"),
]


def posted(url: str, body: object) -> bytes:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read()


async def test_a_silence_of_a_real_alertmanager_is_known(tmp_path):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    (tmp_path / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    server = subprocess.Popen(
        [
            NAME,
            f"--config.file={tmp_path / 'am.yml'}",
            f"--storage.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    settings = SETTINGS.replace("default: {kind: alertmanager}", f'default: {{kind: alertmanager, api: "{address}"}}')
    node = Served({**HOME, "watchkeeper.yaml": settings.encode()})
    await node.start()
    client = HttpClient()
    rule = AddressRule(declared=frozenset({f"127.0.0.1:{port}"}))

    async def ask(url: str) -> bytes:
        return (await client.request(Request(method="GET", url=url, timeout_ms=5_000, allow=rule))).body

    async def is_up() -> bool:
        try:
            await asyncio.to_thread(urllib.request.urlopen, f"{address}/-/ready", timeout=1)
        except OSError:
            return False
        return True

    try:
        await node.until(is_up)
        now = datetime.now(UTC)
        silence = {
            "matchers": [{"name": "service", "value": "web", "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "ann",
            "comment": "tested",
        }
        identity = json.loads(posted(f"{address}/api/v2/silences", silence))["silenceID"]
        firing = [{"labels": {"alertname": name, "service": name}} for name in ("web", "cart")]
        posted(f"{address}/api/v2/alerts", firing)
        node.engine.silences.ask = ask

        async def known() -> bool:
            node.engine.silences._due_ms.clear()
            await node.engine.silences.look()
            return bool(node.engine.world.suppressed)

        await node.until(known)
        listed = node.engine.silences.listed()
        assert [each.labels["service"] for each in listed] == ["web"]
        assert listed[0].why == f"it is silenced in default by {identity}"
    finally:
        server.terminate()
        server.wait(10)
        await node.engine.stop()
        await client.close()
