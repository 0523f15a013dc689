"""The past of a monitoring system, as what it would have told at the time.

In: `Chunk`s in the order of time: at which steps each alert stood, and at which steps the monitoring itself was awake.
Out: `Told`s, in order: an alert fires, is repeated while it fires, is resolved.

Absence is evidence only while the monitoring was awake. A gap in its own data is *unknown*: an alert that stood before it
is not resolved by it, is not repeated in it, and grows stale by the rule that holds for live signals.
"""

from bisect import bisect_right
from typing import Final

from msgspec import Struct

from watchkeeper.signals.fingerprint import fingerprint_of
from watchkeeper.signals.signal import Kind, Signal, Source, Standing
from watchkeeper.values import EPOCH, Instant, Labels, after_ms, id_from, rfc3339

OPEN_MAX: Final = 200_000  # alerts that stand at once
BLIND_SPANS_MAX: Final = 1_000  # gaps kept one by one; all are counted


class Series(Struct, frozen=True, kw_only=True):
    """One alert in one chunk: `at_s` are the steps (Unix seconds, ascending) at which it stood. `pending`: it waited for
    its own `for:`, and nobody was told.
    """

    labels: Labels
    at_s: tuple[int, ...]
    pending: bool = False


class Chunk(Struct, frozen=True, kw_only=True):
    """Steps from `from_s` (excluded) to `until_s` (included). `awake_s`: steps at which the monitoring had data of its
    own; None: it cannot be told, and every step counts as awake.
    """

    from_s: int
    until_s: int
    step_s: int
    series: tuple[Series, ...]
    awake_s: tuple[int, ...] | None = None

    def steps(self) -> range:
        return range(self.from_s + self.step_s, self.until_s + 1, self.step_s)


class Told(Struct, frozen=True, kw_only=True):
    """What would have been said at `at`. `again`: a repetition. `unsure`: it ended somewhere in a gap."""

    at: Instant
    labels: Labels
    fingerprint: str
    standing: Standing
    starts_at: Instant
    unsure: bool = False
    again: bool = False


class _Stands(Struct):
    labels: Labels
    since_s: int
    last_s: int
    told_s: int


class Past:
    """Keeps what stands from one chunk to the next. `repeat_ms` is how often an alert that goes on is said again."""

    def __init__(self, step_s: int, repeat_ms: int) -> None:
        self._step_s = step_s
        self._repeat_s = max(step_s, repeat_ms // 1000)
        self._stands: dict[str, _Stands] = {}
        self._waited: dict[str, list[int]] = {}  # when each wait of an alert ended, as far as it may still fire
        self.steps = self.blind_steps = 0
        self.episodes = self.unsure = self.pending_only = 0
        self.blind: list[tuple[int, int]] = []

    @property
    def standing(self) -> int:
        """Alerts that stand at the end of what was fed."""
        return len(self._stands)

    def feed(self, chunk: Chunk) -> list[Told]:
        """What was said in this chunk, in order. Raises OverflowError when more than `OPEN_MAX` alerts stand at once."""
        steps = tuple(chunk.steps())
        awake = steps if chunk.awake_s is None else tuple(sorted(set(chunk.awake_s) & set(steps)))
        self._look(steps, awake)
        told: list[Told] = []
        seen: set[str] = set()
        for series in chunk.series:
            if series.pending:
                self._wait(fingerprint_of(series.labels), series)
        for series in chunk.series:
            if not series.pending:
                key = fingerprint_of(series.labels)
                seen.add(key)
                self._follow(key, series, awake, told)
        for key in [key for key in self._stands if key not in seen]:
            self._end(key, awake, None, told)
        if len(self._stands) > OPEN_MAX:
            raise OverflowError(f"{len(self._stands)} alerts stand at once, more than {OPEN_MAX}")
        self._waited = {
            key: kept
            for key, ends in self._waited.items()
            if (kept := ends[-1:]) and chunk.until_s - kept[0] <= self._step_s
        }
        told.sort(key=lambda each: (each.at, each.standing is Standing.FIRING, each.fingerprint))
        return told

    def _follow(self, key: str, series: Series, awake: tuple[int, ...], told: list[Told]) -> None:
        for at_s in series.at_s:
            stands = self._stands.get(key)
            if stands is not None and at_s - stands.last_s > self._step_s:
                self._end(key, awake, at_s, told)
                stands = self._stands.get(key)
            if stands is None:
                self._stands[key] = _Stands(labels=series.labels, since_s=at_s, last_s=at_s, told_s=at_s)
                self.episodes += 1
                self._fires(key, at_s)
                told.append(_told(series.labels, key, Standing.FIRING, at_s, at_s))
                continue
            stands.last_s = at_s
            if at_s - stands.told_s >= self._repeat_s:
                stands.told_s = at_s
                told.append(_told(series.labels, key, Standing.FIRING, stands.since_s, at_s, again=True))
        self._end(key, awake, None, told)

    def _end(self, key: str, awake: tuple[int, ...], before_s: int | None, told: list[Told]) -> None:
        """Resolved at the first step after its last one at which the monitoring was awake and did not say it."""
        stands = self._stands[key]
        place = bisect_right(awake, stands.last_s)
        if place == len(awake) or (before_s is not None and awake[place] >= before_s):
            return
        ended_s = awake[place]
        del self._stands[key]
        unsure = ended_s - stands.last_s > self._step_s
        self.unsure += unsure
        told.append(_told(stands.labels, key, Standing.RESOLVED, stands.since_s, ended_s, unsure=unsure))

    def _wait(self, key: str, series: Series) -> None:
        """Each time that it waited; those after which it fired are taken off again."""
        ends = self._waited.setdefault(key, [])
        for at_s in series.at_s:
            if ends and at_s - ends[-1] <= self._step_s:
                ends[-1] = at_s
            else:
                ends.append(at_s)
                self.pending_only += 1

    def _fires(self, key: str, at_s: int) -> None:
        ends = self._waited.get(key, [])
        if any(0 <= at_s - end_s <= self._step_s for end_s in ends):
            self.pending_only -= 1

    def _look(self, steps: tuple[int, ...], awake: tuple[int, ...]) -> None:
        self.steps += len(steps)
        known = set(awake)
        for at_s in steps:
            if at_s in known:
                continue
            self.blind_steps += 1
            if self.blind and self.blind[-1][1] == at_s - self._step_s:
                self.blind[-1] = (self.blind[-1][0], at_s)
            elif len(self.blind) < BLIND_SPANS_MAX:
                self.blind.append((at_s, at_s))


def signal_from(told: Told, source: Source) -> Signal:
    """As the source would have received it. The series of an alert holds no annotations."""
    resolved = told.standing is Standing.RESOLVED
    return Signal(
        id=id_from("sig", told.at, source.name, told.fingerprint, rfc3339(told.starts_at), told.standing.value),
        delivery="",
        source=source.name,
        group=source.group,
        received_at=told.at,
        kind=Kind.ALERT,
        fingerprint=told.fingerprint,
        standing=told.standing,
        labels=told.labels,
        annotations={},
        starts_at=told.starts_at,
        ends_at=told.at if resolved else None,
        region=source.region,
    )


def _told(
    labels: Labels,
    key: str,
    standing: Standing,
    since_s: int,
    at_s: int,
    *,
    unsure: bool = False,
    again: bool = False,
) -> Told:
    return Told(
        at=after_ms(EPOCH, at_s * 1000),
        labels=labels,
        fingerprint=key,
        standing=standing,
        starts_at=after_ms(EPOCH, since_s * 1000),
        unsure=unsure,
        again=again,
    )
