"""What people read of a suppressed alert: by which silence, of whom and until when, or by which other alert.

In: what keeps it back, whoever said so. Out: one sentence, the same for the same causes.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from watchkeeper.signals.recorded import Because, Silence

NAMED_MAX: Final = 3
COMMENT_CHARS_MAX: Final = 120
NAME_CHARS_MAX: Final = 40


class Cause(NamedTuple):
    """`name` is the silence's id, or the fingerprint of the alert that inhibits it; `rule` the inhibition rule's own name."""

    because: Because
    name: str
    rule: str = ""


Causes = tuple[Cause, ...]


def sentence(source: str, causes: Causes, silences: Mapping[str, Silence], alert_named: Callable[[str], str]) -> str:
    """Silences first: a person can end one. Without a cause: that it is suppressed, and no more."""
    for because in (Because.SILENCED, Because.INHIBITED):
        named = [each for each in causes if each.because is because]
        if named:
            told = [
                _silence(each, silences.get(each.name)) if because is Because.SILENCED else _alert(each, alert_named)
                for each in named[:NAMED_MAX]
            ]
            more = f" and {len(named) - NAMED_MAX} more" if len(named) > NAMED_MAX else ""
            by = [each for each in told if each]
            return f"it is {because} in {source}{' by ' if by else ''}{', '.join(by)}{more}"
    return f"it is suppressed in {source}"


def _silence(cause: Cause, silence: Silence | None) -> str:
    name = cause.name[:NAME_CHARS_MAX]
    if silence is None:
        return name
    until = f"until {silence.ends_at:%Y-%m-%dT%H:%MZ}" if silence.ends_at is not None else ""
    comment = silence.comment[:COMMENT_CHARS_MAX]
    said = ": ".join(each for each in (silence.by[:NAME_CHARS_MAX], comment) if each)
    details = ", ".join(each for each in (said, until) if each)
    return f"{name} ({details})" if details else name


def _alert(cause: Cause, alert_named: Callable[[str], str]) -> str:
    rule = f"rule {cause.rule[:NAME_CHARS_MAX]}" if cause.rule else ""
    if not cause.name:
        return rule
    known = alert_named(cause.name)
    details = ", ".join(each for each in (cause.name[:NAME_CHARS_MAX] if known else "", rule) if each)
    name = known[:NAME_CHARS_MAX] if known else cause.name[:NAME_CHARS_MAX]
    return f"{name} ({details})" if details else name
