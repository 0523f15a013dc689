"""The impact report of a change over a known history: exactly the differing decisions, and whom the change touches."""

from typing import Any

import msgspec
from a_history import CATALOG, home, lived, stage
from stage import Stage, play, rule

from watchkeeper.engine.impact import Impacts
from watchkeeper.engine.trying import Trier
from watchkeeper.report.impact import Impact

TRANSACTIONS = """
- name: checkout
  priority: 1
  owner: group:ops
  hops: [component:cart, component:store]
- name: browse
  priority: 3
  owner: group:ops
  hops: [component:edge]
"""


def reported(check: Any, document: str = "", **changed: Any) -> None:
    async def scene(found: Stage) -> None:
        await lived(found)
        impacts = Impacts(found.on, Trier(found.on))
        impact = await impacts.of(home(**changed), days=30, limit=10_000, document=document)
        assert isinstance(impact, Impact), impact
        check(impact)

    play(scene, stage())


def test_no_change_has_no_impact() -> None:
    def check(impact: Impact) -> None:
        assert impact.plan.empty
        assert (impact.touched.services, impact.touched.teams, impact.history.items) == ((), (), ())
        assert impact.history.looked_at == impact.history.same

    reported(check)


def test_the_document_lists_exactly_the_decisions_that_differ() -> None:
    def check(impact: Impact) -> None:
        listed = sorted((each.kind, each.rule, each.was, each.now) for each in impact.history.items)
        assert listed == [
            ("differs", "shop/down", "act", "ask"),
            ("differs", "shop/down", "act", "ask"),
            ("differs", "shop/down", "hold", "hold"),
            ("differs", "shop/down", "hold", "hold"),
            ("lost", "shop/count", "refuse", "none"),
            ("new", "shop/free", "none", "observe"),
        ]
        rows = [line for line in impact.document.splitlines() if line.startswith("| 2026-")]
        assert len(rows) == len(listed)
        for each in impact.history.items:
            row = next(line for line in rows if each.decision in line and f"| {each.rule} |" in line)
            assert f"| {each.was} | {each.now} |" in row
        assert "## Would have been decided otherwise: 4" in impact.document
        assert "## Would not have been decided: 1" in impact.document
        assert "0 cannot be judged" in impact.document

    changes = {"down": rule(ceiling="approve"), "count": None, "free": rule("Free", ceiling="approve")}
    reported(check, "md", rules=changes)


def test_what_is_shared_is_touched_too() -> None:
    """The store changes: the cart depends on it, checkout crosses both, and their team hears of it."""

    def check(impact: Impact) -> None:
        services = {each.ref: each.through for each in impact.touched.services}
        assert services == {"component:default/store": "", "component:default/cart": "component:default/store"}
        assert [(each.name, each.why) for each in impact.touched.transactions] == [
            ("checkout", "crosses component:default/store")
        ]
        assert [each.name for each in impact.touched.teams] == ["group:default/ops"]
        assert impact.history.cannot == {}
        assert impact.history.items == ()

    changed = CATALOG.replace("name: store\n", "name: store\n  title: The store\n")
    assert changed != CATALOG
    files = home(catalog=changed)
    both = {"transactions.yaml": TRANSACTIONS.encode()}

    async def scene(found: Stage) -> None:
        await lived(found)
        found.files = {**home(), **both}
        planned = found.on.changes.plan()
        from stage import ALICE

        await found.on.changes.apply(ALICE, planned.digest, "transactions")
        impacts = Impacts(found.on, Trier(found.on))
        impact = await impacts.of({**files, **both}, days=30, limit=10_000)
        assert isinstance(impact, Impact)
        check(impact)

    play(scene, stage())


def test_a_rule_without_a_bound_is_said_to_lead_anywhere_and_one_with_a_bound_where() -> None:
    def check(impact: Impact) -> None:
        assert impact.touched.everywhere == ("shop/down",)
        assert {each.ref for each in impact.touched.services} == {
            f"component:default/{name}" for name in ("web", "cart", "store", "edge")
        }
        assert impact.touched.services[0].why == ("rule shop/free added",)

    bound = rule("Free", ceiling="observe", more="  target: {within: {system: shop}}")
    reported(check, rules={"down": rule(ceiling="approve"), "free": bound})


def test_html_is_one_file_that_runs_nothing() -> None:
    def check(impact: Impact) -> None:
        text = impact.document
        assert text.startswith("<!doctype html>")
        assert "<script" not in text
        assert "default-src 'none'" in text
        assert "src=" not in text.replace("default-src", "").replace("style-src", "")
        assert "&lt;b&gt;" in text
        assert "<b>" not in text
        assert text.count("<tr>") > 4

    marked = rule("Free", ceiling="observe", more='  description: "a <b>bold</b> | claim"')
    reported(check, "html", rules={"free": marked, "count": rule("Count", more='  description: "<b>x</b>"')})


def test_the_limit_cuts_and_says_so() -> None:
    async def scene(found: Stage) -> None:
        await lived(found)
        impacts = Impacts(found.on, Trier(found.on))
        impact = await impacts.of(home(rules={"down": None}), days=30, limit=3, document="md")
        assert isinstance(impact, Impact)
        assert impact.history.cut
        assert impact.history.looked_at == 3
        assert "There is more history than was looked at" in impact.document
        assert msgspec.json.decode(msgspec.json.encode(impact), type=Impact) == impact

    play(scene, stage())
