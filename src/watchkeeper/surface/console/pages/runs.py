"""Runs: where is it, and is it healthy?"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from markupsafe import Markup
from starlette.responses import Response

from watchkeeper.surface.console import words
from watchkeeper.surface.console.draw import gantt, samples
from watchkeeper.surface.console.draw import steps as chain
from watchkeeper.surface.console.visit import Visit
from watchkeeper.values import instant, ms_between

PAGE: Final = 100
OUTPUT_MAX: Final = 400
STEPS_SPOKE_MAX: Final = 40
DID: Final = {
    "pause": "Paused: it stops at its next safe point.",
    "resume": "It goes on.",
    "cancel": "Cancelled: it stops at its next safe point.",
    "close": "Closed. What was sent stays as it is.",
    "settle": "Recorded what became of the step.",
}
ENDED: Final = frozenset({"succeeded", "failed", "undone", "undo_failed", "stopped", "lapsed", "cancelled", "closed"})


async def runs(visit: Visit) -> Response:
    status, state, rule = (visit.query.get(name, "") for name in ("status", "state", "rule"))
    found = await visit.api.get(
        "runs", status=status, state=state, rule=rule, after=visit.query.get("after", ""), limit=PAGE
    )
    return visit.page("runs.html", at="runs", title="Runs", found=found, run_status=status, state=state, rule=rule)


async def run(visit: Visit) -> Response:
    name, step = visit.part["identity"], visit.query.get("step", "")
    found, output, journal = await visit.many(
        visit.api.get("runs", name),
        visit.api.get("runs", name, "output"),
        visit.api.get("runs", name, "journal", limit=1_000),
    )
    printed = [one for one in output["items"] if one["stream"] != "sample"]
    until = found["ended_at"] or visit.status["at"]
    return visit.page(
        "run.html",
        at="runs",
        title=found["runbook"].rpartition("/")[2],
        r=found,
        sentence=sentence(found),
        picture=gantt.draw(found["steps"], found["at"], until, tries(journal["items"]), open_=found["open"])
        if found["steps"]
        else None,
        output=[one for one in printed if step in {"", one["step"]}][-OUTPUT_MAX:],
        spoke=list(dict.fromkeys(one["step"] for one in printed))[:STEPS_SPOKE_MAX],
        step=step,
        live=output["live"],
        events=[(one, what_happened(one)) for one in journal["items"]],
        chain=chain.draw(found["steps"]),
        chain_narrow=chain.draw(found["steps"], 2),
        verified=[
            (one, samples.draw(one.get("looks") or (), 0)) for one in journal["items"] if one["event"] == "verified"
        ],
        looking=looking(found, output["items"]),
        doubts=[one for one in found["steps"] if one["status"] == "in_doubt"],
        ended=found["status"] in ENDED,
    )


def tries(events: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Path -> when its tries failed: those that another try followed, and the last one."""
    found: dict[str, list[str]] = {}
    for event in events:
        if event["event"] == "failed" and not event.get("undo"):
            found.setdefault(event["path"], []).append(event["at"])
    return found


def sentence(found: Mapping[str, Any]) -> str:
    """Where it is, in one sentence."""
    doing = [one["id"] for one in found["steps"] if one["status"] in {"due", "intended"}]
    done = sum(one["status"] in {"done", "skipped"} for one in found["steps"])
    match found["status"]:
        case "in_doubt":
            return "In doubt: nobody knows whether a step took effect. A person decides."
        case "running" if doing:
            return f"At {doing[0]}: {done} of {words.plural(len(found['steps']), 'step')} done."
        case _ if found["state"]:
            return str(found["state"])[:1].upper() + str(found["state"])[1:]
        case status:
            return f"{words.RUN.get(status, ('', '', status))[2]}. {found['why']}".strip()


def looking(found: Mapping[str, Any], output: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, Markup | None]]:
    """Verifications under way: the step, its healthy looks in a row, and its looks as they come."""
    seen: dict[str, list[Any]] = {}
    for chunk in output:
        if chunk["stream"] == "sample":
            seen.setdefault(chunk["step"], []).append(msgspec.json.decode(chunk["text"]))
    rows: list[tuple[str, int, Markup | None]] = []
    for step in found["steps"]:
        looks = seen.get(step["id"], []) if step["status"] in {"due", "intended"} and found["open"] else []
        if looks:
            began = instant(step["started_at"] or looks[0]["at"])
            points = [(ms_between(began, instant(one["at"])), one["took_ms"], one["seen"]) for one in looks]
            row = next((at for at, one in enumerate(reversed(looks)) if one["seen"] != "healthy"), len(looks))
            rows.append((step["id"], row, samples.draw(points, 0, open_=True)))
    return rows


QUIET: Final = frozenset({"event", "at", "number", "path", "looks"})


def what_happened(event: Mapping[str, Any]) -> str:
    """An event of the journal as one line: what it names, what it carries."""
    carried: Sequence[str] = [
        f"{key} {value}" for key, value in event.items() if key not in QUIET and value not in ("", None, False, {}, [])
    ]
    return ", ".join(carried)


async def act(visit: Visit) -> Response:
    name, what = visit.part["identity"], visit.part["act"]
    given = await visit.fields()
    body: dict[str, Any] = {"reason": given.get("reason", "")}
    if what == "settle":
        body |= {"step": given.get("step", ""), "happened": given.get("happened", "") == "yes"}
    if what == "close":
        body["force"] = given.get("force", "") == "yes"
    await visit.api.post("runs", name, what, **body)
    return visit.go(f"/runs/{name}", DID.get(what, "Done."))


async def ask(visit: Visit) -> Response:
    """The form of an act that wants a reason; a dialog where scripts run."""
    found = await visit.api.get("runs", visit.part["identity"])
    what = visit.part["act"]
    return visit.page("run-act.html", at="runs", title=what.capitalize(), r=found, act=what)


PAGES: Final = (
    ("GET", "/runs", runs),
    ("GET", "/runs/{identity}", run),
    ("GET", "/runs/{identity}/{act}", ask),
    ("POST", "/runs/{identity}/{act}", act),
)
