"""The priority class of a delivery, from its raw bytes: what intake can know before anything is parsed."""

import re
from typing import Final

from watchkeeper.values import Severity, severity_of

CRITICAL_CLASS: Final = 0
CLASS_UNSTATED: Final = 2
CLASS_LOWEST: Final = 3
LOOKED_AT_BYTES_MAX: Final = 1_048_576

_CLASSES: Final[dict[Severity, int]] = {
    Severity.CRITICAL: CRITICAL_CLASS,
    Severity.MAJOR: 1,
    Severity.MINOR: 2,
    Severity.WARNING: 2,
    Severity.INFO: CLASS_LOWEST,
}
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
        found = min(found, _CLASSES[severity_of({"severity": word.decode("ascii")})])
        if found == CRITICAL_CLASS:
            return found
    return found if found <= CLASS_LOWEST else CLASS_UNSTATED
