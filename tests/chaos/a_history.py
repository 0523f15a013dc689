"""A known history: a dozen decisions of several rules, with a hold, a freeze, a dependency that is down and attempts."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from rig import Rig
from stage import ALICE, SETTINGS, Stage, component, house, rule, runbook

from watchkeeper.engine.trying import Otherwise, Than, Tried, Trier
from watchkeeper.guards.situation import Scope

NEEDY = runbook(more="  on_stop: undo\n  on_failure: undo\n  needs: [component:store]\n  objective: {success: 99%}\n")
CATALOG = "---".join(
    [
        component("web"),
        component("cart", spec=", dependsOn: [component:store]"),
        component("store", more={"sla": "99.9%"}),
        component("edge", more={"tier": "bronze"}),
    ]
)
RULES = {
    "down": rule(),
    "slow": rule("Slow", "needy", ceiling="approve", priority=5),
    "late": rule("Late", more="  for: 30s"),
    "gold": rule("Odd", more='  when: [target.tier == "gold"]'),
    "whole": rule(
        "Wide", ceiling="observe", more="  per: incident\n  target: {by: {name: alert.labels.service}, max: 5}"
    ),
    "sure": rule("Sure", ceiling="observe", more="  corroborate: {groups: 2, within: 5m}"),
    "probed": rule("Probed", ceiling="observe", more='  when: [probe.web == "healthy"]\n  unknown: hold'),
    "count": rule("Count", limits=", unavailable: {max: 1, of: service}"),
}
TRUSTED = ("shop/down", "shop/slow", "shop/late", "shop/gold", "shop/count")


def home(**changed: Any) -> dict[str, bytes]:
    """The home of the history, with some of its parts changed; a rule that is None is left out."""
    rules = {**RULES, **changed.pop("rules", {})}
    runbooks = {"mend": runbook(), "needy": NEEDY, **changed.pop("runbooks", {})}
    parts = {"settings": SETTINGS, "catalog": changed.pop("catalog", CATALOG), **changed}
    return house(rules={name: text for name, text in rules.items() if text is not None}, runbooks=runbooks, **parts)


def stage() -> Stage:
    return Stage(home(), trusted=TRUSTED)


async def lived(stage: Stage) -> None:
    """Everything that happens in it."""
    on = stage.on
    await stage.fire("Down", "web")
    await stage.ended(1)
    await stage.fire("Down", "web", status="resolved")
    await stage.fire("Odd", "web")  # the target is well again, and acted upon
    await stage.ended(2)
    await stage.fire("Odd", "web", status="resolved")
    await stage.fire("Odd", "edge")  # bronze: the rule does not match
    until = stage.clock.now() + timedelta(minutes=2)
    hold = await on.limits.hold(ALICE, Scope(service="component:default/edge"), until, "looking")
    assert hasattr(hold, "id"), hold
    await stage.fire("Down", "edge")
    await stage.passes(130)
    await stage.ended(3)
    await stage.fire("Down", "edge", status="resolved")
    await stage.fire("Slow", "cart")
    await stage.passes(2)
    await stage.fire("Slow", "cart", status="resolved")
    await stage.fire("Late", "web", number=1)
    await stage.passes(10)
    await stage.fire("Late", "web", number=1, status="resolved")  # before its time
    await stage.fire("Late", "web", number=2)
    await stage.passes(40)
    await stage.ended(4)
    await stage.fire("Late", "web", number=2, status="resolved")
    for name in ("Wide", "Sure", "Probed", "Count"):
        await stage.fire(name, "web", number=3)
        await stage.passes(2)
        await stage.fire(name, "web", number=3, status="resolved")
    await stage.fire("Nobody", "nowhere")
    await stage.fire("Free", "web", number=4)
    await stage.passes(30)


async def tried(stage: Rig, files: Mapping[str, bytes], *, than: Than = Than.RECORD, rule: str = "", limit: int = 4):
    """All pages as one."""
    assert stage.engine is not None
    trier = Trier(stage.engine)
    configuration = await trier.configuration(files)
    assert not hasattr(configuration, "status"), configuration
    pages: list[Tried] = []
    after: str | None = None
    while True:
        page = await trier.page(configuration, days=30, rule=rule, after=after, limit=limit, than=than)
        assert isinstance(page, Tried), page
        pages.append(page)
        after = page.next
        if after is None:
            break
    cannot: Counter[str] = Counter()
    items: list[Otherwise] = []
    for page in pages:
        cannot.update(page.cannot)
        items.extend(page.items)
    return Whole(
        sum(page.looked_at for page in pages),
        sum(page.same for page in pages),
        sum(page.passed_over for page in pages),
        dict(cannot),
        items,
    )


class Whole:
    def __init__(self, looked_at, same, passed_over, cannot, items) -> None:
        self.looked_at, self.same, self.passed_over, self.cannot, self.items = (
            looked_at,
            same,
            passed_over,
            cannot,
            items,
        )

    def of(self, kind: str) -> list[tuple[str, str, str]]:
        return sorted((each.rule, each.was, each.now) for each in self.items if each.kind == kind)
