"""A text, wherever stored bytes hold it: in any case of any script, composed or not, plain or as JSON may escape it."""

import re
import unicodedata
from typing import Final

_ESCAPE: Final = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|(["\\/]))""")
NESTED_MAX: Final = 3  # JSON in JSON: a dead letter keeps the body as it came, an output what was printed


def folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower()


class Spelling:
    """Senders escape as they like: one writes an umlaut as it is, another as its number. Source: RFC 8259 section 7."""

    def __init__(self, subject: str) -> None:
        self._text = folded(subject)
        self._plain = self._text.encode() if self._text.isascii() else b""

    def within(self, body: bytes) -> bool:
        if self._plain and b"\\" not in body and body.isascii():
            return self._plain in body.lower()
        text = body.decode("utf-8", "replace")
        if self._text in folded(text):
            return True
        for _ in range(NESTED_MAX):
            if "\\" not in text:
                return False
            text = _unescaped(text)
            if self._text in folded(text):
                return True
        return False


def _unescaped(text: str) -> str:
    """Two numbers that are halves of one sign become that sign; half a sign alone is no text."""
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
