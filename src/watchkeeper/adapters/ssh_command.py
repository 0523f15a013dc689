"""The one text that a remote login shell is given: a command whose words can only be words.

A server hands what it is sent to the user's login shell. Every word is therefore quoted so that no shell of a
common kind (sh, bash, dash, zsh, ksh, fish, csh) reads anything in it: what stands in single quotes is free of
quotes, backslashes and exclamation marks, these stand outside, behind a backslash. A control character has no such form in every
shell, so it is refused.

The program runs under `env` with the variables it is given, and under `timeout`: it ends by itself even when this
node does not live to see it. So whoever asks a probe later asks about a program that has ended.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from watchkeeper.errors import Rejected

COMMAND_BYTES_MAX: Final = 64 << 10  # of the whole text; a packet of the protocol and a shell's line both hold it
KILL_AFTER_S: Final = 1  # from the signal that asks it to end to the one that ends it

_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_SPECIAL: Final = re.compile(r"(['\\!])")


def command_line(argv: tuple[str, ...], *, env: Mapping[str, str], cwd: str, timeout_ms: int) -> str:
    """The text to send. Raises Rejected for a word that has no form in every shell."""
    if not argv or not argv[0]:
        raise Rejected("argv: empty; it names the program first; nothing was sent")
    if argv[0].startswith("-") or "=" in argv[0]:
        raise Rejected(f"argv: {argv[0][:64]!r} is no program: it begins with '-' or holds '='; nothing was sent")
    for name in env:
        if not _ENV_NAME.fullmatch(name):
            raise Rejected(f"{argv[0]}: {name[:64]!r} is not the name of an environment variable; nothing was sent")
    if not cwd.startswith("/"):
        raise Rejected(f"{argv[0]}: its working directory {cwd[:64]!r} is not absolute; nothing was sent")
    words = ["exec", "env"]
    if cwd != "/":
        words += ["-C", quoted(cwd)]
    words += [f"{name}={quoted(value)}" for name, value in env.items()]
    words += ["timeout", "-k", f"{KILL_AFTER_S}", f"{max(1, timeout_ms) / 1000:.3f}", *(quoted(word) for word in argv)]
    text = " ".join(words)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as unfit:
        raise Rejected(f"{argv[0]}: a character that has no form in UTF-8; nothing was sent") from unfit
    if size > COMMAND_BYTES_MAX:
        raise Rejected(f"{argv[0]}: a command of {size} bytes, at most {COMMAND_BYTES_MAX}; pass the rest on stdin")
    return text


def quoted(word: str) -> str:
    """A word that every common shell reads as itself. Raises Rejected when a control character is in it."""
    if any(unicodedata.category(one) == "Cc" for one in word):
        raise Rejected(f"{word[:32]!r}: a line break or control character in an argument; pass it on stdin")
    parts = (f"\\{part}" if _SPECIAL.fullmatch(part) else f"'{part}'" for part in _SPECIAL.split(word) if part)
    return "".join(parts) or "''"
