"""What the actions do at an API server: one suite over the small one of the tests and a real one where there is one."""

import asyncio
import base64
import json

import pytest

from kube_real import APISERVER, ETCD, RealKube
from kube_server import KubeServer
from watchkeeper.adapters.actions.kube import kube_actions
from watchkeeper.adapters.http import HttpClient
from watchkeeper.engine.action import Invocation
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted
from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import SecretRef, Via
from watchkeeper.values import instant

NO_REAL = not (APISERVER and ETCD)
AT = instant("2026-03-01T10:00:00Z")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    found = RealKube(tmp_path_factory.mktemp("kube"))
    yield found
    found.close()


@pytest.fixture(
    params=[
        "small",
        pytest.param(
            "real",
            marks=[
                pytest.mark.servers,
                pytest.mark.timeout(300),
                pytest.mark.skipif(
                    NO_REAL, reason="no kube-apiserver: set WATCHKEEPER_KUBE_APISERVER, apt install etcd-server"
                ),
            ],
        ),
    ]
)
async def cluster(request):
    if request.param == "real":
        found = request.getfixturevalue("real")
        for kind, namespace, name in NAMES:
            await found.remove(kind, namespace, name)
        yield found
        return
    async with KubeServer() as small:
        yield small


@pytest.fixture
async def http():
    async with HttpClient() as client:
        yield client


@pytest.fixture
async def small():
    async with KubeServer() as found:
        yield found


NAMES = [
    *[(kind, "shop", name) for kind, name in (("Deployment", "web"), ("StatefulSet", "db"), ("DaemonSet", "log"))],
    *[("ReplicaSet", "shop", name) for name in ("web-1", "web-2")],
    *[("Pod", "shop", f"web-{n}") for n in range(4)],
    *[("Pod", "shop", name) for name in ("log-1", "bare", "done")],
    ("ControllerRevision", "shop", "db-1"),
    ("PodDisruptionBudget", "shop", "web"),
    ("Node", "", "n1"),
]
LABELS = {"app": "web"}
CONTAINERS = [{"name": "c", "image": "example/web:1"}]
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {"containers": CONTAINERS}}


def deployment(**spec):
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 3, "selector": {"matchLabels": LABELS}, "template": TEMPLATE, **spec},
    }


def node(**spec):
    return {"kind": "Node", "metadata": {"name": "n1"}, "spec": spec}


def owner(kind, name, uid):
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}


def pod(name, *, by=None, phase="Running", **spec):
    meta = {"name": name, "namespace": "shop", "labels": LABELS}
    if by:
        meta["ownerReferences"] = [owner(*by)]
    return {
        "kind": "Pod",
        "metadata": meta,
        "spec": {"nodeName": "n1", "containers": CONTAINERS, **spec},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]},
    }


BY_SET = ("ReplicaSet", "web-1", "11111111-1111-1111-1111-111111111111")


class Surroundings:
    """What the engine would lend: secrets by name, and a lease that holds until it does not."""

    def __init__(self, secrets, held=True):
        self.secrets, self.held = secrets, held

    async def lease(self, name):
        return self.secrets[name]

    def output(self, stream, data):
        pass

    async def started(self, pid, ticks):
        raise AssertionError("no child here")

    def lease_ok(self):
        return self.held


class Hand:
    """One person's way to the actions of one cluster."""

    def __init__(self, http, cluster, token="admin-token", **attributes):
        self.actions = {action.name: action for action in kube_actions(http)}
        self.cluster, self.secrets = cluster, {"target.kube_token": token}
        self.attributes = {"kube_server": cluster.url, "kube_ca": cluster.ca_pem, **attributes}

    async def do(self, verb, key="k1", run="run_1", timeout_ms=20_000, held=True, **arguments):
        target = Target(
            ref="component:default/web",
            kind="Component",
            name="web",
            digest="d",
            reach="kube",
            attributes=self.attributes,
            addresses=("kube_server",),
        )
        invocation = Invocation(
            run=run,
            decision="dec_1",
            incident="",
            runbook="shop/x",
            step="a",
            attempt=1,
            key=key,
            fence=1,
            arguments=arguments,
            timeout_ms=timeout_ms,
            intent_at=AT,
            target=target,
            via=Via.KUBE,
            secrets={name: SecretRef(store="file", path="x") for name in self.secrets},
        )
        return await self.actions[f"kube.{verb}"].perform(invocation, Surroundings(self.secrets, held))


WEB = {"namespace": "shop", "kind": "Deployment", "name": "web"}


# -- restart -----------------------------------------------------------------------------------------


async def test_a_restart_changes_the_template_once_for_one_step(http, cluster):
    await cluster.put(deployment())
    hand = Hand(http, cluster)
    before = (await cluster.get("Deployment", "shop", "web"))["metadata"]["generation"]
    first = await hand.do("rollout_restart", **WEB)
    again = await hand.do("rollout_restart", **WEB)
    found = await cluster.get("Deployment", "shop", "web")
    assert (first["already"], again["already"]) == (False, True)
    assert found["metadata"]["generation"] == before + 1
    assert found["spec"]["template"]["metadata"]["annotations"]["watchkeeper.dev/restart"] == "k1"
    assert found["metadata"]["annotations"]["watchkeeper.dev/run"] == "run_1"
    assert found["metadata"]["annotations"]["watchkeeper.dev/actor"] == "automation"
    await hand.do("rollout_restart", key="k2", **WEB)
    assert (await cluster.get("Deployment", "shop", "web"))["metadata"]["generation"] == before + 2


async def test_a_restart_is_found_again_after_a_later_one(http, cluster):
    """The key of the first step stands in a ReplicaSet only: somebody else restarted it since."""
    made = await cluster.put(deployment())
    hand = Hand(http, cluster)
    assert (await hand.do("rollout_observed", since="x", **WEB))["happened"] is False
    await hand.do("rollout_restart", **WEB)
    assert (await hand.do("rollout_observed", since="x", **WEB))["happened"] is True
    old = await cluster.get("Deployment", "shop", "web")
    await cluster.put(
        {
            "kind": "ReplicaSet",
            "metadata": {
                "name": "web-1",
                "namespace": "shop",
                "labels": LABELS,
                "ownerReferences": [owner("Deployment", "web", made["metadata"]["uid"])],
            },
            "spec": {"replicas": 0, "selector": {"matchLabels": LABELS}, "template": old["spec"]["template"]},
        }
    )
    await hand.do("rollout_restart", key="k2", **WEB)
    assert (await hand.do("rollout_observed", since="x", **WEB))["happened"] is True
    generation = (await cluster.get("Deployment", "shop", "web"))["metadata"]["generation"]
    assert (await hand.do("rollout_restart", **WEB))["already"] is True
    assert (await cluster.get("Deployment", "shop", "web"))["metadata"]["generation"] == generation
    seen = await hand.do("rollout_observed", key="k3", since="x", **WEB)
    assert (seen["happened"], seen["why"]) == (False, "no template of Deployment web carries this step's restart")


async def test_a_stateful_set_remembers_by_its_revisions(http, cluster):
    spec = {"serviceName": "db", "replicas": 1, "selector": {"matchLabels": LABELS}, "template": TEMPLATE}
    made = await cluster.put({"kind": "StatefulSet", "metadata": {"name": "db", "namespace": "shop"}, "spec": spec})
    kept = {**TEMPLATE, "metadata": {**TEMPLATE["metadata"], "annotations": {"watchkeeper.dev/restart": "k1"}}}
    by = [owner("StatefulSet", "db", made["metadata"]["uid"])]
    await cluster.put(
        {
            "kind": "ControllerRevision",
            "metadata": {"name": "db-1", "namespace": "shop", "labels": LABELS, "ownerReferences": by},
            "revision": 1,
            "data": {"spec": {"template": kept}},
        }
    )
    seen = await Hand(http, cluster).do("rollout_observed", namespace="shop", kind="StatefulSet", name="db", since="x")
    assert seen["happened"] is True


async def test_what_would_not_restart_is_not_touched(http, cluster):
    await cluster.put(deployment(paused=True))
    with pytest.raises(Rejected, match=r"its rollouts are paused"):
        await Hand(http, cluster).do("rollout_restart", **WEB)
    spec = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE, "updateStrategy": {"type": "OnDelete"}}
    await cluster.put({"kind": "DaemonSet", "metadata": {"name": "log", "namespace": "shop"}, "spec": spec})
    with pytest.raises(Rejected, match=r"only when they are deleted"):
        await Hand(http, cluster).do("rollout_restart", namespace="shop", kind="DaemonSet", name="log")


# -- scale, status -----------------------------------------------------------------------------------


async def test_scale_says_what_stood_there_before_also_when_repeated(http, cluster):
    await cluster.put(deployment())
    hand = Hand(http, cluster)
    first = await hand.do("scale", replicas=5, **WEB)
    again = await hand.do("scale", replicas=5, **WEB)
    assert (first["before"], first["already"]) == (3, False)
    assert (again["before"], again["already"]) == (3, True)
    back = await hand.do("scale", key="undo", replicas=first["before"], **WEB)
    assert (back["before"], (await cluster.get("Deployment", "shop", "web"))["spec"]["replicas"]) == (5, 3)


@pytest.mark.parametrize("replicas", [-1, 10_001, "3", True, None])
async def test_a_number_of_replicas_is_one(http, small, replicas):
    with pytest.raises(Rejected, match=r"replicas: expected a number within 0 and 10000"):
        await Hand(http, small).do("scale", replicas=replicas, **WEB)
    assert small.calls == []


async def test_status_says_how_far_it_is_and_waits_for_what_is_expected(http, cluster):
    await cluster.put(deployment())
    hand = Hand(http, cluster)
    with pytest.raises(Unavailable, match=r"rolled_out is False, not yet True"):
        await hand.do("status", expect={"rolled_out": True}, **WEB)
    await cluster.remove("Deployment", "shop", "web")
    numbers = {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3, "observedGeneration": 1}
    await cluster.put({**deployment(), "status": numbers})
    seen = await hand.do("status", expect={"rolled_out": True}, **WEB)
    assert (seen["replicas"], seen["updated"], seen["ready"], seen["observed"]) == (3, 3, 3, True)
    with pytest.raises(Rejected, match=r"a Deployment has no 'rolled'"):
        await hand.do("status", expect={"rolled": True}, **WEB)


# -- pods and nodes ----------------------------------------------------------------------------------


async def test_a_pod_is_deleted_with_the_tag_of_who_did_it(http, cluster):
    await cluster.put(pod("web-0", by=BY_SET))
    seen = await Hand(http, cluster).do("delete_pod", namespace="shop", name="web-0", grace_s=20)
    found = await cluster.get("Pod", "shop", "web-0")
    assert "deletionTimestamp" in found["metadata"]
    assert found["metadata"]["annotations"]["watchkeeper.dev/run"] == "run_1"
    assert seen["uid"] == found["metadata"]["uid"]
    again = await Hand(http, cluster).do("delete_pod", namespace="shop", name="web-0")
    assert again["already"] is True


async def test_a_cordon_is_taken_back_by_the_run_that_made_it_only(http, cluster):
    await cluster.put(node())
    hand = Hand(http, cluster)
    first = await hand.do("cordon", name="n1")
    again = await hand.do("cordon", name="n1")
    assert (first["before"], first["already"], again["already"]) == (False, False, True)
    assert (await cluster.get("Node", "", "n1"))["spec"]["unschedulable"] is True
    with pytest.raises(Rejected, match=r"was cordoned by run_1, not by this run"):
        await hand.do("cordon", run="run_2", name="n1", cordoned=False)
    back = await hand.do("cordon", name="n1", cordoned=False)
    assert (back["cordoned"], back["already"]) == (False, False)
    found = await cluster.get("Node", "", "n1")
    assert not found["spec"].get("unschedulable")
    assert "watchkeeper.dev/cordoned-by" not in found["metadata"]["annotations"]


async def test_a_node_that_a_person_cordoned_stays_so(http, cluster):
    await cluster.put(node(unschedulable=True))
    with pytest.raises(Rejected, match=r"was cordoned by a person"):
        await Hand(http, cluster).do("cordon", name="n1", cordoned=False)
    back = await Hand(http, cluster).do("cordon", name="n1", cordoned=False, anybody=True)
    assert back["cordoned"] is False


async def test_a_drain_evicts_what_it_moves_and_leaves_the_rest(http, cluster):
    await cluster.put(node(unschedulable=True))
    for n in range(2):
        await cluster.put(pod(f"web-{n}", by=BY_SET))
    await cluster.put(pod("log-1", by=("DaemonSet", "log", "22222222-2222-2222-2222-222222222222")))
    await cluster.put(pod("done", phase="Succeeded"))
    task = asyncio.create_task(Hand(http, cluster).do("drain", name="n1"))

    async def going(name):
        found = await cluster.get("Pod", "shop", name)
        return found is None or "deletionTimestamp" in found["metadata"]

    for name in ("web-0", "web-1"):
        while not await going(name):
            await asyncio.sleep(0.02)
        await cluster.remove("Pod", "shop", name)  # as the node's kubelet does once it has ended
    seen = await task
    assert (seen["evicted"], seen["left"]) == (2, 0)
    assert "deletionTimestamp" not in (await cluster.get("Pod", "shop", "log-1"))["metadata"]


async def test_a_drain_never_passes_a_budget_and_says_who_is_left(http, cluster):
    await cluster.put(node(unschedulable=True))
    await cluster.put(pod("web-0", by=BY_SET))
    await cluster.put(
        {
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": LABELS}},
            "status": {
                "disruptionsAllowed": 0,
                "currentHealthy": 1,
                "desiredHealthy": 1,
                "expectedPods": 1,
                "observedGeneration": 1,
            },
        }
    )
    with pytest.raises(Unavailable, match=r"1 pods still stand on it: shop/web-0; .*429 Cannot evict pod"):
        await Hand(http, cluster).do("drain", name="n1", timeout_ms=1_500)
    assert "deletionTimestamp" not in (await cluster.get("Pod", "shop", "web-0"))["metadata"]


async def test_a_node_that_takes_pods_is_not_drained(http, cluster):
    await cluster.put(node())
    with pytest.raises(Rejected, match=r"cordon it first, in a step of its own that can be undone"):
        await Hand(http, cluster).do("drain", name="n1")


@pytest.mark.parametrize(
    ("lost", "flag", "words"),
    [
        (pod("bare"), "unmanaged", "nothing would make it again"),
        (pod("web-1", by=BY_SET, volumes=[{"name": "v", "emptyDir": {}}]), "empty_dir", "its emptyDir would be lost"),
    ],
)
async def test_what_would_be_lost_stops_a_drain_before_its_first_eviction(http, cluster, lost, flag, words):
    await cluster.put(node(unschedulable=True))
    await cluster.put(pod("web-0", by=BY_SET))
    await cluster.put(lost)
    with pytest.raises(Rejected, match=words):
        await Hand(http, cluster).do("drain", name="n1")
    assert "deletionTimestamp" not in (await cluster.get("Pod", "shop", "web-0"))["metadata"]
    with pytest.raises(Unavailable, match=r"2 pods still stand on it"):
        await Hand(http, cluster).do("drain", name="n1", timeout_ms=1_200, **{flag: True})


# -- rights and errors -------------------------------------------------------------------------------

LEAST = (
    ("apps", "deployments", "get"),
    ("apps", "deployments", "patch"),
    ("apps", "replicasets", "list"),
)


async def test_the_least_rights_do_and_less_is_refused(http, cluster):
    """What the page tells to grant is enough for a restart, and a pod may not be touched with it."""
    await cluster.put(deployment())
    await cluster.put(pod("web-0", by=BY_SET))
    cluster.allow(*LEAST)
    weak = Hand(http, cluster, token="weak-token")
    assert (await weak.do("rollout_restart", key="weak", **WEB))["already"] is False
    with pytest.raises(Rejected, match=r'cannot get resource "pods".*give its account a Role'):
        await weak.do("delete_pod", namespace="shop", name="web-0")
    with pytest.raises(Rejected, match=r"401 .*does not know this credential"):
        await Hand(http, cluster, token="nobody").do("status", **WEB)


async def test_what_is_not_there_is_refused(http, cluster):
    with pytest.raises(Rejected, match=r'404 deployments.* "web" not found'):
        await Hand(http, cluster).do("rollout_restart", **WEB)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"namespace": "shop", "kind": "Deployment", "name": "../x"}, "is not the name of an object"),
        ({"namespace": "a/b", "kind": "Deployment", "name": "x"}, "is not the name of an object"),
        ({"namespace": "shop", "kind": "Secret", "name": "x"}, "is not among Deployment"),
        ({"namespace": "shop", "kind": "Deployment"}, "is not the name of an object"),
    ],
)
async def test_a_name_is_one_part_of_a_path(http, small, arguments, words):
    with pytest.raises(Rejected, match=words):
        await Hand(http, small).do("rollout_restart", **arguments)
    assert small.calls == []


async def test_somebody_was_quicker_so_nothing_is_done(http, small):
    await small.put(deployment())
    small.break_next = "409"
    with pytest.raises(Unavailable, match=r"409 .*nothing was done"):
        await Hand(http, small).do("scale", replicas=4, **WEB)


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ("before", InDoubt),
        ("after", InDoubt),
        ("500", InDoubt),
        ("504", InDoubt),
        ("503", Unavailable),
        ("422", Rejected),
    ],
)
async def test_what_is_known_of_a_change_that_breaks(http, small, broken, error):
    await small.put(deployment())
    hand = Hand(http, small)
    small.break_next = broken
    with pytest.raises(error):
        await hand.do("rollout_restart", **WEB)
    happened = (await hand.do("rollout_observed", since="x", **WEB))["happened"]
    assert happened is (broken == "after")
    assert (await hand.do("rollout_restart", **WEB))["already"] is happened


async def test_a_lost_lease_is_seen_before_the_change(http, small):
    await small.put(deployment())
    with pytest.raises(Unavailable, match=r"lost its lease"):
        await Hand(http, small).do("scale", held=False, replicas=1, **WEB)
    assert all(method == "GET" for method, _ in small.calls)


async def test_another_authority_is_not_trusted(http, small):
    async with KubeServer() as other:
        hand = Hand(http, small, kube_ca=other.ca_pem)
        with pytest.raises(Untrusted):
            await hand.do("status", **WEB)
    assert small.calls == []


# -- credentials -------------------------------------------------------------------------------------


def kubeconfig(cluster, **changed):
    user = {"token": "admin-token", **changed.pop("user", {})}
    data = base64.b64encode(cluster.ca_pem.encode()).decode()
    where = {"server": cluster.url, "certificate-authority-data": data, **changed}
    return json.dumps(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": where}],
            "users": [{"name": "u", "user": user}],
        }
    )


async def with_kubeconfig(http, cluster, text):
    hand = Hand(http, cluster, kube_ca="")
    hand.secrets = {"target.kubeconfig": text}
    return await hand.do("status", **WEB)


async def test_a_kubeconfig_brings_its_credential(http, cluster):
    await cluster.put(deployment())
    assert (await with_kubeconfig(http, cluster, kubeconfig(cluster)))["name"] == "web"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"server": "https://elsewhere:6443"}, "its server is not the entity's kube_server"),
        ({"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify is not taken"),
        ({"certificate-authority": "/etc/ca"}, "certificate-authority is not taken"),
        ({"user": {"exec": {"command": "aws"}}}, "user.exec is not taken"),
        ({"user": {"tokenFile": "/x"}}, "user.tokenFile is not taken"),
        ({"user": {"token": ""}}, "no token and no client certificate"),
    ],
)
async def test_a_kubeconfig_brings_no_other_server_and_no_program(http, small, changed, words):
    with pytest.raises(Rejected, match=words):
        await with_kubeconfig(http, small, kubeconfig(small, **changed))
    assert small.calls == []


async def test_a_client_certificate_signs_in_and_never_touches_a_disk(http, small):
    await small.put(deployment())
    mine = small.ca.issue_cert("automation")
    hand = Hand(http, small)
    hand.secrets = {
        "target.kube_certificate": mine.cert_chain_pems[0].bytes().decode(),
        "target.kube_key": mine.private_key_pem.bytes().decode(),
    }
    assert (await hand.do("status", **WEB))["name"] == "web"


async def test_without_a_credential_nobody_is_dialled(http, small):
    hand = Hand(http, small)
    hand.secrets = {}
    with pytest.raises(Rejected, match=r"no credential for its cluster: add attr.kube_token"):
        await hand.do("status", **WEB)
    assert small.calls == []


async def test_a_credential_of_the_step_comes_first(http, small):
    await small.put(deployment())
    hand = Hand(http, small, token="wrong")
    hand.secrets["mine"] = "admin-token"
    assert (await hand.do("status", auth={"token": {"secret": "mine"}}, **WEB))["name"] == "web"
    with pytest.raises(Rejected, match=r"a credential is a reference"):
        await hand.do("status", auth={"token": "admin-token"}, **WEB)
