"""Answers of Alertmanagers to what they keep to themselves: the last one of each source, kept so that a restart forgets none.

Kept are fingerprints and what suppresses them, no labels: those are told again, and what people wrote must be erasable.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchkeeper.engine.recorder import Documents
from watchkeeper.engine.records import AnswerRecord, put
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.silence_words import Cause, Causes
from watchkeeper.errors import Malformed
from watchkeeper.ports import Commit, Drop
from watchkeeper.signals.recorded import Because
from watchkeeper.values import Instant, Labels, ms_between

SUPPRESSED_MAX: Final = 20_000
CAUSES_MAX: Final = 8  # of one alert
CAUSE_CHARS_MAX: Final = 64
FRESH_TIMES: Final = 10  # of the source's `every`: for so long what was heard counts while nothing new can be read
EMPTY_TIMES: Final = 10  # of the source's `every`: that nothing is suppressed is written again so often


class Told(Struct, frozen=True):
    """What Alertmanager answers of one alert."""

    labels: Labels
    causes: Causes


class Answer(Struct, frozen=True):
    """Everything that was suppressed when it was asked. `whole` is False when it named more than is read."""

    asked_at: Instant
    found: dict[str, Told]
    whole: bool

    def fresh(self, every_ms: int, now: Instant) -> bool:
        return ms_between(self.asked_at, now) <= FRESH_TIMES * every_ms


class Answers:
    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe
        self._heard: dict[str, Answer] = {}
        self._written: dict[str, AnswerRecord] = {}

    def get(self, name: str) -> Answer | None:
        return self._heard.get(name)

    async def load(self, documents: Documents, names: Iterable[str]) -> None:
        """Of the sources that are asked, what they answered an earlier process."""
        asked = set(names)
        async for record in documents(AnswerRecord, {}):
            self._written[record.id] = record
            if record.id in asked:
                self._heard[record.id] = _answer(record)

    async def keep(self, name: str, answer: Answer, every_ms: int) -> None:
        before = self._written.get(name)
        self._heard[name] = answer
        record = _record(name, answer)
        if before is None and not record.found:
            return
        idle = before is not None and not before.found and not record.found
        if idle and before is not None and ms_between(before.at, record.at) < EMPTY_TIMES * every_ms:
            return
        self._written[name] = record
        await self._scribe.commit(Commit(at=record.at, puts=(put(record),)))

    async def let_go(self, names: Iterable[str]) -> bool:
        """Those of sources that are asked no more; whether there were any."""
        asked = set(names)
        gone = [name for name in {**self._heard, **self._written} if name not in asked]
        drops = tuple(Drop(kind="answer", id=name) for name in gone if name in self._written)
        for name in gone:
            self._heard.pop(name, None)
            self._written.pop(name, None)
        if drops:
            await self._scribe.commit(Commit(at=self._scribe.clock.now(), drops=drops))
        return bool(gone)


def read_answer(asked_at: Instant, body: bytes) -> Answer:
    """Raises Malformed for what is no list of alerts. An element that cannot be read is passed over: it suppresses nothing.

    Source: Alertmanager's API, version 2 (`gettableAlerts`).
    """
    found: Any = msgspec.json.decode(body)
    if not isinstance(found, list):
        raise Malformed("", "the answer is no list of alerts")
    suppressed: dict[str, Told] = {}
    for each in found[:SUPPRESSED_MAX]:
        status = each.get("status") if isinstance(each, dict) else None
        fingerprint = each.get("fingerprint") if isinstance(each, dict) else None
        if not isinstance(status, dict) or status.get("state") != "suppressed" or not isinstance(fingerprint, str):
            continue
        labels = each.get("labels")
        kept = {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}
        suppressed[fingerprint[:CAUSE_CHARS_MAX]] = Told(kept, _causes_of(status))
    return Answer(asked_at, suppressed, len(found) <= SUPPRESSED_MAX)


def _causes_of(status: Mapping[str, Any]) -> Causes:
    found: list[Cause] = []
    for field, because in (("silencedBy", Because.SILENCED), ("inhibitedBy", Because.INHIBITED)):
        by = status.get(field)
        if isinstance(by, list):
            found.extend(Cause(because, str(each)[:CAUSE_CHARS_MAX]) for each in by[:CAUSES_MAX])
    return tuple(found)


def _record(name: str, answer: Answer) -> AnswerRecord:
    found = {
        fingerprint: tuple((cause.because.value, cause.name) for cause in told.causes)
        for fingerprint, told in answer.found.items()
    }
    return AnswerRecord(id=name, at=answer.asked_at, found=found, whole=answer.whole)


def _answer(record: AnswerRecord) -> Answer:
    found = {
        fingerprint: Told({}, tuple(Cause(Because(because), name) for because, name in causes))
        for fingerprint, causes in record.found.items()
    }
    return Answer(record.at, found, record.whole)
