"""Any JSON, by a mapping that the home states: `/hooks/generic/NAME`.

```yaml
mapping:
  each: items                       # the list; `[]`: the document is the list; without it: it is one statement
  status: {from: state, firing: [down, critical], resolved: [up]}
  labels:
    alertname: {const: ProbeDown}
    service: items[].service        # a path inside the item; `service` says the same
    site: $.site.name               # from the top of the document
    severity: {from: level, map: {"5": critical, "4": major}, default: warning}
    instance: {from: host, required: true}
  annotations: {summary: message}
  starts_at: since                  # RFC 3339, or a Unix time in seconds or milliseconds
  ends_at: until
  fingerprint: check_id
  url: link
```

Paths are names with dots and `[n]`; there are no expressions. `status` and every `required` path that is missing
make that item a dead letter that names the path; other missing values are empty.
"""

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchkeeper.errors import Malformed
from watchkeeper.signals.plain import instant_from, label_text
from watchkeeper.signals.signal import LABELS_MAX, DeadLetter, Delivery, Parsed, Signal, Source, Standing
from watchkeeper.signals.statement import ELEMENTS_MAX, STANDINGS, dead_letter, signal_of, too_many
from watchkeeper.values import Instant, Labels

PATH_PARTS_MAX: Final = 16
WORDS_MAX: Final = 256
_PART: Final = re.compile(r"([^.\[\]]+)((?:\[\d{1,4}\])*)")
_FIELDS: Final = frozenset(
    {"each", "status", "labels", "annotations", "starts_at", "ends_at", "fingerprint", "url"},
)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Path(Struct, frozen=True, kw_only=True):
    """Where a value stands. `parts` are names (objects) and numbers (lists); `top` counts from the document."""

    text: str
    parts: tuple[str | int, ...]
    top: bool = False


class Pick(Struct, frozen=True, kw_only=True):
    """One value: a constant, or what stands at a path, put through `words`; `default` where it is missing."""

    path: Path | None = None
    const: str = ""
    words: Labels = {}
    default: str = ""
    required: bool = False


class Mapping(Struct, frozen=True, kw_only=True):
    """How one source's JSON becomes signals. `words` of `status` hold `firing` and `resolved`."""

    status: Pick
    labels: dict[str, Pick]
    each: Path | None = None
    annotations: dict[str, Pick] = {}
    starts_at: Path | None = None
    ends_at: Path | None = None
    fingerprint: Pick | None = None
    url: Pick | None = None


# -- reading the mapping ---------------------------------------------------------------------------


def read_mapping(document: Any, at: str = "mapping") -> Mapping:
    """The mapping as it stands in the home. Raises Malformed with the field's path."""
    fields = _object(document, at)
    for name in fields:
        if name not in _FIELDS:
            raise Malformed(f"{at}.{name}", f"is not known; expected one of {', '.join(sorted(_FIELDS))}")
    if "status" not in fields:
        raise Malformed(f"{at}.status", "is missing; write for example {from: state, firing: [down], resolved: [up]}")
    each = _each(fields.get("each"), f"{at}.each")
    return Mapping(
        each=each,
        status=_status(fields["status"], each, f"{at}.status"),
        labels=_picks(fields.get("labels"), each, f"{at}.labels", required=True),
        annotations=_picks(fields.get("annotations"), each, f"{at}.annotations", required=False),
        starts_at=_path(fields["starts_at"], each, f"{at}.starts_at") if "starts_at" in fields else None,
        ends_at=_path(fields["ends_at"], each, f"{at}.ends_at") if "ends_at" in fields else None,
        fingerprint=_pick(fields["fingerprint"], each, f"{at}.fingerprint") if "fingerprint" in fields else None,
        url=_pick(fields["url"], each, f"{at}.url") if "url" in fields else None,
    )


def _object(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise Malformed(at, "is no mapping of names")
    return value


def _each(value: Any, at: str) -> Path | None:
    if value is None or value in {"", "$"}:
        return None
    if value in {"[]", "$[]"}:
        return Path(text="", parts=())
    if isinstance(value, str):
        value = value.removesuffix("[]")
    return _path(value, None, at)


def _path(value: Any, each: Path | None, at: str) -> Path:
    if not isinstance(value, str) or not value:
        raise Malformed(at, "is no path; write names with dots, for example host.name or tags[0]")
    rest, top = value, False
    if rest.startswith("$."):
        rest, top = rest[2:], True
    elif each is not None and rest.startswith(f"{each.text}[]."):
        rest = rest[len(each.text) + 3 :]
    parts: list[str | int] = []
    for piece in rest.split("."):
        found = _PART.fullmatch(piece)
        if found is None:
            raise Malformed(at, f"{value!r} is no path; write names with dots, for example host.name or tags[0]")
        parts.append(found[1])
        parts += [int(number) for number in re.findall(r"\d+", found[2])]
    if len(parts) > PATH_PARTS_MAX:
        raise Malformed(at, f"{value!r} has more than {PATH_PARTS_MAX} parts")
    return Path(text=value, parts=tuple(parts), top=top)


def _picks(value: Any, each: Path | None, at: str, *, required: bool) -> dict[str, Pick]:
    fields = _object({} if value is None else value, at)
    if required and not fields:
        raise Malformed(at, "is empty; at least alertname is needed, for example {alertname: {const: ProbeDown}}")
    if len(fields) > LABELS_MAX:
        raise Malformed(at, f"{len(fields)} names, at most {LABELS_MAX} are taken")
    return {name: _pick(inner, each, f"{at}.{name}") for name, inner in fields.items()}


def _pick(value: Any, each: Path | None, at: str) -> Pick:
    if isinstance(value, str):
        return Pick(path=_path(value, each, at))
    fields = _object(value, at)
    match fields:
        case {"const": const, **others} if not others:
            text = label_text(const)
            if text is None:
                raise Malformed(f"{at}.const", "is neither text, number nor boolean")
            return Pick(const=text)
        case {"from": path, **others} if others.keys() <= {"map", "default", "required"}:
            words = _object(others.get("map", {}), f"{at}.map")
            if len(words) > WORDS_MAX:
                raise Malformed(f"{at}.map", f"{len(words)} words, at most {WORDS_MAX} are taken")
            required = others.get("required", False)
            if not isinstance(required, bool):
                raise Malformed(f"{at}.required", "is neither true nor false")
            return Pick(
                path=_path(path, each, f"{at}.from"),
                words={word: label_text(to) or "" for word, to in words.items()},
                default=label_text(others.get("default", "")) or "",
                required=required,
            )
        case _:
            raise Malformed(at, "is no value; write a path, {const: text} or {from: path, map: {..}, default: text}")


def _status(value: Any, each: Path | None, at: str) -> Pick:
    if isinstance(value, str):
        return Pick(path=_path(value, each, at), required=True)
    fields = _object(value, at)
    if "const" in fields:
        if fields["const"] not in {"firing", "resolved"} or len(fields) > 1:
            raise Malformed(f"{at}.const", "is no status; write firing or resolved")
        return Pick(const=fields["const"])
    if "from" not in fields or not fields.keys() <= {"from", "firing", "resolved"}:
        raise Malformed(at, "is no status; write {from: path, firing: [words], resolved: [words]}")
    words: Labels = {}
    for standing in ("firing", "resolved"):
        listed = fields.get(standing, [])
        for word in listed if isinstance(listed, list) else [listed]:
            text = label_text(word)
            if text is None or words.get(text, standing) != standing:
                raise Malformed(f"{at}.{standing}", f"{word!r} is no word, or means firing and resolved at once")
            words[text] = standing
    return Pick(path=_path(fields["from"], each, f"{at}.from"), words=words, required=True)


# -- reading a delivery by it ----------------------------------------------------------------------


def parse_generic(delivery: Delivery, source: Source, mapping: Mapping) -> Parsed:
    """Every item as a signal or a dead letter. Raises Malformed for no JSON, or when `each` names no list."""
    try:
        document = msgspec.json.decode(delivery.body)
    except _UNREADABLE as wrong:
        raise Malformed("", f"the body is not JSON that can be read: {wrong}") from wrong
    name, items = "", [document]
    if mapping.each is not None:
        name, items = mapping.each.text, _at(document, mapping.each)
        if not isinstance(items, list):
            raise Malformed(name, "is no list, but the source's mapping says `each` of it is a statement")
    signals: list[Signal] = []
    dead: list[DeadLetter] = []
    for number, item in enumerate(items[:ELEMENTS_MAX]):
        position = f"{name}[{number}]" if mapping.each is not None else ""
        try:
            signals.append(_signal(delivery, source, position, mapping=mapping, document=document, item=item))
        except Malformed as wrong:
            dead.append(dead_letter(delivery, wrong.path, wrong.why, msgspec.json.encode(item)))
    if len(items) > ELEMENTS_MAX:
        dead.append(too_many(delivery, name, len(items)))
    return Parsed(signals=tuple(signals), dead=tuple(dead))


def _signal(delivery: Delivery, source: Source, position: str, *, mapping: Mapping, document: Any, item: Any) -> Signal:
    def text(pick: Pick) -> str:
        return _text(pick, document, item, position)

    def at(path: Path | None) -> Instant | None:
        found = None if path is None else _at(document if path.top else item, path)
        return None if path is None or found in (None, "") else instant_from(found, _named(path, position))

    return signal_of(
        delivery,
        source,
        position,
        standing=_standing(mapping.status, document, item, position),
        labels={name: text(pick) for name, pick in mapping.labels.items()},
        annotations={name: found for name, pick in mapping.annotations.items() if (found := text(pick))},
        starts_at=at(mapping.starts_at),
        ends_at=at(mapping.ends_at),
        fingerprint=text(mapping.fingerprint) if mapping.fingerprint else "",
        url=text(mapping.url) if mapping.url else "",
    )


def _standing(pick: Pick, document: Any, item: Any, position: str) -> Standing:
    if pick.path is None:
        return Standing(pick.const)
    word = _text(Pick(path=pick.path, required=True), document, item, position)
    found = STANDINGS.get(pick.words.get(word, "") if pick.words else word.strip().lower())
    if found is None:
        expected = ", ".join(sorted(pick.words)) or "firing or resolved"
        raise Malformed(_named(pick.path, position), f"{word[:40]!r} is no status of this source; expected {expected}")
    return found


def _text(pick: Pick, document: Any, item: Any, position: str) -> str:
    if pick.path is None:
        return pick.const
    found = _at(document if pick.path.top else item, pick.path)
    text = None if found is None else label_text(found)
    if found is not None and text is None:
        raise Malformed(_named(pick.path, position), "is neither text, number nor boolean")
    if not text and pick.required:
        raise Malformed(_named(pick.path, position), "is missing, and the source's mapping requires it")
    return pick.words.get(text, pick.default or text) if text else pick.default


def _named(path: Path, position: str) -> str:
    """The path as it stands in the delivery: `items[3].service`."""
    inner = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path.parts).removeprefix(".")
    return inner if path.top or not position else f"{position}.{inner}"


def _at(value: Any, path: Path) -> Any:
    for part in path.parts:
        match part, value:
            case str(), dict():
                value = value.get(part)
            case int(), list() if part < len(value):
                value = value[part]
            case _:
                return None
    return value
