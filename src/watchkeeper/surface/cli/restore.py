"""Putting back: a store from a backup, offline; or an earlier configuration, as a change on record."""

import asyncio
import base64
import hashlib
import sys
from pathlib import Path
from typing import Any

from watchkeeper.surface.cli.place import Ends, Exit, here, user
from watchkeeper.surface.cli.words import as_json, at, count, safe, style, tell, wrapped
from watchkeeper.surface.client import segment

DIGEST_CHARS: int = 12


def restore(
    source: Path | None = None,
    /,
    *,
    configuration: str = "",
    into: Path | None = None,
    key: Path | None = None,
    check: bool = False,
    reason: str = "",
    yes: bool = False,
    json: bool = False,
) -> int:
    """Put a store back from a backup while no node runs; or with --configuration an earlier configuration into force.

    Parameters
    ----------
    source
        A file that 'wk store backup' wrote.
    configuration
        The digest of an earlier configuration (wk apply --list), or its first characters. The store stays as it is.
    into
        With --configuration: write its files into this new folder, and change nothing.
    key
        A copy of ledger.key, when the backup holds none and the home has none.
    check
        Only look at the backup: every byte, every entry, every content.
    reason
        Why, for the record.
    yes
        Do not ask.
    """
    if configuration:
        if source is not None:
            raise Ends(Exit.USAGE, "restore one thing at a time: a backup FILE, or --configuration DIGEST")
        return _configuration(configuration, into, reason, yes=yes, json=json)
    if source is None:
        raise Ends(
            Exit.USAGE, "name a backup: wk restore FILE; or an earlier configuration: wk restore --configuration DIGEST"
        )
    if not source.is_file():
        raise Ends(Exit.USAGE, f"{source}: there is no such file; 'wk store backup FILE' writes one")
    if check:
        return _check(source, json=json)
    return _store(source, key, reason, yes=yes, json=json)


def _check(source: Path, *, json: bool) -> int:
    from watchkeeper.bootstrap import check_backup

    found = check_backup(source, Path.cwd())
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(
        f"{source} is whole: a backup of node {safe(found.node)} of {at(found.made_at.isoformat())}, "
        f"{count(found.size, 'ledger entry', 'ledger entries')}, configuration {found.configuration[:DIGEST_CHARS]}."
    )
    return Exit.DONE


def _store(source: Path, key: Path | None, reason: str, *, yes: bool, json: bool) -> int:
    from watchkeeper import bootstrap

    if not here().local:
        raise Ends(Exit.USAGE, "'restore' works on a home of this machine: name it with --home, not a node with --url")
    home = here().home()
    if not reason.strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    if key is not None and not key.is_file():
        raise Ends(Exit.USAGE, f"--key {key}: there is no such file")
    if not yes:
        _ask(
            f"Put {source} in the place of the store of {home}? What happened after the backup is lost to the record; "
            "the present store is kept beside."
        )
    done = asyncio.run(bootstrap.restore(home, source, by=f"local:{user()}", reason=reason, key=key))
    outcome = done.outcome
    if json:
        as_json({"outcome": outcome, "manifest": done.manifest, "aside": str(done.aside or "")})
        return Exit.DONE
    wrapped(style(f"Restored: the backup of {at(done.manifest.made_at.isoformat())}, epoch {outcome.epoch}.", "bold"))
    match outcome.entries_lost:
        case None:
            wrapped(
                "No newer checkpoint was found, so nothing says whether the record lost entries. Compare with one from a notice: wk ledger verify --against FILE"
            )
        case 0:
            wrapped("The record lost nothing that a checkpoint here knows of.")
        case lost:
            wrapped(f"The record lost {count(lost, 'entry', 'entries')}; that is on record now.")
    wrapped(
        f"{count(len(outcome.runs), 'open run')} in doubt, {count(outcome.approvals, 'approval')} void, automation held."
    )
    if done.aside is not None:
        wrapped(f"The store that was there is in {done.aside}: remove it when nobody needs it.")
    wrapped("Next: wk up; look at 'wk runs --status in_doubt'; then wk resume --after-restore --reason '...'")
    return Exit.DONE


def _configuration(digest: str, into: Path | None, reason: str, *, yes: bool, json: bool) -> int:
    client = here().client()
    found = client.get(f"/configuration/activations/{segment(digest)}")
    one, files = found["activation"], {path: base64.b64decode(text) for path, text in found["files"].items()}
    for path, body in files.items():
        if hashlib.sha256(body).hexdigest() != one["files"][path]:
            raise Ends(Exit.NO, f"{path}: arrived altered; nothing was changed")
    if into is not None:
        return _written(one, files, into, json=json)
    if not reason.strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    if not yes:
        planned = client.post("/configuration/plan", {"files": found["files"]})
        changes = (planned.get("plan") or {}).get("changes") or []
        for each in changes[:20]:
            wrapped(f"{each['did']} {each['kind']} {safe(each['name'])}", "    ", first="  - ")
        _ask(f"Put the configuration of {at(one['at'])} ({one['digest'][:DIGEST_CHARS]}) into force again?")
    done = client.post("/configuration/restore", {"digest": one["digest"], "reason": reason}, match=one["digest"])
    if json:
        as_json(done)
        return Exit.DONE
    wrapped(
        f"Active: {done['digest'][:DIGEST_CHARS]}, byte for byte as on {at(one['at'])}. What fires is judged again under it."
    )
    wrapped(
        f"The folder is as it was: write these files with wk restore --configuration {done['digest'][:DIGEST_CHARS]} --into DIR"
    )
    return Exit.DONE


def _written(one: dict[str, Any], files: dict[str, bytes], into: Path, *, json: bool) -> int:
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise Ends(Exit.USAGE, f"{into} is not empty: name a new folder, so that nothing old is mixed in")
    root = into.absolute()
    for path, body in files.items():
        target = (root / path).resolve()
        if not target.is_relative_to(root.resolve()):
            raise Ends(Exit.NO, f"{path}: leads out of the folder; nothing more was written")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
        except OSError as failed:
            raise Ends(Exit.LATER, f"{target}: cannot be written: {failed.strerror}") from failed
    if json:
        as_json({"folder": str(into), "digest": one["digest"], "files": sorted(files)})
        return Exit.DONE
    wrapped(f"Wrote {count(len(files), 'file')} to {into}, as they were on {at(one['at'])}.")
    return Exit.DONE


def _ask(question: str) -> None:
    from watchkeeper.surface.cli.approvals import sure

    if not sys.stdin.isatty():
        raise Ends(Exit.USAGE, "this is not a terminal: nothing was done. To do it without being asked: --yes")
    if not sure(question):
        tell("Nothing was changed.")
        raise Ends(Exit.NO, "not restored")
