"""What was decided is counted once, whatever is asked when, and after a restart again."""

from collections import Counter

from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.engine import tallying
from watchkeeper.ports import Commit, Put
from watchkeeper.values import instant

AT = instant("2026-03-01T23:59:59Z")


class Here:
    def __init__(self):
        self.store = MemoryStore()


async def made(here, number, day, verdict):
    body = f'{{"id":"dec_{number}","at":"{day}T12:00:00Z","verdict":"{verdict}","findings":[{{"a":1}}]}}'.encode()
    keys = {"verdict": verdict, "rule": "", "alert": "", "incident": "", "episode": "", "service": ""}
    await here.store.commit(Commit(at=AT, puts=(Put(kind="decision", id=f"dec_{number}", body=body, keys=keys),)))


async def test_a_decision_is_counted_once_however_often_it_is_asked(monkeypatch):
    monkeypatch.setattr(tallying, "PAGE", 3)
    here = Here()
    tallies = tallying.Tallies(here)
    expected = Counter()
    for number in range(20):
        day, verdict = f"2026-03-{1 + number // 7:02}", ("act", "ask", "hold")[number % 3]
        await made(here, number, day, verdict)
        expected[day, verdict] += 1
        if number % 4 == 0:
            await tallies.tally(30)
    for one in (tallies, tallying.Tallies(here)):
        found = await one.tally(30)
        assert Counter({(day.day, v): n for day in found.days for v, n in day.verdicts.items()}) == expected
        assert found.decisions == 20
    assert [day.day for day in (await tallies.tally(2)).days] == ["2026-03-02", "2026-03-03"]


async def test_nothing_is_not_zero_milliseconds():
    found = await tallying.Tallies(Here()).tally(30)
    assert (found.decisions, found.days, found.run_ms, found.restore_ms) == (0, (), None, None)
