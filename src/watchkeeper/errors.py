"""Errors, named by what the caller does next.

A refusal is never an exception: *no* is a value with its reason. An exception means that the
question could not be answered at all, and its class says whether to ask again.
"""


class WatchkeeperError(Exception):
    """The root of everything raised on purpose. The message is one sentence a tired person can act on."""


class Unavailable(WatchkeeperError):
    """Not now: the same call may succeed later. The engine retries it by the step's own retry data."""


class Rejected(WatchkeeperError):
    """Never: the same call will fail again. Nothing is retried; the sentence goes to a person."""


class Malformed(Rejected):
    """Input that cannot be read.

    `path` is the field inside the document, outermost first, e.g. `alerts[3].startsAt`.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.path = path
        self.why = why


class Conflict(WatchkeeperError):
    """The world changed since it was read. Read again, then decide afresh."""


class Untrusted(WatchkeeperError):
    """A signature, a digest or a chain does not hold. Stop, keep the evidence, tell a person."""


class InDoubt(WatchkeeperError):
    """An effect was sent and its outcome is not known (a connection lost after the request left, a time-out).

    Never retried blindly: what its target honours, its `check` probe, or a person decides.
    """
