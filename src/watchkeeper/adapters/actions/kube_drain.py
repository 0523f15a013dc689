"""`kube.drain`: the pods of a cordoned node leave it by eviction, as their PodDisruptionBudgets allow.

Nothing is deleted past a budget. What a budget holds back is asked for again until the step's time is over; then the
step says who still stands there, and its retry data decides. Repeating it evicts only what is left.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from watchkeeper.adapters.kube import Blocked, Changed, KubeApi, KubePlace, Missing
from watchkeeper.adapters.kube_objects import Object, meta, path_of, stays, would_be_lost
from watchkeeper.errors import InDoubt, Rejected, Unavailable

EVICTIONS_AT_ONCE_MAX: Final = 16
LOOK_EVERY_MS: Final = 1_000
NAMED_MAX: Final = 5
CALL_TIMEOUT_MS: Final = 10_000

_OLD: Final = "policy/v1beta1"  # clusters before 1.22 know eviction by this name only


async def drain(
    api: KubeApi,
    place: KubePlace,
    node: str,
    *,
    timeout_ms: int,
    unmanaged: bool,
    empty_dir: bool,
    may_send: Callable[[], bool],
) -> dict[str, Any]:
    """Until no pod is left that a drain moves. Raises Rejected before the first eviction when something would be lost,
    Unavailable when the time is over, with the pods that are left.
    """
    until = monotonic() + timeout_ms / 1000
    call_ms = min(timeout_ms, CALL_TIMEOUT_MS)
    found = await api.call(place, "GET", path_of("Node", "", node), timeout_ms=call_ms)
    if not (found.get("spec") or {}).get("unschedulable"):
        raise Rejected(
            f"node {node} still takes new pods: cordon it first, in a step of its own that can be undone; nothing was sent"
        )
    moving = await _pods(api, place, node, call_ms)
    for pod in moving:
        why = would_be_lost(pod, unmanaged=unmanaged, empty_dir=empty_dir)
        if why:
            raise Rejected(f"pod {_full(pod)}: {why}; nothing was sent")
    evicted: set[str] = set()
    held: dict[str, str] = {}
    room = asyncio.Semaphore(EVICTIONS_AT_ONCE_MAX)

    async def ask(pod: Object) -> None:
        async with room:
            if not may_send():
                raise Unavailable("this node lost its lease before an eviction; what was evicted so far stays so")
            try:
                await _evict(api, place, pod, call_ms)
            except Blocked as budget:
                held[_full(pod)] = str(budget)
            except (Missing, Changed, InDoubt):
                pass  # gone by itself, another by its name, or unknown: the next look says
            else:
                evicted.add(_full(pod))
                held.pop(_full(pod), None)

    while moving:
        asked = [ask(pod) for pod in moving if "deletionTimestamp" not in meta(pod)]
        # All come to their end before the first that failed is told.
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
        left_s = until - monotonic()
        if left_s <= LOOK_EVERY_MS / 1000:
            raise Unavailable(_left(node, moving, held))
        await asyncio.sleep(LOOK_EVERY_MS / 1000)
        moving = await _pods(api, place, node, call_ms)
    return {"kind": "Node", "name": node, "evicted": len(evicted), "left": 0}


async def _pods(api: KubeApi, place: KubePlace, node: str, timeout_ms: int) -> list[Object]:
    query = {"fieldSelector": f"spec.nodeName={node}"}
    found = await api.listed(place, "/api/v1/pods", timeout_ms=timeout_ms, query=query)
    return [pod for pod in found if not stays(pod)]


async def _evict(api: KubeApi, place: KubePlace, pod: Object, timeout_ms: int) -> None:
    """Source: the Eviction subresource of a pod, policy/v1. The uid makes it this pod and no later one of its name."""
    name, namespace = str(meta(pod).get("name", "")), str(meta(pod).get("namespace", ""))
    path = f"{path_of('Pod', namespace, name)}/eviction"
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": {"preconditions": {"uid": meta(pod).get("uid", "")}},
    }
    try:
        await api.call(place, "POST", path, timeout_ms=timeout_ms, body=body)
    except Missing:
        raise
    except Rejected as unknown:
        if "policy/v1" not in str(unknown):
            raise
        await api.call(place, "POST", path, timeout_ms=timeout_ms, body={**body, "apiVersion": _OLD})


def _full(pod: Object) -> str:
    return f"{meta(pod).get('namespace', '')}/{meta(pod).get('name', '')}"


def _left(node: str, moving: list[Object], held: dict[str, str]) -> str:
    names = sorted(_full(pod) for pod in moving)
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    why = next((f"; {held[name]}" for name in names if name in held), "")
    return f"node {node}: {len(names)} pods still stand on it: {', '.join(names[:NAMED_MAX])}{more}{why}"
