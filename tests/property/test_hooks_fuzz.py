"""Whatever arrives at a hook: an answer below 500 or a 503, nothing lost that was acknowledged, nothing kept that was not."""

import asyncio
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from served import HOME, SECRETS, SETTINGS, Served, alerts, basic, signed

PATHS = st.sampled_from(
    [
        "alertmanager",
        "alertmanager-events",
        "grafana",
        "cloudevents",
        "generic/jobs",
        "generic/no",
        "heartbeat/nightly",
        "sns",
        "pagerduty",
        "github",
        "",
        "../status",
    ]
) | st.text(max_size=30)
METHODS = st.sampled_from(["POST"] * 8 + ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "X"])
WORDS = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
BATCHES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.sampled_from(["firing", "resolved"]) | JSON,
            "labels": st.dictionaries(WORDS, WORDS, max_size=4) | JSON,
            "annotations": JSON,
            "startsAt": st.sampled_from(["2026-03-01T10:00:00Z", "0001-01-01T00:00:00Z", "now"]) | JSON,
            "endsAt": JSON,
            "fingerprint": WORDS | JSON,
        },
    ),
    max_size=4,
).map(lambda each: json.dumps({"alerts": each}).encode())
WHOLE = json.dumps(alerts("Down", "Seen")).encode()
CUT = st.integers(0, len(WHOLE)).map(lambda at: WHOLE[:at])
PLAIN = st.binary(max_size=200) | JSON.map(lambda each: json.dumps(each).encode()) | BATCHES | CUT
CREDENTIALS = st.sampled_from(
    [
        "",
        f"Bearer {SECRETS['EDGE_TOKEN']}",
        basic("grafana", SECRETS["BASIC"]),
        "JOBS",
        "BACKUPS",
        "EVENTS",
        "PAGER",
        "HUB",
        "Bearer",
        "hmac",
    ]
) | st.text(max_size=40)
FILES = {
    **HOME,
    "watchkeeper.yaml": SETTINGS.replace(
        "\nnotify:",
        "\n  pager: {kind: pagerduty}\n  hub: {kind: github}\n"
        '  cloud: {kind: sns, topics: ["arn:aws:sns:eu-west-1:123456789012:alarms"]}\nnotify:',
        1,
    ).encode(),
}
SAID = st.fixed_dictionaries(
    {},
    optional={
        "event": st.fixed_dictionaries(
            {"event_type": st.just("incident.acknowledged"), "id": WORDS, "data": JSON, "agent": JSON}
        ),
        "repository": JSON,
        "deployment": st.dictionaries(st.sampled_from(["id", "created_at", "ref"]), JSON),
        "action": st.just("created"),
        "Type": st.sampled_from(["Notification", "SubscriptionConfirmation"]) | JSON,
        "TopicArn": st.just("arn:aws:sns:eu-west-1:123456789012:alarms") | JSON,
        "SignatureVersion": st.sampled_from(["1", "2"]) | JSON,
        "Signature": WORDS | JSON,
        "SigningCertURL": st.just("https://sns.eu-west-1.amazonaws.com/a.pem") | JSON,
        "Timestamp": JSON,
    },
).map(lambda each: json.dumps(each).encode())
TYPES = st.sampled_from(
    ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json", "text/plain", ""]
)
LATIN = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20)
EXTRA = st.dictionaries(
    st.sampled_from(["ce-id", "ce-source", "ce-type", "ce-specversion", "ce-x", "x-github-event"]), LATIN, max_size=5
)


BODIES = PLAIN | SAID


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(METHODS, PATHS, BODIES, CREDENTIALS, TYPES, EXTRA), min_size=1, max_size=8))
def test_every_request_is_answered_and_what_is_acknowledged_is_kept(requests) -> None:
    asyncio.run(_all(requests))


async def _all(requests) -> None:
    node = Served(FILES)
    await node.start()
    try:
        tokens = {name.upper(): await node.hook_token(name) for name in ("jobs", "backups", "events", "pager", "hub")}
        acknowledged = []
        for method, path, body, credential, kind, extra in requests:
            headers = {"content-type": kind, **extra}
            if credential == "hmac":
                headers["x-watchkeeper-signature"] = signed(SECRETS["HMAC"], body)
            else:
                headers["authorization"] = f"Bearer {tokens[credential]}" if credential in tokens else credential
            status, answer = await _send(node, method, f"/hooks/{path}", headers, body)
            assert status < 500 or status == 503, (status, answer)
            if status < 300:
                acknowledged.append(json.loads(answer)["id"])
            else:
                assert json.loads(answer)["status"] == status
        for identity in acknowledged:
            assert await node.store.delivery(identity) is not None
        await node.until(lambda: node.engine.pipeline.taken == len(acknowledged))
        assert not node.engine.failed
        assert await node.store.deliveries(100) == ()
        for letter in (await node.store.find("dead_letter", limit=1000)).items:
            assert json.loads(letter.body)["delivery"] in acknowledged
    finally:
        await node.engine.stop()


async def _send(node: Served, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    """Straight to the application, so that no client tidies up what is sent."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            *[(key.encode(), value.encode("latin-1", "replace")) for key, value in headers.items()],
        ],
        "client": ("127.0.0.1", 1),
    }
    pieces = [body[: len(body) // 2], body[len(body) // 2 :]]
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: dict) -> None:
        sent.append(message)

    await node.front(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
