"""The API of a Kubernetes cluster, as far as its actions need it: one call, one answer, errors by what is known.

A thin client over the one HTTP client, so that a cluster's address is judged and dialled like any other and a failure
says whether something was sent. Writes carry the resource's version where they rest on what was read, and the field
manager `watchkeeper`.

Source: Kubernetes API Conventions, "HTTP Status codes" and "Concurrency Control and Consistency".
"""

import base64
import binascii
import re
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from watchkeeper.adapters.http import AddressRule, HttpClient, Request, Response, Tls
from watchkeeper.documents import Problem, Unreadable, parse, plain_of
from watchkeeper.errors import InDoubt, Rejected, Unavailable, WatchkeeperError

ANSWER_BYTES_MAX: Final = 16 << 20
PAGE_MAX: Final = 200  # objects a page of a list
LIST_MAX: Final = 5_000  # objects of one list: more than a node or a workload has
FIELD_MANAGER: Final = "watchkeeper"
MERGE: Final = "application/merge-patch+json"

_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")  # Source: RFC 1123, as Kubernetes names objects
_READS: Final = frozenset({"GET"})


class Missing(Rejected):
    """There is no such object (404)."""


class Changed(Unavailable):
    """Somebody changed the object since it was read (409); nothing was done."""


class Blocked(Unavailable):
    """A PodDisruptionBudget does not allow it now (429 of an eviction); nothing was done."""


class KubePlace(Struct, frozen=True, kw_only=True):
    """An API server and one credential: a token, or a client certificate with its key, in PEM. `ca` likewise."""

    server: str
    allow: AddressRule
    ca: str = ""
    token: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""

    def __repr__(self) -> str:
        return f"KubePlace({self.server})"


def named(value: object, what: str) -> str:
    """A name that is one part of a path and nothing else. Raises Rejected."""
    if not isinstance(value, str) or not _NAME.fullmatch(value) or ".." in value:
        raise Rejected(f"{what} {str(value)[:64]!r} is not the name of an object; nothing was sent")
    return value


class KubeApi:
    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def call(
        self,
        place: KubePlace,
        method: str,
        path: str,
        *,
        timeout_ms: int,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """`path` is of checked names. Raises: Missing, Changed, Blocked, Rejected, Unavailable, InDoubt, Untrusted."""
        sent = {"Accept": "application/json", **(headers or {})}
        if place.token:
            sent["Authorization"] = f"Bearer {place.token}"
        if body is not None:
            sent["Content-Type"] = content_type
        request = Request(
            method=method,
            url=f"{place.server}{path}{f'?{urlencode(query)}' if query else ''}",
            timeout_ms=timeout_ms,
            headers=sent,
            body=b"" if body is None else msgspec.json.encode(body),
            allow=place.allow,
            response_bytes_max=ANSWER_BYTES_MAX,
            tls=Tls(ca_data=place.ca, cert_data=place.certificate, key_data=place.key, server_name=place.server_name),
        )
        try:
            answer = await self._client.request(request)
        except InDoubt as unanswered:
            if method in _READS:
                raise Unavailable(str(unanswered)) from unanswered  # a question changes nothing
            raise
        if not answer.expected:
            raise _refused(answer, method, path)
        try:
            found: dict[str, Any] = msgspec.json.decode(answer.body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as garbled:
            why = f"{method} {path}: the answer is no object of Kubernetes: {garbled}"
            raise (Rejected(why) if method in _READS else InDoubt(why)) from garbled
        return found

    async def listed(
        self, place: KubePlace, path: str, *, timeout_ms: int, query: dict[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """Every object of a list, page by page. Raises Rejected beyond `LIST_MAX`."""
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            page = await self.call(
                place, "GET", path, timeout_ms=timeout_ms, query={"limit": str(PAGE_MAX), **(query or {}), **more}
            )
            found += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return found
            if len(found) >= LIST_MAX:
                raise Rejected(f"{path}: more than {LIST_MAX} objects; nothing was changed")
            more = {"continue": token}


def _refused(answer: Response, method: str, path: str) -> WatchkeeperError:
    said, reason = _status(answer)
    sentence = f"{method} {path}: {answer.status} {said}".rstrip()
    match answer.status:
        case 401:
            return Rejected(f"{sentence}: the API server does not know this credential, or it has ended")
        case 403:
            return Rejected(f"{sentence}: give its account a Role that allows this, and no more")
        case 404:
            return Missing(sentence)
        case 409:
            return Changed(f"{sentence}; nothing was done")
        case 429:
            evicts = path.endswith("/eviction")
            return (Blocked if evicts else Unavailable)(f"{sentence}; nothing was done")
        case 503:
            return Unavailable(f"{sentence}: not now")
        case status if status >= 500 and method not in _READS:
            return InDoubt(f"{sentence} ({reason}): it may have been done")
        case status if status >= 500:
            return Unavailable(sentence)
        case _:
            return Rejected(sentence)


def _status(answer: Response) -> tuple[str, str]:
    """The words and the reason of a `Status` object, where the answer is one."""
    try:
        status = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", "unknown"
    words = "".join(one for one in str(status.get("message") or "") if one.isprintable())[:500]
    return words, str(status.get("reason") or "unknown")[:64]


def from_kubeconfig(text: str, server: str, allow: AddressRule) -> KubePlace:
    """The current context of a kubeconfig. It may bring a credential, never another server or a program to run.

    Raises Rejected with the field that does not do; values are never in the sentence.
    """
    try:
        documents = parse("kubeconfig", text.encode())
        problems: list[Problem] = []
        config = plain_of(documents[0], problems, "") if documents else {}
    except Unreadable:
        # `from None`: what could not be read may stand in the error.
        raise Rejected("kubeconfig: cannot be read as YAML; nothing was sent") from None
    if not isinstance(config, dict):
        raise Rejected("kubeconfig: is no mapping; nothing was sent")
    context = _entry(config, "contexts", config.get("current-context"), "context")
    cluster = _entry(config, "clusters", context.get("cluster"), "cluster")
    user = _entry(config, "users", context.get("user"), "user")
    if str(cluster.get("server", "")).rstrip("/") != server:
        raise Rejected(f"kubeconfig: its server is not the entity's kube_server {server}; nothing was sent")
    for field in ("insecure-skip-tls-verify", "certificate-authority", "proxy-url"):
        if cluster.get(field):
            raise Rejected(f"kubeconfig: cluster.{field} is not taken: bring the data itself; nothing was sent")
    for field in ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key", "username", "as"):
        if user.get(field):
            raise Rejected(
                f"kubeconfig: user.{field} is not taken: bring a token or certificate data; nothing was sent"
            )
    place = KubePlace(
        server=server,
        allow=allow,
        ca=_decoded(cluster, "certificate-authority-data"),
        token=str(user.get("token") or "").strip(),
        certificate=_decoded(user, "client-certificate-data"),
        key=_decoded(user, "client-key-data"),
        server_name=str(cluster.get("tls-server-name") or ""),
    )
    if not place.token and not (place.certificate and place.key):
        raise Rejected("kubeconfig: its user has no token and no client certificate; nothing was sent")
    return place


def _entry(config: dict[str, Any], plural: str, name: object, single: str) -> dict[str, Any]:
    for entry in config.get(plural) or []:
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(single), dict):
            found: dict[str, Any] = entry[single]
            return found
    raise Rejected(f"kubeconfig: names a {single} that it does not hold; nothing was sent")


def _decoded(mapping: dict[str, Any], name: str) -> str:
    text = mapping.get(name)
    if not text:
        return ""
    try:
        return base64.b64decode(str(text), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise Rejected(f"kubeconfig: {name} is no base64 of PEM; nothing was sent") from None
