"""Where a step goes by ssh: the way its target's attributes describe, with the credential of the step or the target."""

from watchkeeper.adapters.ssh_place import SshPlace
from watchkeeper.catalog.reach import Lacking, ssh_way
from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.errors import Rejected


async def ssh_place(invocation: Invocation, around: Surroundings) -> SshPlace:
    """`auth: {key: {secret: ..}, certificate: {secret: ..}}` of the step comes before the target's own attributes.

    Raises Rejected with what to write where; nothing was sent.
    """
    target = invocation.target
    if target is None:
        raise Rejected(f"step {invocation.step} goes by ssh and has no target; nothing was sent")
    way = ssh_way(target.attributes, target.addresses)
    if isinstance(way, Lacking):
        raise Rejected(f"{target.name}: {way.why}; nothing was sent")
    auth = invocation.arguments.get("auth") or {}
    if not isinstance(auth, dict) or set(auth) - {"key", "certificate"}:
        raise Rejected(
            "auth: write {key: {secret: name}}, with certificate beside it if there is one; nothing was sent"
        )
    key = await _leased(auth.get("key"), "target.ssh_key", invocation, around)
    certificate = await _leased(auth.get("certificate"), "target.ssh_certificate", invocation, around)
    if not key:
        raise Rejected(
            f"{target.name}: no key to sign in with: add attr.ssh_key: secret:NAME to it, or "
            f"auth: {{key: {{secret: NAME}}}} to the step; nothing was sent"
        )
    # A certificate of the catalogue goes with the catalogue's key only.
    return SshPlace(way=way, key=key, certificate="" if "key" in auth and "certificate" not in auth else certificate)


async def _leased(given: object, own: str, invocation: Invocation, around: Surroundings) -> str:
    if given is not None:
        if not isinstance(given, dict) or set(given) != {"secret"}:
            raise Rejected("auth: a credential is a reference, such as {secret: ssh}; nothing was sent")
        return await around.lease(str(given["secret"]))
    return await around.lease(own) if own in invocation.secrets else ""
