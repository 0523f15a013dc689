"""What a source says that is no alert: that something is being changed, or that a person has taken an incident.

In: a delivery of a tool that knows of changes or of people. Out: `Change`s and `Acknowledgement`s, in `Parsed` beside the
signals. Names are the sender's own: which service they mean is looked up later, in the catalogue.
"""

from enum import StrEnum

from msgspec import Struct

from watchkeeper.values import Instant


class Stage(StrEnum):
    """`told`: it happened, and takes no time (a release)."""

    STARTED = "started"
    ENDED = "ended"
    TOLD = "told"


class Change(Struct, frozen=True, kw_only=True):
    """One word about a change. `id` names the change, not the word: what began and what ended bear the same.

    `kind` is deploy, release or workflow; `subject` what was changed, in the sender's words (`acme/web`).
    """

    id: str
    source: str
    kind: str
    stage: Stage
    subject: str
    at: Instant
    received_at: Instant
    outcome: str = ""
    environment: str = ""
    title: str = ""
    url: str = ""
    by: str = ""


class Act(StrEnum):
    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    RESOLVED = "resolved"


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """`event` names this word, `incident` what it is about in the sender's words, `key` in ours where it bears one.

    `human`: a person did it, not an integration. `services` are names of what is concerned, the most exact first.
    """

    event: str
    source: str
    act: Act
    incident: str
    key: str
    services: tuple[str, ...]
    by: str
    human: bool
    at: Instant
    received_at: Instant
    title: str = ""
    url: str = ""
