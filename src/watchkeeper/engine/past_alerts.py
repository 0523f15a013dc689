"""What feeds a backtest: the series of a monitoring system, or a file of what Alertmanager said."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
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


async def play_series(
    backtest: Backtest, history: History, source: Source, from_s: int, until_s: int, step_s: int
) -> Past:
    """Piece by piece, as it is read. The backtest stands at `until_s` afterwards."""
    past = Past(step_s, source.stale_after_ms // REPEATS)
    async for chunk in history.chunks(from_s, until_s, step_s):
        await backtest.tell(signal_from(each, source) for each in past.feed(chunk))
    return past


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


def unknowable(configuration: Configuration, *, healthy: bool, annotations: bool) -> tuple[str, ...]:
    """What this kind of history cannot say, as far as the rules ask for it. `annotations`: whether it holds them."""
    found = []
    rules = configuration.rulebook.rules.values()
    if not annotations:
        named = [rule.name for rule in rules if any(path[:2] == ("alert", "annotations") for path in _paths(rule))]
        found += [f"annotations are not in it, and {_names(named)} asks for them: they count as empty"] if named else []
    read = [rule.name for rule in rules if any(path[0] in AGED for path in _paths(rule))]
    if read:
        found.append(f"readings (probe, metrics, slo, region) are not in it, and {_names(read)} asks for them: unknown")
    several = [rule.name for rule in rules if rule.corroborate is not None and rule.corroborate.groups > 1]
    if several:
        found.append(f"it is one source, and {_names(several)} waits for a second one: held")
    regions = [rule.name for rule in rules if rule.regions is not None]
    if regions:
        found.append(f"it is one region's view, and {_names(regions)} asks several: those that said nothing are blind")
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
