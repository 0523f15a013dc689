"""A real kube-apiserver with Debian's etcd, where one is found: `WATCHKEEPER_KUBE_APISERVER` names the program.

No package of a registry holds one. Debian's source package `kubernetes` builds it (docs/how-to/repair-on-kubernetes.md).
"""

import http.client
import json
import os
import shutil
import ssl
import subprocess
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

import trustme

from watchkeeper.demo.loopback import free_port

APISERVER = os.environ.get("WATCHKEEPER_KUBE_APISERVER", "")
ETCD = shutil.which("etcd")
WITHIN_S = 90.0
TOKENS = 'admin-token,admin,1,"system:masters"\nweak-token,automation,2\n'
HOMES = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "ControllerRevision": "/apis/apps/v1/namespaces/{}/controllerrevisions",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Node": "/api/v1/nodes",
    "PodDisruptionBudget": "/apis/policy/v1beta1/namespaces/{}/poddisruptionbudgets",
}
VERSIONS = {"Pod": "v1", "Node": "v1", "PodDisruptionBudget": "policy/v1beta1"}


class RealKube:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca, self.folder, self.processes = trustme.CA(), folder, []
        certificate = self.ca.issue_cert("127.0.0.1")
        for name, blob in (
            ("server.pem", certificate.cert_chain_pems[0].bytes()),
            ("server.key", certificate.private_key_pem.bytes()),
            ("ca.pem", self.ca.cert_pem.bytes()),
            ("tokens.csv", TOKENS.encode()),
        ):
            (folder / name).write_bytes(blob)
        etcd, peer, self.port = free_port(), free_port(), free_port()
        self._start(
            str(ETCD),
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
        )
        self._start(
            APISERVER,
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={folder}/server.pem",
            f"--tls-private-key-file={folder}/server.key",
            f"--client-ca-file={folder}/ca.pem",
            f"--token-auth-file={folder}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://test",
            f"--service-account-key-file={folder}/server.key",
            f"--service-account-signing-key-file={folder}/server.key",
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        )
        end_s = monotonic() + WITHIN_S
        while self._try("GET", "/readyz") != 200 or self._try("GET", "/api/v1/namespaces/default") != 200:
            assert monotonic() < end_s, (folder / "kube-apiserver.log").read_text()[-3000:]
            sleep(0.2)

    @property
    def ca_pem(self) -> str:
        return self.ca.cert_pem.bytes().decode()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait()

    def _start(self, program: str, *flags: str) -> None:
        with (self.folder / f"{Path(program).name}.log").open("wb") as log:
            self.processes.append(subprocess.Popen([program, *flags], stdout=log, stderr=log))

    def _try(self, method: str, path: str) -> int:
        try:
            return self.call(method, path)[0]
        except OSError:
            return 0

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        context = ssl.create_default_context(cadata=self.ca_pem)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)
        try:
            headers = {"Authorization": "Bearer admin-token", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if data.startswith(b"{") else {}
        finally:
            connection.close()

    async def put(self, found: dict[str, Any]) -> dict[str, Any]:
        """Made, or replaced, with its status: that is another call."""
        namespace = found["metadata"].get("namespace", "")
        home = HOMES[found["kind"]].format(namespace)
        sent = {"apiVersion": VERSIONS.get(found["kind"], "apps/v1"), **found}
        if namespace and self.call("GET", f"/api/v1/namespaces/{namespace}")[0] == 404:
            self.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        code, made = self.call("POST", home, sent)
        assert code == 201, made
        if "status" in found:
            made["status"] = {**made.get("status", {}), **found["status"]}
            code, made = self.call("PUT", f"{home}/{found['metadata']['name']}/status", made)
            assert code == 200, made
        return made

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        code, found = self.call("GET", f"{HOMES[kind].format(namespace)}/{name}")
        return found if code == 200 else None

    async def remove(self, kind: str, namespace: str, name: str) -> None:
        self.call("DELETE", f"{HOMES[kind].format(namespace)}/{name}", {"gracePeriodSeconds": 0})

    def allow(self, *rights: tuple[str, str, str]) -> None:
        """What the weak account may do: (group, resource, verb)."""
        rules = [{"apiGroups": [group], "resources": [resource], "verbs": [verb]} for group, resource, verb in rights]
        api = "rbac.authorization.k8s.io/v1"
        base = "/apis/rbac.authorization.k8s.io/v1"
        name = {"metadata": {"name": "watchkeeper"}}
        assert (
            self.call(
                "POST", f"{base}/clusterroles", {"apiVersion": api, "kind": "ClusterRole", **name, "rules": rules}
            )[0]
            == 201
        )
        binding = {
            "apiVersion": api,
            "kind": "ClusterRoleBinding",
            **name,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "watchkeeper"},
            "subjects": [{"kind": "User", "name": "automation", "apiGroup": "rbac.authorization.k8s.io"}],
        }
        assert self.call("POST", f"{base}/clusterrolebindings", binding)[0] == 201
