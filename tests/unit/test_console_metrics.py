"""The page of metrics on a node without a past: what it measured, and no month of "unknown"."""

from typing import Any

import pytest

from watchkeeper.surface.console.pages.metrics import (
    DAYS_LEAST,
    LINE_LEAST,
    begins,
    least_up,
    looked_at,
    plotted,
    unlooked,
)
from watchkeeper.surface.console.pages.sources import folded


def day(number: int, uptime_ppm: int | None = None, **more: Any) -> dict[str, Any]:
    empty = {"success_ppm": None, "detect_ms": None, "acknowledge_ms": None, "restore_ms": None, "incidents": 0}
    return {"day": f"2026-11-{number:02}", "watched_ms": 0, "runs": {}, "uptime_ppm": uptime_ppm, **empty, **more}


@pytest.mark.parametrize(
    ("first", "of", "gone"), [(29, 30, 23), (23, 30, 23), (22, 30, 22), (0, 30, 0), (5, 6, 0), (0, 1, 0)]
)
def test_days_before_the_node_began_are_left_out_and_a_week_stays(first: int, of: int, gone: int) -> None:
    days = [day(1 + place % 28, 999_000 if place >= first else None) for place in range(of)]
    assert unlooked(days, looked_at, DAYS_LEAST) == gone


def test_where_nobody_ever_looked_nothing_is_left_out() -> None:
    assert unlooked([day(1 + place % 28) for place in range(30)], looked_at, DAYS_LEAST) == 0


@pytest.mark.parametrize("measured", [0, 1, LINE_LEAST - 1, LINE_LEAST])
def test_few_points_are_a_figure_and_not_a_line(measured: int) -> None:
    days = [day(place + 1, 990_000 if place >= 7 - measured else None) for place in range(7)]
    uptime = next(one for one in plotted(days) if one["name"] == "Uptime")
    assert (uptime["picture"] is not None) is (measured >= LINE_LEAST)
    assert uptime["figure"] == ("99 %" if 0 < measured < LINE_LEAST else "")


def signal(at: int, name: str = "Down", standing: str = "firing", **more: Any) -> dict[str, Any]:
    labels = {"alertname": name, "instance": more.pop("instance", "web-1")}
    received_at = f"2026-11-26T12:00:{at:02}Z"
    return {
        "source": "prom",
        "kind": "alert",
        "labels": labels,
        "standing": standing,
        "received_at": received_at,
        **more,
    }


def test_the_same_said_again_is_one_row_with_how_often_and_since_when() -> None:
    newest_first = [
        signal(9),
        signal(8, "Slow"),
        signal(7),
        signal(6, standing="resolved"),
        signal(5, instance="web-2"),
        signal(4),
    ]
    shown = [
        (row["name"], row["where"], row["standing"], row["count"], row["at"][17:19], row["since"][17:19])
        for row in folded(newest_first)
    ]
    assert shown == [
        ("Down", "web-1", "firing", 3, "09", "04"),
        ("Slow", "web-1", "firing", 1, "08", "08"),
        ("Down", "web-1", "resolved", 1, "06", "06"),
        ("Down", "web-2", "firing", 1, "05", "05"),
    ]


def test_a_signal_without_labels_has_its_row_too() -> None:
    beat = {"source": "cron", "kind": "beat", "name": "nightly", "received_at": "2026-11-26T12:00:00Z"}
    assert [(row["name"], row["where"], row["count"]) for row in folded([beat, beat])] == [("nightly", "", 2)]


def test_the_table_begins_with_what_was_up_least_and_ends_with_what_nobody_measured():
    def service(name, uptime):
        return {"service": name, "metrics": [{"name": "metrics.uptime", "value": uptime}]}

    found = sorted(
        [service("c", None), service("a", 999_000), service("b", 10), service("d", 0), {"service": "e", "metrics": []}],
        key=least_up,
    )
    assert [one["service"] for one in found] == ["d", "b", "a", "c", "e"]


@pytest.mark.parametrize(
    ("asked", "first"),
    [("", 0), ("100", 100), ("150", 100), ("199", 100), ("200", 200), ("250", 200), ("251", 0), ("300", 0)]
    + [(text, 0) for text in ("-1", "x", "١٠٠", "9" * 30)],
)
def test_pages_of_services_begin_on_a_hundred(asked, first):
    assert begins(asked, 251) == first
