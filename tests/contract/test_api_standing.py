"""Standing over HTTP: cells, suggestions, review, feedback, demotions and their lift."""

import pytest

from served import HOME, RULE, SECRETS, alerts, served

API = "/api/v1"
FILES = {**HOME, "packs/shop/rules/free.yaml": RULE.format(name="free", alert="Free", ceiling="auto").encode()}


@pytest.fixture
async def node():
    async with served(FILES) as found:
        for name in ("alice", "bob"):
            await found.person(name, "admin", "approver", "operator", "viewer")
        await found.person("vera", "viewer")
        await found.person("robot", "admin", "operator", human=False)
        yield found


@pytest.fixture
async def alice(node):
    async with node.client(node.tokens["alice"]) as found:
        yield found


async def ok(coming, status=200):
    response = await coming
    assert response.status_code == status, response.text
    return response.json()


async def no(coming, status):
    response = await coming
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()


async def judged(node, alice, alert, verdict, level=""):
    """A decision of the rule for this alert, at a level granted on record."""
    if level:
        body = {
            "rule": f"shop/{alert.lower()}",
            "level": level,
            "environment": "staging",
            "for": "1h",
            "reason": "test",
        }
        await ok(alice.post(f"{API}/grants", json=body), 201)
    async with node.client(SECRETS["EDGE_TOKEN"]) as edge:
        await ok(edge.post("/hooks/alertmanager", json=alerts(alert)), 202)

    async def found():
        return (await ok(alice.get(f"{API}/decisions?verdict={verdict}")))["items"]

    return (await node.until(found))[0]


async def cell(alice, rule):
    (found,) = (await ok(alice.get(f"{API}/autonomy?rule={rule}")))["items"]
    return found


async def test_a_suggestion_is_listed_and_run_as_ones_own_act(node, alice):
    decision = await judged(node, alice, "Free", "suggest", "suggest")
    (listed,) = (await ok(alice.get(f"{API}/suggestions")))["items"]
    assert listed["id"] == decision["id"]
    assert (await ok(alice.get(f"{API}/reviews")))["items"] == []  # it can still be answered
    accepted = await ok(alice.post(f"{API}/decisions/{decision['id']}/accept", json={"reason": "yes"}), 202)
    assert accepted["decision"]["actor"] == "person:alice"
    assert accepted["decision"]["follows"] == decision["id"]
    run = accepted["run"]["id"]

    async def counted():
        return (await ok(alice.get(f"{API}/evidence?rule=shop/free")))["items"]

    (piece,) = await node.until(counted)
    assert (piece["how"], piece["agrees"], piece["by"], piece["run"]) == ("suggestion", True, "alice", run)
    assert (await ok(alice.get(f"{API}/suggestions")))["items"] == []
    again = await no(alice.post(f"{API}/decisions/{decision['id']}/accept", json={}), 409)
    assert again["detail"] == "alice answered it already"


async def test_a_suggestion_is_rejected_with_a_reason(node, alice):
    decision = await judged(node, alice, "Free", "suggest", "suggest")
    path = f"{API}/decisions/{decision['id']}/reject"
    assert (await no(alice.post(path, json={"reason": ""}), 400))["field"] == "reason"
    async with node.client(node.tokens["vera"]) as vera:
        await no(vera.post(path, json={"reason": "no"}), 403)
    assert (await ok(alice.post(path, json={"reason": "it heals by itself"})))["id"] == decision["id"]
    assert (await cell(alice, "shop/free"))["line"].startswith("0 of 1 agreed. ")


async def test_what_is_no_suggestion_is_neither_accepted_nor_rejected(node, alice):
    decision = await judged(node, alice, "Seen", "observe")
    path = f"{API}/decisions/{decision['id']}"
    assert "its verdict is observe" in (await no(alice.post(f"{path}/accept", json={}), 409))["detail"]
    assert "its verdict is observe" in (await no(alice.post(f"{path}/reject", json={"reason": "x"}), 409))["detail"]


async def test_a_cell_says_what_binds_and_what_is_missing(node, alice):
    await judged(node, alice, "Free", "observe")
    found = await cell(alice, "shop/free")
    assert (found["tier"], found["severity"], found["environment"], found["region"]) == (
        *("gold", "critical", "staging"),
        "eu-west",
    )
    assert (found["mode"], found["binds"], found["ceiling"], found["risk_ceiling"]) == (
        *("observe", "standing", "auto"),
        "auto",
    )
    assert (found["in_a_row"], found["of"], found["production"]) == (16, 0, False)
    await judged(node, alice, "Seen", "observe")
    assert (await cell(alice, "shop/seen"))["binds"] == "ceiling"
    both = (await ok(alice.get(f"{API}/autonomy?limit=1")))["items"]
    assert len(both) == 1
    second = await ok(alice.get(f"{API}/autonomy?limit=1&after=1"))
    assert [each["rule"] for each in second["items"]] == ["shop/seen"]
    assert second["next"] is None


async def test_review_lists_what_would_have_been_done_and_takes_a_verdict(node, alice):
    decision = await judged(node, alice, "Free", "observe")
    (waits,) = (await ok(alice.get(f"{API}/reviews?rule=shop/free")))["items"]
    assert (waits["decision"], waits["would"], waits["mode"]) == (decision["id"], "run shop/mend on web", "observe")
    path = f"{API}/decisions/{decision['id']}/review"
    assert (await no(alice.post(path, json={"agrees": True, "reason": " "}), 400))["field"] == "reason"
    async with node.client(node.tokens["robot"]) as robot:
        assert (
            "only a person may review"
            in (await no(robot.post(path, json={"agrees": True, "reason": "x"}), 403))["detail"]
        )
    (piece,) = (await ok(alice.post(path, json={"agrees": True, "reason": "I did it by hand"})))["items"]
    assert (piece["how"], piece["agrees"], piece["cell"]["rule"]) == ("review", True, "shop/free")
    assert (await ok(alice.get(f"{API}/reviews?rule=shop/free")))["items"] == []
    await no(alice.post(f"{API}/decisions/dec_none/review", json={"agrees": True, "reason": "x"}), 404)


async def test_what_somebody_reported_waits_for_review_first(node, alice):
    await judged(node, alice, "Seen", "observe")
    acted = await judged(node, alice, "Free", "act", "auto")
    await ok(alice.post(f"{API}/decisions/{acted['id']}/feedback", json={"says": "false", "text": "a deploy"}))
    first, second = (await ok(alice.get(f"{API}/reviews")))["items"]
    assert (first["decision"], first["reported"]) == (
        acted["id"],
        [{"by": "alice", "says": "false", "text": "a deploy"}],
    )
    assert (second["rule"], second["reported"]) == ("shop/seen", [])


async def test_harm_demotes_at_once_and_a_person_lifts_it_on_record(node, alice):
    acted = await judged(node, alice, "Free", "act", "auto")

    async def ended():
        return (await ok(alice.get(f"{API}/runs?decision={acted['id']}&state=closed")))["items"]

    (run,) = await node.until(ended)
    told = await ok(alice.post(f"{API}/runs/{run['id']}/feedback", json={"says": "harmful", "text": "it hurt"}))
    assert (told["run"], told["decision"], told["says"]) == (run["id"], acted["id"], "harmful")
    (demotion,) = (await ok(alice.get(f"{API}/demotions?state=open&rule=shop/free")))["items"]
    assert (demotion["level"], demotion["because"], demotion["by"]) == ("observe", "harm", "alice")
    found = await cell(alice, "shop/free")
    assert (found["mode"], found["binds"], found["demoted"]) == ("observe", "demotion", "observe")
    path = f"{API}/demotions/{demotion['id']}"
    async with node.client(node.tokens["vera"]) as vera:
        assert "lift a demotion" in (await no(vera.post(f"{path}/lift", json={"reason": "x"}), 403))["detail"]
    await no(alice.post(f"{path}/second", json={}), 409)
    lifted = await ok(alice.post(f"{path}/lift", json={"reason": "the cache is bounded now"}))
    assert (lifted["lifted_by"], lifted["lift_reason"]) == ("alice", "the cache is bounded now")  # staging: one person
    assert (await ok(alice.get(path)))["lifted_at"]
    assert (await cell(alice, "shop/free"))["mode"] == "auto"
    await no(alice.post(f"{path}/lift", json={"reason": "x"}), 409)
    await no(alice.get(f"{API}/demotions/dmt_none"), 404)
    await no(alice.post(f"{API}/runs/run_none/feedback", json={"says": "false"}), 404)
    await no(alice.post(f"{API}/runs/{run['id']}/feedback", json={"says": "meh"}), 400)


async def test_explain_shows_the_four_inputs_and_which_binds(node, alice):
    decision = await judged(node, alice, "Down", "ask", "approve")
    ladder = (await ok(alice.get(f"{API}/decisions/{decision['id']}/explain")))["ladder"]
    assert ladder["mode"] == "approve"
    assert (ladder["ceiling"], ladder["risk_ceiling"], ladder["granted"], ladder["earned"], ladder["demoted"]) == (
        *("approve", "auto", "approve"),
        "observe",
        None,
    )
    assert ladder["binds"] == "ceiling"
