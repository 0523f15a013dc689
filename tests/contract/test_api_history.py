"""History over HTTP: another configuration tried against what was recorded."""

import base64

import pytest

from served import HOME, RULE, SECRETS, alerts, configuration, served

API = "/api/v1"


@pytest.fixture
async def node():
    async with served() as found:
        await found.person("vera", "viewer")
        async with found.client(SECRETS["EDGE_TOKEN"]) as edge:
            answer = await edge.post("/hooks/alertmanager", json=alerts("Down", "Seen", "Odd"))
            assert answer.status_code == 202, answer.text

        async def decided():
            return (await found.store.count("decision")) == 2

        await found.until(decided)
        yield found


@pytest.fixture
async def vera(node):
    async with node.client(node.tokens["vera"]) as found:
        yield found


def files(**changed: bytes | None) -> dict[str, str]:
    whole = {**HOME, **{f"packs/shop/rules/{name}.yaml": body for name, body in changed.items()}}
    return {path: base64.b64encode(body).decode() for path, body in whole.items() if body is not None}


async def test_a_viewer_tries_a_folder_page_by_page(vera):
    body = {"files": files(seen=None, odd=RULE.format(name="odd", alert="Odd", ceiling="observe").encode()), "limit": 1}
    items, after, pages = [], "", 0
    while pages == 0 or after:
        answer = await vera.post(f"{API}/history/try", json={**body, "after": after})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        after, pages = page["next"] or "", pages + 1
    assert [(each["kind"], each["rule"], each["was"], each["now"]) for each in items] == [
        ("lost", "shop/seen", "observe", "none"),
        ("new", "shop/odd", "none", "observe"),
    ]
    assert pages >= 5


async def test_without_files_it_is_the_nodes_own_folder(node, vera):
    same = (await vera.post(f"{API}/history/try", json={})).json()
    assert (same["looked_at"], same["same"], same["items"]) == (2, 2, [])
    node.files["packs/shop/rules/down.yaml"] = RULE.format(name="down", alert="Down", ceiling="observe").encode()
    edited = (await vera.post(f"{API}/history/try", json={"rule": "shop/down"})).json()
    assert (edited["looked_at"], edited["same"]) == (1, 1)  # without a grant it only watched anyway


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"files": {"watchkeeper.yaml": "%"}}, 400, "is not base64"),
        ({"files": files(down=b"kind: Odd\n")}, 422, "packs/shop/rules/down.yaml"),
        ({"days": 0}, 422, "days"),
        ({"limit": 501}, 422, "limit"),
        ({"than": "both"}, 422, "than"),
        ({"after": "elsewhere"}, 400, "is no cursor of this list"),
    ],
)
async def test_what_cannot_be_tried_is_said(vera, body, status, said):
    answer = await vera.post(f"{API}/history/try", json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.text


async def test_the_impact_of_the_edited_folder_as_data_and_as_a_document(node, vera):
    node.files["packs/shop/rules/seen.yaml"] = RULE.format(name="seen", alert="Odd", ceiling="observe").encode()
    impact = (await vera.post(f"{API}/history/impact", json={"document": "md"})).json()
    assert [(each["kind"], each["rule"]) for each in impact["history"]["items"]] == [
        ("lost", "shop/seen"),
        ("new", "shop/seen"),
    ]
    assert {each["ref"] for each in impact["touched"]["services"]} >= {
        "component:default/web",
        "component:default/cart",
    }
    assert impact["document"].startswith("# Impact of ")
    assert "rule shop/seen changed" in impact["document"]
    page = (await vera.post(f"{API}/history/impact", json={"document": "html", "days": 1})).json()["document"]
    assert page.startswith("<!doctype html>")
    refused = await vera.post(f"{API}/history/impact", json={"document": "pdf"})
    assert refused.status_code == 422


async def test_missing_rules_are_suggested_with_what_people_ran(node, vera):
    await node.person("olga", "operator")
    async with node.client(node.tokens["olga"]) as olga:
        body = {"runbook": "shop/mend", "targets": ["component:default/web"], "reason": "it was odd"}
        started = await olga.post(f"{API}/runs", json=body)
        assert started.status_code == 202, started.text

    async def ended():
        return (await node.store.count("run", {"state": "closed"})) == 1

    await node.until(ended)
    found = (await vera.get(f"{API}/history/suggestions", params={"least": 5})).json()
    (only,) = found["items"]
    assert (only["alert"], only["alerts"], only["by_hand"], only["runbook"]) == (
        "Odd",
        1,
        {"shop/mend": 1},
        "shop/mend",
    )
    files_now = {**HOME, "packs/shop/rules/odd.yaml": only["draft"].encode()}
    assert configuration(files_now).rules["shop/odd"].ceiling.value == "observe"
    assert (await vera.get(f"{API}/history/suggestions", params={"days": 0})).status_code == 422
