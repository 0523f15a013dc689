"""Mail against a real SMTP server (aiosmtpd), and against scripted ones that break off, lie, or smuggle."""

import asyncio
import email
import email.policy
import ssl
from datetime import UTC, datetime

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from watchkeeper.adapters.mail import Mail, MailServer, Security, message, send
from watchkeeper.adapters.secrets import Secret
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def mail(**more):
    more.setdefault("sender", "wk@ops.example")
    more.setdefault("to", ("ann@ops.example",))
    more.setdefault("subject", "checkout is down")
    more.setdefault("text", "hello\n")
    more.setdefault("message_id", "<inc-1.ask@wk.example>")
    return Mail(at=AT, **more)


class Inbox:
    def __init__(self):
        self.mails = []

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address.startswith("nobody"):
            return "550 no such user"
        if address.startswith("later"):
            return "451 try later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        return "250 taken"


def sign_in(_server, _session, _envelope, _mechanism, data):
    good = (data.login, data.password) == (b"wk", b"hunter2")
    return AuthResult(success=good, handled=False)


@pytest.fixture
async def real():
    """Starts real servers in this loop; all are stopped at the end of the test."""
    started = []

    async def start(**more):
        inbox = Inbox()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(inbox, hostname="test", loop=loop, **more), "127.0.0.1", 0)
        started.append(server)
        return inbox, server.sockets[0].getsockname()[1]

    yield start
    for one in started:
        one.close()


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory):
    """A certificate for localhost that is its own authority."""
    from datetime import timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("mail")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "both.pem").write_bytes(
        certificate
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


def server_context(tls_files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls_files / "both.pem")
    return context


def plain(port, **more):
    return MailServer(host="127.0.0.1", port=port, security=Security.NONE, **more)


async def test_a_mail_arrives_as_it_was_written(real):
    inbox, port = await real()
    text = "ünïcode\n.\n..dots\n.end\n" + "long " * 400 + "\n"
    sent = await send(
        plain(port), mail(subject="Größe 50 % 🔥", text=text, headers={"X-Watchkeeper": "inc_1"}), timeout_ms=5_000
    )
    assert sent.refused == {}
    sender, to, content = inbox.mails[0]
    got = email.message_from_bytes(content, policy=email.policy.default)
    assert (sender, to) == ("wk@ops.example", ["ann@ops.example"])
    assert (got["Subject"], got["X-Watchkeeper"], got["Message-ID"]) == (
        "Größe 50 % 🔥",
        "inc_1",
        "<inc-1.ask@wk.example>",
    )
    assert got["Auto-Submitted"] == "auto-generated"
    assert got.get_content().replace("\r\n", "\n") == text


async def test_a_recipient_that_is_not_taken_is_told_and_the_others_get_it(real):
    inbox, port = await real()
    sent = await send(plain(port), mail(to=("nobody@x.example", "ann@x.example")), timeout_ms=5_000)
    assert sent.refused == {"nobody@x.example": "550 no such user"}
    assert inbox.mails[0][1] == ["ann@x.example"]


@pytest.mark.parametrize(("to", "error"), [("nobody@x.example", Rejected), ("later@x.example", Unavailable)])
async def test_when_no_recipient_is_taken_the_reply_says_whether_to_ask_again(real, to, error):
    inbox, port = await real()
    with pytest.raises(error, match="takes no recipient"):
        await send(plain(port), mail(to=(to,)), timeout_ms=5_000)
    assert inbox.mails == []


# -- TLS and sign-in -------------------------------------------------------------------------------


@pytest.mark.parametrize("exclude", [(), ("PLAIN",)])
async def test_sign_in_happens_inside_tls(real, tls_files, exclude):
    inbox, port = await real(
        tls_context=server_context(tls_files),
        require_starttls=True,
        auth_required=True,
        authenticator=sign_in,
        auth_exclude_mechanism=exclude,
    )
    server = MailServer(
        host="localhost", port=port, user="wk", password=Secret("hunter2"), ca_file=str(tls_files / "cert.pem")
    )
    await send(server, mail(), timeout_ms=5_000)
    assert len(inbox.mails) == 1


async def test_a_wrong_password_is_rejected_and_not_repeated(real, tls_files):
    _, port = await real(tls_context=server_context(tls_files), auth_required=True, authenticator=sign_in)
    server = MailServer(
        host="localhost", port=port, user="wk", password=Secret("wr0ng-pw"), ca_file=str(tls_files / "cert.pem")
    )
    with pytest.raises(Rejected, match="sign-in of wk: 535") as why:
        await send(server, mail(), timeout_ms=5_000)
    assert "wr0ng-pw" not in str(why.value)


async def test_tls_from_the_first_byte(tls_files):
    script = Script(
        ["220 hi", "250-me\r\n250 OK", "250 OK", "250 OK", "354 go", "250 taken", "221 bye"],
        tls=server_context(tls_files),
    )
    async with script:
        server = MailServer(
            host="localhost", port=script.port, security=Security.IMPLICIT, ca_file=str(tls_files / "cert.pem")
        )
        await send(server, mail(), timeout_ms=5_000)
    assert script.said[0] == b"EHLO watchkeeper.invalid"


async def test_a_certificate_of_somebody_else_is_untrusted(real, tls_files):
    inbox, port = await real(tls_context=server_context(tls_files))
    with pytest.raises(Untrusted, match="certificate does not hold"):
        await send(MailServer(host="localhost", port=port), mail(), timeout_ms=5_000)
    assert inbox.mails == []


async def test_a_server_without_starttls_gets_nothing_in_the_clear(real):
    inbox, port = await real()
    with pytest.raises(Rejected, match="offers no STARTTLS"):
        await send(MailServer(host="127.0.0.1", port=port), mail(), timeout_ms=5_000)
    assert inbox.mails == []


async def test_a_password_is_never_sent_without_tls():
    server = MailServer(host="mail.example", security=Security.NONE, user="wk", password=Secret("x"))
    with pytest.raises(Rejected, match="a password is not sent without TLS"):
        await send(server, mail(), timeout_ms=1_000)


# -- servers that misbehave ------------------------------------------------------------------------


class Script:
    """Says its lines one by one, each after one line of the client (the mail itself counts as one)."""

    def __init__(self, lines, *, tls=None, then="close"):
        self.lines, self.tls, self.then = list(lines), tls, then
        self.said, self.port = [], 0
        self.over = asyncio.Event()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.over.set()
        self.server.close()

    async def _serve(self, reader, writer):
        try:
            writer.write(self.lines.pop(0).encode() + b"\r\n")
            for line in self.lines:
                ending = b"\r\n.\r\n" if self.said[-1:] == [b"DATA"] else b"\r\n"
                self.said.append((await reader.readuntil(ending)).strip())
                writer.write(line.encode() + b"\r\n")
                await writer.drain()
            if self.then == "hang":
                await self.over.wait()
            elif self.then == "read":
                await reader.readuntil(b"\r\n.\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


READY = ["220 hi", "250 OK", "250 OK", "250 OK", "354 go"]


@pytest.mark.parametrize("lines", [["220 hi"], ["220 hi", "250 OK"], READY[:3]])
async def test_a_break_before_the_mail_is_handed_over_is_unavailable(lines):
    async with Script(lines) as script:
        with pytest.raises(Unavailable):
            await send(plain(script.port), mail(), timeout_ms=5_000)


async def test_a_break_after_it_is_in_doubt():
    async with Script(READY, then="read") as script:
        with pytest.raises(InDoubt, match="the mail may be on its way"):
            await send(plain(script.port), mail(), timeout_ms=5_000)


@pytest.mark.parametrize(("lines", "error"), [(["220 hi"], Unavailable), (READY, InDoubt)])
async def test_silence_is_unavailable_before_and_in_doubt_after(lines, error):
    async with Script(lines, then="hang") as script:
        with pytest.raises(error, match="no answer in 200 ms"):
            await send(plain(script.port), mail(), timeout_ms=200)


@pytest.mark.parametrize(("last", "error"), [("451 later", Unavailable), ("554 spam", Rejected), ("nonsense", InDoubt)])
async def test_the_answer_to_the_mail_is_what_happened(last, error):
    async with Script([*READY, last]) as script:
        with pytest.raises(error):
            await send(plain(script.port), mail(), timeout_ms=5_000)


async def test_a_mail_that_was_taken_is_sent_though_the_good_bye_is_not_answered():
    async with Script([*READY, "250 taken"], then="hang") as script:
        assert (await send(plain(script.port), mail(), timeout_ms=5_000)).refused == {}


async def test_a_mail_that_was_taken_is_sent_though_the_good_bye_is_answered_with_nonsense():
    async with Script([*READY, "250 taken", "nonsense"]) as script:
        assert (await send(plain(script.port), mail(), timeout_ms=5_000)).refused == {}


@pytest.mark.parametrize("greeting", ["HTTP/1.1 400 Bad Request", "220-a\r\n" * 100, "220 " + "x" * 100_000])
async def test_what_is_no_smtp_is_rejected_within_bounds(greeting):
    async with Script([greeting], then="hang") as script:
        with pytest.raises(Rejected, match="no SMTP"):
            await send(plain(script.port), mail(), timeout_ms=5_000)


async def test_what_is_smuggled_in_behind_starttls_is_not_read_as_if_inside(tls_files):
    """CVE-2011-0411: the clear-text reply that follows the 220 must not answer the EHLO inside TLS."""
    said = []

    async def serve(reader, writer):
        writer.write(b"220 hi\r\n")
        await reader.readline()
        writer.write(b"250-me\r\n250 STARTTLS\r\n")
        await reader.readline()
        writer.write(b"220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n")
        await writer.drain()
        said.append(await reader.read(1))
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises((Unavailable, Rejected)):
        await send(
            MailServer(
                host="localhost", port=port, user="wk", password=Secret("x"), ca_file=str(tls_files / "cert.pem")
            ),
            mail(),
            timeout_ms=2_000,
        )
    server.close()
    assert said == [b"\x16"]  # a TLS handshake, no AUTH


async def test_nobody_there_is_unavailable():
    async with Script(["220 hi"]) as script:
        port = script.port
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
        await send(plain(port), mail(), timeout_ms=2_000)


# -- what may not be in a mail ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"subject": "a\r\nBcc: x@y.example"}, "header Subject: a line break"),
        ({"subject": "a\nb"}, "line break"),
        ({"subject": "a\u2028b"}, "line break"),
        ({"headers": {"X-A": "1\r\nBcc: x@y.example"}}, "header X-A: a line break"),
        ({"headers": {"X-A\r\nBcc": "1"}}, "cannot be set"),
        ({"headers": {"bcc": "x@y.example"}}, "cannot be set"),
        ({"headers": {"subject": "again"}}, "cannot be set"),
        ({"to": ("a@b.example>\r\nRCPT TO:<x@y.example",)}, "not a plain address"),
        ({"to": ("Ann <a@b.example>",)}, "not a plain address"),
        ({"to": ("a@b.example\n",)}, "not a plain address"),
        ({"to": ()}, "0 recipients"),
        ({"to": ("a@b.example",) * 51}, "51 recipients"),
        ({"sender": "wk@ops.example SIZE=1"}, "not a plain address"),
        ({"message_id": "<a@b>\r\nX: 1"}, "is not <key@domain>"),
        ({"subject": "x" * 501}, "longer than 500"),
        ({"text": "x" * ((256 << 10) + 1)}, "more than 262144 bytes"),
    ],
)
def test_what_could_become_another_header_or_command_is_refused(more, why):
    with pytest.raises(Rejected, match=why):
        message(mail(**more))


def test_a_text_at_its_bound_is_taken_and_its_dots_are_doubled():
    assert message(mail(text="x" * (256 << 10))).endswith(b"\r\n.\r\n")
    data = message(mail(text=".\r\nQUIT\r\n"))
    assert b"\r\n..\r\nQUIT\r\n.\r\n" in data
    assert data.count(b"\r\n.\r\n") == 1
