"""An entry: what the tree holds for ever. It commits to content that lies beside it and may be erased.

`digest` is SHA-256(salt || canonical(content)). The salt is secret as long as the content is: with both gone,
nobody can guess the content from the digest, and the tree still verifies.

In: a fact of some stage. Out: an `Entry`, whose canonical bytes are one leaf, and the `Content` kept beside it.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Struct

from watchkeeper.errors import Malformed
from watchkeeper.values import INTEGER_MAX, Instant, canonical, rfc3339

SALT_BYTES: Final = 16
IDS_MAX: Final = 32
TEXT_CHARS_MAX: Final = 256
NAMES_KEPT: Final = 256
ENTRY_BYTES_MAX: Final = 65_535  # an entry bundle writes its length in two bytes
CONTENT_BYTES_MAX: Final = 1_048_576


class Kind(StrEnum):
    """What happened. New kinds are added at the end; a verifier accepts kinds it has never heard of."""

    DECISION = "decision"
    REFUSAL = "refusal"  # a decision not to act: refuse, hold, observe
    INTENT = "intent"  # committed before an effect
    OUTCOME = "outcome"  # committed after it
    RUN_ENDED = "run_ended"
    APPROVAL = "approval"
    REJECTION = "rejection"
    HOLD = "hold"
    FREEZE = "freeze"
    STOP = "stop"
    RESUME = "resume"
    GRANT = "grant"  # a level of autonomy, given on record
    DEMOTION = "demotion"
    IDENTITY = "identity"
    TOKEN = "token"  # noqa: S105  the kind of an entry about a token
    APPLY = "apply"
    ERASE = "erase"  # see `erasure`
    FORCED_CLOSE = "forced_close"
    CHECKPOINT_EXPORTED = "checkpoint_exported"
    DEAD_LETTER_REPLAYED = "dead_letter_replayed"
    EXCLUSION = "exclusion"
    RESTORE = "restore"
    REVIEW = "review"
    BREAKER = "breaker"  # opened, reopened, closed
    BRAKE = "brake"  # pulled, ended, released
    BACKUP = "backup"
    EVIDENCE = "evidence"  # what a person did or said about an episode: what a level is earned by
    PROMOTION = "promotion"


class Entry(Struct, frozen=True, kw_only=True):
    """One leaf. Strings only, no free text: names, ids, one verdict, one digest (64 lower-case hex digits).

    `ids` says what the entry is about, e.g. `{"run": "run_…", "decision": "dec_…"}`. `verdict` is one word or empty.
    """

    kind: str
    ids: dict[str, str]
    at: str
    actor: str
    verdict: str
    digest: str


class Content(Struct, frozen=True, kw_only=True):
    """What an entry commits to: the salt and the canonical bytes, exactly as they were hashed."""

    salt: bytes
    body: bytes


class Erased(Struct, frozen=True, kw_only=True):
    """Stands where content was. `order` is the `erasure` id of the `erase` entry that names this index."""

    order: str


class Erasure(Struct, frozen=True, kw_only=True):
    """The content of an `erase` entry: which entries lose theirs, as inclusive ranges of indexes, and why."""

    erasure: str
    ranges: tuple[tuple[int, int], ...]
    reason: str


_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
# Every float and every large integer of canonical JSON stands so; some text does too, and is only looked at again.
_SUSPECT: Final = re.compile(rb"(?:^|[:,\[])-?\d++(?:[.eE]|(?<=\d{16}))")
_decode: Final = msgspec.json.Decoder(Entry)
_decode_erasure: Final = msgspec.json.Decoder(Erasure)


def seal(
    kind: str, ids: Mapping[str, str], *, at: Instant, actor: str, verdict: str, content: Any, salt: bytes
) -> tuple[Entry, Content]:
    """Commit to `content`. `salt` is SALT_BYTES of the shell's dice, fresh for each entry.

    Raises Malformed, naming the field, for free text, floats, integers beyond 2^53 or anything over its bound.
    """
    if len(salt) != SALT_BYTES:
        raise Malformed("salt", f"has {len(salt)} bytes, expected {SALT_BYTES} fresh random ones")
    if len(ids) > IDS_MAX:
        raise Malformed("ids", f"has {len(ids)} names, at most {IDS_MAX} are kept")
    if not _known_names((kind, *ids)):
        for name in ids:
            if not _KEY.fullmatch(name):
                raise Malformed(f"ids.{name}", "is not a name: lower-case letters, digits and _ only, at most 32")
        if not _KEY.fullmatch(kind):
            raise Malformed("kind", f"{kind!r} is not a kind: lower-case letters, digits and _ only, at most 32")
    if not _plain_words((*ids.values(), actor)) or (verdict and not _plain_words((verdict,))):
        for name, value in ids.items():
            _word(f"ids.{name}", value)
        _word("actor", actor)
        if verdict:
            _word("verdict", verdict)
    body = _body(content)
    found = Entry(
        kind=str(kind),
        ids={str(name): str(value) for name, value in ids.items()},
        at=rfc3339(at),
        actor=str(actor),
        verdict=str(verdict),
        digest=commitment(salt, body),
    )
    return found, Content(salt=salt, body=body)


@lru_cache(NAMES_KEPT)
def _known_names(names: tuple[str, ...]) -> bool:
    """There are as many sets of names as places that write entries: each is read once."""
    return all(_KEY.fullmatch(name) for name in names)


def _plain_words(words: tuple[str, ...]) -> bool:
    """All of them by one look; what is not so is looked at one by one, to say which."""
    whole = "".join(words)
    short = len(whole) <= TEXT_CHARS_MAX or max(map(len, words)) <= TEXT_CHARS_MAX
    return short and " " not in whole and whole.isprintable() and all(words)


def erasure(
    identity: str, indexes: Iterable[int], *, reason: str, at: Instant, actor: str, salt: bytes
) -> tuple[Entry, Content]:
    """The order that must be in the tree before content goes: without it a missing content is a fault.

    The caller integrates the entry, then replaces each named content by `Erased(order=identity)`.
    Never erase the content of an `erase` entry itself: it is the proof that the others went lawfully.
    """
    order = Erasure(erasure=identity, ranges=tuple(ranges(indexes)), reason=reason)
    return seal(Kind.ERASE, {"erasure": identity}, at=at, actor=actor, verdict="", content=order, salt=salt)


def encode(entry: Entry) -> bytes:
    """The bytes of the leaf."""
    return canonical(entry)


def read(data: bytes) -> Entry:
    """Raises Malformed. Fields and kinds of a newer release are accepted: the tree holds the bytes, not our reading."""
    try:
        return _decode.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as broken:
        raise Malformed("entry", f"cannot be read: {broken}") from broken


def read_erasure(content: Content) -> Erasure:
    """Raises Malformed."""
    try:
        return _decode_erasure.decode(content.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as broken:
        raise Malformed("content", f"is not an erasure order: {broken}") from broken


def commitment(salt: bytes, body: bytes) -> str:
    """SHA-256(salt || body). The salt has a fixed length, so that no byte can move from one to the other."""
    return hashlib.sha256(salt + body).hexdigest()


def matches(entry: Entry, content: Content) -> bool:
    return len(content.salt) == SALT_BYTES and commitment(content.salt, content.body) == entry.digest


def ranges(indexes: Iterable[int]) -> list[tuple[int, int]]:
    """Indexes as inclusive ranges, ascending."""
    found: list[tuple[int, int]] = []
    for index in sorted(set(indexes)):
        if found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return found


def _word(path: str, text: str) -> None:
    if not text or len(text) > TEXT_CHARS_MAX or " " in text or not text.isprintable():
        raise Malformed(
            path, f"is not a name: 1 to {TEXT_CHARS_MAX} printable characters without spaces; text goes in the content"
        )


def _body(content: Any) -> bytes:
    body = canonical(content)
    if len(body) > CONTENT_BYTES_MAX:
        raise Malformed("content", f"has {len(body)} bytes, at most {CONTENT_BYTES_MAX} are kept")
    if not _SUSPECT.search(body):  # the bytes show that there is no float and no large integer: nothing to decode
        return body
    try:
        plain = _plain.decode(body)
    except msgspec.ValidationError as broken:
        raise Malformed("content", str(broken)) from broken
    _small("content", plain)
    return body


def _no_float(text: str) -> NoReturn:
    raise ValueError(f"{text} is a float: write a ratio in parts per million, a duration in milliseconds")


_plain: Final = msgspec.json.Decoder(float_hook=_no_float)


def _small(path: str, value: object) -> None:
    match value:
        case dict():
            for key, item in value.items():
                _small(f"{path}.{key}", item)
        case list():
            for position, item in enumerate(value):
                _small(f"{path}[{position}]", item)
        case int() if abs(value) > INTEGER_MAX:
            raise Malformed(path, f"{value} is beyond 2^53: a reader may round it; write it as text")
        case _:
            pass
