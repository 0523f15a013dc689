"""Over time: latencies of the pipeline, what comes in, how repairs end, how long incidents take, how much is up."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

from watchkeeper.learn.timing import length_text
from watchkeeper.surface.cli.metrics import percent
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, say, span, table, wrapped
from watchkeeper.surface.client import Problem

STAGES: Final = {
    "intake": "intake",
    "line": "time in line",
    "decided": "cause to decision",
    "effect": "cause to first effect",
    "step": "one effect",
    "verification": "verification",
    "commit": "one write",
}
BY: Final = {60_000: "minute", 3_600_000: "hour", 21_600_000: "6 hours"}
FOLDED_FROM: Final = 3  # rows in a row that say the same stand as one
NONE: Final = "-"
UNKNOWN: Final = "?"


def latency(stage: str = "", /, *, window: str = "1h", json: bool = False) -> int:
    """How long the stages of the pipeline take: median, 99th percentile, longest. With STAGE: over time.

    Parameters
    ----------
    stage
        intake, line, decided, effect, step, verification or commit.
    window
        1h (by the minute), 24h (by the hour) or 7d (by six hours).
    """
    found = here().client().get("/latency", {"window": _window(window)})
    if stage:
        return _stage(found, stage, json=json)
    if json:
        as_json(found)
        return Exit.DONE
    table(
        (
            Column(name="stage"),
            Column(name="count", right=True),
            Column(name="p50", right=True),
            Column(name="p99", right=True),
            Column(name="longest", right=True),
            Column(name="what", flex=True, spare=True),
        ),
        [(STAGES.get(each["stage"], each["stage"]), *_row(each["whole"]), each["what"]) for each in found["stages"]],
    )
    wrapped(f"Over the last {window}. {NONE}: nothing was measured. 'wk latency decided' shows it over time.")
    return Exit.DONE


def _stage(found: dict[str, Any], stage: str, *, json: bool) -> int:
    one = next((each for each in found["stages"] if each["stage"] == stage), None)
    if one is None:
        raise Ends(Exit.USAGE, f"no stage {stage!r}: {', '.join(each['stage'] for each in found['stages'])}")
    if json:
        as_json(one["points"])
        return Exit.DONE
    say(one["what"])
    table(
        (
            Column(name=BY.get(found["every_ms"], "from")),
            Column(name="count", right=True),
            Column(name="p50", right=True),
            Column(name="p99", right=True),
            Column(name="longest", right=True),
        ),
        folded([(at(each["at"]), *_row(each)) for each in one["points"]]),
    )
    wrapped(f"{NONE}: nothing was measured. {UNKNOWN}: the node did not run, so nobody knows.")
    return Exit.DONE


def folded(rows: Iterable[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Rows in a row that say the same of FOLDED_FROM times or more are one, from the first time to the last."""
    found: list[tuple[object, ...]] = []
    for _, same in groupby(rows, key=lambda row: row[1:]):
        alike = list(same)
        if len(alike) < FOLDED_FROM:
            found += alike
        else:
            found.append((f"{alike[0][0]} to {alike[-1][0]}", *alike[0][1:]))
    return found


def _row(point: dict[str, Any]) -> tuple[str, str, str, str]:
    if not point["watched"]:
        return UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN
    return (f"{point['count']:,}", _length(point["p50_us"]), _length(point["p99_us"]), _length(point["max_us"]))


def _length(us: int | None) -> str:
    return NONE if us is None else length_text(us)


def traffic(*, window: str = "1h", json: bool = False) -> int:
    """Signals that came, by what they were: news, repeated, suppressed at their source, beats, unread.

    Parameters
    ----------
    window
        1h (by the minute), 24h (by the hour) or 7d (by six hours).
    """
    found = here().client().get("/traffic", {"window": _window(window)})
    if json:
        as_json(found)
        return Exit.DONE
    names = list(found["what"])
    table(
        (Column(name=BY.get(found["every_ms"], "from")), *(Column(name=name, right=True) for name in names)),
        folded(
            (at(each["at"]), *(f"{each['counts'].get(name, 0):,}" if each["watched"] else UNKNOWN for name in names))
            for each in found["points"]
        ),
    )
    wrapped(
        f"{found['total']:,} signals over the last {window}, at most {found['peak']:,} at once. "
        f"{UNKNOWN}: the node did not run, so nobody knows."
    )
    return Exit.DONE


def _window(window: str) -> str:
    """The node knows which there are; a name that is empty would not reach it, and it would choose one itself."""
    if not window:
        raise Ends(Exit.USAGE, "--window is empty: say 1h, 24h or 7d")
    return window


def trend(service: str = "", /, *, days: int = 30, json: bool = False) -> int:
    """By day: how repairs ended, MTTD, MTTA, MTTR, uptime. With SERVICE: of one, without repairs.

    Parameters
    ----------
    service
        An entity, for example web or component:default/web.
    days
        How many, today included; at most 92. Days are UTC.
    """
    try:
        found = here().client().get("/trend", {"days": str(days), "service": service})
    except Problem as said:
        if said.status == 404:
            raise Ends(Exit.NO, f"no entity {service!r} in the active catalogue: wk catalog lists them") from said
        raise
    if json:
        as_json(found)
        return Exit.DONE
    names = ("incidents", "MTTD", "MTTA", "MTTR", "uptime")
    runs = () if service else ("repairs", "verified")
    table(
        (Column(name="day"), *(Column(name=name, right=True) for name in (*runs, *names))),
        folded(
            (
                each["day"],
                *(() if service else _repairs(each)),
                each["incidents"] if each["watched_ms"] or each["incidents"] else UNKNOWN,
                *(_span(each[name]) for name in ("detect_ms", "acknowledge_ms", "restore_ms")),
                percent(each["uptime_ppm"]) or UNKNOWN,
            )
            for each in found["items"]
        ),
    )
    wrapped(f"Days are UTC. {NONE}: nothing was measured. {UNKNOWN}: nobody knows.")
    return Exit.DONE


def _repairs(day: dict[str, Any]) -> tuple[object, str]:
    if day["runs"] is None:
        return UNKNOWN, UNKNOWN
    return day["repairs"], percent(day["success_ppm"]) or NONE


def _span(ms: int | None) -> str:
    return NONE if ms is None else span(ms)
