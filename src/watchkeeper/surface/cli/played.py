"""Scenarios on the node: played there under the active configuration, and how each went last."""

from time import monotonic, sleep
from typing import Any

from watchkeeper.surface.cli.look import nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import as_json, at, count, safe, say, style, tell, wrapped

LOOK_S: float = 0.3
WAIT_S: float = 900.0  # longer than the node plays
DIGEST_CHARS: int = 12
WORDS: dict[str, tuple[str, str, str]] = {
    "passed": ("✓ passed", "+ passed", "green"),
    "failed": ("✗ failed", "x failed", "red"),
    "broken": ("? broken", "? broken", "yellow"),
    "never": ("· not run", "- not run", ""),
}


def on_node(wanted: str, *, play: bool, json: bool) -> int:
    """`wanted` is a pack, a rule, a runbook or a scenario; all of them without it."""
    client = here().client()
    found = _of(client.get("/scenarios")["items"], wanted)
    if not found and wanted:  # a mistyped name tests nothing, and passes for nothing
        raise Ends(Exit.NO, f"no scenario of {wanted!r} in the active configuration: 'wk test --last' lists them")
    if not found:
        return nothing("No scenarios", {}, "They stand in packs/NAME/scenarios/*.yaml.")
    if play:
        client.post("/scenarios/play", {"names": [each["name"] for each in found]} if wanted else {})
        found = _of(_ended(json=json)["items"], wanted)
    bad = [each for each in found if each["state"] in {"failed", "broken"}]
    if json:
        as_json(found)
        return Exit.NO if bad else Exit.DONE
    for each in found:
        _tell(each)
    say()
    states = [each["state"] for each in found]
    said = ", ".join(
        f"{states.count(state)} {word}"
        for state, word in (("passed", "passed"), ("failed", "failed"), ("broken", "broken"), ("never", "not run"))
        if state in states
    )
    wrapped(f"{count(len(found), 'scenario')} of the active configuration: {said}.")
    return Exit.NO if bad else Exit.DONE


def _of(items: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    return [
        each
        for each in items
        if not wanted or wanted in {each["name"], each["pack"], *each["rules"], *each["runbooks"]}
    ]


def _ended(*, json: bool) -> dict[str, Any]:
    """When the node has played them all."""
    client, end, told = here().client(), monotonic() + WAIT_S, -1
    while True:
        found: dict[str, Any] = client.get("/scenarios")
        under = found["playing"]
        if under is None:
            return found
        if monotonic() > end:
            raise Ends(Exit.LATER, "the node still plays: 'wk test --last' shows what is done")
        if not json and here().colour and under["done"] != told:
            told = under["done"]
            tell(f"{told} of {under['of']}")
        sleep(LOOK_S)


def _tell(each: dict[str, Any]) -> None:
    rich, plain, colour = WORDS[each["state"]]
    word = plain if here().plain else rich
    say(f"{style(word, colour) if colour else word}  {safe(each['name'])}")
    last = each["last"]
    if last is None:
        return
    if not each["current"]:
        wrapped(
            f"last {last['state']} {at(last['at'])} under another configuration ({last['configuration'][:DIGEST_CHARS]}): "
            "play it again with 'wk test --node'",
            "      ",
            first="    - ",
        )
        return
    for failure in last["failures"]:
        wrapped(safe(failure), "      ", first="    - ")
    if each["state"] != "passed":
        say(f"    {safe(each['where'])}")
