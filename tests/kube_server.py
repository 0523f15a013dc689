"""A small API server of Kubernetes for tests: what our actions need of it, faithful in what it refuses.

Objects with versions and generations, merge patches, conflicts, status codes with `Status` bodies, label and field
selectors, pages, evictions that obey budgets, rights by verb and resource, TLS. A little of the controllers too: a
Deployment makes a ReplicaSet a template, pods follow at `settle`. The same suite runs over a real kube-apiserver
where one is found (`WATCHKEEPER_KUBE_APISERVER`), which is how this one is kept honest.
"""

import asyncio
import copy
import json
import re
import ssl
import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import trustme

PLURALS = {
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "replicasets": "ReplicaSet",
    "controllerrevisions": "ControllerRevision",
    "pods": "Pod",
    "nodes": "Node",
    "poddisruptionbudgets": "PodDisruptionBudget",
}
PATH = re.compile(
    r"/(?:api/v1|apis/(?:apps/v1|policy/v1))(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>eviction|status))?"
)
REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class KubeServer:
    """`rights` maps a token to the verbs it has: `patch deployments`, or `*`. `break_next` ends calls early."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.version = 100
        self.rights: dict[str, set[str]] = {"admin-token": {"*"}}
        self.calls: list[tuple[str, str]] = []
        self.break_next = ""  # "before": hang up unread; "after": do it and hang up; a number: answer with it

    @property
    def ca_pem(self) -> str:
        return self.ca.cert_pem.bytes().decode()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("127.0.0.1").configure_cert(context)
        self.ca.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    # -- what a test puts and sees -----------------------------------------------------------------

    async def put(self, found: dict[str, Any]) -> dict[str, Any]:
        return self._store(copy.deepcopy(found), fresh=True)

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        found = self.objects.get((kind, namespace, name))
        return copy.deepcopy(found) if found is not None else None

    async def remove(self, kind: str, namespace: str, name: str) -> None:
        self.objects.pop((kind, namespace, name), None)

    def allow(self, *rights: tuple[str, str, str]) -> None:
        """What the weak account may do: (group, resource, verb)."""
        self.rights["weak-token"] = {f"{verb} {resource}" for _, resource, verb in rights}

    def _store(self, found: dict[str, Any], *, fresh: bool = False) -> dict[str, Any]:
        meta = found.setdefault("metadata", {})
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        if fresh:
            meta.setdefault("uid", str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
            if found["kind"] not in {"Pod", "Node"}:
                meta.setdefault("generation", 1)
        self.objects[found["kind"], meta.get("namespace", ""), meta["name"]] = found
        return copy.deepcopy(found)

    # -- the wire ----------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, target, _ = head[0].split(" ")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                broken, self.break_next = (self.break_next, "") if method != "GET" else ("", self.break_next)
                if broken == "before":
                    return
                peer = writer.get_extra_info("peercert")
                code, answer = self._answer(
                    method, target, headers, body, peer, int(broken) if broken.isdecimal() else 0
                )
                if broken == "after":
                    return
                data = json.dumps(answer).encode()
                writer.write(
                    f"HTTP/1.1 {code} {HTTPStatus(code).phrase}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(data)}\r\n\r\n".encode()
                    + data
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()

    def _answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes, peer: Any, forced: int
    ) -> tuple[int, Any]:
        parts = urlsplit(target)
        self.calls.append((method, parts.path))
        try:
            if forced:
                raise Refused(forced, "told to refuse")
            query = dict(parse_qsl(parts.query))
            return self._do(method, unquote(parts.path), query, headers, json.loads(body) if body else None, peer)
        except Refused as refused:
            return refused.code, {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "message": str(refused),
                "reason": REASONS.get(refused.code, "Unknown"),
                "code": refused.code,
            }

    def _do(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: Any, peer: Any
    ) -> tuple[int, Any]:
        place = PATH.fullmatch(path)
        if place is None or place["plural"] not in PLURALS:
            raise Refused(404, "the server could not find the requested resource")
        plural, kind = place["plural"], PLURALS[place["plural"]]
        namespace, name, sub = place["namespace"] or "", place["name"] or "", place["sub"] or ""
        verb = {"GET": "get" if name else "list", "PATCH": "patch", "DELETE": "delete", "POST": "create"}[method]
        self._allowed(headers, peer, verb, f"{plural}/{sub}" if sub else plural, name, namespace)
        if method == "GET" and not name:
            return 200, self._list(kind, namespace, query)
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise Refused(404, f'{plural} "{name}" not found')
        match method, sub:
            case "GET", _:
                return 200, copy.deepcopy(found)
            case "PATCH", _:
                return 200, self._patch(found, body, headers, plural)
            case "DELETE", _:
                self._preconditions(found, body or {}, plural)
                return 200, self._delete(found, (body or {}).get("gracePeriodSeconds"))
            case "POST", "eviction":
                return 201, self._evict(found, body)
            case _:
                raise Refused(400, "not built in this server")

    def _allowed(self, headers: dict[str, str], peer: Any, verb: str, resource: str, name: str, namespace: str) -> None:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        rights = self.rights.get(token) if token else ({"*"} if peer else None)
        if rights is None:
            raise Refused(401, "Unauthorized")
        if "*" not in rights and f"{verb} {resource}" not in rights:
            where = f' in the namespace "{namespace}"' if namespace else ""
            raise Refused(
                403, f'{resource} "{name}" is forbidden: User "automation" cannot {verb} resource "{resource}"{where}'
            )

    def _list(self, kind: str, namespace: str, query: dict[str, str]) -> dict[str, Any]:
        items = [
            found
            for (one, where, _), found in sorted(self.objects.items())
            if one == kind and namespace in {"", where} and _labelled(found, query.get("labelSelector", ""))
        ]
        field, _, value = query.get("fieldSelector", "").partition("=")
        if field == "spec.nodeName":
            items = [found for found in items if found.get("spec", {}).get("nodeName") == value]
        begin, limit = int(query.get("continue", "0")), int(query.get("limit", "500"))
        more = str(begin + limit) if begin + limit < len(items) else ""
        page = [
            {k: v for k, v in item.items() if k not in {"kind", "apiVersion"}} for item in items[begin : begin + limit]
        ]
        return {"kind": f"{kind}List", "metadata": {"continue": more}, "items": copy.deepcopy(page)}

    def _patch(self, found: dict[str, Any], change: Any, headers: dict[str, str], plural: str) -> dict[str, Any]:
        if headers.get("content-type") != "application/merge-patch+json":
            raise Refused(415, "the body of the request was in an unknown format")
        meta = found["metadata"]
        asked = change.get("metadata", {}).get("resourceVersion", meta["resourceVersion"])
        if asked != meta["resourceVersion"]:
            raise Refused(
                409,
                f'Operation cannot be fulfilled on {plural} "{meta["name"]}": the object has been modified; please apply '
                f"your changes to the latest version and try again",
            )
        after = _merged(found, change)
        after["metadata"]["resourceVersion"] = meta["resourceVersion"]
        replicas = after.get("spec", {}).get("replicas", 0)
        if not isinstance(replicas, int) or replicas < 0:
            raise Refused(422, f'{found["kind"]} "{meta["name"]}" is invalid: spec.replicas: Invalid value: {replicas}')
        if after == found:
            return copy.deepcopy(found)
        if after.get("spec") != found.get("spec") and "generation" in meta:
            after["metadata"]["generation"] += 1
        return self._store(after)

    def _preconditions(self, found: dict[str, Any], options: dict[str, Any], plural: str) -> None:
        for field, value in (options.get("preconditions") or {}).items():
            if found["metadata"].get(field) != value:
                raise Refused(
                    409,
                    f'Operation cannot be fulfilled on {plural} "{found["metadata"]["name"]}": the {field} in the '
                    f"precondition ({value}) does not match the {field} in record ({found['metadata'].get(field)})",
                )

    def _delete(self, found: dict[str, Any], grace: int | None) -> dict[str, Any]:
        meta = found["metadata"]
        seconds = found.get("spec", {}).get("terminationGracePeriodSeconds", 30) if grace is None else grace
        if found["kind"] == "Pod" and seconds and found["spec"].get("nodeName"):
            meta.setdefault("deletionTimestamp", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
            return self._store(found)  # a kubelet takes it away later
        self.objects.pop((found["kind"], meta.get("namespace", ""), meta["name"]), None)
        return {"kind": "Status", "status": "Success"}

    def _evict(self, pod: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        if body.get("apiVersion") != "policy/v1" or body.get("kind") != "Eviction":
            raise Refused(400, f'no kind "{body.get("kind")}" is registered for version "{body.get("apiVersion")}"')
        options = body.get("deleteOptions") or {}
        self._preconditions(pod, options, "pods")
        for (kind, namespace, _), budget in self.objects.items():
            if kind != "PodDisruptionBudget" or namespace != pod["metadata"]["namespace"]:
                continue
            labels = budget["spec"]["selector"]["matchLabels"]
            if labels.items() <= pod["metadata"].get("labels", {}).items():
                status = budget["status"]
                if status["disruptionsAllowed"] <= 0:
                    raise Refused(429, "Cannot evict pod as it would violate the pod's disruption budget.")
                status["disruptionsAllowed"] -= 1
        self._delete(pod, options.get("gracePeriodSeconds"))
        return {"kind": "Status", "status": "Success"}


def _merged(before: Any, change: Any) -> Any:
    """Source: RFC 7396."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    after = copy.deepcopy(before) if isinstance(before, dict) else {}
    for name, value in change.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = _merged(after.get(name), value)
    return after


def _labelled(found: dict[str, Any], selector: str) -> bool:
    labels = found["metadata"].get("labels", {})
    for part in filter(None, re.split(r",(?![^(]*\))", selector)):
        if (inside := re.fullmatch(r"(\S+) (in|notin) \(([^)]*)\)", part)) is not None:
            if (labels.get(inside[1]) in inside[3].split(",")) is not (inside[2] == "in"):
                return False
        elif "=" in part:
            name, _, value = part.partition("=")
            if labels.get(name) != value:
                return False
        elif (part.removeprefix("!") in labels) is part.startswith("!"):
            return False
    return True
