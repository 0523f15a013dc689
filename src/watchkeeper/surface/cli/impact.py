"""The impact report of what is edited and not applied, on the terminal or into a file."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.errors import Rejected, Unavailable
from watchkeeper.surface.cli.place import Ends, Exit, here, looked_back
from watchkeeper.surface.cli.progress import progress
from watchkeeper.surface.cli.words import count, safe, tell, wrapped
from watchkeeper.surface.client import Client, Problem

FORMATS: tuple[str, ...] = ("md", "html", "json")
SHORT_MAX: int = 1_000  # decisions looked at before somebody is asked to apply
SHORT_WITHIN_S: float = 30.0
WORKED_OUT_WITHIN_S: float = 3600.0  # twenty thousand decisions on a busy node


def report(days: int, limit: int, kind: str, out: Path | None) -> int:
    if kind not in FORMATS:
        raise Ends(Exit.USAGE, f"--format {kind}: it is one of {', '.join(FORMATS)}")
    body: dict[str, Any] = {"days": looked_back(days), "document": "" if kind == "json" else kind}
    if limit:
        body["limit"] = limit
    client = here().client(timeout_s=WORKED_OUT_WITHIN_S)
    with progress(lambda: f"deciding the last {count(days, 'day')} again"):
        found = client.post("/history/impact", body, asks=True)
    text = found.pop("document")
    if kind == "json":
        text = msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"
    if out is None:
        sys.stdout.write(text)
        return Exit.DONE
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as failed:
        raise Rejected(f"{out}: cannot be written: {failed.strerror}") from failed
    history = found["history"]
    otherwise = sum(each["kind"] in {"differs", "lost"} for each in history["items"])
    tell(
        f"{safe(out)}: {count(history['looked_at'], 'decision')} looked at, {otherwise:,} would have been otherwise, "
        f"{sum(history['cannot'].values()):,} cannot be judged."
    )
    return Exit.DONE


def in_short(client: Client) -> None:
    """What history would have been, in one sentence, before a person says yes. That it cannot be worked out stops nothing."""
    try:
        with progress(lambda: "deciding the newest history again"):
            found = client.within(SHORT_WITHIN_S).post("/history/impact", {"limit": SHORT_MAX}, asks=True)
    except (Problem, Unavailable) as no:
        wrapped(f"What history would have been could not be worked out: {safe(no)}")
        return
    history = found["history"]
    kinds = {kind: sum(each["kind"] == kind for each in history["items"]) for kind in ("differs", "lost", "new")}
    wrapped(
        f"Of the newest {count(history['looked_at'], 'decision')} {history['same']:,} would be the same, "
        f"{kinds['differs']:,} otherwise, {kinds['lost']:,} not made, {kinds['new']:,} new; "
        f"{sum(history['cannot'].values()):,} cannot be judged. 'wk plan --impact' lists them."
    )
