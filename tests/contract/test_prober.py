"""What the node's prober makes of answers over the wire: whatever a server says, a look ends in an observation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.prober import NodeProber
from watchkeeper.engine.action import Observation

VECTOR = '{"status": "success", "data": {"resultType": "vector", "result": [%s]}}'


@asynccontextmanager
async def saying(body: str) -> AsyncIterator[str]:
    """The address of a server that says only that."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def asked(body: str) -> Observation:
    client = HttpClient()
    try:
        async with saying(body) as address:
            return await NodeProber(client).look("promql", {"server": address, "query": "up"}, 5_000, None)
    finally:
        await client.close()


async def test_a_vector_and_a_scalar_are_samples() -> None:
    found = await asked(VECTOR % '{"metric": {"job": "web"}, "value": [1.5, "0.25"]}')
    assert found.values["samples"] == [{"labels": {"job": "web"}, "value": "0.25"}]
    found = await asked('{"status": "success", "data": {"resultType": "scalar", "result": [1.5, "2"]}}')
    assert found.values["samples"] == [{"labels": {}, "value": "2"}]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            VECTOR % '{"metric": {}, "histogram": [1.5, {"count": "4", "sum": "9"}]}',
            "something else than plain numbers",
        ),
        ('{"status": "success", "data": {"resultType": "scalar", "result": [1]}}', "something else than plain numbers"),
        (VECTOR % "7", "something else than plain numbers"),
        ("[" * 100_000, "is not Prometheus's"),
        ("<html>", "is not Prometheus's"),
        ('{"status": "success", "data": {"resultType": "matrix", "result": []}}', "the query gives a matrix"),
    ],
)
async def test_an_answer_that_gives_no_numbers_is_a_look_that_saw_nothing(body: str, why: str) -> None:
    found = await asked(body)
    assert not found.seen
    assert why in found.why
