"""Examples by topic: small homes whose scenarios are read as documentation, and played.

Each is what they share (a shop of three services) and, beside or in place of it, the files of its topic.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

SHARED: Final = "base"
IGNORED: Final = b".watchkeeper/\n"

TOPICS: Final = {
    "autonomy": "Autonomy: earned, granted, lost",
    "regions": "Regions and witnesses: who else says so",
    "metrics": "Metrics and objectives: numbers with an age",
    "transactions": "Transactions: who goes first",
    "exclusions": "Exclusions: what automation never touches",
    "breakers": "Breakers and the brake: what keeps failing",
    "calendars": "Freezes and maintenance from calendars",
    "reach": "Reach: over ssh and through Kubernetes",
    "waves": "Waves: many targets, a canary first",
}


def topic_files(name: str) -> dict[str, bytes]:
    """Path -> content of a home. Raises KeyError for a topic that does not exist."""
    if name not in TOPICS:
        raise KeyError(name)
    folder = files("watchkeeper.adapters") / "examples"
    return {".gitignore": IGNORED, **dict(read_folder(folder / SHARED)), **own_files(name)}


def own_files(name: str) -> dict[str, bytes]:
    """What a topic has beside the shop that all share."""
    return dict(read_folder(files("watchkeeper.adapters") / "examples" / name))


def read_folder(folder: Traversable, prefix: str = "") -> list[tuple[str, bytes]]:
    """(path, content) of everything in a folder that was shipped, in order."""
    found: list[tuple[str, bytes]] = []
    for each in sorted(folder.iterdir(), key=lambda one: one.name):
        path = f"{prefix}{each.name}"
        found += read_folder(each, f"{path}/") if each.is_dir() else [(path, each.read_bytes())]
    return found
