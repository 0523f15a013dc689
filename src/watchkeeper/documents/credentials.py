"""Credentials do not stand in files: what looks like one is refused, with the way to refer to a secret instead."""

import math
import re
from collections import Counter
from typing import Final

from watchkeeper.documents.fields import path_join, wrong
from watchkeeper.documents.node import Kind, Node
from watchkeeper.documents.problem import Problem

SECRET_CHARS_MIN: Final = 20  # under a key such as `token`; shorter ones are names of things
SECRET_BITS_MIN: Final = 3.0  # Shannon bits a character: words and paths of words stay below with no digit in them

_PLACEHOLDER: Final = r"(?![$<{%*]|secret:|env:|\[?redacted)"  # a reference or a blank, no value
_SHAPES: Final = (
    ("a private key", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"),
    ("an AWS access key id", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40})"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20}"),
    ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10}"),
    ("a Slack webhook", r"hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{20}"),
    ("a Stripe key", r"\b[rs]k_live_[A-Za-z0-9]{16}"),
    ("a Google API key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("a Vault token", r"\bhv[bs]\.[A-Za-z0-9_-]{20}"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}"),
    ("a PyPI token", r"\bpypi-AgE[A-Za-z0-9_-]{40}"),
    ("a JSON Web Token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("a URL with a password", rf"[a-z][a-z0-9+.-]*://[^\s/:@?#]*:{_PLACEHOLDER}[^\s/@?#]+@"),
    (
        "a password in text",
        rf"(?i:\b(?:password|passwd|passphrase|pwd|secret|api[_-]?key|access[_-]?token|token)=){_PLACEHOLDER}[^\s&\"',;]{{4}}",
    ),
    ("a credential in a header", rf"(?i:\b(?:bearer|basic)\s+){_PLACEHOLDER}(?=[^\s]*[0-9])[A-Za-z0-9._~+/=-]{{16}}"),
)
_SHAPE: Final = re.compile("|".join(f"({pattern})" for _, pattern in _SHAPES))
_SECRET_KEYS: Final = ("token", "password", "passwd", "passphrase", "secret", "apikey", "secretkey", "accesskey")
_REFERENCE: Final = re.compile(r"(?:secret|env):|[$<{%]")


def looks_like_credential(text: str, key: str = "") -> str | None:
    """What `text` looks like (`a GitHub token`), or None. `key` is the name it stands under, when it has one."""
    if found := _SHAPE.search(text):
        return _SHAPES[(found.lastindex or 1) - 1][0]
    if key and len(text) >= SECRET_CHARS_MIN:
        name = re.sub(r"[^a-z0-9]", "", key.lower())
        if name.endswith(_SECRET_KEYS) and _is_random(text):
            return f"a secret under {key!r}"
    return None


def refuse_credentials(node: Node, problems: list[Problem], path: str = "", key: str = "") -> None:
    """Report every text (and key) of a tree that looks like a credential. The value itself is never repeated."""
    match node.kind:
        case Kind.TEXT:
            if (what := looks_like_credential(node.raw, key)) is not None:
                _refuse(node, problems, path, what)
        case Kind.MAPPING:
            for entry in node.entries:
                if (what := looks_like_credential(entry.key)) is not None:
                    _refuse(node, problems, path, what)
                refuse_credentials(entry.value, problems, path_join(path, entry.key), entry.key)
        case Kind.LIST:
            for position, item in enumerate(node.items):
                refuse_credentials(item, problems, f"{path}[{position}]", key)
        case Kind.INTEGER | Kind.FRACTION | Kind.BOOLEAN | Kind.NULL:
            pass


def _refuse(node: Node, problems: list[Problem], path: str, what: str) -> None:
    wrong(
        problems,
        node,
        path,
        f"this looks like {what}: keep it in a secret store and name it here, such as {{secret: admin}} or env:NAME; "
        "if it is real, replace it at its issuer, since this file has been read",
        expected="a reference to a secret",
    )


def _is_random(text: str) -> bool:
    if (
        re.search(r"\s", text)
        or _REFERENCE.match(text)
        or not re.search(r"[0-9]", text)
        or not re.search(r"[A-Za-z]", text)
    ):
        return False
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values()) >= SECRET_BITS_MIN
