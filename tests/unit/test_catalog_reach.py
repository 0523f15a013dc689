"""What an entity's attributes say about the way in, and what is said when one is missing or wrong."""

import pytest

from watchkeeper.catalog.reach import (
    HOST_KEYS_MAX,
    KubeWay,
    Lacking,
    Reference,
    SshWay,
    kube_way,
    lacking,
    read_pins,
    reference_of,
    references,
    ssh_way,
)

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0hUCj1x9Zp0V1B8k3b0yq0p4bZ7m0cVYc1n6m2s3d4"
SSH = {"host": "web-1.example", "host_key": HOST_KEY}
KUBE = {"kube_server": "https://10.0.0.1:6443"}


def test_the_least_there_must_be_and_what_stands_in_for_the_rest():
    way = ssh_way(SSH, ("host",))
    assert isinstance(way, SshWay)
    assert (way.host, way.port, way.user, way.sudo) == ("web-1.example", 22, "watchkeeper", False)
    assert [pin.authority for pin in way.pins] == [False]


def test_everything_may_be_said():
    more = {"ssh_port": "2222", "ssh_user": "ops", "ssh_sudo": "true"}
    way = ssh_way(
        {**SSH, **more, "host": "[2001:db8::1]", "host_key": f"cert-authority {HOST_KEY} ca, {HOST_KEY}"}, ("host",)
    )
    assert (way.host, way.port, way.user, way.sudo) == ("2001:db8::1", 2222, "ops", True)
    assert [pin.authority for pin in way.pins] == [True, False]


@pytest.mark.parametrize(
    ("changed", "addresses", "attribute", "words"),
    [
        ({"host": ""}, ("host",), "host", "no host that may be dialled"),
        ({}, (), "host", "no host that may be dialled"),
        ({"host": "web;id"}, ("host",), "host", "is no name or address"),
        ({"host": "-oProxyCommand=x"}, ("host",), "host", "is no name or address"),
        ({"host": "web-1:22"}, ("host",), "host", "the port stands in ssh_port"),
        ({"ssh_port": "0"}, ("host",), "ssh_port", "is not within 1 and 65535"),
        ({"ssh_port": "65536"}, ("host",), "ssh_port", "is not within 1 and 65535"),
        ({"ssh_user": "a b"}, ("host",), "ssh_user", "is not the name of a user"),
        ({"ssh_sudo": "yes"}, ("host",), "ssh_sudo", "write true or false"),
        ({"host_key": ""}, ("host",), "host_key", "no pinned host key: no step connects"),
        ({"host_key": "SHA256:abc"}, ("host",), "host_key", "is no public key"),
        ({"host_key": "ssh-rsa " + HOST_KEY.split()[1]}, ("host",), "host_key", "is no public key"),
        ({"host_key": "ssh-ed25519 %%%"}, ("host",), "host_key", "is no public key"),
    ],
)
def test_what_is_missing_or_wrong_is_named(changed, addresses, attribute, words):
    found = ssh_way({**SSH, **changed}, addresses)
    assert isinstance(found, Lacking)
    assert found.attribute == attribute
    assert words in found.why


@pytest.mark.parametrize(("count", "fine"), [(HOST_KEYS_MAX, True), (HOST_KEYS_MAX + 1, False)])
def test_a_host_has_so_many_keys_and_no_more(count, fine):
    assert isinstance(read_pins(", ".join([HOST_KEY] * count)), tuple) is fine


def test_a_fingerprint_is_the_one_that_ssh_keygen_shows():
    (pin,) = read_pins(HOST_KEY)
    assert pin.fingerprint == "SHA256:fuGCGYHtF6CyqwukPUKi0bLV0pEbaxX4xxVzzqSGUe8"


def test_a_cluster_is_reached_by_https_at_a_declared_address():
    assert kube_way(KUBE, ("kube_server",)) == KubeWay(server="https://10.0.0.1:6443")
    assert kube_way({**KUBE, "kube_ca": "-----BEGIN CERTIFICATE-----"}, ("kube_server",)).ca.startswith("-----")
    assert kube_way({**KUBE, "kube_ca": "secret:ca"}, ("kube_server",)).ca == ""


@pytest.mark.parametrize(
    ("server", "addresses", "words"),
    [
        ("https://10.0.0.1:6443", (), "no API server that may be dialled"),
        ("", ("kube_server",), "no API server that may be dialled"),
        ("http://10.0.0.1:6443", ("kube_server",), "is no https URL"),
        ("https://u@10.0.0.1", ("kube_server",), "is no https URL"),
        ("https://10.0.0.1?x=1", ("kube_server",), "is no https URL"),
        ("https://10.0.0.1:99999", ("kube_server",), "is no https URL"),
    ],
)
def test_what_is_no_way_to_a_cluster_is_named(server, addresses, words):
    found = kube_way({"kube_server": server}, addresses)
    assert isinstance(found, Lacking)
    assert words in found.why


def test_only_ways_that_need_something_can_lack_something():
    assert lacking("ssh", {}, ()).attribute == "host"
    assert lacking("kube", {}, ()).attribute == "kube_server"
    assert lacking("api", {}, ()) is None
    assert lacking("ssh", SSH, ("host",)) is None


def test_where_a_secret_is_kept():
    assert reference_of("secret:ssh-key") == Reference(store="file", path="ssh-key")
    assert reference_of("env:SSH_KEY") == Reference(store="env", path="SSH_KEY")
    assert reference_of("hunter2") is None
    assert list(references({"ssh_key": "secret:k", "kube_ca": "-----BEGIN", "unit": "env:X"})) == ["ssh_key"]
