"""Answers that are kept, so that a request sent twice is carried out once.

The key is taken before anything is done and the answer is put under it afterwards. A process that ends in between
leaves a key without an answer: whoever sends it again is told to look first, because nobody knows what was done.
Source: draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.approve.people import Actor
from watchkeeper.engine.answer import No, changed
from watchkeeper.engine.records import Remembered, put, read
from watchkeeper.engine.scribe import Scribe
from watchkeeper.ports import Commit, Committed, Drop
from watchkeeper.values import ms_between

KEPT_FOR_MS: Final = 86_400_000
KEY_CHARS_MAX: Final = 255
FORGOTTEN_AT_ONCE: Final = 8  # old answers that go with each new key
UNDER_WAY: Final = 0  # the status of a key whose answer is still being made


class Taken(Struct, frozen=True, kw_only=True):
    """`fresh`: the request is to be carried out. Otherwise `status` and `body` are its answer."""

    remembered: Remembered
    fresh: bool

    @property
    def status(self) -> int:
        return self.remembered.status

    @property
    def body(self) -> str:
        return self.remembered.body


def kept_key(given: Sequence[str]) -> str | No:
    """The key of a request, "" without one. Quotes, as the draft writes it, are taken off."""
    if not given:
        return ""
    text = given[0].strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if len(given) > 1 or not text or len(text) > KEY_CHARS_MAX or not text.isprintable():
        detail = f"Idempotency-Key: expected one of 1 to {KEY_CHARS_MAX} printable characters"
        return No(status=400, title="invalid", detail=detail, more={"field": "Idempotency-Key"})
    return text


class Keeper:
    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe
        self._here: set[str] = set()  # under way in this process

    async def begin(self, actor: Actor, key: str, what: str, body: bytes) -> Taken | No:
        """Keys belong to who sent them: nobody is answered with what another was told."""
        now = self._scribe.clock.now()
        identity = hashlib.sha256(f"{actor.name}\x1f{key}".encode("utf-8", "surrogatepass")).hexdigest()
        sha256 = hashlib.sha256(what.encode("utf-8", "surrogatepass") + b"\x1f" + body).hexdigest()
        row = await self._scribe.store.get("answered", identity)
        before = read(row, Remembered) if row is not None else None
        if before is not None and ms_between(before.at, now) > KEPT_FOR_MS:
            before = None
        if before is not None:
            return self._again(before, key, sha256)
        fresh = Remembered(id=identity, sha256=sha256, status=UNDER_WAY, body="", at=now)
        revision = row.revision if row is not None else 0
        old = await self._scribe.store.find("answered", oldest_first=True, limit=FORGOTTEN_AT_ONCE)
        outdated = tuple(
            Drop(kind="answered", id=each.id)
            for each in old.items
            if each.id != identity and ms_between(read(each, Remembered).at, now) > KEPT_FOR_MS
        )
        outcome = await self._scribe.commit(Commit(at=now, puts=(put(fresh, expect=revision),), drops=outdated))
        if not isinstance(outcome, Committed):
            return changed(f"a request with Idempotency-Key {key!r} is under way: ask again in a moment")
        self._here.add(identity)
        return Taken(remembered=fresh, fresh=True)

    def _again(self, before: Remembered, key: str, sha256: str) -> Taken | No:
        if before.sha256 != sha256:
            detail = f"Idempotency-Key {key!r} was used for another request: a new request needs a new key"
            return No(status=422, title="key used before", detail=detail)
        if before.status != UNDER_WAY:
            return Taken(remembered=before, fresh=False)
        if before.id in self._here:
            return changed(f"the request with Idempotency-Key {key!r} is under way: ask again in a moment")
        return changed(
            f"this node stopped while it carried out the request with Idempotency-Key {key!r}: look whether it took "
            "effect, then send it again with a new key"
        )

    async def keep(self, taken: Taken, status: int, body: bytes) -> None:
        done = replace(taken.remembered, status=status, body=body.decode())
        await self._scribe.commit(Commit(at=self._scribe.clock.now(), puts=(put(done),)))
        self._here.discard(done.id)

    async def let_go(self, taken: Taken) -> None:
        """It was refused, so nothing was done: the key may be used again."""
        identity = taken.remembered.id
        await self._scribe.commit(Commit(at=self._scribe.clock.now(), drops=(Drop(kind="answered", id=identity),)))
        self._here.discard(identity)

    def doubt(self, taken: Taken) -> None:
        """It broke on the way: the key stays taken without an answer, because nobody knows what was done."""
        self._here.discard(taken.remembered.id)
