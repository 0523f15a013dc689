"""Scrubbing: what came from outside, with the secrets taken out before it is kept or shown.

In: text, bytes or labels of some source, answer or child. Out: the same, with each secret replaced by
`[scrubbed:<kind>]`. Two things count as secret: values that are live now (as they are, URL-encoded, JSON-escaped,
or inside base64), and what only looks like one (tokens of known makers, keys, headers, `password=...`).

Where in doubt it scrubs: a lost word costs a look at the source, a kept password costs the password.
Every detector starts at a literal found by `str.find` and moves on behind what it matched, and no pattern may
give back what it took across another start: the time is linear in the input, whatever the input is.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote, quote_plus

import msgspec

from watchkeeper.values import Labels

SECRET_CHARS_MIN: Final = 4  # a shorter "secret" is in every sentence; scrubbing it would destroy the text
BASE64_CHARS_MIN: Final = 8  # the part of a base64 text that does not depend on its neighbours
KEYWORD_BEFORE_CHARS_MAX: Final = 40  # how far before a keyword the `--` of a command-line option is looked for
USER_CHARS_MIN: Final = 16  # a URL's user name without a password is scrubbed from this length: a token, not a name
JSON_DEPTH_MAX: Final = 100
SHORT_CHARS_MAX: Final = 256
SHORT_KEPT: Final = 2_048


class Kind(StrEnum):
    """What was found, as the reader of the scrubbed text sees it."""

    SECRET = "secret"  # noqa: S105  # the word, not a value
    URL = "url"
    AWS = "aws"
    GITHUB = "github"
    SLACK = "slack"
    TOKEN = "token"  # noqa: S105  # the word, not a value
    JWT = "jwt"
    PEM = "pem"
    HEADER = "header"
    PASSWORD = "password"  # noqa: S105  # the word, not a value


# Most texts lack some of these, and then whatever needs one of them need not be looked for: a look for one
# character costs a tenth of the look for a word.
_RARE: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789jkqvwxyz_-~+/=%@.!#$^&*"


_RARE_SET: Final = frozenset(_RARE)


class _Form(NamedTuple):
    """One way to write a live secret, and the rare characters in it."""

    text: str
    rare: frozenset[str]


class _Span(NamedTuple):
    start: int
    end: int
    mark: str


def _mark(kind: Kind) -> str:
    return f"[scrubbed:{kind.value}]"


class _Token(NamedTuple):
    """`pattern` is matched where one of `needles` stands, and only when no character of `rare` is missing."""

    kind: Kind
    rare: frozenset[str]
    needles: tuple[str, ...]
    pattern: re.Pattern[str]


# Possessive quantifiers (`++`) and a look-behind at each start: a token is read once, by its own start.
_TOKENS: Final = (
    _Token(
        Kind.AWS, frozenset("AI"), ("AKIA", "ASIA"), re.compile(r"(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])")
    ),
    _Token(
        Kind.GITHUB,
        frozenset("_"),
        ("gh", "github_pat_"),
        re.compile(r"(?<![A-Za-z0-9_])(?:gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_[A-Za-z0-9_]{20,}+)"),
    ),
    _Token(
        Kind.SLACK,
        frozenset("x-"),
        ("xox", "xapp-"),
        re.compile(r"(?<![A-Za-z0-9-])(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}+"),
    ),
    _Token(
        Kind.SLACK,
        frozenset(),
        ("hooks.slack.com/",),
        re.compile(r"(?<![A-Za-z0-9.-])hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{8,}+"),
    ),
    _Token(Kind.TOKEN, frozenset("zI"), ("AIza",), re.compile(r"(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{30,}+")),
    _Token(Kind.TOKEN, frozenset("-"), ("glpat-",), re.compile(r"(?<![A-Za-z0-9_-])glpat-[A-Za-z0-9_-]{16,}+")),
    _Token(
        Kind.TOKEN,
        frozenset("_"),
        ("sk_live_", "rk_live_"),
        re.compile(r"(?<![A-Za-z0-9_])[rs]k_live_[A-Za-z0-9]{16,}+"),
    ),
    _Token(
        Kind.JWT,
        frozenset("J."),
        ("eyJ",),
        re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]++){0,3}+"),
    ),
    _Token(
        Kind.PEM,
        frozenset("-"),
        ("-----BEGIN ",),
        # A block whose end was cut off is scrubbed to the end of the text.
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|.*)",
            re.DOTALL,
        ),
    ),
)

_USERINFO: Final = re.compile(r"""://([^\s/?#"'<>\\]+)@""")

_SCHEME: Final = re.compile(r"(?<![A-Za-z0-9_-])(?:bearer|basic)[ \t]{1,4}([A-Za-z0-9._~+/-]{8,}+=*+)", re.IGNORECASE)

# What stands between a keyword and its value: the rest of the name, a closing quote, a separator. `quote` and
# `open` may be escaped (JSON inside JSON), up to three backslashes deep.
_SEPARATED: Final = (
    r"(?:[_.-][A-Za-z0-9_.-]{0,32}+|[0-9]{1,3}+)?(?P<quote>\\{0,3}[\"'])?[ \t]{0,8}+(?:=>|:=|==|=|:)[ \t]{0,8}+"
)
_VALUE: Final = r"(?:(?P<open>\\{0,3}[\"'])|(?P<bare>(?!\[scrubbed:)[^\s\"'\\&,;<>(){}\[\]][^\s\"'\\&,;<>(){}\]]*+))"
_KEY_BEFORE: Final = "|".join(
    rf"(?<={word}{joint})"
    for word in ("api", "app", "access", "account", "private", "secret", "signing", "encryption", "ssh", "master")
    for joint in ("", "[_-]", " ")
)
_ASSIGNED: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (needle, re.compile(name + _SEPARATED + _VALUE, re.IGNORECASE))
    for needle, name in (
        ("pass", r"pass(?:word|wd|phrase|code)?"),
        ("pwd", r"pwd"),
        ("secret", r"secret"),
        ("token", r"token"),
        ("credential", r"credentials?"),
        ("key", rf"(?:{_KEY_BEFORE})key"),
    )
)
_OPTION: Final = re.compile(r"(?:^|[\s\"'])--[A-Za-z0-9-]{0,32}$")
_OPTION_VALUE: Final = re.compile(
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|key)(?:-[a-z0-9-]{1,32}+)?[ \t]{1,4}+"
    r"(?P<open>\\{0,3}[\"'])?(?P<bare>(?!-)[^\s\"'\\]++)",
    re.IGNORECASE,
)
_WHOLE_LINE: Final = re.compile(
    r"(?:authorization|cookie)(?P<quote>\\{0,3}[\"'])?[ \t]{0,8}+[:=][ \t]{0,8}+(?P<open>\\{0,3}[\"'])?"
    r"(?P<rest>(?!\[scrubbed:)[^\r\n\"'\\]++)",
    re.IGNORECASE,
)
_NOT_SECRET: Final = frozenset({"true", "false", "null", "none", "nil"})
_NUMBER: Final = re.compile(r"-?[0-9][0-9.eE+-]*")

_SENSITIVE_LABEL: Final = re.compile(
    r".*(?:pass(?:word|wd|phrase|code)|pwd|api[_-]?key|access[_-]?key|private[_-]?key|client[_-]?secret|token"
    r"|credentials?|authorization|cookie)",
    re.IGNORECASE,
)


class Scrubber:
    """Immutable; made afresh when the set of live secrets changes. Its repr counts the secrets and shows none."""

    __slots__ = ("_encoded", "_plain", "_secrets")
    _secrets: frozenset[str]
    _plain: tuple[_Form, ...]
    _encoded: tuple[_Form, ...]

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        kept = frozenset(secret for secret in secrets if len(secret) >= SECRET_CHARS_MIN)
        plain = {form for secret in kept for form in _written(secret)}
        encoded = {form for secret in kept for form in _in_base64(secret)}
        object.__setattr__(self, "_secrets", kept)
        object.__setattr__(self, "_plain", _forms(plain))
        object.__setattr__(self, "_encoded", _forms(encoded - plain))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a scrubber does not change; make another one ({name})")

    def __repr__(self) -> str:
        return f"Scrubber({len(self._secrets)} secrets)"

    def __reduce__(self) -> Any:
        raise TypeError("a scrubber holds live secrets and is never pickled")

    def knowing(self, secrets: Iterable[str]) -> "Scrubber":
        """Another scrubber that knows these as well."""
        return Scrubber(self._secrets | set(secrets))

    def text(self, text: str) -> str:
        """The very same object when nothing was found."""
        # A short text is read once; in a long one each character is looked for by itself, which stops where it stands.
        short = len(text) <= SHORT_CHARS_MAX
        if not self._secrets and short and _clean(text):
            return text
        missing = _RARE_SET.difference(text) if short else frozenset(one for one in _RARE if one not in text)
        spans = [*self._known(text, missing), *_looking_like(text, missing)]
        return _replaced(text, spans) if spans else text

    def bytes(self, data: bytes) -> bytes:
        """As `text`, for UTF-8; other bytes pass unchanged.

        JSON keeps its shape: a value that opens a quote and never closes it cannot swallow the alerts behind it.
        """
        before = data.decode("utf-8", "surrogateescape")
        after = self.text(before)
        if after is before:
            return data
        scrubbed = after.encode("utf-8", "surrogateescape")
        if data.lstrip()[:1] in (b"{", b"["):
            tree = _json(data)
            if tree is not None and not _same_shape(tree, _json(scrubbed), JSON_DEPTH_MAX):
                return msgspec.json.encode(self._tree(tree, JSON_DEPTH_MAX))
        return scrubbed

    def labels(self, labels: Mapping[str, str]) -> Labels:
        """Names and values. The value of a label called like a password goes whole.

        The bare name `secret` stays: Kubernetes writes the *name* of a secret there.
        """
        return {
            self.text(name): _mark(Kind.PASSWORD) if value and _SENSITIVE_LABEL.fullmatch(name) else self.text(value)
            for name, value in labels.items()
        }

    def _known(self, text: str, missing: frozenset[str]) -> Iterator[_Span]:
        for form, rare in self._plain:
            at = text.find(form) if rare.isdisjoint(missing) else -1
            while at >= 0:
                yield _Span(at, at + len(form), _mark(Kind.SECRET))
                at = text.find(form, at + len(form))
        for form, rare in self._encoded:
            at, behind = text.find(form) if rare.isdisjoint(missing) else -1, 0
            while at >= 0:
                # The neighbours hold the rest of the first and last byte: the whole base64 word goes.
                start = at
                while start > behind and text[start - 1] in _BASE64:
                    start -= 1
                word = _BASE64_REST.match(text, at + len(form))
                behind = word.end() if word else at + len(form)
                yield _Span(start, behind, _mark(Kind.SECRET))
                at = text.find(form, behind)

    def _tree(self, value: Any, depth: int) -> Any:
        """A JSON value with every string scrubbed; what lies deeper than the bound goes whole."""
        if depth == 0 and isinstance(value, dict | list):
            return _mark(Kind.SECRET)
        if isinstance(value, dict):
            return {
                self.text(name): _mark(Kind.PASSWORD)
                if isinstance(inner, str | int | float) and _SENSITIVE_LABEL.fullmatch(name)
                else self._tree(inner, depth - 1)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._tree(inner, depth - 1) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = str(value)
            scrubbed = self.text(written)
            return value if scrubbed == written else scrubbed
        return self.text(value) if isinstance(value, str) else value


# -- the forms of a live secret --------------------------------------------------------------------

_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")
_BASE64_REST: Final = re.compile(r"[A-Za-z0-9+/_-]*+={0,2}+")
_PERCENT: Final = re.compile(r"%[0-9A-F]{2}")


def _forms(texts: Iterable[str]) -> tuple[_Form, ...]:
    """Longest first, so that of two that start together the longer one is taken."""
    return tuple(
        _Form(text, frozenset(text).intersection(_RARE)) for text in sorted(texts, key=lambda one: (-len(one), one))
    )


def _written(secret: str) -> Iterator[str]:
    """As it is, URL-encoded (both cases of the hex digits), and as a JSON string writes it."""
    yield secret
    for encoded in (quote(secret, safe="", errors="surrogatepass"), quote_plus(secret, errors="surrogatepass")):
        yield encoded
        yield _PERCENT.sub(lambda found: found[0].lower(), encoded)
    for only_ascii in (True, False):
        plain = json.dumps(secret, ensure_ascii=only_ascii)[1:-1]
        yield plain
        yield plain.replace("/", "\\/")


def _in_base64(secret: str) -> Iterator[str]:
    """The characters that stand for it in any base64 text, at each of the three alignments."""
    raw = secret.encode("utf-8", "replace")
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + raw)
        first = -(-lead * 8 // 6)  # characters that the bytes before it touch
        last = (lead + len(raw)) * 8 // 6  # whole characters, before the bytes behind it touch one
        core = encoded[first:last].decode()
        if len(core) >= BASE64_CHARS_MIN:
            yield core
            yield core.translate({ord("+"): "-", ord("/"): "_"})


# -- what looks like a secret ----------------------------------------------------------------------


def _looking_like(text: str, missing: frozenset[str]) -> Iterator[_Span]:
    for kind, rare, needles, pattern in _TOKENS:
        if rare.isdisjoint(missing):
            for needle in needles:
                yield from _tokens(text, needle, pattern, kind)
    if "@" in text and "://" in text:
        yield from _urls(text)
    lowered = _lowered(text)
    for needle in ("bearer", "basic"):
        if needle in lowered:
            yield from _schemes(text, lowered, needle)
    for needle in ("authorization", "cookie"):
        if needle in lowered:
            yield from _lines(text, lowered, needle)
    for needle, pattern in _ASSIGNED:
        if needle in lowered:
            yield from _assignments(text, lowered, needle, pattern)


@lru_cache(SHORT_KEPT)
def _clean(text: str) -> bool:
    """Nothing in it looks like a secret. Names of headers and fields come again with every answer."""
    return next(_looking_like(text, _RARE_SET.difference(text)), None) is None


def _tokens(text: str, needle: str, pattern: re.Pattern[str], kind: Kind) -> Iterator[_Span]:
    at = text.find(needle)
    while at >= 0:
        found = pattern.match(text, at)
        if found:
            yield _Span(found.start(), found.end(), _mark(kind))
        at = text.find(needle, found.end() if found else at + len(needle))


def _urls(text: str) -> Iterator[_Span]:
    at = text.find("://")
    while at >= 0:
        found = _USERINFO.match(text, at)
        if found and (":" in found[1] or len(found[1]) >= USER_CHARS_MIN):
            yield _Span(found.start(1), found.end(1), _mark(Kind.URL))
        at = text.find("://", found.end() if found else at + 3)


def _schemes(text: str, lowered: str, needle: str) -> Iterator[_Span]:
    at = lowered.find(needle)
    while at >= 0:
        found = _SCHEME.match(text, at)
        if found and _random(found[1]):
            yield _Span(found.start(1), found.end(1), _mark(Kind.HEADER))
        at = lowered.find(needle, found.end() if found else at + len(needle))


def _random(word: str) -> bool:
    """Whether it is no plain word: `basic authentication` and `Bearer tokens` are prose."""
    return not word.strip("=").isalpha() or not (word.islower() or word.istitle() or word.isupper())


def _lines(text: str, lowered: str, needle: str) -> Iterator[_Span]:
    at = lowered.find(needle)
    while at >= 0:
        found = _WHOLE_LINE.match(text, at)
        if found and (found["open"] or not found["quote"]):  # in JSON only a string can be a header
            yield _Span(found.start("rest"), found.end("rest"), _mark(Kind.HEADER))
        at = lowered.find(needle, found.end() if found else at + len(needle))


def _assignments(text: str, lowered: str, needle: str, pattern: re.Pattern[str]) -> Iterator[_Span]:
    at = lowered.find(needle)
    while at >= 0:
        span = _assigned(text, at, pattern) or _option(text, at)
        if span:
            yield span
        at = lowered.find(needle, max(span.end, at + len(needle)) if span else at + len(needle))


def _assigned(text: str, at: int, pattern: re.Pattern[str]) -> _Span | None:
    found = pattern.match(text, at)
    if found is None:
        return None
    if found["open"]:
        end = _closing(text, found.end(), found["open"])
        return _Span(found.end(), end, _mark(Kind.PASSWORD)) if end > found.end() else None
    value, mark = found["bare"], _mark(Kind.PASSWORD)
    if value.lower() in _NOT_SECRET:
        return None
    if found["quote"] and _NUMBER.fullmatch(value):
        mark = f"{found['quote']}{mark}{found['quote']}"  # a number in JSON: what replaces it must be a string
    return _Span(found.start("bare"), found.end("bare"), mark)


def _closing(text: str, start: int, opening: str) -> int:
    """Where the quoted value ends: before a quote escaped no deeper than its own; or the end of the text."""
    quote_mark, depth = opening[-1], len(opening) - 1
    at = text.find(quote_mark, start)
    while at >= 0:
        slashes = _slashes(text, at, start)
        if (slashes <= depth) if depth else slashes % 2 == 0:
            return at - slashes if depth else at
        at = text.find(quote_mark, at + 1)
    return len(text)


def _slashes(text: str, at: int, start: int) -> int:
    """How many backslashes stand right before."""
    first = at
    while first > start and text[first - 1] == "\\":
        first -= 1
    return at - first


def _option(text: str, at: int) -> _Span | None:
    """`--password hunter2`: the value stands behind a space."""
    if not _OPTION.search(text[max(0, at - KEYWORD_BEFORE_CHARS_MAX) : at]):
        return None
    found = _OPTION_VALUE.match(text, at)
    return _Span(found.start("bare"), found.end("bare"), _mark(Kind.PASSWORD)) if found else None


def _lowered(text: str) -> str:
    """Lower case with every character at its old place (one character has a lower case of two)."""
    return text.lower() if text.isascii() else text.replace("\u0130", "I").lower()


def _replaced(text: str, spans: list[_Span]) -> str:
    parts: list[str] = []
    done = 0
    for start, end, mark in sorted(spans, key=lambda span: (span.start, -span.end)):
        if start >= done:
            parts += (text[done:start], mark)
        done = max(done, end)
    parts.append(text[done:])
    return "".join(parts)


def _json(data: bytes) -> Any:
    """None when it is no JSON."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def _same_shape(before: Any, after: Any, depth: int) -> bool:
    if not isinstance(before, dict | list):
        return isinstance(after, str) or before == after
    if type(before) is not type(after) or len(before) != len(after) or depth == 0:
        return False
    pairs = zip(_members(before), _members(after), strict=True)
    return all(_same_shape(one, other, depth - 1) for one, other in pairs)


def _members(tree: dict[str, Any] | list[Any]) -> list[Any]:
    return list(tree.values()) if isinstance(tree, dict) else tree
