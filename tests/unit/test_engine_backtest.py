"""The backtest on a day that was written by hand: the same words as a tired person's, without any server."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

import alert_days
from alert_days import DAY, FILES, ORACLE, STEP_S
from watchkeeper import bootstrap
from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.engine.past_alerts import Feed, at_seconds, play_log, play_series, seconds, unknowable
from watchkeeper.home.configuration import compile_home
from watchkeeper.packs.rule import Mode
from watchkeeper.signals.past import Chunk, Past, Series

FROM_S = int(DAY.timestamp())
UNTIL_S = FROM_S + 86_400


class Remembered:
    """The day as a Prometheus would answer it, in pieces of any size."""

    def __init__(self, piece_s: int) -> None:
        self.piece_s = piece_s
        self.series: dict[tuple[tuple[str, str], ...], list[int]] = defaultdict(list)
        self.awake: list[int] = []
        for metric, labels, at_s in alert_days.samples():
            if metric == "up":
                self.awake.append(at_s)
            else:
                self.series[tuple(sorted(labels.items()))].append(at_s)

    async def chunks(self, from_s: int, until_s: int, step_s: int) -> AsyncIterator[Chunk]:
        for start in range(from_s, until_s, self.piece_s):
            end = min(start + self.piece_s, until_s)
            series = []
            for labels, times in self.series.items():
                named = dict(labels)
                inside = tuple(at_s for at_s in times if start < at_s <= end)
                if inside:
                    pending = named.pop("alertstate") == "pending"
                    series.append(Series(labels=named, at_s=inside, pending=pending))
            awake = tuple(at_s for at_s in self.awake if start < at_s <= end)
            yield Chunk(from_s=start, until_s=end, step_s=step_s, series=tuple(series), awake_s=awake)


def configuration(**more: bytes):
    found = compile_home({**FILES, **more}, CelCompiler())
    assert found.configuration is not None, [str(each) for each in found.errors]
    return found.configuration


async def played(piece_s: int, level: Mode = Mode.AUTO):
    backtest = bootstrap.backtest(configuration(), level=level, healthy=False, run_ms=60_000)
    source = configuration().settings.sources["default"].source
    feed = Feed(source=source, history=Remembered(piece_s))
    (past,) = await play_series(backtest, [feed], FROM_S, UNTIL_S, STEP_S)
    return await backtest.finish(at_seconds(UNTIL_S)), past


def rules_of(done) -> dict[str, dict[str, int]]:
    return {each.rule: {name: number for name, number in each.verdicts.items() if number} for each in done.rules}


@pytest.mark.parametrize("piece_s", [86_400, 21_600, 600])
async def test_it_says_what_a_person_says_of_that_day(piece_s: int) -> None:
    done, past = await played(piece_s)
    assert rules_of(done) == ORACLE["rules"]
    assert done.verdicts == ORACLE["verdicts"]
    assert (done.no_rule, done.not_met, done.unmapped) == (ORACLE["no_rule"], ORACLE["not_met"], ORACLE["unmapped"])
    assert done.episodes == past.episodes == ORACLE["episodes"]
    assert past.pending_only == ORACLE["pending_only"]
    assert past.blind_steps == ORACLE["blind_minutes"]
    assert (past.unsure, past.standing, done.stale) == (ORACLE["unsure"], ORACLE["standing"], ORACLE["stale"])


async def test_at_observe_it_only_watches_and_says_what_it_would_have_been() -> None:
    done, _ = await played(86_400, Mode.OBSERVE)
    assert {name for name, number in done.verdicts.items() if number} == {"observe"}
    down = next(each for each in done.rules if each.rule == "shop/down")
    assert down.would_be["act"] >= 5


async def test_what_was_done_is_listed_with_its_time_and_target() -> None:
    done, _ = await played(86_400)
    late = next(each for each in done.listed if each.rule == "shop/late")
    assert (late.verdict, late.targets) == ("act", ("component:default/web",))
    assert late.at == DAY + timedelta(minutes=525)  # five minutes after it began
    refused = next(each for each in done.listed if each.verdict == "refuse")
    assert refused.reason.startswith("Tried 2 times in 1h, and it fires again")


def test_a_gap_is_not_an_end_and_calm_is() -> None:
    labels = {"alertname": "Down"}

    def chunk(*, awake: tuple[int, ...] | None, at_s: tuple[int, ...]) -> Chunk:
        series = (Series(labels=labels, at_s=at_s),)
        return Chunk(from_s=0, until_s=600, step_s=60, series=series, awake_s=awake)

    steps = tuple(range(60, 601, 60))
    calm = Past(60, 3_600_000)
    told = calm.feed(chunk(awake=steps, at_s=(60, 120, 300, 360)))
    assert [(each.standing.value, seconds(each.at)) for each in told] == [
        ("firing", 60),
        ("resolved", 180),
        ("firing", 300),
        ("resolved", 420),
    ]
    assert (calm.episodes, calm.unsure, calm.blind_steps) == (2, 0, 0)
    gap = Past(60, 3_600_000)
    told = gap.feed(chunk(awake=(60, 120, 300, 360, 420), at_s=(60, 120, 300, 360)))
    assert [(each.standing.value, seconds(each.at)) for each in told] == [("firing", 60), ("resolved", 420)]
    assert (gap.episodes, gap.unsure, gap.blind_steps) == (1, 0, 5)
    assert gap.blind == [(180, 240), (480, 600)]
    ended = Past(60, 3_600_000)
    told = ended.feed(chunk(awake=(60, 120, 300), at_s=(60, 120)))
    assert [(each.standing.value, seconds(each.at), each.unsure) for each in told] == [
        ("firing", 60, False),
        ("resolved", 300, True),
    ]


def test_an_alert_that_goes_on_is_said_again_before_it_would_be_stale() -> None:
    series = (Series(labels={"alertname": "Down"}, at_s=tuple(range(60, 3601, 60))),)
    told = Past(60, 600_000).feed(Chunk(from_s=0, until_s=3600, step_s=60, series=series))
    assert [seconds(each.at) for each in told] == [60, 660, 1260, 1860, 2460, 3060]
    assert [each.again for each in told] == [False, True, True, True, True, True]


LOG = b"""
{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Down","service":"web","severity":"critical"},"annotations":{},"startsAt":"2026-03-01T01:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"00000000000000a1"}]}
{"received_at":"2026-03-01T01:20:00Z","version":"4","alerts":[{"status":"resolved","labels":{"alertname":"Down","service":"web","severity":"critical"},"annotations":{},"startsAt":"2026-03-01T01:00:00Z","endsAt":"2026-03-01T01:18:00Z","fingerprint":"00000000000000a1"},{"status":"odd"}]}
{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Slow","service":"cart"},"annotations":{},"startsAt":"2026-03-01T02:00:00Z"}]}
ts=2026-03-01T03:00:00Z caller=dispatch.go:163 level=debug component=dispatcher msg="Received alert" alert=Down[4d3f2a1][active]
{"ts":"2026-03-01T03:00:00Z","component":"dispatcher","msg":"Received alert","alert":"Slow[0d3f2a1][resolved]"}
nothing of the kind
{"alerts": 7}
"""


async def test_a_file_of_webhook_bodies_and_a_log_that_has_no_labels() -> None:
    backtest = bootstrap.backtest(configuration(), level=Mode.AUTO, healthy=False, run_ms=60_000)
    source = configuration().settings.sources["default"].source
    read = await play_log(backtest, LOG.splitlines(keepends=True), source)
    done = await backtest.finish(read.last_at)
    assert rules_of(done) == {"shop/down": {"act": 1}, "shop/slow": {"ask": 1}}
    assert (read.lines, read.signals, read.dead, read.unreadable) == (7, 3, 1, 2)
    assert dict(read.named) == {"Down": 1, "Slow": 1}
    assert read.unread[0] == (7, "is neither a webhook body nor a line of Alertmanager's log that names an alert")
    assert read.unread[1][1].startswith("is no webhook body that can be read")
    assert read.last_at == DAY + timedelta(hours=2)


async def test_what_follows_an_act_in_its_episode_is_not_history_any_more() -> None:
    """Its severity changes twice and it is decided afresh, the third time over the limit: it stays what it was."""
    line = (
        '{"received_at":"2026-03-01T01:%02d:00Z","alerts":[{"status":"firing","labels":{"alertname":"Down","service":"web",'
        '"severity":"%s"},"startsAt":"2026-03-01T01:00:00Z","fingerprint":"00000000000000a1"}]}'
    )
    said = [
        line % (minute, severity) for minute, severity in ((0, "critical"), (5, "major"), (10, "minor"), (15, "info"))
    ]
    backtest = bootstrap.backtest(configuration(), level=Mode.AUTO, healthy=False, run_ms=60_000)
    read = await play_log(
        backtest, [each.encode() for each in said], configuration().settings.sources["default"].source
    )
    done = await backtest.finish(read.last_at)
    assert done.decisions > 2
    assert rules_of(done) == {"shop/down": {"act": 1}}


def test_what_a_series_cannot_say_is_named_where_a_rule_asks_for_it() -> None:
    rule = alert_days.rule
    asking = configuration(
        **{
            "packs/shop/rules/note.yaml": rule(
                "note", "A", "auto", more='  when: [alert.annotations.team == "a"]'
            ).encode(),
            "packs/shop/rules/two.yaml": rule(
                "two", "B", "auto", more="  corroborate: {groups: 2, within: 5m}"
            ).encode(),
            "packs/shop/rules/read.yaml": rule("read", "C", "auto", more='  when: [probe.web == "healthy"]').encode(),
        }
    )
    said = unknowable(asking, healthy=False, annotations=False)
    assert [each.partition(",")[0] for each in said] == [
        "annotations are not in it",
        "readings (probe",
        "it holds 1 of the sources that shop/two waits for: held",
    ]
    assert unknowable(configuration(), healthy=False, annotations=False) == ()


TWO = """
environments: {prod: {production: true}}
sources:
  east: {kind: alertmanager, region: east, repeat: 20m}
  west: {kind: alertmanager, region: west, repeat: 20m}
notify: {routes: [{webhook: "http://127.0.0.1:9/none"}]}
"""


class Side:
    """One region's monitoring: the same alert on both sides, asleep where the test says so."""

    def __init__(self, piece_s: int, firing: range, asleep: range = range(0)) -> None:
        self.piece_s, self.firing, self.asleep = piece_s, firing, asleep

    async def chunks(self, from_s: int, until_s: int, step_s: int) -> AsyncIterator[Chunk]:
        for start in range(from_s, until_s, self.piece_s):
            steps = range(start + step_s, min(start + self.piece_s, until_s) + 1, step_s)
            awake = tuple(at_s for at_s in steps if (at_s - FROM_S) // 60 not in self.asleep)
            at = tuple(at_s for at_s in awake if (at_s - FROM_S) // 60 in self.firing)
            labels = {"alertname": "Down", "service": "web", "severity": "critical"}
            series = (Series(labels=labels, at_s=at),) if at else ()
            yield Chunk(from_s=start, until_s=steps[-1], step_s=step_s, series=series, awake_s=awake)


@pytest.mark.parametrize(
    ("west", "asleep", "verdict", "reason"),
    [
        (range(60, 90), range(0), "act", "All 21 guards are clear."),
        (range(0), range(0), "hold", "1 region of the 2 needed sees it; west says that all is well."),
        (range(0), range(50, 100), "hold", "1 region of the 2 needed sees it; west cannot see."),
    ],
    ids=["both", "quiet", "blind"],
)
async def test_regions_are_played_together_and_one_that_slept_is_blind(west, asleep, verdict, reason) -> None:
    agree = "  regions: {agree: 2, of: [east, west]}"
    two = configuration(
        **{
            "watchkeeper.yaml": TWO.encode(),
            "packs/shop/rules/down.yaml": alert_days.rule("down", "Down", "auto", more=agree).encode(),
        }
    )
    sources = {name: each.source for name, each in two.settings.sources.items()}
    backtest = bootstrap.backtest(two, level=Mode.AUTO, healthy=False, run_ms=60_000)
    feeds = [
        Feed(source=sources["east"], history=Side(7_200, range(60, 90))),
        Feed(source=sources["west"], history=Side(1_800, west, asleep)),
    ]
    pasts = await play_series(backtest, feeds, FROM_S, FROM_S + 14_400, STEP_S)
    done = await backtest.finish(at_seconds(FROM_S + 14_400))
    assert {each.verdict for each in done.listed} == {verdict}
    assert reason in {each.reason for each in done.listed}
    assert [past.blind_steps for past in pasts] == [0, len(asleep)]
    assert unknowable(two, healthy=False, annotations=False, sources=list(sources.values())) == ()
