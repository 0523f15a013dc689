"""Documents to a catalogue.

In: the documents of `catalog/*.yaml`. Out: the catalogue of all entities that could be read, and every problem.
A caller that activates a configuration refuses it while there is an error among the problems.

A dependency on something that is not in the catalogue is an error: nobody could check it. A team that is not is
a warning: teams often live in a directory elsewhere. A dependency cycle is a warning: it is how some systems
are, and the graph is walked safely.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchkeeper.catalog.annotations import read_annotations
from watchkeeper.catalog.catalog import NAMED_FIRST, Catalog, catalog_of
from watchkeeper.catalog.entity import (
    NAME,
    NAME_CHARS_MAX,
    NAMESPACE,
    NAMESPACE_DEFAULT,
    Entity,
    EntityKind,
    digest_of,
    ref_of,
    resolve,
)
from watchkeeper.catalog.graph import cycles, instances
from watchkeeper.documents import (
    Fields,
    Node,
    Problem,
    ProblemSeverity,
    in_order,
    refuse_credentials,
    suggestion,
    text_of,
    wrong,
)

API_VERSIONS: Final = ("backstage.io/v1alpha1", "backstage.io/v1beta1")
TITLE_CHARS_MAX: Final = 512
SUGGESTIONS_MAX: Final = 5  # a search among all references of a kind each; beyond it the message stands without one
_EXPORTED_FIELDS: Final = ("relations", "status")  # what Backstage's own API adds when a catalogue is exported


class _Relation(Struct, frozen=True):
    """A field of `spec` that refers to entities. `kind` is the default kind, empty when it must be written."""

    field: str
    kind: str
    many: bool
    must_exist: bool
    required: bool = False


_OWNER: Final = ("owner", _Relation("owner", "group", many=False, must_exist=False, required=True))
_SYSTEM: Final = ("system", _Relation("system", "system", many=False, must_exist=True))
_DEPENDS: Final = ("depends_on", _Relation("dependsOn", "", many=True, must_exist=True))
_NEEDED: Final = ("dependency_of", _Relation("dependencyOf", "", many=True, must_exist=True))

RELATIONS: Final[dict[EntityKind, dict[str, _Relation]]] = {
    EntityKind.COMPONENT: dict(
        (
            _OWNER,
            _SYSTEM,
            _DEPENDS,
            _NEEDED,
            ("part_of", _Relation("subcomponentOf", "component", many=False, must_exist=True)),
            ("consumes_apis", _Relation("consumesApis", "api", many=True, must_exist=True)),
            ("provides_apis", _Relation("providesApis", "api", many=True, must_exist=True)),
        )
    ),
    EntityKind.RESOURCE: dict((_OWNER, _SYSTEM, _DEPENDS, _NEEDED)),
    EntityKind.API: dict((_OWNER, _SYSTEM)),
    EntityKind.SYSTEM: dict((_OWNER, ("domain", _Relation("domain", "domain", many=False, must_exist=False)))),
    EntityKind.DOMAIN: dict((_OWNER, ("domain", _Relation("subdomainOf", "domain", many=False, must_exist=False)))),
    EntityKind.GROUP: {
        "parent": _Relation("parent", "group", many=False, must_exist=False),
        "children": _Relation("children", "group", many=True, must_exist=False),
        "members": _Relation("members", "user", many=True, must_exist=False),
    },
    EntityKind.USER: {"member_of": _Relation("memberOf", "group", many=True, must_exist=False)},
}
_OTHER_SPEC_FIELDS: Final = ("type", "lifecycle", "definition", "profile", "domain", "system", "presence")


class _Mention(Struct, frozen=True):
    """A reference and the place where it was written."""

    ref: str
    node: Node
    field: str
    must_exist: bool


class _Found(Struct, frozen=True):
    entity: Entity
    node: Node
    mentions: tuple[_Mention, ...]


def load(documents: Iterable[Node]) -> tuple[Catalog, tuple[Problem, ...]]:
    """Read every entity, join them, and say everything that does not hold together."""
    problems: list[Problem] = []
    found: dict[str, _Found] = {}
    for document in documents:
        one = _entity(document, problems)
        if one is None:
            continue
        if (first := found.get(one.entity.ref)) is not None:
            at = f"{first.node.file}:{first.node.line}"
            wrong(
                problems, document, "metadata.name", f"{one.entity.ref} is already described at {at}: keep one of them"
            )
            continue
        found[one.entity.ref] = one
    catalog = catalog_of(_finished(ref, found) for ref in found)
    _dangling(found, problems)
    _names(catalog, found, problems)
    _groups(catalog, found, problems)
    for cycle in cycles(catalog):
        wrong(
            problems,
            found[cycle[0]].node,
            "spec",
            f"depends on itself: {' -> '.join(cycle)}: break the cycle, or accept that one failure takes all of them",
            severity=ProblemSeverity.WARNING,
        )
    return catalog, in_order(problems)


def _entity(document: Node, problems: list[Problem]) -> _Found | None:
    fields = Fields(document, problems)
    kind = _kind(fields)
    if kind is None:
        return None
    metadata, spec = fields.child("metadata", required=True), fields.child("spec", required=True)
    fields.known.update(_EXPORTED_FIELDS)
    fields.done()
    if metadata is None or spec is None:
        return None
    refuse_credentials(metadata.node, problems, "metadata")
    expected = f"a name of at most {NAME_CHARS_MAX} letters, digits, '-', '_' and '.'"
    name = metadata.text("name", required=True, pattern=NAME, expected=expected)
    namespace = metadata.text(
        "namespace", default=NAMESPACE_DEFAULT, pattern=NAMESPACE, expected="a namespace of lower-case letters"
    )
    if not name:
        return None
    related, mentions = _related(kind, spec, namespace)
    entity = Entity(
        ref=ref_of(kind, namespace, name),
        kind=kind,
        name=name,
        namespace=namespace,
        title=metadata.text("title", most=TITLE_CHARS_MAX),
        type=spec.text("type"),
        lifecycle=spec.text("lifecycle"),
        labels=metadata.labels("labels"),
        email=_email(kind, spec),
        file=document.file,
        line=document.line,
        **read_annotations(metadata),
        **related,
    )
    return _Found(entity, document, mentions)


def _kind(fields: Fields) -> EntityKind | None:
    """The kind of a document of the catalogue; None for what is no entity of ours, with a word about it."""
    version, kind = fields.text("apiVersion", required=True), fields.text("kind", required=True)
    known = [word.value for word in EntityKind]
    if not version or not kind:
        return None
    if kind not in known:
        hint = suggestion(kind, known) or f": read are {', '.join(known)}"
        fields.warn("kind", f"{kind} is not read here and is left out{hint}")
        return None
    if version not in API_VERSIONS:
        fields.wrong("apiVersion", f"expected {' or '.join(API_VERSIONS)}, got {version!r}")
        return None
    return EntityKind(kind)


def _related(kind: EntityKind, spec: Fields, namespace: str) -> tuple[dict[str, Any], tuple[_Mention, ...]]:
    related: dict[str, Any] = {}
    mentions: list[_Mention] = []
    for name, relation in RELATIONS[kind].items():
        nodes = _nodes(spec, relation)
        here = []
        for position, node in enumerate(nodes):
            field = f"{spec.at(relation.field)}[{position}]" if relation.many else spec.at(relation.field)
            text = text_of(node, spec.problems, field)
            if text is None:
                continue
            try:
                ref = resolve(text, kind=relation.kind, namespace=namespace)
            except ValueError as why:
                wrong(spec.problems, node, field, str(why), expected="a reference such as component:default/cart")
                continue
            here.append(ref)
            mentions.append(_Mention(ref, node, field, relation.must_exist))
        refs = tuple(sorted(set(here)))
        if relation.many:
            related[name] = refs
        elif refs:
            related[name] = refs[0]
    _misspelt(kind, spec)
    return related, tuple(mentions)


def _nodes(spec: Fields, relation: _Relation) -> tuple[Node, ...]:
    if relation.many:
        return spec.items(relation.field, required=relation.required)
    node = spec.node_of(relation.field)
    if node is None and relation.required:
        spec.wrong(relation.field, "is missing: expected the team that answers for it, such as group:payments-sre")
    return () if node is None else (node,)


def _misspelt(kind: EntityKind, spec: Fields) -> None:
    """Backstage allows further fields, so only what looks like a known one is mentioned."""
    known = {*_OTHER_SPEC_FIELDS, *(relation.field for relation in RELATIONS[kind].values())}
    for entry in spec.node.entries:
        if entry.key not in known and (hint := suggestion(entry.key, known)):
            said = f"this field is not read{hint}"
            wrong(spec.problems, entry, spec.at(entry.key), said, severity=ProblemSeverity.WARNING)


def _email(kind: EntityKind, spec: Fields) -> str:
    if kind not in {EntityKind.USER, EntityKind.GROUP}:
        return ""
    profile = spec.child("profile")
    return profile.text("email") if profile is not None else ""


def _finished(ref: str, found: dict[str, _Found]) -> Entity:
    """The entity with the system of the whole it is a part of, where it states none, and with its digest."""
    entity = found[ref].entity
    seen, whole = {ref}, entity
    while not whole.system and whole.part_of in found and whole.part_of not in seen:
        seen.add(whole.part_of)
        whole = found[whole.part_of].entity
    entity = msgspec.structs.replace(entity, system=whole.system)
    return msgspec.structs.replace(entity, digest=digest_of(entity))


def _dangling(found: dict[str, _Found], problems: list[Problem]) -> None:
    lost = [mention for one in found.values() for mention in one.mentions if mention.ref not in found]
    for count, mention in enumerate(lost):
        kind = mention.ref.partition(":")[0] + ":"
        hint = (
            suggestion(mention.ref, (ref for ref in found if ref.startswith(kind))) if count < SUGGESTIONS_MAX else ""
        )
        wrong(
            problems,
            mention.node,
            mention.field,
            f"{mention.ref} is not in the catalogue{hint}",
            severity=ProblemSeverity.ERROR if mention.must_exist else ProblemSeverity.WARNING,
        )


def _names(catalog: Catalog, found: dict[str, _Found], problems: list[Problem]) -> None:
    """An alert's word must mean one entity: aliases taken twice are errors, names borne twice are warnings."""
    bearers: dict[str, list[str]] = defaultdict(list)
    for ref, entity in catalog.entities.items():
        if entity.kind in NAMED_FIRST:
            bearers[entity.name].append(ref)
    taken: dict[str, str] = {}
    for ref, entity in catalog.entities.items():
        for alias in entity.aliases:
            other = next((bearer for bearer in bearers.get(alias, ()) if bearer != ref), None) or taken.get(alias)
            if other is not None:
                wrong(
                    problems,
                    found[ref].node,
                    'metadata.annotations["watchkeeper.dev/alias"]',
                    f"the alias {alias!r} already means {other}: an alert must name one entity",
                )
            taken.setdefault(alias, ref)
    for name, refs in bearers.items():
        if name not in catalog.named and name not in taken:
            wrong(
                problems,
                found[refs[0]].node,
                "metadata.name",
                f"{name!r} is the name of {' and of '.join(refs)}: an alert that says only the name stays unmapped; "
                "give each an alias",
                severity=ProblemSeverity.WARNING,
            )


def _groups(catalog: Catalog, found: dict[str, _Found], problems: list[Problem]) -> None:
    for ref, entity in catalog.entities.items():
        count = len(instances(catalog, ref))
        if entity.redundancy is not None and count and count != entity.redundancy.members:
            wrong(
                problems,
                found[ref].node,
                'metadata.annotations["watchkeeper.dev/redundancy"]',
                f"says {entity.redundancy.needed} of {entity.redundancy.members}, but {count} instances are described",
            )
