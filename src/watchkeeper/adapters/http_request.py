"""What is asked of the outside over HTTP, what came back, and what is refused before anything is looked up."""

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct
from yarl import URL

from watchkeeper.adapters.address import AddressRule
from watchkeeper.errors import Rejected

RESPONSE_BYTES_MAX: Final = 1 << 20
URL_CHARS_MAX: Final = 8192
HEADERS_MAX: Final = 64
HEADER_CHARS_MAX: Final = 8192
NAMES_KEPT: Final = 256
URLS_KEPT: Final = 4_096
REDIRECTS_MAX: Final = 5
CONNECT_TIMEOUT_MS: Final = 5_000
TIMEOUT_MAX_MS: Final = 3_600_000


class Tls(Struct, frozen=True, kw_only=True):
    """Files in PEM, or what would stand in them. There is no way to leave the check out: a private authority is named
    by `ca_file`, or is `ca_data`. What is handed over as data never touches a disk.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    ca_data: str = ""
    cert_data: str = ""
    key_data: str = ""

    def __repr__(self) -> str:
        return f"Tls({self.server_name} …)"  # it may hold a private key


class Request(Struct, frozen=True, kw_only=True):
    """`timeout_ms` covers everything, from the name's look-up to the last byte.

    `expect` is the statuses that count as a yes; empty means 200 to 299. `redirects` is how many may be followed.
    """

    method: str
    url: str
    timeout_ms: int
    headers: dict[str, str] = {}
    body: bytes = b""
    expect: frozenset[int] = frozenset()
    allow: AddressRule = AddressRule()
    redirects: int = 0
    response_bytes_max: int = RESPONSE_BYTES_MAX
    connect_timeout_ms: int = CONNECT_TIMEOUT_MS
    tls: Tls = Tls()

    def __repr__(self) -> str:
        return f"Request({self.method} …)"  # URL, headers and body may hold credentials


class Response(Struct, frozen=True, kw_only=True):
    """Any status. Header names are lower case. `truncated` says that there was more, or that it could not be unpacked."""

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool
    ms: int
    expected: bool
    url: str  # the one that answered: after redirects it is not the one that was asked


_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_OURS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # Source: RFC 9110 5.6.2
_HEADER_BAD: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_URL_BAD: Final = re.compile(r"[\x00-\x20\x7f\\]")


def checked(request: Request) -> URL:
    if request.method.upper() not in _METHODS:
        raise Rejected(f"{request.method!r}: not a method that is sent; use one of {', '.join(sorted(_METHODS))}")
    if not 0 <= request.redirects <= REDIRECTS_MAX:
        raise Rejected(f"redirects: {request.redirects} is not within 0 and {REDIRECTS_MAX}")
    if not 0 < request.timeout_ms <= TIMEOUT_MAX_MS:
        raise Rejected(f"timeout_ms: {request.timeout_ms} is not within 1 and {TIMEOUT_MAX_MS}")
    if len(request.headers) > HEADERS_MAX:
        raise Rejected(f"headers: {len(request.headers)} of them, at most {HEADERS_MAX}")
    for name, value in request.headers.items():
        if not _usable(name):
            if not _HEADER_NAME.fullmatch(name):
                raise Rejected(f"header {name[:64]!r}: not a header name")
            raise Rejected(f"header {name}: set by the client itself")
        if _HEADER_BAD.search(value):
            raise Rejected(f"header {name}: a line break or control character in its value")
        if len(value) > HEADER_CHARS_MAX:
            raise Rejected(f"header {name}: longer than {HEADER_CHARS_MAX} characters")
    return read_url(request.url)


@lru_cache(NAMES_KEPT)
def _usable(name: str) -> bool:
    """There are few names of headers: each is looked at once."""
    lower = name.lower()
    return _HEADER_NAME.fullmatch(name) is not None and lower not in _OURS and not lower.startswith("proxy-")


@lru_cache(URLS_KEPT)
def read_url(text: str) -> URL:
    """Read once: a run's address comes again with the next run. Raises Rejected."""
    if len(text) > URL_CHARS_MAX:
        raise Rejected(f"URL: longer than {URL_CHARS_MAX} characters")
    if _URL_BAD.search(text):
        raise Rejected("URL: a space, backslash or control character in it")
    scheme, separated, rest = text.partition("://")
    if not separated or scheme.lower() not in ("http", "https"):
        raise Rejected(f"URL: {scheme[:32]!r} is not http or https")
    if "@" in re.split(r"[/?#]", rest, maxsplit=1)[0]:
        raise Rejected("URL: a user or password in it; use auth with a secret reference")
    try:
        url = URL(text)
        host, port = url.raw_host, url.port
    except ValueError as unreadable:
        raise Rejected("URL: cannot be read") from unreadable
    if not host or not port or "%" in host:
        raise Rejected("URL: no host or port that can be dialled")
    return url.with_fragment(None)


def redirected(origin: URL, location: str) -> URL:
    """Where a Location leads. Raises Rejected for another scheme than ours, and for the way from https to http."""
    if _URL_BAD.search(location) or len(location) > URL_CHARS_MAX:
        raise Rejected("redirect: its Location cannot be read")
    try:
        joined = str(origin.join(URL(location)))
    except ValueError as unreadable:
        raise Rejected("redirect: its Location cannot be read") from unreadable
    following = read_url(joined)
    if origin.scheme == "https" and following.scheme == "http":
        raise Rejected(f"redirect: from https to plain http at {following.raw_host}")
    return following
