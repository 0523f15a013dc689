"""History over HTTP: another configuration tried against what was recorded."""

import base64

import pytest

from served import HOME, RULE, SECRETS, alerts, served

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
