"""What tools say beside alerts: each field that matters, and the reason where one is missing."""

import json
from datetime import UTC, datetime

import pytest

from watchkeeper.errors import Malformed
from watchkeeper.signals.parse import parse
from watchkeeper.signals.said import Act, Stage
from watchkeeper.signals.signal import Delivery, Source, Standing

AT = datetime(2026, 3, 1, 10, 0, 5, tzinfo=UTC)


def taken(format_: str, body: object, event: str = ""):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    delivery = Delivery(
        id="dlv_1",
        source="there",
        format=format_,
        received_at=AT,
        headers={"x-github-event": event} if event else {},
        body=raw,
        sha256="",
    )
    return parse(delivery, Source(name="there", kind=format_, group="there"))


REPOSITORY = {"repository": {"full_name": "acme/web"}, "sender": {"login": "mira"}}
DEPLOYMENT = {
    "id": 71,
    "ref": "v1.4.0",
    "environment": "production",
    "created_at": "2026-03-01T10:00:00Z",
    "url": "https://api.github.com/repos/acme/web/deployments/71",
}


def status(state: str, at: str = "2026-03-01T10:04:00Z"):
    return {
        **REPOSITORY,
        "action": "created",
        "deployment": DEPLOYMENT,
        "deployment_status": {"id": 9, "state": state, "created_at": at, "environment": "production"},
    }


def test_a_deployment_and_its_end_are_one_change():
    began = taken("github", {**REPOSITORY, "action": "created", "deployment": DEPLOYMENT}, "deployment").changes[0]
    over = taken("github", status("success"), "deployment_status").changes[0]
    assert began.id == over.id
    assert (began.stage, over.stage, over.outcome) == (Stage.STARTED, Stage.ENDED, "success")
    assert (began.subject, began.environment, began.by) == ("acme/web", "production", "mira")
    assert began.title == "deploy v1.4.0 to production"


@pytest.mark.parametrize(
    ("state", "stage"),
    [
        ("queued", Stage.STARTED),
        ("in_progress", Stage.STARTED),
        ("success", Stage.ENDED),
        ("failure", Stage.ENDED),
        ("error", Stage.ENDED),
        ("inactive", Stage.ENDED),
    ],
)
def test_what_each_state_of_a_deployment_says(state, stage):
    assert taken("github", status(state), "deployment_status").changes[0].stage is stage


def test_a_release_takes_no_time_and_a_workflow_does():
    release = {
        **REPOSITORY,
        "action": "published",
        "release": {"tag_name": "v2", "published_at": "2026-03-01T09:00:00Z", "html_url": "https://github.com/x"},
    }
    found = taken("github", release, "release").changes[0]
    assert (found.kind, found.stage, found.title) == ("release", Stage.TOLD, "release v2")
    run = {"id": 5, "name": "Deploy", "created_at": "2026-03-01T10:00:00Z", "updated_at": "2026-03-01T10:05:00Z"}
    begun = taken("github", {**REPOSITORY, "action": "requested", "workflow_run": run}, "workflow_run").changes[0]
    run = {**run, "conclusion": "success"}
    over = taken("github", {**REPOSITORY, "action": "completed", "workflow_run": run}, "workflow_run").changes[0]
    assert begun.id == over.id
    assert (over.stage, over.outcome, over.title) == (Stage.ENDED, "success", "Deploy")


def test_what_is_no_change_is_passed_over():
    assert taken("github", {"zen": "x"}, "ping").changes == ()
    assert taken("github", {**REPOSITORY, "action": "created"}, "issues") == taken("github", {}, "star")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({**status("success"), "repository": {}}, "repository.full_name"),
        (status("dreaming"), "deployment_status.state"),
        (status("success", "yesterday"), "deployment_status.created_at"),
        ({**status("success"), "deployment": {**DEPLOYMENT, "id": "x"}}, "deployment.id"),
    ],
)
def test_a_field_that_is_missing_is_named_in_a_dead_letter(body, path):
    found = taken("github", body, "deployment_status")
    assert found.changes == ()
    assert [each.path for each in found.dead] == [path]


def pager(act: str = "incident.acknowledged", agent: object = None, **data: object):
    return {
        "event": {
            "id": "01CH754SM17TWPE2V2H4VPBRO7",
            "event_type": act,
            "resource_type": "incident",
            "occurred_at": "2026-03-01T10:00:00Z",
            "agent": agent if agent is not None else {"id": "PLH1HKV", "type": "user_reference", "summary": "Ann Lee"},
            "client": None,
            "data": {
                "id": "PGR0VU2",
                "type": "incident",
                "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
                "status": "acknowledged",
                "incident_key": "d3640fbd",
                "title": "web is slow",
                "service": {"id": "PF9KMXH", "type": "service_reference", "summary": "Web Shop"},
                **data,
            },
        }
    }


def test_who_acknowledged_and_whether_it_is_a_person():
    found = taken("pagerduty", pager()).acknowledgements[0]
    assert (found.act, found.human, found.by) == (Act.ACKNOWLEDGED, True, "Ann Lee")
    assert found.services == ("PF9KMXH", "Web Shop")
    robot = taken("pagerduty", pager(agent={"type": "inbound_integration_reference", "summary": "api"}))
    assert robot.acknowledgements[0].human is False
    assert taken("pagerduty", pager(agent=[])).acknowledgements[0].human is False
    assert taken("pagerduty", pager("incident.resolved")).acknowledgements[0].act is Act.RESOLVED


def test_other_events_of_a_pager_are_passed_over_and_broken_ones_kept():
    assert taken("pagerduty", pager("incident.annotated")).acknowledgements == ()
    assert taken("pagerduty", pager(service=None)).dead[0].path == "event.data.service"
    assert taken("pagerduty", pager(id=3)).dead[0].path == "event.data.id"
    with pytest.raises(Malformed, match="event"):
        taken("pagerduty", {"messages": []})


ALARM = {
    "AlarmName": "web-5xx",
    "AlarmDescription": "too many errors",
    "AWSAccountId": "123456789012",
    "NewStateValue": "ALARM",
    "NewStateReason": "Threshold Crossed",
    "StateChangeTime": "2026-03-01T10:00:00.000+0000",
    "Region": "EU (Ireland)",
    "OldStateValue": "OK",
    "Trigger": {
        "MetricName": "HTTPCode_ELB_5XX",
        "Namespace": "AWS/ApplicationELB",
        "Dimensions": [{"name": "LoadBalancer", "value": "app/web/50dc6c495c0c9188"}],
    },
}


def envelope(message: object, type_: str = "Notification"):
    text = message if isinstance(message, str) else json.dumps(message)
    return {"Type": type_, "MessageId": "m-1", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms", "Message": text}


def test_an_alarm_of_cloudwatch_becomes_a_signal_without_a_start():
    found = taken("sns", envelope(ALARM)).signals[0]
    assert (found.standing, found.start_stated) == (Standing.FIRING, False)
    assert found.labels["alertname"] == "web-5xx"
    assert found.labels["load_balancer"] == "app/web/50dc6c495c0c9188"
    assert found.annotations["summary"] == "Threshold Crossed"
    over = taken("sns", envelope({**ALARM, "NewStateValue": "OK"})).signals[0]
    assert over.standing is Standing.RESOLVED
    assert over.fingerprint == found.fingerprint


def test_an_alarm_that_cannot_see_says_nothing_and_what_is_no_alarm_is_kept():
    assert taken("sns", envelope({**ALARM, "NewStateValue": "INSUFFICIENT_DATA"})).signals == ()
    assert taken("sns", envelope({**ALARM, "NewStateValue": "?"})).dead[0].path == "Message.NewStateValue"
    assert taken("sns", envelope("hello")).dead[0].path == "Message"
    asked = taken("sns", envelope("You have chosen", "SubscriptionConfirmation")).dead[0]
    assert "confirm: true" in asked.why
    with pytest.raises(Malformed, match="raw message delivery"):
        taken("sns", ALARM)
