"""Mail: one message over SMTP, bounded in time and size.

A small client of its own: every byte of the dialogue is under one time-out and one bound, and after STARTTLS
nothing that was said in the clear is read as if it had been said inside.
Source: RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 5322 (the message).
"""

import asyncio
import base64
import re
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted
from watchkeeper.values import Instant

RECIPIENTS_MAX: Final = 50
SUBJECT_CHARS_MAX: Final = 500
BODY_BYTES_MAX: Final = 256 << 10
REPLY_LINE_BYTES_MAX: Final = 4096
REPLY_LINES_MAX: Final = 64
HEADERS_MAX: Final = 16
GOODBYE_S: Final = 0.2


class Sealed(Protocol):
    """A secret value that shows itself only when asked."""

    def reveal(self) -> str: ...


class Security(StrEnum):
    IMPLICIT = "implicit"  # TLS from the first byte, port 465
    STARTTLS = "starttls"  # refused when the server does not offer it
    NONE = "none"  # never with a password, but on loopback


class MailServer(Struct, frozen=True, kw_only=True):
    host: str
    port: int = 587
    security: Security = Security.STARTTLS
    user: str = ""
    password: Sealed | None = None
    ca_file: str = ""
    hello: str = "watchkeeper.invalid"


class Mail(Struct, frozen=True, kw_only=True):
    """`message_id` is `<key@domain>`, made by the caller from what is told: a mail sent twice is known by it."""

    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    message_id: str
    at: Instant
    headers: dict[str, str] = {}


class Sent(Struct, frozen=True, kw_only=True):
    """The server has it. `refused` are recipients that it did not take, with its words."""

    refused: dict[str, str] = {}


async def send(server: MailServer, mail: Mail, *, timeout_ms: int) -> Sent:
    """Raises: Rejected (the mail, the password or every recipient), Unavailable (not now; nothing was handed over),
    InDoubt (handed over without an answer), Untrusted (the certificate does not hold).
    """
    data = message(mail)
    _check_server(server)
    name = f"mail server {server.host}:{server.port}"
    dialogue = _Dialogue(name)
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await _handed_over(dialogue, server, mail, data)
    except TimeoutError as late:
        if dialogue.handed_over:
            raise InDoubt(f"{name}: no answer in {timeout_ms} ms; the mail may be on its way") from late
        raise Unavailable(f"{name}: no answer in {timeout_ms} ms") from late
    except ssl.SSLCertVerificationError as untrusted:
        raise Untrusted(f"{name}: its certificate does not hold: {untrusted.verify_message}") from untrusted
    except (OSError, asyncio.IncompleteReadError, EOFError) as lost:
        if dialogue.handed_over:
            raise InDoubt(f"{name}: the connection was lost; the mail may be on its way") from lost
        raise Unavailable(f"{name}: {getattr(lost, 'strerror', None) or 'the connection was lost'}") from lost
    finally:
        dialogue.close()


async def _handed_over(dialogue: "_Dialogue", server: MailServer, mail: Mail, data: bytes) -> Sent:
    tls = None if server.security is Security.NONE else await asyncio.to_thread(_tls, server)
    await dialogue.connect(server, tls if server.security is Security.IMPLICIT else None)
    await dialogue.reply(220)
    offers = await dialogue.ask(f"EHLO {server.hello}", 250)
    if server.security is Security.STARTTLS and tls is not None:
        if not _offers(offers, "STARTTLS"):
            raise Rejected(f"{dialogue.name}: offers no STARTTLS; nothing is sent in the clear")
        await dialogue.ask("STARTTLS", 220)
        await dialogue.begin_tls(server, tls)
        offers = await dialogue.ask(f"EHLO {server.hello}", 250)
    if server.password is not None:
        await _sign_in(dialogue, offers, server.user, server.password)
    await dialogue.ask(f"MAIL FROM:<{mail.sender}>", 250)
    refused: dict[str, str] = {}
    later = False
    for recipient in mail.to:
        code, words = await dialogue.say(f"RCPT TO:<{recipient}>")
        if code not in (250, 251):
            refused[recipient] = f"{code} {words}"
            later = later or 400 <= code < 500
    if len(refused) == len(mail.to):
        why = f"{dialogue.name}: takes no recipient: {next(iter(refused.values()))}"
        raise Unavailable(why) if later else Rejected(why)
    await dialogue.ask("DATA", 354)
    dialogue.handed_over = True
    await dialogue.write(data)
    code, words = await dialogue.reply()
    dialogue.handed_over = False  # it has answered: what it said is what happened
    _expect(dialogue.name, "the mail", code, words, 250)
    await dialogue.goodbye()
    return Sent(refused=refused)


async def _sign_in(dialogue: "_Dialogue", offers: str, user: str, password: Sealed) -> None:
    mechanisms = next((line.split()[1:] for line in offers.upper().splitlines() if line.startswith("AUTH ")), [])
    if "PLAIN" in mechanisms:
        code, words = await dialogue.say(f"AUTH PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password.reveal()}')}")
    elif "LOGIN" in mechanisms:
        await dialogue.ask("AUTH LOGIN", 334)
        await dialogue.ask(_base64(user), 334, shown="the user name")
        code, words = await dialogue.say(_base64(password.reveal()))
    else:
        raise Rejected(f"{dialogue.name}: offers no sign-in that is spoken here (PLAIN, LOGIN)")
    _expect(dialogue.name, f"sign-in of {user}", code, words, 235)


class _Dialogue:
    """Lines out, replies in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.handed_over = False
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._clear: asyncio.StreamWriter | None = None  # held: when it is collected it closes the socket under TLS

    async def connect(self, server: MailServer, tls: ssl.SSLContext | None) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            server.host,
            server.port,
            ssl=tls,
            server_hostname=server.host if tls is not None else None,
            limit=REPLY_LINE_BYTES_MAX,
        )

    async def begin_tls(self, server: MailServer, tls: ssl.SSLContext) -> None:
        """On a reader of its own: what came in the clear behind the 220 stays in the old one, unread."""
        assert self._writer is not None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=REPLY_LINE_BYTES_MAX)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await loop.start_tls(self._writer.transport, protocol, tls, server_hostname=server.host)
        if transport is None:
            raise ConnectionResetError
        protocol.connection_made(transport)
        self._clear = self._writer
        self._reader, self._writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def write(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)
        await self._writer.drain()

    async def say(self, line: str) -> tuple[int, str]:
        await self.write(line.encode("ascii") + b"\r\n")
        return await self.reply()

    async def ask(self, line: str, wanted: int, *, shown: str = "") -> str:
        code, words = await self.say(line)
        _expect(self.name, shown or line.split(":", maxsplit=1)[0].split(" ", maxsplit=1)[0], code, words, wanted)
        return words

    async def reply(self, wanted: int = 0) -> tuple[int, str]:
        """(code, lines without it). Raises Rejected for what is no SMTP."""
        assert self._reader is not None
        lines: list[str] = []
        while len(lines) < REPLY_LINES_MAX:
            try:
                raw = await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as long:
                raise self._garbled() from long
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            found = _REPLY.fullmatch(line)
            if found is None:
                raise self._garbled()
            lines.append("".join(one for one in found[3] if one.isprintable()))
            if found[2] != "-":
                code, words = int(found[1]), "\n".join(lines)
                if wanted:
                    _expect(self.name, "its greeting", code, words, wanted)
                return code, words
        raise self._garbled()

    def _garbled(self) -> Rejected | InDoubt:
        if self.handed_over:
            return InDoubt(f"{self.name}: answered the mail with what is no SMTP; it may be on its way")
        return Rejected(f"{self.name}: what it says is no SMTP")

    async def goodbye(self) -> None:
        """The mail is taken; whether the good-bye is answered matters to nobody."""
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self.say("QUIT")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, Rejected):
            return

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()


# -- the message -----------------------------------------------------------------------------------

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_MESSAGE_ID: Final = re.compile(r"<[A-Za-z0-9._-]{1,128}@[A-Za-z0-9.-]{1,128}>")
_HEADER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_OURS: Final = frozenset(
    {"from", "to", "cc", "bcc", "sender", "reply-to", "subject", "date", "message-id", "return-path", "received"}
    | {"mime-version", "content-type", "content-transfer-encoding"}
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\u0085\u2028\u2029]")
_REPLY: Final = re.compile(r"([2-5][0-9][0-9])([ -]|$)(.*)")
_HELLO: Final = re.compile(r"[A-Za-z0-9.\[\]:-]{1,255}")


def message(mail: Mail) -> bytes:
    """The bytes of DATA, dots doubled, with the closing dot. Raises Rejected for what could become another header."""
    if not 0 < len(mail.to) <= RECIPIENTS_MAX:
        raise Rejected(f"mail: {len(mail.to)} recipients; 1 to {RECIPIENTS_MAX}")
    for address in (mail.sender, *mail.to):
        if not _ADDRESS.fullmatch(address):
            raise Rejected(f"mail: {address[:80]!r} is not a plain address")
    if len(mail.headers) > HEADERS_MAX:
        raise Rejected(f"mail: {len(mail.headers)} headers, at most {HEADERS_MAX}")
    for name, value in (("Subject", mail.subject), *mail.headers.items()):
        if not _HEADER_NAME.fullmatch(name) or (name != "Subject" and name.lower() in _OURS):
            raise Rejected(f"mail: header {name[:64]!r} cannot be set")
        if _CONTROL.search(value):
            raise Rejected(f"mail: header {name}: a line break or control character in its value")
        if len(value) > SUBJECT_CHARS_MAX:
            raise Rejected(f"mail: header {name}: longer than {SUBJECT_CHARS_MAX} characters")
    if not _MESSAGE_ID.fullmatch(mail.message_id):
        raise Rejected(f"mail: message id {mail.message_id[:80]!r} is not <key@domain>")
    if len(mail.text.encode("utf-8", "replace")) > BODY_BYTES_MAX:
        raise Rejected(f"mail: more than {BODY_BYTES_MAX} bytes of text")
    made = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    made["From"], made["To"], made["Subject"] = mail.sender, ", ".join(mail.to), mail.subject
    made["Date"], made["Message-ID"] = mail.at, mail.message_id
    made["Auto-Submitted"] = "auto-generated"  # Source: RFC 3834: keeps holiday replies away
    for name, value in mail.headers.items():
        made[name] = value
    made.set_content(mail.text.encode("utf-8", "replace").decode())
    data = made.as_bytes()
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", data) + b".\r\n"


def _check_server(server: MailServer) -> None:
    if not _HELLO.fullmatch(server.hello):
        raise Rejected(f"mail server {server.host}: its hello {server.hello[:64]!r} is not a host name")
    if server.password is None:
        return
    loopback = server.host in ("localhost", "127.0.0.1", "::1")
    if server.security is Security.NONE and not loopback:
        raise Rejected(f"mail server {server.host}: a password is not sent without TLS; set security to starttls")


def _expect(name: str, what: str, code: int, words: str, wanted: int) -> None:
    """A reply to an end: 4xx is not now, 5xx is never."""
    if code == wanted:
        return
    last = words.splitlines()[-1][:200] if words else ""
    sentence = f"{name}: {what}: {code} {last}".rstrip()
    raise (Unavailable if 400 <= code < 500 else Rejected)(sentence)


def _offers(offers: str, keyword: str) -> bool:
    return any(line.upper().split(" ")[0] == keyword for line in offers.splitlines()[1:])


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _tls(server: MailServer) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=server.ca_file or None)
    except (OSError, ssl.SSLError) as unreadable:
        raise Rejected(f"mail server {server.host}: {server.ca_file}: cannot be read as certificates") from unreadable
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
