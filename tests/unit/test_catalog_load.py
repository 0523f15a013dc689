"""Entity files to a catalogue: Backstage's own shapes, our annotations, and everything that does not hold together."""

import pytest

from watchkeeper.catalog.catalog import by_ref
from watchkeeper.catalog.entity import Automation, EntityKind, Honour, Reach, Redundancy, resolve
from watchkeeper.catalog.load import load
from watchkeeper.documents import ProblemSeverity, parse

# The shapes of Backstage's "Descriptor Format of Catalog Entities".
BACKSTAGE = """
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: artist-web
  description: The place to be, for great artists
  labels:
    example.com/custom: custom_label_value
  annotations:
    example.com/service-discovery: artistweb
    circleci.com/project-slug: github/example-org/artist-website
  tags: [java]
  links:
    - url: https://admin.example-org.com
      title: Admin Dashboard
      icon: dashboard
      type: admin-dashboard
spec:
  type: website
  lifecycle: production
  owner: artist-relations-team
  system: public-websites
  dependsOn: ['resource:default/artists-db', component:artist-auth]
  consumesApis: [artist-api]
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: artist-auth}
spec: {type: service, lifecycle: production, owner: artist-relations-team, providesApis: [artist-api], subcomponentOf: artist-web}
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: artist-api, description: Retrieve artist details}
spec:
  type: openapi
  lifecycle: production
  owner: artist-relations-team
  system: public-websites
  definition: |
    openapi: "3.0.0"
    info: {version: 1.0.0, title: Artist API}
    # curl -H 'Authorization: Bearer 0123456789abcdef0123'
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: infrastructure, description: The infra business unit}
spec:
  type: business-unit
  profile: {displayName: Infrastructure, email: infrastructure@example.com, picture: https://example.com/x.svg}
  children: [artist-relations-team]
  members: [jdoe]
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: artist-relations-team}
spec: {type: team, parent: infrastructure, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: jdoe}
spec:
  profile: {displayName: Jenny Doe, email: jenny-doe@example.com}
  memberOf: [artist-relations-team, 'group:default/infrastructure']
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {name: artists-db, description: Stores artist details}
spec: {type: database, owner: artist-relations-team, system: public-websites}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: public-websites}
spec: {owner: artist-relations-team, domain: artists}
---
apiVersion: backstage.io/v1beta1
kind: Domain
metadata: {name: artists}
spec: {owner: artist-relations-team}
"""

HEAD = "apiVersion: backstage.io/v1alpha1\n"
TEAM = HEAD + "kind: Group\nmetadata: {name: sre}\nspec: {type: team, children: []}\n---\n"


def loaded(text: str):
    catalog, problems = load(parse("catalog/all.yaml", text.encode()))
    return catalog, [str(p).removeprefix("catalog/all.yaml:") for p in problems]


def resource(name: str = "pay-1", annotations: str = "", spec: str = "") -> str:
    return (
        f"{HEAD}kind: Resource\nmetadata:\n  name: {name}\n  annotations: {{{annotations}}}\n"
        f"spec: {{type: vm, owner: sre{spec}}}\n---\n"
    )


def annotated(annotations: str):
    catalog, problems = loaded(TEAM + resource(annotations=annotations))
    return catalog.entities["resource:default/pay-1"], problems


def test_backstage_examples_are_read_as_they_are():
    catalog, problems = loaded(BACKSTAGE)
    assert problems == []
    web = catalog.entities["component:default/artist-web"]
    assert (web.kind, web.type, web.lifecycle) == (EntityKind.COMPONENT, "website", "production")
    assert web.owner == "group:default/artist-relations-team"
    assert web.system == "system:default/public-websites"
    assert web.depends_on == ("component:default/artist-auth", "resource:default/artists-db")
    assert web.consumes_apis == ("api:default/artist-api",)
    assert web.labels == {"example.com/custom": "custom_label_value"}
    assert web.keys == {}
    assert (web.reach, web.automation, web.sla_ppm) == (None, Automation.REALTIME, None)
    assert (web.file, web.line) == ("catalog/all.yaml", 2)
    assert catalog.entities["user:default/jdoe"].email == "jenny-doe@example.com"


def test_a_part_without_a_system_lies_in_that_of_its_whole():
    catalog, _ = loaded(BACKSTAGE)
    auth = catalog.entities["component:default/artist-auth"]
    assert (auth.part_of, auth.system) == ("component:default/artist-web", "system:default/public-websites")


def test_our_annotations_are_typed():
    entity, problems = annotated(
        "watchkeeper.dev/environment: prod, watchkeeper.dev/region: eu-west, watchkeeper.dev/tier: gold, "
        "watchkeeper.dev/sla: 99.95%, watchkeeper.dev/automation: delayed, watchkeeper.dev/reach: ssh, "
        "watchkeeper.dev/alias: 'pay, pay-eu ,,pay', watchkeeper.dev/attr.host: 10.0.0.1, "
        "watchkeeper.dev/attr.host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0hUCj1x9Zp0V1B8k3b0yq0p4bZ7m0cVYc1n6m2s3d4, watchkeeper.dev/attr.unit: pay.service, "
        "watchkeeper.dev/address: 'attr.host', watchkeeper.dev/honours: 'fencing-token, idempotency-key', "
        "watchkeeper.dev/instance: 'pay-1:8080', watchkeeper.dev/status-probe: pay-status, other.dev/x: y, "
        "watchkeeper.dev/redundancy: 1 of 3"
    )
    assert problems == []
    assert (entity.environment, entity.region, entity.tier, entity.sla_ppm) == ("prod", "eu-west", "gold", 999_500)
    assert (entity.automation, entity.reach) == (Automation.DELAYED, Reach.SSH)
    assert entity.aliases == ("pay", "pay-eu")
    assert entity.attrs == {
        "host": "10.0.0.1",
        "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL0hUCj1x9Zp0V1B8k3b0yq0p4bZ7m0cVYc1n6m2s3d4",
        "unit": "pay.service",
    }
    assert entity.address == ("host",)
    assert entity.honours == (Honour.IDEMPOTENCY_KEY, Honour.FENCING_TOKEN)
    assert entity.keys["watchkeeper.dev/instance"] == "pay-1:8080"
    assert "other.dev/x" not in entity.keys
    assert (entity.status_probe, entity.redundancy) == ("pay-status", Redundancy(needed=1, members=3))


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ("watchkeeper.dev/sla: 99.9", 'watchkeeper.dev/sla"]: expected a string, got the number 99.9, quote it'),
        ("watchkeeper.dev/sla: high", "expected a percentage such as 99.9%"),
        ("watchkeeper.dev/sla: 0%", "expected more than 0%"),
        ("watchkeeper.dev/automation: realtme", "got 'realtme': did you mean 'realtime'?"),
        ("watchkeeper.dev/reach: telnet", "expected one of local, ssh, kube, agent, api, got 'telnet'"),
        ("watchkeeper.dev/reach: api", "api needs an address to dial"),
        ("watchkeeper.dev/reach: ssh, watchkeeper.dev/attr.host_key: k", "ssh needs an address to dial"),
        ("watchkeeper.dev/address: host", "names the attribute 'host', which this entity does not have: its attributes are none"),
        ("watchkeeper.dev/address: host, watchkeeper.dev/attr.host: ''", "names the attribute 'host'"),
        ("watchkeeper.dev/attr.a-b: x", "an attribute's name is of letters"),
        ("watchkeeper.dev/attr.tier: x", "target.tier already has a meaning"),
        ("watchkeeper.dev/honours: idempotency", "got 'idempotency': did you mean 'idempotency-key'?"),
        ("watchkeeper.dev/redundancy: 4 of 3", "expected for example '1 of 3'"),
        ("watchkeeper.dev/redundancy: 0 of 3", "expected for example '1 of 3'"),
        ("watchkeeper.dev/redundancy: 1 of 65", "at most 64 members"),
        ("watchkeeper.dev/environment: 'a b'", "expected a name of letters"),
        ("watchkeeper.dev/alias: '" + ",".join(f"a{i}" for i in range(65)) + "'", "expected at most 64 values"),
        ("watchkeeper.dev/attr.url: 'https://u:hunter2@h'", "this looks like a URL with a password"),
    ],
)  # fmt: skip
def test_a_bad_annotation_is_an_error_at_its_place(annotations, words):
    _, problems = annotated(annotations)
    assert len(problems) == 1
    assert problems[0].startswith("10:")
    assert words in problems[0]
    assert "warning" not in problems[0]


def test_an_ssh_target_without_a_pinned_key_is_a_warning():
    _, problems = annotated("watchkeeper.dev/reach: ssh, watchkeeper.dev/attr.host: h, watchkeeper.dev/address: host")
    assert len(problems) == 1
    assert "warning" in problems[0]
    assert "no pinned host key: no step connects to a host whose key is not in the catalogue" in problems[0]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("enviroment", "environment"),
        ("regoin", "region"),
        ("honors", "honours"),
        ("atr.host", "attr"),
        ("instnace", "instance"),
    ],
)
def test_a_misspelt_annotation_is_a_warning_with_the_known_one(name, meant):
    _, problems = annotated(f"watchkeeper.dev/{name}: x")
    assert len(problems) == 1
    assert "warning" in problems[0]
    assert problems[0].endswith(f"did you mean watchkeeper.dev/{meant}?")


def test_a_key_of_ones_own_is_fine():
    entity, problems = annotated("watchkeeper.dev/shard: s7")
    assert problems == []
    assert entity.keys == {"watchkeeper.dev/shard": "s7"}


def test_other_kinds_are_left_out_with_a_warning():
    catalog, problems = loaded(
        "apiVersion: scaffolder.backstage.io/v1beta3\nkind: Template\nmetadata: {name: x}\nspec: {}\n---\n"
        + HEAD + "kind: Componnet\nmetadata: {name: x}\nspec: {}\n"
    )  # fmt: skip
    assert catalog.entities == {}
    assert problems == [
        "2:7: warning: kind: Template is not read here and is left out: read are Component, Resource, API, System, Domain, Group, User",
        "7:7: warning: kind: Componnet is not read here and is left out: did you mean 'Component'?",
    ]


def test_another_version_of_a_known_kind_is_an_error():
    _, problems = loaded("apiVersion: watchkeeper.dev/v1\nkind: Component\nmetadata: {name: x}\nspec: {owner: sre}")
    assert problems == [
        "1:13: apiVersion: expected backstage.io/v1alpha1 or backstage.io/v1beta1, got 'watchkeeper.dev/v1'"
    ]


def test_everything_owned_says_by_whom():
    for kind in ("Component", "Resource", "API", "System", "Domain"):
        _, problems = loaded(f"{HEAD}kind: {kind}\nmetadata: {{name: x}}\nspec: {{type: y}}")
        assert problems == [
            "4:7: spec.owner: is missing: expected the team that answers for it, such as group:payments-sre"
        ]


def test_a_dependency_on_nothing_is_an_error_and_an_unknown_team_a_warning():
    _, problems = loaded(
        TEAM
        + resource("db-1")
        + resource("web", spec=", dependsOn: [resource:bd-1]")
        + resource("x").replace("sre", "sra")
    )
    assert problems == [
        "18:42: spec.dependsOn[0]: resource:default/bd-1 is not in the catalogue: did you mean 'resource:default/db-1'?",
        "25:25: warning: spec.owner: group:default/sra is not in the catalogue: did you mean 'group:default/sre'?",
    ]


def test_a_reference_must_be_one_and_say_its_kind():
    _, problems = loaded(TEAM + resource("web", spec=", dependsOn: [db, 'a b', 5]"))
    assert problems == [
        "11:42: spec.dependsOn[0]: 'db' does not say its kind; write for example component:db",
        "11:46: spec.dependsOn[1]: 'a b' is no reference; write for example component:default/cart",
        "11:53: spec.dependsOn[2]: expected a string, got the number 5, quote it",
    ]


def test_the_second_description_of_an_entity_is_refused_and_the_first_kept():
    catalog, problems = loaded(TEAM + resource("Pay") + resource("pay", "watchkeeper.dev/tier: gold"))
    assert problems == [
        "13:1: metadata.name: resource:default/pay is already described at catalog/all.yaml:6: keep one of them"
    ]
    assert by_ref(catalog, "resource:pay").tier == ""


def test_an_alias_means_one_entity():
    _, problems = loaded(
        TEAM + resource("a", "watchkeeper.dev/alias: x") + resource("b", "watchkeeper.dev/alias: 'x,a'")
    )
    assert problems == [
        """13:1: metadata.annotations["watchkeeper.dev/alias"]: the alias 'a' already means resource:default/a: an alert must name one entity""",
        """13:1: metadata.annotations["watchkeeper.dev/alias"]: the alias 'x' already means resource:default/a: an alert must name one entity""",
    ]


def test_a_name_borne_twice_is_a_warning():
    _, problems = loaded(
        TEAM
        + resource("a")
        + resource("a").replace("  name: a", "  name: a\n  namespace: eu").replace("sre", "group:default/sre")
    )
    assert len(problems) == 1
    assert "'a' is the name of resource:default/a and of resource:eu/a" in problems[0]


def test_a_cycle_is_reported_with_its_path():
    _, problems = loaded(
        TEAM
        + resource("a", spec=", dependsOn: [resource:b]")
        + resource("b", spec=", dependsOn: [resource:c]")
        + resource("c", spec=", dependsOn: [resource:a]")
        + resource("d", spec=", dependsOn: [resource:a]")
    )
    assert len(problems) == 1
    assert "resource:default/a -> resource:default/b -> resource:default/c -> resource:default/a: break" in problems[0]
    assert problems[0].startswith("6:1: warning: spec: ")


def test_redundancy_must_agree_with_the_instances_described():
    text = TEAM + resource("pay", "watchkeeper.dev/redundancy: 1 of 3")
    text += "".join(
        resource(f"pay-{i}", f"watchkeeper.dev/instance: 'p{i}'", ", dependencyOf: [resource:pay]") for i in range(2)
    )
    _, problems = loaded(text)
    assert len(problems) == 1
    assert "says 1 of 3, but 2 instances are described" in problems[0]
    assert loaded(text.replace("1 of 3", "1 of 2"))[1] == []


def test_a_misspelt_relation_is_a_warning():
    _, problems = loaded(TEAM + resource("a", spec=", dependson: [resource:b]"))
    assert problems == ["11:30: warning: spec.dependson: this field is not read: did you mean 'dependsOn'?"]


def test_documents_of_no_shape_are_problems_not_exceptions():
    for text in ("- 1", "5", "{}", HEAD + "kind: System", HEAD + "kind: User\nmetadata: []\nspec: 1"):
        catalog, problems = load(parse("a.yaml", text.encode()))
        assert catalog.entities == {}
        assert any(p.severity is ProblemSeverity.ERROR for p in problems)


def test_the_digest_changes_with_what_is_said_not_with_where():
    one, _ = annotated("watchkeeper.dev/tier: gold")
    two, _ = annotated("watchkeeper.dev/tier: silver")
    catalog, _ = loaded("# moved\n" + TEAM + resource(annotations="watchkeeper.dev/tier: gold"))
    moved = catalog.entities["resource:default/pay-1"]
    assert one.digest == moved.digest != two.digest
    assert one.line != moved.line


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("cart", "component:default/cart"),
        ("API:Cart", "api:default/cart"),
        ("eu/cart", "component:eu/cart"),
        ("api:eu/c.a_r-t", "api:eu/c.a_r-t"),
    ],
)
def test_a_reference_is_resolved(text, ref):
    assert resolve(text, kind="component") == ref


@pytest.mark.parametrize("text", ["", ":", "a:", "/a", "a/", "a b", "a:b/c/d", "a:b:c", "-a", "a" * 64, "x:${y}"])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(ValueError, match="is no reference; write for example"):
        resolve(text, kind="component")
