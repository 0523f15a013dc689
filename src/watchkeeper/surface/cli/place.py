"""Where a command works: the home or the node it means, how times are told, and how a command ends.

Flags that every command takes (`--home`, `--url`, `--utc`, `--no-color`) are taken out of the line before a verb sees it.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from watchkeeper.surface.client import ANSWER_TIMEOUT_S, SOCKET, Client, Where

SETTINGS: Final = "watchkeeper.yaml"
TOKEN: Final = Path(".watchkeeper") / "token"
WIDTH_MIN: Final = 40
TOKEN_CHARS_MAX: Final = 1_000


class Exit(IntEnum):
    """What a script reads (SEMANTICS 15)."""

    DONE = 0
    NO = 1
    USAGE = 2
    LATER = 3
    BUG = 4
    INTERRUPTED = 130


DAYS_MAX: Final = 400  # how far back history is looked at


class Ends(Exception):
    """Ends a command: one sentence, and the exit code that says the same."""

    def __init__(self, code: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


class Place(Struct, frozen=True, kw_only=True):
    """`home_text` is what a person gave, "" when nothing did. `width` 0: not a terminal, lines are never cut."""

    home_text: str = ""
    url: str = ""
    utc: bool = False
    colour: bool = False
    plain: bool = False
    width: int = 0
    inherited: str = ""

    def home(self) -> Path:
        """The home. Raises Ends when no folder can be meant."""
        if self.home_text:
            found = Path(self.home_text).expanduser().absolute()
            if not found.is_dir():
                raise Ends(
                    Exit.LATER, f"no home at {found}: there is no such folder; make one with 'wk init {self.home_text}'"
                )
            if not (found / SETTINGS).is_file():
                raise Ends(Exit.LATER, f"no home at {found}: it has no {SETTINGS}; run 'wk init {self.home_text}'")
            return found
        if (Path.cwd() / SETTINGS).is_file():
            return Path.cwd()
        raise Ends(
            Exit.LATER,
            f"no home here: {Path.cwd()} has no {SETTINGS}; run 'wk init', or name a home with --home DIR or "
            "WATCHKEEPER_HOME",
        )

    def where(self, token: str = "") -> Where:
        if self.url:
            return Where(url=self.url, token=token or self.inherited, name=self.url)
        home = self.home()
        return Where(socket=home / SOCKET, token=token, name=str(home))

    def client(self, token: str = "", *, timeout_s: float = ANSWER_TIMEOUT_S) -> Client:
        where = self.where(token)
        if where.socket is None or token:
            return Client(where, timeout_s=timeout_s)
        home = where.socket.parent.parent
        return Client(where, timeout_s=timeout_s, spare=lambda: bootstrap_token(home))

    @property
    def local(self) -> bool:
        return not self.url


_here = Place()


def here() -> Place:
    """The place of this command."""
    return _here


def go(place: Place) -> None:
    global _here  # noqa: PLW0603  one command a process; a test sets it anew
    _here = place


def taken(line: Sequence[str], environment: Mapping[str, str]) -> tuple[Place, list[str]]:
    """The place a command line names, and the line without the flags that named it. Raises Ends for a lone flag."""
    values = {"--home": environment.get("WATCHKEEPER_HOME", ""), "--url": environment.get("WATCHKEEPER_URL", "")}
    utc = colourless = False
    rest: list[str] = []
    words = iter(line)
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--":
            rest += [word, *words]
        elif name in values:
            found = value if equals else next(words, "")
            if not found:
                raise Ends(Exit.USAGE, f"{name} needs a value: write {name} {'DIR' if name == '--home' else 'URL'}")
            values[name] = found
            if name == "--home":
                values["--url"] = ""
        elif word == "--utc":
            utc = True
        elif word in {"--no-color", "--no-colour"}:
            colourless = True
        else:
            rest.append(word)
    if values["--url"] and not values["--url"].startswith(("http://", "https://")):
        raise Ends(Exit.USAGE, f"--url {values['--url']}: write it with its scheme, for example http://127.0.0.1:8420")
    if values["--url"] and not _address(values["--url"]):
        raise Ends(Exit.USAGE, f"--url {values['--url']}: no address; write for example http://127.0.0.1:8420")
    token = environment.get("WATCHKEEPER_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()):
        raise Ends(
            Exit.USAGE, "WATCHKEEPER_TOKEN: holds characters that no token has; is it the whole of the file alone?"
        )
    if colourless:
        os.environ["NO_COLOR"] = "1"  # the help is drawn by the parser, which looks there
    terminal = sys.stdout.isatty()
    encoding = (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "")
    width = shutil.get_terminal_size((80, 24)).columns if terminal or "COLUMNS" in environment else 0
    return Place(
        home_text=values["--home"],
        url=values["--url"].rstrip("/"),
        utc=utc,
        colour=terminal and not colourless and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb",
        plain=encoding not in {"utf8", "utf16"},
        width=max(width, WIDTH_MIN) if width else 0,
        inherited=token,
    ), rest


def _address(url: str) -> bool:
    """Whether it has a host, and a port that is one where it has any."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def state_file(home: Path, name: str) -> Path:
    return home / ".watchkeeper" / name


def bootstrap_token(home: Path) -> str:
    """The token in the home; "" when there is none, or when it is not ours to read."""
    with contextlib.suppress(OSError):
        number = os.open(home / TOKEN, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(number, encoding="ascii", errors="replace") as file:
            return file.read(TOKEN_CHARS_MAX).strip()
    return ""


def user() -> str:
    """The name of the user of this process, as the node sees its uid."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def known_user(name: str) -> bool:
    """Whether this machine has a user of that name."""
    import pwd

    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def looked_back(days: int) -> int:
    """The days of --days; nothing else can be asked of a history."""
    if not 1 <= days <= DAYS_MAX:
        raise Ends(Exit.USAGE, f"--days {days}: give 1 to {DAYS_MAX}")
    return days
