"""Availability of services, and their objectives: what the node measured, and how old it is."""

from typing import Any

from watchkeeper.surface.cli.look import nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, bare, lasts, pairs, safe, say, span, table, wrapped
from watchkeeper.surface.client import Problem, segment

PPM = 1_000_000
LISTED = 200


def metrics(service: str = "", /, *, window: str = "", limit: int = LISTED, json: bool = False) -> int:
    """Uptime, times to detect, acknowledge and restore, failovers, error budget. With SERVICE: one, in full.

    Parameters
    ----------
    service
        An entity, for example web or component:default/web.
    window
        Such as 7d or 12h, at most 90d; without it the home's own (30d).
    """
    if service:
        return _service(service, window, json=json)
    found = here().client().get("/metrics", {"window": window})["items"][:limit]
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("Nothing was measured yet", {}, "A probe of this node, or an incident, begins it.")
    table(
        (
            Column(name="service", flex=True),
            Column(name="uptime", right=True),
            Column(name="watched by", spare=True),
            Column(name="MTTD", right=True),
            Column(name="MTTA", right=True),
            Column(name="MTTR", right=True),
            Column(name="failover", right=True, spare=True),
            Column(name="incidents", right=True),
            Column(name="budget left", right=True),
        ),
        [
            (each["name"], _cell(each, "uptime"), _basis(each), *(_cell(each, name) for name in _COLUMNS))
            for each in found
        ],
    )
    wrapped(f"Over {lasts(found[0]['window_ms'])}. 'wk metrics SERVICE' shows ages and response classes.")
    return Exit.DONE


_COLUMNS = ("mttd", "mtta", "mttr", "failover", "incidents", "budget_left")
_NAMES = {"mttd": "MTTD", "mtta": "MTTA", "mttr": "MTTR", "budget_left": "budget left"}


def _service(name: str, window: str, *, json: bool) -> int:
    try:
        path = f"/metrics/{segment(name).replace('%2F', '/').replace('%3A', ':')}"
        found = here().client().get(path, {"window": window})
    except Problem as said:
        if said.status == 404:
            raise Ends(Exit.NO, f"no entity {name!r} in the active catalogue: wk catalog lists them") from said
        raise
    if json:
        as_json(found)
        return Exit.DONE
    looks = found["looks"]
    pairs(
        [
            ("service", found["service"]),
            ("window", f"{lasts(found['window_ms'])}, from {at(found['from_at'])}"),
            ("watched by", _basis(found)),
            ("up", f"{span(found['up_ms'])}, down {span(found['down_ms'])}, unknown {span(found['unknown_ms'])}"),
            ("looks", f"{looks['good']:,} good, {looks['bad']:,} bad, {looks['blind']:,} blind"),
            ("open incidents", found["open_incidents"] or ""),
            ("failed failovers", found["failovers_failed"] or ""),
            ("active in", found["active_in"]),
        ]
    )
    say()
    table(
        (
            Column(name="metric"),
            Column(name="value", right=True),
            Column(name="over", right=True),
            Column(name="age", right=True),
            Column(name="response"),
            Column(name="unknown because", flex=True),
        ),
        [
            (
                _NAMES.get(each["name"], each["name"]),
                value(each),
                each["count"] if each["count"] is not None else "",
                span(each["age_ms"]) if each["age_ms"] is not None else "",
                each["response"],
                safe(each["unknown"]),
            )
            for each in found["metrics"]
        ],
    )
    if found["failovers"]:
        say()
        table(
            (
                Column(name="failover"),
                Column(name="took", right=True),
                Column(name="by"),
                Column(name="from", spare=True),
                Column(name="to", spare=True),
                Column(name="run", flex=True),
            ),
            [
                (at(each["at"]), _took(each), each["cause"], each["from_region"], each["to_region"], each["run"])
                for each in found["failovers"]
            ],
        )
    return Exit.DONE


def slo(name: str = "", /, *, service: str = "", json: bool = False) -> int:
    """Objectives: target, attainment, budget left, burn rates, age and source. With NAME: one, in full.

    Parameters
    ----------
    name
        Its name in slos/.
    service
        Only of this service.
    """
    if name:
        return _one(name, json=json)
    found = here().client().get("/slos", {"service": service})["items"]
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No SLO", {"service": service}, "They stand in slos/*.yaml, in OpenSLO's format.")
    table(
        (
            Column(name="slo", flex=True),
            Column(name="service", flex=True, spare=True),
            Column(name="target", right=True),
            Column(name="attained", right=True),
            Column(name="budget left", right=True),
            Column(name="burn 1h", right=True),
            Column(name="burn 6h", right=True),
            Column(name="age", right=True),
            Column(name="source", flex=True, spare=True),
            Column(name="response", spare=True),
            Column(name="unknown because", flex=True),
        ),
        [
            (
                each["name"],
                bare(each["service"]),
                percent(each["target_ppm"]),
                percent(each["attainment_ppm"]),
                percent(each["left_ppm"]),
                rate(each["burn_ppm"].get("1h")),
                rate(each["burn_ppm"].get("6h")),
                span(each["age_ms"]) if each["age_ms"] is not None else "",
                each["source"],
                each["response"],
                safe(each["unknown"]),
            )
            for each in found
        ],
    )
    return Exit.DONE


def _one(name: str, *, json: bool) -> int:
    try:
        found = here().client().get(f"/slos/{segment(name)}")
    except Problem as said:
        if said.status == 404:
            raise Ends(Exit.NO, f"no SLO {name!r} in the active configuration: wk slo lists them") from said
        raise
    if json:
        as_json(found)
        return Exit.DONE
    pairs(
        [
            ("slo", found["name"]),
            ("title", safe(found["title"])),
            ("about", safe(found["description"])),
            ("service", found["service"]),
            ("target", f"{percent(found['target_ppm'])} over {lasts(found['window_ms'])}"),
            ("attained", percent(found["attainment_ppm"])),
            (
                "budget left",
                f"{percent(found['left_ppm']) or 'unknown'}; the floor for acting is {percent(found['floor_ppm'])}",
            ),
            ("burn rates", ", ".join(f"{each} {rate(ppm) or 'unknown'}" for each, ppm in found["burn_ppm"].items())),
            ("spent since", at(found["spent_at"]) if found["spent_at"] else ""),
            (
                "read",
                f"{span(found['age_ms'])} ago, counts for {lasts(found['max_age_ms'])}" if found["as_of"] else "never",
            ),
            ("source", found["source"]),
            ("response", found["response"]),
            ("unknown because", safe(found["unknown"])),
            ("source says", safe(found["failing"])),
            ("file", found["where"]),
        ]
    )
    return Exit.DONE


def percent(ppm: int | None) -> str:
    """`99.95 %`, `-2.5 %`; "" when it is unknown."""
    if ppm is None:
        return ""
    whole, rest = divmod(abs(ppm), 10_000)
    tail = f"{rest:04d}".rstrip("0")
    return f"{'-' if ppm < 0 else ''}{whole}{'.' + tail if tail else ''} %"


def rate(ppm: int | None) -> str:
    """A burn rate with two decimals: `14.40`."""
    return "" if ppm is None else f"{ppm // PPM}.{ppm % PPM // 10_000:02d}"


def value(found: dict[str, Any]) -> str:
    """A metric in its unit; "" when it is unknown."""
    if found["value"] is None:
        return ""
    match found["unit"]:
        case "ppm":
            return percent(found["value"])
        case "ms":
            return span(found["value"])
        case _:
            return f"{found['value']:,}"


def _cell(found: dict[str, Any], name: str) -> str:
    return next((value(each) or "-" for each in found["metrics"] if each["name"] == name), "")


def _basis(found: dict[str, Any]) -> str:
    return {"checks": "own checks", "incidents": "incidents", "none": "nobody"}[found["basis"]]


def _took(found: dict[str, Any]) -> str:
    if found["failed"]:
        return "failed"
    if not found["bad_at"]:
        return "planned"
    if not found["good_at"]:
        return "not verified yet"
    from datetime import datetime

    began, good = datetime.fromisoformat(found["bad_at"]), datetime.fromisoformat(found["good_at"])
    return span(int((good - began).total_seconds() * 1000))
