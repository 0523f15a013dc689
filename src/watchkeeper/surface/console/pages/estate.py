"""All services at one look: what fails first of all, the sentence that says so, and which view answers it best."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from watchkeeper.surface.console import words
from watchkeeper.surface.console.pages.neighbours import HOLDERS, ORDER, UNRANKED

View = Mapping[str, Any]
NAMED_MAX: Final = 2
LEVELS: Final = ("healthy", "degraded", "failing", "unknown")


class Choice(Struct, frozen=True, kw_only=True):
    """What the page opens with: a thing in focus, or the list (""); `said` why, when nothing is broken."""

    focus: str = ""
    said: str = ""


def wholes(every: Sequence[View]) -> list[View]:
    """What is counted: services and what else stands for itself; not their instances, nor the systems that hold them."""
    inner = {
        part for one in every if one["kind"] not in HOLDERS and one["kind"] != "API" for part in one["condition"]["of"]
    }
    return [one for one in every if one["ref"] not in inner and one["kind"] not in HOLDERS]


def counts(found: Sequence[View]) -> dict[str, int]:
    seen = Counter(one["condition"]["is"] for one in found)
    return {level: seen[level] for level in LEVELS}


def roots(found: Sequence[View]) -> list[View]:
    """What fails and needs nothing that fails: where to look first."""
    failing = {one["ref"]: one for one in found if one["condition"]["is"] == "failing"}
    return [
        one
        for one in failing.values()
        if not any(ref in failing for ref in one["condition"]["because"])
        and not (one["kind"] == "API" and any(ref in failing for ref in one["condition"]["of"]))
    ] or [*failing.values()]  # each needs another: all of them are


def ranks(transactions: Sequence[View]) -> dict[str, int]:
    """Entity -> the priority of its most important transaction."""
    found: dict[str, int] = {}
    for each in transactions:
        for hop in each["hops"]:
            for ref in (hop, *each["members"].get(hop, ())):
                found[ref] = min(each["priority"], found.get(ref, UNRANKED))
    return found


def worst(found: Sequence[View], priority: Mapping[str, int]) -> list[View]:
    """What is broken, most pressing first: what fails of itself, by the business's priority, then by how many it hurts."""
    first = {one["ref"] for one in roots(found)}
    hurt = Counter(ref for one in found for ref in one["condition"]["because"])
    broken = [one for one in found if one["condition"]["is"] in {"failing", "degraded"}]
    return sorted(
        broken,
        key=lambda one: (
            one["ref"] not in first,
            ORDER[one["condition"]["is"]],
            bool(one["condition"]["because"]),
            priority.get(one["ref"], UNRANKED),
            -hurt[one["ref"]],
            one["name"],
        ),
    )


def choose(found: Sequence[View], transactions: Sequence[View]) -> Choice:
    """The worst thing; with nothing broken, where the most important transaction begins; else the list."""
    broken = worst(found, ranks(transactions))
    if broken:
        return Choice(focus=broken[0]["ref"])
    known = {one["ref"] for one in found}
    for each in sorted(transactions, key=lambda one: (one["priority"], one["name"])):
        if each["hops"][0] in known:
            where = words.short_ref(each["hops"][0])
            return Choice(focus=each["hops"][0], said=f"Shown: {where}, where {each['name']} begins.")
    if found:
        return Choice(said="No transaction is declared to begin with: shown is the list.")
    return Choice()


def answer(found: Sequence[View]) -> str:
    """What fails, and what hangs on it."""
    if not found:
        return "The catalogue is empty."
    failing = [one for one in found if one["condition"]["is"] == "failing"]
    degraded = [one for one in found if one["condition"]["is"] == "degraded"]
    if failing:
        return _of_failing(roots(found), failing, degraded)
    if degraded:
        one = degraded[0]
        if len(degraded) > 1:
            return f"{_names(degraded)} are degraded."
        return f"{one['name']} is degraded: {one['condition']['why'] or 'some of it fails'}."
    count = counts(found)
    if count["unknown"] == len(found):
        return (
            "Nobody watches the health of any service." if _unwatched(found) else "The health of no service is known."
        )
    if count["unknown"]:
        return f"No service is failing. The health of {count['unknown']:,} is unknown."
    return "Every service is healthy." if len(found) > 1 else f"{found[0]['name']} is healthy."


def _of_failing(first: Sequence[View], failing: Sequence[View], degraded: Sequence[View]) -> str:
    if len(first) > 1:
        rest = f" {len(degraded):,} more {'is' if len(degraded) == 1 else 'are'} degraded." if degraded else ""
        return f"{_names(first)} are failing.{rest}"
    (one,) = first
    also = [each for each in failing if each["ref"] != one["ref"]]
    hit = [each for each in degraded if one["ref"] in each["condition"]["because"]]
    said = f"{one['name']} is failing"
    if also:
        who = f"so is {also[0]['name']}, which needs it" if len(also) == 1 else f"so are {len(also):,} that need it"
        rest = f" {len(degraded):,} more {'is' if len(degraded) == 1 else 'are'} degraded." if degraded else ""
        return f"{said}, and {who}.{rest}"
    if hit:
        whom = hit[0]["name"] if len(hit) == 1 else f"{len(hit):,} of its callers"
        return f"{said} and degrades {whom}."
    return f"{said}."


def counted(every: Sequence[View], found: Sequence[View]) -> str:
    """`1,204 services in 9 systems: 1,198 healthy, 3 degraded, 1 failing, 2 unknown.`"""
    held = {kind: sum(one["kind"] == kind for one in every) for kind in ("Domain", "System")}
    where = next((f" in {words.plural(count, kind.lower())}" for kind, count in held.items() if count), "")
    count = counts(found)
    parts = [f"{count[level]:,} {level}" for level in LEVELS if count[level]]
    return f"{words.plural(len(found), 'service')}{where}{': ' if parts else ''}{', '.join(parts)}."


def _unwatched(found: Sequence[View]) -> bool:
    return not any(one["health"]["at"] or one["health"]["why"] for one in found)


def _names(found: Sequence[View]) -> str:
    names = [one["name"] for one in found]
    more = len(names) - NAMED_MAX
    return f"{', '.join(names[:NAMED_MAX])} and {more:,} more" if more > 0 else " and ".join(names)
