"""`service.*`: start, stop, restart, status, and the probe that says whether it was started since.

`via: local` is systemd on this node, `via: ssh` systemd on the target; `via: api` a supervisor that speaks HTTP at the
target's declared attribute `supervisor`.
"""

from collections.abc import Mapping
from typing import Any

from watchkeeper.adapters.actions.places import declared
from watchkeeper.adapters.actions.ssh_place import ssh_place
from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.process_spec import ProcessResult, ProcessSpec
from watchkeeper.adapters.services import ServiceControl, ServiceStatus, Supervisor
from watchkeeper.adapters.ssh import SshPool
from watchkeeper.adapters.systemd import Systemd
from watchkeeper.adapters.systemd_ssh import SshSystemd
from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.errors import Rejected, Unavailable, WatchkeeperError
from watchkeeper.packs.runbook import Effect, Via
from watchkeeper.values import Instant, instant, rfc3339


class ServiceAction:
    """Arguments: unit; `since` for started_since; auth by ssh."""

    def __init__(self, verb: str, effect: Effect, client: HttpClient, ssh: SshPool) -> None:
        self.name = f"service.{verb}"
        self.effect = effect
        self._verb, self._client, self._ssh = verb, client, ssh

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        unit = invocation.arguments.get("unit")
        if not isinstance(unit, str) or not unit:
            raise Rejected("unit: the name of the unit is missing; nothing was done")
        control = await self._control(invocation, around)
        timeout_ms, headers = invocation.timeout_ms, invocation.headers()
        if not around.lease_ok():
            raise Unavailable("this node lost its lease before the command; nothing was sent")
        match self._verb:
            case "start":
                await control.start(unit, timeout_ms=timeout_ms, headers=headers)
            case "stop":
                await control.stop(unit, timeout_ms=timeout_ms, headers=headers)
            case "restart":
                await control.restart(unit, timeout_ms=timeout_ms, headers=headers)
            case "status":
                return _shown(await control.status(unit, timeout_ms=timeout_ms))
            case "started_since":
                since = _since(invocation.arguments.get("since"))
                happened = await control.started_since(unit, since, timeout_ms=timeout_ms)
                was = "was" if happened else "was not"
                why = f"{unit} {was} started since {rfc3339(since)}"
                skew = control.clock.words() if isinstance(control, SshSystemd) and control.clock is not None else ""
                return {"happened": happened, "why": f"{why}; {skew}" if skew else why}
            case other:
                raise Rejected(f"service.{other} is no action")
        try:
            return _shown(await control.status(unit, timeout_ms=timeout_ms))
        except WatchkeeperError as blind:
            # The effect is known to have happened: a look that fails afterwards takes nothing of that back.
            return {"unit": unit, "state": "unknown", "why": str(blind)}

    async def _control(self, invocation: Invocation, around: Surroundings) -> ServiceControl:
        match invocation.via:
            case Via.LOCAL:
                return Systemd()
            case Via.SSH:
                place = await ssh_place(invocation, around)

                async def there(spec: ProcessSpec) -> ProcessResult:
                    return await self._ssh.run(place, spec, may_send=around.lease_ok)

                return SshSystemd(run=there, sudo=place.way.sudo)
            case Via.API:
                base = invocation.target.attributes.get("supervisor", "") if invocation.target is not None else ""
                if not base:
                    raise Rejected("the target declares no attribute `supervisor`; nothing was sent")
                return Supervisor(self._client, base, allow=declared(invocation.target))
            case other:
                raise Rejected(f"{self.name} via {other.value} is not built; nothing was sent")


def _shown(status: ServiceStatus) -> dict[str, Any]:
    started_at = rfc3339(status.started_at) if status.started_at is not None else ""
    return {"unit": status.unit, "state": status.state.value, "pid": status.pid, "started_at": started_at}


def _since(value: Any) -> Instant:
    try:
        return instant(str(value))
    except ValueError as wrong:
        raise Rejected(f"since: {wrong}") from wrong


def service_actions(client: HttpClient, ssh: SshPool) -> tuple[ServiceAction, ...]:
    return (
        ServiceAction("start", Effect.IDEMPOTENT, client, ssh),
        ServiceAction("stop", Effect.IDEMPOTENT, client, ssh),
        ServiceAction("restart", Effect.PROBED, client, ssh),
        ServiceAction("status", Effect.READ, client, ssh),
        ServiceAction("started_since", Effect.READ, client, ssh),
    )
