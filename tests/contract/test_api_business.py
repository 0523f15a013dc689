"""Transactions and their coverage over HTTP: what is protected, and what only says that it is."""

import pytest

from served import HOME, served

API = "/api/v1"
FILES = {
    **HOME,
    "transactions.yaml": b"""
- {name: checkout, priority: 1, owner: group:ops, hops: [cart, pay]}
- {name: browse, priority: 3, owner: group:ops, hops: [web]}
""",
}


@pytest.fixture
async def node():
    async with served(FILES) as found:
        await found.person("vera", "viewer")
        yield found


@pytest.fixture
async def vera(node):
    async with node.client(node.tokens["vera"]) as found:
        yield found


async def test_transactions_are_listed_most_important_first(vera):
    found = (await vera.get(f"{API}/transactions")).json()["items"]
    assert [(each["name"], each["priority"]) for each in found] == [("checkout", 1), ("browse", 3)]
    assert found[0]["hops"] == ["component:default/cart", "component:default/pay"]
    one = (await vera.get(f"{API}/transactions/browse")).json()
    assert (one["name"], one["troubled"]) == ("browse", [])
    assert (await vera.get(f"{API}/transactions/none")).status_code == 404


async def test_coverage_names_the_hop_that_nothing_proven_protects(vera):
    report = (await vera.get(f"{API}/coverage")).json()["report"]
    hops = {(row["name"], hop["ref"]): hop["state"] for row in report["transactions"] for hop in row["hops"]}
    assert set(hops.values()) == {"declared"}
    assert report["within_ms"] == 90 * 86_400_000
    assert report["transactions"][0]["unprotected"] == ["component:default/cart", "component:default/pay"]


async def test_coverage_of_one_transaction_within_a_span(vera):
    report = (await vera.get(f"{API}/coverage?transaction=browse&within=7d")).json()["report"]
    assert [row["name"] for row in report["transactions"]] == ["browse"]
    assert report["within_ms"] == 7 * 86_400_000


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("transaction=none", 404, "none"),
        ("within=soon", 400, "is not a duration"),
        ("within=1s", 400, "is less than a minute"),
        ("windows=7d", 400, "is not known here"),
    ],
)
async def test_wrong_questions(vera, query, status, words):
    found = await vera.get(f"{API}/coverage?{query}")
    assert found.status_code == status
    assert words in found.json()["detail"]


async def test_nobody_reads_it_without_a_name(node):
    async with node.client() as nobody:
        assert (await nobody.get(f"{API}/coverage")).status_code == 401


async def test_each_hop_answers_four_questions_and_each_transaction_says_what_its_hops_have(vera):
    report = (await vera.get(f"{API}/coverage")).json()["report"]
    row = report["transactions"][0]
    assert [(mark["question"], mark["extent"], mark["hops"], mark["of"]) for mark in row["marks"]] == [
        ("watched", "all", 2, 2),
        ("repair", "some", 0, 2),
        ("undo", "none", 0, 2),
        ("verify", "none", 0, 2),
    ]
    assert row["marks"][1]["lacking"] == ["component:default/cart", "component:default/pay"]
    whys = {each["question"]: each["why"] for each in row["hops"][0]["answers"]}
    assert whys["undo"] == "No undo for drain of shop/mend, restart of shop/mend."
    browse = report["transactions"][1]["hops"][0]["answers"][0]
    assert browse["why"].startswith("heartbeat nightly, "), "what this node watches itself is named first"
