"""What a replay test keeps of the decision that it is about, and whether another decision does the same again.

It keeps everything that the decision rested on, so that it needs no node and no history: the record, and what the rules of
then said beside it (`Before`), without which a later version could not be compared.
"""

import base64
import binascii
import zlib
from typing import Final

import msgspec
from msgspec import Struct

from watchkeeper.decide.decision import STRICTNESS, Decision, Verdict
from watchkeeper.decide.otherwise import Before
from watchkeeper.decide.replay import Record
from watchkeeper.errors import Malformed
from watchkeeper.values import Instant

FORMAT: Final = 1
UNPACKED_BYTES_MAX: Final = 32 * 1024 * 1024  # a decision on ten thousand targets has half of it
LENIENT: Final = (Verdict.ACT, Verdict.ASK)
ONLY_MEANT: Final = (Verdict.OBSERVE, Verdict.SUGGEST)


class Kept(Struct, frozen=True, kw_only=True):
    """`ended_at`: when the alert ended; None while it fired, or where nobody knows."""

    format: int
    record: Record
    before: Before
    ended_at: Instant | None = None


def pack(kept: Kept) -> str:
    return base64.b64encode(zlib.compress(msgspec.json.encode(kept), 9)).decode()


def unpack(text: str) -> Kept:
    """Raises Malformed for anything that `pack` of this or an earlier release did not write."""
    try:
        inflate = zlib.decompressobj()
        body = inflate.decompress(base64.b64decode(text, validate=True), UNPACKED_BYTES_MAX)
        if inflate.unconsumed_tail or not inflate.eof:
            raise Malformed("record", "is cut short, or too large")
        found = msgspec.json.decode(body, type=Kept)
    except (binascii.Error, zlib.error, msgspec.MsgspecError, ValueError, RecursionError) as broken:
        raise Malformed("record", f"is not what 'wk decisions test' wrote ({broken}): write it again") from broken
    if found.format != FORMAT:
        raise Malformed("record", f"is of format {found.format}, this release reads {FORMAT}: write it again")
    return found


def wrong_verdict(decision: Decision) -> Verdict | None:
    """What was wrong about it: what it did, or would have done where the rule only watched. None: it did nothing, and
    would have done nothing, so that there is nothing that may not come again.
    """
    found = decision.would_be if decision.verdict in ONLY_MEANT else decision.verdict
    return found if found in LENIENT else None


def does_again(decision: Decision, runbook: str, targets: frozenset[str], forbids: Verdict, *, meant: bool) -> bool:
    """Whether it would run the same runbook on one of the same targets, as leniently. `meant`: by what it would be."""
    verdict = decision.would_be if meant else decision.verdict
    same = decision.runbook == runbook and not targets.isdisjoint(each.ref for each in decision.targets)
    return same and STRICTNESS[verdict] <= STRICTNESS[forbids]
