"""What a hook refuses: the sender hears no, the operator reads why."""

import json

import pytest
from test_hooks_signed import FILES
from test_hooks_signed import post as posted_to

from served import HOME, SETTINGS, alerts, served
from watchkeeper.surface.api.refusals import HOOKS_MAX, LOGGED_EVERY_MS, Refusals
from watchkeeper.surface.cli.place import Place, go
from watchkeeper.surface.cli.sources import refused
from watchkeeper.values import after_ms, instant


async def listed(client, path: str):
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return {each["hook"]: each for each in answer.json()["items"]}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "it bears no Authorization; default, edge, grafana may post here"),
        (
            {"authorization": "Bearer wk_abc_def"},
            "its token is unknown, expired or revoked: wk token create --source default",
        ),
        ({"authorization": "Bearer nonsense"}, "its bearer credential is none of default, edge, grafana"),
        ({"authorization": "the-secret-itself"}, "its Authorization is neither 'Bearer TOKEN' nor basic"),
        ({"authorization": "Basic bm86bm8="}, "its basic credential is none of default, edge, grafana"),
    ],
)
async def test_the_operator_reads_why_a_post_was_refused_and_the_sender_does_not(headers, why):
    files = {
        **HOME,
        "watchkeeper.yaml": SETTINGS.replace("  events: {kind: cloudevents", "  events: {kind: github").encode(),
    }
    async with served(files) as node, node.client(await node.person("alice", "viewer")) as client:
        sent = await node.client().post("/hooks/alertmanager", json=alerts("Down"), headers=headers)
        assert sent.status_code == 401
        assert "edge" not in sent.text
        (found,) = (await listed(client, "/api/v1/refusals")).values()
        assert (found["hook"], found["count"], found["why"]) == ("/hooks/alertmanager", 1, why)
        await node.client().post("/hooks/alertmanager", json=alerts("Down"), headers=headers)
        assert (await listed(client, "/api/v1/refusals"))["/hooks/alertmanager"]["count"] == 2
        text = (await client.get("/metrics")).text
        assert 'watchkeeper_hook_refusals_total{hook="/hooks/alertmanager"} 2.0' in text


async def test_a_token_of_somebody_else_is_named():
    async with served(FILES) as node, node.client(await node.person("alice", "viewer")) as client:
        body = json.dumps(alerts("Down")).encode()
        wrong = await node.hook_token("pager")
        await client.post("/hooks/alertmanager", content=body, headers={"authorization": f"Bearer {wrong}"})
        found = (await listed(client, "/api/v1/refusals"))["/hooks/alertmanager"]
        assert found["why"].startswith(
            "its token is that of source pager; default, edge, grafana, events, gra and more"
        )
        await client.post("/hooks/alertmanager", content=body)
        found = (await listed(client, "/api/v1/refusals"))["/hooks/alertmanager"]
        assert found["why"].startswith("its token is that of a person or program, not of a source")


async def test_a_signature_that_does_not_match_and_a_topic_that_nobody_named_are_said():
    async with served(FILES) as node, node.client(await node.person("alice", "viewer")) as client:
        await posted_to(node.client(), "github", b"{}", x_hub_signature_256="sha256=00", x_github_event="ping")
        await posted_to(node.client(), "pagerduty", b"{}")
        found = await listed(client, "/api/v1/refusals")
        assert (
            found["/hooks/github"]["why"]
            == "X-Hub-Signature-256 does not match the key of hub, or its time is too far off"
        )
        assert (
            found["/hooks/pagerduty"]["why"]
            == "it bears no Authorization, nor X-PagerDuty-Signature; pager may post here"
        )
        sent = await posted_to(
            node.client(), "sns", b'{"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:x"}'
        )
        assert "not signed by SNS for a topic" in sent.json()["detail"]
        found = (await listed(client, "/api/v1/refusals"))["/hooks/sns"]
        assert (
            found["why"]
            == "topic arn:aws:sns:eu-west-1:1:x is on the list of no source: add it to 'topics:', then wk apply"
        )


async def test_a_hook_that_no_source_is_named_for_says_what_to_do():
    async with served() as node, node.client(await node.person("alice", "viewer")) as client:
        assert (await node.client().post("/hooks/github", json={})).status_code == 401
        found = (await listed(client, "/api/v1/refusals"))["/hooks/github"]
        assert (
            found["why"] == "no source of the active configuration posts here: add one under 'sources:', then wk apply"
        )


def test_refusals_are_counted_for_so_many_hooks_and_logged_once_a_minute(caplog, monkeypatch):
    said: list[dict[str, object]] = []
    monkeypatch.setattr(
        "watchkeeper.surface.api.refusals.log", type("L", (), {"warning": lambda _, __, **more: said.append(more)})()
    )
    at, found = instant("2026-03-02T09:00:00Z"), Refusals()
    for ms in (0, 1, LOGGED_EVERY_MS - 1, LOGGED_EVERY_MS):
        found.refuse("/hooks/sns", after_ms(at, ms), f"why {ms}")
    assert [each["refused"] for each in said] == [1, 4]
    (only,) = found.listed()
    assert (only.count, only.why, only.at) == (4, f"why {LOGGED_EVERY_MS}", after_ms(at, LOGGED_EVERY_MS))
    for number in range(HOOKS_MAX + 1):
        found.refuse(f"/hooks/generic/{number}", at, "")
    assert len(found.listed()) == HOOKS_MAX


def test_what_a_person_reads():
    go(Place(utc=True))
    said = refused(
        {"hook": "/hooks/sns", "count": 2, "at": "2025-03-02T09:00:00Z", "why": "its signature does not hold"}
    )
    assert said.startswith("/hooks/sns refused 2 posts, the last ")
    assert said.endswith(": its signature does not hold")
    go(Place())
