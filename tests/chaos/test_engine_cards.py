"""Requests in a storm: one card a rule and service, one answer to all that was shown, one page when it is too much."""

import storm
from rig import ALICE
from stage import Stage, component, house, play, rule

from watchkeeper.approve.approval import Approval, State
from watchkeeper.approve.cards import Card
from watchkeeper.approve.roles import Verb
from watchkeeper.engine.answer import No
from watchkeeper.engine.group_answers import GroupAnswer

MEMBERS = """
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: NAME
  annotations:
    watchkeeper.dev/instance: NAME
    watchkeeper.dev/environment: prod
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.admin: http://127.0.0.1:9000
    watchkeeper.dev/address: admin
    watchkeeper.dev/honours: idempotency-key
spec: {type: instance, owner: group:ops, system: shop, dependencyOf: [component:web]}
"""


def fleet(count: int) -> dict[str, bytes]:
    """One service with so many instances; every rule asks."""
    members = [MEMBERS.replace("NAME", f"web-{number}") for number in range(count)]
    return house(rules={"down": rule(ceiling="approve")}, catalog="---".join((component("web"), *members)))


async def ask(stage: Stage, first: int, last: int) -> None:
    for number in range(first, last):
        await stage.fire("Down", f"web-{number}")
    await stage.decided(last, verdict="ask")


def only(stage: Stage) -> Card:
    (desk,) = stage.on.groups.desks()
    (card,) = desk.cards
    return card


async def say(stage: Stage, card: Card, shown: dict[str, str], verb: Verb = Verb.APPROVE) -> GroupAnswer:
    found = await stage.on.groups.answer(ALICE, card.id, verb, shown, "looked at", emergency=False)
    assert isinstance(found, GroupAnswer), found
    return found


def test_one_answer_goes_to_each_request_that_was_shown_and_to_no_other():
    async def scene(stage: Stage) -> None:
        await ask(stage, 0, 3)
        card = only(stage)
        assert card.sentence == "shop/down asks for 3 targets of web."
        shown = dict(card.bindings)
        await ask(stage, 3, 5)  # they join while a person reads
        done = await say(stage, card, shown)
        assert sorted(approval for approval, _ in done.answered) == sorted(shown)
        assert done.refused == ()
        assert len(done.not_shown) == 2
        await stage.ended(3)
        found = {each.id: each.state for each in await stage.approvals()}
        assert {found[each] for each in shown} == {State.APPROVED}
        assert {found[each] for each in done.not_shown} == {State.PENDING}
        acted = {record.targets[0] for record in await stage.runs()}
        assert acted == {f"resource:default/web-{number}" for number in range(3)}
        entries = [await stage.store.entries_of("approval", each) for each in shown]
        assert all(any(b'"approve"' in row.body for row in rows) for rows in entries)

    play(scene, Stage(fleet(5)))


def test_a_digest_that_was_not_displayed_answers_nothing():
    async def scene(stage: Stage) -> None:
        await ask(stage, 0, 2)
        card = only(stage)
        first, second = card.approvals
        done = await say(stage, card, {first: card.bindings[first], second: "another digest"})
        assert [approval for approval, _ in done.answered] == [first]
        assert [(each.approval, each.status) for each in done.refused] == [(second, 409)]
        assert (await stage.all(Approval, state="pending"))[0].id == second

    play(scene, Stage(fleet(2)))


def test_an_empty_list_is_never_everything_and_a_strange_one_is_refused():
    async def scene(stage: Stage) -> None:
        await ask(stage, 0, 1)
        card = only(stage)
        empty = await stage.on.groups.answer(ALICE, card.id, Verb.APPROVE, {}, "", emergency=False)
        assert isinstance(empty, No)
        assert "an empty list is never everything" in empty.detail
        done = await say(stage, card, {"apr_elsewhere": "x"})
        assert (done.answered, done.refused[0].status, done.not_shown) == ((), 409, card.approvals)
        unknown = await stage.on.groups.answer(ALICE, "crd_x", Verb.APPROVE, {"apr": "x"}, "", emergency=False)
        assert isinstance(unknown, No)
        assert unknown.status == 404

    play(scene, Stage(fleet(1)))


def test_an_answer_with_the_digest_of_the_card_is_for_all_of_it_or_for_nothing():
    async def scene(stage: Stage) -> None:
        await ask(stage, 0, 3)
        card = only(stage)
        first, second, third = card.approvals
        one = await stage.on.groups.answer(
            ALICE, card.id, Verb.REJECT, {first: card.bindings[first]}, "not this one", emergency=False
        )
        assert isinstance(one, GroupAnswer)
        await ask(stage, 3, 4)  # one joins, one went: what was read is another card by now
        shown = {**card.bindings, third: "read of something else"}
        found = await stage.on.groups.answer(
            ALICE, card.id, Verb.APPROVE, shown, "go", emergency=False, digest=card.digest
        )
        assert isinstance(found, No)
        assert found.status == 409
        assert found.detail.startswith("Nothing was approved: the card changed since it was read (1 request joined, ")
        (joined,) = found.more["joined"]
        assert joined in only(stage).approvals
        assert [(each["approval"], each["state"]) for each in found.more["gone"]] == [(first, "rejected")]
        assert found.more["gone"][0]["why"] == "alice rejected it."
        assert found.more["changed"] == (third,)
        assert {each.id: each.state for each in await stage.approvals()}[second] is State.PENDING
        now = only(stage)
        done = await stage.on.groups.answer(
            ALICE, now.id, Verb.APPROVE, dict(now.bindings), "go", emergency=False, digest=now.digest
        )
        assert isinstance(done, GroupAnswer)
        assert len(done.answered) == 3
        late = await stage.on.groups.answer(
            ALICE, now.id, Verb.APPROVE, dict(now.bindings), "go", emergency=False, digest=now.digest
        )
        assert isinstance(late, No)
        assert (late.status, len(late.more["gone"])) == (409, 3)
        assert "no request of the card waits any more" in late.detail

    play(scene, Stage(fleet(4)))


def test_a_no_to_a_card_ends_all_that_was_shown():
    async def scene(stage: Stage) -> None:
        await ask(stage, 0, 3)
        card = only(stage)
        done = await say(stage, card, dict(card.bindings), Verb.REJECT)
        assert {state for _, state in done.answered} == {"rejected"}
        assert stage.on.groups.desks() == ()
        assert await stage.runs() == []

    play(scene, Stage(fleet(3)))


def test_people_are_told_of_the_first_requests_and_then_of_the_card():
    async def scene(stage: Stage) -> None:
        await ask(stage, 0, 20)
        await stage.passes(1)
        subjects = stage.subjects("ask")
        assert sum(1 for each in subjects if each.startswith("Approve ")) == 3
        assert sorted(each for each in subjects if not each.startswith("Approve ")) == [
            "16 requests of shop/down for web wait",
            "4 requests of shop/down for web wait",
            "8 requests of shop/down for web wait",
        ]
        notice = next(each for each in stage.told.notices if each.subject.startswith("4 "))
        assert notice.commands[0] == f"wk approve {only(stage).id}"

    play(scene, Stage(fleet(20)))


def test_beyond_twenty_cards_one_page_is_sent():
    async def scene(stage: Stage) -> None:
        for number in range(25):
            await stage.fire("Down", f"s{number}")
        await stage.decided(25, verdict="ask")
        await stage.passes(1)
        subjects = stage.subjects("ask")
        assert sum(1 for each in subjects if each.startswith("Approve ")) == 20
        assert [each for each in subjects if not each.startswith("Approve ")] == [
            "Automation is asking too much of group:default/ops"
        ]
        (desk,) = stage.on.groups.desks()
        assert (len(desk.cards), len(desk.withheld)) == (20, 5)
        assert desk.page.startswith(
            "Automation is asking too much: 25 cards wait for group:default/ops, 5 of them not shown."
        )

    play(scene, Stage(storm.many(25, ceiling="approve")))
