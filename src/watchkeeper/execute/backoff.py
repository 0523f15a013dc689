"""When a failed step is tried again: exponential backoff with full jitter, its dice a function of the run.

Source: M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): full jitter.
"""

import hashlib
from typing import Final

from watchkeeper.packs.runbook import Retry

WHOLE_PPM: Final = 1_000_000
DOUBLINGS_MAX: Final = 40  # 2^40 ms is 35 years: every bound was passed before


def backoff_ms(retry: Retry, attempt: int, dice_ppm: int) -> int:
    """The pause after attempt number `attempt` (from 1): uniform in 0 .. min(most, first * 2^(attempt-1)).

    `dice_ppm` lies in 0 .. 999,999.
    """
    bound = min(retry.most_ms, retry.first_ms << min(max(attempt - 1, 0), DOUBLINGS_MAX))
    return (bound + 1) * dice_ppm // WHOLE_PPM


def dice_ppm(key: str, attempt: int) -> int:
    """The dice of one pause: the same run, step and attempt throw the same number."""
    return int.from_bytes(hashlib.sha256(f"{key}\x1f{attempt}".encode()).digest()[:8]) * WHOLE_PPM >> 64


def step_key(key_root: str, path: str, *, undo: bool) -> str:
    """The idempotency key of one side of one step: the same for each attempt, so that a repetition is known as one."""
    return hashlib.sha256(f"{key_root}\x1f{path}\x1f{'undo' if undo else 'do'}".encode()).hexdigest()[:32]
