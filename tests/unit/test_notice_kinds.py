"""The words that a route may match are the words that a notice has."""

from watchkeeper.home.load_notify import KINDS
from watchkeeper.report.notices import NoticeKind


def test_every_kind_of_notice_can_be_routed_and_no_other():
    assert set(KINDS) == {kind.value for kind in NoticeKind}
