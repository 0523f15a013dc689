"""A node asks for the open files that its connections need, within what the system allows."""

import resource
import subprocess
import sys

import pytest

from watchkeeper.surface.node import FILES_WANTED

ASKING = """
import resource, sys
soft, hard = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from watchkeeper.surface.node import more_files
print(more_files())
"""


@pytest.mark.parametrize(
    ("soft", "hard", "now"),
    [
        (512, FILES_WANTED + 1, FILES_WANTED),
        (512, 1_024, 1_024),
        (FILES_WANTED + 1, FILES_WANTED + 1, FILES_WANTED + 1),
    ],
)
def test_the_limit_is_raised_and_never_lowered(soft: int, hard: int, now: int) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < hard:
        pytest.skip(f"this system allows {most} open files")
    words = [sys.executable, "-c", ASKING, str(soft), str(hard)]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert int(said.stdout) == now
