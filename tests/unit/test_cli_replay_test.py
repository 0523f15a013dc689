"""Where a node's word may be written."""

from pathlib import Path

import pytest

from watchkeeper.errors import Rejected
from watchkeeper.surface.cli.replay_test import inside


def test_a_place_in_the_folder_is_taken(tmp_path: Path) -> None:
    assert inside(tmp_path, "packs/shop/replays/a.yaml") == tmp_path / "packs/shop/replays/a.yaml"


@pytest.mark.parametrize("path", ["../a.yaml", "packs/../../a.yaml", "/etc/cron.d/a"])
def test_a_place_outside_of_it_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Rejected, match="the node names a place outside"):
        inside(tmp_path, path)


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "packs").symlink_to(tmp_path)
    with pytest.raises(Rejected, match="outside"):
        inside(tmp_path / "home", "packs/a.yaml")
