"""What a decision records of the engine that made it."""

from importlib.metadata import version
from pathlib import Path
from zoneinfo import TZPATH

from watchkeeper import __version__


def versions() -> dict[str, str]:
    """What a decision records of the engine that made it (SEMANTICS 15)."""
    return {"watchkeeper": __version__, "cel": version("cel-expr-python"), "cedar": "none", "tzdata": _tzdata()}


def _tzdata() -> str:
    """Which time zones windows were worked out by: the system's when it has any, else those that are installed beside."""
    if any((Path(path) / "Europe" / "Berlin").is_file() for path in TZPATH):
        return "system"
    return version("tzdata")
