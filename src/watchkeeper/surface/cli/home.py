"""The home's files: every problem in them, what they would change, making them active, their scenarios."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchkeeper.errors import WatchkeeperError
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import Column, as_json, at, count, safe, say, style, table, tell, wrapped

if TYPE_CHECKING:
    from watchkeeper.home.configuration import Configuration

DIGEST_CHARS: int = 12
ACTIVATIONS_LISTED: int = 1_000


def check(*, context: bool = False, json: bool = False) -> int:
    """Every problem in the home's files, each with file, line, column and field. Exit code 1 when there is an error.

    Parameters
    ----------
    context
        Say what an expression can see, with types.
    """
    if context:
        return _context(json=json)
    from watchkeeper import bootstrap

    home = local_home("check")
    found = bootstrap.check(home, _seen(home))
    errors = len(found.errors)
    if json:
        digest = found.configuration.digest if found.configuration is not None else None
        as_json(
            {"home": str(home), "digest": digest, "problems": [bootstrap.describe(each) for each in found.problems]}
        )
        return Exit.NO if errors else Exit.DONE
    for problem in found.problems:
        say(safe(problem))
    warnings = len(found.problems) - errors
    told = count(warnings, "warning")
    if found.configuration is None:
        tell(f"{count(errors, 'error')}{f', {told}' if warnings else ''} in {home}.")
        return Exit.NO
    held = found.configuration
    wrapped(
        f"{home} is sound{f', with {told}' if warnings else ''}: "
        f"{count(len(held.catalog.entities), 'entity', 'entities')}, {count(len(held.rules), 'rule')}, "
        f"{count(len(held.rulebook.runbooks), 'runbook')}, {count(len(held.scenarios), 'scenario')}; digest "
        f"{held.digest[:DIGEST_CHARS]}."
    )
    return Exit.DONE


def compiled(home: Path) -> "Configuration":
    """The folder as a configuration. Raises Ends with its first error."""
    from watchkeeper import bootstrap

    found = bootstrap.check(home)
    if found.configuration is None:
        errors = found.errors
        raise Ends(
            Exit.LATER,
            f"{count(len(errors), 'error')} in {home}; the first: {errors[0]}. 'wk check' shows all of them",
        )
    return found.configuration


def plan(
    *,
    impact: bool = False,
    days: int = 30,
    limit: int = 0,
    format: str = "md",  # noqa: A002  the flag's own word
    out: Path | None = None,
    json: bool = False,
) -> int:
    """What the folder would change of what is active. Changes nothing.

    Parameters
    ----------
    impact
        The impact report: services, transactions and teams touched, and what history would have been under it.
    days
        With --impact: how far back.
    limit
        With --impact: how many of the newest decisions; 20,000 without it.
    format
        With --impact: md, html or json.
    out
        With --impact: the file to write it to.
    """
    if impact:
        from watchkeeper.surface.cli.impact import report

        return report(days, limit, "json" if json else format, out)
    if out is not None:
        raise Ends(Exit.USAGE, "--out goes with --impact")
    found = here().client().post("/configuration/plan", {}, asks=True)
    if json:
        as_json(found)
        return Exit.NO if not found.get("digest") else Exit.DONE
    return _planned(found)


def apply(
    *,
    reason: str = "",
    digest: str = "",
    yes: bool = False,
    despite_replays: bool = False,
    list_: bool = False,
    json: bool = False,
) -> int:
    """Make the folder the active configuration, as planned. In a terminal it shows the plan and asks.

    Parameters
    ----------
    reason
        Why, for the record.
    digest
        Apply only if the folder is exactly this (in 'wk plan --json').
    yes
        Do not ask.
    despite_replays
        Apply it although it does not pass its replay tests, or would repeat what was called harmful: on record.
    list_
        List every configuration that was made active, newest first. 'wk restore --configuration' puts one back.
    """
    import sys

    from watchkeeper.surface.cli.approvals import sure

    if list_:
        return _activations(json=json)
    if not reason.strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    client = here().client()
    found = client.post("/configuration/plan", {})
    if not found.get("digest"):
        return _planned(found)
    if digest and not found["digest"].startswith(digest):
        raise Ends(
            Exit.NO,
            f"the folder is {found['digest'][:DIGEST_CHARS]}, not {digest[:DIGEST_CHARS]}: it changed since; run 'wk plan' again",
        )
    if found["digest"] == found["active"]:
        wrapped("Nothing to apply: the folder is what is active already.")
        return Exit.DONE
    if not json:
        _planned(found)
    if not (yes or digest):
        if not sys.stdin.isatty():
            raise Ends(
                Exit.USAGE,
                "this is not a terminal: nothing was applied. To apply what is shown: wk apply --digest "
                f"{found['digest']} --reason '...'",
            )
        from watchkeeper.surface.cli.impact import in_short

        in_short(client)
        if not sure("Apply this?"):
            tell("Nothing was applied.")
            return Exit.NO
    body = {"digest": found["digest"], "reason": reason, "despite_replays": despite_replays}
    done = client.post("/configuration/apply", body, match=found["digest"])
    if json:
        as_json(done)
        return Exit.DONE
    wrapped(f"Active: {found['digest'][:DIGEST_CHARS]}. What fires is judged again under it.")
    return Exit.DONE


def _activations(*, json: bool) -> int:
    found = list(here().client().items("/configuration/activations", limit=ACTIVATIONS_LISTED))
    if json:
        as_json(found)
        return Exit.DONE
    table(
        (
            Column(name="configuration"),
            Column(name="at", right=True),
            Column(name="by"),
            Column(name="files", right=True),
            Column(name="why", flex=True),
        ),
        [
            (each["digest"][:DIGEST_CHARS], at(each["at"]), each["by"], len(each["files"]), each["reason"])
            for each in found
        ],
    )
    return Exit.DONE


def _planned(found: dict[str, Any]) -> int:
    problems = found.get("problems") or []
    for problem in problems:
        say(safe(_problem(problem)))
    if not found.get("digest"):
        tell(f"{count(len(problems), 'problem')}; what is active stays.")
        return Exit.NO
    changes = found.get("plan") or {}
    if not changes.get("files"):
        wrapped("Nothing differs: the folder is what is active.")
        return Exit.DONE
    acts = changes.get("acts") or []
    wrapped(
        style(
            f"{count(len(changes['files']), 'file')} {'differs' if len(changes['files']) == 1 else 'differ'}, "
            f"{count(len(acts), 'thing')} could do more afterwards.",
            "bold",
        )
    )
    for title, lines in (("Could do more", acts), ("Risk", changes.get("risks") or [])):
        if lines:
            say(style(title, "bold"))
        for line in lines:
            wrapped(safe(line), "    ", first="  - ")
    if changes.get("changes"):
        table(
            (Column(name="did"), Column(name="what"), Column(name="name", flex=True), Column(name="how", flex=True)),
            [
                (each["did"], each["kind"], each["name"], "; ".join(each.get("words") or []))
                for each in changes["changes"]
            ],
        )
    else:
        for path, did in changes["files"]:
            say(f"  {did} {safe(path)}")
    for each in found.get("replays") or []:
        wrapped(f"Does not pass {safe(each['test'])}: {safe(each['why'])}", "    ", first=style("  ! ", "red"))
    say(f"digest {found['digest']}")
    return Exit.DONE


def _problem(problem: dict[str, Any] | str) -> str:
    if isinstance(problem, str):
        return problem
    where = (
        f"{problem['file']}:{problem['line']}:{problem['column']}"
        if problem.get("line")
        else str(problem.get("file", ""))
    )
    mark = "warning: " if problem.get("severity") == "warning" else ""
    field = f"{problem['field']}: " if problem.get("field") else ""
    return f"{where}: {mark}{field}{problem['message']}"


def scenarios(pack: str = "", /, *, node: bool = False, last: bool = False, json: bool = False) -> int:
    """Run the scenarios that ship with packs: given signals and a situation, the expected decision and effects. Then the
    replay tests: what was called false or harmful must not be decided again.

    Parameters
    ----------
    pack
        Only of this pack, or one scenario or replay test (pack/name). With --node or --last a rule or a runbook too.
    node
        Play them on the node, under its active configuration; the results stand beside its rules.
    last
        How each went last on the node. Plays nothing.
    """
    if node or last:
        from watchkeeper.surface.cli.played import on_node

        return on_node(pack, play=node, json=json)
    from watchkeeper import bootstrap
    from watchkeeper.engine.book import Book
    from watchkeeper.engine.replay_tests import again
    from watchkeeper.engine.scenarios import Played

    home = local_home("test")
    configuration = compiled(home)
    wanted = [each for each in configuration.scenarios if not pack or pack in (each.pack, each.name)]
    relived = [each for each in configuration.replays if not pack or pack in (each.pack, each.name)]
    if not (wanted or relived):
        if pack:
            raise Ends(
                Exit.NO,
                f"no scenario of {pack!r}: packs with scenarios are {', '.join(sorted({each.pack for each in configuration.scenarios})) or 'none'}",
            )
        wrapped("No scenarios. They stand in packs/NAME/scenarios/*.yaml.")
        return Exit.DONE
    import logging

    import structlog

    # What the engine would log of a made-up night is no news to anybody.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    results = [bootstrap.play(configuration, scenario) for scenario in wanted]
    book = Book(configuration)
    for test in relived:
        why = again(book, test)
        results.append(Played(scenario=test.name, where=test.where, failures=(why,) if why else (), rule=test.rule))
    wrong = [each for each in results if each.failures]
    if json:
        as_json(results)
        return Exit.NO if wrong else Exit.DONE
    for result in results:
        word = (
            style("✗ failed" if not here().plain else "x failed", "red")
            if result.failures
            else style("✓ passed" if not here().plain else "+ passed", "green")
        )
        say(f"{word}  {safe(result.scenario)}")
        for failure in result.failures:
            wrapped(safe(failure), "      ", first="    - ")
        if result.failures:
            say(f"    {safe(result.where)}")
    say()
    tests = f" and {count(len(relived), 'replay test')}" if relived else ""
    wrapped(f"{count(len(wanted), 'scenario')}{tests}: {len(results) - len(wrong)} passed, {len(wrong)} failed.")
    return Exit.NO if wrong else Exit.DONE


def _context(*, json: bool) -> int:
    from watchkeeper.surface.cli.context import names

    found = names()
    if json:
        as_json(found)
        return Exit.DONE
    for where, rows in found.items():
        say(style(where, "bold"))
        table((Column(name="name"), Column(name="type"), Column(name="what it is", flex=True)), rows)
        say()
    return Exit.DONE


def _seen(home: Path) -> frozenset[str]:
    """Label names of recent signals, when a node runs that can tell: `check` then warns of names that never came."""
    if not (home / ".watchkeeper" / "api.sock").exists():
        return frozenset()
    try:
        items = here().client().items("/alerts", limit=500)
        return frozenset(name for each in items for name in each.get("labels", {}))
    except WatchkeeperError:
        return frozenset()


def local_home(verb: str) -> Path:
    if not here().local:
        raise Ends(Exit.USAGE, f"'{verb}' reads a home's files: name a home with --home, not a node with --url")
    return here().home()
