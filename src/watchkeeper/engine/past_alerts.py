"""What feeds a backtest: the series of a monitoring system, or a file of what Alertmanager said."""

import heapq
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from typing import Final, Protocol

from msgspec import Struct

from watchkeeper.engine.backtest import Backtest
from watchkeeper.home.configuration import Configuration
from watchkeeper.packs.mentioned import of_rule
from watchkeeper.packs.rule import Rule
from watchkeeper.packs.scope import AGED
from watchkeeper.signals.alertmanager_log import read_lines
from watchkeeper.signals.past import Chunk, Past, signal_from
from watchkeeper.signals.signal import Signal, Source
from watchkeeper.values import EPOCH, Instant, after_ms

UNREAD_SHOWN_MAX: Final = 20
REPEATS: Final = 2  # in the time after which an alert is stale


class History(Protocol):
    def chunks(self, from_s: int, until_s: int, step_s: int) -> AsyncIterator[Chunk]: ...


class LogRead(Struct, kw_only=True):
    """`named` are alerts that the log names without labels. `unread`: (line, why), the first ones."""

    lines: int = 0
    signals: int = 0
    dead: int = 0
    unreadable: int = 0
    named: Counter[str] = Counter()
    unread: list[tuple[int, str]] = []
    last_at: Instant = EPOCH


class Feed(Struct, kw_only=True):
    """One monitoring system, and the source that its alerts would come from."""

    source: Source
    history: History


async def play_series(
    backtest: Backtest, feeds: Sequence[Feed], from_s: int, until_s: int, step_s: int
) -> tuple[Past, ...]:
    """Piece by piece, as it is read, all feeds in one order of time. When each was awake is told too: a region that was
    asleep is blind. The `Past` of each feed.
    """
    pasts = tuple(Past(step_s, each.source.stale_after_ms // REPEATS) for each in feeds)
    pieces = [each.history.chunks(from_s, until_s, step_s) for each in feeds]
    reached_s = [from_s for _ in feeds]
    waiting: list[tuple[Instant, int, int, Signal]] = []
    order = 0
    while (behind := min(range(len(feeds)), key=reached_s.__getitem__)) is not None and reached_s[behind] < until_s:
        chunk = await anext(pieces[behind], None)
        if chunk is None:
            reached_s[behind] = until_s
            continue
        reached_s[behind] = chunk.until_s
        source = feeds[behind].source
        for told in pasts[behind].feed(chunk):
            order += 1
            heapq.heappush(waiting, (told.at, behind, order, signal_from(told, source)))
        backtest.awake(source.region, chunk.awake_s if chunk.awake_s is not None else chunk.steps())
        ready_at = at_seconds(min(reached_s))
        while waiting and waiting[0][0] <= ready_at:
            batch = [heapq.heappop(waiting)[3]]
            while waiting and waiting[0][0] == batch[0].received_at:
                batch.append(heapq.heappop(waiting)[3])
            await backtest.tell(batch)
    return pasts


async def play_log(backtest: Backtest, lines: Iterable[bytes], source: Source) -> LogRead:
    """Webhook bodies in the order of the file."""
    read = LogRead(named=Counter(), unread=[])

    def signals() -> Iterator[Signal]:
        for line in read_lines(lines, source):
            read.lines += 1
            if line.at is not None:
                read.signals += len(line.signals)
                read.dead += line.dead
                read.last_at = line.at
                yield from line.signals
            elif line.name:
                read.named[line.name] += 1
            else:
                read.unreadable += 1
                if len(read.unread) < UNREAD_SHOWN_MAX:
                    read.unread.append((line.number, line.why))

    await backtest.tell(signals())
    return read


def unknowable(
    configuration: Configuration, *, healthy: bool, annotations: bool, sources: Collection[Source] = ()
) -> tuple[str, ...]:
    """What this kind of history cannot say, as far as the rules ask for it. `annotations`: whether it holds them;
    `sources`: whose alerts are played.
    """
    found = []
    rules = configuration.rulebook.rules.values()
    if not annotations:
        named = [rule.name for rule in rules if any(path[:2] == ("alert", "annotations") for path in _paths(rule))]
        found += [f"annotations are not in it, and {_names(named)} asks for them: they count as empty"] if named else []
    read = [rule.name for rule in rules if any(path[0] in AGED and path[0] != "region" for path in _paths(rule))]
    if read:
        found.append(
            f"readings (probe, dependency, metrics, slo) are not in it, and {_names(read)} asks for them: unknown"
        )
    groups = len({each.group for each in sources}) or 1
    several = [each.name for each in rules if each.corroborate is not None and each.corroborate.groups > groups]
    if several:
        found.append(f"it holds {groups} of the sources that {_names(several)} waits for: held")
    seen = {each.region for each in sources} - {""}
    blind = [
        each.name
        for each in rules
        if (each.regions is not None and set(each.regions.of) - seen)
        or (not seen and any(path[0] == "region" for path in _paths(each)))
    ]
    if blind:
        found.append(f"it does not hold every region that {_names(blind)} asks: those are blind")
    needy = [each.name for each in configuration.rulebook.runbooks.values() if each.needs]
    counted = [rule.name for rule in rules if rule.limits.unavailable is not None]
    if (needy or counted) and not healthy:
        found.append(
            f"health is not in it beyond the alerts themselves, and {_names([*needy, *counted])} rests on it: unknown "
            "holds. With --assume-healthy what does not fire counts as well"
        )
    return tuple(found)


def _paths(rule: Rule) -> Iterator[tuple[str, ...]]:
    for expression in of_rule(rule):
        yield from expression.references


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown


def seconds(at: Instant) -> int:
    return int((at - EPOCH).total_seconds())


def at_seconds(at_s: int) -> Instant:
    return after_ms(EPOCH, at_s * 1000)
