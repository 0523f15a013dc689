"""A muted alert: what an event recorder said of one, and whether that still stands. A function of the set of words: an
event that comes late, or twice, leaves the same behind.

In: `Muting`s and `Letting`s. Out: `Muted`, and the reasons of it that stand at a time.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.signals.recorded import Because, Letting, Muting, Silence
from watchkeeper.values import EPOCH, Instant, Labels, ms_between

REASONS_MAX: Final = 8  # of one alert: the newest are kept
LOST_TIMES: Final = 3  # of `group_interval`: the recorder says other things for so long, and this no more: it is over
QUIET_TIMES: Final = 10  # of `group_interval`: the recorder says nothing at all for so long: nobody knows any more
SKEW_MAX_MS: Final = 300_000  # SEMANTICS 2: beyond it a sender's time is not believed


class Reason(Struct, frozen=True, kw_only=True):
    """One thing that keeps an alert back. `at` orders words of one sender; `seen_at` is when it was so by our clock."""

    because: Because
    name: str
    rule: str
    at: Instant
    seen_at: Instant


class Muted(Struct, frozen=True, kw_only=True):
    """What is known of one alert of one source. `resolved_at` and `sent_at` are the last words that it resolved, and that a
    notification about it went out. `id` is the source and the fingerprint.
    """

    id: str
    source: str
    fingerprint: str
    labels: Labels = {}
    reasons: tuple[Reason, ...] = ()
    resolved_at: Instant | None = None
    sent_at: Instant | None = None

    @property
    def said_at(self) -> Instant | None:
        """The last word of any sort."""
        words = [each.at for each in self.reasons] + [at for at in (self.resolved_at, self.sent_at) if at is not None]
        return max(words, default=None)


def muted(before: Muted, word: Muting) -> Muted:
    """A sender whose clock is far off is believed that the alert is muted, as of when we heard it: that holds, at worst."""
    at = word.at if believed(word.at, word.received_at) else word.received_at
    reason = Reason(because=word.because, name=word.name, rule=word.rule, at=at, seen_at=min(at, word.received_at))
    kept = {(each.because, each.name): each for each in before.reasons}
    other = kept.get((reason.because, reason.name))
    if other is not None:
        reason = max(reason, other, key=_order)
    kept[reason.because, reason.name] = reason
    newest = sorted(kept.values(), key=_order, reverse=True)[:REASONS_MAX]
    return replace(
        before,
        labels=max((before.labels, word.labels), key=lambda labels: sorted(labels.items())),
        reasons=tuple(sorted(newest, key=lambda each: (each.because, each.name))),
    )


def let_go(before: Muted, word: Letting) -> Muted:
    """A sender whose clock is far off is not believed that an alert is muted no more."""
    if not believed(word.at, word.received_at):
        return before
    if word.resolved:
        return replace(before, resolved_at=max(word.at, before.resolved_at or word.at))
    return replace(before, sent_at=max(word.at, before.sent_at or word.at))


def newer(one: Silence | None, other: Silence) -> Silence:
    """The later state of a silence, whichever came first."""
    return other if one is None else max(one, other, key=_silence_order)


def standing(
    found: Muted,
    silences: Mapping[str, Silence],
    now: Instant,
    *,
    group_interval_ms: int,
    recorder_at: Instant,
    since: Instant | None = None,
) -> tuple[Reason, ...]:
    """The reasons that keep the alert back now, in a fixed order.

    A reason is over when its silence is, when the alert resolved after it, when a notification went out a whole
    `group_interval` after it (no notification is under way for longer, so it was made after it), when the recorder went on
    for `LOST_TIMES` without it, and when the recorder was quiet for `QUIET_TIMES`. `since`: when Alertmanager itself was
    asked last, which knows better what was so until then.
    """

    def stands(reason: Reason) -> bool:
        if found.resolved_at is not None and reason.at <= found.resolved_at:
            return False
        if found.sent_at is not None and ms_between(reason.at, found.sent_at) >= group_interval_ms:
            return False
        if since is not None and reason.seen_at < since:  # at the same instant nobody knows, so it holds
            return False
        lost = ms_between(reason.at, recorder_at) >= LOST_TIMES * group_interval_ms
        quiet = ms_between(reason.seen_at, now) >= QUIET_TIMES * group_interval_ms
        return not lost and not quiet and not over(reason.because, reason.name, silences, now)

    return tuple(each for each in found.reasons if stands(each))


def over(because: Because, name: str, silences: Mapping[str, Silence], now: Instant) -> bool:
    """Whether the silence is one that is known to have ended."""
    silence = silences.get(name) if because is Because.SILENCED else None
    return silence is not None and silence.ends_at is not None and silence.ends_at <= now


def believed(at: Instant, received_at: Instant) -> bool:
    return abs(ms_between(at, received_at)) <= SKEW_MAX_MS


def _order(reason: Reason) -> tuple[Instant, Instant, str, str, str]:
    return reason.at, reason.seen_at, reason.because.value, reason.name, reason.rule


def _silence_order(silence: Silence) -> tuple[Instant, Instant, str, str]:
    return silence.updated_at or EPOCH, silence.ends_at or EPOCH, silence.by, silence.comment
