"""The rank of a delivery, from its raw bytes: what intake can know before anything is parsed."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from watchkeeper.signals.turn import CLASS_LOWEST, CLASS_UNSTATED, CLASSES, RANKS_A_CLASS, rank_of
from watchkeeper.values import Severity, severity_of

LOOKED_AT_BYTES_MAX: Final = 1_048_576
NAMES_LOOKED_AT_MAX: Final = 1_000  # different ones in one delivery

_STATED: Final = re.compile(rb'"(?:severity|priority)"\s{0,8}:\s{0,8}"([A-Za-z0-9]{1,16})"', re.IGNORECASE)


def priority_of(body: bytes) -> int:
    """0 (critical) to 3: the worst severity that stands anywhere in the text; 2 when none does.

    A guess by design: text inside a description can raise a delivery's class, never lower the class of another.
    """
    found = CLASS_LOWEST + 1
    words: set[bytes] = set()
    for match in _STATED.finditer(body, 0, LOOKED_AT_BYTES_MAX):
        word = match[1]
        if word in words:
            continue
        words.add(word)
        found = min(found, CLASSES[severity_of({"severity": word.decode("ascii")})])
        if found == CLASSES[Severity.CRITICAL]:
            return found
    return found if found <= CLASS_LOWEST else CLASS_UNSTATED


class Ranker:
    """Ranks deliveries for one configuration. `words` are the label values that name an entity of a transaction, with its
    priority; `labels` those under which an alert names its entity. Without transactions the body is looked at once.
    """

    def __init__(self, words: Mapping[str, int], labels: Iterable[str]) -> None:
        self._words = {word.encode(): priority for word, priority in words.items()}
        self._best = min(words.values(), default=0)
        names = b"|".join(re.escape(label.encode()) for label in sorted(set(labels)))
        self._named = re.compile(rb'"(?:%b)"\s{0,8}:\s{0,8}"([^"\\]{1,256})"' % names) if names and words else None

    def rank(self, body: bytes) -> int:
        """The rank of the most urgent thing that a delivery may hold: its worst severity, its best transaction."""
        return rank_of(priority_of(body), self._priority(body))

    def _priority(self, body: bytes) -> int:
        found = RANKS_A_CLASS - 1
        if self._named is None:
            return found
        seen: set[bytes] = set()
        for match in self._named.finditer(body, 0, LOOKED_AT_BYTES_MAX):
            word = match[1]
            if word in seen:
                continue
            seen.add(word)
            found = min(found, self._words.get(word, found))
            if found == self._best or len(seen) >= NAMES_LOOKED_AT_MAX:
                break
        return found
