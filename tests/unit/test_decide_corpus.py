"""What earlier releases decided, decided again: the same on the same revision, and on another one only what is on record.

`tests/corpus/record.py` writes the file of a release. When a test here fails, an existing decision has changed: raise
`DECIDE_REV` in `decide/decision.py`; then, for a verdict, target or guard outcome that is meant to differ, name it in
`tests/corpus/known.json` ("<file>:<decision>": ["what: was -> now", ...]).
"""

import gzip
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import msgspec
import pytest

from watchkeeper.decide.decision import DECIDE_REV, Decision, Verdict
from watchkeeper.decide.replay import Differs, Record, replay, stored_digest
from watchkeeper.decide.target import Untargeted
from watchkeeper.guards.finding import Outcome
from watchkeeper.guards.order import NAMES
from watchkeeper.guards.situation import Proposal, Situation
from watchkeeper.packs.rule import Mode

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = sorted(CORPUS.glob("*.jsonl.gz"))
KNOWN = json.loads((CORPUS / "known.json").read_text(encoding="utf-8"))
SIZE_MAX = 256 * 1024


class Line(msgspec.Struct):
    decision: Decision
    situation: msgspec.Raw
    proposal: Proposal | None
    untargeted: Untargeted | None


decode = msgspec.json.Decoder(Line).decode


@lru_cache
def records(path: Path) -> tuple[Record, ...]:
    return tuple(_records(path))


def _records(path: Path) -> Iterator[Record]:
    for line in gzip.decompress(path.read_bytes()).splitlines():
        found = decode(line)
        yield Record(
            decision=found.decision,
            situation=msgspec.json.decode(found.situation, type=Situation),
            proposal=found.proposal,
            untargeted=found.untargeted,
            stored_as=stored_digest(bytes(found.situation)),
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_was_decided_is_decided_again(path: Path) -> None:
    differing: dict[str, list[str]] = {}
    for record in records(path):
        found = replay(record)
        if isinstance(found, Differs):
            shown = [f"{each.what}: {each.was[:80]} -> {each.now[:80]}" for each in found.differences]
            differing[f"{path.name}:{record.decision.id}"] = shown
    meant = {name: shown for name, shown in KNOWN.items() if name.startswith(f"{path.name}:")}
    first = next(((name, shown) for name, shown in differing.items() if meant.get(name) != shown), None)
    assert first is None, (
        f"{len(differing)} of {len(records(path))} are decided otherwise; the first: {first}. "
        f"Raise DECIDE_REV (now {DECIDE_REV}), and name what is meant to differ in tests/corpus/known.json"
    )
    assert differing == meant, "known.json names what does not differ any more"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_record_is_whole_and_is_of_the_revision_in_its_name(path: Path) -> None:
    assert path.stat().st_size < SIZE_MAX
    for record in records(path):
        assert record.decision.situation == record.stored_as
        assert path.name.endswith(f"-rev{record.decision.engine['decide_rev']}.jsonl.gz")


def test_the_corpus_has_every_verdict_and_mode_and_every_guard_objects_in_it() -> None:
    found = [record.decision for path in FILES for record in records(path)]
    assert {each.verdict for each in found} == set(Verdict)
    assert {each.mode for each in found} == set(Mode)
    objections = {finding.guard for each in found for finding in each.findings if finding.outcome is not Outcome.PASS}
    assert objections == set(NAMES), set(NAMES) - objections
    assert any(record.untargeted for path in FILES for record in records(path))


def test_an_altered_line_is_seen() -> None:
    record = next(each for each in records(FILES[0]) if each.proposal is not None)
    altered = msgspec.structs.replace(record, decision=msgspec.structs.replace(record.decision, reason="as it was"))
    found = replay(altered)
    assert isinstance(found, Differs) or record.decision.engine["decide_rev"] != str(DECIDE_REV)
