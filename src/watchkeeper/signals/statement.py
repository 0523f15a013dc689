"""What a parser found in one element of a delivery, made into a `Signal` under the bounds, or into a `DeadLetter`."""

from datetime import UTC
from typing import Final

from watchkeeper.errors import Malformed
from watchkeeper.signals.fingerprint import fingerprint_from
from watchkeeper.signals.signal import (
    LABELS_MAX,
    NAME_BYTES_MAX,
    VALUE_BYTES_MAX,
    DeadLetter,
    Delivery,
    Kind,
    Signal,
    Source,
    Standing,
)
from watchkeeper.values import Instant, Labels, id_from

ELEMENTS_MAX: Final = 10_000  # of one delivery; the rest becomes one dead letter
DEAD_BODY_CHARS_MAX: Final = 65_536
YEAR_MIN: Final = 1970  # an instant before it is how senders write "none" (Go's zero time is year 1)
YEAR_MAX: Final = 9998  # an instant after it means "never", and another zone would not even fit the calendar

STANDINGS: Final[dict[str, Standing]] = {
    **dict.fromkeys(
        ("firing", "alerting", "alarm", "active", "open", "triggered", "trigger", "problem", "down", "critical"),
        Standing.FIRING,
    ),
    **dict.fromkeys(
        ("resolved", "resolve", "ok", "recovered", "recovery", "inactive", "closed", "normal", "up", "cleared"),
        Standing.RESOLVED,
    ),
}


def signal_of(
    delivery: Delivery,
    source: Source,
    position: str,
    *,
    standing: Standing,
    labels: Labels,
    annotations: Labels,
    starts_at: Instant | None,
    ends_at: Instant | None = None,
    fingerprint: str = "",
    url: str = "",
    incomplete: bool = False,
    identity: str = "",
    said_at: Instant | None = None,
) -> Signal:
    """One signal. `position` is its field in the delivery (`alerts[3]`); `identity` replaces its id when given.

    `said_at` is when the sender says that it spoke: the start of a statement that names none.
    Raises Malformed with the path of the label that is out of bounds.
    """
    kept = bounded_labels(labels, position)
    start = utc(starts_at)
    return Signal(
        id=identity or id_from("sig", delivery.received_at, delivery.id, position),
        delivery=delivery.id,
        source=source.name,
        group=source.group,
        received_at=delivery.received_at,
        kind=Kind.ALERT,
        fingerprint=fingerprint_from(fingerprint, kept),
        standing=standing,
        labels=kept,
        annotations=_cut(annotations),
        starts_at=start or utc(said_at) or delivery.received_at,
        ends_at=utc(ends_at),
        region=source.region,
        url=url if len(url) <= VALUE_BYTES_MAX else "",
        incomplete=incomplete,
        start_stated=start is not None,
    )


def utc(at: Instant | None) -> Instant | None:
    """The same instant in UTC; None for none, and for the zero times that stand for none."""
    if at is None or not YEAR_MIN <= at.year <= YEAR_MAX:
        return None
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def bounded_labels(labels: Labels, position: str) -> Labels:
    """The labels without empty values (absent equals empty). Raises Malformed for too many or too long."""
    at = f"{position}.labels" if position else "labels"
    if "" in labels.values():
        labels = {name: value for name, value in labels.items() if value}
    if not labels:
        raise Malformed(at, "no label has a value, so nothing says what this is about; expected at least alertname")
    if len(labels) > LABELS_MAX:
        raise Malformed(at, f"{len(labels)} labels, at most {LABELS_MAX} are taken")
    for name, value in labels.items():
        if not name or _longer(name, NAME_BYTES_MAX):
            raise Malformed(at, f"a label name is empty or longer than {NAME_BYTES_MAX} bytes: {name[:40]!r}")
        if _longer(value, VALUE_BYTES_MAX):
            raise Malformed(f"{at}.{name}", f"the value is longer than {VALUE_BYTES_MAX} bytes")
    return labels


def _longer(text: str, bytes_max: int) -> bool:
    # A character is at most four bytes: most texts are decided without encoding them.
    return len(text) * 4 > bytes_max and len(text.encode("utf-8", "surrogatepass")) > bytes_max


def _cut(annotations: Labels) -> Labels:
    """Annotations are prose: a long one is cut and says so, because losing an alert for its description is worse."""
    for name, text in annotations.items():
        if len(name) * 4 > NAME_BYTES_MAX or len(text) * 4 > VALUE_BYTES_MAX:
            break
    else:
        if len(annotations) <= LABELS_MAX:
            return annotations
    kept = [(name, text) for name, text in annotations.items() if not _longer(name, NAME_BYTES_MAX)]
    return {
        name: f"{text[: VALUE_BYTES_MAX // 4]}… (cut from {len(text)} characters)"
        if _longer(text, VALUE_BYTES_MAX)
        else text
        for name, text in kept[:LABELS_MAX]
    }


def dead_letter(delivery: Delivery, path: str, why: str, body: bytes | str) -> DeadLetter:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    return DeadLetter(
        id=id_from("ddl", delivery.received_at, delivery.id, path, why),
        delivery=delivery.id,
        source=delivery.source,
        received_at=delivery.received_at,
        path=path,
        why=why,
        body=text[:DEAD_BODY_CHARS_MAX],
    )


def too_many(delivery: Delivery, name: str, count: int) -> DeadLetter:
    return dead_letter(
        delivery,
        f"{name}[{ELEMENTS_MAX}:]",
        f"{count} elements in one delivery, the first {ELEMENTS_MAX} were taken: let the sender send smaller batches",
        "",
    )


def inside(position: str, complaint: str) -> tuple[str, str]:
    """A complaint like `Expected ... - at `$.labels`` as (path in the whole document, reason)."""
    why, _, where = complaint.partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    join = "" if not position or not path or path.startswith("[") else "."
    return f"{position}{join}{path}", _lower_first(why)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
