"""The key of a log is made whole or not at all: a first start that is killed must not keep the next one from starting."""

import os
import stat

import pytest

from watchkeeper.bootstrap.record import SEED_BYTES, ledger_key
from watchkeeper.errors import Rejected


def test_the_key_is_made_once_and_closed_to_others(tmp_path):
    seed, name = ledger_key(tmp_path)
    assert len(seed) == SEED_BYTES
    assert name.startswith("watchkeeper/")
    assert stat.S_IMODE((tmp_path / "ledger.key").stat().st_mode) == 0o600
    assert ledger_key(tmp_path) == (seed, name)


def test_a_start_that_was_killed_before_the_key_was_whole_is_started_again(tmp_path, monkeypatch):
    def killed(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            ledger_key(tmp_path)
    assert not (tmp_path / "ledger.key").exists()
    assert len(ledger_key(tmp_path)[0]) == SEED_BYTES


@pytest.mark.parametrize(
    "text", ["", "watchkeeper/1\n", f"\n{'00' * 32}\n", "watchkeeper/1\nzz\n", f"w\n{'00' * 31}\n"]
)
def test_what_is_no_key_is_said_with_its_place(tmp_path, text):
    (tmp_path / "ledger.key").write_text(text)
    with pytest.raises(Rejected, match=r"ledger\.key: holds no key of this program: put it back"):
        ledger_key(tmp_path)


def test_a_record_that_has_begun_never_gets_a_second_key(tmp_path):
    with pytest.raises(Rejected, match=r"ledger\.key: is missing, and the record has begun: put it back"):
        ledger_key(tmp_path, begun=True)
    assert list(tmp_path.iterdir()) == [], "the advice still holds at the next start"
    kept = ledger_key(tmp_path)
    assert ledger_key(tmp_path, begun=True) == kept
