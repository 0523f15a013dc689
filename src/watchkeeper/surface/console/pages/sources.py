"""Sources: who tells us, is anybody silent, and how is another one connected?"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw import series
from watchkeeper.surface.console.draw.series import Part
from watchkeeper.surface.console.visit import Visit

SIGNALS_LOOKED_AT: Final = 200  # the same said again is one row with a count
SIGNALS_SHOWN: Final = 20
MESSAGES_SHOWN: Final = 50
# state -> (class, icon, word)
STATE: Final = {
    "heard": ("good", "circle-check", "Heard"),
    "stale": ("waiting", "triangle-alert", "Silent"),
    "never": ("unknown", "circle-question-mark", "Never heard"),
    "own": ("none", "activity", "Looks by itself"),
}


async def sources(visit: Visit) -> Response:
    found, signals, messages, refusals = await visit.many(
        visit.api.get("sources"),
        visit.api.get("signals", limit=SIGNALS_LOOKED_AT),
        visit.api.get("messages", limit=MESSAGES_SHOWN),
        visit.api.get("refusals"),
    )
    base = f"{visit.request.url.scheme}://{visit.request.url.netloc}"
    return visit.page(
        "sources.html",
        at="sources",
        title="Sources",
        answer=answer(found["items"]),
        sources=[shown(one, base) for one in found["items"]],
        signals=folded(signals["items"])[:SIGNALS_SHOWN],
        signals_count=len(signals["items"]),
        messages=messages["items"],
        refusals=refusals["items"],
        lone=len(found["items"]) == 1 and found["items"][0]["state"] == "never",
        SOURCE=STATE,
        base=base,
    )


def folded(signals: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Signals, newest first; what one source said again of the same thing stands in one row, with how often and since when."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for one in signals:
        labels = one.get("labels") or {}
        name = labels.get("alertname") or one.get("name") or ""
        where = labels.get("instance") or labels.get("service") or ""
        standing = one.get("standing") or ""
        key = (one["source"], one["kind"], name, where, standing, str(one.get("fingerprint", "")))
        row = rows.setdefault(
            key,
            {"source": one["source"], "kind": one["kind"], "name": name, "where": where, "standing": standing,
             "at": one["received_at"], "count": 0},
        )  # fmt: skip
        row["count"] += 1
        row["since"] = one["received_at"]
    return list(rows.values())


def answer(found: Sequence[Mapping[str, Any]]) -> str:
    configured = [one for one in found if one["configured"] and one["state"] != "own"]
    silent = [one for one in configured if one["state"] == "stale"]
    never = [one for one in configured if one["state"] == "never"]
    if not configured:
        return "No source is configured."
    if len(never) == len(configured):
        return "Nobody has told us anything yet."
    if silent:
        names = ", ".join(_clean(one["name"]) for one in silent[:3])
        more = f" and {len(silent) - 3} more" if len(silent) > 3 else ""
        return f"{names}{more} {'is' if len(silent) == 1 else 'are'} silent."
    heard = len(configured) - len(never)
    rest = f" {words.plural(len(never), 'was', 'were')} never heard." if never else ""
    return f"{words.plural(heard, 'source')} of {len(configured)} {'was' if heard == 1 else 'were'} heard.{rest}"


def _clean(name: str) -> str:
    return "".join(piece for _, piece in words.pieces(name, 60))


def shown(source: Mapping[str, Any], base: str) -> dict[str, Any]:
    """A source with its last hour drawn, and what to type to connect it."""
    counts = source["minutes"]
    ticks = [f"{len(counts) - place - 1} min ago" for place in range(len(counts))]
    spark = series.sparks(
        Part(name="signals", values=tuple(each or 0 for each in counts), fill="var(--ink-2)"),
        [each is not None for each in counts],
        ticks,
        f"{source['name']}: {words.plural(source['hour'], 'signal')} in the last hour",
    )
    return {**source, "spark": spark, "steps": steps(source, base)}


def steps(source: Mapping[str, Any], base: str) -> list[tuple[str, str]]:
    """(what to do, what to type or paste), in order; nothing for what posts nowhere."""
    if not source["hooks"]:
        return []
    first = (
        ("Make a token that can post here and do nothing else. Its text is shown once.", f"wk token create --source {source['name']}")
        if source["credential"] == "token"
        else (f"It proves itself by {source['credential']}: the secret stands where watchkeeper.yaml says.", "wk secret list")
    )  # fmt: skip
    where = [(_TO.get(path.split("/")[2], "Post to:"), f"{base}{path}") for path in source["hooks"]]
    return [first, *where, ("See it arrive here, or:", f"wk sources {source['name']}")]


_TO: Final = {
    "alertmanager": "In alertmanager.yml: a receiver with a webhook_config, the token as its authorization, url:",
    "alertmanager-events": "Where this Alertmanager has an event recorder, its webhook output posts to:",
    "grafana": "In Grafana: a contact point of the kind Webhook, the token as its authorization, url:",
    "cloudevents": "Send CloudEvents (one, or a batch) to:",
    "sns": "Subscribe the topic over https to:",
    "pagerduty": "In PagerDuty: a webhook subscription (v3) to:",
    "github": "In GitHub: a webhook for deployments, releases and workflow runs to:",
    "generic": "Post JSON as its mapping reads it to:",
    "heartbeat": "Beat at least as often as it is due:",
}


PAGES: Final = (("GET", "/sources", sources),)
