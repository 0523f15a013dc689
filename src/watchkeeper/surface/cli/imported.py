"""`wk import`: drafts of rules and catalogue stubs from the files of Prometheus and Alertmanager. Nothing is overwritten."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from watchkeeper.errors import Rejected
from watchkeeper.surface.cli.place import SETTINGS, Ends, Exit
from watchkeeper.surface.cli.words import as_json, count, safe, say, style, tell, wrapped

if TYPE_CHECKING:
    from watchkeeper.report.drafts import Drafts

FILES_MAX: int = 500
FILE_BYTES_MAX: int = 1024 * 1024
SHOWN: int = 50


def import_(files: tuple[Path, ...], /, *, into: Path | None = None, owner: str = "", json: bool = False) -> int:
    """Draft rules and catalogue stubs from Prometheus rule files and Alertmanager's configuration.

    Parameters
    ----------
    files
        Rule files and alertmanager.yml, in any order; a folder stands for the YAML files in it.
    into
        The folder to write to: a home, or a new one. Without it the drafts go to stdout.
    owner
        The group that answers for what nobody is named for, for example group:operations.
    """
    from watchkeeper import bootstrap
    from watchkeeper.report.drafts import drafts
    from watchkeeper.report.monitoring import read_monitoring

    monitoring = read_monitoring(_read(files))
    if not (monitoring.alerts or monitoring.routes or monitoring.receivers or monitoring.inhibits):
        why = f"; the first: {monitoring.untranslated[0]}" if monitoring.untranslated else ""
        raise Rejected(f"nothing in {', '.join(str(each) for each in files)} can be drafted from{why}")
    home = into if into is not None and (into / SETTINGS).is_file() else None
    known = bootstrap.names_of(home) if home is not None else frozenset()
    if owner and known and owner not in known:
        raise Ends(Exit.USAGE, f"--owner {owner}: the catalogue in {into} has no such group")
    found = drafts(monitoring, owner=owner, known=known, settings=home is None, grouped=bool(owner and known))
    errors = bootstrap.errors_with(home, found.files)
    if errors:
        raise Rejected(f"the drafts do not load, so nothing was written: {errors[0]}")
    if into is not None:
        written = bootstrap.write_new(into, found.files)
    if json:
        as_json(
            {
                "rules": found.rules,
                "entities": found.entities,
                "files": {path: body.decode() for path, body in found.files.items()},
                "written": list(written) if into is not None else [],
                "untranslated": found.untranslated,
                "suggestions": found.suggestions,
            }
        )
        return Exit.DONE
    if into is None:
        for path in sorted(found.files):
            if path.endswith(".yaml"):
                sys.stdout.write(f"--- # {path}\n{found.files[path].decode()}")
    _told(found, into)
    return Exit.DONE


def _told(found: "Drafts", into: Path | None) -> None:
    drafted = f"{count(found.rules, 'rule')} and {count(found.entities, 'catalogue stub')} drafted; they only watch."
    if into is None:
        tell(drafted)
        for each in found.untranslated[:SHOWN]:
            tell(f"not translated: {safe(each)}")
        if len(found.untranslated) > SHOWN:
            tell(f"and {len(found.untranslated) - SHOWN:,} more: --json has all of them")
        return
    wrapped(style(drafted, "bold"))
    for path in sorted(found.files):
        say(f"  {safe(into / path)}")
    for title, lines in (
        ("Not translated", [str(each) for each in found.untranslated]),
        ("Suggestions", found.suggestions),
    ):
        if lines:
            say(style(title, "bold"))
        for line in lines[:SHOWN]:
            wrapped(safe(line), "    ", first="  - ")
        if len(lines) > SHOWN:
            wrapped(f"and {len(lines) - SHOWN:,} more, in {into / 'IMPORTED.md'}", "    ", first="  ")
    wrapped(f"Next: wk check --home {into}, then wk backtest.")


def _read(given: tuple[Path, ...]) -> dict[str, bytes]:
    if not given:
        raise Ends(Exit.USAGE, "name the files: rule files of Prometheus, alertmanager.yml")
    found: dict[str, bytes] = {}
    for path in given:
        inner = sorted(each for each in path.rglob("*.y*ml") if each.is_file()) if path.is_dir() else [path]
        for each in inner:
            if len(found) >= FILES_MAX:
                raise Ends(Exit.USAGE, f"more than {FILES_MAX} files: import them in parts")
            try:
                with each.open("rb") as file:
                    found[str(each)] = file.read(FILE_BYTES_MAX + 1)
            except OSError as unread:
                raise Rejected(f"{each}: cannot be read: {unread.strerror}") from unread
    if not found:
        raise Ends(Exit.USAGE, f"no YAML file in {', '.join(str(path) for path in given)}")
    return found
