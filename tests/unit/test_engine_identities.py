"""Who may come in: what a token gives, what the bootstrap token may not, and who stays the last admin."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.approve.people import Actor, Identity, Token
from watchkeeper.engine.answer import No
from watchkeeper.engine.identities import Identities
from watchkeeper.engine.scribe import Scribe

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ALICE = Actor(name="local:alice", roles=frozenset({"admin"}))


class Clock:
    at = START

    def now(self) -> datetime:
        return self.at

    def monotonic_ms(self) -> int:
        return 0


class Door:
    def __init__(self) -> None:
        self.clock, self.store, self.rolled = Clock(), MemoryStore(), 0
        self.people = Identities(Scribe(self.store, self.clock, self.roll))

    def roll(self, size: int) -> bytes:
        self.rolled += 1
        return self.rolled.to_bytes(size, "big")

    def who(self, text: str) -> Actor | None:
        return self.people.identify(text, self.clock.now())

    async def person(self, name: str = "alice", *roles: str) -> Identity:
        found = await self.people.add(ALICE, name, roles or ("admin",))
        assert isinstance(found, Identity), found
        return found

    async def token(self, identity: str, *roles: str, **more: Any) -> tuple[Token, str]:
        found = await self.people.issue(ALICE, identity, "laptop", roles, **more)
        assert isinstance(found, tuple), found
        return found


@pytest.fixture
def door() -> Door:
    return Door()


async def test_a_token_is_its_identity_with_no_more_than_its_own_roles(door: Door) -> None:
    await door.person("alice", "admin", "approver")
    _, text = await door.token("alice", "approver")
    found = door.who(text)
    assert found is not None
    assert (found.name, found.roles, found.human) == ("alice", frozenset({"approver"}), True)


@pytest.mark.parametrize(
    "change", [lambda t: t + "x", lambda t: t[:-1], lambda t: t.replace("wk_", "xx_"), lambda _: "", lambda t: t * 5]
)
async def test_anything_else_than_the_whole_text_is_nobody(door: Door, change: Any) -> None:
    await door.person()
    _, text = await door.token("alice", "admin")
    assert door.who(change(text)) is None


async def test_the_text_of_a_token_is_nowhere_in_the_store(door: Door) -> None:
    await door.person()
    _, text = await door.token("alice", "admin")
    world = door.store._world
    rows = b"".join(found.row.body for kind in world.documents.values() for found in kind.values())
    entries = b"".join(entry.body + (entry.content.body if entry.content else b"") for entry in world.entries)
    assert text.split("_", 2)[2].encode() not in rows + entries


async def test_a_token_has_no_role_that_its_identity_lacks(door: Door) -> None:
    await door.person("bob", "viewer")
    no = await door.people.issue(ALICE, "bob", "laptop", ("admin",))
    assert isinstance(no, No)
    assert no.detail == "bob has no role admin: a token has no more than its identity"


async def test_a_token_of_a_source_can_only_post_there(door: Door) -> None:
    _, text = await door.token("", "admin", source="prometheus-eu")
    found = door.who(text)
    assert found is not None
    assert (found.name, found.source, found.roles, found.human) == (
        "source:prometheus-eu",
        "prometheus-eu",
        frozenset(),
        False,
    )


async def test_revoked_it_is_nobody_also_after_a_restart(door: Door) -> None:
    await door.person()
    token, text = await door.token("alice", "admin")
    assert isinstance(await door.people.revoke(ALICE, token.id, "lost"), Token)
    assert door.who(text) is None
    again = Identities(Scribe(door.store, door.clock, door.roll))
    await again.load()
    assert again.identify(text, START) is None
    assert [found.name for found in again.identities.values()] == ["alice"]


async def test_removing_a_person_ends_their_tokens(door: Door) -> None:
    await door.person("alice")
    await door.person("bob", "viewer")
    _, text = await door.token("bob", "viewer")
    assert not isinstance(await door.people.remove(ALICE, "bob", "left"), No)
    assert door.who(text) is None


async def test_the_last_admin_stays(door: Door) -> None:
    await door.person("alice")
    no = await door.people.remove(ALICE, "alice", "left")
    assert isinstance(no, No)
    assert no.detail == "alice is the last admin: add another one first"
    await door.person("bob", "admin")
    assert not isinstance(await door.people.remove(ALICE, "alice", "left"), No)


async def test_nobody_removes_themselves_also_with_another_admin(door: Door) -> None:
    await door.person("local:alice")
    await door.person("local:typed-wrong", "admin")
    no = await door.people.remove(ALICE, "local:alice", "left")
    assert isinstance(no, No)
    assert no.detail == "local:alice is you: another admin removes you, so that one who can come in stays"
    assert door.people.named("local:alice") is not None
    assert not isinstance(await door.people.remove(ALICE, "local:typed-wrong", "typed wrong"), No)


@pytest.mark.parametrize("name", ["", "a b", "x" * 101, "bell\a"])
async def test_a_name_that_nobody_could_type_is_refused(door: Door, name: str) -> None:
    no = await door.people.add(ALICE, name, ("admin",))
    assert isinstance(no, No)
    assert no.more == {"field": "name"}


@pytest.mark.parametrize("roles", [(), ("king",)])
async def test_a_role_that_does_not_exist_is_refused(door: Door, roles: tuple[str, ...]) -> None:
    no = await door.people.add(ALICE, "bob", roles)
    assert isinstance(no, No)
    assert no.more == {"field": "roles"}


async def test_one_name_is_one_identity(door: Door) -> None:
    await door.person("alice")
    no = await door.people.add(ALICE, "alice", ("viewer",))
    assert isinstance(no, No)
    assert no.status == 409


async def test_the_bootstrap_token_has_no_role_and_ends_with_the_first_identity(door: Door) -> None:
    text = await door.people.bootstrap()
    assert text is not None
    found = door.who(text)
    assert found is not None
    assert (found.bootstrap, found.roles, found.human) == (True, frozenset(), False)
    no = await door.people.add(found, "bob", ("viewer",))
    assert isinstance(no, No)
    assert no.detail == "the first identity must be an admin: with the bootstrap token add --role admin"
    assert isinstance(await door.people.add(found, "alice", ("admin",)), Identity)
    after = door.who(text)
    assert after is not None
    assert (after.bootstrap, after.source) == (False, "default")
    assert await door.people.bootstrap() is None


@pytest.mark.parametrize(("hours", "powers"), [(23.99, True), (24, False)])
async def test_the_bootstrap_token_lives_a_day(door: Door, hours: float, powers: bool) -> None:
    text = await door.people.bootstrap()
    assert text is not None
    door.clock.at = START + timedelta(hours=hours)
    found = door.who(text)
    assert found is not None
    assert found.bootstrap is powers
    assert found.source == "default", "what remains of it posts to the default source"


async def test_a_user_of_this_machine_has_the_roles_of_the_file_and_of_the_identity(door: Door) -> None:
    await door.person("local:alice", "approver")
    found = door.people.local("alice", ("viewer",))
    assert (found.name, found.roles) == ("local:alice", frozenset({"viewer", "approver"}))
    assert door.people.local("bob", ()).roles == frozenset()
