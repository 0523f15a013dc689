"""The API against its own description: every route, with data that fits it and data that does not."""

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Self

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CheckContext
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from served import HOME, SETTINGS, Served, alerts
from watchkeeper.surface.api.serve import serve

EXAMPLES: int = int(os.environ.get("WATCHKEEPER_SCHEMA_EXAMPLES", "3"))  # a route; `make soak` asks for more
ROUTES_LEAST = {GenerationMode.POSITIVE: 60, GenerationMode.NEGATIVE: 30}
STREAMS = "/events"  # never ends by itself


class Behind:
    """A node in a thread of its own, listening on loopback."""

    def __init__(self, home: Path) -> None:
        self.home, self.token, self.url = home, "", ""
        self._ready, self._failed = threading.Event(), ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30), "the node did not come up"
        assert not self._failed, self._failed
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(30)
        assert not self._failed, self._failed

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  told to the thread that waits
            self._failed = repr(error)
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        files = HOME | {
            "watchkeeper.yaml": SETTINGS.replace("api_requests_per_s: 1000", "api_requests_per_s: 10000").encode()
        }
        node = Served(files)
        await node.start()
        self.token = await node.person("root", "admin", "approver", "operator", "viewer")
        await node.engine.intake.accept("default", "alertmanager", delivered(alerts("Down", "Seen")))
        node.engine.pipeline.nudge()
        await node.until(lambda: node.engine.judge.counts)

        def ready(host: str, port: int) -> None:
            self.url = f"http://{host}:{port}"
            self._ready.set()

        try:
            await serve(
                node.engine, node.node.settings, self.home, "127.0.0.1", 0, ready=ready, stopping=self._stopping
            )
            self._failed = node.engine.failed
        finally:
            await node.engine.stop()


def delivered(body: object) -> bytes:
    return json.dumps(body).encode()


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    with Behind(tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture(scope="module")
def api(behind):
    schema = schemathesis.openapi.from_url(
        f"{behind.url}/api/v1/openapi.json", headers={"Authorization": f"Bearer {behind.token}"}
    )
    schema.config.update(base_url=behind.url)
    return schema.exclude(path_regex=f"{STREAMS}$")


@schemathesis.check
def no_5xx_but_503(_ctx: CheckContext, response, _case) -> None:
    assert response.status_code < 500 or response.status_code == 503, response.status_code
    assert "failed inside" not in response.text, response.text


CHECKS = (no_5xx_but_503, content_type_conformance, response_schema_conformance, status_code_conformance)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_route_answers_as_described(api, behind, mode) -> None:
    headers = {"Authorization": f"Bearer {behind.token}"}
    tried = 0
    for result in api.get_all_operations():
        operation = result.ok()

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(case=operation.as_strategy(generation_mode=mode))
        def fits(case) -> None:
            case.call_and_validate(headers=headers, checks=list(CHECKS))

        try:
            fits()
        except Unsatisfiable:
            continue  # nothing that does not fit can be made for it: it takes no data
        tried += 1
    assert tried > ROUTES_LEAST[mode]
