"""Tokens end when they say so, and a node that nobody knows yet always has one that lets the first person in."""

from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.approve.people import Actor
from watchkeeper.engine.identities import BOOTSTRAP_HOURS, Identities
from watchkeeper.engine.scribe import Scribe

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ADMIN = Actor(name="local:alice", roles=frozenset({"admin"}))
HOUR_MS = 3_600_000


class Clock:
    def __init__(self):
        self.at = START

    def now(self):
        return self.at

    def monotonic_ms(self):
        return int(self.at.timestamp() * 1000)


class World:
    def __init__(self):
        self.clock, self.store = Clock(), MemoryStore()
        self.dice = 0
        self.people = self.started()

    def roll(self, size):
        self.dice += 1
        return self.dice.to_bytes(size, "big")

    def started(self):
        return Identities(Scribe(self.store, self.clock, self.roll))

    def who(self, text):
        return self.people.identify(text, self.clock.now())


@pytest.fixture
def world():
    return World()


async def test_a_token_is_good_until_the_moment_it_ends_and_not_after(world):
    await world.people.add(ADMIN, "vera", ("viewer",))
    _, text = await world.people.issue(ADMIN, "vera", "laptop", ("viewer",), for_ms=HOUR_MS)
    _, hook = await world.people.issue(ADMIN, "", "alertmanager", (), for_ms=HOUR_MS, source="default")
    world.clock.at = START + timedelta(hours=1) - timedelta(microseconds=1)
    assert world.who(text).name == "vera"
    assert world.who(hook).source == "default"
    world.clock.at = START + timedelta(hours=1)
    assert world.who(text) is None
    assert world.who(hook) is None


async def test_a_bootstrap_token_whose_text_was_never_written_down_is_issued_again(world):
    lost = await world.people.bootstrap()
    assert lost
    world.people = world.started()
    await world.people.load()
    again = await world.people.bootstrap("")
    assert again not in {None, lost}
    assert world.who(again).bootstrap


async def test_a_bootstrap_token_that_is_kept_stays_and_one_that_ran_out_is_issued_again(world):
    first = await world.people.bootstrap()
    assert await world.people.bootstrap(first) is None
    world.clock.at = START + timedelta(hours=BOOTSTRAP_HOURS)
    second = await world.people.bootstrap(first)
    assert second is not None
    assert world.who(second).bootstrap
    assert not world.who(first).bootstrap
    assert world.who(first).source == "default"


async def test_with_an_identity_there_is_no_bootstrap_token(world):
    await world.people.add(ADMIN, "local:alice", ("admin",))
    assert await world.people.bootstrap() is None
