"""What a person reads of who says what is suppressed: how fresh it is, and what to do where it is not."""

from collections.abc import Iterator
from typing import Any

import pytest

from watchkeeper.engine.silence_words import Cause, sentence
from watchkeeper.signals.recorded import Because, Silence
from watchkeeper.surface.cli.look import heard_of
from watchkeeper.surface.cli.place import Place, go
from watchkeeper.values import instant

RECORDER: dict[str, Any] = {
    "heard_at": "2026-03-02T09:00:00Z",
    "quiet": False,
    "events": {"silenceMutedAlert": 1},
    "other": [],
    "not_kept": 0,
    "distrusted": 0,
}


@pytest.fixture(autouse=True)
def place() -> Iterator[None]:
    go(Place(utc=True))
    yield
    go(Place())


def of(*, asked: bool = False, asked_at: str | None = None, failing: str = "", **recorder: Any) -> str:
    heard = {**RECORDER, **recorder} if recorder else None
    return heard_of({"source": "eu", "asked": asked, "asked_at": asked_at, "failing": failing, "recorder": heard})


def test_each_way_says_how_fresh_it_is():
    assert of(asked=True, asked_at="2025-03-02T09:00:00Z") == "eu: asked 2025-03-02 09:00Z"
    assert of(asked=True) == "eu: not asked yet"
    assert of(asked=True, failing="no route") == "eu: its API cannot be read: no route"
    assert of(heard_at="2025-03-02T09:00:00Z") == "eu: its event recorder was heard 2025-03-02 09:00Z"


def test_what_is_wrong_with_a_recorder_is_said_with_what_to_do():
    assert "it is quiet: either nothing happens there, or its events do not arrive" in of(quiet=True)
    assert "1 event bore a time more than 5 min off: set its clock" in of(distrusted=1)
    assert "2 events told of more alerts or silences than are kept: rely on its API" in of(not_kept=2)


def said(*causes: Cause, silences: tuple[Silence, ...] = (), named: str = "") -> str:
    return sentence("eu", causes, {each.id: each for each in silences}, lambda _: named)


def test_a_reason_tells_what_is_known_and_no_more():
    one = Cause(Because.SILENCED, "s1")
    assert said() == "it is suppressed in eu"
    assert said(one) == "it is silenced in eu by s1"
    assert said(one, silences=(Silence(id="s1"),)) == "it is silenced in eu by s1"
    whole = Silence(id="s1", by="ann", comment="disk swap", ends_at=instant("2026-03-02T10:00:00Z"))
    assert said(one, silences=(whole,)) == "it is silenced in eu by s1 (ann: disk swap, until 2026-03-02T10:00Z)"
    assert said(one, silences=(Silence(id="s1", comment="disk swap"),)) == "it is silenced in eu by s1 (disk swap)"
    long = Silence(id="s1", comment="x" * 500)
    assert said(one, silences=(long,)) == f"it is silenced in eu by s1 ({'x' * 120})"


def test_an_inhibition_tells_the_alert_and_the_rule_where_they_are_known():
    assert said(Cause(Because.INHIBITED, "1f")) == "it is inhibited in eu by 1f"
    assert said(Cause(Because.INHIBITED, "1f"), named="HostDown") == "it is inhibited in eu by HostDown (1f)"
    assert said(Cause(Because.INHIBITED, "1f", "host")) == "it is inhibited in eu by 1f (rule host)"
    assert said(Cause(Because.INHIBITED, "1f", "host"), named="H") == "it is inhibited in eu by H (1f, rule host)"
    assert said(Cause(Because.INHIBITED, "", "host")) == "it is inhibited in eu by rule host"
    assert said(Cause(Because.INHIBITED, "")) == "it is inhibited in eu"


def test_silences_come_first_and_only_some_are_named():
    causes = [Cause(Because.SILENCED, f"s{number}") for number in range(3)]
    assert said(Cause(Because.INHIBITED, "1f"), *causes) == "it is silenced in eu by s0, s1, s2"
    assert said(*causes, Cause(Because.SILENCED, "s3")) == "it is silenced in eu by s0, s1, s2 and 1 more"
