"""The hook of Alertmanager's event recorder, over HTTP: who may post, what is durable, what a person then reads."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from test_console import browser, fired

from recorder_events import AS_ENCODED, event, silence, silenced
from served import SECRETS, alerts, served

HOOK = "/hooks/alertmanager-events"
EDGE = {"authorization": f"Bearer {SECRETS['EDGE_TOKEN']}"}


def fresh(fingerprint: str = "00000000000000ab", **labels: str):
    now = datetime.now(UTC)
    by = silence(ends=now + timedelta(hours=1), updated=now)
    return silenced(fingerprint, now, by, **(labels or {"alertname": "Down", "service": "web"}))


async def posted(node, client, body: object, status: int = 202):
    before = node.engine.pipeline.taken
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await client.post(HOOK, content=raw, headers={**EDGE, "content-type": "application/json"})
    assert answer.status_code == status, answer.text
    if status == 202:
        await node.until(lambda: node.engine.pipeline.taken == before + 1)
    return answer.json()


async def test_the_credential_of_an_alertmanager_may_post_and_no_other():
    async with served() as node, node.client() as client:
        body = json.dumps(fresh()).encode()
        assert (await client.post(HOOK, content=body)).status_code == 401
        wrong = await client.post(HOOK, content=body, headers={"authorization": "Bearer nonsense"})
        assert wrong.status_code == 401
        grafana = await node.hook_token("grafana")
        other = await client.post(HOOK, content=body, headers={"authorization": f"Bearer {grafana}"})
        assert other.status_code == 401
        mine = await node.hook_token("default")
        good = await client.post(HOOK, content=body, headers={"authorization": f"Bearer {mine}"})
        assert (good.status_code, good.json()["source"]) == (202, "default")
        assert (await client.get(HOOK, headers=EDGE)).status_code == 405
        await node.until(lambda: node.engine.world.suppressed)


async def test_what_it_says_is_durable_listed_and_holds():
    async with served() as node, node.client(await node.person("alice", "operator")) as client:
        hook = await node.hook_token("default")
        await client.post("/hooks/alertmanager", json=alerts("Down"), headers={"authorization": f"Bearer {hook}"})
        alert = (await node.until(lambda: tuple(node.engine.correlation.alerts())))[0]
        answer = await client.post(HOOK, json=[fresh(alert.fingerprint)], headers={"authorization": f"Bearer {hook}"})
        assert answer.status_code == 202
        await node.until(lambda: node.engine.world.suppressed)
        assert await node.store.count("muted") == 1
        (found,) = (await client.get("/api/v1/suppressed")).json()["items"]
        assert (found["alert"], found["source"]) == (alert.id, "default")
        assert found["why"].startswith(
            "it is silenced in default by 3b1f7a52-6f0e-4a7e-9d0c-6a1c2e5d8f10 (ann: disk swap"
        )
        shown = (await client.get(f"/api/v1/alerts/{alert.id}")).json()
        assert shown["suppressed"] == found["why"]
        (source,) = (await client.get("/api/v1/suppressed/sources")).json()["items"]
        assert (source["source"], source["suppressed"], source["asked"]) == ("default", 1, False)
        assert (source["recorder"]["events"], source["recorder"]["quiet"]) == ({"silenceMutedAlert": 1}, False)


@pytest.mark.parametrize("name", sorted(AS_ENCODED))
async def test_every_event_of_the_schema_is_taken_and_counted(name):
    async with served() as node, node.client(await node.person("alice", "operator")) as client:
        await posted(node, client, AS_ENCODED[name].replace("\n", " ").encode())
        assert await node.store.count("dead_letter") == 0
        text = (await client.get("/metrics")).text
        assert f'watchkeeper_recorder_events_total{{event="{name}"}} 1.0' in text


async def test_an_unknown_type_is_counted_and_named_and_a_malformed_event_is_a_dead_letter():
    async with served() as node, node.client(await node.person("alice", "operator")) as client:
        await posted(node, client, [event({"timeIntervalMutedAlert": {}}), fresh()])
        (source,) = (await client.get("/api/v1/suppressed/sources")).json()["items"]
        assert source["recorder"]["events"] == {"other": 1, "silenceMutedAlert": 1}
        assert source["recorder"]["other"] == ["timeIntervalMutedAlert"]
        assert await node.store.count("dead_letter") == 0
        await posted(node, client, [fresh(), event({"silenceMutedAlert": {"silence": silence()}})])
        (dead,) = (await client.get("/api/v1/dead-letters")).json()["items"]
        assert (dead["path"], dead["source"]) == ("[1].data.silenceMutedAlert", "edge")
        assert "mutedAlert" in dead["why"]


@pytest.mark.parametrize("body", [b"7", b"", b"[", b'{"data"', b"event: 1\n", b'"x"'])
async def test_what_is_no_event_at_all_is_refused_with_a_reason(body):
    async with served() as node, node.client() as client:
        answer = await posted(node, client, body, 400)
        assert answer["title"] == "cannot be read"
        assert answer["detail"]


async def test_a_hook_that_is_misspelt_is_told_the_names():
    async with served() as node, node.client() as client:
        answer = await client.post("/hooks/alertmanager-event", content=b"{}", headers=EDGE)
        assert answer.status_code == 404
        assert "alertmanager-events" in answer.json()["detail"]


async def test_the_console_shows_what_its_source_keeps_to_itself_and_why():
    async with browser() as found:
        await fired(found, "Down")
        alert = (await found.node.until(lambda: tuple(found.node.engine.correlation.alerts())))[0]
        assert "Suppressed" not in await found.see("/alerts")
        async with found.node.client(await found.node.hook_token("default")) as sender:
            assert (await sender.post(HOOK, json=fresh(alert.fingerprint))).status_code == 202
        await found.node.until(lambda: found.node.engine.world.suppressed)
        why = "it is silenced in default by 3b1f7a52-6f0e-4a7e-9d0c-6a1c2e5d8f10 (ann: disk swap, until "
        for path in ("/alerts", f"/alerts/{alert.id}"):
            page = await found.see(path)
            assert why in page, path
        assert "Suppressed" in await found.see("/alerts")
