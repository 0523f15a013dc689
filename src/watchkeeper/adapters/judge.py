"""What every store asks of a commit before it writes: is it well formed, and does the world still allow it?

In: a `Commit` and a `View` of what is stored. Out: None, or the `Refused` that names the first check that failed.
Pure: the stores differ in how they look things up, never in what they answer.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Final, Protocol

from watchkeeper.errors import Rejected
from watchkeeper.ledger.entry import encode
from watchkeeper.ports import DOCUMENT_BYTES_MAX, KINDS, Commit, Put, Refused
from watchkeeper.signals.signal import Delivery
from watchkeeper.signals.turn import RANK_MAX
from watchkeeper.values import EPOCH, INTEGER_MAX, Instant, id_short

COMMIT_BYTES_MAX: Final = 64 * 1024 * 1024
COMMIT_ITEMS_MAX: Final = (
    100_000  # a run over 10,000 targets is admitted in one, with its claims and the versions it rests on
)
TEXT_CHARS_MAX: Final = 8_192  # an id or a key; longer text belongs in the body
KINDS_KEPT: Final = 512
PRIORITY_MAX: Final = RANK_MAX
FOREVER_US: Final = 2**62  # until when a concurrency claim holds: its run's end

_MICROSECOND: Final = timedelta(microseconds=1)


class View(Protocol):
    """The stored state a commit is judged against, with everything committed before it already in."""

    def version(self, key: str) -> int: ...

    def has_event(self, run: str, number: int) -> bool: ...

    def revision(self, kind: str, identity: str) -> int:
        """0 when there is no such document."""

    def claimed(self, key: str, at_us: int) -> int:
        """Units of `key` taken by claims that hold at that moment."""


def micros(at: Instant) -> int:
    """Microseconds since the epoch. Raises Rejected for a time without zone: it names no moment."""
    if at.tzinfo is None:
        raise Rejected(f"store: {at.isoformat()} has no time zone: an instant is aware UTC")
    return (at - EPOCH) // _MICROSECOND


def judge(commit: Commit, view: View) -> Refused | None:
    """The checks of `Commit`, in its order; the first that fails refuses all of it."""
    for key, number in commit.expects:
        current = view.version(key)
        if current != number:
            return _refused("version", key, f"{key}: is at {current}, was read at {number}: read again, decide afresh")
    appended: set[tuple[str, int]] = set()
    for event in commit.appends:
        place = (event.run, event.number)
        if place in appended or view.has_event(event.run, event.number):
            why = f"run {id_short(event.run)}: journal has event {event.number} already: read the journal again"
            return _refused("journal", f"{event.run}/{event.number}", why)
        appended.add(place)
    for put in commit.puts:
        if put.expect is None:
            continue
        revision = view.revision(put.kind, put.id)
        if revision != put.expect:
            why = f"{put.kind} {id_short(put.id)}: {_differs(revision, put.expect)}: read it again"
            return _refused("document", f"{put.kind}/{put.id}", why)
    if commit.claims:
        return _claims(commit, view)
    return None


def _claims(commit: Commit, view: View) -> Refused | None:
    at_us, wanted = micros(commit.at), dict[str, int]()
    for claim in commit.claims:
        taken = view.claimed(claim.key, at_us) + wanted.get(claim.key, 0)
        if taken + claim.units > claim.limit:
            why = f"{claim.key}: {taken} of {claim.limit} taken, {claim.units} more would pass the limit"
            return _refused("claim", claim.key, why)
        if claim.until_at is None or claim.until_at > commit.at:
            wanted[claim.key] = wanted.get(claim.key, 0) + claim.units
    return None


def _differs(revision: int, expected: int) -> str:
    if expected == 0:
        return f"exists at revision {revision}, expected to be new"
    if revision == 0:
        return f"is not there, expected revision {expected}"
    return f"is at revision {revision}, expected {expected}"


def _refused(what: str, key: str, why: str) -> Refused:
    return Refused(what=what, key=key, why=why)


# -- form ------------------------------------------------------------------------------------------


def size_of(commit: Commit) -> int:
    """Bytes of everything that will be written, near enough to bound memory by.

    Raises Rejected, naming the part, for what no store keeps: an unknown kind or key, text that is not Unicode,
    a number or a body out of bounds.
    """
    micros(commit.at)
    items = len(commit.puts) + len(commit.appends) + len(commit.entries) + len(commit.accepts) + len(commit.claims)
    if items > COMMIT_ITEMS_MAX:
        raise Rejected(f"commit: has {items} parts, at most {COMMIT_ITEMS_MAX} are written at once: split it")
    names, numbers = [*commit.bumps, *commit.releases, *commit.voids, *commit.taken], [0]
    lengths = [0, *[len(put.body) for put in commit.puts], *[len(event.body) for event in commit.appends]]
    for key, number in commit.expects:
        names.append(key)
        numbers.append(number)
    for put in commit.puts:
        if not _known(put.kind, tuple(put.keys)):
            _refuse_kind(put)
        names.append(put.id)
        names.extend(filter(None, put.keys.values()))
        if put.expect is not None:
            numbers.append(put.expect)
    for drop in commit.drops:
        if drop.kind not in KINDS:
            raise Rejected(f"drop: {drop.kind!r} is not a kind of document")
        names.append(drop.id)
    for event in commit.appends:
        names.append(event.run)
        numbers.append(event.number)
    for claim in commit.claims:
        names += (claim.key, claim.run)
        numbers += (claim.limit, claim.units)
        if claim.units < 1:
            raise Rejected(f"claim {claim.key}: {claim.units} units: claim at least one")
        if claim.until_at is not None:
            micros(claim.until_at)
    if max(lengths) > DOCUMENT_BYTES_MAX or min(numbers) < 0 or max(numbers) > INTEGER_MAX or not _usual(names):
        _look_at_each(commit)
    size = sum(lengths)
    for _, content in commit.entries:
        size += 512 + len(content.body)
    for delivery in commit.accepts:
        size += _delivery(delivery)
    if size > COMMIT_BYTES_MAX:
        raise Rejected(f"commit: has {size} bytes, at most {COMMIT_BYTES_MAX} are written at once: split it")
    return size + 256


@lru_cache(KINDS_KEPT)
def _known(kind: str, keys: tuple[str, ...]) -> bool:
    """There are as many sets of keys as places that write documents: each is looked at once."""
    return kind in KINDS and all(name in KINDS[kind] for name in keys)


def _refuse_kind(put: Put) -> None:
    known = KINDS.get(put.kind)
    if known is None:
        raise Rejected(f"put: {put.kind!r} is not a kind of document")
    for name in put.keys:
        if name not in known:
            raise Rejected(f"put {put.kind}: {name!r} is not one of its keys ({', '.join(known) or 'it has none'})")


def _look_at_each(commit: Commit) -> None:
    """One look at all of its names and numbers did not do: raises Rejected with the one that no store keeps."""
    for key, number in commit.expects:
        _text("expects", key)
        _number("expects", number)
    _texts("bumps", commit.bumps)
    for put in commit.puts:
        _text(put.kind, put.id)
        for name, value in put.keys.items():
            if value:
                _text(name, value)
        if put.expect is not None:
            _number("expect", put.expect)
        _body(put.kind, put.id, put.body)
    for drop in commit.drops:
        _text(drop.kind, drop.id)
    for event in commit.appends:
        _text("run", event.run)
        _number("journal", event.number)
        _body("journal", event.run, event.body)
    for claim in commit.claims:
        _text("claim", claim.key)
        _text("claim", claim.run)
        _number(claim.key, claim.limit)
        _number(claim.key, claim.units)
    _texts("releases", commit.releases)
    _texts("voids", commit.voids)
    _texts("taken", commit.taken)


def _delivery(delivery: Delivery) -> int:
    _text("delivery", delivery.id)
    if not 0 <= delivery.priority <= PRIORITY_MAX:
        raise Rejected(f"delivery {delivery.id}: priority {delivery.priority}, expected 0 to {PRIORITY_MAX}")
    for text in _words(delivery):
        if not text.isascii():
            _unicode("delivery", text)
    micros(delivery.received_at)
    return _body("delivery", delivery.id, delivery.body)


def _words(delivery: Delivery) -> Iterator[str]:
    yield from (delivery.source, delivery.format, delivery.sha256, delivery.name)
    for name, value in delivery.headers.items():
        yield name
        yield value


def _usual(texts: list[str]) -> bool:
    """Names as nearly all are, told by one look at all of them. What is not is looked at one by one, to say which."""
    if not texts:
        return True
    whole = "".join(texts)
    return whole.isascii() and all(texts) and (len(whole) <= TEXT_CHARS_MAX or max(map(len, texts)) <= TEXT_CHARS_MAX)


def _texts(where: str, texts: Iterable[str]) -> None:
    for text in texts:
        _text(where, text)


def _text(where: str, text: str) -> None:
    if not text or len(text) > TEXT_CHARS_MAX:
        raise Rejected(f"{where}: a name has 1 to {TEXT_CHARS_MAX} characters, this has {len(text)}")
    if not text.isascii():
        _unicode(where, text)


def _unicode(where: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as broken:
        raise Rejected(f"{where}: {text[:40]!a} is not Unicode text (a lone surrogate at {broken.start})") from broken


def _number(where: str, number: int) -> None:
    if not 0 <= number <= INTEGER_MAX:
        raise Rejected(f"{where}: {number} is out of range, expected 0 to 2^53")


def _body(kind: str, identity: str, body: bytes) -> int:
    if len(body) > DOCUMENT_BYTES_MAX:
        raise Rejected(
            f"{kind} {id_short(identity)}: has {len(body)} bytes, at most {DOCUMENT_BYTES_MAX} are kept in one document"
        )
    return len(body)


def leaves(commit: Commit) -> tuple[bytes, ...]:
    """The exact bytes of the commit's ledger entries. Raises Rejected for an entry with no such form."""
    found = []
    for entry, _ in commit.entries:
        try:
            found.append(encode(entry))
        except (UnicodeEncodeError, TypeError) as broken:
            raise Rejected(f"entry {entry.kind!a}: has no canonical form: {broken}") from broken
    return tuple(found)
