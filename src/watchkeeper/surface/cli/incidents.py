"""Incidents: is it getting better, and who is doing what?"""

from typing import Any, Final

from watchkeeper.surface.cli.find import one, whole
from watchkeeper.surface.cli.look import LISTED, SEVERITIES, more, nothing, one_of, what
from watchkeeper.surface.cli.place import Exit, here
from watchkeeper.surface.cli.words import (
    Column,
    as_json,
    at,
    bare,
    brief,
    count,
    mark,
    pairs,
    safe,
    say,
    short,
    span,
    style,
    table,
    tell,
    wrapped,
)
from watchkeeper.surface.client import segment

TIMELINE_SHOWN: Final = 40


def incidents(
    *,
    state: str = "",
    entity: str = "",
    severity: str = "",
    pressing: bool = False,
    limit: int = LISTED,
    json: bool = False,
) -> int:
    """Incidents, newest first: what is being done about each, and which transactions it touches.

    Parameters
    ----------
    state
        open or resolved.
    entity
        An entity of the catalogue.
    severity
        critical, major, minor, warning or info.
    pressing
        The most pressing first, by the priority of the transactions that they touch.
    """
    one_of("state", state, ("open", "resolved"))
    one_of("severity", severity, SEVERITIES)
    asked = {"state": state, "entity": entity, "severity": severity}
    more_of = {"handling": "true", **({"pressing": "true"} if pressing else {})}
    found = list(here().client().items("/incidents", {**asked, **more_of}, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No incidents", asked, "One opens with the first alert, and gathers those that belong to it.")
    table(
        (
            Column(name="incident"),
            Column(name="state"),
            Column(name="severity"),
            Column(name="what", flex=True),
            Column(name="now", flex=True),
            Column(name="touches", flex=True, spare=True),
            Column(name="opened", right=True),
            Column(name="firing", right=True),
            Column(name="resolved", right=True, spare=True),
        ),
        [
            (
                short(each["id"]),
                each["state"],
                each["severity"],
                each["title"],
                doing(each["handling"]),
                ", ".join(one["name"] for one in each["handling"]["transactions"]),
                at(each["opened_at"]),
                f"{each['firing']} of {each['alerts']}",
                at(each.get("resolved_at")),
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def show(identity: str, /, *, json: bool = False) -> int:
    """One incident: how far it has come, what was done, and its times."""
    _, full, found = one("/incidents", identity, "incident")
    if json:
        as_json(found)
        return Exit.DONE
    phase = found.get("phase") or found["state"]
    wrapped(
        style(
            f"{safe(found['title'])}: {phase}, {found['severity']}, {found['firing']} of {count(found['alerts_total'], 'alert')} firing.",
            "bold",
        )
    )
    say()
    pairs(
        [
            ("incident", short(full)),
            ("place", found.get("place")),
            ("entity", bare(found.get("entity")) or "unmapped"),
            ("owner", bare(found["handling"]["owner"])),
            ("touches", ", ".join(one["name"] for one in found["handling"]["transactions"])),
            ("now", doing(found["handling"])),
            ("began", at(found.get("began_at"))),
            ("opened", at(found.get("opened_at"))),
            ("resolved", at(found.get("resolved_at"))),
            *[(name, _mean((found.get("measures") or {}).get(name))) for name in ("detect", "acknowledge", "restore")],
        ]
    )
    _rows(
        "Decisions",
        found.get("decisions") or [],
        lambda each: (short(each["id"]), at(each["at"]), mark(each["verdict"]), what(each), each["reason"]),
    )
    _rows(
        "Changes in its time",
        found.get("changes") or [],
        lambda each: (short(each["id"]), at(each["at"]), each["kind"], each["title"], each["outcome"] or "under way"),
    )
    _rows(
        "Runs",
        found.get("runs") or [],
        lambda each: (short(each["id"]), at(each["at"]), mark(each["status"]), each["runbook"], each.get("why") or ""),
    )
    timeline = found.get("timeline") or []
    if timeline:
        say()
        say(style("What happened", "bold"))
        for event in timeline[-TIMELINE_SHOWN:]:
            wrapped(f"{at(event['at'])}  {safe(event['actor'])}: {brief(event['sentence'])}", " " * 10, first="  ")
        if len(timeline) > TIMELINE_SHOWN:
            say(style(f"the last {TIMELINE_SHOWN} of {len(timeline)}; wk trail {short(full)} shows all", "dim"))
    return Exit.DONE


def doing(handling: dict[str, Any]) -> str:
    """What is being done about it, and until when."""
    until = f" until {at(handling['until_at'])}" if handling["stage"] == "held" and handling["until_at"] else ""
    return f"{handling['says']}{until}"


def trail(identity: str, /, *, json: bool = False) -> int:
    """Everything on record about an incident, in order: signals, alerts, decisions, approvals, runs, effects, entries."""
    client = here().client()
    full = whole(client, "/incidents", identity, "incident")
    found = client.get(f"/incidents/{segment(full)}/trail")
    if json:
        as_json(found["items"])
        return Exit.DONE
    table(
        (
            Column(name="at", right=True),
            Column(name="kind"),
            Column(name="who", flex=True),
            Column(name="what", flex=True),
            Column(name="id", spare=True),
        ),
        [
            (
                at(each["at"]),
                each["kind"],
                each["actor"],
                each["sentence"],
                f"entry {each['index']}" if each.get("index") is not None else short(each["id"].partition("#")[0]),
            )
            for each in found["items"]
        ],
    )
    if not found.get("complete", True):
        tell("Not all of it: this incident has more parts than one answer holds.")
        return Exit.NO
    return Exit.DONE


def acknowledge(identity: str, /, *, comment: str = "", json: bool = False) -> int:
    """Say that a person looks at it."""
    return _mark(identity, "acknowledge", comment, "Acknowledged", json=json)


def comment(identity: str, text: str, /, *, json: bool = False) -> int:
    """Add a comment to its timeline."""
    return _mark(identity, "comment", text, "Commented on", json=json)


def escalate(identity: str, /, *, comment: str = "", json: bool = False) -> int:
    """Tell people at once, whatever automation does.

    Parameters
    ----------
    comment
        What they should know.
    """
    return _mark(identity, "escalate", comment, "Escalated", json=json)


def resolve(identity: str, /, *, comment: str = "", json: bool = False) -> int:
    """Say that it is over."""
    return _mark(identity, "resolve", comment, "Resolved", json=json)


def close(identity: str, /, *, comment: str = "", json: bool = False) -> int:
    """Close it."""
    return _mark(identity, "close", comment, "Closed", json=json)


def judge(identity: str, /, *, json: bool = False) -> int:
    """Have an alert judged afresh, now."""
    client = here().client()
    full = whole(client, "/alerts", identity, "alert")
    found = client.post(f"/alerts/{segment(full)}/judge", {})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"{short(full)} is judged afresh: wk decisions --limit 1 shows what came of it.")
    return Exit.DONE


def _mark(identity: str, verb: str, text: str, told: str, *, json: bool) -> int:
    client = here().client()
    full = whole(client, "/incidents", identity, "incident")
    found = client.post(f"/incidents/{segment(full)}/{verb}", {"comment": text})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"{told} {short(full)}.")
    return Exit.DONE


def _mean(found: dict[str, Any] | None) -> str:
    return span(found["mean_ms"]) if found and found.get("mean_ms") is not None else ""


def _rows(title: str, found: list[dict[str, Any]], row: Any) -> None:
    if not found:
        return
    say()
    say(style(title, "bold"))
    for each in found:
        identity, when, word, name, why = row(each)
        wrapped(f"{identity}  {when}  {word}  {safe(name)}{': ' + brief(why) if why else ''}", "      ", first="  ")
