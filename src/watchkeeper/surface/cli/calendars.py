"""Calendars: when a part of the home is closed to changes, and whether it is now."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from watchkeeper.surface.cli.limits import scope_of
from watchkeeper.surface.cli.look import nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import (
    Column,
    as_json,
    at,
    count,
    moment,
    pairs,
    safe,
    say,
    scope,
    span,
    style,
    table,
    wrapped,
)
from watchkeeper.surface.client import Problem, segment

DAYS_MAX: Final = 100
_TEACH = "Map an .ics to a scope in calendars/calendars.yaml, then: wk plan."


def calendars(*, json: bool = False) -> int:
    """Calendars, with their age, state and next window."""
    found = here().client().get("/calendars")["items"]
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No calendars", {}, _TEACH)
    table(
        (
            Column(name="calendar"),
            Column(name="kind", spare=True),
            Column(name="on", flex=True),
            Column(name="state", styled=True),
            Column(name="age", right=True),
            Column(name="next or now", flex=True),
            Column(name="source", flex=True, spare=True),
        ),
        [
            (
                each["name"],
                each["kind"],
                scope(each["scope"]),
                each["state"],
                span(each["age_ms"]) if each["every_ms"] is not None and each["age_ms"] is not None else "",
                _first(each),
                each["source"],
            )
            for each in found
        ],
    )
    for each in found:
        if each["why"]:
            say()
            wrapped(
                f"{safe(each['name'])} cannot be read: {safe(each['why'])}. Try again with: wk calendars read {safe(each['name'])}"
            )
    return Exit.DONE


def show(name: str, /, *, json: bool = False) -> int:
    """One calendar, with its next windows."""
    found = _one(name)
    if json:
        as_json(found)
        return Exit.DONE
    _shown(found)
    return Exit.DONE


def read(name: str, /, *, json: bool = False) -> int:
    """Read a calendar again now."""
    try:
        found = here().client().post(f"/calendars/{segment(name)}/read", {})
    except Problem as said:
        raise _gone(name, said) from said
    if json:
        as_json(found)
        return Exit.DONE
    _shown(found)
    return Exit.DONE if not found["why"] else Exit.NO


def freeze_status(*, at_: str = "", scope: tuple[str, ...] = (), json: bool = False) -> int:
    """Open or closed to changes, why, until when. Exit code 0: open; 1: closed; 3: it cannot be said.

    Parameters
    ----------
    at_
        At which time, for example 2026-12-24T12:00:00Z; now without it.
    scope
        Where, name=value, for example service=web or environment=prod; everywhere without it.
    """
    asked: dict[str, Any] = {**scope_of(scope), **({"at": at_} if at_ else {})}
    found = here().client().get("/freeze-status", asked)
    code = {"open": Exit.DONE, "closed": Exit.NO}.get(found["state"], Exit.LATER)
    if json:
        as_json(found)
        return code
    colour = {"open": "green", "closed": "yellow"}.get(found["state"], "red")
    wrapped(style(safe(found["sentence"]), colour))
    for each in found["windows"]:
        wrapped(_window(each), "    ", first="  ")
    if found["state"] != "open" and found["next"]:
        wrapped(f"Next: {_window(found['next'])}", "    ", first="  ")
    return code


def agenda(*, from_: str = "", days: int = 31, json: bool = False) -> int:
    """Freezes, maintenance, holds and stops of a span of time, past or to come.

    Parameters
    ----------
    from_
        Its beginning, for example 2026-12-01T00:00:00Z; now without it.
    days
        How long it is, at most 100.
    """
    begin = moment(from_) if from_ else datetime.now(UTC)
    until = _later(begin, days) if begin is not None and 1 <= days <= DAYS_MAX else None
    if begin is None or until is None:
        raise Ends(Exit.USAGE, f"give --from as an instant such as 2026-12-01T00:00:00Z, and --days as 1 to {DAYS_MAX}")
    span_ = {"from": begin.isoformat(), "until": until.isoformat()}
    found = here().client().get("/agenda", span_)
    if json:
        as_json(found)
        return Exit.DONE
    if found["items"]:
        table(
            (
                Column(name="from"),
                Column(name="until"),
                Column(name="what"),
                Column(name="on", flex=True),
                Column(name="reason", flex=True),
                Column(name="by", spare=True),
            ),
            [
                (
                    at(each["from_at"]),
                    (at(each["until_at"]) or "somebody resumes") + (" (lifted)" if each["ended_early"] else ""),
                    each["kind"],
                    scope(each["scope"]),
                    each["reason"],
                    each["calendar"] or each["by"],
                )
                for each in found["items"]
            ],
        )
    else:
        say("Nothing holds automation back in that time.")
    if found["left_off"]:
        wrapped(f"{count(found['left_off'], 'more item')} not shown: ask for fewer days.")
    for name, why in found["unread"].items():
        wrapped(f"Not known: calendar {safe(name)} cannot be read: {safe(why)}.")
    if found["since_at"]:
        wrapped(f"What people set before {at(found['since_at'])} was not looked at.")
    return Exit.DONE


def _later(begin: datetime, days: int) -> datetime | None:
    """None: beyond the end of the calendar."""
    try:
        return begin + timedelta(days=days)
    except OverflowError:
        return None


def _one(name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = here().client().get(f"/calendars/{segment(name)}")
    except Problem as said:
        raise _gone(name, said) from said
    return found


def _gone(name: str, said: Problem) -> Exception:
    return Ends(Exit.NO, f"no calendar {safe(name)}: wk calendars lists them") if said.status == 404 else said


def _shown(found: dict[str, Any]) -> None:
    wrapped(style(f"{safe(found['name'])}: {found['state']}", "bold"))
    say()
    remote = found["every_ms"] is not None
    pairs(
        [
            ("kind", found["kind"]),
            ("on", scope(found["scope"])),
            ("source", found["source"]),
            ("zone of what states none", found["zone"]),
            ("events", found["events"]),
            ("read at", at(found.get("read_at"))),
            ("read every", span(found["every_ms"]) if remote else ""),
            ("when unreadable", found["when_unreadable"] if remote else ""),
            ("counts for", span(found["max_age_ms"]) if remote else ""),
            ("cannot be read", found["why"]),
        ]
    )
    say()
    if not found["windows"]:
        say("No window is to come in the next 400 days.")
        return
    table(
        (
            Column(name="from"),
            Column(name="until"),
            Column(name="reason", flex=True),
            Column(name="window", spare=True),
        ),
        [(at(each["from_at"]), at(each["until_at"]), each["reason"], each["id"]) for each in found["windows"]],
    )


def _first(found: dict[str, Any]) -> str:
    windows = found["windows"]
    if not windows:
        return "none to come"
    word = "until" if found["state"] == "closed" else "from"
    return f"{word} {at(windows[0][f'{word}_at'])}: {windows[0]['reason']}"


def _window(each: dict[str, Any]) -> str:
    return safe(
        f"{at(each['from_at'])} to {at(each['until_at'])}: {each['reason']} on {scope(each['scope'])} ({each['id']})"
    )
