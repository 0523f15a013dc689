"""One look against what was expected."""

import pytest

from watchkeeper.verify.judge import judge
from watchkeeper.verify.sample import Seen

OK = {
    "status": 200,
    "body": '{"db": {"ok": true, "lag": 3}, "list": [{"n": 1}]}',
    "headers": {"X-Version": "7"},
    "took_ms": 40,
}


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({}, ""),
        ({"status": 200}, ""),
        ({"status": "200"}, ""),
        ({"status": "2xx"}, ""),
        ({"status": [204, 200]}, ""),
        ({"status": 204}, "status 200, expected 204"),
        ({"status": "5xx"}, "status 200, expected '5xx'"),
        ({"status": [500, "4xx"]}, "status 200, expected [500, '4xx']"),
        ({"contains": "lag"}, ""),
        ({"contains": ["lag", "db"]}, ""),
        ({"contains": ["lag", "error"]}, "the body does not contain 'error'"),
        ({"headers": {"x-version": "7"}}, ""),
        ({"headers": {"x-version": 7}}, ""),
        ({"headers": {"x-version": "8"}}, "header x-version is '7', expected '8'"),
        ({"headers": {"x-other": "8"}}, "header x-other is absent, expected '8'"),
        ({"json": {"db.ok": True}}, ""),
        ({"json": {"$.db.lag": 3, "list.0.n": 1}}, ""),
        ({"json": {"db.ok": 1}}, "db.ok is True, expected 1"),
        ({"json": {"db.lag": 4}}, "db.lag is 3, expected 4"),
        ({"json": {"db.none": 4}}, "the body has no db.none, expected 4"),
        ({"json": {"list.9.n": 4}}, "the body has no list.9.n, expected 4"),
        ({"json": {"db.lag.deeper": 4}}, "the body has no db.lag.deeper, expected 4"),
        ({"within_ms": 40}, ""),
        ({"within_ms": 39}, "it answered in 40 ms, expected within 39 ms"),
    ],
)
def test_http(expect, words):
    assert judge("http", expect, OK) == ((Seen.UNHEALTHY, words) if words else (Seen.HEALTHY, ""))


def test_http_without_an_expectation_wants_a_2xx():
    assert judge("http", {}, {"status": 500})[0] is Seen.UNHEALTHY
    assert judge("http", {}, {"status": 299})[0] is Seen.HEALTHY
    assert judge("http", {}, {"status": 300})[0] is Seen.UNHEALTHY


def test_a_refused_connection_is_unhealthy_and_a_missing_answer_is_nothing():
    assert judge("http", {}, {"connected": False, "why": "refused"}) == (Seen.UNHEALTHY, "refused")
    assert judge("http", {}, {"connected": False}) == (Seen.UNHEALTHY, "no connection")
    assert judge("http", {}, {}) == (Seen.NOTHING, "the probe gave no status")
    assert judge("http", {}, {"why": "no route"}) == (Seen.NOTHING, "no route")


def test_a_body_that_is_no_json_is_unhealthy():
    assert judge("http", {"json": {"a": 1}}, {"status": 200, "body": "<html>"}) == (
        Seen.UNHEALTHY,
        "the body is no JSON: '<html>'",
    )
    assert judge("http", {"json": {"a": 1}}, {"status": 200, "body": b'{"a": 1}'})[0] is Seen.HEALTHY
    deep = judge("http", {"json": {"a": 1}}, {"status": 200, "body": '{"a":' + "[" * 60_000})
    assert (deep[0], deep[1][:20]) == (Seen.UNHEALTHY, "the body is no JSON:"), "a target's answer never ends a process"
    long = judge("http", {"json": {"a": 1}}, {"status": 200, "body": "x" * 500})[1]
    assert long.endswith("…")
    assert len(long) < 130


@pytest.mark.parametrize(
    ("probe", "expect", "words"),
    [
        ("http", {"status": "ok"}, "expect.status is 'ok', not a whole number"),
        ("http", {"status": True}, "expect.status is True, not a whole number"),
        (
            "http",
            {"statuss": 1},
            "expect.statuss means nothing to http; it knows contains, headers, json, status, within_ms",
        ),
        ("http", {"json": "x"}, "expect.json is 'x', not a map"),
        ("http", {"headers": "x"}, "expect.headers is 'x', not a map"),
        ("http", {"within_ms": "soon"}, "expect.within_ms is 'soon', not a whole number"),
        ("ping", {}, "no probe is called 'ping'; there are http, tcp, command, promql"),
    ],
)
def test_an_expectation_that_cannot_be_read_sees_nothing(probe, expect, words):
    assert judge(probe, expect, OK) == (Seen.NOTHING, words)


def test_tcp():
    assert judge("tcp", {}, {"connected": True})[0] is Seen.HEALTHY
    assert judge("tcp", {}, {"connected": False, "why": "refused"}) == (Seen.UNHEALTHY, "refused")
    assert judge("tcp", {}, {"connected": False}) == (Seen.UNHEALTHY, "no connection")
    assert judge("tcp", {}, {}) == (Seen.NOTHING, "the probe gave no connected")
    assert judge("tcp", {"within_ms": 5}, {"connected": True, "took_ms": 6})[0] is Seen.UNHEALTHY
    assert judge("tcp", {"within_ms": 5}, {"connected": True})[0] is Seen.NOTHING


def test_command():
    assert judge("command", {}, {"exit": 0})[0] is Seen.HEALTHY
    assert judge("command", {}, {"exit": 3, "stderr": "inactive\n"}) == (
        Seen.UNHEALTHY,
        "exit code 3, expected 0: inactive",
    )
    assert judge("command", {"exit": 3}, {"exit": 3})[0] is Seen.HEALTHY
    assert judge("command", {"exit": 3}, {"exit": 0}) == (Seen.UNHEALTHY, "exit code 0, expected 3")
    assert judge("command", {"contains": "active"}, {"exit": 0, "stdout": "active"})[0] is Seen.HEALTHY
    assert judge("command", {"contains": "active"}, {"exit": 0, "stdout": ""}) == (
        Seen.UNHEALTHY,
        "the output does not contain 'active'",
    )
    assert judge("command", {}, {"exit": True})[0] is Seen.NOTHING


def series(*values):
    return {"samples": [{"labels": {"job": "api", "i": str(n)}, "value": value} for n, value in enumerate(values)]}


@pytest.mark.parametrize(
    ("expect", "values", "seen"),
    [
        ({"value": "< 0.05"}, ("0.04",), Seen.HEALTHY),
        ({"value": "< 0.05"}, ("0.05",), Seen.UNHEALTHY),
        ({"value": "<= 0.05"}, ("0.05",), Seen.HEALTHY),
        ({"value": "<= 0.05"}, ("0.0500001",), Seen.UNHEALTHY),
        ({"value": ">1"}, ("1",), Seen.UNHEALTHY),
        ({"value": ">= 1"}, ("1",), Seen.HEALTHY),
        ({"value": "== 1"}, ("1.0",), Seen.HEALTHY),
        ({"value": "!= 1"}, ("1.0",), Seen.UNHEALTHY),
        ({"value": 1}, ("1",), Seen.HEALTHY),
        ({"value": "1"}, ("2",), Seen.UNHEALTHY),
        ({"above": 1}, ("2",), Seen.HEALTHY),
        ({"above": 1, "below": 2}, ("2",), Seen.UNHEALTHY),
        ({"at_least": 1, "at_most": 2}, ("1", "2"), Seen.HEALTHY),
        ({"equals": 1}, ("1", "2"), Seen.UNHEALTHY),
        ({"equals": 1, "any": True}, ("2", "1"), Seen.HEALTHY),
        ({"equals": 1, "any": True}, ("2", "3"), Seen.UNHEALTHY),
        ({"below": 1}, ("+Inf",), Seen.UNHEALTHY),
        ({"above": 1}, ("NaN",), Seen.NOTHING),
        ({"above": 1}, (True,), Seen.NOTHING),
        ({"above": "x"}, ("1",), Seen.NOTHING),
        ({}, ("1",), Seen.NOTHING),
        ({"any": True}, ("1",), Seen.NOTHING),
        ({"above": 1}, (), Seen.NOTHING),
    ],
)
def test_promql(expect, values, seen):
    assert judge("promql", expect, series(*values))[0] is seen


def test_promql_says_which_series():
    assert judge("promql", {"below": "0.05"}, series("0.01", "0.5")) == (
        Seen.UNHEALTHY,
        '{i="1", job="api"} is 0.5, expected < 0.05',
    )
    assert judge("promql", {"below": 1}, {}) == (Seen.NOTHING, "the query returned no series")
    assert judge("promql", {"below": 1}, {"samples": [3]}) == (Seen.NOTHING, "a sample is None, not a number")
