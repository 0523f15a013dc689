"""A file of what Alertmanager said: one webhook body a line, or its own log.

In: lines, oldest first. Out: one `Line` each.

- A webhook body as Alertmanager sends it (version 4) is taken whole. When it came is not in it: a field `received_at`
  beside `alerts` says so; without it the newest start or end in the body counts. Time never goes back in a file.
- Alertmanager's own log (logfmt or JSON, level debug: "Received alert") names the alert, a hash and whether it is active.
  It has no labels, so nothing can be decided: such lines are counted by name.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from watchkeeper.errors import Malformed
from watchkeeper.signals.alertmanager import parse_alertmanager
from watchkeeper.signals.signal import Delivery, Signal, Source
from watchkeeper.signals.statement import utc
from watchkeeper.values import EPOCH, Instant, id_from, instant

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
FORMAT: Final = "alertmanager"
_NAMED: Final = re.compile(
    r'alert"?[=:] ?"?(?P<name>[^"\[\]]+)\[(?P<hash>[0-9a-f]{6,16})\]\[(?P<state>active|resolved)\]'
)


class Line(Struct, frozen=True, kw_only=True):
    """`signals` of a webhook body, with `dead` elements that could not be read; or the `name` in a line of the log; or
    `why` the line is neither. An empty line is none of these.
    """

    number: int
    at: Instant | None = None
    signals: tuple[Signal, ...] = ()
    dead: int = 0
    name: str = ""
    why: str = ""


class _Times(Struct):
    startsAt: str | None = None  # noqa: N815  the wire's own names
    endsAt: str | None = None  # noqa: N815
    status: str = ""


class _Body(Struct):
    alerts: list[_Times]
    received_at: str = ""


_body: Final = msgspec.json.Decoder(_Body)


def read_lines(lines: Iterable[bytes], source: Source) -> Iterator[Line]:
    """Nothing is held but the line that is read."""
    latest = EPOCH
    for number, raw in enumerate(lines, start=1):
        text = raw.strip()
        if not text:
            continue
        if len(text) > LINE_BYTES_MAX:
            yield Line(number=number, why=f"is longer than {LINE_BYTES_MAX} bytes")
            continue
        try:
            body = _body.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as other:
            yield _logged(number, text, str(other))
            continue
        try:
            at = max(latest, _received(body))
        except ValueError as wrong:
            yield Line(number=number, why=f"received_at: {wrong}")
            continue
        latest = at
        delivery = Delivery(
            id=id_from("dlv", at, str(number)),
            source=source.name,
            format=FORMAT,
            received_at=at,
            headers={},
            body=text,
            sha256="",
        )
        try:
            parsed = parse_alertmanager(delivery, source)
        except Malformed as wrong:
            yield Line(number=number, why=str(wrong))
            continue
        yield Line(number=number, at=at, signals=parsed.signals, dead=len(parsed.dead))


def _received(body: _Body) -> Instant:
    """Raises ValueError for a `received_at` that is no instant."""
    if body.received_at:
        return instant(body.received_at)
    said = [each.endsAt if each.status == "resolved" else each.startsAt for each in body.alerts]
    return max((at for text in said if text and (at := _instant(text)) is not None), default=EPOCH)


def _instant(text: str) -> Instant | None:
    try:
        return utc(instant(text))
    except ValueError:
        return None


def _logged(number: int, text: bytes, why: str) -> Line:
    found = _NAMED.search(text.decode("utf-8", "replace"))
    if found is not None:
        return Line(number=number, name=found["name"].strip())
    if text.startswith(b"{") and b'"alerts"' in text:
        return Line(number=number, why=f"is no webhook body that can be read: {why}")
    return Line(number=number, why="is neither a webhook body nor a line of Alertmanager's log that names an alert")
