"""Telling people, over a real SMTP server and a real web server, as the outbox calls it."""

import asyncio
from datetime import UTC, datetime

import pytest
from aiosmtpd.smtp import SMTP

from watchkeeper.adapters.channels import Email
from watchkeeper.errors import Rejected, Unavailable
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.values import Severity

NOTICE = Notice(
    id="ntc_1",
    at=datetime(2026, 3, 1, 3, 4, tzinfo=UTC),
    kind=NoticeKind.ASK,
    subject="Approve shop/mend on web?",
    text="The ladder stands at approve.",
    severity=Severity.CRITICAL,
    ids={"approval": "apr_1"},
    commands=("wk approve apr_1",),
    checkpoint="watchkeeper/x\n1\nroot\n",
)


class _Inbox:
    def __init__(self) -> None:
        self.mails: list[str] = []

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append(envelope.content.decode())
        return "250 kept"


async def _no_secret(_store: str, _path: str) -> str:
    raise AssertionError("no secret was declared")


@pytest.fixture
async def inbox():
    kept = _Inbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(kept), "127.0.0.1", 0)
    kept.port = server.sockets[0].getsockname()[1]
    yield kept
    server.close()
    await server.wait_closed()


async def test_a_mail_by_the_route_as_it_is_written_in_the_home(inbox):
    route = {
        "name": "ops",
        "via": f"smtp://127.0.0.1:{inbox.port}",
        "to": ["ops@example.org"],
        "from": "wk@example.org",
    }
    await Email(_no_secret).tell(NOTICE, route)
    (mail,) = inbox.mails
    assert "Subject: [watchkeeper] Approve shop/mend on web?" in mail
    assert "X-Watchkeeper-Actor: automation" in mail
    assert "wk approve apr_1" in mail
    assert "watchkeeper/x" in mail, "the checkpoint travels with every notice"


async def test_no_server_is_tried_again_and_no_address_never(inbox):
    gone = {"name": "ops", "via": "smtp://127.0.0.1:1", "to": ["ops@example.org"]}
    with pytest.raises(Unavailable):
        await Email(_no_secret).tell(NOTICE, gone)
    with pytest.raises(Rejected, match=r"via 'mail\.example:25' is not smtp://host:port"):
        await Email(_no_secret).tell(NOTICE, {**gone, "via": "mail.example:25"})
