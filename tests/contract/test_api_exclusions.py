"""The exclusion register over HTTP: listing, proof, and an export that says whether it agrees."""

import csv
import io

import pytest

from served import HOME, alerts, served

API = "/api/v1"
EXCLUSIONS = b"""
- id: X-1
  scope: {entity: component:web}
  control: PCI DSS 10.2
  criterion: moves money
  reason: people only
  owner: group:ops
  approver: jane
  from: 2026-01-01T00:00:00Z
  until: 2126-01-01T00:00:00Z
"""
FILES = {**HOME, "exclusions.yaml": EXCLUSIONS}


@pytest.fixture
async def node():
    async with served(FILES) as found:
        await found.person("oscar", "operator", "viewer")
        await found.person("vera", "viewer")
        yield found


@pytest.fixture
async def oscar(node):
    async with node.client(node.tokens["oscar"]) as found:
        yield found


async def stopped(node, oscar) -> dict:
    """One decision that X-1 stopped: a person's own run."""
    body = {"runbook": "shop/mend", "targets": ["web"], "reason": "I insist"}
    found = await oscar.post(f"{API}/runs", json=body)
    assert found.json()["decision"]["verdict"] == "refuse", found.text
    return found.json()["decision"]


async def test_the_register_is_listed_with_what_it_stopped(node, oscar):
    decision = await stopped(node, oscar)
    (one,) = (await oscar.get(f"{API}/exclusions")).json()["items"]
    assert (one["id"], one["state"], one["stopped"], one["criterion"]) == ("X-1", "in_force", 1, "moves money")
    assert (await oscar.get(f"{API}/exclusions/X-1")).json()["stopped"] == 1
    (listed,) = (await oscar.get(f"{API}/exclusions/X-1/decisions")).json()["items"]
    assert listed["id"] == decision["id"]
    assert (await oscar.get(f"{API}/exclusions/X-9")).status_code == 404
    assert (await oscar.get(f"{API}/exclusions/X-9/decisions")).status_code == 404


async def test_the_proof_shows_its_witness(oscar):
    found = (await oscar.get(f"{API}/exclusions/proof")).json()
    assert (found["holds"], found["rules"], found["exclusions"]) == (False, 2, 1)
    assert found["sentences"][0] == (
        "shop/down can reach component:default/web when an alert names it, which exclusion X-1 keeps out of automation."
    )


async def test_the_export_as_json_and_as_csv_say_the_same(node, oscar):
    decision = await stopped(node, oscar)
    found = (await oscar.get(f"{API}/exclusions/export")).json()
    assert (found["agrees"], found["stopped"], found["reconciled"]["missing"]) == (True, 1, [])
    (one,) = found["exclusions"][0]["decisions"]
    assert one["decision"] == decision["id"]
    assert one["ledger"]
    answer = await oscar.get(f"{API}/exclusions/export.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["watchkeeper-agrees"] == "true"
    (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (row["exclusion"], row["decision"], row["actor"]) == ("X-1", decision["id"], "person:oscar")
    assert row["ledger"] == str(one["ledger"][0])


async def test_a_period_holds_only_its_own(node, oscar):
    await stopped(node, oscar)
    found = (await oscar.get(f"{API}/exclusions/export?until=2026-01-01T00:00:00Z")).json()
    assert (found["stopped"], found["exclusions"][0]["decisions"], found["agrees"]) == (0, [], True)
    wrong = await oscar.get(f"{API}/exclusions/export?since=yesterday")
    assert wrong.status_code == 400
    assert wrong.json()["detail"].startswith("since:")


async def test_who_only_looks_may_not_take_it_away(node):
    async with node.client(node.tokens["vera"]) as vera:
        assert (await vera.get(f"{API}/exclusions")).status_code == 200
        for path in ("export", "export.csv"):
            refused = await vera.get(f"{API}/exclusions/{path}")
            assert refused.status_code == 403
            assert "operator" in refused.json()["detail"]


async def test_an_alert_on_what_is_excluded_counts(node, oscar):
    async with node.client(await node.hook_token("default")) as hook:
        await hook.post("/hooks/alertmanager", json=alerts("Seen"))

    async def observed():
        return (await oscar.get(f"{API}/exclusions/X-1")).json()["observed"]

    assert await node.until(observed) == 1
