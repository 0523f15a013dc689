"""The identity of a label set, worked out the way Prometheus does it.

Source: prometheus/common, model/signature.go and model/labelset.go: FNV-1a, 64 bits, over the labels in the
order of their names, each name and each value followed by the byte 0xFF. `String` is 16 lower-case hex digits.
"""

import re
from collections.abc import Mapping
from typing import Final

_OFFSET: Final = 0xCBF29CE484222325
_PRIME: Final = 0x100000001B3
_MASK: Final = 0xFFFFFFFFFFFFFFFF
_SPELLING: Final = re.compile(r"[0-9a-f]{16}")


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """16 hex digits; empty values count as absent, as they do in Prometheus."""
    text = b"".join(
        name.encode("utf-8", "surrogatepass") + b"\xff" + value.encode("utf-8", "surrogatepass") + b"\xff"
        for name, value in sorted(labels.items())
        if value
    )
    total = _OFFSET
    for byte in text:
        total = ((total ^ byte) * _PRIME) & _MASK
    return f"{total:016x}"


def fingerprint_from(stated: str, labels: Mapping[str, str]) -> str:
    """The sender's own when it is spelt as one; a number or name of another shape is hashed; none: from the labels."""
    if _SPELLING.fullmatch(stated):
        return stated
    return fingerprint_of({"fingerprint": stated}) if stated else fingerprint_of(labels)
