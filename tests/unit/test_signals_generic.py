import json
from datetime import UTC, datetime

import pytest

from watchkeeper.errors import Malformed
from watchkeeper.signals.generic import read_mapping
from watchkeeper.signals.parse import parse
from watchkeeper.signals.signal import Delivery, Parsed, Source, Standing

NOW = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
SOURCE = Source(name="zbx", kind="generic", group="zbx")
MAPPING = {
    "each": "items",
    "status": {"from": "state", "firing": ["down", "critical"], "resolved": ["up"]},
    "labels": {
        "alertname": {"const": "ProbeDown"},
        "service": "items[].service",
        "site": "$.site.name",
        "tag": "tags[1]",
        "severity": {"from": "level", "map": {"5": "critical", "4": "major"}, "default": "warning"},
        "instance": {"from": "host.name", "required": True},
    },
    "annotations": {"summary": "message"},
    "starts_at": "since",
    "ends_at": "until",
    "fingerprint": "check",
    "url": "link",
}


def item(**changes: object) -> dict[str, object]:
    fields = {
        "state": "down",
        "service": "pay",
        "tags": ["a", "b"],
        "level": 5,
        "host": {"name": "h1"},
        "message": "no answer",
        "since": 1_772_359_140,
        "check": "c-17",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def read(*items: object, mapping: dict[str, object] = MAPPING, **document: object) -> Parsed:
    body = json.dumps({"site": {"name": "north"}, "items": list(items), **document}).encode()
    return read_bytes(body, mapping)


def read_bytes(body: bytes, mapping: dict[str, object]) -> Parsed:
    fields = {"id": "dlv_1", "source": "zbx", "format": "generic", "received_at": NOW, "headers": {}, "sha256": ""}
    return parse(Delivery(**fields, body=body), SOURCE, read_mapping(mapping))


def test_an_item_becomes_a_signal_by_the_mapping():
    (signal,) = read(item(link="http://z/1")).signals
    assert signal.labels == {
        "alertname": "ProbeDown",
        "service": "pay",
        "site": "north",
        "tag": "b",
        "severity": "critical",
        "instance": "h1",
    }
    assert signal.annotations == {"summary": "no answer"}
    assert signal.starts_at == datetime(2026, 3, 1, 9, 59, tzinfo=UTC)
    assert signal.url == "http://z/1"
    assert signal.start_stated
    assert signal.standing is Standing.FIRING


@pytest.mark.parametrize(("level", "expected"), [(5, "critical"), ("4", "major"), (3, "warning"), (None, "warning")])
def test_words_are_mapped_and_the_default_takes_the_rest(level, expected):
    assert read(item(level=level)).signals[0].labels["severity"] == expected


def test_a_word_without_a_default_stays_as_it_is():
    labels = {"alertname": {"const": "A"}, "severity": {"from": "level", "map": {"5": "critical"}}}
    assert read(item(level="odd"), mapping={**MAPPING, "labels": labels}).signals[0].labels["severity"] == "odd"


def test_the_same_check_has_one_fingerprint_firing_and_resolved():
    firing, resolved = read(item(), item(state="up", until="2026-03-01T10:00:00Z")).signals
    assert firing.fingerprint == resolved.fingerprint
    assert (resolved.standing, resolved.ends_at) == (Standing.RESOLVED, NOW)


def test_no_start_is_not_stated():
    (signal,) = read(item(since=None)).signals
    assert not signal.start_stated
    assert signal.starts_at == NOW


@pytest.mark.parametrize(
    ("changes", "path", "why"),
    [
        ({"state": None}, "items[1].state", "is missing"),
        ({"state": "odd"}, "items[1].state", "'odd' is no status of this source; expected critical, down, up"),
        ({"host": None}, "items[1].host.name", "is missing, and the source's mapping requires it"),
        ({"host": {"name": ""}}, "items[1].host.name", "is missing"),
        ({"service": ["a"]}, "items[1].service", "neither text, number nor boolean"),
        ({"since": "noon"}, "items[1].since", "is no time"),
        ({"since": True}, "items[1].since", "is no time"),
        ({"since": 1e300}, "items[1].since", "is no time"),
    ],
)
def test_a_missing_path_is_a_dead_letter_naming_it(changes, path, why):
    parsed = read(item(), item(**changes), item())
    assert len(parsed.signals) == 2
    (dead,) = parsed.dead
    assert dead.path == path
    assert why in dead.why
    assert json.loads(dead.body) == item(**changes)


def test_an_item_that_is_no_object_is_a_dead_letter():
    assert [dead.path for dead in read(7).dead] == ["items[0].state"]


def test_the_document_may_be_the_item_or_the_list():
    mapping = {"status": "status", "labels": {"alertname": "name"}}
    one = {"status": "firing", "name": "A"}
    assert read_bytes(json.dumps(one).encode(), mapping).signals[0].labels == {"alertname": "A"}
    listed = read_bytes(json.dumps([one, one]).encode(), {**mapping, "each": "[]"})
    assert len(listed.signals) == 2


def test_a_status_can_be_constant():
    mapping = {"status": {"const": "resolved"}, "labels": {"alertname": "name"}}
    assert read_bytes(b'{"name": "A"}', mapping).signals[0].standing is Standing.RESOLVED


@pytest.mark.parametrize("body", [b"", b"nope", b'{"items": 7}', b'{"item": []}', b"[" * 100_000])
def test_what_cannot_be_read_is_malformed(body):
    with pytest.raises(Malformed):
        read_bytes(body, MAPPING)


def test_a_generic_source_without_a_mapping_says_so():
    fields = {"id": "d", "source": "zbx", "format": "generic", "received_at": NOW, "headers": {}, "sha256": ""}
    with pytest.raises(Malformed, match="source zbx: is generic and has no mapping"):
        parse(Delivery(**fields, body=b"{}"), SOURCE)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"status": None}, "mapping.status"),
        ({"status": {"from": "a", "firing": ["x"], "resolved": ["x"]}}, "mapping.status.resolved"),
        ({"status": {"from": "a", "odd": 1}}, "mapping.status"),
        ({"status": {"const": "odd"}}, "mapping.status.const"),
        ({"labels": {}}, "mapping.labels"),
        ({"labels": {"a": "b..c"}}, "mapping.labels.a"),
        ({"labels": {"a": "b[x]"}}, "mapping.labels.a"),
        ({"labels": {"a": 7}}, "mapping.labels.a"),
        ({"labels": {"a": {"from": "x", "const": "y"}}}, "mapping.labels.a"),
        ({"labels": {"a": {"const": [1]}}}, "mapping.labels.a.const"),
        ({"labels": {"a": {"from": "x", "required": "yes"}}}, "mapping.labels.a.required"),
        ({"labels": {"a": ".".join("x" * 17)}}, "mapping.labels.a"),
        ({"labels": {f"l{i}": "x" for i in range(129)}}, "mapping.labels"),
        ({"starts_at": ""}, "mapping.starts_at"),
        ({"each": 7}, "mapping.each"),
        ({"start": "since"}, "mapping.start"),
    ],
)
def test_a_wrong_mapping_is_named_field_by_field(change, path):
    with pytest.raises(Malformed) as wrong:
        read_mapping({**MAPPING, **change})
    assert wrong.value.path == path


def test_a_mapping_without_status_says_what_to_write():
    with pytest.raises(Malformed, match=r"mapping\.status: is missing; write for example"):
        read_mapping({"labels": {"alertname": "a"}})
