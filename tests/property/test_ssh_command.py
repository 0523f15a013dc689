"""Laws of the text that a login shell is given: whatever a word holds, the program gets that word and nothing else."""

import shutil
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchkeeper.adapters.ssh_command import command_line, quoted
from watchkeeper.errors import Rejected

ECHO = "import os, sys; sys.stdout.buffer.write(repr((sys.argv[1:], os.environ['MARK'], os.getcwd())).encode())"
SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh", "ksh", "fish", "tcsh") if shutil.which(shell)]
# What shells read something in comes often, and words that look like whole attacks too.
HOSTILE = st.one_of(
    st.text(alphabet="ab-= /'\"\\`$!;|&<>(){}[]*?~#^%@:,.+é\u2028\U0001f600", max_size=24),
    st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=16),
    st.sampled_from(["$(touch /tmp/pwned)", "'; touch /tmp/pwned; '", "--", "-h", "", "a'b\\'c", "`id`", "!$", "a=b"]),
)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(HOSTILE, max_size=5), mark=HOSTILE)
def test_every_word_arrives_as_it_is(shell, words, mark):
    text = command_line(
        (sys.executable, "-I", "-c", ECHO, *words),
        env={"LC_ALL": "C.UTF-8", "MARK": mark},
        cwd="/usr",
        timeout_ms=60_000,
    )
    done = subprocess.run(
        [shell, "-c", text],
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        timeout=60,
        check=False,
    )
    assert done.stdout.decode() == repr((words, mark, "/usr")), done.stderr.decode()


@given(st.text(max_size=40))
def test_a_word_is_quoted_whole_or_refused(word):
    """Outside quotes stands nothing but a backslash with the one character behind it."""
    try:
        text = quoted(word)
    except Rejected:
        assert any(ord(one) < 32 or 127 <= ord(one) < 160 for one in word)
        return
    bare, inside, at = "", False, 0
    while at < len(text):
        if not inside and text[at] == "\\":
            at += 2
            continue
        if text[at] == "'":
            inside = not inside
        elif not inside:
            bare += text[at]
        at += 1
    assert (bare, inside) == ("", False)
