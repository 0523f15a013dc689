"""The command line: `watchkeeper`, short `wk`. One table of verbs; each verb's module is imported when it is asked for.

Exit codes: 0 done or yes, 1 the answer is no, 2 wrong use, 3 cannot now, 4 a bug, 130 interrupted (SEMANTICS 15).
"""

import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

from watchkeeper.errors import Rejected, Unavailable, Untrusted, WatchkeeperError
from watchkeeper.surface.cli.place import Ends, Exit, go, here, taken
from watchkeeper.surface.cli.verbs import VERBS, nearest
from watchkeeper.surface.client import NoNode, Problem

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})
_BARE: Final = {"--json": "json"}  # what a verb may carry and still needs no parser


def main(line: Sequence[str] | None = None) -> int:
    """One command. Returns the exit code; prints the answer on stdout and everything else on stderr."""
    words = list(sys.argv[1:] if line is None else line)
    _stand_in()
    try:
        place, rest = taken(words, os.environ)
        go(place)
        return _answered(rest)
    except Ends as end:
        return _end(end.code, end.sentence)
    except NoNode:
        place = here()
        if place.url:
            return _end(Exit.LATER, f"no node answers at {place.url}: is it running, and is the address right?")
        return _end(Exit.LATER, f"no node runs for {place.home()}: start it with 'wk up'")
    except Problem as said:
        return _said(said)
    except Unavailable as later:
        return _end(Exit.LATER, str(later))
    except (Rejected, Untrusted) as no:
        return _end(Exit.NO, str(no))
    except WatchkeeperError as other:
        return _end(Exit.LATER, str(other))
    except KeyboardInterrupt:
        return _end(Exit.INTERRUPTED, "interrupted")
    except BrokenPipeError:
        # Whoever read us has seen enough.
        _let_go()
        return Exit.DONE
    except OSError as full:
        if full.errno not in _FULL:
            return _bug(full)
        _let_go()
        return _end(Exit.LATER, f"the answer could not be written: {full.strerror}: make room, then ask again")
    except Exception as bug:  # noqa: BLE001  the edge: a bug ends in one sentence, its traceback in a file
        return _bug(bug)


def _stand_in() -> None:
    """A stream that the caller closed is nowhere: what would be opened next in its place is no terminal."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
        stream = getattr(sys, name)
        if stream is None:
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", errors="replace", closefd=False))
        elif number and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks is no bug


def _let_go() -> None:
    """What is still buffered has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _answered(rest: list[str]) -> int:
    """The code, once the answer is written: a full disk is told by us, not by the interpreter as it ends."""
    code = int(_run(rest))
    sys.stdout.flush()
    return code


def _run(rest: list[str]) -> int:
    bare = _bare(rest)
    if bare is not None:
        return bare
    from watchkeeper.surface.cli.parser import parse_and_run

    return parse_and_run(rest)


def _bare(rest: list[str]) -> int | None:
    """Run a verb that stands alone. What an operator types most starts in half the time without a parser."""
    if not rest or not set(rest[1:]) <= set(_BARE):
        return None
    verb = next((each for each in VERBS if each.words == (rest[0],) and each.bare), None)
    if verb is None:
        return None
    module, _, name = verb.function.partition(":")
    return int(getattr(importlib.import_module(module), name)(**{_BARE[word]: True for word in rest[1:]}) or 0)


def _said(said: Problem) -> int:
    """A node's no, as exit code and sentence."""
    if said.status in {400, 405, 422}:
        code = Exit.USAGE
    elif said.status == 401:
        return _end(Exit.NO, f"not signed in: {said.detail}")
    elif said.status in {429, 502, 503, 504}:
        code = Exit.LATER
    elif said.status >= 500:
        code = Exit.BUG
    else:
        code = Exit.NO
    alone = len(said.errors) == 1 and not said.errors[0].get("file")  # the sentence says the same
    for each in () if alone else said.errors:
        place = ":".join(str(each[part]) for part in ("file", "line", "column") if each.get(part))
        field = f"{each['field']}: " if each.get("field") else ""
        _complain(f"{place}: {field}{each.get('message', '')}" if place else f"{field}{each.get('message', '')}")
    return _end(code, said.detail)


def _end(code: Exit, sentence: str) -> int:
    _complain(f"wk: {sentence}")
    return code


def _complain(text: str) -> None:
    from watchkeeper.surface.cli.words import safe, tell

    tell("\n".join(safe(part) for part in text.split("\n")))


def _bug(bug: Exception) -> int:
    import traceback

    from watchkeeper.surface.cli.faults import keep

    where = keep("".join(traceback.format_exception(bug)), here())
    nearby = f"; what happened stands in {where}" if where else ""
    return _end(Exit.BUG, f"internal error, {type(bug).__name__}: {bug}{nearby}")


__all__ = ["VERBS", "main", "nearest"]
