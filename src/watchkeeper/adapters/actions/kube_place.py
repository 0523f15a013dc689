"""Which cluster a step goes to: the API server of its target, with the credential of the step or the target."""

from watchkeeper.adapters.actions.places import declared
from watchkeeper.adapters.kube import KubePlace, from_kubeconfig
from watchkeeper.catalog.reach import Lacking, kube_way
from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.errors import Rejected

_AUTH = ("token", "certificate", "key", "kubeconfig")


async def kube_place(invocation: Invocation, around: Surroundings) -> KubePlace:
    """`auth: {token: {secret: ..}}` (or certificate and key, or kubeconfig) comes before the target's attributes.

    Raises Rejected with what to write where; nothing was sent.
    """
    target = invocation.target
    if target is None:
        raise Rejected(f"step {invocation.step} goes to a cluster and has no target; nothing was sent")
    way = kube_way(target.attributes, target.addresses)
    if isinstance(way, Lacking):
        raise Rejected(f"{target.name}: {way.why}; nothing was sent")
    leased = await _credentials(invocation, around)
    ca = way.ca or (await around.lease("target.kube_ca") if "target.kube_ca" in invocation.secrets else "")
    if "kubeconfig" in leased:
        return from_kubeconfig(leased["kubeconfig"], way.server, declared(target))
    if "token" not in leased and not ("certificate" in leased and "key" in leased):
        raise Rejected(
            f"{target.name}: no credential for its cluster: add attr.kube_token: secret:NAME to it, or "
            f"auth: {{token: {{secret: NAME}}}} to the step; nothing was sent"
        )
    return KubePlace(
        server=way.server,
        allow=declared(target),
        ca=ca,
        token=leased.get("token", "").strip(),
        certificate=leased.get("certificate", ""),
        key=leased.get("key", ""),
    )


async def _credentials(invocation: Invocation, around: Surroundings) -> dict[str, str]:
    auth = invocation.arguments.get("auth") or {}
    if not isinstance(auth, dict) or set(auth) - set(_AUTH):
        raise Rejected("auth: write {token: {secret: name}}, or certificate and key, or kubeconfig; nothing was sent")
    if auth:
        for value in auth.values():
            if not isinstance(value, dict) or set(value) != {"secret"}:
                raise Rejected("auth: a credential is a reference, such as {secret: cluster}; nothing was sent")
        return {name: await around.lease(str(value["secret"])) for name, value in auth.items()}
    own = {"token": "kube_token", "certificate": "kube_certificate", "key": "kube_key", "kubeconfig": "kubeconfig"}
    return {
        name: await around.lease(f"target.{attribute}")
        for name, attribute in own.items()
        if f"target.{attribute}" in invocation.secrets
    }
