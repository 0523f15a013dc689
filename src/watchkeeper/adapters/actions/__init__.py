"""The actions this release performs, by name; each translates its own errors at the line of the call."""

from collections.abc import Mapping

from watchkeeper.adapters.actions.command import CommandRun
from watchkeeper.adapters.actions.http import HttpRequest
from watchkeeper.adapters.actions.kube import kube_actions
from watchkeeper.adapters.actions.plain import Notify, Wait
from watchkeeper.adapters.actions.service import service_actions
from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.ssh import SshPool
from watchkeeper.engine.action import Action
from watchkeeper.engine.outbox import Telling


def all_actions(client: HttpClient, ssh: SshPool, telling: Telling) -> Mapping[str, Action]:
    """Every built-in action. The programs of packs are looked up by the configuration of a run (`pack`)."""
    found: list[Action] = [
        HttpRequest(client),
        CommandRun(ssh),
        Wait(),
        Notify(telling),
        *service_actions(client, ssh),
        *kube_actions(client),
    ]
    return {action.name: action for action in found}
