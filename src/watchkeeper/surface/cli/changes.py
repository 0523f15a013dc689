"""Changes that sources told of, and saying that one is over."""

from watchkeeper.surface.cli.find import whole
from watchkeeper.surface.cli.look import LISTED, more, nothing, one_of
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, bare, short, table, wrapped
from watchkeeper.surface.client import segment


def changes(*, state: str = "", service: str = "", source: str = "", limit: int = LISTED, json: bool = False) -> int:
    """Deploys, releases and workflows that sources told of, newest first.

    Parameters
    ----------
    state
        open or closed.
    service
        Only of this entity, in its full form (component:default/web).
    source
        Only of this source.
    """
    one_of("state", state, ("open", "closed"))
    asked = {"state": state, "service": service, "source": source}
    found = list(here().client().items("/changes", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing("No changes", asked, "They come from sources of kind github.")
    table(
        (
            Column(name="change"),
            Column(name="at", right=True),
            Column(name="kind"),
            Column(name="service", flex=True),
            Column(name="what", flex=True),
            Column(name="by", spare=True),
            Column(name="ended", right=True),
            Column(name="outcome"),
        ),
        [
            (
                short(each["id"]),
                at(each["at"]),
                each["kind"],
                bare(each["service"]) or f"{each['subject']} (unmapped)",
                each["title"],
                each["by"],
                at(each["ended_at"]) if each["ended_at"] else "",
                each["outcome"] or (f"until {at(each['until_at'])}" if each["until_at"] else "under way"),
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def end(identity: str, /, *, reason: str = "", json: bool = False) -> int:
    """Say that a change is over, where its sender never did. What waited for it is decided afresh."""
    if not reason.strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    client = here().client()
    full = whole(client, "/changes", identity, "change")
    found = client.post(f"/changes/{segment(full)}/end", {"reason": reason})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Ended {short(full)}. What waited for it is decided afresh.")
    return Exit.DONE
