"""The folder on disk: what is read, what is refused, what `init` writes."""

import os
import socket

import pytest
from packs_material import COMPILER

from watchkeeper.adapters.folder import DEPTH_MAX, Folder
from watchkeeper.bootstrap.home import check, read_home
from watchkeeper.documents.node import FILE_BYTES_MAX
from watchkeeper.errors import Rejected
from watchkeeper.home.configuration import compile_home
from watchkeeper.home.starter import starter


@pytest.fixture
def home(tmp_path):
    folder = Folder(tmp_path / "home")
    folder.write(starter())
    return folder


def told(folder):
    return [(problem.file, problem.message) for problem in folder.read()[1]]


def test_what_init_writes_is_read_back_and_compiles(home):
    files, problems = home.read()
    assert problems == ()
    assert files == {path: data for path, data in starter().items() if path != ".gitignore"}
    assert list(files) == sorted(files)
    assert compile_home(files, COMPILER).problems == ()


def test_init_changes_no_file_that_is_there(tmp_path):
    folder = Folder(tmp_path)
    (tmp_path / "watchkeeper.yaml").write_text("# mine\n")
    written = folder.write(starter())
    assert "watchkeeper.yaml" not in written
    assert (tmp_path / "watchkeeper.yaml").read_text() == "# mine\n"
    assert folder.write(starter()) == ()


def test_nothing_is_written_outside(tmp_path):
    with pytest.raises(Rejected, match="leads out of"):
        Folder(tmp_path / "home").write({"../evil.yaml": b""})
    assert not (tmp_path / "evil.yaml").exists()


def test_state_version_control_and_leavings_are_no_part(home):
    home.state()
    assert home.state().stat().st_mode & 0o777 == 0o700
    for name in (
        ".watchkeeper/db.yaml",
        ".git/x.yaml",
        "catalog/x.yaml~",
        "catalog/.x.yaml.swp",
        "packs/#x.yaml#",
        "notes.yaml",
        "venv/x.yaml",
        "README.md",
    ):
        path = home.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert home.read() == ({path: data for path, data in starter().items() if path != ".gitignore"}, ())


def test_a_link_that_leads_out_is_refused(home, tmp_path):
    secret = tmp_path / "secret.yaml"
    secret.write_text("x: y")
    (home.root / "catalog" / "out.yaml").symlink_to(secret)
    files, problems = home.read()
    assert "catalog/out.yaml" not in files
    assert [str(one) for one in problems] == [
        "catalog/out.yaml: is a symbolic link that leads out of the home: copy what it points to"
    ]


def test_a_folder_that_is_a_link_is_refused(home, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (home.root / "policy").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (home.root / "slos").symlink_to(home.root / "slos")
    found = dict(told(home))
    assert sorted(found) == ["policy", "slos"]
    assert all("is a symbolic link" in message for message in found.values())


def test_a_link_inside_is_refused(home):
    (home.root / "catalog" / "twice.yaml").symlink_to(home.root / "catalog" / "example.yaml")
    assert told(home) == [("catalog/twice.yaml", "is a symbolic link: write the file itself")]


def test_special_files_are_refused_and_never_waited_for(home):
    os.mkfifo(home.root / "catalog" / "pipe.yaml")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(home.root / "catalog", os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/socket.yaml")
        os.close(here)
        found = dict(told(home))
    assert "is no plain file" in found["catalog/pipe.yaml"]
    assert "catalog/socket.yaml" in found


def test_a_file_that_is_too_large_is_refused(home):
    path = home.root / "catalog" / "big.yaml"
    path.write_bytes(b"#" * FILE_BYTES_MAX)
    assert told(home) == []
    path.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    assert told(home) == [("catalog/big.yaml", "has more than 1048576 bytes: split it into several files")]


def test_folders_are_nested_within_a_bound(home):
    deep = home.root / "catalog" / "/".join("abcdefghi"[: DEPTH_MAX - 1])
    deep.mkdir(parents=True)
    assert told(home) == []
    (deep / "x").mkdir()
    assert told(home) == [("catalog/a/b/c/d/e/f/g/x", "folders are nested deeper than 8")]


def test_a_name_that_cannot_be_shown_is_refused(home):
    (home.root / "catalog" / "a\nb.yaml").write_text("x")
    assert told(home) == [("catalog/a\\nb.yaml", "the name of this file cannot be shown: rename it")]


def test_no_folder_says_what_to_do(tmp_path):
    with pytest.raises(Rejected, match="there is no such folder: run 'wk init"):
        Folder(tmp_path / "gone").read()
    (tmp_path / "file").write_text("x")
    with pytest.raises(Rejected, match="this is no folder"):
        Folder(tmp_path / "file").read()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("exclusions.yml", "exclusions.yaml"),
        ("exclusion.yaml", "exclusions.yaml"),
        ("Exclusions.yaml", "exclusions.yaml"),
        ("transactions.json", "transactions.yaml"),
        ("watchkeeper.yml", "watchkeeper.yaml"),
    ],
)
def test_a_file_that_is_almost_one_of_a_home_refuses_it(home, name, meant):
    """An exclusion that nobody reads would exclude nothing, and nobody would be told."""
    (home.root / name).write_text("[]\n")
    assert told(home) == [(name, f"is not read: the file of a home is {meant}: rename it, or move it away")]
    assert check(home.root).configuration is None
    with pytest.raises(Rejected, match="rename it"):
        read_home(home.root)


@pytest.mark.parametrize(("name", "meant"), [("catlog", "catalog"), ("catalogue", "catalog"), ("pack", "packs")])
def test_a_folder_that_is_almost_one_of_a_home_is_a_warning(home, name, meant):
    (home.root / name).mkdir()
    assert told(home) == [(name, f"is not read: did you mean {meant}/?")]
    assert check(home.root).configuration is not None
    assert read_home(home.root)


@pytest.mark.parametrize(
    "name", ["README.md", "notes.yaml", "package.json", "docs", "Makefile", "pyproject.toml", "site"]
)
def test_what_is_somebody_elses_is_passed_over(home, name):
    (home.root / name).write_text("")
    assert told(home) == []


def test_what_the_folder_refuses_makes_the_home_unsound_for_a_check_as_well(home):
    (home.root / "catalog" / "more.yaml").symlink_to("/etc/hostname")
    assert check(home.root).configuration is None


def test_a_file_that_is_too_large_is_not_said_to_be_missing_too(home):
    (home.root / "watchkeeper.yaml").write_text("#" * (FILE_BYTES_MAX + 1))
    assert [str(each) for each in check(home.root).errors] == [
        f"watchkeeper.yaml: has more than {FILE_BYTES_MAX} bytes: split it into several files"
    ]


def test_what_stands_in_a_home_and_does_nothing_is_told(home):
    (home.root / "policy").mkdir()
    (home.root / "policy" / "night.cedar").write_text("forbid(principal, action, resource);")
    (home.root / "catalog" / "more.json").write_text("{}")
    assert [str(each) for each in check(home.root).problems] == [
        "catalog/more.json: warning: is not read: the catalogue is in files that end in .yaml",
        (
            "policy/night.cedar: warning: is not read: policies are not built in this release, so it forbids nothing; "
            "roles and limits do"
        ),
    ]


def test_a_home_that_everybody_may_write_is_told(home):
    home.root.chmod(0o757)
    assert told(home) == [
        ("home", "every user of this machine may write into this folder, and so into what is applied: chmod o-w")
    ]
    assert check(home.root).configuration is not None
    home.root.chmod(0o775)
    assert told(home) == []
