"""Sources: who tells this node, and is anybody silent?"""

from typing import Any

from watchkeeper.surface.cli.look import nothing
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, ago, as_json, count, lasts, pairs, safe, say, table, wrapped
from watchkeeper.surface.client import Problem, segment


def sources(name: str = "", /, *, json: bool = False) -> int:
    """Every configured source, also one that was never heard, and why hooks refused somebody. With NAME: one, and how to
    connect it.

    Parameters
    ----------
    name
        Its name under sources in watchkeeper.yaml.
    """
    if name:
        return _one(name, json=json)
    found = here().client().get("/sources")["items"]
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No sources", {}, "Name one under sources in watchkeeper.yaml, then: wk apply.")
    table(
        (
            Column(name="source", flex=True),
            Column(name="kind"),
            Column(name="state"),
            Column(name="last signal", right=True),
            Column(name="last hour", right=True),
            Column(name="dead letters", right=True),
            Column(name="stale after", right=True, spare=True),
            Column(name="posts to", flex=True, spare=True),
        ),
        [
            (
                each["name"],
                each["kind"] if each["configured"] else "left the configuration",
                each["state"],
                ago(each["last_at"]) or "never",
                f"{each['hour']:,}",
                each["dead_letters"] or "",
                lasts(each["stale_after_ms"]),
                ", ".join(each["hooks"]),
            )
            for each in found
        ],
    )
    for each in found:
        if each["asking_fails"]:
            wrapped(f"{safe(each['name'])}: {safe(each['asks'])} cannot be asked: {safe(each['asking_fails'])}")
    wrapped("'wk sources NAME' shows how to connect one.")
    for each in here().client().get("/refusals")["items"]:
        say()
        wrapped(refused(each), "  ")
    return Exit.DONE


def refused(found: dict[str, Any]) -> str:
    """A hook that refused somebody. The sender was told no reason; the operator is."""
    posts = count(found["count"], "post")
    return f"{safe(found['hook'])} refused {posts}, the last {ago(found['at'])}: {safe(found['why'])}"


def _one(name: str, *, json: bool) -> int:
    try:
        found: dict[str, Any] = here().client().get(f"/sources/{segment(name)}")
    except Problem as said:
        if said.status == 404:
            raise Ends(Exit.NO, f"no source {name!r} in the active configuration: wk sources lists them") from said
        raise
    if json:
        as_json(found)
        return Exit.DONE
    pairs(
        [
            ("source", found["name"]),
            ("kind", found["kind"]),
            ("state", found["state"]),
            ("group", found["group"]),
            ("region", found["region"]),
            ("last signal", ago(found["last_at"]) or "never"),
            ("last hour", f"{found['hour']:,} signals"),
            ("dead letters", found["dead_letters"] or ""),
            ("stale after", lasts(found["stale_after_ms"])),
            ("at most", f"{found['rate_max_per_s']:,} deliveries a second"),
            ("entity from", ", ".join(found["entity_from"])),
            ("asks", safe(found["asks"])),
            ("asking fails", safe(found["asking_fails"])),
            ("posts to", ", ".join(found["hooks"])),
            ("credential", _credential(found)),
            *(("beat", f"{each['name']} every {lasts(each['every_ms'])}, {each['entity']}") for each in found["beats"]),
            *(
                ("probe", f"{each['name']} ({each['kind']}) every {lasts(each['every_ms'])}")
                for each in found["probes"]
            ),
        ]
    )
    return Exit.DONE


def _credential(found: dict[str, Any]) -> str:
    if not found["hooks"]:
        return ""
    if found["credential"] == "token":
        return f"a hook token: wk token create --source {safe(found['name'])}"
    return f"{found['credential']}, as watchkeeper.yaml says"
