import copy
import fcntl
import json
import os
import pickle
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from watchkeeper.adapters.secrets import Lease, Secret, Secrets, SecretStore
from watchkeeper.errors import Rejected, Unavailable, Untrusted

NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.fixture
def home(tmp_path):
    return tmp_path


@pytest.fixture
def store(home):
    return SecretStore(home)


def test_what_was_put_is_leased_listed_without_value_and_deleted(home, store):
    assert store.put("admin", "hunter2", now=NOW).version == 1
    assert store.put("admin", "hunter3", now=NOW).version == 2
    assert [(one.name, one.version, one.put_at) for one in store.list()] == [("admin", 2, NOW)]
    secret, version = SecretStore(home).get("admin")
    assert (secret.reveal(), version) == ("hunter3", 2)
    assert store.delete("admin") is True
    assert store.delete("admin") is False
    with pytest.raises(Rejected, match="file:admin: there is none"):
        store.get("admin")
    assert store.put("admin", "again", now=NOW).version == 3  # a version never means two values


def test_another_process_sees_what_was_replaced(home, store):
    reader = SecretStore(home)
    store.put("a", "one", now=NOW)
    assert reader.get("a")[0].reveal() == "one"
    store.put("a", "two", now=NOW)
    assert reader.get("a")[0].reveal() == "two"


def test_the_file_is_sealed_private_and_fresh_each_time(home, store):
    store.put("admin", "hunter2", now=NOW)
    folder = home / ".watchkeeper"
    first = (folder / "secrets.bin").read_bytes()
    assert b"hunter2" not in first
    assert b"admin" not in first
    for name in ("secrets.bin", "secrets.key", "secrets.lock"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    store.put("admin", "hunter2", now=NOW)
    assert (folder / "secrets.bin").read_bytes()[8:20] != first[8:20]  # never one nonce twice
    assert not (folder / "secrets.bin.new").exists()


@pytest.mark.parametrize("at", [0, 8, 20, -1])
def test_a_flipped_bit_anywhere_is_noticed(home, store, at):
    store.put("admin", "hunter2", now=NOW)
    file = home / ".watchkeeper" / "secrets.bin"
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    with pytest.raises(Untrusted, match=r"altered|not a secret store"):
        SecretStore(home).get("admin")
    with pytest.raises(Untrusted):
        SecretStore(home).put("other", "x", now=NOW)  # and nothing is written over it
    assert file.read_bytes() == data


def test_a_lost_or_short_key_is_named(home, store):
    store.put("admin", "hunter2", now=NOW)
    key = home / ".watchkeeper" / "secrets.key"
    key.write_bytes(b"short")
    with pytest.raises(Rejected, match="5 bytes, a key has 32"):
        SecretStore(home).get("admin")
    key.unlink()
    with pytest.raises(Rejected, match="missing"):
        SecretStore(home).put("b", "x", now=NOW)
    assert not key.exists()


@pytest.mark.parametrize("name", ["secrets.bin", "secrets.key", ""])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_loose_modes_are_refused_with_what_to_do(home, store, name, mode):
    store.put("admin", "hunter2", now=NOW)
    path = home / ".watchkeeper" / name
    path.chmod(mode | (0o100 if not name else 0))
    with pytest.raises(Rejected, match=r"lets others in; find out who read it.*chmod"):
        SecretStore(home).get("admin")


def test_a_store_that_was_read_once_notices_a_mode_that_became_loose(home, store):
    store.put("admin", "hunter2", now=NOW)
    assert store.get("admin")[0].reveal() == "hunter2"
    (home / ".watchkeeper" / "secrets.bin").chmod(0o644)
    with pytest.raises(Rejected, match="mode 0644"):
        store.get("admin")


@pytest.mark.parametrize("name", ["secrets.bin", "secrets.key"])
def test_a_link_in_place_of_a_file_is_refused(home, store, name):
    store.put("admin", "hunter2", now=NOW)
    path = home / ".watchkeeper" / name
    moved = home / "elsewhere"
    path.rename(moved)
    path.symlink_to(moved)
    with pytest.raises(Rejected):
        SecretStore(home).get("admin")


def test_a_half_written_file_of_a_writer_that_died_is_no_obstacle(home, store):
    store.put("a", "one", now=NOW)
    (home / ".watchkeeper" / "secrets.bin.new").write_bytes(b"half")
    assert SecretStore(home).get("a")[0].reveal() == "one"
    store.put("a", "two", now=NOW)
    assert SecretStore(home).get("a")[0].reveal() == "two"


def test_a_disk_that_fails_leaves_the_store_as_it_was(home, store, monkeypatch):
    store.put("a", "one", now=NOW)

    def fails(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(Unavailable, match="No space left on device; the store is as it was"):
        store.put("a", "two", now=NOW)
    monkeypatch.undo()
    assert SecretStore(home).get("a")[0].reveal() == "one"


def test_when_only_the_folder_cannot_be_synced_it_says_what_is_uncertain(store, monkeypatch):
    store.put("a", "one", now=NOW)
    real = os.fsync

    def fails(number):
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(5, "Input/output error")
        real(number)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(Unavailable, match="replaced, but a power failure may bring the old one back; put it again"):
        store.put("a", "two", now=NOW)
    assert store.get("a")[0].reveal() == "two"


def test_a_writer_keeps_every_other_writer_out_from_its_reading_to_its_end(home, store):
    with store._writing():
        lock = os.open(home / ".watchkeeper" / "secrets.lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(lock)


def test_two_processes_that_write_lose_nothing(home):
    script = (
        "import sys; from datetime import datetime, UTC; from pathlib import Path\n"
        "from watchkeeper.adapters.secrets import SecretStore\n"
        "for n in range(20): SecretStore(Path(sys.argv[1])).put(f'{sys.argv[2]}{n}', 'value', now=datetime.now(UTC))\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script, str(home), name]) for name in ("a", "b")]
    assert [one.wait() for one in both] == [0, 0]
    assert len(SecretStore(home).list()) == 40


@pytest.mark.parametrize("name", ["", "a b", "../a", "-a", "a" * 129, "a\n"])
def test_names_are_plain(store, name):
    with pytest.raises(Rejected, match="not a name"):
        store.put(name, "x", now=NOW)


def test_values_are_bounded(store):
    store.put("a", "x" * (16 << 10), now=NOW)
    for value in ("", "x" * ((16 << 10) + 1)):
        with pytest.raises(Rejected, match="empty, or longer than 16384 bytes"):
            store.put("a", value, now=NOW)


# -- references ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["file:admin", "secret:file:admin", "secret: file:admin"])
async def test_a_reference_is_leased_for_five_minutes(store, reference):
    store.put("admin", "hunter2", now=NOW)
    lease = await Secrets(store, clock=lambda: NOW).lease(reference)
    assert (lease.reference, lease.value.reveal(), lease.version) == ("file:admin", "hunter2", 1)
    assert lease.expires_at == NOW + timedelta(minutes=5)


async def test_a_variable_is_leased_and_an_unset_one_is_named(store, monkeypatch):
    monkeypatch.setenv("WK_TEST_TOKEN", "t0ken")
    secrets = Secrets(store)
    assert (await secrets.lease("env:WK_TEST_TOKEN")).value.reveal() == "t0ken"
    for value in (None, ""):
        monkeypatch.delenv("WK_TEST_TOKEN") if value is None else monkeypatch.setenv("WK_TEST_TOKEN", value)
        with pytest.raises(Rejected, match="env:WK_TEST_TOKEN: not set in the environment of this node"):
            await secrets.lease("env:WK_TEST_TOKEN")


@pytest.mark.parametrize(
    "reference", ["", "hunter2-literal-value-of-a-secret", "vault:x", "file:", "file:../x", "env:A B"]
)
async def test_what_is_no_reference_is_rejected_and_not_repeated_whole(store, reference):
    with pytest.raises(Rejected, match="write env:NAME or file:NAME") as why:
        await Secrets(store).lease(reference)
    assert "literal-value-of-a-secret" not in str(why.value)


async def test_the_scrubber_learns_what_is_live(store, monkeypatch):
    store.put("a", "one-value", now=NOW)
    store.put("b", "two-value", now=NOW)
    store.delete("b")
    monkeypatch.setenv("WK_TEST_TOKEN", "t0ken")
    secrets = Secrets(store)
    await secrets.lease("env:WK_TEST_TOKEN")
    assert sorted(one.reveal() for one in secrets.live()) == ["one-value", "t0ken"]


# -- a secret shows itself nowhere -----------------------------------------------------------------


def test_no_way_of_printing_shows_it():
    secret = Secret("hunter2")
    lease = Lease(reference="file:a", value=secret, version=1, expires_at=NOW)
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>20}",
        repr([secret]),
        repr(lease),
        repr({"a": secret}),
    ):
        assert "hunter2" not in shown
        assert "[secret]" in shown


def test_no_way_of_storing_keeps_it():
    secret = Secret("hunter2")
    for store in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode, msgspec.msgpack.encode):
        with pytest.raises(TypeError):
            store(secret)
    with pytest.raises(AttributeError):
        secret._value = "other"


def test_two_are_equal_by_value_and_alike_in_hash():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("b"))


def test_the_store_is_found_beside_the_home(home):
    assert repr(SecretStore(Path("/srv/wk"))) == "SecretStore(/srv/wk/.watchkeeper/secrets.bin)"
    assert SecretStore(home).list() == ()
    assert not (home / ".watchkeeper").exists()  # looking makes nothing
