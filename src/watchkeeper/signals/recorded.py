"""What an event recorder said: which alerts its Alertmanager keeps to itself and why, and which it does so no more.

In: a delivery of an event recorder. Out: one `Recorded`, in `Parsed` beside the signals. It is no signal: a muted alert was
not sent, and nothing here fires or clears.
"""

from enum import StrEnum

from msgspec import Struct

from watchkeeper.values import Instant, Labels


class Because(StrEnum):
    """What keeps an alert back, in the word that people read."""

    SILENCED = "silenced"
    INHIBITED = "inhibited"


class Silence(Struct, frozen=True, kw_only=True):
    """A silence as its Alertmanager had it at `updated_at`; `ends_at` None: it named no end."""

    id: str
    by: str = ""
    comment: str = ""
    ends_at: Instant | None = None
    updated_at: Instant | None = None


class Muting(Struct, frozen=True, kw_only=True):
    """One word that an alert is kept back. `name` is the silence's id, or the fingerprint of the alert that inhibits it;
    `rule` the name of the inhibition rule, where it has one. `at` is the sender's time, `received_at` ours.
    """

    fingerprint: str
    labels: Labels
    because: Because
    name: str
    at: Instant
    received_at: Instant
    rule: str = ""


class Letting(Struct, frozen=True, kw_only=True):
    """One word that an alert is not kept back: it resolved, or, where `resolved` is False, a notification about it went out."""

    fingerprint: str
    resolved: bool
    at: Instant
    received_at: Instant


class Recorded(Struct, frozen=True, kw_only=True):
    """The whole of a delivery. `events` counts every event in it by its type; `latest_at` is the sender's time of the last."""

    mutings: tuple[Muting, ...] = ()
    lettings: tuple[Letting, ...] = ()
    silences: tuple[Silence, ...] = ()
    events: dict[str, int] = {}
    latest_at: Instant | None = None
