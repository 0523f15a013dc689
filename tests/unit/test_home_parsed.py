"""What was read before is not read again, and says exactly the same."""

import pytest
from packs_material import CATALOG, COMPILER, FILES

from watchkeeper.documents import parse
from watchkeeper.home.configuration import compile_home
from watchkeeper.home.parsed import Parsed, decode, encode, key_of

HOME = {path: text.encode() for path, text in {"watchkeeper.yaml": "{}", "catalog/all.yaml": CATALOG, **FILES}.items()}
ODD = b"a: [1, -5, 0x1f, 0o17, 1.10, true, False, ~, '', 'x', {b: }]\nc: |\n  d\n  e\n"


@pytest.mark.parametrize("data", [ODD, *(data for path, data in sorted(HOME.items()))])
def test_a_kept_tree_is_the_tree(data):
    nodes = parse("x.yaml", data)
    assert decode("x.yaml", encode(nodes)) == nodes


def test_the_second_time_nothing_is_read_from_files():
    first = Parsed()
    one = compile_home(HOME, COMPILER, read=first.read)
    second = Parsed(first.fresh)
    other = compile_home(HOME, COMPILER, read=second.read)
    assert second.fresh == {}
    assert second.used == set(first.fresh)
    assert other.problems == one.problems
    assert other.configuration is None
    assert [str(each) for each in one.problems] == [str(each) for each in compile_home(HOME, COMPILER).problems]


def test_a_changed_byte_or_path_is_another_key():
    assert len({key_of("a", b"x"), key_of("a", b"y"), key_of("b", b"x"), key_of("a\0x", b"")}) == 4


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"\xc1",
        b"\x91\x91\x01",
        b"\x91\x94\x63\x01\x01\xa1x",
        b"\x01",
        b"\x91\x94\x01\x01\x01\xa1x",
        b"\x91\x94\x02\x01\x01\xa1x",
    ],
)
def test_a_kept_tree_that_cannot_be_read_is_read_again(kept):
    again = Parsed({key_of("x.yaml", ODD): kept})
    assert again.read("x.yaml", ODD, []) == parse("x.yaml", ODD)
    assert list(again.fresh) == [key_of("x.yaml", ODD)]


def test_a_file_with_problems_is_not_kept():
    again, problems = Parsed(), []
    assert again.read("x.yaml", b"a: [", problems) == ()
    assert len(problems) == 1
    assert again.fresh == {}
