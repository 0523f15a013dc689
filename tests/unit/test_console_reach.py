"""Everything that a page does is a call of the API, and `wk` can do it too: the three sets are held together here."""

from itertools import product

import pytest

from watchkeeper.surface.api.app import FAMILIES
from watchkeeper.surface.cli.verbs import VERBS
from watchkeeper.surface.console.app import PAGES
from watchkeeper.surface.console.pages.incidents import MARKS
from watchkeeper.surface.console.pages.limits import KINDS
from watchkeeper.surface.console.pages.runs import DID

# form of a page -> (call of the API, verb of wk), one for each thing that it can do
REACH = {
    "/incidents/{identity}/{act}": [
        *((f"/incidents/{{identity}}/{mark}", f"incidents {mark}") for mark in MARKS),
        ("/holds", "hold set"),
    ],
    "/alerts/{identity}/judge": [("/alerts/{identity}/judge", "alerts judge")],
    "/decisions/{identity}/feedback": [("/decisions/{identity}/feedback", "feedback")],
    "/decisions/{identity}/review": [("/decisions/{identity}/review", "review")],
    "/decisions/{identity}/accept": [("/decisions/{identity}/accept", "run")],
    "/decisions/{identity}/reject": [("/decisions/{identity}/reject", "reject")],
    "/demotions/{identity}/lift": [
        ("/demotions/{identity}/lift", "autonomy lift"),
        ("/demotions/{identity}/second", "autonomy second"),
    ],
    "/approvals/{identity}/approve": [("/approvals/{identity}/approve", "approve")],
    "/approvals/{identity}/reject": [("/approvals/{identity}/reject", "reject")],
    "/cards/{identity}/{verb}": [("/cards/{identity}/approve", "approve"), ("/cards/{identity}/reject", "reject")],
    "/runs/{identity}/{act}": [(f"/runs/{{identity}}/{act}", f"runs {act}") for act in DID],
    "/scenarios/play": [("/scenarios/play", "test")],
    "/limits": [("/holds", "hold set"), ("/freezes", "freeze set")],
    "/limits/{kind}/{identity}/lift": [
        (f"/{kind}/{{identity}}/{verb}", words)
        for (kind, verb), words in zip(
            KINDS.items(), ("hold lift", "freeze lift", "resume", "breakers close", "breakers release"), strict=True
        )
    ],
    "/services/hold": [("/holds", "hold set")],
    "/ledger/verify": [("/ledger/verify", "ledger verify")],
    "/dead-letters/{identity}/{act}": [
        (f"/dead-letters/{{identity}}/{act}", f"dead-letters {act}") for act in ("replay", "drop")
    ],
    "/stop": [("/stops", "stop")],
}
OWN = {"/settings"}  # of this browser alone: cookies, nothing of the node


def test_every_form_of_every_page_is_listed_here():
    assert {path for method, path, _ in PAGES if method == "POST"} == REACH.keys() | OWN


@pytest.mark.parametrize(("call", "verb"), [one for each in REACH.values() for one in each])
def test_what_a_form_does_the_api_and_wk_do_too(call, verb):
    calls = {name for family in FAMILIES for name in family.shapes}
    assert f"POST {call}" in calls
    assert verb in {" ".join(each.words) for each in VERBS}


def test_no_page_has_an_address_twice_and_each_is_stable():
    seen = [(method, path) for method, path, _ in PAGES]
    assert len(seen) == len(set(seen))
    for method, path in product(("GET",), ("/", "/incidents/{identity}", "/cards/{identity}", "/scenarios")):
        assert (method, path) in seen
