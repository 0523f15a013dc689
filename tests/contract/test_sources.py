"""Sources: all that are configured, heard or not, with what each said last, what it may do, and how it is connected."""

import json

import pytest
from test_console import browser, fired
from test_over_time import node, told, wk  # noqa: F401  fixtures

from served import HOME, SETTINGS, alerts, served
from watchkeeper.engine.source_reading import SourceReader
from watchkeeper.surface.cli.place import Exit

ONE = HOME | {
    "watchkeeper.yaml": b"""
environments: {staging: {production: false}}
sources: {default: {kind: alertmanager}}
notify: {routes: [{match: {severity: [critical, major, minor, warning, info]}, webhook: "http://127.0.0.1:9/chat"}]}
"""
}
PROBED = HOME | {
    "watchkeeper.yaml": SETTINGS.replace(
        "notify:",
        '  eyes: {kind: probe, probes: [{name: front, http: "http://127.0.0.1:9000/", entity: web, every: 1h}]}\nnotify:',
    ).encode()
}


async def test_each_is_there_with_where_it_posts_and_how_it_proves_itself():
    async with served(PROBED) as node:  # noqa: F811
        found = {one.name: one for one in (await SourceReader(node.engine).sources()).items}
        assert {name: (one.kind, one.credential, one.hooks) for name, one in found.items()} == {
            "backups": ("heartbeat", "token", ("/hooks/heartbeat/nightly",)),
            "default": ("alertmanager", "token", ("/hooks/alertmanager", "/hooks/alertmanager-events")),
            "edge": ("alertmanager", "bearer", ("/hooks/alertmanager", "/hooks/alertmanager-events")),
            "events": ("cloudevents", "hmac", ("/hooks/cloudevents",)),
            "eyes": ("probe", "token", ()),
            "grafana": ("grafana", "basic", ("/hooks/grafana",)),
            "jobs": ("generic", "token", ("/hooks/generic/jobs",)),
        }
        assert {one.state for name, one in found.items() if name != "eyes"} == {"never"}
        assert found["eyes"].state == "own"
        assert found["eyes"].probes[0].every_ms == 3_600_000
        assert found["backups"].beats[0].grace_ms == 3_600_000


async def test_every_address_that_is_told_is_one_that_answers():
    async with served(PROBED) as node, node.client() as nobody:  # noqa: F811
        for one in (await SourceReader(node.engine).sources()).items:
            for path in one.hooks:
                assert (await nobody.post(path, json={})).status_code == 401, path  # 404 where there is no hook


async def test_what_was_heard_is_counted_by_source_and_a_long_silence_is_told():
    async with served() as node:  # noqa: F811
        await told(node, "Down", "Seen")
        body = {**alerts("Down"), "alerts": [{"labels": 7}]}
        async with node.client(await node.hook_token("default")) as sender:
            assert (await sender.post("/hooks/alertmanager", json=body)).status_code == 202
        await node.until(lambda: node.engine.pipeline.taken == 2)
        reader = SourceReader(node.engine)
        found = await reader.source("default")
        assert (found.state, found.hour, found.dead_letters) == ("heard", 3, 1)
        assert sum(each or 0 for each in found.minutes) == 3
        assert found.minutes[0] is None  # before this node's time
        assert (await reader.source("edge")).hour == 0
        beyond = found.last_at.timestamp() + found.stale_after_ms / 1000 + 1
        node.clock.now = lambda: found.last_at.fromtimestamp(beyond, found.last_at.tzinfo)
        assert (await reader.source("default")).state == "stale"


async def test_one_that_left_the_configuration_is_shown_as_that():
    async with served() as node:  # noqa: F811
        node.engine.scribe.timing.signal("news", "gone", node.clock.now())
        last = (await SourceReader(node.engine).sources()).items[-1]
        assert (last.name, last.configured, last.hooks, last.hour) == ("gone", False, (), 1)


async def test_the_page_names_each_and_teaches_how_to_connect_it():
    async with browser() as ana:
        page = await ana.see("/sources")
        assert "Nobody has told us anything yet." in page
        for name in ("backups", "default", "edge", "events", "grafana", "jobs"):
            assert f"<bdi>{name}</bdi>" in page
        assert "wk token create --source jobs" in page
        assert "http://localhost/hooks/generic/jobs" in page
        assert "It proves itself by hmac" in page
        await fired(ana, "Down")
        await ana.node.until(lambda: ana.node.engine.pipeline.taken == 1)
        page = await ana.see("/sources")
        assert "1 source of 6 was heard. 5 were never heard." in page
        assert "1 signal in the last hour" in page


async def test_a_single_source_that_was_never_heard_is_taught_without_a_click():
    async with browser(files=ONE) as ana:
        page = await ana.see("/sources")
        assert "Listening. The first delivery shows here at once." in page
        assert "<details>" not in page


def test_an_operator_reads_sources(wk) -> None:  # noqa: F811
    code, said, _ = wk("sources")
    assert code == Exit.DONE
    assert "never" in said
    assert {one["name"] for one in json.loads(wk("sources", "--json")[1])} >= {"default", "edge"}
    code, said, _ = wk("sources", "jobs")
    assert "wk token create --source jobs" in said
    assert "/hooks/generic/jobs" in said
    assert "bearer, as watchkeeper.yaml says" in wk("sources", "edge")[1]
    code, _, error = wk("sources", "nothing")
    assert (code, "no source 'nothing'" in error) == (Exit.NO, True)


@pytest.mark.parametrize("path", ["/sources", "/sources/default"])
async def test_only_who_may_read_reads(path):
    async with served() as node, node.client() as nobody:  # noqa: F811
        assert (await nobody.get(f"/api/v1{path}")).status_code == 401
