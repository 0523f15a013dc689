"""The risk class: a corpus with known classes, and what authors hide."""

import pytest
from packs_material import SIMPLE, changed, packs

from watchkeeper.packs.rule import Risk

AT = "packs/payments/runbooks/look.yaml"
HEAD = """\
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: look, owner: group:payments-sre}
spec:
  permissions: [{do: http.request}, {do: command.run, programs: [x]}, {do: service.restart}, {do: service.stop}, {do: service.start}, {do: service.status}, {do: kube.drain, names: [n]}, {do: kube.scale, names: [n]}]
"""


def load(steps, head=HEAD):
    return packs({**SIMPLE, AT: head + "  steps:\n" + "".join(f"    - {step}\n" for step in steps)})


def classed(*steps, head=HEAD):
    found = load(steps, head)
    assert not [one for one in found.problems if one.severity == "error" and "programs" not in one.message], [
        str(p) for p in found.problems
    ]
    return found.rulebook.runbooks["payments/look"]


OPEN = HEAD.replace("{do: command.run, programs: [x]}", "{do: command.run}")

CORPUS = [
    ('{id: a, do: http.request, with: {url: "http://a/"}}', Risk.LOW, "only reads"),
    ("{id: a, do: service.status, with: {unit: x}}", Risk.LOW, "only reads"),
    ("{id: a, verify: {http: a}}", Risk.LOW, "only reads"),
    ("{id: a, do: wait, with: {for: 5s}}", Risk.LOW, "only reads"),
    ("{id: a, do: notify, with: {text: x}}", Risk.LOW, "only reads"),
    ("{id: a, do: service.restart, with: {unit: x}}", Risk.MEDIUM, "step a changes something (service.restart)"),
    (
        "{id: a, do: http.request, with: {url: x, method: post}, effect: idempotent}",
        Risk.MEDIUM,
        "step a changes something (HTTP POST)",
    ),
    (
        "{id: a, do: http.request, with: {url: x, method: POST}}",
        Risk.MEDIUM,
        "step a can be neither repeated nor undone",
    ),
    ("{id: a, do: http.request, with: {url: x, method: DELETE}}", Risk.HIGH, "step a deletes (HTTP DELETE)"),
    (
        '{id: a, do: http.request, with: {url: x, method: "${alert.labels.m}"}}',
        Risk.HIGH,
        "decides its HTTP method only when it runs",
    ),
    ("{id: a, do: service.stop, with: {unit: x}}", Risk.HIGH, "takes away (service.stop) and has no undo"),
    (
        "{id: a, do: service.stop, with: {unit: x}, undo: {do: service.start, with: {unit: x}}}",
        Risk.MEDIUM,
        "step a takes away (service.stop)",
    ),
    ("{id: a, do: kube.drain, with: {name: n}}", Risk.HIGH, "takes away (kube.drain)"),
    (
        "{id: a, do: kube.scale, with: {namespace: s, kind: Deployment, name: n, replicas: 1}}",
        Risk.MEDIUM,
        "kube.scale",
    ),
    (
        "{id: a, do: kube.scale, with: {namespace: s, kind: Deployment, name: n, replicas: 0}}",
        Risk.HIGH,
        "step a takes away (kube.scale to 0) and has no undo",
    ),
    (
        "{id: a, foreach: {in: targets}, steps: [{id: b, do: service.restart, with: {unit: x}}]}",
        Risk.HIGH,
        "goes on over many targets whatever happens",
    ),
    (
        "{id: a, foreach: {in: targets, stop: {failed: 1}}, steps: [{id: b, do: service.restart, with: {unit: x}}]}",
        Risk.MEDIUM,
        "step a acts on many targets",
    ),
    ("{id: a, foreach: {in: targets}, steps: [{id: b, verify: {http: a}}]}", Risk.LOW, "only reads"),
]


@pytest.mark.parametrize(("step", "risk", "reason"), CORPUS)
def test_the_corpus(step, risk, reason):
    found = classed(step)
    assert found.risk is risk
    assert any(reason in one for one in found.risk_reasons), found.risk_reasons


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ("[rm, -rf, /var/data]", "removes files"),
        ("[rm, -r, -f, /var/data]", "removes files"),
        ("[/bin/rm, --verbose, -fr, /]", "removes files"),
        ("[sh, -c, uptime]", "hands text to a shell (sh)"),
        ("[/usr/bin/env, X=1, /bin/BASH, -c, uptime]", "hands text to a shell (bash)"),
        ("[timeout, '5', dash, -c, ls]", "hands text to a shell (dash)"),
        ("[python3, -c, print(1)]", "hands code to an interpreter (python3)"),
        ("[perl, -ne, x]", "hands code to an interpreter (perl)"),
        ("[sudo, systemctl, restart, web]", "takes privileges (sudo)"),
        ("[ssh, web-1, uptime]", "on another machine (ssh)"),
        ("[psql, --command, DROP TABLE orders]", "drops data (DROP)"),
        ("[psql, --command, delete from orders]", "deletes rows"),
        ("[redis-cli, FLUSHALL]", "empties a database"),
        ("[kubectl, -n, prod, delete, pod, x]", "deletes in a cluster"),
        ("[terraform, destroy]", "changes infrastructure"),
        ("[aws, ec2, terminate-instances]", "deletes in a cloud"),
        ("[dd, if=/dev/zero, of=/dev/sda]", "overwrites a disk"),
        ("[find, /data, -mtime, '+5', -delete]", "find -delete"),
        ("[chmod, -R, '777', /]", "changes who may read"),
        ("[iptables, -F]", "opens a firewall"),
        ("[shutdown, -h, now]", "stops or restarts a machine"),
        ("['curl http://x | sh']", "runs what it downloads"),
        ("['${target.unit}', x]", "decides its program only when it runs"),
        ("[x, 'echo cm0gLXJmIC8= | base64 -d | x']", "base64"),
        ("[kill, '-9', '1']", "kills processes"),
        ("[git, push, --force]", "rewrites history"),
    ],
)
def test_what_a_command_hides(argv, reason):
    found = classed(f"{{id: a, do: command.run, with: {{argv: {argv}}}}}", head=OPEN)
    assert found.risk is Risk.HIGH
    assert any(reason in one for one in found.risk_reasons), found.risk_reasons


@pytest.mark.parametrize(
    "argv",
    [
        "[systemctl, restart, web]",
        "[journalctl, -u, web]",
        "[ls, -l, /tmp]",
        "[rmarkdown, x]",
        "[firmware, --force]",
        "[echo, dropped table]",
    ],
)
def test_a_plain_command_is_of_medium_risk(argv):
    assert classed(f"{{id: a, do: command.run, with: {{argv: {argv}}}}}", head=OPEN).risk is Risk.MEDIUM


def test_a_destructive_word_in_any_argument_counts():
    body = '{id: a, do: http.request, with: {url: x, method: POST, json: {jobs: [{run: [{cmd: "rm -rf /data"}]}]}}}'
    found = classed(body)
    assert found.risk is Risk.HIGH
    assert "step a removes files (rm -r, rm -f)" in found.risk_reasons
    split = "{id: a, do: http.request, with: {url: x, method: POST, json: [[rm, -rf, /data]]}}"
    assert classed(split).risk is Risk.HIGH


def test_the_undo_and_the_check_are_looked_at_too():
    undo = "{id: a, do: service.restart, with: {unit: x}, undo: {do: command.run, with: {argv: [sh, -c, x]}}}"
    assert "the undo of step a hands text to a shell (sh)" in classed(undo, head=OPEN).risk_reasons
    check = "{id: a, do: service.restart, with: {unit: x}, check: {do: command.run, with: {argv: [sh, -c, x]}}}"
    assert "the check of step a hands text to a shell (sh)" in classed(check, head=OPEN).risk_reasons
    verify = "{id: a, verify: {command: [sh, -c, x]}}"
    assert classed(verify).risk is Risk.HIGH


def test_steps_inside_groups_count():
    inside = "{id: p, parallel: {}, steps: [{id: a, do: service.stop, with: {unit: x}}]}"
    assert classed(inside).risk is Risk.HIGH


def test_a_permission_without_bounds_counts():
    found = classed("{id: a, verify: {http: a}}", head=OPEN)
    assert found.risk is Risk.MEDIUM
    assert found.risk_reasons == ("may run any program: its permission for command.run names none",)


def test_a_permission_of_a_cluster_without_names_counts():
    head = HEAD.replace("{do: kube.drain, names: [n]}", "{do: kube.drain}")
    found = classed('{id: a, do: http.request, with: {url: "http://a/"}}', head=head)
    assert (found.risk, found.risk_reasons[0]) == (
        Risk.MEDIUM,
        "may act on any name: its permission for kube.drain names none",
    )


def test_a_failover_is_of_high_risk():
    found = classed("{id: a, verify: {http: a}}", head=HEAD + "  failover: true\n")
    assert (found.risk, found.failover) == (Risk.HIGH, True)


def test_an_author_may_raise_it():
    found = classed("{id: a, verify: {http: a}}", head=HEAD + "  risk: high\n")
    assert found.risk is Risk.HIGH
    assert found.risk_reasons[0] == "its author says high"


def test_an_author_may_not_lower_it():
    found = load(["{id: a, do: service.stop, with: {unit: x}}"], HEAD + "  risk: medium\n")
    assert [problem.message for problem in found.problems] == [
        "is high, because step a takes away (service.stop) and has no undo: it may be raised and not lowered to medium"
    ]
    assert (found.problems[0].line, found.problems[0].column) == (6, 9)


def test_a_shell_string_is_told_how_to_be_written():
    found = load(["{id: a, do: command.run, with: {argv: rm -rf /}}"], OPEN)
    assert "argv is a list of words" in found.problems[0].message
    assert changed("ab", "b", "c") == "ac"
