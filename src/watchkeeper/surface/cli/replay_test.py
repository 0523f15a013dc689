"""A decision that was called false or harmful, as a test in a file: the next version of the rules must pass it."""

import sys
from pathlib import Path

from watchkeeper.errors import Rejected
from watchkeeper.surface.cli.find import whole
from watchkeeper.surface.cli.place import Exit, here
from watchkeeper.surface.cli.words import as_json, safe, wrapped
from watchkeeper.surface.client import segment


def write(identity: str, /, *, out: Path | None = None, json: bool = False) -> int:
    """Of a decision that somebody called false or harmful, the replay test: it fails while the rules would do it again.

    Parameters
    ----------
    identity
        A decision.
    out
        A new file, or the home's folder: then it goes into its pack. Without it the test is written to the terminal.
    """
    client = here().client()
    full = whole(client, "/decisions", identity, "decision")
    found = client.get(f"/decisions/{segment(full)}/test")
    if json:
        as_json(found)
        return Exit.DONE
    if out is None:
        sys.stdout.write(found["document"])
        return Exit.DONE
    target = inside(out, found["path"]) if out.is_dir() else out
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(found["document"])
    except FileExistsError as there:
        raise Rejected(f"{target}: is there already: nothing was written; give another name with --out") from there
    except OSError as failed:
        raise Rejected(f"{target}: cannot be written: {failed.strerror}") from failed
    wrapped(
        f"Wrote {safe(str(target))}: it fails while the rules would {found['forbids']} again. It belongs into {found['path']}."
    )
    wrapped(
        "It holds what was recorded of the decision, labels of the alert included: read it before it leaves this machine."
    )
    wrapped("Next: change the rules until it passes: wk test")
    return Exit.DONE


def inside(folder: Path, path: str) -> Path:
    """The place in the folder that a node names. Raises Rejected when it leads out of it: a node elsewhere is believed little."""
    target = (folder / path).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise Rejected(f"{safe(path)}: the node names a place outside {folder}; nothing was written")
    return target
