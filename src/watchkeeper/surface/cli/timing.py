"""How the node itself does: latencies of its pipeline, and what comes in, over time."""

from typing import Any, Final

from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, say, table, wrapped

STAGES: Final = {
    "intake": "intake",
    "line": "time in line",
    "decided": "accepted to decided",
    "effect": "accepted to first effect",
    "step": "one effect",
    "verification": "verification",
    "commit": "one write",
}
BY: Final = {60_000: "minute", 3_600_000: "hour", 21_600_000: "6 hours"}
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
    found = here().client().get("/latency", {"window": window})
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
        [(at(each["at"]), *_row(each)) for each in one["points"]],
    )
    wrapped(f"{NONE}: nothing was measured. {UNKNOWN}: the node did not run, so nobody knows.")
    return Exit.DONE


def _row(point: dict[str, Any]) -> tuple[str, str, str, str]:
    if not point["watched"]:
        return UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN
    return (f"{point['count']:,}", length(point["p50_us"]), length(point["p99_us"]), length(point["max_us"]))


def length(us: int | None) -> str:
    """`640 µs`, `7.7 ms`, `1.2 s`; `-` of none."""
    if us is None:
        return NONE
    if us < 1_000:
        return f"{us} µs"
    if us < 1_000_000:
        return f"{us / 1_000:.1f} ms" if us < 100_000 else f"{us // 1_000} ms"
    return f"{us / 1_000_000:.1f} s" if us < 60_000_000 else f"{us // 60_000_000} min {us // 1_000_000 % 60} s"


def traffic(*, window: str = "1h", json: bool = False) -> int:
    """Signals that came, by what they were: news, repeated, suppressed at their source, beats, unread.

    Parameters
    ----------
    window
        1h (by the minute), 24h (by the hour) or 7d (by six hours).
    """
    found = here().client().get("/traffic", {"window": window})
    if json:
        as_json(found)
        return Exit.DONE
    names = list(found["what"])
    table(
        (Column(name=BY.get(found["every_ms"], "from")), *(Column(name=name, right=True) for name in names)),
        [
            (at(each["at"]), *(f"{each['counts'].get(name, 0):,}" if each["watched"] else UNKNOWN for name in names))
            for each in found["points"]
        ],
    )
    wrapped(
        f"{found['total']:,} signals over the last {window}, at most {found['peak']:,} at once. "
        f"{UNKNOWN}: the node did not run, so nobody knows."
    )
    return Exit.DONE
