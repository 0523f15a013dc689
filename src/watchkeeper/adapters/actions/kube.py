"""`kube.*`: what is done to a workload, a pod or a node through the API of its cluster, and the probe of a rollout.

Each change carries `watchkeeper.dev/run` and `watchkeeper.dev/actor` as annotations and rests on the version that was
read: when somebody else was quicker nothing is done. A restart writes the step's own key into the pod template, so a
repetition of the step changes nothing, and the key is found again even after a later rollout.
"""

from collections.abc import Mapping
from typing import Any, Final

from watchkeeper.adapters.actions.kube_drain import drain
from watchkeeper.adapters.actions.kube_place import kube_place
from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.kube import FIELD_MANAGER, MERGE, KubeApi, KubePlace, named
from watchkeeper.adapters.kube_objects import (
    ACTOR,
    BEFORE,
    CORDONED,
    RESTART,
    RESTARTED,
    RUN,
    SCALED,
    SHOWN,
    Object,
    annotations,
    collection,
    meta,
    owned_by,
    path_of,
    selector_of,
    shown,
    template_of,
)
from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.errors import Rejected, Unavailable
from watchkeeper.packs.runbook import Effect, Via

REPLICAS_MAX: Final = 10_000
GRACE_S_MAX: Final = 3_600

EFFECTS: Final = {
    "rollout_restart": Effect.PROBED,
    "scale": Effect.IDEMPOTENT,
    "delete_pod": Effect.ONCE,
    "cordon": Effect.IDEMPOTENT,
    "drain": Effect.IDEMPOTENT,
    "status": Effect.READ,
    "rollout_observed": Effect.READ,
}


class KubeAction:
    """One verb. Arguments: namespace, kind, name and the verb's own; auth in the place of the target's credential."""

    def __init__(self, verb: str, client: HttpClient) -> None:
        self.name = f"kube.{verb}"
        self.effect = EFFECTS[verb]
        self._verb, self._api = verb, KubeApi(client)

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        if invocation.via is not Via.KUBE:
            raise Rejected(
                f"{self.name} goes by the API of a cluster, not via {invocation.via.value}; nothing was sent"
            )
        place = await kube_place(invocation, around)
        step = Step(self._api, place, invocation, around)
        match self._verb:
            case "rollout_restart":
                return await _restart(step)
            case "scale":
                return await _scale(step)
            case "delete_pod":
                return await _delete_pod(step)
            case "cordon":
                return await _cordon(step)
            case "drain":
                arguments = invocation.arguments
                return await drain(
                    self._api,
                    place,
                    named(arguments.get("name"), "name"),
                    timeout_ms=invocation.timeout_ms,
                    unmanaged=step.flag("unmanaged"),
                    empty_dir=step.flag("empty_dir"),
                    may_send=around.lease_ok,
                )
            case "status":
                return await _status(step)
            case _:
                return await _observed(step)


class Step:
    """One sending of one step: where it goes, what it is about, and what it must carry."""

    def __init__(self, api: KubeApi, place: KubePlace, invocation: Invocation, around: Surroundings) -> None:
        self.api, self.place, self.invocation, self.around = api, place, invocation, around
        self.arguments = invocation.arguments

    def kind(self, known: tuple[str, ...]) -> str:
        kind = str(self.arguments.get("kind", ""))
        if kind not in known:
            raise Rejected(f"kind {kind[:64]!r} is not among {', '.join(known)}; nothing was sent")
        return kind

    def path(self, kind: str) -> str:
        namespace = "" if kind == "Node" else named(self.arguments.get("namespace"), "namespace")
        return path_of(kind, namespace, named(self.arguments.get("name"), "name"))

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.arguments.get(name, default)
        if not isinstance(value, bool):
            raise Rejected(f"{name}: expected true or false; nothing was sent")
        return value

    def number(self, name: str, most: int) -> int:
        value = self.arguments.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise Rejected(f"{name}: expected a number within 0 and {most}; nothing was sent")
        return value

    async def get(self, path: str, query: dict[str, str] | None = None) -> Object:
        return await self.api.call(self.place, "GET", path, timeout_ms=self.invocation.timeout_ms, query=query)

    async def patch(self, path: str, found: Object, change: Object, tags: Mapping[str, str | None]) -> Object:
        """The change and the tags of automation, on the very version that was read."""
        body = {
            **change,
            "metadata": {
                "resourceVersion": meta(found).get("resourceVersion", ""),
                "annotations": {RUN: self.invocation.run, ACTOR: self.invocation.actor, **tags},
            },
        }
        query = {"fieldManager": FIELD_MANAGER}
        return await self.send("PATCH", path, body=body, query=query, content_type=MERGE)

    async def send(self, method: str, path: str, **how: Any) -> Object:
        if not self.around.lease_ok():
            raise Unavailable("this node lost its lease before the call; nothing was sent")
        headers = self.invocation.headers()
        return await self.api.call(
            self.place, method, path, timeout_ms=self.invocation.timeout_ms, headers=headers, **how
        )


async def _restart(step: Step) -> dict[str, Any]:
    kind = step.kind(RESTARTED)
    path, key = step.path(kind), step.invocation.key
    found = await step.get(path)
    if await _restarted(step, kind, found):
        return {**shown(found), "restart": key, "already": True}
    spec = found.get("spec") or {}
    if spec.get("paused"):
        raise Rejected(f"{path}: its rollouts are paused, so a restart would wait for a person; nothing was changed")
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        raise Rejected(f"{path}: it replaces pods only when they are deleted (OnDelete); nothing was changed")
    change = {"spec": {"template": {"metadata": {"annotations": {RESTART: key}}}}}
    after = await step.patch(path, found, change, {})
    return {**shown(after), "restart": key, "already": False}


async def _restarted(step: Step, kind: str, found: Object) -> bool:
    """Whether the template, or one that the workload still remembers, carries this step's key."""
    key = step.invocation.key
    if _key_in(found) == key:
        return True
    # What was never restarted by us has no history worth asking for.
    plural = "replicasets" if kind == "Deployment" else "controllerrevisions"
    namespace = str(meta(found).get("namespace", ""))
    kept = await step.api.listed(
        step.place,
        collection(plural, namespace),
        timeout_ms=step.invocation.timeout_ms,
        query={"labelSelector": selector_of(found)},
    )
    uid = str(meta(found).get("uid", ""))
    return any(owned_by(each, uid) and _key_in(each) == key for each in kept)


def _key_in(found: Object) -> str:
    return str(annotations(template_of(found)).get(RESTART, ""))


async def _observed(step: Step) -> dict[str, Any]:
    kind = step.kind(RESTARTED)
    path = step.path(kind)
    found = await step.get(path)
    happened = await _restarted(step, kind, found)
    seen = shown(found)
    name = f"{kind} {seen['name']}"
    if happened:
        far = "is through" if seen["rolled_out"] else f"has {seen['updated']} of {seen['replicas']} pods"
        return {**seen, "happened": True, "why": f"{name} carries this step's restart, and its rollout {far}"}
    return {**seen, "happened": False, "why": f"no template of {name} carries this step's restart"}


async def _scale(step: Step) -> dict[str, Any]:
    kind = step.kind(SCALED)
    replicas = step.number("replicas", REPLICAS_MAX)
    path, key = step.path(kind), step.invocation.key
    found = await step.get(path)
    before = (found.get("spec") or {}).get("replicas", 1)
    earlier, _, was = annotations(found).get(BEFORE, "").rpartition(":")
    if earlier == key and was.isdecimal():
        before = int(was)  # this very step has scaled it before: an undo must find what stood there then
    if (found.get("spec") or {}).get("replicas", 1) == replicas:
        return {**shown(found), "before": before, "already": True}
    after = await step.patch(path, found, {"spec": {"replicas": replicas}}, {BEFORE: f"{key}:{before}"})
    return {**shown(after), "before": before, "already": False}


async def _delete_pod(step: Step) -> dict[str, Any]:
    path = step.path("Pod")
    options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if "grace_s" in step.arguments:
        options["gracePeriodSeconds"] = step.number("grace_s", GRACE_S_MAX)
    found = await step.get(path)
    uid = str(meta(found).get("uid", ""))
    if "deletionTimestamp" in meta(found):
        return {**shown(found), "uid": uid, "already": True}
    marked = await step.patch(path, found, {}, {})
    # The pod that was marked, and no other of its name: a StatefulSet gives a name again.
    options["preconditions"] = {"uid": uid, "resourceVersion": meta(marked).get("resourceVersion", "")}
    await step.send("DELETE", path, body=options)
    return {**shown(found), "uid": uid, "already": False}


async def _cordon(step: Step) -> dict[str, Any]:
    path, run = step.path("Node"), step.invocation.run
    wanted = step.flag("cordoned", default=True)
    found = await step.get(path)
    stands, by = bool((found.get("spec") or {}).get("unschedulable")), annotations(found).get(CORDONED, "")
    seen = {**shown(found), "before": stands}
    if stands == wanted:
        return {**seen, "already": True}
    if not wanted and by != run and not step.flag("anybody"):
        raise Rejected(
            f"{path}: was cordoned by {by or 'a person'}, not by this run: it stays so "
            f"(anybody: true takes it back all the same); nothing was changed"
        )
    after = await step.patch(
        path, found, {"spec": {"unschedulable": wanted or None}}, {CORDONED: run if wanted else None}
    )
    return {**shown(after), "before": stands, "already": False}


async def _status(step: Step) -> dict[str, Any]:
    found = await step.get(step.path(step.kind(SHOWN)))
    seen = shown(found)
    expected = step.arguments.get("expect") or {}
    if not isinstance(expected, dict):
        raise Rejected("expect: write what must be so, such as {rolled_out: true}")
    for name, value in expected.items():
        if name not in seen:
            raise Rejected(f"expect: a {seen['kind']} has no {name!r}: it has {', '.join(seen)}")
        if seen[name] != value:
            raise Unavailable(f"{seen['kind']} {seen['name']}: {name} is {seen[name]!r}, not yet {value!r}")
    return seen


def kube_actions(client: HttpClient) -> tuple[KubeAction, ...]:
    return tuple(KubeAction(verb, client) for verb in EFFECTS)
