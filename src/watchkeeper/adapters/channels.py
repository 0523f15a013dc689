"""Ways to tell people: a webhook, and e-mail. The outbox retries; here one attempt is made and translated."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from watchkeeper.adapters.actions.places import host_port
from watchkeeper.adapters.address import AddressRule
from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.http_request import Request
from watchkeeper.adapters.mail import Mail, MailServer, Security, send
from watchkeeper.adapters.secrets import Secret
from watchkeeper.errors import InDoubt, Rejected, Unavailable
from watchkeeper.report.notices import Notice

TIMEOUT_MS: Final = 10_000
PORTS: Final = {"smtp": 25, "smtps": 465}

Reveal = Callable[[str, str], Awaitable[str]]  # (store, path) -> value


class Webhook:
    """POSTs the notice as JSON. `url` may be a secret: chat systems put their credential into it."""

    def __init__(self, client: HttpClient, reveal: Reveal) -> None:
        self._client, self._reveal = client, reveal

    async def tell(self, notice: Notice, route: Mapping[str, Any]) -> None:
        url = await _value(route.get("url"), self._reveal)
        headers = {
            "Content-Type": "application/json",
            "Watchkeeper-Actor": "automation",
            "Idempotency-Key": f"{notice.id}:{route.get('name', '')}",
        }
        secret = await _value(route.get("secret"), self._reveal)
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        # The home's author named this address, so it is meant, wherever it leads.
        request = Request(
            method="POST",
            url=url,
            timeout_ms=TIMEOUT_MS,
            headers=headers,
            body=msgspec.json.encode(
                {"actor": "automation", **msgspec.to_builtins(notice), "text_full": full_text(notice)}
            ),
            allow=AddressRule(declared=frozenset({host_port(url)} - {""})),
        )
        try:
            response = await self._client.request(request)
        except InDoubt as unanswered:
            raise Unavailable(
                f"route {route.get('name')}: {unanswered}"
            ) from unanswered  # told twice is better than never
        if 200 <= response.status < 300:
            return
        said = f"route {route.get('name')}: the webhook answered {response.status}"
        if response.status in {408, 425, 429} or response.status >= 500:
            raise Unavailable(said)
        raise Rejected(said)


class Email:
    """By SMTP at `via`: smtp://host[:port], or smtps:// for TLS from the first byte. With a user STARTTLS is required."""

    def __init__(self, reveal: Reveal) -> None:
        self._reveal = reveal

    async def tell(self, notice: Notice, route: Mapping[str, Any]) -> None:
        parts = urlsplit(str(route.get("via", "")))
        if parts.scheme not in PORTS or not parts.hostname:
            raise Rejected(f"route {route.get('name')}: via {route.get('via')!r} is not smtp://host:port")
        user = str(route.get("user", ""))
        password = await _value(route.get("secret"), self._reveal)
        implicit = parts.scheme == "smtps"
        server = MailServer(
            host=parts.hostname,
            port=parts.port or PORTS[parts.scheme],
            security=Security.IMPLICIT if implicit else Security.STARTTLS if user else Security.NONE,
            user=user,
            password=Secret(password) if password else None,
        )
        mail = Mail(
            sender=str(route.get("from") or "watchkeeper@localhost"),
            to=tuple(str(each) for each in route.get("to", ())),
            subject=f"[watchkeeper] {notice.subject}",
            text=full_text(notice),
            message_id=f"<{notice.id}.{route.get('name', '')}@watchkeeper.invalid>",
            at=notice.at,
            headers={"X-Watchkeeper-Actor": "automation", "X-Watchkeeper-Kind": notice.kind.value},
        )
        try:
            await send(server, mail, timeout_ms=TIMEOUT_MS)
        except InDoubt as unanswered:
            raise Unavailable(f"route {route.get('name')}: {unanswered}") from unanswered


def full_text(notice: Notice) -> str:
    """What a person reads: the sentence, what to type next, and the checkpoint that proves the record so far."""
    lines = [notice.text, ""]
    lines += [f"  {command}" for command in notice.commands]
    lines += ["", *(f"{name}: {value}" for name, value in notice.ids.items())]
    if notice.checkpoint:
        lines += ["", "ledger checkpoint:", notice.checkpoint]
    return "\n".join(lines)


async def _value(value: Any, reveal: Reveal) -> str:
    """Plain text, or what a reference `{"secret": [store, path]}` stands for."""
    if isinstance(value, Mapping) and isinstance(value.get("secret"), list | tuple):
        store, path = value["secret"]
        return await reveal(str(store), str(path))
    return str(value or "")
