"""What a yes would change, in the words of the card: the calls, the same on all targets or told apart; what stops it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from watchkeeper.surface.console import words
from watchkeeper.values import instant, ms_between

APART_MAX: Final = 20  # targets whose values are told apart
NOUNS: Final = frozenset({"instance", "service", "database", "host", "server", "node", "queue", "cluster", "website"})


def merged(does: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """The steps of several targets as one list, each argument with its one value, or with one a target (`apart`). None
    when the steps themselves differ.
    """
    if not does:
        return []
    shapes = {tuple((step["step"], step["of"], step["do"], step["when"]) for step in each["steps"]) for each in does}
    if len(shapes) > 1:
        return None
    found = []
    for at, step in enumerate(does[0]["steps"]):
        rows = [(each["name"], dict(each["steps"][at]["arguments"])) for each in does]
        arguments = [
            {
                "name": name,
                "value": value,
                "later": name in step["later"],
                "apart": _apart(name, rows),
            }
            for name, value in step["arguments"]
        ]
        found.append({**step, "arguments": arguments})
    return found


def _apart(name: str, rows: Sequence[tuple[str, Mapping[str, str]]]) -> list[tuple[str, str]]:
    """(target, value) where the values differ; empty where they are the same."""
    values = [(target, given.get(name, "")) for target, given in rows]
    return values[:APART_MAX] if len({value for _, value in values}) > 1 else []


def undone(steps: Iterable[Mapping[str, Any]]) -> str:
    """Whether what is done can be taken back."""
    acts = [step for step in steps if step["kind"] == "do" and not step["of"]]
    undos = {step["step"] for step in steps if step["of"] == "undo"}
    if not undos:
        return "nothing is taken back"
    return "yes" if len(undos) >= len(acts) else f"{words.plural(len(undos), 'step')} of {len(acts)}"


def stops(runbook: Mapping[str, Any]) -> list[str]:
    """What ends it before its end, in the order of its steps."""
    found: list[str] = []
    _stops(runbook["steps"], found)
    found.append(f"it takes longer than {words.span(runbook['timeout_ms'])}")
    after = {"undo": "undoes what it did", "stay": "leaves things as they are", "finish": "finishes first"}
    found.append(f"anyone holds or freezes it: it {after.get(runbook['on_stop'], runbook['on_stop'])}")
    found.append("anyone stops automation")
    return found


def _stops(steps: Sequence[Mapping[str, Any]], found: list[str]) -> None:
    for step in steps:
        if step["verify"]:
            found.append(f"{step['id']} does not hold within {words.span(step['verify']['within_ms'])}")
        waves = step["waves"]
        if waves and waves["failed_max"] is not None:
            found.append(f"more than {waves['failed_max']} of {step['id']} fail")
        if waves and waves["unhealthy_max"] is not None:
            found.append(f"more than {waves['unhealthy_max']} of {step['id']} are unhealthy")
        _stops(step["steps"], found)


def takes(runs: Iterable[Mapping[str, Any]]) -> str:
    """About how long it takes, by the median of the earlier runs that succeeded."""
    spans = sorted(
        ms_between(instant(one["at"]), instant(one["ended_at"]))
        for one in runs
        if one["status"] == "succeeded" and one["ended_at"]
    )
    if not spans:
        return "not known: it never succeeded yet"
    return f"about {words.span(spans[len(spans) // 2])}, {words.plural(len(spans), 'earlier run')}"


def questions(requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The findings that a yes answers, the same one told once with how many requests ask it."""
    found: dict[tuple[str, str], int] = {}
    for each in requests:
        for one in each["findings"]:
            key = (one["guard"], one["reason"])
            found[key] = found.get(key, 0) + 1
    return [{"guard": guard, "reason": reason, "count": count} for (guard, reason), count in found.items()]


def noun(entities: Sequence[Mapping[str, Any]]) -> str:
    """What the targets are called: by their type in the catalogue when they are all of one that is a plain word."""
    types = {str(one.get("type", "")) for one in entities}
    only = next(iter(types)) if len(types) == 1 else ""
    return only if only in NOUNS else "target"
