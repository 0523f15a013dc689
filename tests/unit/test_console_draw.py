"""Drawings: bounded whatever the graph, the same each time, escaped, and inside their own frame."""

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.surface.console.draw import gantt, graph, samples, strip, symptom
from watchkeeper.surface.console.draw import steps as chain
from watchkeeper.surface.console.draw.svg import text
from watchkeeper.surface.console.render import zone_of

AT = "2026-03-02T09:00:00Z"
END = "2026-03-02T09:00:10Z"


def nodes(refs, look="healthy"):
    return {ref: graph.Node(ref=ref, name=ref, fact="fine", look=look, href=f"/services?focus={ref}") for ref in refs}


def turned(needs):
    found = {}
    for one, others in needs.items():
        for other in others:
            found.setdefault(other, []).append(one)
    return found


GRAPHS = st.dictionaries(
    st.integers(0, 40).map(lambda n: f"n{n}"),
    st.lists(st.integers(0, 40).map(lambda n: f"n{n}"), max_size=12),
    max_size=40,
)


@settings(deadline=None)
@given(GRAPHS, st.integers(1, 3))
def test_a_picture_is_bounded_counts_what_it_folds_and_joins_only_what_it_shows(needs, hops):
    needs = {"n0": [], **needs}
    found = graph.around("n0", needs, turned(needs), hops)
    shown = [ref for refs in found.layers.values() for ref in refs]
    assert len(shown) == len(set(shown)) <= graph.NODES_MAX
    assert all(len(refs) <= graph.LAYER_MAX for refs in found.layers.values())
    assert "n0" in found.layers[0]
    assert all(one in shown and other in shown for one, other in found.edges)
    reached, edge = {"n0"}, {0: ["n0"]}
    for table in (needs, turned(needs)):
        edge = ["n0"]
        for _ in range(hops):
            edge = [other for one in edge for other in table.get(one, ()) if other not in reached]
            reached |= set(edge)
    assert len(shown) + sum(found.folded.values()) == len(reached)
    drawn = str(graph.draw(found, nodes(shown), "n0"))
    assert drawn.count("<a ") == len(shown) + len(found.folded), "each thing, and each pill of what is folded"
    assert found == graph.around(
        "n0", {key: list(value) for key, value in reversed(needs.items())}, turned(needs), hops
    )


def test_five_thousand_callers_are_one_counted_pill():
    needs = {f"c{n}": ["db"] for n in range(5_000)}
    found = graph.around("db", needs, turned(needs), 1)
    assert found.folded == {-1: 5_000 - graph.LAYER_MAX}
    drawn = str(graph.draw(found, nodes([ref for refs in found.layers.values() for ref in refs]), "db"))
    assert "+ 4,991 more callers" in drawn
    assert len(drawn) < 20_000


@pytest.mark.parametrize("upright", [False, True])
def test_everything_lies_inside_the_frame(upright):
    rng = Random(7)
    needs = {f"n{i}": [f"n{rng.randrange(30)}" for _ in range(3)] for i in range(30)}
    found = graph.around("n0", needs, turned(needs), 2)
    shown = [ref for refs in found.layers.values() for ref in refs]
    drawn = str(graph.draw(found, nodes(shown, "unhealthy"), "n0", upright=upright))
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn).groups())
    for x, y in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"', drawn):
        assert 0 <= float(x) <= width - graph.WIDE
        assert 0 <= float(y) <= height - 30


def test_what_is_far_away_stands_in_the_last_column_and_peers_beside_the_focus():
    chain = {f"n{n}": [f"n{n + 1}"] for n in range(6)} | {"n1": ["n2", "peer"]}
    found = graph.around("n2", chain, turned(chain), 8, far=2, beside=["peer"])
    assert sorted(found.layers) == [-2, -1, 0, 1, 2]
    assert set(found.layers[2]) == {"n4", "n5", "n6"}
    assert found.layers[0][:1] == ("n2",) or set(found.layers[0]) == {"n2", "peer"}
    assert ("n1", "peer") in found.edges


def test_what_weighs_little_is_folded_last_and_what_is_broken_after_it():
    needs = {f"c{n:02}": ["db"] for n in range(20)}
    found = graph.around("db", needs, turned(needs), 1, 2, {"c19"}, weight={"c07": -5, "c19": 9})
    assert set(found.layers[-1]) == {"c19", "c07"}


def test_what_is_joined_only_to_folded_things_leads_to_their_pill():
    needs = {f"c{n:02}": ["db"] for n in range(20)} | {"edge": ["c19"]}
    found = graph.around("db", needs, turned(needs), 2)
    assert found.loose == (("edge", -1),)
    shown = [ref for refs in found.layers.values() for ref in refs]
    assert str(graph.draw(found, nodes(shown), "db")).count("stroke-dasharray") == 1
    assert graph.around("db", {"a": ["db"]}, {"db": ["a"]}, 2).loose == ()


def test_the_focus_is_never_folded():
    beside = [f"a{n}" for n in range(40)]
    found = graph.around("zz", {}, {}, 1, beside=beside)
    assert "zz" in found.layers[0]
    assert found.folded == {0: 41 - graph.LAYER_MAX}


def test_only_the_way_to_what_fails_is_red():
    needs = {"caller": ["db"], "fine": ["db"], "db": ["disk"]}
    found = graph.around("db", needs, turned(needs), 1)
    levels = {"caller": "degraded", "fine": "healthy", "db": "failing", "disk": "healthy"}
    shown = {ref: graph.Node(ref=ref, name=ref, fact="", look=level, level=level) for ref, level in levels.items()}
    assert str(graph.draw(found, shown, "db")).count('stroke="var(--bad)" stroke-width="2"') == 1
    assert 'stroke="var(--bad)"' not in str(graph.draw(found, shown, "db", paths=False))


def test_upright_two_stand_side_by_side_each_as_high_as_a_finger_needs():
    needs = {f"c{n}": ["db"] for n in range(9)}
    found = graph.around("db", needs, turned(needs), 1, 2)
    refs = [ref for layer in found.layers.values() for ref in layer]
    drawn = str(graph.draw(found, nodes(refs), "db", upright=True, pills={-1: "7 in shop"}, more="/all"))
    assert 'href="/all"' in drawn
    assert "+ 7 in shop" in drawn
    assert {float(high) for high in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)} == {graph.TALL}
    assert float(re.search(r'viewBox="0 0 ([\d.]+)', drawn).group(1)) <= 390 - 2 * 24 - 2 * 4


def test_a_name_is_escaped_and_clipped():
    drawn = str(text(0, 0, '<script>"&' + "x" * 100, most=20))
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn
    assert "…" in drawn


def step(**more):
    return {
        "id": "drain", "status": "done", "kind": "do", "attempts": 1, "started_at": AT, "ended_at": END, **more
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "fill"),
    [
        ({}, "var(--accent-line)"),
        ({"kind": "verify"}, "var(--ok)"),
        ({"status": "failed"}, "var(--bad-tint)"),
        ({"status": "intended", "ended_at": None}, "var(--accent-fill)"),
    ],
)
def test_a_bar_says_by_its_colour_what_the_step_is(more, fill):
    assert f'fill="{fill}"' in str(gantt.draw([step(**more)], AT, END, open_=False))


def test_a_step_that_never_began_has_an_empty_lane_and_an_instant_one_is_still_seen():
    drawn = str(gantt.draw([step(started_at=None, ended_at=None), step(ended_at=AT)], AT, AT, open_=True))
    assert drawn.count("<rect") == 1
    assert 'width="3"' in drawn or 'width="700"' in drawn


def incident(**more):
    """As the API tells one: an alert fires from the second second on; the node came a second after the clock begins."""
    steps = [(0, None), (1, 0), (2, 1), (4, 2), (8, 1)]
    trend = {
        "from_at": AT, "until_at": END, "steps": [{"at": f"{AT[:-2]}{second}Z", "firing": n} for second, n in steps]
    }  # fmt: skip
    return {
        "state": "open", "severity": "critical", "handling": {"trend": trend}, "looked": [], "decisions": [], "runs": [],
        "changes": [], **more,
    }  # fmt: skip


def decided(second=0, verdict="ask", reason="<b>", rule="shop/down"):
    at = f"{AT[:-2]}{second}Z"
    targets = [{"ref": "component:default/web", "name": "web"}]
    return {"id": f"dec_{second}", "at": at, "verdict": verdict, "reason": reason, "rule": rule, "targets": targets}


RUN = {"id": "run_1", "at": AT, "ended_at": None, "open": True, "runbook": "shop/mend", "status": "running"}
MIRA = {"at": AT, "actor": "mira okafor", "sentence": "acknowledged"}


def test_the_overview_shows_people_as_circles_and_automation_as_squares():
    drawn = str(strip.draw(incident(decisions=[decided()], runs=[RUN]), [MIRA], END, zone_of("UTC")))
    assert drawn.count("<circle") == 1
    assert ">MO</text>" in drawn
    assert "/decisions/dec_0" in drawn
    assert "<b>" not in drawn
    assert "09:00:00" in drawn


@pytest.mark.parametrize("size", [strip.DESK, strip.PHONE])
def test_the_symptom_is_an_area_and_what_nobody_knows_is_hatched(size):
    drawn = str(strip.draw(incident(), [], END, zone_of("UTC"), size))
    assert drawn.count("fill-opacity") == 3, "one step each that fires"
    assert drawn.count("nobody knows how many fired") == 1
    assert ">now</title>" in drawn
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', drawn).group(1))
    assert all(0 <= float(x) <= width for x in re.findall(r'<rect x="([-\d.]+)"', drawn))
    label = re.search('aria-label="([^"]*)"', drawn).group(1)
    assert label.startswith("Alerts firing at once: at most 2, 1 firing at the end; not known all of the time")
    assert ">now</title>" not in str(strip.draw(incident(state="resolved"), [], END, zone_of("UTC")))


def test_own_checks_have_a_lane_only_where_somebody_looks():
    looked = [
        {"state": state, "from_at": f"{AT[:-2]}{n}Z", "until_at": f"{AT[:-2]}{n + 1}Z"}
        for n, state in enumerate(("unknown", "up", "down"))
    ]
    assert "Own checks" not in str(strip.draw(incident(), [], END, zone_of("UTC")))
    drawn = str(strip.draw(incident(looked=looked), [], END, zone_of("UTC")))
    assert [said in drawn for said in ("Own checks: not seen", "Own checks: well", "Own checks: not well")] == [
        True
    ] * 3


def test_what_is_decided_again_with_one_result_is_one_square_where_it_began():
    again = [decided(n, "hold", "a deploy is under way") for n in range(8)]
    drawn = str(strip.draw(incident(decisions=[*again, decided(9, "act")]), [], END, zone_of("UTC")))
    assert re.findall("/decisions/(dec_[0-9])", drawn) == ["dec_0", "dec_9"]


@pytest.mark.parametrize(("count", "named"), [(3, True), (4, False)])
def test_changes_are_named_while_there_is_room(count, named):
    before = {"at": "2026-03-02T08:41:00Z", "kind": "deploy", "title": "release <9>", "subject": ""}
    drawn = str(strip.draw(incident(changes=[before] * count), [], END, zone_of("Europe/Berlin")))
    assert ("release &lt;9&gt; at 09:41</text>" in drawn) is named
    assert "<9>" not in drawn


def test_the_table_says_what_the_drawing_shows_in_order():
    found = incident(decisions=[decided(3)], runs=[{**RUN, "at": f"{AT[:-2]}4Z", "ended_at": f"{AT[:-2]}7Z"}])
    rows = strip.rows(found, [{**MIRA, "at": f"{AT[:-2]}5Z"}])
    assert [(row["lane"], row["what"]) for row in rows] == [
        ("Firing", "nobody knows"),
        ("Firing", "0 alerts at once"),
        ("Firing", "1 alert at once"),
        ("Watchkeeper", "Asked: web"),
        ("Firing", "2 alerts at once"),
        ("Watchkeeper", "mend began"),
        ("People", "mira okafor: acknowledged"),
        ("Watchkeeper", "mend: running"),
        ("Firing", "1 alert at once"),
    ]


@pytest.mark.parametrize(
    ("first", "last", "zone", "ticks"),
    [
        ("2026-03-02T09:00:00Z", "2026-03-02T09:00:10Z", "UTC", ["09:00:00", "09:00:02"]),
        ("2026-03-02T09:00:30Z", "2026-03-02T09:20:00Z", "Europe/Berlin", ["10:05", "10:10"]),
        ("2026-03-01T09:00:00Z", "2026-03-04T09:00:00Z", "Asia/Kolkata", ["00:00", "12:00"]),
        ("2026-03-01T09:00:00Z", "2026-03-08T09:00:00Z", "Asia/Kolkata", ["2 Mar", "3 Mar"]),  # from midnight there
    ],
)
def test_lines_stand_at_round_times_of_the_viewers_day(first, last, zone, ticks):
    trend = {"from_at": first, "until_at": last, "steps": [{"at": first, "firing": 1}]}
    drawn = str(strip.draw(incident(handling={"trend": trend}), [], last, zone_of(zone)))
    assert re.findall('class="q" text-anchor="(?:start|middle|end)">([^<]*)<', drawn)[:2] == ticks


def test_a_row_draws_its_own_small_and_says_it_in_words():
    drawn = str(symptom.spark(incident()))
    assert 'aria-label="Alerts firing at once: at most 2, 1 firing at the end; not known all of the time"' in drawn
    assert 'fill="var(--bad)"' in drawn
    assert 'fill="var(--ink-3)"' in str(symptom.spark(incident(state="resolved")))
    assert "is not kept" in str(symptom.spark(incident(handling={"trend": None})))


def test_looks_have_three_shapes_and_are_counted_in_words():
    drawn = str(samples.draw([(0, 10, "healthy"), (500, 20, "unhealthy"), (900, 5, "nothing")], 1_000, 250, open_=True))
    assert drawn.count("<circle") == 1
    assert "1 healthy, 1 unhealthy, 1 inconclusive looks" in drawn
    assert "limit 250 ms" in drawn
    assert samples.draw([], 1_000) is None


@pytest.mark.parametrize(("count", "circles"), [(200, 200), (201, 200)])
def test_looks_are_drawn_up_to_their_bound(count, circles):
    assert str(samples.draw([(n, 1, "healthy") for n in range(count)], 0)).count("<circle") == circles


def test_a_group_is_one_box_that_counts_what_is_in_it_and_undo_stands_apart():
    steps = [
        step(undo="done"),
        step(id="fleet", kind="foreach", started_at=None, ended_at=None, status="intended"),
        step(id="fleet/0/one"),
        step(id="fleet/1/one", status="failed"),
        step(id="last", status="pending", started_at=None, ended_at=None),
    ]
    drawn = str(chain.draw(steps))
    assert "1 of 2, one failed" in drawn
    assert "undo drain" in drawn
    assert "not yet" in drawn
    assert drawn.count("<rect") == 4
    assert chain.draw([]) is None


@pytest.mark.parametrize(("count", "more"), [(36, ""), (37, "and 1 more steps")])
def test_a_chain_is_bounded_and_says_what_it_leaves_out(count, more):
    drawn = str(chain.draw([step(id=f"s{n}") for n in range(count)]))
    assert drawn.count("<rect") == 36
    assert (more in drawn) if more else ("more steps" not in drawn)


def test_a_try_that_failed_is_a_hollow_cross_where_it_ended():
    began, until = "2026-01-05T12:00:00.000000Z", "2026-01-05T12:00:10.000000Z"
    step = {"id": "drain", "status": "done", "kind": "do", "attempts": 3, "started_at": began, "ended_at": until}
    failed = {"drain": ["2026-01-05T12:00:02.000000Z", "2026-01-05T12:00:05.000000Z"], "elsewhere": [until]}
    picture = str(gantt.draw([step], began, until, failed, open_=False))
    assert picture.count("A try that failed") == 2
    assert "3 tries" in picture
    assert str(gantt.draw([step], began, until, open_=False)).count("A try that failed") == 0


def test_a_folded_pill_leads_to_the_list_beside_the_picture():
    needs = {f"s{n}": ["focus"] for n in range(50)}
    found = graph.around("focus", {**needs, "focus": []}, {"focus": list(needs)}, 1)
    nodes = {ref: graph.Node(ref=ref, name=ref, fact="", look="healthy") for ref in ("focus", *needs)}
    assert f'href="#{graph.LIST}"' in str(graph.draw(found, nodes, "focus"))


def test_what_fails_or_would_change_is_folded_last():
    needs = {f"s{n:02}": ["focus"] for n in range(50)}
    found = graph.around("focus", {**needs, "focus": []}, {"focus": list(needs)}, 1, 2, {"s49", "s48"})
    assert set(found.layers[-1]) == {"s48", "s49"}
    assert found.folded == {-1: 48}
