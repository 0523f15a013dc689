"""All services at one look: the sentence, what is opened first, and what a node of the picture says."""

from zoneinfo import ZoneInfo

import pytest

from watchkeeper.surface.console.draw import graph
from watchkeeper.surface.console.pages import estate, neighbours, services

AT = "2026-03-02T09:00:00Z"
LATER = "2026-03-02T11:30:00Z"
UTC = ZoneInfo("UTC")


def thing(name, level="healthy", kind="Component", *, of=(), because=(), **more):
    parts = {"healthy": 0, "degraded": 0, "failing": 0, "unknown": 0, **more.pop("count", {})}
    return {
        "ref": f"component:default/{name}", "name": name, "kind": kind, "owner": "group:default/ops", "system": "",
        "tier": "gold", "environment": "prod", "region": "", "alerts": [], "limits": [], "run": "",
        "health": {"is": "unknown", "at": None, "why": ""},
        "condition": {
            "is": level, "why": "", "parts": sum(parts.values()), **parts,
            "because": [f"component:default/{one}" for one in because], "of": [f"component:default/{one}" for one in of],
        },
        **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "The catalogue is empty."),
        ([thing("a"), thing("b")], "Every service is healthy."),
        ([thing("a")], "a is healthy."),
        ([thing("a"), thing("b", "unknown")], "No service is failing. The health of 1 is unknown."),
        ([thing("a", "unknown")], "Nobody watches the health of any service."),
        (
            [thing("a", "unknown", health={"is": "unknown", "at": AT, "why": "no answer"})],
            "The health of no service is known.",
        ),
        ([thing("a", "failing"), thing("b")], "a is failing."),
        ([thing("a", "failing"), thing("b", "degraded", because=["a"])], "a is failing and degrades b."),
        (
            [thing("a", "failing"), *[thing(name, "degraded", because=["a"]) for name in "bc"]],
            "a is failing and degrades 2 of its callers.",
        ),
        (
            [thing("a", "failing"), thing("b", "failing", because=["a"])],
            "a is failing, and so is b, which needs it.",
        ),
        (
            [
                thing("a", "failing"),
                *[thing(name, "failing", because=["a"]) for name in "bc"],
                thing("d", "degraded", because=["b"]),
            ],
            "a is failing, and so are 2 that need it. 1 more is degraded.",
        ),
        ([thing(name, "failing") for name in "abcd"], "a, b and 2 more are failing."),
        ([thing("a", "failing"), thing("b", "failing")], "a and b are failing."),
        (
            [thing("a", "failing", because=["b"]), thing("b", "failing", because=["a"])],
            "a and b are failing.",
        ),
        ([thing(name, "degraded") for name in "ab"], "a and b are degraded."),
    ],
)
def test_the_sentence_says_what_fails_and_what_hangs_on_it(found, said):
    assert estate.answer(found) == said


def test_instances_and_systems_are_not_counted_as_services():
    every = [
        thing("shop", kind="System", of=["pay", "pay-1"]),
        thing("pay", "failing", of=["pay-1"]),
        thing("pay-1", "failing"),
        thing("pay-api", "failing", kind="API", of=["pay"]),
    ]
    found = estate.wholes(every)
    assert [one["name"] for one in found] == ["pay", "pay-api"]
    assert [one["name"] for one in estate.roots(found)] == ["pay"], "an API fails with what provides it"
    assert estate.counted(every, found) == "2 services in 1 system: 2 failing."


def transaction(name, priority, *hops):
    return {"name": name, "priority": priority, "hops": [f"component:default/{hop}" for hop in hops], "members": {}}


def test_the_root_of_a_failure_is_opened_first_then_what_matters_most_to_the_business():
    found = [thing("a", "failing", because=["z"]), thing("z", "failing"), thing("m", "degraded")]
    assert estate.choose(found, []).focus == "component:default/z"
    two = [thing("a", "failing"), thing("b", "failing")]
    assert estate.choose(two, []).focus == "component:default/a"
    assert estate.choose(two, [transaction("pay", 1, "b")]).focus == "component:default/b"


@pytest.mark.parametrize(
    ("transactions", "focus", "said"),
    [
        ([transaction("b", 2, "web"), transaction("a", 1, "cart")], "component:default/cart", "Shown: cart, where a begins."),
        ([transaction("a", 1, "gone")], "", "No transaction is declared to begin with: shown is the list."),
        ([], "", "No transaction is declared to begin with: shown is the list."),
    ],
)  # fmt: skip
def test_with_nothing_broken_it_opens_where_the_business_begins_and_says_so(transactions, focus, said):
    found = estate.choose([thing("web"), thing("cart")], transactions)
    assert (found.focus, found.said) == (focus, said)


def limit(kind, identity="x", until=None, by=""):
    return {"kind": kind, "id": identity, "until_at": until, "by": by, "why": ""}


@pytest.mark.parametrize(
    ("one", "look", "fact", "mark"),
    [
        (thing("a"), "healthy", "gold", ""),
        (thing("a", tier=""), "healthy", "healthy", ""),
        (thing("a", "unknown"), "unknown", "nobody looks", ""),
        (
            thing("a", "unknown", health={"is": "unknown", "at": AT, "why": "late"}),
            "unknown",
            "unknown for 1:00",
            "",
        ),
        (thing("a", "degraded", count={"healthy": 1, "failing": 2}), "degraded", "1 of 3 healthy", ""),
        (thing("a", "degraded", because=["db"]), "degraded", "needs db", ""),
        (thing("a", "failing", alerts=["alr_1"]), "failing", "1 alert fires", ""),
        (thing("a", "failing"), "failing", "failing", ""),
        (thing("a", limits=[limit("exclusion")]), "excluded", "excluded", ""),
        (thing("a", limits=[limit("hold"), limit("freeze", until=LATER)]), "frozen", "frozen to 11:30", ""),
        (thing("a", "unknown", limits=[limit("hold", until=LATER)]), "held", "held to 11:30", ""),
        (thing("a", limits=[limit("breaker")]), "breaker", "breaker open", ""),
        (thing("a", limits=[limit("no_automation")]), "by-hand", "no automation", ""),
        (thing("a", "failing", limits=[limit("hold")]), "failing", "failing", "held"),
        (thing("a", run="run_1"), "healthy", "under repair", "acted"),
        (thing("a", "failing", alerts=["x"], run="run_1"), "failing", "1 alert fires", "acted"),
        (thing("a", limits=[limit("freeze", "all")]), "healthy", "gold", ""),
    ],
)
def test_a_node_says_the_one_thing_to_know(one, look, fact, mark):
    found = neighbours.node(one, at="2026-03-02T09:01:00Z", zone=UTC, general={"all"})
    assert (found.look, found.fact, found.mark) == (look, fact, mark)
    assert look in graph.LOOK
    assert mark in {"", *graph.LOOK}


def test_what_the_focus_degrades_says_so_and_what_something_else_degrades_names_it():
    one = thing("a", "degraded", because=["db"])
    assert neighbours.fact_of(one, focus="component:default/db") == "degraded"
    assert neighbours.fact_of(one, focus="component:default/web") == "needs db"


def test_a_system_calls_nobody_and_is_drawn_only_in_focus():
    shop = thing("shop", kind="System")
    found = {
        "focus": "component:default/a", "nodes": [thing("a"), shop], "edges": [[shop["ref"], "component:default/a"]],
        "complete": True,
    }  # fmt: skip
    assert neighbours.drawn(found)["callers"] == 0
    assert len(neighbours.drawn({**found, "focus": shop["ref"]})["nodes"]) == 2


def test_what_is_not_drawn_is_said_to_who_points_at_it():
    one = thing("a", "healthy", limits=[limit("hold", by="ana")])
    assert neighbours.node(one, at=AT, zone=UTC).note == "It is healthy. Held by ana."


def test_a_limit_of_everything_is_said_once_and_one_of_a_single_thing_is_its_own():
    all_of_it = [thing(name, limits=[limit("freeze", "f"), limit("hold", name)]) for name in "ab"]
    assert list(neighbours.everywhere(all_of_it)) == ["f"]
    assert neighbours.everywhere(all_of_it[:1]) == {}


@pytest.mark.parametrize(
    ("grants", "ceiling", "level"),
    [
        ([], "auto", "observe"),
        ([("suggest", ""), ("approve", "")], "auto", "approve"),
        ([("auto", "")], "approve", "approve"),
        ([("auto", "silver")], "auto", "observe"),
        ([("auto", "gold")], "auto", "auto"),
    ],
)
def test_what_was_granted_here_is_never_above_the_ceiling(grants, ceiling, level):
    given = [{"rule": "r", "level": each, "tier": tier, "environment": "", "region": ""} for each, tier in grants]
    other = [{"rule": "other", "level": "auto", "tier": "", "environment": "", "region": ""}]
    assert services.granted(given + other, {"name": "r", "ceiling": ceiling}, thing("a")) == level


def picture(**more):
    nodes = [thing("a"), thing("b", "failing"), thing("c"), thing("d"), thing("e")]
    a, b, c, d, e = (one["ref"] for one in nodes)
    found = {"focus": b, "nodes": nodes, "edges": [[a, b], [b, c], [d, a], [a, e]], "peers": [e], "complete": True}
    return neighbours.drawn(found, at=AT, zone=UTC, **more)


def test_columns_are_named_and_the_list_says_the_same_as_the_picture():
    found = picture()
    for head in ("Edge", "Callers", "Focus and peers", "It depends on"):
        assert f">{head}</text>" in found["picture"]
    groups = {group["name"]: [one["name"] for one in group["items"]] for group in found["listed"]}
    assert groups == {"In focus": ["b"], "Needs it": ["a", "d"], "It depends on": ["c"], "Beside it": ["e"]}
    assert found["shown"] == 5
    assert ">Edge</text>" not in picture(hops=1)["picture"]


@pytest.mark.parametrize(
    ("paint", "icon", "words"),
    [
        ("health", "octagon-x", "Failing"),
        ("owners", "user", "Same owner as the focus"),
        ("autonomy", "play", "Auto"),
    ],
)
def test_a_picture_is_painted_by_another_question_and_explains_itself(paint, icon, words):
    found = picture(paint=paint, modes={"component:default/b": "auto"})
    assert f"#{icon}" in found["picture"]
    assert words in [word for _, _, word in found["legend"]]
    assert "octagon-x" in found["picture"], "what fails is marked whatever the question"


def test_what_is_folded_is_named_by_its_system_when_it_is_one():
    every = {str(n): thing(str(n), system="system:default/billing") for n in range(3)}
    assert neighbours.pill(["0", "1"], -1, every) == "2 in billing"
    every["2"]["system"] = ""
    assert neighbours.pill(["0", "2"], -1, every) == "2 more callers"
    assert neighbours.pill(["2"], 1, every) == "1 more dependency"
