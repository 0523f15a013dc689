"""The impact report of what is edited and not applied, on the terminal or into a file."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.errors import Rejected
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.progress import progress
from watchkeeper.surface.cli.words import count, safe, tell

FORMATS: tuple[str, ...] = ("md", "html", "json")
WORKED_OUT_WITHIN_S: float = 3600.0  # twenty thousand decisions on a busy node


def report(days: int, limit: int, kind: str, out: Path | None) -> int:
    if kind not in FORMATS:
        raise Ends(Exit.USAGE, f"--format {kind}: it is one of {', '.join(FORMATS)}")
    body: dict[str, Any] = {"days": days, "document": "" if kind == "json" else kind}
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
