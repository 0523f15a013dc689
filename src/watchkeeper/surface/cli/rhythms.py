"""How often rules are called for, and what of it was unusual."""

from typing import Any

from watchkeeper.home.anomaly import WEEKS_MIN
from watchkeeper.surface.cli.look import LISTED, more, nothing
from watchkeeper.surface.cli.place import Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, safe, say, short, style, table, wrapped

SPANS: dict[str, str] = {"hour": "this hour", "day": "today", "week": "this week"}


def rhythm(rule: str = "", /, *, service: str = "", limit: int = LISTED, json: bool = False) -> int:
    """How often each rule is called for now, and how often is usual at this time of the week.

    Parameters
    ----------
    rule
        Only this rule (pack/name).
    service
        Only this service, by its reference (component:default/web).
    """
    asked = {"rule": rule, "service": service}
    found = list(here().client().items("/rhythms", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("Nothing was called for yet", asked, "A rule is called for when it first decides on an episode.")
    table(
        (
            Column(name="rule", flex=True),
            Column(name="service", flex=True),
            *(Column(name=text, right=True) for text in SPANS.values()),
            Column(name="what", flex=True, spare=True),
        ),
        [(each["rule"], each["name"], *_cells(each), _what(each)) for each in found],
    )
    wrapped(
        "Calls so far, and in brackets what is usual: the mean, and the limits beyond which it is unusual. "
        "A call is an episode that the rule wanted to act on, whatever was decided."
    )
    more(len(found), limit)
    return Exit.DONE


def _cells(found: dict[str, Any]) -> list[str]:
    return [_cell(window) for window in found["windows"]]


def _cell(window: dict[str, Any]) -> str:
    if window["mean_milli"] is None:
        return str(window["calls"])
    usual = [f"{window['mean_milli'] / 1000:.1f}"]
    if window["floor"] is not None:
        usual.append(f"over {window['floor']}")
    if window["limit"] is not None:
        usual.append(f"up to {window['limit']}")
    return f"{window['calls']} ({', '.join(usual)})"


def _what(found: dict[str, Any]) -> str:
    if found["state"] == "learning":
        weeks = found["windows"][0]["weeks"]
        return f"learning, {weeks} of {WEEKS_MIN} weeks" if weeks < WEEKS_MIN else "learning, too few calls"
    if found["state"] == "off":
        return "not watched (anomaly.watch)"
    return f"{found['unusual']} unusual" if found["unusual"] else ""


def anomalies(*, rule: str = "", service: str = "", limit: int = LISTED, json: bool = False) -> int:
    """When a rule was called for unusually often or seldom, newest first.

    Parameters
    ----------
    rule
        Only of this rule (pack/name).
    service
        Only about this service, by its reference (component:default/web).
    """
    asked = {"rule": rule, "service": service}
    found = list(here().client().items("/anomalies", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("Nothing was unusual", asked, "'wk rhythm' shows what is usual now.")
    for each in found:
        wrapped(f"{style(at(each['at']), 'dim')} {safe(each['rule'])}: {each['kind']}. {safe(each['why'])}.")
        wrapped(each["next"], "    ", first="  ")
        if each["demoted"]:
            wrapped(f"Demoted: {', '.join(short(one) for one in each['demoted'])}.", "    ", first="  ")
        say()
    more(len(found), limit)
    return Exit.DONE
