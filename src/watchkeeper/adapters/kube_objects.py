"""What is read in objects of Kubernetes: where a kind lives, how far a rollout is, which pods a drain moves.

Source: the status fields as the API reference of apps/v1 and core/v1 explains them.
"""

from collections.abc import Mapping
from typing import Any, Final

from watchkeeper.errors import Rejected

RUN: Final = "watchkeeper.dev/run"
ACTOR: Final = "watchkeeper.dev/actor"
RESTART: Final = "watchkeeper.dev/restart"  # of a pod template: the step that last restarted it
CORDONED: Final = "watchkeeper.dev/cordoned-by"
BEFORE: Final = "watchkeeper.dev/replicas-before"
MIRROR: Final = "kubernetes.io/config.mirror"

Object = dict[str, Any]

_WORKLOADS: Final = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "ReplicaSet": "replicasets",
}
RESTARTED: Final = ("Deployment", "StatefulSet", "DaemonSet")
SCALED: Final = ("Deployment", "StatefulSet", "ReplicaSet")
SHOWN: Final = (*_WORKLOADS, "Pod", "Node")


def path_of(kind: str, namespace: str, name: str) -> str:
    """`namespace` is "" for a Node. The names are checked by the caller."""
    match kind:
        case "Node":
            return f"/api/v1/nodes/{name}"
        case "Pod":
            return f"/api/v1/namespaces/{namespace}/pods/{name}"
        case _:
            return f"{collection(_WORKLOADS[kind], namespace)}/{name}"


def collection(plural: str, namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/{plural}"


def meta(found: Object) -> Object:
    got: Object = found.get("metadata") or {}
    return got


def annotations(found: Object) -> Mapping[str, str]:
    got: Mapping[str, str] = meta(found).get("annotations") or {}
    return got


def template_of(found: Object) -> Object:
    """The pod template of a workload, or of what a ControllerRevision keeps of one."""
    spec = found.get("spec") or (found.get("data") or {}).get("spec") or {}
    got: Object = spec.get("template") or {}
    return got


def selector_of(found: Object) -> str:
    """The workload's own selector, as a query writes it. Source: API conventions, "Label selectors"."""
    selector = (found.get("spec") or {}).get("selector") or {}
    parts = [f"{name}={value}" for name, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or []:
        name, values = each.get("key", ""), ",".join(each.get("values") or [])
        match each.get("operator"):
            case "In":
                parts.append(f"{name} in ({values})")
            case "NotIn":
                parts.append(f"{name} notin ({values})")
            case "Exists":
                parts.append(name)
            case "DoesNotExist":
                parts.append(f"!{name}")
            case other:
                raise Rejected(f"its selector has the operator {other!r}, which is not known here")
    if not parts:
        raise Rejected("it selects no pods by labels")
    return ",".join(parts)


def owned_by(found: Object, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in meta(found).get("ownerReferences") or [])


def shown(found: Object) -> dict[str, Any]:
    """What a person wants to know of an object, in one line of fields."""
    status, spec, kind = found.get("status") or {}, found.get("spec") or {}, found.get("kind", "")
    base: dict[str, Any] = {"kind": kind, "name": meta(found).get("name", "")}
    if "namespace" in meta(found):
        base["namespace"] = meta(found)["namespace"]
    match kind:
        case "Deployment" | "StatefulSet" | "DaemonSet":
            return {**base, **_progress(found, spec, status)}
        case "ReplicaSet":
            return {**base, "replicas": spec.get("replicas", 1), "ready": status.get("readyReplicas", 0)}
        case "Pod":
            restarts = sum(each.get("restartCount", 0) for each in status.get("containerStatuses") or [])
            ready = _condition(status, "Ready") and "deletionTimestamp" not in meta(found)
            node = spec.get("nodeName", "")
            return {**base, "phase": status.get("phase", ""), "ready": ready, "restarts": restarts, "node": node}
        case _:
            cordoned = bool(spec.get("unschedulable", False))
            return {**base, "ready": _condition(status, "Ready"), "cordoned": cordoned}


def _progress(found: Object, spec: Object, status: Object) -> dict[str, Any]:
    seen = status.get("observedGeneration", 0) >= meta(found).get("generation", 0)
    if found.get("kind") == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberReady", 0)
        available, total = status.get("numberAvailable", 0), status.get("currentNumberScheduled", 0)
    else:
        wanted = spec.get("replicas", 1)
        updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
        available, total = status.get("availableReplicas", 0), status.get("replicas", 0)
    through = seen and updated == wanted and available == wanted and total == wanted
    if found.get("kind") == "StatefulSet":
        # Its `availableReplicas` is younger than some clusters; a whole rollout also has one revision.
        same = status.get("currentRevision") == status.get("updateRevision")
        through = seen and updated == wanted and ready == wanted and total == wanted and same
    return {
        "observed": seen,
        "replicas": wanted,
        "updated": updated,
        "ready": ready,
        "available": available,
        "rolled_out": through,
    }


def _condition(status: Object, name: str) -> bool:
    return any(each.get("type") == name and each.get("status") == "True" for each in status.get("conditions") or [])


def stays(pod: Object) -> bool:
    """Whether a drain leaves it: a static pod, a DaemonSet's (it would come back at once), or one that has ended."""
    if MIRROR in annotations(pod) or (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
        return True
    return any(owner.get("kind") == "DaemonSet" for owner in meta(pod).get("ownerReferences") or [])


def would_be_lost(pod: Object, *, unmanaged: bool, empty_dir: bool) -> str:
    """Why a drain would lose something for good with it; "" when it would not, or the step says that it may."""
    if not unmanaged and not any(owner.get("controller") for owner in meta(pod).get("ownerReferences") or []):
        return "nothing would make it again (unmanaged: true moves it all the same)"
    volumes = (pod.get("spec") or {}).get("volumes") or []
    if not empty_dir and any("emptyDir" in volume for volume in volumes):
        return "its emptyDir would be lost (empty_dir: true moves it all the same)"
    return ""
