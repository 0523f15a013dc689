"""What a POST may carry. Strict: what is not known here is refused, so that a misspelt field never means "default"."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from watchkeeper.engine.answer import No, invalid
from watchkeeper.guards.situation import Scope
from watchkeeper.values import Instant, after_ms, duration_ms, instant

TEXT_CHARS_MAX: Final = 4_000
WORD_CHARS_MAX: Final = 300
ITEMS_MAX: Final = 10_000

Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX)]
Word = Annotated[str, Field(max_length=WORD_CHARS_MAX)]


class Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True)


class Nothing(Body):
    pass


class Reason(Body):
    reason: Text = ""


class Comment(Body):
    comment: Text = ""


class ScopeBody(Body):
    environment: Word = ""
    system: Word = ""
    region: Word = ""
    kind: Word = ""
    tier: Word = ""
    entity: Word = ""
    service: Word = ""
    rule: Word = ""

    def scope(self) -> Scope:
        return Scope(**self.model_dump())


NOTHING: Final = Nothing()
NO_REASON: Final = Reason()
NO_COMMENT: Final = Comment()
EVERYTHING: Final = ScopeBody()


def until(now: Instant, span: str, end: str, from_at: Instant | None = None) -> Instant | No:
    """`for` (a duration from the beginning) or `until` (an instant); exactly one of the two."""
    if bool(span) == bool(end):
        return invalid("for", "give either 'for', such as 1h, or 'until', such as 2026-03-01T10:00:00Z")
    try:
        return after_ms(max(now, from_at or now), duration_ms(span)) if span else instant(end)
    except (ValueError, OverflowError) as wrong:
        return invalid("for" if span else "until", str(wrong))


def moment(field: str, text: str, default: Instant) -> Instant | No:
    try:
        return instant(text) if text else default
    except (ValueError, OverflowError) as wrong:
        return invalid(field, str(wrong))
