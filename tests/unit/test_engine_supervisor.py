"""The supervisor over real processes: which end of a worker is final, and which one is another try."""

import subprocess
import sys
from pathlib import Path

import pytest

SUPERVISING = """
import sys
from watchkeeper.engine import supervisor
supervisor.RESTART_FIRST_MS = supervisor.RESTART_MOST_MS = 1
sys.exit(supervisor.Supervisor([sys.executable, "-I", "-c", sys.argv[1], *sys.argv[2:]]).run())
"""
WORKING = """
import os, sys
from pathlib import Path
lives, codes = Path(sys.argv[1]), sys.argv[2].split(",")
number = len(lives.read_text()) if lives.exists() else 0
lives.write_text("x" * (number + 1))
beats, code = codes[number][:-1], int(codes[number][-1])
if beats:
    os.write(int(os.environ["WATCHKEEPER_BEAT_FD"]), beats.encode())
os._exit(code)
"""


@pytest.mark.parametrize(
    ("lives", "code", "lived"),
    [
        ("3,0", 3, 1),  # a port in use, a home that cannot be read
        (".3,0", 3, 1),  # it began, and could not listen: a certificate that cannot be read
        (".r4,3,3,.r0", 0, 4),  # it was at work; then the disk was full for a while
        (".r3,0", 0, 2),
        (".r2,0", 2, 1),
        ("4,2,0", 2, 2),
        ("4,3,0", 3, 2),
    ],
)
def test_what_a_worker_cannot_now_is_final_only_while_none_was_ever_ready(
    tmp_path: Path, lives: str, code: int, lived: int
) -> None:
    words = [sys.executable, "-c", SUPERVISING, WORKING, str(tmp_path / "lives"), lives]
    ended = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, len((tmp_path / "lives").read_text())) == (code, lived), ended.stderr
