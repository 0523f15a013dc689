"""The small parts of the door: names, pace, keys, spans, logs."""

import io
import json
from datetime import UTC, datetime

import pytest
import structlog

from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.approve.people import Actor
from watchkeeper.engine.answer import No
from watchkeeper.engine.scribe import Scribe
from watchkeeper.errors import Conflict, Malformed, Rejected, Unavailable, Untrusted
from watchkeeper.report.scrub import Scrubber
from watchkeeper.surface import logs
from watchkeeper.surface.api import problems
from watchkeeper.surface.api.bodies import moment, until
from watchkeeper.surface.api.hosts import known, loopback, name_of
from watchkeeper.surface.api.kept import KEPT_FOR_MS, KEY_CHARS_MAX, Keeper, Taken, kept_key
from watchkeeper.surface.api.node import header
from watchkeeper.surface.api.pace import CALLERS_MAX, Pace
from watchkeeper.values import after_ms

AT = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:8420", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:8420", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("", ""),
        (":80", ""),
    ],
)
def test_the_name_of_a_host_header(host, name) -> None:
    assert name_of(host) == name


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.9", "::1", "[::1]", "a.localhost", "LocalHost"])
def test_names_of_this_machine(host) -> None:
    assert loopback(host)
    assert known(host, ())


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "192.0.2.1", "localhost.example", "127.0.0.1.example", "notlocalhost", "::2", "1"]
)
def test_names_of_others(host) -> None:
    assert not loopback(host)
    assert not known(host, ())


def test_configured_names_are_known_with_any_port_and_a_final_dot() -> None:
    hosts = ("Node.Example", "192.0.2.1")
    assert known("node.example:8420", hosts)
    assert known("node.example.", hosts)
    assert known("192.0.2.1", hosts)
    assert not known("other.example", hosts)
    assert not known("", ("",))
    assert not known("x.node.example", hosts)


def test_a_header_given_twice_is_no_header() -> None:
    assert header({"headers": [(b"host", b" a ")]}, b"host") == "a"
    assert header({"headers": [(b"host", b"a"), (b"host", b"b")]}, b"host") == ""
    assert header({"headers": []}, b"host") == ""


def test_pace_lets_one_second_of_the_rate_through_and_then_its_rate() -> None:
    now = 100.0
    pace = Pace(lambda: 4, lambda: now)
    assert [pace.allows("ann") for _ in range(5)] == [True] * 4 + [False]
    assert pace.allows("bob")
    now += 0.25
    assert [pace.allows("ann") for _ in range(2)] == [True, False]
    now += 60
    assert [pace.allows("ann") for _ in range(5)] == [True] * 4 + [False]
    assert [pace.allows("eve", 1) for _ in range(2)] == [True, False]


def test_pace_remembers_a_bounded_number_of_callers() -> None:
    pace = Pace(lambda: 1, lambda: 0.0)
    for number in range(CALLERS_MAX + 10):
        pace.allows(str(number))
    assert len(pace._full) == CALLERS_MAX


def test_keys_of_requests() -> None:
    assert kept_key([]) == ""
    assert kept_key(["abc"]) == "abc"
    assert kept_key(['"abc"']) == "abc"
    assert kept_key(["x" * KEY_CHARS_MAX]) == "x" * KEY_CHARS_MAX
    for bad in (["x" * (KEY_CHARS_MAX + 1)], [""], ['""'], ["a", "b"], ["a\x00"]):
        found = kept_key(bad)
        assert isinstance(found, No), bad
        assert "Idempotency-Key" in found.detail


def test_for_or_until() -> None:
    assert until(AT, "1h", "") == AT.replace(hour=11)
    assert until(AT, "", "2026-03-01T12:00:00+01:00") == AT.replace(hour=11)
    assert until(AT, "1h", "", AT.replace(hour=12)) == AT.replace(hour=13)
    assert until(AT, "1h", "", AT.replace(hour=8)) == AT.replace(hour=11)
    for span, end in (("", ""), ("1h", "2026-03-01T12:00:00Z"), ("1 hour", ""), ("", "noon"), ("99999999d", "")):
        assert isinstance(until(AT, span, end), No)
    assert moment("from", "", AT) == AT
    assert isinstance(moment("from", "9999999-01-01", AT), No)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable("the writer's queue is full"), 503),
        (Malformed("after", "is not a cursor"), 400),
        (Rejected("no"), 422),
        (Conflict("read again"), 409),
        (Untrusted("a hash does not fit."), 503),
        (ZeroDivisionError("secret inside"), 503),
    ],
)
def test_what_is_raised_becomes_what_the_caller_does_next(error, status) -> None:
    answer = problems.of_error(error)
    told = json.loads(answer.body)
    assert (answer.status_code, told["status"]) == (status, status)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "secret inside" not in answer.body.decode()


def test_a_problem_keeps_its_five_members() -> None:
    told = json.loads(problems.body_of(409, "changed", "d", {"status": 1, "detail": 2, "digest": "x"}))
    assert told == {"type": "about:blank", "title": "changed", "status": 409, "detail": "d", "digest": "x"}


@pytest.fixture
def configured():
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_the_log_is_one_object_a_line_without_known_secrets(configured) -> None:
    to = io.StringIO()
    logs.configure(lambda: Scrubber(["hunter2-hunter2"]), to=to)
    log = structlog.get_logger("x")
    log.info("said hunter2-hunter2", deep={"list": ["hunter2-hunter2", 3, None, True]}, raw=b"hunter2-hunter2")
    log.debug("not said")
    try:
        raise ValueError("hunter2-hunter2")
    except ValueError:
        log.exception("broke")
    lines = [json.loads(line) for line in to.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["info", "error"]
    assert "hunter2" not in to.getvalue()
    assert lines[0]["deep"]["list"][1:] == [3, None, True]
    assert "ValueError" in lines[1]["exception"]
    assert lines[0]["timestamp"].endswith("Z")


class _Clock:
    now_at = AT

    def now(self) -> datetime:
        return self.now_at

    def monotonic_ms(self) -> int:
        return 0


async def test_a_kept_answer_is_kept_for_a_day_and_then_forgotten() -> None:
    clock, store = _Clock(), MemoryStore()
    keeper = Keeper(Scribe(store, clock, lambda size: b"\x00" * size))
    ann = Actor(name="ann")
    for key in ("a", "b"):
        taken = await keeper.begin(ann, key, "POST /x", b"{}")
        assert isinstance(taken, Taken)
        assert taken.fresh
        await keeper.keep(taken, 201, b'{"id":1}')
    clock.now_at = after_ms(AT, KEPT_FOR_MS)
    again = await keeper.begin(ann, "a", "POST /x", b"{}")
    assert isinstance(again, Taken)
    assert (again.fresh, again.status, again.body) == (False, 201, '{"id":1}')
    clock.now_at = after_ms(AT, KEPT_FOR_MS + 1)
    fresh = await keeper.begin(ann, "a", "POST /y", b"{}")
    assert isinstance(fresh, Taken)
    assert fresh.fresh
    assert await store.count("answered") == 1


async def test_a_key_left_by_another_process_is_not_carried_out_again() -> None:
    store = MemoryStore()
    ann = Actor(name="ann")
    await Keeper(Scribe(store, _Clock(), lambda size: b"\x00" * size)).begin(ann, "a", "POST /x", b"{}")
    found = await Keeper(Scribe(store, _Clock(), lambda size: b"\x00" * size)).begin(ann, "a", "POST /x", b"{}")
    assert isinstance(found, No)
    assert (found.status, "this node stopped while" in found.detail) == (409, True)


def test_no_answer_of_the_api_is_kept_or_guessed_at_also_a_problem() -> None:
    for found in (problems.problem(404, "x", "y"), problems.problem(503, "later", "z")):
        assert found.headers["cache-control"] == "no-store"
        assert found.headers["x-content-type-options"] == "nosniff"
    assert problems.problem(429, "x", "y", headers={"Retry-After": "1"}).headers["retry-after"] == "1"
