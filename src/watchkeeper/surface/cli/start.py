"""Beginning: a home that works, the node in the foreground, the demonstration."""

import importlib
import sys
from pathlib import Path

from watchkeeper.surface.cli.place import SETTINGS, Ends, Exit, here
from watchkeeper.surface.cli.words import count, safe, say, tell, wrapped


def init(directory: Path = Path(), /, *, example: str = "") -> int:
    """Write a home that works at once. Files that exist are left as they are.

    Parameters
    ----------
    directory
        Where; the current folder without one.
    example
        An example home instead of the starter: autonomy, regions, metrics, transactions, exclusions, breakers, calendars,
        reach or waves. Its scenarios say what it shows: wk test.
    """
    from watchkeeper.bootstrap import check
    from watchkeeper.bootstrap import init as write

    named = here().home_text
    home = (Path(named) if named and directory == Path() else directory).expanduser().absolute()
    if home.exists() and not home.is_dir():
        raise Ends(Exit.USAGE, f"{home} is a file: name a folder")
    files = _example(example) if example else None
    had = (home / SETTINGS).exists()
    if had and example:
        raise Ends(Exit.USAGE, f"{home} is a home already: name an empty folder for the example")
    try:
        written = () if had else write(home, files)
    except OSError as failed:
        raise Ends(Exit.LATER, f"{home}: cannot be written: {failed.strerror}") from failed
    if had:
        wrapped(f"{home} is a home already; nothing was written. Next: wk check")
        return Exit.DONE
    for name in written:
        say(f"  {safe(name)}")
    errors = len(check(home).errors)
    wrapped(f"Wrote {count(len(written), 'file')} in {home}{f', with {errors} errors: wk check' if errors else ''}.")
    prefix = "" if home == Path.cwd() else f"cd {home} && "
    say()
    wrapped("Next:")
    if example:
        say(f"  {prefix}wk test                # plays its scenarios; nothing is sent")
        say("  wk check")
        return Exit.DONE
    say(f"  {prefix}wk up                  # runs in the foreground")
    say("  wk identity add --me   # in a second terminal: you become the first admin")
    say("  wk status")
    return Exit.DONE


def _example(name: str) -> dict[str, bytes]:
    from watchkeeper.bootstrap import example, examples
    from watchkeeper.documents import suggestion

    if name not in examples():
        there = suggestion(name, examples()) or f": there are {', '.join(examples())}"
        raise Ends(Exit.USAGE, f"no example {name!r}{there}")
    return example(name)


def up(*, port: int | None = None, host: str = "", dev: bool = False, insecure: bool = False) -> int:
    """Run the node in the foreground: hooks, decisions, runs, API. Ctrl-C stops it; what is under way is taken up again.

    Parameters
    ----------
    port
        Port to listen on; 8420 unless watchkeeper.yaml says otherwise.
    host
        Address to listen on; 127.0.0.1 unless watchkeeper.yaml says otherwise.
    dev
        Make the folder active each time a file is saved. Refused with a production environment.
    insecure
        Listen beyond loopback without TLS; for a network that you trust.
    """
    place = here()
    if not place.local:
        raise Ends(Exit.USAGE, "'up' runs a node here: name a home with --home, not a node with --url")
    home = place.home()
    if port is not None and not 0 <= port <= 65_535:
        raise Ends(Exit.USAGE, f"--port {port}: a port is 1 to 65535, or 0 for any that is free")
    from watchkeeper.engine.supervisor import Supervisor

    words = [sys.executable, "-m", "watchkeeper.surface.node", "--home", str(home)]
    if port is not None:
        words += ["--port", str(port)]
    if host:
        words += ["--host", host]
    words += [flag for flag, wanted in (("--dev", dev), ("--insecure", insecure)) if wanted]
    return Supervisor(words).run()


def demo(*, keep: bool = False, fast: bool = False) -> int:
    """A small fleet of real services on this machine, broken one after another, and what Watchkeeper does about it.

    Parameters
    ----------
    keep
        Stay up afterwards, to look around.
    fast
        End at once, in a terminal too.
    """
    try:
        story = importlib.import_module("watchkeeper.demo.story")
    except ModuleNotFoundError as missing:
        raise Ends(Exit.LATER, f"this installation has no demo ({missing.name} is missing)") from missing
    tell("Starting the demo: nothing outside this machine is touched.")
    return int(story.main(keep=keep, fast=fast) or 0)
