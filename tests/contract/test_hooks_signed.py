"""Each sender proves itself as it really does: Grafana, PagerDuty, GitHub by HMAC, SNS by a certificate of its own."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from served import HOME, SECRETS, SETTINGS, alerts, served
from watchkeeper.approve.people import Actor, Grant
from watchkeeper.errors import Unavailable
from watchkeeper.surface.api import sns_signature
from watchkeeper.surface.api.sns_signature import canonical, from_sns

KEY = SECRETS["HMAC"]
TOPIC = "arn:aws:sns:eu-west-1:123456789012:alarms"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123.pem"
SOURCES = """
  gra: {kind: grafana, credential: {hmac: {key: "env:HMAC"}}}
  grb: {kind: grafana, credential: {hmac: {key: "env:HMAC", header: X-Sig, timestamp: X-Sig-Time}}}
  pager: {kind: pagerduty, credential: {hmac: {key: "env:HMAC"}}, services: {"Web Shop": web}, hold_for: 30m}
  hub: {kind: github, credential: {hmac: {key: "env:HMAC"}}, services: {"acme/shop": web}, deploy_within: 20m}
  cloud: {kind: sns, topics: ["arn:aws:sns:eu-west-1:123456789012:alarms"], confirm: true}
"""
FILES = {**HOME, "watchkeeper.yaml": SETTINGS.replace("\nnotify:", SOURCES.rstrip() + "\nnotify:", 1).encode()}


def of_body(body: bytes, stamp: str = "") -> str:
    return hmac.new(KEY.encode(), (stamp.encode() + b":" if stamp else b"") + body, hashlib.sha256).hexdigest()


def stamp(seconds: int = 0) -> str:
    return str(int(datetime.now(UTC).timestamp()) + seconds)


async def post(client, path: str, body: bytes, **headers: str):
    sent = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await client.post(f"/hooks/{path}", content=body, headers=sent)


async def test_grafana_signs_the_body_in_hex():
    body = json.dumps(alerts("Seen", "Other")).encode()
    async with served(FILES) as node, node.client() as client:
        good = await post(client, "grafana", body, x_grafana_alerting_signature=of_body(body))
        assert (good.status_code, good.json()["source"]) == (202, "gra")
        wrong = await post(client, "grafana", body + b" ", x_grafana_alerting_signature=of_body(body))
        assert wrong.status_code == 401
        await node.until(lambda: node.engine.pipeline.taken == 1)
        assert await node.store.count("signal", {"source": "gra"}) == 2


async def test_grafana_with_a_time_stamp_bounds_a_replay():
    body = json.dumps(alerts("Seen")).encode()
    async with served(FILES) as node, node.client() as client:
        for seconds, status in ((0, 202), (-299, 202), (-302, 401), (302, 401)):
            at = stamp(seconds)
            answer = await post(client, "grafana", body, x_sig=of_body(body, at), x_sig_time=at)
            assert answer.status_code == status, seconds
        assert (await post(client, "grafana", body, x_sig=of_body(body))).status_code == 401
        assert node.engine.intake.accepted == 2


def ack(event: str = "E1", act: str = "incident.acknowledged", who: str = "user_reference", service: str = "Web Shop"):
    return json.dumps(
        {
            "event": {
                "id": event,
                "event_type": act,
                "occurred_at": datetime.now(UTC).isoformat(),
                "agent": {"id": "P1", "type": who, "summary": "Ann Lee"},
                "data": {"id": "PINC", "title": "slow", "service": {"id": "PSVC", "summary": service}},
            }
        }
    ).encode()


async def told(client, node, body: bytes) -> None:
    before = node.engine.pipeline.taken
    answer = await post(client, "pagerduty", body, x_pagerduty_signature=f"v1=00,v1={of_body(body)}")
    assert answer.status_code == 202, answer.text
    await node.until(lambda: node.engine.pipeline.taken == before + 1)


async def test_a_person_who_acknowledges_holds_the_service_and_a_resolve_ends_it():
    async with served(FILES) as node, node.client() as client:
        await told(client, node, ack("E0", who="inbound_integration_reference"))
        assert not node.engine.world.holds, "an integration is no person"
        await told(client, node, ack("E1"))
        hold = next(iter(node.engine.world.holds.values()))
        assert hold.scope.entity == "component:default/web"
        assert hold.by == "pager:Ann Lee"
        assert timedelta(minutes=29) < hold.until_at - node.clock.now() <= timedelta(minutes=30)
        await told(client, node, ack("E1"))
        assert list(node.engine.world.holds) == [hold.id], "said again it is the same"
        await told(client, node, ack("E2"))
        again = next(iter(node.engine.world.holds.values()))
        assert again.id == hold.id
        assert again.until_at > hold.until_at
        await told(client, node, ack("E3", "incident.resolved"))
        assert not node.engine.world.holds
        await told(client, node, ack("E1"))
        assert not node.engine.world.holds, "an old word that comes again holds nothing"
        await told(client, node, ack("E4", service="Nobody"))
        letter = (await node.store.find("dead_letter")).items[0]
        assert b"sources.pager.services" in letter.body


def deployment(state: str = "", repository: str = "acme/shop", environment: str = "staging") -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    body = {
        "action": "created",
        "repository": {"full_name": repository},
        "sender": {"login": "mira"},
        "deployment": {"id": 7, "ref": "v2", "environment": environment, "created_at": "2026-03-01T10:00:00Z"},
    }
    if state:
        body["deployment_status"] = {"state": state, "created_at": now.isoformat()}
    return json.dumps(body).encode()


async def pushed(client, node, body: bytes, event: str):
    before = node.engine.pipeline.taken
    signature = f"sha256={of_body(body)}"
    answer = await post(client, "github", body, x_hub_signature_256=signature, x_github_event=event)
    assert answer.status_code == 202, answer.text
    await node.until(lambda: node.engine.pipeline.taken == before + 1)


async def test_a_deploy_holds_its_service_until_it_ends():
    async with served(FILES) as node, node.client(await node.person("alice", "operator")) as client:
        await pushed(client, node, deployment(), "deployment")
        await pushed(client, node, deployment("in_progress"), "deployment_status")
        deploy = next(iter(node.engine.world.deploys.values()))
        assert deploy.service == "component:default/web"
        assert deploy.until_at is not None
        now = node.clock.now()
        wanted = Grant(
            id="", rule="shop/down", level="approve", at=now, until_at=now + timedelta(days=1), by="", reason="tested"
        )
        assert isinstance(await node.engine.limits.grant(Actor(name="root"), wanted), Grant)
        hook = await node.hook_token("default")
        await client.post("/hooks/alertmanager", json=alerts("Down"), headers={"authorization": f"Bearer {hook}"})

        async def decided():
            found = (await client.get("/api/v1/decisions")).json()["items"]
            return found[0] if found else None

        decision = await node.until(decided)
        assert decision["verdict"] == "hold"
        assert any(each["guard"] == "deploy" and each["outcome"] == "hold" for each in decision["findings"])
        listed = (await client.get("/api/v1/changes?state=open&service=web")).json()["items"]
        assert [each["title"] for each in listed] == ["deploy v2 to staging"]
        await pushed(client, node, deployment("success"), "deployment_status")
        assert not node.engine.world.deploys

        async def again():
            found = (await client.get("/api/v1/decisions")).json()["items"]
            return found[0]["verdict"] == "ask"

        await node.until(again)
        incident = (await client.get("/api/v1/incidents")).json()["items"][0]
        shown = (await client.get(f"/api/v1/incidents/{incident['id']}")).json()["changes"]
        assert [each["outcome"] for each in shown] == ["success"]
        await pushed(client, node, deployment("in_progress"), "deployment_status")
        assert not node.engine.world.deploys, "a late word of its beginning does not begin it again"


async def test_a_deploy_nobody_ends_is_ended_by_a_person_and_one_elsewhere_holds_nothing():
    async with served(FILES) as node, node.client(await node.person("alice", "operator")) as client:
        await pushed(client, node, deployment(repository="acme/unknown"), "deployment")
        assert not node.engine.world.deploys
        await pushed(client, node, deployment(), "deployment")
        identity = next(iter(node.engine.world.deploys))
        assert (await client.post(f"/api/v1/changes/{identity}/end", json={"reason": ""})).status_code == 400
        ended = await client.post(f"/api/v1/changes/{identity}/end", json={"reason": "it hung"})
        assert ended.json()["outcome"] == "ended by alice"
        assert not node.engine.world.deploys
        assert (await client.post(f"/api/v1/changes/{identity}/end", json={"reason": "x"})).status_code == 409


# -- SNS -------------------------------------------------------------------------------------------


def certificate(days: int = 30):
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return key, made.public_bytes(serialization.Encoding.PEM)


KEY_PAIR = certificate()


def message(version: str = "2", *, type_: str = "Notification", key=KEY_PAIR[0], late_s: int = 0, **more: str) -> bytes:
    at = datetime.now(UTC) - timedelta(seconds=late_s)
    alarm = {
        "AlarmName": "Seen",
        "NewStateValue": "ALARM",
        "StateChangeTime": at.isoformat(),
        "Trigger": {"Dimensions": [{"name": "service", "value": "web"}]},
    }
    found = {
        "Type": type_,
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Message": json.dumps(alarm),
        "Timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
        **(
            {"SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Confirm", "Token": "t"}
            if type_ != "Notification"
            else {}
        ),
        **more,
    }
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    found["Signature"] = base64.b64encode(key.sign(canonical(found), padding.PKCS1v15(), algorithm)).decode()
    return json.dumps(found).encode()


@pytest.fixture
async def cloud(monkeypatch):
    monkeypatch.setattr(sns_signature, "_certificates", sns_signature._Certificates())
    async with served(FILES) as node, node.client() as client:
        node.asked = []

        async def fetch(url: str) -> bytes:
            node.asked.append(url)
            return KEY_PAIR[1]

        node.engine.fetch = fetch
        yield node, client


@pytest.mark.parametrize("version", ["1", "2"])
async def test_both_versions_of_the_signature_are_taken_and_the_certificate_is_fetched_once(cloud, version):
    node, client = cloud
    for subject in ({}, {"Subject": "ALARM: Seen"}):
        answer = await post(client, "sns", message(version, **subject))
        assert (answer.status_code, answer.json()["source"]) == (202, "cloud"), answer.text
    assert node.asked == [CERTIFICATE_URL]
    await node.until(lambda: node.engine.pipeline.taken == 2)
    assert await node.store.count("alert", {"source": "cloud", "state": "firing"}) == 1


async def test_what_sns_did_not_sign_is_refused(cloud):
    node, client = cloud
    stranger = certificate()[0]
    altered = message().replace(b'\\"web\\"', b'\\"pay\\"')
    for body in (
        altered,
        message(key=stranger),
        message("3"),
        message(TopicArn=TOPIC + "x"),
        message(SigningCertURL="https://sns.eu-west-1.amazonaws.com.evil.example/a.pem"),
        message(SigningCertURL="http://sns.eu-west-1.amazonaws.com/a.pem"),
        message(SigningCertURL="https://evil@sns.eu-west-1.amazonaws.com/a.pem"),
        message(late_s=3_700),
        b"{}",
        b"no",
    ):
        answer = await post(client, "sns", body)
        assert answer.status_code == 401, body
    assert set(node.asked) <= {CERTIFICATE_URL}
    assert node.engine.intake.accepted == 0
    assert (await post(client, "sns", message(late_s=3_500))).status_code == 202


async def test_a_certificate_that_ran_out_is_refused_and_one_that_cannot_be_had_is_tried_again(cloud):
    node, client = cloud
    key, old = certificate(days=-1)

    async def fetch(_url: str) -> bytes:
        return old

    node.engine.fetch = fetch
    assert (await post(client, "sns", message(key=key))).status_code == 401

    async def fails(_url: str) -> bytes:
        raise Unavailable("no route")

    node.engine.fetch = fails
    later = await post(client, "sns", message())
    assert later.status_code == 503
    assert later.headers["retry-after"]


async def test_a_subscription_is_confirmed_where_the_source_says_so(cloud):
    node, client = cloud
    answer = await post(client, "sns", message(type_="SubscriptionConfirmation"))
    assert answer.json() == {"confirmed": True, "source": "cloud"}
    assert node.asked[-1] == "https://sns.eu-west-1.amazonaws.com/?Action=Confirm"
    count = len(node.asked)
    elsewhere = message(type_="SubscriptionConfirmation", SubscribeURL="https://evil.example/")
    assert (await post(client, "sns", elsewhere)).status_code == 202
    assert len(node.asked) == count, "nobody else is asked"


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://sns.us-east-1.amazonaws.com/a.pem", True),
        ("https://sns.us-gov-west-1.amazonaws.com/a.pem", True),
        ("https://sns.cn-north-1.amazonaws.com.cn/a.pem", True),
        ("https://sns.us-east-1.amazonaws.com:8443/a.pem", False),
        ("https://sns.amazonaws.com.evil.example/a.pem", False),
        ("https://sns-us-east-1.amazonaws.com/a.pem", False),
        ("https://s3.us-east-1.amazonaws.com/a.pem", False),
        ("https://x.sns.us-east-1.amazonaws.com/a.pem", False),
        ("https://sns.us-east-1.amazonaws.com@evil.example/a.pem", False),
        ("https://[", False),
    ],
)
def test_only_sns_is_asked(url, good):
    assert from_sns(url) is good
