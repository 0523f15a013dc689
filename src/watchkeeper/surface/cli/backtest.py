"""Your own past alerts, played through your rules: what would have been done, asked, held, refused."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchkeeper.errors import Rejected
from watchkeeper.surface.cli.place import Ends, Exit, here, looked_back
from watchkeeper.surface.cli.progress import progress
from watchkeeper.surface.cli.words import (
    Column,
    as_json,
    at,
    coloured,
    count,
    safe,
    say,
    span,
    style,
    table,
    wrapped,
)
from watchkeeper.values import duration_ms, instant

if TYPE_CHECKING:
    from watchkeeper.engine.backtest import Backtest, Backtested
    from watchkeeper.home.configuration import Configuration
    from watchkeeper.signals.signal import Source

DAY_S: int = 86_400
STEP_LEAST_S: int = 1
BAR: int = 40
NAMES_SHOWN: int = 20
RULES_SHOWN: int = 50
GAPS_SHOWN: int = 5
TOKEN_CHARS_MAX: int = 10_000
COLUMNS: tuple[str, ...] = ("act", "ask", "suggest", "hold", "refuse", "observe")
LEVELS: tuple[str, ...] = ("observe", "suggest", "approve", "auto")


def backtest(
    *,
    prometheus: tuple[str, ...] = (),
    alertmanager_log: Path | None = None,
    days: int = 30,
    until: str = "",
    step: str = "60s",
    source: str = "",
    level: str = "auto",
    assume_healthy: bool = False,
    run_for: str = "1m",
    match: str = "",
    labels: str = "",
    awake: str = "up",
    token_file: Path | None = None,
    json: bool = False,
) -> int:
    """Play past alerts through the home's rules, in memory: nothing is sent, nothing is stored.

    Parameters
    ----------
    prometheus
        Address of a Prometheus; its series ALERTS is read. Several, each for its source:
        --prometheus east=http://... --prometheus west=http://...
    alertmanager_log
        A file of webhook bodies, one a line, as Alertmanager sends them.
    days
        How many days of Prometheus, back from now or --until.
    until
        The end, for example 2026-03-01T10:00:00Z.
    step
        How finely the series is read; at least the interval at which alerts are evaluated.
    source
        The source of watchkeeper.yaml that these alerts would come from; the first one without it.
    level
        The standing that every rule is taken to have: observe, suggest, approve, auto. Ceilings bind all the same.
    assume_healthy
        What does not fire is taken for well. Otherwise its health is unknown, and unknown holds.
    run_for
        How long a run is taken to last.
    match
        Narrow the alerts down by matchers: --match 'severity="critical",team=~"pay.*"'.
    labels
        External labels that the series lacks and live alerts have: region=eu,cluster=a.
    awake
        A series that is always there while Prometheus works: where it is missing, nothing is known.
    token_file
        A file with a bearer token for Prometheus.
    """
    from watchkeeper.surface.cli.home import compiled, local_home

    if bool(prometheus) == (alertmanager_log is not None):
        raise Ends(Exit.USAGE, "say what to play: --prometheus URL, or --alertmanager-log FILE")
    if level not in LEVELS:
        raise Ends(Exit.USAGE, f"--level {level}: it is one of {', '.join(LEVELS)}")
    configuration = compiled(local_home("backtest"))
    run_ms = _duration("--run-for", run_for)
    _quiet()
    if alertmanager_log is not None:
        return _of_log(
            configuration,
            _source(configuration, source),
            alertmanager_log,
            level,
            run_ms,
            healthy=assume_healthy,
            json=json,
        )
    looked_back(days)
    step_s = _duration("--step", step) // 1000
    if step_s < STEP_LEAST_S:
        raise Ends(Exit.USAGE, f"--step {step}: give at least {STEP_LEAST_S} s")
    asked = Asked(
        feeds=_feeds(configuration, prometheus, source),
        days=days,
        until_s=_until(until),
        step_s=step_s,
        match=match,
        labels=_labels(labels),
        awake=awake,
        token=_token(token_file),
    )
    return _of_prometheus(configuration, asked, level, run_ms, healthy=assume_healthy, json=json)


class Asked:
    """What is to be read of one Prometheus or of several."""

    def __init__(self, **given: Any) -> None:
        self.feeds: list[tuple[str, Source]] = given["feeds"]
        self.days: int = given["days"]
        self.until_s: int = given["until_s"]
        self.step_s: int = given["step_s"]
        self.match: str = given["match"]
        self.labels: dict[str, str] = given["labels"]
        self.awake: str = given["awake"]
        self.token: str = given["token"]
        self.notes: list[str] = []


def _of_prometheus(
    configuration: "Configuration", asked: Asked, level: str, run_ms: int, *, healthy: bool, json: bool
) -> int:
    from watchkeeper import bootstrap
    from watchkeeper.engine.past_alerts import Feed, at_seconds, play_series, unknowable
    from watchkeeper.packs.rule import Mode

    played = bootstrap.backtest(configuration, level=Mode(level), healthy=healthy, run_ms=run_ms)

    async def work() -> tuple["Backtested", list[dict[str, Any]]]:
        async with AsyncExitStack() as stack:
            feeds = [
                Feed(
                    source=source,
                    history=await stack.enter_async_context(
                        bootstrap.prometheus(
                            url, token=asked.token, matchers=asked.match, awake=asked.awake, labels=asked.labels
                        )
                    ),
                )
                for url, source in asked.feeds
            ]
            histories: list[Any] = [each.history for each in feeds]
            for (url, _), history in zip(asked.feeds, histories, strict=True):
                await _step(asked, url, history)
            until_s = asked.until_s // asked.step_s * asked.step_s
            from_s = until_s - asked.days * DAY_S // asked.step_s * asked.step_s
            for (url, _), history in zip(asked.feeds, histories, strict=True):
                await history.look(from_s, until_s)
                if not history.awake_known:
                    asked.notes.append(
                        f"{url} has no series {asked.awake}: gaps in its data cannot be told from calm, and count as calm"
                    )
            pasts = await play_series(played, feeds, from_s, until_s, asked.step_s)
            done = await played.finish(at_seconds(until_s))
        return done, [
            {
                "prometheus": url,
                "source": source.name,
                "from": at_seconds(from_s),
                "until": at_seconds(until_s),
                "step_s": asked.step_s,
                "queries": history.queries,
                "pending_only": past.pending_only,
                "standing": past.standing,
                "blind_s": past.blind_steps * asked.step_s,
                "gaps": [
                    {"from": at_seconds(first - asked.step_s), "until": at_seconds(last)} for first, last in past.blind
                ],
                "ended_unsure": past.unsure,
            }
            for (url, source), history, past in zip(asked.feeds, histories, pasts, strict=True)
        ]

    with progress(lambda: _progress(played)):
        done, read = asyncio.run(work())
    sources = [source for _, source in asked.feeds]
    notes = [*asked.notes, *unknowable(configuration, healthy=healthy, annotations=False, sources=sources)]
    if json:
        as_json({"read": read, "result": done, "notes": notes})
        return Exit.DONE
    for each in read:
        wrapped(
            style(
                f"{count(asked.days, 'day')} of {safe(each['prometheus'])}, to {at(each['until'])}, by steps of "
                f"{asked.step_s} s.",
                "bold",
            )
        )
        _pending(each)
    _told(done, notes)
    return Exit.DONE


async def _step(asked: Asked, url: str, history: Any) -> None:
    """The step is never finer than alerts are evaluated: between two evaluations every alert would seem to end."""
    evaluation = await history.evaluation()
    if evaluation.why:
        asked.notes.append(f"how often {url} evaluates alerts could not be read: {evaluation.why}")
    elif evaluation.interval_s > asked.step_s:
        asked.notes.append(
            f"{url} evaluates alerts every {evaluation.interval_s} s, so the step is that and not {asked.step_s} s"
        )
        asked.step_s = evaluation.interval_s


def _of_log(
    configuration: "Configuration", source: "Source", path: Path, level: str, run_ms: int, *, healthy: bool, json: bool
) -> int:
    from watchkeeper import bootstrap
    from watchkeeper.engine.past_alerts import play_log, unknowable
    from watchkeeper.packs.rule import Mode

    played = bootstrap.backtest(configuration, level=Mode(level), healthy=healthy, run_ms=run_ms)

    async def work() -> tuple["Backtested", Any]:
        with path.open("rb") as lines:
            read = await play_log(played, lines, source)
        return await played.finish(read.last_at), read

    try:
        with progress(lambda: _progress(played)):
            done, read = asyncio.run(work())
    except OSError as unread:
        raise Rejected(f"{path}: cannot be read: {unread.strerror}") from unread
    notes = list(unknowable(configuration, healthy=healthy, annotations=True))
    if read.named:
        first = ", ".join(f"{name} {number:,}" for name, number in read.named.most_common(NAMES_SHOWN))
        notes.append(
            f"{read.named.total():,} lines are of Alertmanager's own log: they name the alert and have no labels, so "
            f"nothing can be decided on them ({first})"
        )
    for number, why in read.unread:
        notes.append(f"{path.name}:{number}: {why}")
    if read.unreadable > len(read.unread):
        notes.append(f"{read.unreadable - len(read.unread):,} more lines could not be read")
    if json:
        as_json({"file": str(path), "read": read, "result": done, "notes": notes})
        return Exit.DONE if read.signals else Exit.NO
    wrapped(style(f"{count(read.lines, 'line')} of {safe(path)}: {count(read.signals, 'statement')}.", "bold"))
    _told(done, notes)
    if not read.signals:
        wrapped("Nothing in it could be played: give webhook bodies as Alertmanager sends them, one a line.")
        return Exit.NO
    return Exit.DONE


def _pending(read: dict[str, Any]) -> None:
    if read["pending_only"]:
        wrapped(f"{count(read['pending_only'], 'time')} an alert waited for its own 'for:' and never fired.")
    if read["blind_s"]:
        gaps = "; ".join(f"{at(each['from'])} to {at(each['until'])}" for each in read["gaps"][:GAPS_SHOWN])
        more = f" and {len(read['gaps']) - GAPS_SHOWN:,} more" if len(read["gaps"]) > GAPS_SHOWN else ""
        wrapped(
            f"Prometheus had no data for {span(read['blind_s'] * 1000)} ({gaps}{more}): what stood then is unknown, not "
            f"resolved; {count(read['ended_unsure'], 'alert')} ended in it, nobody knows when."
        )


def _told(done: "Backtested", notes: list[str]) -> None:
    wrapped(
        f"{count(done.episodes, 'alert')} fired, in {count(done.incidents, 'incident')}; {count(done.decisions, 'decision')} "
        f"at level {done.level}."
    )
    if done.stale:
        wrapped(f"{count(done.stale, 'alert')} grew stale: not seen for too long, and not resolved.")
    if done.rules:
        say()
        _bars(done.verdicts)
        say()
        _rules(done)
    elif done.episodes:
        wrapped("No rule matches any of them.")
    _names("No rule asks for such an alert", done.no_rule)
    _names("A rule asks for it, and its conditions or its 'for:' were not met", done.not_met)
    _names("No rule, and no entity of the catalogue answers for it", done.unmapped)
    if notes:
        say()
        say(style("What this could not know", "bold"))
        for note in notes:
            wrapped(safe(note), "    ", first="  - ")


def _bars(verdicts: dict[str, int]) -> None:
    most = max([*verdicts.values(), 1])
    for verdict in COLUMNS:
        number = verdicts.get(verdict, 0)
        if number:
            bar = ("#" if here().plain else "█") * max(1, number * BAR // most)
            say(f"  {coloured(verdict)}{' ' * (10 - len(verdict))}{bar} {number:,}")


def _rules(done: "Backtested") -> None:
    rows = []
    for each in done.rules[:RULES_SHOWN]:
        reasons = sorted(each.reasons.items(), key=lambda pair: -pair[1][0])
        why = next((f"{key}: {said}" for key, (_, said) in reasons if not key.startswith("act:")), "")
        would = ", ".join(f"{name} {number}" for name, number in each.would_be.most_common())
        if would:
            why = f"would be, at auto: {would}"
        rows.append(
            (
                each.rule,
                each.episodes,
                *(each.verdicts.get(verdict) or "" for verdict in COLUMNS),
                why,
            )
        )
    table(
        (
            Column(name="rule", flex=True),
            Column(name="alerts", right=True),
            *(Column(name=verdict, right=True) for verdict in COLUMNS),
            Column(name="most often", flex=True, spare=True),
        ),
        rows,
    )
    if len(done.rules) > RULES_SHOWN:
        wrapped(f"and {len(done.rules) - RULES_SHOWN:,} more rules: --json has all of them")
    unread = sum(each.unread for each in done.rules)
    if unread:
        wrapped(f"{count(unread, 'alert')} stood held for nothing but inputs that this history does not have.")


def _names(what: str, names: dict[str, int]) -> None:
    if not names:
        return
    say()
    say(style(f"{what}: {count(sum(names.values()), 'alert')}", "bold"))
    for name, number in list(names.items())[:NAMES_SHOWN]:
        wrapped(f"{number:>6,}  {safe(name)}", "          ", first="  ")
    if len(names) > NAMES_SHOWN:
        wrapped(f"and {len(names) - NAMES_SHOWN:,} more names: --json has all of them", "    ", first="  ")


def _progress(played: "Backtest") -> str:
    return f"playing: at {at(played.now.isoformat())}, {played.episodes:,} alerts, {played.decisions:,} decisions"


def _feeds(configuration: "Configuration", given: tuple[str, ...], source: str) -> list[tuple[str, "Source"]]:
    """Each address with its source: `east=http://...`, or one address alone."""
    found = []
    for text in given:
        name, sign, url = text.partition("=")
        named = sign and "://" not in name
        if not named and len(given) > 1:
            raise Ends(Exit.USAGE, f"--prometheus {text}: with several, say which source each is: east={text}")
        found.append((url if named else text, _source(configuration, name if named else source)))
    return found


def _source(configuration: "Configuration", name: str) -> "Source":
    sources = configuration.settings.sources
    if name and name not in sources:
        raise Ends(Exit.USAGE, f"source {name}: watchkeeper.yaml has {', '.join(sorted(sources)) or 'none'}")
    kinds = [each for each in sources.values() if each.kind.value == "alertmanager"] or list(sources.values())
    if name:
        return sources[name].source
    if not kinds:
        raise Ends(Exit.USAGE, "watchkeeper.yaml names no source: say which one these alerts would come from")
    return kinds[0].source


def _until(text: str) -> int:
    try:
        found = instant(text) if text else datetime.now(UTC)
    except ValueError as wrong:
        raise Ends(Exit.USAGE, f"--until: {wrong}") from wrong
    return int(found.timestamp())


def _duration(flag: str, text: str) -> int:
    try:
        return duration_ms(text)
    except ValueError as wrong:
        raise Ends(Exit.USAGE, f"{flag}: {wrong}") from wrong


def _labels(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not sign or not name.strip() for name, sign, _ in pairs):
        raise Ends(Exit.USAGE, f"--labels {text}: write name=value, several with commas between them")
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _token(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")[:TOKEN_CHARS_MAX].strip()
    except (OSError, UnicodeDecodeError) as unread:
        raise Rejected(f"{path}: cannot be read: {unread}") from unread


def _quiet() -> None:
    """What the engine would log of a night that is over is no news to anybody."""
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
