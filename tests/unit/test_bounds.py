"""A bound that has a name is kept: each constant is asked by something, if only by a test."""

import re
from collections import Counter
from pathlib import Path

import watchkeeper

_DEFINED = re.compile(r"^([A-Z][A-Z0-9_]{2,}): Final", re.MULTILINE)


def test_no_constant_stands_alone() -> None:
    texts = [path.read_text() for path in Path(watchkeeper.__file__).parent.rglob("*.py")]
    tests = [path.read_text() for path in Path(__file__).parents[1].rglob("*.py")]
    words = Counter(word for text in (*texts, *tests) for word in re.findall(r"\b[A-Z][A-Z0-9_]{2,}\b", text))
    defined = Counter(name for text in texts for name in _DEFINED.findall(text))
    alone = sorted(name for name, times in defined.items() if words[name] <= times)
    assert not alone, f"nothing keeps to {', '.join(alone)}"
