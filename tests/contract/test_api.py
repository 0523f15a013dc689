"""The HTTP side of a node, over a real engine: what is answered, with which status, and in which words."""

import asyncio
import base64
import contextlib
import json
import os
import pwd
import stat
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from msgspec.structs import replace

from served import HOME, SECRETS, SETTINGS, Served, alerts, basic, served, signed
from watchkeeper.engine.scribe import WATCHERS_MAX
from watchkeeper.errors import Rejected
from watchkeeper.surface.api.serve import HEAD_BYTES_MAX, SOCKET, serve

API = "/api/v1"
RECEIVED_AT_ONCE_MAX = 256 * 1024  # of the loops in use


@pytest.fixture
async def node():
    async with served() as found:
        await found.person("alice", "admin", "approver", "operator", "viewer")
        await found.person("bob", "admin", "approver", "operator", "viewer")
        await found.person("vera", "viewer")
        yield found


@pytest.fixture
async def alice(node):
    async with node.client(node.tokens["alice"]) as found:
        yield found


@pytest.fixture
async def bob(node):
    async with node.client(node.tokens["bob"]) as found:
        yield found


@pytest.fixture
async def vera(node):
    async with node.client(node.tokens["vera"]) as found:
        yield found


@pytest.fixture
async def edge(node):
    async with node.client(SECRETS["EDGE_TOKEN"]) as found:
        yield found


def said(response: httpx2.Response, status: int) -> dict:
    """The problem of an answer, after its status and shape were seen to be right."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert found["status"] == status
    assert found["title"]
    return found


async def ok(coming, status: int = 200) -> dict:
    response = await coming
    assert response.status_code == status, response.text
    return response.json()


async def granted(client, level: str = "approve") -> None:
    body = {"rule": "shop/down", "level": level, "environment": "staging", "for": "1h", "reason": "for the test"}
    assert not (await ok(client.post(f"{API}/grants", json=body), 201))["pending"]


async def asked(node, alice, edge) -> dict:
    """An approval that waits: a rule at `approve`, and an alert for it."""
    await granted(alice)
    await ok(edge.post("/hooks/alertmanager", json=alerts("Down")), 202)

    async def waits():
        return (await ok(alice.get(f"{API}/approvals?state=pending")))["items"]

    return (await node.until(waits))[0]


# -- hooks ---------------------------------------------------------------------------------------------


async def test_a_delivery_is_durable_before_it_is_acknowledged(node, edge):
    answer = await ok(edge.post("/hooks/alertmanager", json=alerts("Down", "Seen")), 202)
    kept = await node.store.delivery(answer["id"])
    assert kept is not None
    assert (kept.source, kept.format) == ("edge", "alertmanager")
    await node.until(lambda: node.engine.pipeline.taken == 1)


async def test_a_delivery_is_taken_apart_at_once_and_not_at_the_next_look(monkeypatch):
    monkeypatch.setattr("watchkeeper.engine.pipeline.IDLE_S", 3600)
    async with served() as node, node.client(SECRETS["EDGE_TOKEN"]) as edge:
        for number in (1, 2):
            await ok(edge.post("/hooks/alertmanager", json=alerts(f"A{number}")), 202)
            await node.until(lambda number=number: node.engine.pipeline.taken == number)
            await node.until(lambda: node.engine.pipeline._more._waiters)  # it rests again


async def test_the_source_is_that_of_the_credential_whatever_the_body_says(node):
    async with node.client(await node.hook_token("default")) as client:
        answer = await ok(client.post("/hooks/alertmanager", json={**alerts("Down"), "source": "edge"}), 202)
    assert answer["source"] == "default"


@pytest.mark.parametrize("path", ["grafana", "alertmanager"])
async def test_basic_credentials(node, path):
    async with node.client() as client:
        right = {"Authorization": basic("grafana", SECRETS["BASIC"])}
        assert (await ok(client.post(f"/hooks/{path}", json=alerts("Down"), headers=right), 202))["source"] == "grafana"
        for wrong in (basic("grafana", "no"), basic("other", SECRETS["BASIC"]), "Basic !", "Basic"):
            refused = await client.post(f"/hooks/{path}", json=alerts("Down"), headers={"Authorization": wrong})
            assert "no credential of a source" in said(refused, 401)["detail"]


async def test_a_signature_covers_time_and_body(node):
    event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "disk.firing", "data": {"service": "web"}}
    body = json.dumps(event).encode()
    kind = {"Content-Type": "application/cloudevents+json"}
    now = datetime.now(UTC)
    async with node.client() as client:

        async def post(signature: str, what: bytes = body) -> httpx2.Response:
            headers = {**kind, "X-Watchkeeper-Signature": signature}
            return await client.post("/hooks/cloudevents", content=what, headers=headers)

        assert (await ok(post(signed(SECRETS["HMAC"], body)), 202))["source"] == "events"
        said(await post(signed("another key of some length", body)), 401)
        said(await post(signed(SECRETS["HMAC"], body), body + b" "), 401)
        said(await post(signed(SECRETS["HMAC"], body, now - timedelta(minutes=6))), 401)
        assert (await post(signed(SECRETS["HMAC"], body, now - timedelta(minutes=4)))).status_code == 202
        said(await post("t=,v1="), 401)
        said(await post("nonsense"), 401)


async def test_cloudevents_in_all_three_modes(node):
    event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "disk.firing", "data": {"service": "web"}}
    binary = {"ce-specversion": "1.0", "ce-id": "2", "ce-source": "/x", "ce-type": "disk.firing"}
    async with node.client(await node.hook_token("events")) as client:
        for headers, body in (
            ({"Content-Type": "application/cloudevents+json"}, event),
            ({"Content-Type": "application/cloudevents-batch+json"}, [event, {**event, "id": "3"}]),
            ({"Content-Type": "application/json", **binary}, {"service": "web"}),
        ):
            await ok(client.post("/hooks/cloudevents", content=json.dumps(body), headers=headers), 202)
        plain = await client.post("/hooks/cloudevents", json=event)
        assert "is no CloudEvents mode" in said(plain, 400)["detail"]
    await node.until(lambda: node.engine.pipeline.taken == 3)
    assert await node.store.count("dead_letter") == 0


async def test_a_generic_source_and_a_heartbeat_have_their_names_in_the_address(node):
    async with node.client(await node.hook_token("jobs")) as client:
        assert (await ok(client.post("/hooks/generic/jobs", json={"title": "T", "host": "web", "state": "down"}), 202))[
            "source"
        ] == "jobs"
        said(await client.post("/hooks/generic/other", json={}), 404)
        said(await client.post("/hooks/heartbeat/nightly"), 401)
    async with node.client(await node.hook_token("backups")) as client:
        await ok(client.post("/hooks/heartbeat/nightly"), 202)
        said(await client.post("/hooks/heartbeat/unheard-of"), 404)
    await node.until(lambda: node.engine.pipeline.taken == 2)
    assert await node.store.count("dead_letter") == 0
    assert await node.store.count("alert", {"source": "jobs"}) == 1


async def test_a_bad_alert_of_a_good_batch_is_a_dead_letter_and_the_answer_is_2xx(node, edge, alice):
    batch = alerts("Down", "Seen")
    batch["alerts"][1]["startsAt"] = "yesterday"
    await ok(edge.post("/hooks/alertmanager", json=batch), 202)
    await node.until(lambda: node.engine.pipeline.taken == 1)
    letters = (await ok(alice.get(f"{API}/dead-letters")))["items"]
    assert [each["path"] for each in letters] == ["alerts[1].startsAt"]
    assert (await ok(alice.get(f"{API}/alerts")))["items"][0]["name"] == "Down"
    one = letters[0]["id"]
    again = said(await alice.post(f"{API}/dead-letters/{one}/replay", json={}), 409)
    assert "still cannot be read" in again["detail"]
    said(await alice.post(f"{API}/dead-letters/{one}/drop", json={}), 400)
    await ok(alice.post(f"{API}/dead-letters/{one}/drop", json={"reason": "a test of the sender"}))
    assert (await ok(alice.get(f"{API}/dead-letters")))["items"] == []
    assert len((await ok(alice.get(f"{API}/dead-letters?state=dropped")))["items"]) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b'{"alerts": 3}', b"null", b"[" * 100_000])
async def test_what_nothing_can_be_read_of_is_400(edge, body):
    assert said(await edge.post("/hooks/alertmanager", content=body), 400)["title"] == "cannot be read"


async def test_wrong_ways_in(node, edge):
    said(await edge.get("/hooks/alertmanager"), 405)
    said(await edge.post("/hooks/nothing", json={}), 404)
    said(await edge.post("/hooks/", json={}), 404)
    said(await edge.post("/hooks/alertmanager/x", json={}), 404)
    said(await edge.post("/hooks/alertmanager", json={}, headers={"Content-Encoding": "gzip"}), 415)
    async with node.client() as nobody:
        refused = await nobody.post("/hooks/alertmanager", json=alerts("Down"))
        said(refused, 401)
        assert refused.headers["www-authenticate"].startswith("Bearer")
    async with node.client(node.tokens["alice"]) as person:
        said(await person.post("/hooks/alertmanager", json=alerts("Down")), 401)
    async with node.client("wk_0123456789abcdef01234567_made-up") as stranger:
        said(await stranger.post("/hooks/alertmanager", json=alerts("Down")), 401)


async def test_a_body_beyond_the_bound_is_413():
    small = {**HOME, "watchkeeper.yaml": SETTINGS.replace("limits: {", "limits: {body_max: 1 MiB, ").encode()}
    async with served(small) as node, node.client(SECRETS["EDGE_TOKEN"]) as edge:
        most = node.node.settings.limits.body_bytes_max
        fits = json.dumps(alerts("Down")).encode()
        fits += b" " * (most - len(fits))
        assert (await edge.post("/hooks/alertmanager", content=fits)).status_code == 202
        assert (
            f"at most {most} bytes" in said(await edge.post("/hooks/alertmanager", content=fits + b" "), 413)["detail"]
        )

        async def pieces():
            yield fits
            yield b" "

        said(await edge.post("/hooks/alertmanager", content=pieces()), 413)


async def test_under_pressure_the_answer_is_503_with_retry_after(node, edge, monkeypatch):
    monkeypatch.setattr(node.engine.intake, "pending", 10**9)
    later = await edge.post("/hooks/alertmanager", json=alerts("Down"))
    assert "send it again" in said(later, 503)["detail"]
    assert int(later.headers["retry-after"]) > 0
    monkeypatch.undo()
    node.engine.failed = "pipeline: broken"
    said(await edge.post("/hooks/alertmanager", json=alerts("Down")), 503)
    node.engine.failed = ""
    await node.store.close()
    said(await edge.post("/hooks/alertmanager", json=alerts("Down")), 503)


async def test_a_source_that_sends_too_much_hears_503(node):
    rated = HOME | {"watchkeeper.yaml": SETTINGS.replace("edge: {", "edge: {rate_max_per_s: 2, ").encode()}
    async with served(rated) as other, other.client(SECRETS["EDGE_TOKEN"]) as edge:
        codes = [(await edge.post("/hooks/alertmanager", json=alerts("Down"))).status_code for _ in range(4)]
    assert codes[:2] == [202, 202]
    assert 503 in codes


# -- the door ------------------------------------------------------------------------------------------


async def test_unknown_hosts_are_refused_and_loopback_is_known(node):
    for host, status in (
        ("localhost", 200),
        ("127.0.0.1:8420", 200),
        ("[::1]:8420", 200),
        ("127.9.9.9", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
    ):
        async with node.client(host=host) as client:
            assert (await client.get("/healthz")).status_code == status, host
    async with node.client(SECRETS["EDGE_TOKEN"], host="evil.example") as client:
        refused = said(await client.post("/hooks/alertmanager", json=alerts("Down")), 421)
        assert "server.hosts" in refused["detail"]


async def test_who_is_not_signed_in_hears_401_and_who_may_not_hears_403(node, vera, alice):
    async with node.client() as nobody:
        refused = await nobody.get(f"{API}/status")
        assert "Bearer" in said(refused, 401)["detail"]
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert (await nobody.get("/healthz")).json() == {"status": "ok"}
        assert (await nobody.get("/readyz")).json() == {"status": "ok"}
    async with node.client("wk_0123456789abcdef01234567_made-up") as stranger:
        assert "unknown, expired or revoked" in said(await stranger.get(f"{API}/status"), 401)["detail"]
    refused = said(await vera.post(f"{API}/stops", json={"reason": "x"}), 403)
    assert refused["detail"] == "vera may not stop: that needs the role operator or approver or admin."
    async with node.client(await node.hook_token("default")) as hook:
        assert "can only post to its hook" in said(await hook.get(f"{API}/status"), 403)["detail"]
    assert (await ok(vera.get(f"{API}/whoami")))["may"] == ["read", "metrics"]
    token = next(each for each in (await ok(alice.get(f"{API}/tokens")))["items"] if each["source"] == "default")
    await ok(alice.post(f"{API}/tokens/{token['id']}/revoke", json={"reason": "no longer used"}))


async def test_problems_for_everything_else(alice):
    assert "openapi.json" in said(await alice.get(f"{API}/nothing"), 404)["detail"]
    said(await alice.get("/elsewhere"), 404)
    refused = await alice.put(f"{API}/holds", json={})
    said(refused, 405)
    assert "GET" in refused.headers["allow"] or "POST" in refused.headers["allow"]
    strange = said(await alice.get(f"{API}/alerts?colour=red"), 400)
    assert strange["title"] == "unknown query parameter"
    assert "colour" in strange["detail"]
    assert "severity" in strange["detail"]
    said(await alice.get(f"{API}/alerts?limit=1001"), 422)
    said(await alice.get(f"{API}/alerts?limit=0"), 422)
    said(await alice.get(f"{API}/alerts?after=x"), 422)
    wrong = said(await alice.post(f"{API}/holds", json={"scope": {}, "for": 3, "reasons": "x"}), 422)
    assert {each["field"] for each in wrong["errors"]} == {"for", "reasons"}
    said(await alice.post(f"{API}/holds", content=b"{", headers={"Content-Type": "application/json"}), 422)
    for path in ("alerts", "incidents", "decisions", "runs", "approvals", "holds", "freezes", "stops"):
        assert "list them" in said(await alice.get(f"{API}/{path}/none"), 404)["detail"]


async def test_a_local_user_comes_by_uid_with_the_roles_of_the_home(node):
    user = pwd.getpwuid(os.getuid()).pw_name
    async with node.client(uid=os.getuid(), host="anything") as client:
        assert (await ok(client.get(f"{API}/whoami")))["name"] == f"local:{user}"
        said(await client.get(f"{API}/status"), 403)
        bearer = {"Authorization": f"Bearer {node.tokens['vera']}"}
        assert (await ok(client.get(f"{API}/whoami", headers=bearer)))["name"] == "vera"
        other = await client.get(f"{API}/whoami", headers={"Authorization": basic("vera", "x")})
        assert "expected 'Authorization: Bearer" in said(other, 401)["detail"]
    known = {**HOME, "watchkeeper.yaml": SETTINGS.encode() + f"roles: {{users: {{{user}: [operator]}}}}\n".encode()}
    async with served(known) as other, other.client(uid=os.getuid()) as client:
        assert (await ok(client.get(f"{API}/status")))["production"] is False
    async with node.client(uid=2**31 - 7) as client:
        assert "has no name" in said(await client.get(f"{API}/status"), 401)["detail"]


async def test_the_bootstrap_token_reads_and_makes_the_first_identity_and_nothing_else():
    async with served() as node:
        text = await node.engine.identities.bootstrap()
        async with node.client(text) as client:
            await ok(client.get(f"{API}/status"))
            assert "wk identity add --me" in said(await client.post(f"{API}/stops", json={}), 403)["detail"]
            await ok(client.post("/hooks/alertmanager", json=alerts("Down")), 202)
            person = {"name": "local:root", "roles": ["viewer"]}
            assert "must be an admin" in said(await client.post(f"{API}/identities", json=person), 403)["detail"]
            await ok(client.post(f"{API}/identities", json={**person, "roles": ["admin"]}), 201)
            said(await client.get(f"{API}/status"), 403)
            await ok(client.post("/hooks/alertmanager", json=alerts("Down")), 202)


async def test_too_many_requests_are_429():
    slow = {**HOME, "watchkeeper.yaml": SETTINGS.replace("api_requests_per_s: 1000", "api_requests_per_s: 5").encode()}
    async with served(slow) as node, node.client(await node.person("ann", "viewer")) as client:
        codes = [(await client.get(f"{API}/whoami")).status_code for _ in range(8)]
    assert codes[:5] == [200] * 5
    assert 429 in codes[5:]


# -- the same request twice ----------------------------------------------------------------------------


async def test_a_repeated_key_repeats_the_answer_and_does_nothing(node, alice, bob):
    key = {"Idempotency-Key": "first"}
    body = {"scope": {"service": "web"}, "for": "1h", "reason": "looking"}
    one = await alice.post(f"{API}/holds", json=body, headers=key)
    two = await alice.post(f"{API}/holds", json=body, headers=key)
    assert (one.status_code, two.status_code) == (201, 201)
    assert one.content == two.content
    assert "idempotency-replayed" not in one.headers
    assert two.headers["idempotency-replayed"] == "true"
    assert len(node.engine.world.holds) == 1
    other = await alice.post(f"{API}/holds", json={**body, "reason": "else"}, headers=key)
    assert said(other, 422)["title"] == "key used before"
    said(await alice.post(f"{API}/stops", json=body, headers=key), 422)
    await ok(bob.post(f"{API}/holds", json=body, headers=key), 201)
    assert len(node.engine.world.holds) == 2
    for bad in ("", " ", "x" * 256):
        refused = await alice.post(f"{API}/holds", json=body, headers={"Idempotency-Key": bad})
        assert refused.status_code in {400, 201}
        assert (refused.status_code == 201) == (not bad.strip()) or refused.status_code == 400


async def test_a_refused_request_leaves_its_key_free(node, alice):
    key = {"Idempotency-Key": "again"}
    said(
        await alice.post(
            f"{API}/holds", json={"scope": {"service": "nowhere"}, "for": "1h", "reason": "x"}, headers=key
        ),
        400,
    )
    said(await alice.post(f"{API}/holds", json={"scope": 1}, headers=key), 422)
    await ok(
        alice.post(f"{API}/holds", json={"scope": {"service": "web"}, "for": "1h", "reason": "x"}, headers=key), 201
    )


async def test_a_key_whose_request_was_cut_off_is_not_carried_out_again(node, alice):
    reached, key = asyncio.Event(), {"Idempotency-Key": "cut"}

    async def never(*_args, **_more):
        reached.set()
        await asyncio.Event().wait()

    node.engine.limits.hold = never
    body = {"scope": {}, "for": "1h", "reason": "x"}
    first = asyncio.create_task(alice.post(f"{API}/holds", json=body, headers=key))
    await reached.wait()
    assert "under way" in said(await alice.post(f"{API}/holds", json=body, headers=key), 409)["detail"]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (
        "look whether it took effect" in said(await alice.post(f"{API}/holds", json=body, headers=key), 409)["detail"]
    )


async def test_the_text_of_a_token_is_shown_once(node, alice):
    key = {"Idempotency-Key": "token"}
    body = {"identity": "vera", "name": "laptop", "roles": ["viewer"], "for": "30d"}
    made = await ok(alice.post(f"{API}/tokens", json=body, headers=key), 201)
    async with node.client(made["text"]) as client:
        assert (await ok(client.get(f"{API}/whoami")))["name"] == "vera"
    assert (await ok(alice.post(f"{API}/tokens", json=body, headers=key), 201))["text"] is None
    everything = json.dumps(
        [row.body.decode() for kind in ("answered", "token") for row in (await node.store.find(kind)).items]
    )
    assert made["text"] not in everything
    assert "sha256" not in (await alice.get(f"{API}/tokens")).text
    beyond = await alice.post(f"{API}/tokens", json={**body, "roles": ["admin"]})
    assert "has no role admin" in said(beyond, 403)["detail"]
    said(await alice.post(f"{API}/tokens", json={"source": "nobody"}), 400)
    said(await alice.post(f"{API}/tokens", json={"source": "edge", "roles": ["viewer"]}), 400)
    said(await alice.post(f"{API}/tokens", json={**body, "for": "soon"}), 400)


# -- from alert to run ---------------------------------------------------------------------------------


async def test_from_an_alert_to_an_approved_run_and_its_trail(node, alice, bob, edge):
    card = await asked(node, alice, edge)
    full = await ok(bob.get(f"{API}/approvals/{card['id']}"))
    assert full["digest"] == full["binding"]
    assert full["decided"]["verdict"] == "ask"
    path = f"{API}/approvals/{card['id']}/approve"
    assert "digest" in said(await bob.post(path, json={}), 400)["detail"]
    said(await bob.post(path, json={"digest": "a"}, headers={"If-Match": '"b"'}), 400)
    said(await bob.post(path, json={"digest": "another"}), 409)
    async with node.client(await node.person("cy", "approver")) as cy:
        urgent = said(await cy.post(path, json={"digest": full["digest"], "emergency": True}), 403)
    assert "needs the role admin or emergency" in urgent["detail"]
    given = await ok(bob.post(path, json={"comment": "go"}, headers={"If-Match": f'"{full["digest"]}"'}))
    assert given["state"] == "approved"

    async def ended():
        return (await ok(alice.get(f"{API}/runs?state=closed")))["items"]

    run = (await node.until(ended))[0]
    assert run["status"] == "succeeded"
    assert node.action.sent == ["http://127.0.0.1:9000/drain", "http://127.0.0.1:9000/restart"]
    shown = await ok(alice.get(f"{API}/runs/{run['id']}"))
    assert {"id", "decision", "runbook", "status", "steps"} <= shown.keys()
    assert [step["id"] for step in shown["steps"]] == ["drain", "restart"]
    for step in shown["steps"]:
        assert {"id", "status", "attempts", "started_at", "ended_at", "output"} <= step.keys()
        assert (step["status"], step["attempts"], step["output"]["status"]) == ("done", 1, 200)
        assert step["started_at"] <= step["ended_at"]
    assert said(await bob.post(path, json={"digest": full["digest"]}), 409)["title"]
    decision = await ok(alice.get(f"{API}/decisions/{run['decision']}"))
    assert {"id", "at", "rule", "targets", "verdict", "findings", "pack", "situation"} <= decision.keys()
    assert decision["run"] == run["id"]
    for finding in decision["findings"]:
        assert {"guard", "outcome", "reason", "evidence", "until"} <= finding.keys()
    journal = await ok(alice.get(f"{API}/runs/{run['id']}/journal"))
    assert [each["number"] for each in journal["items"]] == list(range(len(journal["items"])))
    assert journal["items"][0]["event"] == "opened"
    page = await ok(alice.get(f"{API}/runs/{run['id']}/journal?limit=2"))
    rest = await ok(alice.get(f"{API}/runs/{run['id']}/journal?limit=1000&after={page['next']}"))
    assert page["items"] + rest["items"] == journal["items"]
    output = await ok(alice.get(f"{API}/runs/{run['id']}/output?step=drain"))
    assert {each["step"] for each in output["items"]} == {"drain"}

    incident = run["incident"]
    await node.engine.sequencer.step()
    trail = await ok(alice.get(f"{API}/incidents/{incident}/trail"))
    kinds = [item["kind"] for item in trail["items"]]
    assert trail["complete"]
    assert set(kinds) == {"signal", "alert", "decision", "approval", "run", "step", "effect", "entry"}
    assert [item["at"] for item in trail["items"]] == sorted(item["at"] for item in trail["items"])
    assert kinds.index("signal") < kinds.index("decision") < kinds.index("effect")
    assert kinds.count("effect") == 2
    assert any(item["sentence"] == "approve: go" for item in trail["items"])
    indexes = [item["index"] for item in trail["items"] if item["kind"] == "entry"]
    assert indexes == sorted(set(indexes))
    whole = await ok(alice.get(f"{API}/incidents/{incident}"))
    assert whole["measures"]["detect"]["count"] == 1
    assert [each["id"] for each in whole["runs"]] == [run["id"]]
    assert {each["kind"] for each in whole["timeline"]} == {"alert", "decided", "run"}
    assert whole["phase"] == "open", "its runbook verifies nothing, so nobody knows that anything is better"


async def test_an_incident_that_was_taken_into_another_keeps_its_name(node, alice, edge):
    await ok(edge.post("/hooks/alertmanager", json=alerts("Slow", service="pay")), 202)
    await ok(edge.post("/hooks/alertmanager", json=alerts("Slow", service="web")), 202)
    await node.until(lambda: node.engine.pipeline.taken == 2)
    before = (await ok(alice.get(f"{API}/incidents")))["items"]
    assert len(before) == 2
    await ok(edge.post("/hooks/alertmanager", json=alerts("Slow", service="cart")), 202)
    await node.until(lambda: node.engine.pipeline.taken == 3)
    after = (await ok(alice.get(f"{API}/incidents")))["items"]
    assert [one["alerts"] for one in after] == [3]
    assert (await ok(alice.get(f"{API}/status")))["counts"]["incidents"] == 1
    for each in before:
        whole = await ok(alice.get(f"{API}/incidents/{each['id']}"))
        assert whole["id"] in {one["id"] for one in after}
        assert (await ok(alice.get(f"{API}/incidents/{each['id']}/trail")))["incident"] == whole["id"]
    assert [alert["name"] for alert in whole["alerts"]] == ["Slow"] * 3
    assert "merged" in {each["kind"] for each in whole["timeline"]}
    assert {each["because"] for each in whole["links"]} == {"depends on"}

    for number, service in enumerate(("pay", "web", "cart"), 4):
        over = alerts("Slow", service=service, status="resolved")
        for each, known in ((each, alert) for each in over["alerts"] for alert in whole["alerts"]):
            if known["labels"]["service"] == service:
                each["startsAt"], each["endsAt"] = known["starts_at"], datetime.now(UTC).isoformat()
        await ok(edge.post("/hooks/alertmanager", json=over), 202)
        await node.until(lambda number=number: node.engine.pipeline.taken == number)
    node.engine.correlation.forget(datetime.now(UTC) + timedelta(days=2))
    assert node.engine.correlation.incident(whole["id"]) is None
    for each in before:
        found = await ok(alice.get(f"{API}/incidents/{each['id']}"))
        assert (found["id"], found["state"]) == (whole["id"], "resolved")
        assert {alert["labels"]["service"] for alert in found["alerts"]} == {"pay", "web", "cart"}


async def test_a_rejection_ends_it(node, alice, bob, edge):
    card = await asked(node, alice, edge)
    ended = await ok(bob.post(f"{API}/approvals/{card['id']}/reject", json={"digest": card["digest"], "comment": "no"}))
    assert ended["state"] == "rejected"
    assert (await ok(alice.get(f"{API}/runs")))["items"] == []


async def test_a_run_by_hand_can_be_paused_and_cancelled(node, alice, bob):
    await granted(alice)
    node.action.open.clear()
    body = {"runbook": "shop/mend", "targets": ["component:default/web"], "reason": "by hand"}
    for wrong, word in (
        ({**body, "targets": []}, "an empty list is never everything"),
        ({**body, "targets": ["component:default/none"]}, "no entity"),
        ({**body, "reason": " "}, "for the record"),
        ({**body, "arguments": {"none": 1}}, "arguments"),
    ):
        assert word in said(await alice.post(f"{API}/runs", json=wrong), 400)["detail"]
    said(await alice.post(f"{API}/runs", json={**body, "runbook": "shop/none"}), 404)
    dry = await ok(alice.post(f"{API}/runs", json={**body, "dry_run": True}), 202)
    assert (dry["run"], dry["approval"], dry["dry_run"]) == (None, None, True)
    assert await node.store.count("decision") == 0
    made = await ok(alice.post(f"{API}/runs", json=body), 202)
    assert made["decision"]["actor"] == "person:alice"
    if made["approval"] is not None:
        card = made["approval"]
        await ok(bob.post(f"{API}/approvals/{card['id']}/approve", json={"digest": card["digest"]}))

    async def running():
        found = (await ok(alice.get(f"{API}/runs?state=open")))["items"]
        return found if found and found[0]["steps"] and found[0]["steps"][0]["status"] == "intended" else None

    run = (await node.until(running))[0]["id"]
    await ok(alice.post(f"{API}/runs/{run}/pause", json={"reason": "wait"}))

    async def status(wanted):
        return (await ok(alice.get(f"{API}/runs/{run}")))["status"] == wanted

    await node.until(lambda: status("paused"))
    assert (
        "not in doubt"
        in said(await alice.post(f"{API}/runs/{run}/settle", json={"step": "drain", "happened": True}), 409)["detail"]
    )
    await ok(alice.post(f"{API}/runs/{run}/resume", json={}))
    await node.until(lambda: status("running"))
    await ok(alice.post(f"{API}/runs/{run}/cancel", json={"reason": "enough"}))
    node.action.open.set()
    await node.until(lambda: status("cancelled"))
    assert "an ended run is never changed" in said(await alice.post(f"{API}/runs/{run}/pause", json={}), 409)["detail"]
    said(await alice.post(f"{API}/runs/{run}/close", json={"reason": "x"}), 403)
    said(await alice.post(f"{API}/runs/{run}/close", json={"reason": "x", "force": True}), 409)


async def test_explain_says_why_and_what_would_change_it(node, alice, edge):
    await ok(edge.post("/hooks/alertmanager", json=alerts("Down")), 202)

    async def decided():
        return (await ok(alice.get(f"{API}/decisions?verdict=observe")))["items"]

    decision = (await node.until(decided))[0]["id"]
    told = await ok(alice.get(f"{API}/decisions/{decision}/explain"))
    assert told["sentence"].startswith("It only watched")
    assert told["counterfactuals"]
    one = await ok(alice.get(f"{API}/decisions/{decision}/explain?counterfactual=act"))
    assert [each["verdict"] for each in one["counterfactuals"]] in ([], ["act"])
    assert "none of" in said(await alice.get(f"{API}/decisions/{decision}/explain?counterfactual=x"), 400)["detail"]
    situation = await ok(alice.get(f"{API}/decisions/{decision}/situation"))
    assert situation["alert"]["labels"]["alertname"] == "Down"
    given = await ok(alice.post(f"{API}/decisions/{decision}/feedback", json={"says": "helpful", "text": "yes"}))
    assert given["says"] == "helpful"
    said(await alice.post(f"{API}/decisions/{decision}/feedback", json={"says": "lovely"}), 400)


async def test_people_mark_incidents_and_nobody_closes_what_fires(node, alice, vera, edge):
    await ok(edge.post("/hooks/alertmanager", json=alerts("Down")), 202)

    async def there():
        return (await ok(alice.get(f"{API}/incidents?state=open")))["items"]

    incident = (await node.until(there))[0]["id"]
    path = f"{API}/incidents/{incident}"
    said(await vera.post(f"{path}/acknowledge", json={}), 403)
    await ok(alice.post(f"{path}/acknowledge", json={"comment": "mine"}))
    said(await alice.post(f"{path}/comment", json={"comment": " "}), 400)
    await ok(alice.post(f"{path}/comment", json={"comment": "looking at web"}))
    assert "still fire" in said(await alice.post(f"{path}/close", json={}), 409)["detail"]
    await ok(alice.post(f"{path}/escalate", json={"comment": "help"}))
    await node.until(lambda: any("help" in notice.text for notice in node.told.notices))
    shown = await ok(alice.get(path))
    assert shown["phase"] == "acknowledged"
    assert shown["measures"]["acknowledge"]["count"] == 1
    assert "looking at web" in {each["sentence"] for each in shown["timeline"]}
    said(await alice.post(f"{API}/incidents/none/comment", json={"comment": "x"}), 404)
    alert = shown["alerts"][0]["id"]
    before = await node.store.count("decision")
    await ok(alice.post(f"{API}/alerts/{alert}/judge", json={}), 202)

    async def more():
        return await node.store.count("decision") > before

    await node.until(more)
    said(await alice.post(f"{API}/alerts/none/judge", json={}), 404)


# -- limits --------------------------------------------------------------------------------------------


async def test_holds_freezes_and_stops(node, alice, vera):
    hold = await ok(
        alice.post(f"{API}/holds", json={"scope": {"service": "component:default/web"}, "for": "1h", "reason": "mine"}),
        201,
    )
    longer = await ok(alice.post(f"{API}/holds/{hold['id']}/extend", json={"for": "2h"}))
    assert longer["until_at"] > hold["until_at"]
    assert [each["id"] for each in (await ok(vera.get(f"{API}/holds?state=open")))["items"]] == [hold["id"]]
    await ok(alice.post(f"{API}/holds/{hold['id']}/lift", json={"reason": "done"}))
    assert (await ok(vera.get(f"{API}/holds?state=open")))["items"] == []
    assert (await ok(vera.get(f"{API}/holds/{hold['id']}")))["lifted_by"] == "alice"
    for body, word in (
        ({"scope": {}, "reason": "x"}, "either 'for'"),
        ({"scope": {}, "for": "1h", "until": "2030-01-01T00:00:00Z", "reason": "x"}, "either 'for'"),
        ({"scope": {}, "for": "soon", "reason": "x"}, "is not a duration"),
        ({"scope": {}, "until": "2030-01-01T00:00:00", "reason": "x"}, "no time zone"),
        ({"scope": {}, "for": "8d", "reason": "x"}, "is more than 7d away"),
        ({"scope": {}, "for": "1h", "reason": ""}, "say why"),
    ):
        assert word in said(await alice.post(f"{API}/holds", json=body), 400)["detail"]
    start = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    freeze = await ok(
        alice.post(f"{API}/freezes", json={"scope": {}, "from": start, "for": "1h", "reason": "sale"}), 201
    )
    assert freeze["from_at"][:16] == start[:16]
    await ok(alice.post(f"{API}/freezes/{freeze['id']}/lift", json={"reason": "over"}))
    stop = await ok(alice.post(f"{API}/stops", json={}), 201)
    assert stop["reason"] == "no reason given"
    assert [each["id"] for each in (await ok(vera.get(f"{API}/status")))["stops"]] == [stop["id"]]
    said(await alice.post(f"{API}/stops/{stop['id']}/resume", json={"reason": ""}), 400)
    await ok(alice.post(f"{API}/stops/{stop['id']}/resume", json={"reason": "all clear"}))
    said(await alice.post(f"{API}/stops/{stop['id']}/resume", json={"reason": "again"}), 404)


async def test_a_grant_for_production_waits_for_a_second_person(alice, bob):
    body = {"rule": "shop/down", "level": "auto", "for": "7d", "reason": "tested", "environment": "prod"}
    grant = await ok(alice.post(f"{API}/grants", json=body), 201)
    assert grant["pending"]
    assert "another person" in said(await alice.post(f"{API}/grants/{grant['id']}/second", json={}), 403)["detail"]
    assert (await ok(bob.post(f"{API}/grants/{grant['id']}/second", json={})))["second"] == "bob"
    await ok(alice.post(f"{API}/grants/{grant['id']}/revoke", json={"reason": "enough"}))
    said(await alice.post(f"{API}/grants", json={**body, "level": "always"}), 400)
    said(await alice.post(f"{API}/grants", json={**body, "rule": "none"}), 404)


# -- what runs, and the ledger -------------------------------------------------------------------------


async def test_plan_and_apply_name_one_digest(node, alice, vera):
    active = await ok(vera.get(f"{API}/configuration"))
    assert active["folder"]["differs"] == 0
    said(await alice.post(f"{API}/configuration/apply", json={"digest": active["digest"], "reason": "x"}), 409)
    node.files["catalog/all.yaml"] = HOME["catalog/all.yaml"].replace(b"tier: gold", b"tier: silver")
    planned = await ok(vera.post(f"{API}/configuration/plan", json={}))
    assert planned["ok"]
    assert planned["files"] == ["catalog/all.yaml"]
    said(await vera.post(f"{API}/configuration/apply", json={"digest": planned["digest"]}), 403)
    said(await alice.post(f"{API}/configuration/apply", json={"digest": "0" * 64}), 409)
    made = await ok(
        alice.post(
            f"{API}/configuration/apply", json={"reason": "tier"}, headers={"If-Match": f'"{planned["digest"]}"'}
        )
    )
    assert made["by"] == "alice"
    assert (await ok(vera.get(f"{API}/services/web")))["tier"] == "silver"
    broken = {"watchkeeper.yaml": base64.b64encode(b"sources: 3").decode()}
    told = await ok(vera.post(f"{API}/configuration/plan", json={"files": broken}))
    assert not told["ok"]
    assert told["problems"][0]["file"] == "watchkeeper.yaml"
    said(await vera.post(f"{API}/configuration/plan", json={"files": {"a": "%"}}), 400)
    node.files["watchkeeper.yaml"] = b"sources: 3"
    refused = said(await alice.post(f"{API}/configuration/apply", json={"digest": "x"}), 422)
    assert "the active configuration stays" in refused["detail"]


async def test_rules_runbooks_and_services(vera):
    assert [each["name"] for each in (await ok(vera.get(f"{API}/rules")))["items"]] == ["shop/down", "shop/seen"]
    book = await ok(vera.get(f"{API}/runbooks/shop/mend"))
    assert book["handbook"].startswith("# shop/mend")
    assert book["used_by"] == ["shop/down", "shop/seen"]
    assert book["steps"][0]["call"]["arguments"]["url"] == "${target.url}/drain"
    cart = await ok(vera.get(f"{API}/services/component:default/cart"))
    assert [each["ref"] for each in cart["needs"]] == ["component:default/pay", "component:default/web"]
    web = await ok(vera.get(f"{API}/services/web"))
    assert "component:default/cart" in {each["ref"] for each in web["needed_by"]}
    for path in ("rules/shop/none", "runbooks/none", "services/none"):
        said(await vera.get(f"{API}/{path}"), 404)


async def test_the_ledger_proves_itself_over_http(node, alice, vera):
    kept = (await ok(vera.get(f"{API}/ledger/checkpoint")))["note"]
    for number in range(5):
        await ok(alice.post(f"{API}/holds", json={"scope": {}, "for": "1h", "reason": f"number {number}"}), 201)
    await node.engine.sequencer.step()
    size = await node.store.tree_size()
    newest = await ok(vera.get(f"{API}/ledger/entries?limit=2"))
    assert [each["index"] for each in newest["items"]] == [size - 1, size - 2]
    older = await ok(vera.get(f"{API}/ledger/entries?limit=1000&after={newest['next']}"))
    assert [each["index"] for each in older["items"]] == list(range(size - 3, -1, -1))
    assert older["next"] is None
    first = await ok(vera.get(f"{API}/ledger/entries?first=1&limit=2"))
    assert [each["index"] for each in first["items"]] == [1, 2]
    proof = await ok(vera.get(f"{API}/ledger/entries/1/proof"))
    assert proof["size"] == size
    said(await vera.get(f"{API}/ledger/entries/{size}/proof"), 400)
    assert (await ok(vera.get(f"{API}/ledger/consistency?from=1&to={size}")))["root"] == proof["root"]
    said(await vera.get(f"{API}/ledger/consistency?from={size + 1}"), 400)
    told = await ok(vera.post(f"{API}/ledger/verify", json={"against": kept}))
    assert told["ok"]
    assert told["against"]["ok"]
    world = node.store._world
    last = size - 1
    world.entries[last] = replace(world.entries[last], body=world.entries[last].body.replace(b'"hold"', b'"held"'))
    altered = await ok(vera.post(f"{API}/ledger/verify", json={}))
    assert [each["sentence"] for each in altered["faults"]] == [
        f"entry {last}: its bytes are not those that were hashed"
    ]
    forged = kept.replace("watchkeeper/test\n", "watchkeeper/else\n", 1)
    assert not (await ok(vera.post(f"{API}/ledger/verify", json={"against": forged})))["ok"]


# -- events, figures -----------------------------------------------------------------------------------


async def test_figures(node, edge, alice):
    await ok(edge.post("/hooks/alertmanager", json=alerts("Down")), 202)
    await node.until(lambda: node.engine.judge.counts)
    async with node.client() as near:
        text = (await near.get("/metrics")).text
        assert "watchkeeper_deliveries_accepted_total 1.0" in text
        assert 'watchkeeper_decisions_total{verdict="observe"} 1.0' in text
        assert 'watchkeeper_stage_seconds_count{stage="intake"} 1.0' in text
        said(await near.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}), 401)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(node.front, client=("192.0.2.1", 5)), base_url="http://localhost"
    ) as far:
        said(await far.get("/metrics"), 401)
        assert (
            await far.get("/metrics", headers={"Authorization": f"Bearer {node.tokens['vera']}"})
        ).status_code == 200


async def test_readiness_says_one_word(node, alice):
    async with node.client() as client:
        node.engine.outbox.failing["chat"] = "no answer"
        assert (await client.get("/readyz")).json() == {"status": "degraded"}
        node.engine.failed = "pipeline ended"
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "failed"})
        assert "retry-after" in answer.headers
        assert (await client.get("/healthz")).status_code == 200
        node.engine.failed = ""


async def test_a_notice_can_be_tried(node, alice):
    sent = await ok(alice.post(f"{API}/notify/test", json={}), 202)
    assert sent["routes"] == 1
    await node.until(lambda: node.told.notices)
    assert "there are" in said(await alice.post(f"{API}/notify/test", json={"route": "nowhere"}), 400)["detail"]

    async def listed():
        return (await ok(alice.get(f"{API}/messages?state=sent")))["items"]

    message = (await node.until(listed))[0]
    assert "127.0.0.1:9" not in json.dumps(message)


async def test_lists_are_paged_newest_first(node, alice):
    for number in range(5):
        await ok(alice.post(f"{API}/holds", json={"scope": {}, "for": "1h", "reason": f"{number}"}), 201)
    seen, after = [], ""
    while True:
        page = await ok(alice.get(f"{API}/holds?limit=2{after}"))
        seen += [each["reason"] for each in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == ["4", "3", "2", "1", "0"]


# -- over real sockets ---------------------------------------------------------------------------------


class Listening:
    """`serve` in a task, with its address."""

    def __init__(self, node: Served, home) -> None:
        self.node, self.home, self.stopping = node, home, asyncio.Event()
        self.address: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()

    async def __aenter__(self):
        settings = self.node.engine.world.configuration.settings

        def ready(host: str, port: int) -> None:
            self.address.set_result((host, port))

        self.task = asyncio.create_task(
            serve(self.node.engine, settings, self.home, "127.0.0.1", 0, ready=ready, stopping=self.stopping)
        )
        await asyncio.wait({self.task, self.address}, return_when=asyncio.FIRST_COMPLETED)
        if self.task.done():
            self.task.result()
        self.url = "http://{}:{}".format(*self.address.result())
        return self

    async def __aexit__(self, *_):
        self.stopping.set()
        await asyncio.wait_for(self.task, 10)

    def local(self) -> httpx2.AsyncClient:
        transport = httpx2.AsyncHTTPTransport(uds=str(self.home / SOCKET))
        return httpx2.AsyncClient(transport=transport, base_url="http://node")


async def test_both_listeners_and_a_stream_of_events(node, tmp_path):
    user = pwd.getpwuid(os.getuid()).pw_name
    async with Listening(node, tmp_path) as listening:
        path = tmp_path / SOCKET
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        async with listening.local() as local:
            assert (await ok(local.get(f"{API}/whoami")))["name"] == f"local:{user}"
        headers = {"Authorization": f"Bearer {node.tokens['alice']}"}
        async with httpx2.AsyncClient(base_url=listening.url, headers=headers) as near:
            assert (await ok(near.get(f"{API}/whoami")))["channel"] == "token"
            async with near.stream("GET", f"{API}/events") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                lines = stream.aiter_lines()
                assert (await anext(lines)).startswith("retry:")
                hold = await ok(near.post(f"{API}/holds", json={"scope": {}, "for": "1h", "reason": "seen"}), 201)
                found = [line async for line in _until_data(lines)]
            number = next(line for line in found if line.startswith("id: ")).removeprefix("id: ")
            assert "event: hold" in found
            data = json.loads(found[-1].removeprefix("data: "))
            assert (data["id"], data["document"]["reason"]) == (hold["id"], "seen")
            await ok(near.post(f"{API}/holds/{hold['id']}/lift", json={"reason": "later"}))
            async with near.stream("GET", f"{API}/events", headers={"Last-Event-ID": number}) as stream:
                found = [line async for line in _until_data(stream.aiter_lines())]
                assert json.loads(found[-1].removeprefix("data: "))["document"]["lifted_by"] == "alice"
            async with near.stream("GET", f"{API}/events", headers={"Last-Event-ID": "1"}) as stream:
                assert "event: reset" in [line async for line in _until_data(stream.aiter_lines())]
        await node.until(lambda: node.engine.scribe.watched_by == 0)
        async with httpx2.AsyncClient(base_url=listening.url) as nobody:
            said(await nobody.get(f"{API}/status"), 401)
            assert (await nobody.get("/healthz")).status_code == 200
            said(await nobody.get("/healthz", headers={"Host": "evil.example"}), 421)
    assert not path.exists()


async def _until_data(lines):
    async for line in lines:
        yield line
        if line.startswith("data:"):
            return


async def test_stopping_ends_open_streams_at_once(node, tmp_path):
    async with Listening(node, tmp_path) as listening:
        headers = {"Authorization": f"Bearer {node.tokens['alice']}"}
        async with (
            httpx2.AsyncClient(base_url=listening.url, headers=headers) as near,
            near.stream("GET", f"{API}/events") as stream,
        ):
            lines = stream.aiter_lines()
            await anext(lines)
            began = asyncio.get_running_loop().time()
            listening.stopping.set()
            assert [line async for line in lines if line.startswith("data")] == []
            await asyncio.wait_for(asyncio.shield(listening.task), 2.5)
            assert asyncio.get_running_loop().time() - began < 2.5


async def test_a_second_node_is_refused_and_a_left_over_socket_is_replaced(node, tmp_path):
    async with Listening(node, tmp_path):
        with pytest.raises(Rejected, match="another node serves this home"):
            async with Listening(node, tmp_path):
                pass
        assert (tmp_path / SOCKET).exists()
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET))
    async with Listening(node, tmp_path) as listening, listening.local() as local:
        assert (await local.get("/healthz")).status_code == 200


async def test_a_port_in_use_and_a_long_home_are_said(node, tmp_path):
    settings = node.engine.world.configuration.settings
    async with Listening(node, tmp_path) as listening:
        port = int(listening.url.rpartition(":")[2])
        with pytest.raises(Rejected, match=f"cannot listen on 127.0.0.1:{port}"):
            await serve(node.engine, settings, tmp_path / "other", "127.0.0.1", port)
        with pytest.raises(Rejected, match="longer than a socket's name may be"):
            await serve(node.engine, settings, tmp_path / ("x" * 100), "127.0.0.1", 0)


async def test_a_head_without_end_is_cut_off(node, tmp_path):
    async with Listening(node, tmp_path) as listening:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listening.url.rpartition(":")[2]))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        for _ in range(2 * (HEAD_BYTES_MAX + RECEIVED_AT_ONCE_MAX) // 4096):
            writer.write(b"x" * 4096)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
            assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400")
        writer.close()
        async with listening.local() as local:
            assert (await local.get("/healthz")).status_code == 200


WHOLE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET /heal", WHOLE + b"GET /healthz HTTP/1.1\r\nHos"])
async def test_a_connection_that_brings_no_whole_head_keeps_no_place(node, tmp_path, monkeypatch, sent):
    monkeypatch.setattr("watchkeeper.surface.api.serve.HEAD_WITHIN_S", 1.0)
    async with Listening(node, tmp_path) as listening:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listening.url.rpartition(":")[2]))
        writer.write(sent)
        found = await asyncio.wait_for(reader.read(), 30)  # until it is closed at the other end
        assert found.count(b"HTTP/1.1 200") == sent.count(WHOLE)
        writer.close()


async def test_empty_lines_after_an_answer_keep_no_place(node, tmp_path, monkeypatch):
    monkeypatch.setattr("watchkeeper.surface.api.serve.HEAD_WITHIN_S", 1.0)
    async with Listening(node, tmp_path) as listening:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listening.url.rpartition(":")[2]))
        writer.write(WHOLE)
        assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"HTTP/1.1 200")
        writer.write(b"\r\n")
        await asyncio.wait_for(reader.read(), 30)
        writer.close()


async def test_a_body_that_does_not_arrive_is_not_waited_for(node, tmp_path, monkeypatch):
    monkeypatch.setattr("watchkeeper.surface.api.door.BODY_WITHIN_S", 0.2)
    monkeypatch.setattr("watchkeeper.surface.api.hooks.BODY_WITHIN_S", 0.2)
    async with Listening(node, tmp_path) as listening:
        for path, token in (("/api/v1/holds", node.tokens["alice"]), ("/hooks/alertmanager", SECRETS["EDGE_TOKEN"])):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(listening.url.rpartition(":")[2]))
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 900\r\n\r\n"
            writer.write(head.encode() + b"{")
            assert (await asyncio.wait_for(reader.readline(), 30)).startswith(b"HTTP/1.1 408"), path
            writer.close()


async def test_large_deliveries_follow_each_other_on_one_connection(node, tmp_path):
    body = json.dumps(alerts("Down")).encode() + b" " * 700_000
    headers = {"Authorization": f"Bearer {SECRETS['EDGE_TOKEN']}"}
    async with (
        Listening(node, tmp_path) as listening,
        httpx2.AsyncClient(base_url=listening.url, headers=headers) as edge,
    ):
        for _ in range(3):
            await ok(edge.post("/hooks/alertmanager", content=body), 202)
            assert (await edge.get("/healthz")).status_code == 200


async def test_too_many_watchers_are_told_to_come_later(node, alice, monkeypatch):
    monkeypatch.setattr(node.engine.scribe, "_watchers", set(range(WATCHERS_MAX)))
    said(await alice.get(f"{API}/events"), 503)
