"""Text with `${ }`: one CEL expression between the braces, evaluated once, its answer never read again as a template.

Where an answer is put decides what it may be: one element of a command, a place in a URL, a value of JSON. The three
renderers say no with `Broken`, so that a hostile label can spoil its own step and nothing else.
Source: SEMANTICS 11.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from watchkeeper.errors import Malformed
from watchkeeper.packs.expression import Answer, Broken, Compiler, Expression, Known, Template, Unknown
from watchkeeper.values import rfc3339

VALUE_BYTES_MAX: Final = 4_096
PLACEHOLDERS_MAX: Final = 32
OPEN: Final = "${"
ESCAPED: Final = "$${"  # a literal `${`

_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_ORIGIN: Final = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?"
)
_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)
_PARTS: Final = re.compile(r"https?://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_DOTS: Final = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


class SecretUse(Struct, frozen=True):
    """`{secret: admin}` in arguments: the name of one of the runbook's secrets, leased when the step is performed."""

    name: str


def compile_template(text: str, compiler: Compiler, names: Mapping[str, str]) -> Template | str:
    """A Template, or the text itself when it has no placeholder. Raises Malformed."""
    pieces: list[str | Expression] = []
    for literal, source in _split(text):
        if literal:
            pieces.append(literal)
        if source is not None:
            pieces.append(compiler.compile(source, names, "dyn"))
    if not any(not isinstance(piece, str) for piece in pieces):
        return "".join(piece for piece in pieces if isinstance(piece, str))
    return Template(tuple(pieces), text)


def _split(text: str) -> Iterator[tuple[str, str | None]]:
    """(literal, source of the placeholder after it or None), in order."""
    literal, at, count = "", 0, 0
    while at < len(text):
        if text.startswith(ESCAPED, at):
            literal += OPEN
            at += len(ESCAPED)
        elif text.startswith(OPEN, at):
            end = _end(text, at + len(OPEN))
            if end is None:
                raise Malformed(
                    "", f"column {at + 1} of the text: '${{' has no closing brace; write $${{ for a literal one"
                )
            count += 1
            if count > PLACEHOLDERS_MAX:
                raise Malformed("", f"more than {PLACEHOLDERS_MAX} placeholders in one text")
            yield literal, text[at + len(OPEN) : end].strip()
            literal, at = "", end + 1
        else:
            literal += text[at]
            at += 1
    if literal:
        yield literal, None


def _end(text: str, at: int) -> int | None:
    """Where the brace closes, looking past nested braces and CEL strings (plain, triple, raw)."""
    depth, end = 0, len(text)
    while at < end:
        character = text[at]
        if character in "\"'":
            raw = at > 0 and text[at - 1] in "rR" and not (at > 1 and (text[at - 2].isalnum() or text[at - 2] == "_"))
            mark = character * 3 if text.startswith(character * 3, at) else character
            at += len(mark)
            while at < end and not text.startswith(mark, at):
                at += 2 if text[at] == "\\" and not raw else 1
            at += len(mark)
            continue
        if character == "{":
            depth += 1
        elif character == "}":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    return None


def expressions_in(value: Any) -> Iterator[Expression]:
    """Every expression of an argument tree."""
    match value:
        case Template():
            yield from (piece for piece in value.pieces if not isinstance(piece, str))
        case dict():
            for inner in value.values():
                yield from expressions_in(inner)
        case list() | tuple():
            for inner in value:
                yield from expressions_in(inner)
        case _:
            return


def secrets_in(value: Any) -> Iterator[str]:
    match value:
        case SecretUse():
            yield value.name
        case dict():
            for inner in value.values():
                yield from secrets_in(inner)
        case list() | tuple():
            for inner in value:
                yield from secrets_in(inner)
        case _:
            return


def render(template: Any, bindings: Mapping[str, Any]) -> Answer:
    """One value: a literal as it is; a template of one placeholder with the type of its answer; else text."""
    if not isinstance(template, Template):
        return Known(template)
    if len(template.pieces) == 1:
        return _answer(template.pieces[0], bindings)
    words = []
    for piece in template.pieces:
        answer = Known(piece) if isinstance(piece, str) else _text(piece, bindings)
        if not isinstance(answer, Known):
            return answer
        words.append(answer.value)
    return Known("".join(words))


def render_json(value: Any, bindings: Mapping[str, Any]) -> Answer:
    """An argument tree with every template answered. A secret stays a reference: `{"secret": name}`."""
    match value:
        case Template():
            return render(value, bindings)
        case SecretUse():
            return Known({"secret": value.name})
        case dict():
            done: dict[str, Any] = {}
            for key, inner in value.items():
                answer = render_json(inner, bindings)
                if not isinstance(answer, Known):
                    return answer
                done[key] = answer.value
            return Known(done)
        case list() | tuple():
            items = []
            for inner in value:
                answer = render_json(inner, bindings)
                if not isinstance(answer, Known):
                    return answer
                items.append(answer.value)
            return Known(items)
        case _:
            return Known(value)


def render_argv(items: Sequence[Any], bindings: Mapping[str, Any]) -> Answer:
    """A command: each item exactly one element. One that a placeholder begins may not start with `-` before `--`."""
    argv: list[str] = []
    for item in items:
        if not isinstance(item, Template):
            argv.append(item if isinstance(item, str) else _word(item))
            continue
        answer = render_text(item, bindings)
        if not isinstance(answer, Known):
            return answer
        word = answer.value
        if "\x00" in word:
            return Broken(f"{item.source!r}: a command's element cannot hold a zero byte")
        if word.startswith("-") and not isinstance(item.pieces[0], str) and "--" not in argv:
            return Broken(
                f"{item.source!r} gives {_short(word)}, which the program would read as an option; put '--' before it"
            )
        argv.append(word)
    return Known(tuple(argv))


def render_text(template: Any, bindings: Mapping[str, Any]) -> Answer:
    """As `render`, and always text: a number or a boolean is spelt out, a list or a map is refused."""
    if not isinstance(template, Template):
        return Known(template if isinstance(template, str) else _word(template))
    if len(template.pieces) == 1:
        return _text(template.pieces[0], bindings)
    return render(template, bindings)


def render_url(template: Any, bindings: Mapping[str, Any], addresses: Collection[str]) -> Answer:
    """A URL. Scheme, user, host and port come from the text, or from `target.<name>` with its name in `addresses`.

    Any other answer is percent-encoded for its place in the path, the query or the fragment.
    """
    url, source = "", template.source if isinstance(template, Template) else str(template)
    for piece in template.pieces if isinstance(template, Template) else (source,):
        if isinstance(piece, str):
            url += piece
            continue
        answer = _text(piece, bindings)
        if not isinstance(answer, Known):
            return answer
        if _past_authority(url):
            url += quote(answer.value, safe="")
            continue
        path: tuple[str, ...] = piece.references[0] if len(piece.references) == 1 else ()
        if len(path) != 2 or path[0] != "target" or path[1] not in addresses or piece.source.strip() != ".".join(path):
            return Broken(
                f"{source!r}: '{piece.source}' would form the scheme, user, host or port; only an attribute of the target "
                "that its watchkeeper.dev/address names may, such as ${target.url}"
            )
        if not (_HOST if url else _ORIGIN).fullmatch(answer.value):
            return Broken(
                f"{source!r}: {'.'.join(path)} is {_short(answer.value)}, not {'a host' if url else 'an http(s) address'}"
            )
        url += answer.value
    parts = _PARTS.fullmatch(url)
    if parts is None:
        return Broken(f"{source!r} gives {_short(url)}; an address begins with http:// or https://")
    if not _HOST.fullmatch(parts["authority"]):
        return Broken(
            f"{source!r} gives {_short(url)}; its host cannot be read (a user or password never stands in a URL)"
        )
    if _DOTS.search(parts["path"]):
        return Broken(f"{source!r} gives {_short(url)}; '.' and '..' never stand as a part of a path")
    if re.search(r"[\x00-\x20\x7f\\]", url):
        return Broken(
            f"{source!r} gives {_short(url)}; spaces, backslashes and control characters never stand in a URL"
        )
    return Known(url)


def _past_authority(url: str) -> bool:
    scheme = _SCHEME.match(url)
    return scheme is not None and any(mark in url[scheme.end() :] for mark in "/?#")


def _text(expression: Expression, bindings: Mapping[str, Any]) -> Answer:
    answer = _answer(expression, bindings)
    if not isinstance(answer, Known):
        return answer
    value = answer.value
    if value is None or isinstance(value, (list, dict, bytes)):
        kind = "nothing" if value is None else {list: "a list", dict: "a map"}.get(type(value), "bytes")
        return Broken(f"'{expression.source}' answers {kind}, which has no place in a text")
    return Known(_word(value))


def _word(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def _answer(expression: Expression, bindings: Mapping[str, Any]) -> Answer:
    """The plain, bounded value of one expression: instants as RFC 3339, durations as milliseconds."""
    answer = expression.evaluate(bindings)
    if not isinstance(answer, Known):
        return answer
    value = _plain(answer.value)
    if isinstance(value, (Unknown, Broken)):
        return value
    size = len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else len(msgspec.json.encode(value))
    if size > VALUE_BYTES_MAX:
        return Broken(f"'{expression.source}' answers {size} bytes, more than {VALUE_BYTES_MAX}")
    return Known(value)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return rfc3339(value)
        case timedelta():
            return value // timedelta(milliseconds=1)
        case dict():
            if "secret" in value:
                return Broken("a value from outside may not hold a reference to a secret")
            done = {}
            for key, inner in value.items():
                done[str(key)] = plain = _plain(inner)
                if isinstance(plain, Broken):
                    return plain
            return done
        case list():
            items = [_plain(inner) for inner in value]
            return next((item for item in items if isinstance(item, Broken)), items)
        case None | bool() | int() | float() | str():
            return value
        case _:
            return Broken(f"an answer of type {type(value).__name__} cannot be recorded")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
