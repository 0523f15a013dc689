"""Objectives over PromQL with a real Prometheus, whose history is written beforehand, and over the wire; and the API."""

import asyncio
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from served import HOME, SECRETS, Served, alerts
from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.prober import NodeProber
from watchkeeper.demo.loopback import free_port
from watchkeeper.engine.objectives import Objective

API = "/api/v1"
BEFORE = 1_000_000
MINUTES = 120  # of written history: one sample a minute
SLOS = """
apiVersion: openslo/v1
kind: DataSource
metadata: {name: main}
spec: {type: Prometheus, connectionDetails: {url: "http://127.0.0.1:PORT", bearer: "env:EDGE_TOKEN", timeout: 5s}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: orders, displayName: Orders, annotations: {watchkeeper.dev/every: 10s, watchkeeper.dev/response: automated}}
spec:
  service: web
  budgetingMethod: Occurrences
  timeWindow: [{duration: 4w, isRolling: true}]
  objectives: [{target: 0.99}]
  indicator:
    spec:
      ratioMetric:
        counter: true
        BAD
        total: {metricSource: {metricSourceRef: main, spec: {query: orders_total}}}
"""
BAD = "bad: {metricSource: {metricSourceRef: main, spec: {query: 'sum(increase(errors_total[{{.window}}]))'}}}"


def home(port: int, bad: str = BAD) -> dict[str, bytes]:
    return {**HOME, "slos/all.yaml": SLOS.replace("PORT", str(port)).replace("BAD", bad).encode()}


class Read:
    """A node whose prober goes over the wire."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    async def __aenter__(self) -> Served:
        self.client = HttpClient()
        self.served = Served(self.files, prober=NodeProber(self.client))
        await self.served.start()
        return self.served

    async def __aexit__(self, *_: object) -> None:
        await self.served.engine.stop()
        await self.client.close()


def objective(node: Served) -> Objective:
    found = node.engine.objectives.get("orders")
    assert found is not None
    return found


# -- a real Prometheus --------------------------------------------------------------------------------

MISSING = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]


def history(at: datetime) -> str:
    """A hundred orders a minute; one error a minute in the last twenty minutes, none before. Both began long ago: a
    counter near zero is extrapolated less, and the two would no longer grow alike.
    """
    lines = ["# TYPE orders counter"]
    stamps = [int(at.timestamp()) - 60 * back for back in range(MINUTES, -1, -1)]
    lines += [f"orders_total {BEFORE + 100 * number} {stamp}" for number, stamp in enumerate(stamps)]
    lines.append("# TYPE errors counter")
    lines += [f"errors_total {BEFORE + max(0, number - (MINUTES - 20))} {stamp}" for number, stamp in enumerate(stamps)]
    return "\n".join([*lines, "# EOF", ""])


@contextmanager
def prometheus(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "history.om").write_text(history(datetime.now(UTC)))
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "history.om"), str(folder / "data")]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    words = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=30d",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@pytest.mark.servers
@pytest.mark.timeout(90)
@pytest.mark.skipif(bool(MISSING), reason=f"not installed here: {', '.join(MISSING)} (apt install prometheus)")
async def test_a_real_prometheus_says_what_a_hand_counts_and_when_it_is_gone_the_age_is_kept(tmp_path):
    port = free_port()
    with prometheus(tmp_path, port) as process:
        async with Read(home(port)) as node:
            found = await until_read(node)
            # 60 samples lie in the last hour: 59 steps of 100 orders, 20 of them with an error.
            expected = {"5m": (4, 400), "30m": (20, 2_900), "1h": (20, 5_900), "6h": (20, 12_000), "3d": (20, 12_000)}
            for window, (bad, total) in expected.items():
                assert found.budget.burn_ppm[window] == pytest.approx(bad * 100_000_000 // total, abs=200), window
            assert found.budget.left_ppm == pytest.approx(1_000_000 - 20 * 100_000_000 // 12_000, abs=200)
            assert found.budget.attainment_ppm == pytest.approx(1_000_000 - 20 * 1_000_000 // 12_000, abs=2)
            assert found.known
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            await node.engine.objectives._read(found.slo)
            after = objective(node)
            assert (after.as_of, after.budget, after.known) == (found.as_of, found.budget, True)
            assert after.failing.startswith(f"main: GET http://127.0.0.1:{port}"), after.failing


@pytest.mark.servers
@pytest.mark.timeout(90)
@pytest.mark.skipif(bool(MISSING), reason=f"not installed here: {', '.join(MISSING)} (apt install prometheus)")
async def test_what_a_real_prometheus_refuses_is_unknown_with_its_own_words(tmp_path):
    port = free_port()
    with prometheus(tmp_path, port):
        async with Read(home(port, BAD.replace("errors_total", "errors total"))) as node:
            await node.until(lambda: objective(node).failing and "no connection" not in objective(node).failing)
            found = objective(node)
            assert not found.known
            assert "parse error" in found.why, found.why
            assert found.budget.left_ppm is None


async def until_read(node: Served) -> Objective:
    """Prometheus may not be up yet at the first try; each try is one of the engine's own."""
    for _ in range(60):
        found = objective(node)
        if found.as_of is not None:
            return found
        await asyncio.sleep(0.5)
        await node.engine.objectives._read(found.slo)
    raise AssertionError(found.why)


# -- the wire -----------------------------------------------------------------------------------------


class Answers:
    """A server that answers every query alike, and keeps what was sent."""

    def __init__(self, body: Any, status: str = "200 OK") -> None:
        self.body, self.status = json.dumps(body).encode(), status
        self.sent: list[str] = []

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.sent.append((await reader.readuntil(b"\r\n\r\n")).decode())
            head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + self.body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def vector(*values: str) -> dict[str, Any]:
    result = [{"metric": {"n": str(number)}, "value": [1.0, value]} for number, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


async def test_the_credential_goes_to_the_declared_server_and_nowhere_into_the_store():
    server = Answers(vector("3"))
    async with server as port, Read(home(port)) as node:
        await node.until(lambda: objective(node).as_of is not None)
        assert all(f"Bearer {SECRETS['EDGE_TOKEN']}" in head for head in server.sent)
        assert all("Watchkeeper-Actor: automation" in head for head in server.sent)
        assert SECRETS["EDGE_TOKEN"] not in str(await node.store.find("objective"))
        assert objective(node).budget.attainment_ppm == 0, "as many errors as orders"


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (vector("1", "2"), "200 OK", "gives 2 series, expected one: sum them"),
        (vector(), "200 OK", "gives 0 series"),
        (vector("NaN"), "200 OK", "gives NaN, no count"),
        (vector("+Inf"), "200 OK", "gives +Inf, no count"),
        ({"status": "error", "error": "too many samples"}, "422 Unprocessable Entity", "too many samples"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "200 OK", "gives a matrix"),
        ("not what was asked", "200 OK", "is not Prometheus's"),
        ({}, "401 Unauthorized", "is not Prometheus's"),
        ({}, "302 Found", "is not Prometheus's"),
    ],
)
async def test_an_answer_that_is_none_is_unknown(body, status, why):
    async with Answers(body, status) as port, Read(home(port)) as node:
        await node.until(lambda: objective(node).failing)
        assert why in objective(node).why
        assert not objective(node).known


async def test_nobody_at_the_address_is_unknown():
    async with Read(home(free_port())) as node:
        await node.until(lambda: objective(node).failing)
        assert objective(node).why.startswith("main: "), objective(node).why


# -- the API ------------------------------------------------------------------------------------------


async def ok(coming) -> Any:
    response = await coming
    assert response.status_code == 200, response.text
    return response.json()


async def test_metrics_and_objectives_over_the_api():
    async with Answers(vector("2")) as port, Read(home(port)) as node:
        await node.until(lambda: objective(node).as_of is not None)
        async with node.client(SECRETS["EDGE_TOKEN"]) as edge:
            assert (await edge.post("/hooks/alertmanager", json=alerts("Down"))).status_code == 202
        await node.until(node.engine.measuring.services)
        async with node.client(await node.person("vera", "viewer")) as vera:
            (listed,) = (await ok(vera.get(f"{API}/metrics")))["items"]
            assert (listed["name"], listed["basis"], listed["window_ms"]) == ("web", "incidents", 30 * 86_400_000)
            found = await ok(vera.get(f"{API}/metrics/component:default/web?window=7d"))
            metrics = {each["name"]: each for each in found["metrics"]}
            assert metrics["incidents"]["value"] == 1
            assert metrics["mttr"] == {
                "name": "mttr",
                "unit": "ms",
                "value": None,
                "response": "manual review",
                "as_of": found["at"],
                "age_ms": 0,
                "count": 0,
                "unknown": "nothing to measure in this window",
            }
            (slo,) = (await ok(vera.get(f"{API}/slos?service=web")))["items"]
            assert slo == await ok(vera.get(f"{API}/slos/orders")) | {"age_ms": slo["age_ms"]}
            assert (slo["target_ppm"], slo["response"], slo["source"]) == (990_000, "automated", "prometheus main")
            assert slo["left_ppm"] == 1_000_000 - 100_000_000
            assert set(slo["burn_ppm"]) == {"5m", "30m", "1h", "6h", "3d"}
            for path, status in (
                ("metrics/nobody", 404),
                ("slos/nothing", 404),
                ("slos?service=nobody", 404),
                ("metrics?window=x", 400),
                ("metrics?windows=7d", 400),
            ):
                assert (await vera.get(f"{API}/{path}")).status_code == status, path
        async with node.client() as nobody:
            assert (await nobody.get(f"{API}/metrics")).status_code == 401


async def test_a_budget_left_is_that_of_the_services_objective_in_its_metrics():
    async with Answers(vector("2")) as port, Read(home(port)) as node:
        await node.until(lambda: objective(node).as_of is not None)
        async with node.client(await node.person("vera", "viewer")) as vera:
            found = await ok(vera.get(f"{API}/metrics/web"))
            (left,) = [each for each in found["metrics"] if each["name"] == "budget_left"]
            assert (left["value"], left["count"], left["unknown"]) == (-99_000_000, 1, "")
