"""Alertmanager's event recorder: each event that matters, those that do not, and the reason where one cannot be read."""

import json
from datetime import UTC, datetime

import pytest

from recorder_events import AS_ENCODED, AT, FINGERPRINT, SILENCE, event, muted_alert, silence, silenced
from watchkeeper.errors import Malformed
from watchkeeper.signals.parse import parse
from watchkeeper.signals.recorded import Because, Recorded, Silence
from watchkeeper.signals.signal import Delivery, Parsed, Source
from watchkeeper.signals.statement import ELEMENTS_MAX

THEN = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)


def parsed(body: object) -> Parsed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    delivery = Delivery(
        id="dlv_1", source="am", format="alertmanager-events", received_at=AT, headers={}, body=raw, sha256=""
    )
    return parse(delivery, Source(name="am", kind="alertmanager", group="am"))


def recorded(body: object) -> Recorded:
    found = parsed(body)
    assert found.signals == ()
    assert found.dead == ()
    assert found.recorded is not None
    return found.recorded


def why(body: object) -> tuple[str, str]:
    found = parsed(body)
    assert found.recorded is not None
    assert not found.recorded.mutings
    (dead,) = found.dead
    return dead.path, dead.why


def encoded(name: str) -> Recorded:
    return recorded(AS_ENCODED[name].replace("\n", " ").encode())


def test_a_silenced_alert_names_the_silence_its_author_and_its_end():
    found = encoded("silenceMutedAlert")
    (muting,) = found.mutings
    assert (muting.fingerprint, muting.because, muting.name, muting.at) == (
        FINGERPRINT,
        Because.SILENCED,
        SILENCE,
        THEN,
    )
    assert muting.labels == {"alertname": "Down", "service": "web"}
    assert found.silences == (
        Silence(
            id=SILENCE,
            by="ann",
            comment="disk swap",
            ends_at=datetime(2026, 3, 2, 10, 0, 0, 123456, tzinfo=UTC),
            updated_at=datetime(2026, 3, 2, 8, 55, 0, 123456, tzinfo=UTC),
        ),
    )
    assert (found.events, found.latest_at) == ({"silenceMutedAlert": 1}, THEN)


def test_an_inhibited_alert_names_the_alert_that_inhibits_it_and_the_rule():
    (muting,) = encoded("inhibitionMutedAlert").mutings
    assert (muting.because, muting.name, muting.rule) == (Because.INHIBITED, "000000000000001f", "host-down")
    assert muting.fingerprint == FINGERPRINT


def test_a_silence_that_is_told_of_mutes_nothing_by_itself():
    found = encoded("silenceUpdated")
    assert (found.mutings, [each.id for each in found.silences]) == ((), [SILENCE])


@pytest.mark.parametrize(("name", "resolved"), [("alertResolved", True), ("notification", False)])
def test_an_end_and_a_notification_let_an_alert_go(name, resolved):
    (letting,) = encoded(name).lettings
    assert (letting.fingerprint, letting.resolved, letting.at) == (FINGERPRINT, resolved, THEN)


def test_a_notification_about_what_resolved_says_nothing_of_what_fires():
    details = {"fingerprint": "5", "resolved": True}
    assert (
        recorded(event({"notification": {"alerts": [{"hash": "1", "details": details}, {"hash": "2"}]}})).lettings == ()
    )


@pytest.mark.parametrize(
    "name", ["alertmanagerStartupEvent", "alertmanagerShutdownEvent", "alertCreated", "alertGrouped"]
)
def test_what_says_nothing_of_muting_is_counted_and_passed_over(name):
    found = encoded(name)
    assert (found.mutings, found.lettings, found.silences, found.events) == ((), (), (), {name: 1})


def test_a_type_that_a_later_release_brings_is_counted_and_passed_over():
    assert recorded(event({"timeIntervalMutedAlert": {"x": [1]}})).events == {"timeIntervalMutedAlert": 1}
    assert recorded({"data": {}}).events == {"": 1}
    assert recorded({"data": {"alertCreated": 7}}).events == {"alertCreated": 1}, "nobody looks into it"


def test_a_field_that_a_later_release_brings_is_passed_over():
    body = silenced()
    body["data"]["silenceMutedAlert"]["groupInfo"] = {"receiverName": "x"}
    assert len(recorded({**body, "more": 1}).mutings) == 1


def test_a_fingerprint_may_be_a_number_and_keeps_its_zeros():
    body = silenced()
    body["data"]["silenceMutedAlert"]["mutedAlert"]["fingerprint"] = 31
    assert recorded(body).mutings[0].fingerprint == "000000000000001f"


def test_a_good_event_beside_a_bad_one_is_taken():
    found = parsed([silenced(), {"data": {"silenceMutedAlert": {"silence": {}}}}, 7, silenced()])
    assert found.recorded is not None
    assert len(found.recorded.mutings) == 2
    assert found.recorded.events == {"silenceMutedAlert": 2}
    assert [(each.path, each.why[:25]) for each in found.dead] == [
        ("[1].@timestamp", "is missing, or no time: t"),
        ("[2]", "expected `object`, got `i"),
    ]


@pytest.mark.parametrize(
    ("fingerprint", "said"),
    [
        ("", "''"),
        ("0", "'0'"),
        ("-1", "'-1'"),
        ("fedcba9876543210", "'fedcba9876543210'"),
        ("18446744073709551616", "'18446744073709551616'"),
        ("9" * 5000, f"'{'9' * 40}'"),
    ],
)
def test_what_is_no_fingerprint_is_a_dead_letter_that_says_so(fingerprint, said):
    body = silenced()
    body["data"]["silenceMutedAlert"]["mutedAlert"]["fingerprint"] = fingerprint
    assert why(body) == (
        "data.silenceMutedAlert.mutedAlert.fingerprint",
        f"{said} is no fingerprint: expected a number of 64 bits, in digits",
    )


def test_the_largest_fingerprint_is_one():
    body = silenced("ffffffffffffffff")
    assert recorded(body).mutings[0].fingerprint == "ffffffffffffffff"


@pytest.mark.parametrize(
    ("data", "path", "said"),
    [
        ({"silenceMutedAlert": {"mutedAlert": muted_alert()}}, "data.silenceMutedAlert", "`silence`"),
        (
            {"silenceMutedAlert": {"silence": {**silence(), "id": ""}, "mutedAlert": muted_alert()}},
            "data.silenceMutedAlert.silence.id",
            "is empty",
        ),
        (
            {"silenceMutedAlert": {"silence": {**silence(), "endsAt": "soon"}, "mutedAlert": muted_alert()}},
            "data.silenceMutedAlert.silence.endsAt",
            "RFC3339",
        ),
        ({"inhibitionMutedAlert": {}}, "data.inhibitionMutedAlert", "`mutedAlert`"),
        ({"alertResolved": {"alert": {"hash": "1"}}}, "data.alertResolved.alert.details", "which alert resolved"),
        ({"silenceUpdated": []}, "data.silenceUpdated", "`object`"),
    ],
)
def test_an_event_that_cannot_be_read_says_which_field(data, path, said):
    found = why(event(data))
    assert found[0] == path
    assert said in found[1]


@pytest.mark.parametrize("body", [b"7", b"{}", b'"x"', b'{"data": 1}'])
def test_what_is_no_event_is_a_dead_letter(body):
    assert len(parsed(body).dead) == 1


def test_an_array_that_is_cut_is_malformed():
    with pytest.raises(Malformed, match="not JSON"):
        parsed(b'[{"data": {}},')


def test_more_events_than_are_taken_say_so():
    quiet = {"data": {"alertCreated": {}}}
    found = parsed([quiet] * (ELEMENTS_MAX + 1))
    assert found.recorded is not None
    assert found.recorded.events == {"alertCreated": ELEMENTS_MAX}
    assert "the first 10000 were taken" in found.dead[0].why
    assert parsed([quiet] * ELEMENTS_MAX).dead == ()


def test_a_comment_of_many_lines_is_one_and_bounded():
    body = silenced(by=silence(comment="disk\n  swap " + "x" * 1000))
    assert recorded(body).silences[0].comment.startswith("disk swap xxx")
    assert len(recorded(body).silences[0].comment) <= 300
