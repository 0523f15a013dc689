"""Over time: what the node timed and counted, how repairs ended, and how an operator reads it; nothing is said of what
nobody saw.
"""

import asyncio
import json
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from test_api_schema import Behind

from served import HOME, Served, alerts, served
from watchkeeper.approve.people import Actor, Grant
from watchkeeper.engine.records import RunRecord, put, read
from watchkeeper.engine.timing_reading import TIMED
from watchkeeper.engine.trending import Trends
from watchkeeper.ports import Commit
from watchkeeper.surface.cli import main
from watchkeeper.surface.cli.place import Exit
from watchkeeper.values import after_ms

API = "/api/v1"
ADMIN = Actor(name="root", roles=frozenset({"admin"}))
FAST = HOME | {
    "packs/shop/rules/down.yaml": HOME["packs/shop/rules/down.yaml"].replace(b"ceiling: approve", b"ceiling: auto")
}


async def told(node: Served, *names: str, **more: str) -> None:
    async with node.client(await node.hook_token("default")) as sender:
        assert (await sender.post("/hooks/alertmanager", json=alerts(*names, **more))).status_code == 202


async def granted(node: Served) -> None:
    at = node.clock.now()
    wanted = Grant(
        id="grt_1", rule="shop/down", level="auto", at=at, until_at=after_ms(at, 3_600_000), by="", reason="test",
        environment="staging",
    )  # fmt: skip
    assert isinstance(await node.engine.limits.grant(ADMIN, wanted), Grant)


async def ended(node: Served) -> bool:
    return bool((await node.store.find("run", {"state": "closed"})).items)


async def asked(node: Served, path: str, status: int = 200):
    async with node.client(node.tokens.get("vera") or await node.person("vera", "viewer")) as vera:
        answer = await vera.get(f"{API}{path}")
        assert answer.status_code == status, answer.text
        return answer.json()


async def test_a_repair_is_timed_stage_by_stage_and_prometheus_reads_the_same():
    async with served(FAST) as node:
        await granted(node)
        await told(node, "Down")
        await node.until(lambda: ended(node))
        found = await asked(node, "/latency?window=1h")
        whole = {each["stage"]: each["whole"] for each in found["stages"]}
        assert {name: whole[name]["count"] for name in ("intake", "decided", "effect", "step")} == {
            "intake": 1,
            "decided": 1,
            "effect": 1,
            "step": 2,
        }
        assert whole["verification"] == {
            "at": found["stages"][0]["points"][0]["at"], "watched": True, "count": 0, "p50_us": None, "p99_us": None, "max_us": None
        }  # fmt: skip
        assert whole["line"]["count"] >= 1
        assert whole["decided"]["max_us"] <= whole["effect"]["max_us"]
        assert all(len(each["points"]) == 60 for each in found["stages"])
        assert not found["stages"][0]["points"][0]["watched"]  # before this node's time
        assert found["stages"][0]["points"][-1]["watched"]
        async with node.client(uid=0) as near:
            text = (await near.get("/metrics")).text
        assert 'watchkeeper_stage_seconds_count{stage="decided"} 1.0' in text
        assert 'watchkeeper_stage_seconds_bucket{le="+Inf",stage="step"} 2.0' in text


async def test_a_restart_keeps_what_was_timed_and_does_not_know_the_time_between():
    async with served(FAST) as node:
        await granted(node)
        await told(node, "Down")
        await node.until(lambda: ended(node))
        await node.engine.measuring.write()
        before = await asked(node, "/latency?window=24h")
        store = node.store
    again = Served(FAST, store)
    again.tokens = node.tokens
    await again.start()
    try:
        after = await asked(again, "/latency?window=24h")
        counts = [{one["stage"]: one["whole"]["count"] for one in found["stages"]} for found in (before, after)]
        kept = ("intake", "decided", "effect", "step")
        assert [counts[0][stage] for stage in kept] == [counts[1][stage] for stage in kept] == [1, 1, 1, 2]
        assert again.engine.scribe.timing.totals.get("decided") is None  # /metrics counts since the process began
    finally:
        await again.engine.stop()


async def test_signals_are_told_apart_by_what_they_were():
    async with served() as node:
        await told(node, "Down", "Seen")
        await told(node, "Down")
        await told(node, "Down", status="resolved")
        node.engine.world.suppressed = {("default", alerts("Seen")["alerts"][0]["fingerprint"]): "it is silenced"}
        await told(node, "Seen")
        body = {**alerts("Down"), "alerts": [{"labels": 7}]}
        async with node.client(await node.hook_token("default")) as sender:
            assert (await sender.post("/hooks/alertmanager", json=body)).status_code == 202
        await node.until(lambda: node.engine.pipeline.taken == 5)
        found = await asked(node, "/traffic?window=1h")
        assert found["counts"] == {"news": 3, "repeated": 1, "suppressed": 1, "beats": 0, "unread": 1}
        assert (found["total"], len(found["points"])) == (6, 60)
        assert sum(sum(each["counts"].values()) for each in found["points"]) == 6


@pytest.mark.parametrize("path", ["/latency?window=2h", "/traffic?window=2h"])
async def test_a_window_that_is_not_kept_is_refused_with_those_that_are(path):
    async with served() as node:
        assert ", ".join(TIMED) in (await asked(node, path, 400))["detail"]


async def test_a_day_counts_its_repairs_and_its_incidents_and_says_what_is_not_known():
    async with served(FAST) as node:
        await granted(node)
        await told(node, "Down")
        await node.until(lambda: ended(node))
        found = await asked(node, "/trend?days=3")
        first, *days = found["items"]
        assert (first["watched_ms"], first["runs"], first["success_ppm"], first["detect_ms"]) == (0, {}, None, None)
        assert [one["runs"] for one in days if one["runs"]] == [{"succeeded": 1}]
        assert [(one["repairs"], one["success_ppm"]) for one in days if one["repairs"]] == [(1, 1_000_000)]
        opened = [one for one in days if one["incidents"]]
        assert [(one["incidents"], one["acknowledge_ms"], one["restore_ms"]) for one in opened] == [(1, None, None)]
        assert opened[0]["detect_ms"] >= 0
        assert {one["uptime_ppm"] for one in found["items"]} == {None}  # no check of this node looked at anything
        assert [one["name"] for one in found["services"]] == ["web"]
        assert found["services"][0]["days"][0] is None
        one = await asked(node, "/trend?days=2&service=web")
        assert (one["service"], one["items"][-1]["runs"], one["services"]) == ("component:default/web", None, [])
        assert (await asked(node, "/trend?service=nothing", 404))["title"] == "not found"
        assert (await asked(node, "/trend?days=93", 422))["status"] == 422


async def test_an_ended_run_is_counted_once_and_an_open_one_when_it_ends(monkeypatch):
    async with served(FAST) as node:
        await granted(node)
        node.action.open.clear()
        await told(node, "Down")
        await node.until(lambda: node.engine.runner.live)
        trends = Trends(node.engine)
        assert (await trends.trend(1)).items[-1].runs == {}
        node.action.open.set()
        await node.until(lambda: ended(node))
        for _ in range(2):
            trends._kept.clear()
            assert (await trends.trend(1)).items[-1].runs == {"succeeded": 1}

        # Further back than it looks, a day is unknown: never empty.
        monkeypatch.setattr("watchkeeper.engine.trending.RUNS_READ_MAX", 1)
        monkeypatch.setattr("watchkeeper.engine.trending.PAGE", 1)
        at = node.clock.now()
        record = read((await node.store.find("run")).items[0], RunRecord)
        await node.store.commit(Commit(at=at, puts=(put(replace(record, id="run_2", at=at)),)))
        assert (await Trends(node.engine).trend(2)).items[0].runs is None


async def test_two_that_ask_at_the_same_time_count_a_run_once(monkeypatch):
    async with served(FAST) as node:
        await granted(node)
        await told(node, "Down")
        await node.until(lambda: ended(node))
        find = node.store.find

        async def as_a_disk_does(*words, **more):
            await asyncio.sleep(0)  # others come between
            return await find(*words, **more)

        monkeypatch.setattr(node.store, "find", as_a_disk_does)
        monkeypatch.setattr("watchkeeper.engine.trending.PAGE", 1)
        record = read((await node.store.find("run")).items[0], RunRecord)
        await node.store.commit(Commit(at=node.clock.now(), puts=(put(replace(record, id="run_2")),)))
        trends = Trends(node.engine)
        found = await asyncio.gather(*(trends.trend(days) for days in (1, 2, 3)))
        assert [each.items[-1].runs for each in found] == [{"succeeded": 2}] * 3


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    home = tmp_path_factory.mktemp("node")
    (home / ".watchkeeper").mkdir(mode=0o700)
    with Behind(home) as found:
        yield found


@pytest.fixture
def wk(node: Behind, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("WATCHKEEPER_TOKEN", node.token)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["--url", node.url, "--utc", *words])
        said = capsys.readouterr()
        return code, said.out, " ".join(said.err.split())

    return run


def test_an_operator_reads_latencies(wk) -> None:
    code, said, _ = wk("latency")
    assert code == Exit.DONE
    assert "cause to decision" in said
    code, said, _ = wk("latency", "decided", "--window", "24h")
    assert code == Exit.DONE
    (before,) = [line for line in said.splitlines() if line.count("?") == 4]
    assert " to " in before, "the hours before this node's time are one row"
    code, said, _ = wk("latency", "--json")
    assert len(json.loads(said)["stages"]) == 7
    code, _, error = wk("latency", "speed")
    assert (code, "no stage 'speed': intake, line" in error) == (Exit.USAGE, True)
    for verb in ("latency", "traffic"):
        code, _, error = wk(verb, "--window", "")
        assert (code, "--window is empty: say 1h, 24h or 7d" in error) == (Exit.USAGE, True)


def test_an_operator_reads_traffic_and_trends(wk) -> None:
    code, said, _ = wk("traffic")
    assert code == Exit.DONE
    assert "signals over the last 1h" in said
    assert json.loads(wk("traffic", "--json")[1])["counts"]["news"] >= 1
    code, said, _ = wk("trend", "--days", "2")
    assert code == Exit.DONE
    assert "verified" in said.splitlines()[0]
    code, said, _ = wk("trend", "web", "--days", "2")
    assert "verified" not in said.splitlines()[0]
    assert len(json.loads(wk("trend", "--days", "5", "--json")[1])["items"]) == 5
    code, _, error = wk("trend", "nothing")
    assert (code, "no entity 'nothing'" in error) == (Exit.NO, True)


def test_an_operator_reads_how_often_rules_are_called_for(wk) -> None:
    code, said, _ = wk("rhythm")
    assert code == Exit.DONE
    assert "learning, 0 of 4 weeks" in said
    found, *_ = json.loads(wk("rhythm", "--json")[1])
    assert wk("rhythm", found["rule"], "--service", found["service"])[0] == Exit.DONE
    assert wk("rhythm", "no/rule")[:2] == (Exit.DONE, "Nothing was called for yet with rule no/rule.\n")
    code, said, _ = wk("anomalies")
    assert (code, "Nothing was unusual" in said) == (Exit.DONE, True)
