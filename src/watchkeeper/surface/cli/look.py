"""What a person looks at first: the state of the whole, alerts, decisions."""

from typing import Any, Final

from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import (
    Column,
    ago,
    as_json,
    at,
    bare,
    coloured,
    count,
    left,
    mark,
    safe,
    say,
    scope,
    short,
    size,
    style,
    table,
    wrapped,
)

LISTED: Final = 30  # rows a person is shown without --limit
STATES: Final = ("firing", "resolved", "stale")
SEVERITIES: Final = ("critical", "major", "minor", "warning", "info")
VERDICTS: Final = ("act", "ask", "suggest", "observe", "hold", "refuse")


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """A misspelt filter finds nothing, and nothing reads like "all is well". Raises Ends."""
    if value and value not in known:
        raise Ends(Exit.USAGE, f"--{name} {value}: is none of {', '.join(known)}")


def status(*, json: bool = False) -> int:
    """What is broken, and does it need me? Limits in force, and the node's own health.

    Parameters
    ----------
    json
        Print the node's answer as it is.
    """
    found = here().client().get("/status")
    if json:
        as_json(found)
        return Exit.DONE
    counts = found["counts"]
    wrapped(style(answer(found), "bold"))
    for line in needs(counts):
        wrapped(line, "    ", first="  ")
    say()
    for stop in found["stops"]:
        limit = f"stopped {scope(stop.get('scope'))}, by {stop.get('by', '?')} at {at(stop.get('at'))}: {stop.get('reason', '')}"
        wrapped(
            f"{style('■ ' if not here().plain else '# ', 'red')}{safe(limit)}; end it with 'wk resume {short(stop.get('id'))}'",
            "  ",
        )
    for word, held in (("hold", found["holds"]), ("freeze", found["freezes"])):
        for each in held:
            limit = f"{word} on {scope(each.get('scope'))} until {at(each.get('until_at'))}: {each.get('reason', '')}"
            wrapped(safe(limit), "    ", first="  ‖ " if not here().plain else "  = ")
    for line in (*closed_by(found), *left_alone(found)):
        wrapped(line, "    ", first="  ")
    for line in health(found):
        wrapped(line, "  ")
    ledger = found["ledger"]
    pending = f", {ledger['pending']} not yet signed" if ledger["pending"] else ""
    wrapped(
        f"{safe(found['node'])}, watchkeeper {safe(found['version'])}, up since {at(found['started_at'])}; configuration "
        f"{found['configuration']['digest'][:12]} of {at(found['configuration']['at'])} by "
        f"{safe(found['configuration']['by'])}; {count(ledger['size'], 'ledger entry', 'ledger entries')}{pending}; "
        f"store {size(found['store']['bytes'])}",
        "  ",
    )
    return Exit.DONE


def answer(found: dict[str, Any]) -> str:
    """The first line: one sentence that answers whether anything is broken and who is at it."""
    counts = found["counts"]
    if any(not any((stop.get("scope") or {}).values()) for stop in found["stops"]):
        start = "Stopped: nothing acts until somebody resumes it."
    elif not counts["incidents"] and not counts["alerts"]:
        return "All quiet: no alert fires and no incident is open."
    else:
        start = ""
    told = f"{count(counts['incidents'], 'incident')} open, {count(counts['alerts'], 'alert')} firing, {count(counts['runs'], 'run')} under way."
    return f"{start} {told}".strip()


def needs(counts: dict[str, int]) -> list[str]:
    """What waits for a person, with the command that answers it."""
    found = []
    if counts["approvals"]:
        waits = "approval waits" if counts["approvals"] == 1 else "approvals wait"
        found.append(f"{counts['approvals']} {waits} for a person: wk approvals")
    if counts.get("in_doubt"):
        found.append(f"{count(counts['in_doubt'], 'run')} in doubt, a person must look: wk runs --status in_doubt")
    if counts["held"]:
        found.append(
            f"{count(counts['held'], 'decision')} held, looked at again by themselves: wk decisions --verdict hold"
        )
    if counts["unmapped"]:
        found.append(f"{count(counts['unmapped'], 'alert')} without a catalogue entity: wk alerts --unmapped")
    if counts["dead_letters"]:
        found.append(f"{count(counts['dead_letters'], 'delivery', 'deliveries')} not understood: wk dead-letters")
    return found


def closed_by(found: dict[str, Any]) -> list[str]:
    """Calendars that close something now, or cannot say."""
    lines = []
    for each in found.get("calendars") or ():
        if each["state"] == "unreadable":
            lines.append(style(f"calendar {safe(each['name'])} cannot be read: {safe(each['why'])}", "yellow"))
        else:
            window = each["windows"][0]
            words = f"{each['kind']} on {scope(each['scope'])} until {at(window['until_at'])}: {window['reason']} ({window['id']})"
            lines.append(safe(words))
    return lines


def left_alone(found: dict[str, Any]) -> list[str]:
    """The brake, and how much is left alone because it keeps failing."""
    lines = [
        style(
            f"the brake is on: {safe(brake['why'])}; release it with 'wk breakers release {short(brake['id'])}'", "red"
        )
        for brake in found.get("brakes") or ()
    ]
    breakers = found.get("breakers") or ()
    if breakers:
        keys = "; ".join(safe(each["key"]) for each in breakers[:2])
        more = f"; and {len(breakers) - 2} more" if len(breakers) > 2 else ""
        lines.append(f"{count(len(breakers), 'breaker')} not closed ({keys}{more}): wk breakers")
    return lines


def health(found: dict[str, Any]) -> list[str]:
    """What is wrong with the node itself."""
    lines = []
    differs = found["folder"]["differs"]
    if differs:
        names = ", ".join(safe(name) for name in found["folder"]["files"][:3])
        more = f" and {differs - 3} more" if differs > 3 else ""
        lines.append(
            f"{count(differs, 'file')} {'differs' if differs == 1 else 'differ'} from what is active ({names}{more}): wk plan"
        )
    clock = found.get("clock") or {}
    if clock.get("trusted") is False:
        lines.append(style(f"Clock not trusted, everything holds: {safe(clock.get('why'))}", "yellow"))
    for route, why in ((found.get("telling") or {}).get("failing") or {}).items():
        lines.append(style(f"Telling people over {safe(route)} fails: {safe(why)}", "yellow"))
    for name, why in (found.get("wrong") or {}).items():
        if name not in {"telling", "clock"}:
            lines.append(style(f"{safe(name)}: {safe(why)}", "red"))
    return lines


def alerts(
    *,
    state: str = "",
    entity: str = "",
    severity: str = "",
    unmapped: bool = False,
    suppressed: bool = False,
    limit: int = LISTED,
    json: bool = False,
) -> int:
    """Alerts, newest first.

    Parameters
    ----------
    state
        firing, resolved or stale.
    entity
        An entity of the catalogue, for example web or resource:web-1.
    severity
        critical, major, minor, warning or info.
    unmapped
        Only those that no entity of the catalogue is known for.
    suppressed
        What sources keep to themselves, silenced or inhibited there; also what never reached this node.
    """
    if suppressed:
        return _suppressed(json=json)
    one_of("state", state, STATES)
    one_of("severity", severity, SEVERITIES)
    asked = {"state": state, "entity": entity, "severity": severity, "unmapped": unmapped}
    found = list(here().client().items("/alerts", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No alerts", asked, "An alert appears when a source posts it: POST /hooks/alertmanager.")
    table(
        (
            Column(name="alert"),
            Column(name="name", flex=True),
            Column(name="state", styled=True),
            Column(name="severity", spare=True),
            Column(name="entity", flex=True),
            Column(name="since", right=True),
            Column(name="incident", spare=True),
        ),
        [
            (
                short(each["id"]),
                each.get("name"),
                "suppressed" if each.get("suppressed") else each.get("state"),
                each.get("severity"),
                bare(each.get("entity")) or "unmapped",
                at(each.get("first_seen_at") or each.get("started_at") or each.get("starts_at")),
                short(each.get("incident")),
            )
            for each in found
        ],
    )
    unknown = next((each["id"] for each in found if not each.get("entity")), "")
    if unknown:
        say()
        wrapped("Draft a catalogue entry for the newest one that is unmapped:")
        say(f"  wk draft {short(unknown)} >> catalog/drafted.yaml")
    more(len(found), limit)
    return Exit.DONE


def _suppressed(*, json: bool) -> int:
    client = here().client()
    found = client.get("/suppressed")["items"]
    if json:
        as_json(found)
        return Exit.DONE
    sources = client.get("/suppressed/sources")["items"]
    if not found:
        hint = "It is asked of sources with an 'api:' in watchkeeper.yaml, or said by their event recorder."
        nothing("Nothing is suppressed", {}, "" if sources else hint)
        _who_says_so(sources)
        return Exit.DONE
    table(
        (Column(name="alert"), Column(name="name", flex=True), Column(name="source"), Column(name="why", flex=True)),
        [
            (
                short(each["alert"]) if each["alert"] else "not received",
                each["labels"].get("alertname"),
                each["source"],
                each["why"],
            )
            for each in found
        ],
    )
    _who_says_so(sources)
    return Exit.DONE


def _who_says_so(sources: list[dict[str, Any]]) -> None:
    if sources:
        say()
    for each in sources:
        wrapped(heard_of(each), "  ")


def heard_of(source: dict[str, Any]) -> str:
    """How fresh the word of one Alertmanager is, and what to do where it is not."""
    found: list[str] = []
    if source["asked"] and source["failing"]:
        found.append(f"its API cannot be read: {safe(source['failing'])}")
    elif source["asked"]:
        found.append(f"asked {at(source['asked_at'])}" if source["asked_at"] else "not asked yet")
    if recorder := source["recorder"]:
        found.append(f"its event recorder was heard {at(recorder['heard_at'])}")
        if recorder["quiet"]:
            found.append("it is quiet: either nothing happens there, or its events do not arrive")
        if off := recorder["distrusted"]:
            found.append(
                f"{count(off, 'event')} bore a time more than 5 min off: set its clock, or do not replay old ones"
            )
        if lost := recorder["not_kept"]:
            found.append(f"{count(lost, 'event')} told of more alerts or silences than are kept: rely on its API")
    return f"{safe(source['source'])}: {'; '.join(found)}"


def decisions(
    *,
    verdict: str = "",
    rule: str = "",
    alert: str = "",
    incident: str = "",
    window: str = "",
    limit: int = LISTED,
    json: bool = False,
) -> int:
    """What it decided, newest first, and how many of each verdict. 'wk explain ID' says why.

    Parameters
    ----------
    verdict
        act, ask, suggest, observe, hold or refuse.
    rule
        Only of this rule (pack/name).
    window
        No further back than this, such as 24h or 30d.
    """
    one_of("verdict", verdict, VERDICTS)
    client = here().client()
    asked = {"verdict": verdict, "rule": rule, "alert": alert, "incident": incident, "window": window}
    found = list(client.items("/decisions", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No decisions", asked, "One is made when an alert matches a rule and its 'for' has passed.")
    counted = client.get(
        "/decisions/counts", {name: value for name, value in asked.items() if value and name != "verdict"}
    )
    parts = [f"{counted['counts'][each]:,} {each}" for each in VERDICTS if counted["counts"][each]]
    within = f" in the last {window}" if window else ""
    wrapped(f"{count(counted['total'], 'decision')}{within}: {', '.join(parts)}.")
    table(
        (
            Column(name="decision"),
            Column(name="at", right=True),
            Column(name="verdict", styled=True),
            Column(name="what", flex=True),
            Column(name="why", flex=True),
        ),
        [(short(each["id"]), at(each["at"]), each["verdict"], what(each), each["reason"]) for each in found],
    )
    more(len(found), limit)
    return Exit.DONE


def what(decision: dict[str, Any]) -> str:
    """What was proposed, for whom: `restart-instance on web-1`."""
    runbook = (decision.get("runbook") or "").rpartition("/")[2]
    names = [bare(target.get("ref") or target.get("name")) for target in decision.get("targets") or []]
    on = f" on {names[0]}" if len(names) == 1 else f" on {count(len(names), 'target')}" if names else ""
    return f"{runbook}{on}" if runbook else (decision.get("rule") or "no rule")


def nothing(sentence: str, asked: dict[str, Any], teach: str) -> int:
    """An empty list: what is so, and what would appear here."""
    filters = ", ".join(f"{name} {safe(value)}" for name, value in asked.items() if value)
    wrapped(f"{sentence} with {filters}." if filters else f"{sentence}. {teach}")
    return Exit.DONE


def more(shown: int, limit: int) -> None:
    if shown >= limit:
        say(style(f"the newest {shown}; --limit N shows more", "dim"))


__all__ = [
    "ago",
    "alerts",
    "answer",
    "coloured",
    "decisions",
    "left",
    "mark",
    "more",
    "needs",
    "nothing",
    "one_of",
    "status",
    "what",
]
