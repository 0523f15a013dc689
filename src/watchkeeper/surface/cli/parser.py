"""The parser over the verbs, by Cyclopts. What it refuses is wrong use: one sentence, the usage, exit code 2."""

import importlib
from typing import Any, Final

from cyclopts import App, Group, Parameter
from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from watchkeeper import __version__
from watchkeeper.surface.cli.place import Ends, Exit
from watchkeeper.surface.cli.verbs import GROUPS, Verb, elsewhere, nearest, subs, tops

_EPILOGUE: Final = (
    "Every verb takes --home DIR (or WATCHKEEPER_HOME; otherwise the current folder), --utc and --no-color; with --url "
    "URL and WATCHKEEPER_TOKEN it asks a node elsewhere. Every listing takes --json. Exit codes: 0 done or yes, 1 the "
    "answer is no, 2 wrong use, 3 cannot now, 4 internal error, 130 interrupted."
)

# What people write by habit -> the same said by the verb, where it has that option and not the other.
_SAME: Final = {
    "--reason": "--comment",
    "--comment": "--reason",
    "--status": "--state",
    "--state": "--status",
    "--service": "--target",
    "--format": "--json",
}


def parse_and_run(words: list[str]) -> int:
    """Raises Ends for wrong use."""
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    _known(words)
    _limited(words)
    app = build(words[0] if words else "")
    try:
        done = app(
            words or ["--help"],
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
            end_of_options_delimiter="--",
        )
    except CycloptsError as wrong:
        raise Ends(Exit.USAGE, _refusal(wrong, words)) from wrong
    except SystemExit:
        # The help's own way out when nobody reads on (`wk --help | head -1`): enough was seen.
        return Exit.DONE
    return int(done or 0)


def build(typed: str = "") -> App:
    """`typed` is the verb of this line: of verbs with sub-verbs, only its own function is imported."""
    groups = {name: Group(name, sort_key=place) for place, name in enumerate(GROUPS)}
    app = _app("wk", help="Automation that production can trust.", help_epilogue=_EPILOGUE, version=__version__)
    for verb in tops():
        word = verb.words[0]
        below = subs(word)
        if not below:
            app.command(verb.function, name=word, help=verb.help, group=groups[verb.group])
            continue
        inner = _app(word, help=verb.help, group=groups[verb.group], version_flags=[])
        for each in below:
            inner.command(each.function, name=each.words[1], help=each.help)
        if len(verb.words) == 1 and word == typed:
            inner.default(_function(verb))
        app.command(inner)
    return app


def _app(name: str, **more: Any) -> App:
    return App(
        name=name,
        default_parameter=Parameter(negative="", show_default=False),
        help_format="plaintext",
        **more,
    )


def _limited(words: list[str]) -> None:
    """A list of none would read like "there is nothing"."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        given = value if equals else "".join(words[place + 1 : place + 2])
        if name == "--limit" and given.removeprefix("-").isdecimal() and int(given) < 1:
            raise Ends(Exit.USAGE, f"--limit {given}: give a number of at least 1")


def _function(verb: Verb) -> Any:
    module, _, name = verb.function.partition(":")
    return getattr(importlib.import_module(module), name)


def _known(words: list[str]) -> None:
    """An unknown verb is answered with the nearest one."""
    if not words or words[0].startswith("-"):
        return
    verbs = tuple(each.words[0] for each in tops())
    if words[0] not in verbs:
        close = elsewhere(words[0]) or nearest(words[0], verbs)
        hint = f": did you mean 'wk {close}'?" if close else ""
        raise Ends(Exit.USAGE, f"unknown verb {words[0]!r}{hint or ': '}{'' if hint else 'wk --help lists them'}")
    below = tuple(each.words[1] for each in subs(words[0]))
    if len(words) > 1 and below and not words[1].startswith("-") and words[1] not in below:
        close = nearest(words[1], below)
        hint = f"did you mean 'wk {words[0]} {close}'?" if close else f"it knows {', '.join(below)}"
        raise Ends(Exit.USAGE, f"unknown verb 'wk {words[0]} {words[1]}': {hint}")


def _refusal(wrong: CycloptsError, words: list[str]) -> str:
    verb = " ".join(word for word in words[:2] if not word.startswith("-"))
    known = [" ".join(each.words) for each in (*tops(), *(sub for top in tops() for sub in subs(top.words[0])))]
    shown = verb if verb in known else verb.split(" ")[0]
    return f"{_sentence(wrong, words)}: see 'wk {shown} --help'"


def _sentence(wrong: CycloptsError, words: list[str]) -> str:
    """What is wrong, without the parser's own words for itself."""
    match wrong:
        case UnusedCliTokensError() if wrong.unused_tokens:
            return f"nothing more is expected here, and there is {' '.join(map(repr, wrong.unused_tokens))}"
        case UnknownOptionError():
            value = wrong.token.keyword or wrong.token.value
            known = [name for each in wrong.argument_collection for name in each.names if name.startswith("--")]
            close = _SAME.get(value, "") if _SAME.get(value, "") in known else _near(value, known)
            return f"unknown option {value}{f' (did you mean {close}?)' if close else ''}"
        case MissingArgumentError() if wrong.argument is not None:
            name = wrong.keyword or wrong.argument.name
            return _missing(name, wrong.keyword is not None, words)
        case CoercionError() if wrong.token is not None and wrong.token.keyword and wrong.target_type is int:
            return f"{wrong.token.keyword} {wrong.token.value}: give a whole number"
        case _:
            return " ".join(str(wrong).split()).rstrip(".")


def _near(value: str, known: list[str]) -> str:
    """Without the dashes, which all of them share."""
    found = nearest(value.lstrip("-"), tuple(each.lstrip("-") for each in known))
    return f"--{found}" if found else ""


def _missing(name: str, given: bool, words: list[str]) -> str:
    """`given`: the option stands in the line, and what follows is no value."""
    if not name.startswith("-"):
        return f"{name.upper()} is missing"
    if not given:
        return f"{name} is missing"
    after = next(iter(words[words.index(name) + 1 :]), "") if name in words else ""
    if after.startswith("-") and len(after) > 1:
        return f"{name} needs a value, and {after!r} begins like an option (write {name}={after} if it is the value)"
    return f"{name} needs a value"
