"""A signal: one normalised statement from outside, as it was received.

In: bytes of some wire format (one parser a format, beside this file). Out: `Signal`s and `DeadLetter`s.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.signals.recorded import Recorded
from watchkeeper.signals.said import Acknowledgement, Change
from watchkeeper.values import Instant, Labels

LABELS_MAX: Final = 128
NAME_BYTES_MAX: Final = 256
VALUE_BYTES_MAX: Final = 4096


class Standing(StrEnum):
    """What the sender says of the condition."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Kind(StrEnum):
    """What sort of statement it is. An *alert* makes episodes; a *beat* and a *sample* renew knowledge with an age."""

    ALERT = "alert"
    BEAT = "beat"
    SAMPLE = "sample"


class Signal(Struct, frozen=True, kw_only=True):
    """One statement of one source.

    `id` is a function of (delivery, position), so taking a delivery apart twice gives the same signals; for a
    CloudEvent of (source, its source, its id), so that the same event delivered twice is one signal.
    `fingerprint` is 16 lower-case hex digits: the sender's own, or worked out from the labels.
    `starts_at` is the sender's time; the episode is (group, fingerprint, starts_at). `received_at` is ours.
    `incomplete` says that the sender cut its batch short, so that absence in it proves nothing.
    `start_stated` is False when the sender gave no start: `starts_at` is then the time of the statement, and
    the episode follows from the order of statements. `blind` marks a sample that could not look: its
    `standing` means nothing, and it neither fires nor clears.
    """

    id: str
    delivery: str
    source: str
    group: str
    received_at: Instant
    kind: Kind
    fingerprint: str
    standing: Standing
    labels: Labels
    annotations: Labels
    starts_at: Instant
    ends_at: Instant | None = None
    region: str = ""
    url: str = ""
    incomplete: bool = False
    start_stated: bool = True
    blind: bool = False


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A part of a delivery that could not be understood: kept whole, listed, replayed after a fix.

    `path` is the field (`alerts[3].startsAt`), `why` the reason, `body` the part as received (scrubbed).
    """

    id: str
    delivery: str
    source: str
    received_at: Instant
    path: str
    why: str
    body: str


class Delivery(Struct, frozen=True, kw_only=True):
    """What one POST, probe or heartbeat brought: stored before it is acknowledged, taken apart later.

    `format` names the parser (`alertmanager`, `cloudevents`, `generic`, `beat`, `sample`). `headers` holds
    only what a parser needs, lower-case (`content-type`, `ce-*`). `priority` is 0 (critical) to 3, read from
    the raw labels at intake.
    """

    id: str
    source: str
    format: str
    received_at: Instant
    headers: Labels
    body: bytes
    sha256: str
    priority: int = 2
    name: str = ""


class Source(Struct, frozen=True, kw_only=True):
    """A named sender, from `sources:` in watchkeeper.yaml. A hook credential can do nothing but post there.

    `group` counts once for corroboration (an Alertmanager pair is one). `stale_after_ms`: an alert unseen for so
    long is stale. `entity_from` are the labels whose value names a catalogue entity, in order.
    """

    name: str
    kind: str
    group: str
    region: str = ""
    entity_from: tuple[str, ...] = ("service", "job", "instance")
    stale_after_ms: int = 5 * 3_600_000
    rate_max_per_s: int = 10_000


class Parsed(Struct, frozen=True, kw_only=True):
    """What a delivery held: good signals, and dead letters for the rest of its batch."""

    signals: tuple[Signal, ...]
    dead: tuple[DeadLetter, ...] = ()
    changes: tuple[Change, ...] = ()
    acknowledgements: tuple[Acknowledgement, ...] = ()
    recorded: Recorded | None = None
