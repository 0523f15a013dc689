"""Who may come in, and with which tokens."""

from typing import Any, Final

from watchkeeper.surface.cli.look import LISTED, more
from watchkeeper.surface.cli.place import Ends, Exit, bootstrap_token, here, known_user, user
from watchkeeper.surface.cli.words import Column, as_json, at, pairs, safe, say, table, tell, wrapped
from watchkeeper.surface.client import Problem, segment

NAMES_LOOKED_AT: Final = 10_000  # identities whose names stand beside their tokens: as many as a node has


def whoami(*, json: bool = False) -> int:
    """Who the node takes you for, and what you may do."""
    found = here().client().get("/whoami")
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(
        f"You are {safe(found['name'])}, by {'the socket of this home' if found.get('channel') == 'socket' else found.get('channel', 'token')}."
    )
    pairs(
        [
            ("roles", ", ".join(found.get("roles") or []) or "none"),
            ("groups", ", ".join(found.get("groups") or [])),
            ("may", ", ".join(str(verb).replace("_", " ") for verb in found.get("may") or []) or "nothing"),
        ]
    )
    return Exit.DONE


def console(*, json: bool = False) -> int:
    """A link that signs you in to the console in a browser, for twelve hours."""
    found = here().client().post("/whoami/token", {})
    link = f"{here().url or found['url']}/sign-in#{found['text']}"
    if json:
        as_json({"url": link, "until_at": found["expires_at"]})
        return Exit.DONE
    say(link)
    tell("It signs in as you; whoever has it is you until it ends. 'wk token revoke' ends it sooner.")
    return Exit.DONE


def identities(*, limit: int = LISTED, json: bool = False) -> int:
    """People and machines that this node knows."""
    found = list(here().client().items("/identities", limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        wrapped("Nobody yet. Become the first admin with: wk identity add --me")
        return Exit.DONE
    table(
        (
            Column(name="name", flex=True),
            Column(name="roles", flex=True),
            Column(name="groups", flex=True, spare=True),
            Column(name="kind"),
            Column(name="since", right=True, spare=True),
            Column(name="by", spare=True),
        ),
        [
            (
                each["name"],
                ", ".join(each["roles"]),
                ", ".join(each.get("groups") or []),
                "person" if each.get("human", True) else "machine",
                at(each["at"]),
                each["by"],
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def identity_add(
    name: str = "",
    /,
    *,
    me: bool = False,
    role: tuple[str, ...] = (),
    group: tuple[str, ...] = (),
    machine: bool = False,
    json: bool = False,
) -> int:
    """Add a person or a machine. With --me, on the node's machine: you become its first admin.

    Parameters
    ----------
    name
        Its name; local:alice is the user alice of this machine.
    me
        You, as the user of this machine; with the bootstrap token in the home.
    role
        viewer, operator, approver or admin; give it again for more. Of --me: admin.
    group
        A catalogue group whose approvals it may give, for example group:default/payments-sre.
    machine
        It is no person: it never approves.
    """
    if me == bool(name):
        raise Ends(Exit.USAGE, "name whom to add, or say --me")
    body = {
        "name": f"local:{user()}" if me else name,
        "roles": list(role or (("admin",) if me else ())),
        "groups": list(group),
        "human": not machine,
    }
    if not body["roles"]:
        raise Ends(Exit.USAGE, "say what it may do: --role viewer, operator, approver or admin")
    try:
        found = _add_me(body) if me else here().client().post("/identities", body)
    except Problem as said:
        if not me or said.status != 409:
            raise
        wrapped(f"{safe(body['name'])} is known already: 'wk whoami' says what you may do.")
        return Exit.DONE
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Added {safe(found['name'])} with {', '.join(found['roles'])}.")
    if here().local and not me and name.startswith("local:") and not known_user(name.removeprefix("local:")):
        tell(
            f"wk: this machine has no user {safe(name.removeprefix('local:'))}: nobody can come in as that until it has"
        )
    if me:
        wrapped("On this machine wk knows you by your user; the bootstrap token can now only post to source 'default'.")
    return Exit.DONE


def _add_me(body: dict[str, object]) -> dict[str, Any]:
    """With the bootstrap token of the home; without one as who one is already."""
    if not here().local:
        raise Ends(Exit.USAGE, "--me works on the node's own machine: name its home with --home")
    token = bootstrap_token(here().home())
    client = here().client(token) if token else here().client()
    try:
        found = client.post("/identities", body)
    except Problem as said:
        if said.status in {401, 403} and token:
            found = here().client().post("/identities", body)
        else:
            raise
    return dict(found)


def identity_remove(name: str, /, *, reason: str = "", json: bool = False) -> int:
    """Remove one, and end all its tokens. The last admin stays."""
    if not reason.strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    found = here().client().post(f"/identities/{segment(name)}/remove", {"reason": reason})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Removed {safe(found['name'])} and every token of it.")
    return Exit.DONE


def tokens(*, limit: int = LISTED, json: bool = False) -> int:
    """Live tokens. Their text is stored nowhere."""
    client = here().client()
    found = list(client.items("/tokens", limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        wrapped("No tokens. Make one with: wk token create --identity NAME --role viewer, or --source NAME for a hook.")
        return Exit.DONE
    names = {each["id"]: each["name"] for each in client.items("/identities", limit=NAMES_LOOKED_AT)}
    table(
        (
            Column(name="token"),
            Column(name="name", flex=True),
            Column(name="for", flex=True),
            Column(name="roles", flex=True),
            Column(name="expires", right=True),
            Column(name="by", spare=True),
        ),
        [
            (
                each["id"],
                each["name"],
                f"source {each['source']}"
                if each.get("source")
                else "bootstrap"
                if each.get("bootstrap")
                else names.get(each["identity"], each["identity"]),
                ", ".join(each["roles"]),
                at(each.get("expires_at")) or "never",
                each["by"],
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def token_create(
    *,
    identity: str = "",
    name: str = "",
    role: tuple[str, ...] = (),
    for_: str = "",
    source: str = "",
    json: bool = False,
) -> int:
    """Make a token. Its text is shown this once, on stdout alone.

    Parameters
    ----------
    identity
        Whose: it has no role that its identity lacks.
    name
        What it is for.
    role
        viewer, operator, approver or admin; give it again for more.
    for_
        How long it lives, for example 90d; for ever without it.
    source
        Make it a hook token instead: it can only post to this source.
    """
    if bool(identity) == bool(source):
        raise Ends(Exit.USAGE, "say whose it is: --identity NAME, or --source NAME for a hook token")
    body: dict[str, object] = {
        "identity": identity,
        "name": name or source or identity,
        "roles": list(role),
        "source": source,
    }
    if for_:
        body["for"] = for_
    found = here().client().post("/tokens", body)
    if json:
        as_json(found)
        return Exit.DONE
    tell("This is the only time it is shown:")
    say(str(found["text"]))
    return Exit.DONE


def token_revoke(identity: str, /, *, reason: str = "", json: bool = False) -> int:
    """End a token at once.

    Parameters
    ----------
    identity
        Its id, as 'wk token list' shows it.
    """
    if not reason.strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    found = here().client().post(f"/tokens/{segment(identity)}/revoke", {"reason": reason})
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(f"Revoked token {safe(found['id'])} ({safe(found['name'])}).")
    return Exit.DONE
