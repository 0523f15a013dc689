"""One reading of a calendar from elsewhere, over the one HTTP client. The engine says when, and tries again."""

from collections.abc import Awaitable, Callable
from typing import Final

from watchkeeper.adapters.actions.places import host_port
from watchkeeper.adapters.address import AddressRule
from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.http_request import Request
from watchkeeper.errors import InDoubt, Rejected, Unavailable
from watchkeeper.home.calendar import Calendar

TIMEOUT_MS: Final = 20_000
ANSWER_BYTES_MAX: Final = 3 * 1024 * 1024
REDIRECTS_MAX: Final = 3

Reveal = Callable[[str, str], Awaitable[str]]  # (store, path) -> value


class CalendarFetcher:
    """Raises Unavailable (later) or Rejected (never as it is); neither names the path, which may be a secret."""

    def __init__(self, client: HttpClient, reveal: Reveal) -> None:
        self._client, self._reveal = client, reveal

    async def __call__(self, calendar: Calendar) -> bytes:
        secret = calendar.url_secret
        url = calendar.url if secret is None else await self._reveal(secret.store, secret.path)
        headers = {"Accept": "text/calendar, */*;q=0.1", "Watchkeeper-Actor": "automation"}
        if calendar.bearer is not None:
            token = await self._reveal(calendar.bearer.store, calendar.bearer.path)
            headers["Authorization"] = f"Bearer {token}"
        request = Request(
            method="GET",
            url=url,
            timeout_ms=TIMEOUT_MS,
            headers=headers,
            # The home's author named this address, so it is meant, wherever it leads; where it redirects is not.
            allow=AddressRule(declared=frozenset({host_port(url)} - {""})),
            redirects=REDIRECTS_MAX,
            response_bytes_max=ANSWER_BYTES_MAX,
        )
        try:
            response = await self._client.request(request)
        except InDoubt as unanswered:
            raise Unavailable(str(unanswered)) from unanswered  # reading twice changes nothing
        if response.truncated:
            raise Rejected(f"the answer has more than {ANSWER_BYTES_MAX} bytes, or ended early")
        if response.status == 200:
            return response.body
        said = f"the server answered {response.status}"
        if response.status in {408, 425, 429} or response.status >= 500:
            raise Unavailable(said)
        raise Rejected(said)
