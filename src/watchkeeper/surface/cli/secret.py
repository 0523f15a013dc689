"""Secrets of this home: put from stdin or a prompt, never from the command line, and never shown."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, safe, table, wrapped

if TYPE_CHECKING:
    from watchkeeper.adapters.secrets import SecretStore

BYTES_READ_MAX: int = 64 * 1024


def secrets(*, json: bool = False) -> int:
    """Names and versions, never values."""
    found = _store().list()
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        wrapped("No secrets. Put one with: wk secret put NAME")
        return Exit.DONE
    table(
        (Column(name="name", flex=True), Column(name="version", right=True), Column(name="put", right=True)),
        [(each.name, each.version, at(each.put_at.isoformat())) for each in found],
    )
    return Exit.DONE


def put(name: str, /) -> int:
    """Put a value: asked for without echo in a terminal, otherwise all of stdin without its last newline."""
    store = _store()
    if sys.stdin.isatty():
        import getpass

        value = getpass.getpass(f"Value of {safe(name)}: ")
        if getpass.getpass("Once more: ") != value:
            raise Ends(Exit.NO, "the two differ; nothing was put")
    else:
        value = sys.stdin.read(BYTES_READ_MAX).removesuffix("\n")
    entry = store.put(name, value, now=datetime.now(UTC))
    wrapped(f"Put {safe(entry.name)}, version {entry.version}. A step that asks again sees it within five minutes.")
    return Exit.DONE


def delete(name: str, /) -> int:
    """Delete a secret. A runbook that refers to it will fail."""
    if not _store().delete(name):
        raise Ends(Exit.NO, f"no secret {name!r}: wk secret lists them")
    wrapped(f"Deleted {safe(name)}.")
    return Exit.DONE


def _store() -> "SecretStore":
    if not here().local:
        raise Ends(Exit.USAGE, "'secret' works on a home of this machine: name it with --home, not with --url")
    from watchkeeper.bootstrap import secret_store

    return secret_store(here().home())
