"""Calendars, freeze status and breakers as an operator types and reads them, against a real node."""

from pathlib import Path

import pytest
from test_cli import Up, wk

from calendars import ics

ENTRIES = """\
- {name: year-end, file: year-end.ics, kind: freeze, scope: {}, zone: Europe/Berlin}
- {name: board, url: "http://127.0.0.1:1/private.ics", kind: maintenance, scope: {system: example}}
"""
YEAR_END = ics("UID:1\nDTSTART;VALUE=DATE:20251223\nDTEND;VALUE=DATE:20260103\nRRULE:FREQ=YEARLY\nSUMMARY:Year end")


@pytest.fixture
def node(tmp_path: Path):
    home = tmp_path / "home"
    assert wk(home, "init").code == 0
    (home / "calendars").mkdir()
    (home / "calendars" / "calendars.yaml").write_text(ENTRIES)
    (home / "calendars" / "year-end.ics").write_bytes(YEAR_END)
    up = Up(home)
    try:
        up.ready()
        assert wk(home, "identity", "add", "--me").code == 0
        yield up
    finally:
        up.end()


def test_what_is_closed_and_until_when_and_what_is_left_alone(node: Up) -> None:
    home = node.home
    closed = wk(home, "--utc", "freeze", "status", "--at", "2026-12-24T12:00:00Z", "--scope", "service=web")
    assert closed.code == 1
    assert "until" in closed.out
    assert "Year end (year-end:20261222T2300Z-" in closed.out
    opened = wk(home, "freeze", "status", "--at", "2026-06-01T00:00:00Z", "--json")
    assert (opened.code, opened.json["state"]) == (0, "open")
    assert opened.json["next"]["from_at"] == "2026-12-22T23:00:00Z"
    assert wk(home, "freeze", "status", "--at", "soon").code == 2
    assert wk(home, "freeze", "set", "--scope", "system=example", "--for", "1h", "--reason", "sale").code == 0
    now = wk(home, "freeze", "status", "--scope", "service=web")
    assert (now.code, "sale (frz_" in now.out) == (1, True)

    listed = wk(home, "calendars")
    assert listed.code == 0
    assert "board cannot be read" in listed.out
    assert "private" not in listed.out
    assert wk(home, "calendars", "show", "year-end").out.startswith("year-end: ")
    assert wk(home, "calendars", "read", "board").code == 1
    assert wk(home, "calendars", "show", "none").code == 1
    assert "calendar board cannot be read" in wk(home, "status").out

    assert "No breaker is open" in wk(home, "breakers").out
    assert wk(home, "breakers", "--json").json == {"breakers": [], "brakes": []}
    assert wk(home, "breakers", "close", "brk_123456", "--reason", "x").code == 1
    assert wk(home, "breakers", "release", "brd_123456", "--reason", " ").code == 2

    (home / "calendars" / "year-end.ics").write_bytes(YEAR_END.replace(b"20260103", b"20251103"))
    wrong = wk(home, "check")
    assert wrong.code == 1
    assert "calendars/year-end.ics:4" in wrong.out + wrong.err
    assert "DTEND: lies before DTSTART" in wrong.out + wrong.err
