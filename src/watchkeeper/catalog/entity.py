"""An entity of the catalogue: a service, an instance, a third party, a team, a person.

The format is Backstage's, so that an existing catalogue is read as it is; what automation needs beyond it stands
in annotations under `watchkeeper.dev/`.
Source: Backstage, "Descriptor Format of Catalog Entities" and "Well-known Relations".
"""

import re
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.values import Labels, digest

PREFIX: Final = "watchkeeper.dev/"
ATTR: Final = "attr."
NAMESPACE_DEFAULT: Final = "default"
NAME_CHARS_MAX: Final = 63

_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
NAME: Final = re.compile(_NAME)
NAMESPACE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_REF: Final = re.compile(rf"(?:(?P<kind>[A-Za-z][A-Za-z0-9]{{0,62}}):)?(?:(?P<namespace>{_NAME})/)?(?P<name>{_NAME})")


class EntityKind(StrEnum):
    COMPONENT = "Component"
    RESOURCE = "Resource"
    API = "API"
    SYSTEM = "System"
    DOMAIN = "Domain"
    GROUP = "Group"
    USER = "User"


class Automation(StrEnum):
    """How far automation may go near an entity. `none` never runs a step: it pages and hands over a checklist."""

    REALTIME = "realtime"
    DELAYED = "delayed"
    NONE = "none"


class Reach(StrEnum):
    """Where a step for this target runs. An entity without one is observed only."""

    LOCAL = "local"
    SSH = "ssh"
    KUBE = "kube"
    AGENT = "agent"
    API = "api"


class Honour(StrEnum):
    """What a target does with a repeated or an outdated command: it is told by, and refuses, one."""

    IDEMPOTENCY_KEY = "idempotency-key"
    FENCING_TOKEN = "fencing-token"  # noqa: S105 - the name of a header's meaning, no secret


class Redundancy(Struct, frozen=True, kw_only=True):
    """`needed of members`: the entity serves while so many of its like members do. 1 <= needed <= members."""

    needed: int
    members: int


class Entity(Struct, frozen=True, kw_only=True):
    """One entity, its references resolved to canonical ones (`component:default/cart`, lower case).

    `depends_on` and `dependency_of` are as declared; the graph joins them. `system` falls back to that of the
    entity this is a part of. `sla_ppm` is None where nobody promised anything. `address` names the attributes
    whose value may be dialled. `active_in` is the region that serves now, of a service that is active in one. `keys` holds every `watchkeeper.dev/` annotation as written, by its full name.
    `digest` covers all fields but the place (`file`, `line`).
    """

    ref: str
    kind: EntityKind
    name: str
    namespace: str = NAMESPACE_DEFAULT
    title: str = ""
    owner: str = ""
    type: str = ""
    lifecycle: str = ""
    system: str = ""
    domain: str = ""
    part_of: str = ""
    depends_on: tuple[str, ...] = ()
    dependency_of: tuple[str, ...] = ()
    consumes_apis: tuple[str, ...] = ()
    provides_apis: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    parent: str = ""
    children: tuple[str, ...] = ()
    labels: Labels = {}
    keys: Labels = {}
    environment: str = ""
    region: str = ""
    tier: str = ""
    sla_ppm: int | None = None
    automation: Automation = Automation.REALTIME
    reach: Reach | None = None
    aliases: tuple[str, ...] = ()
    attrs: Labels = {}
    address: tuple[str, ...] = ()
    honours: tuple[Honour, ...] = ()
    status_probe: str = ""
    redundancy: Redundancy | None = None
    email: str = ""
    digest: str = ""
    file: str = ""
    line: int = 0
    active_in: str = ""


def digest_of(entity: Entity) -> str:
    """SHA-256 of the canonical bytes of everything but the place and the digest itself."""
    return digest(
        {name: getattr(entity, name) for name in entity.__struct_fields__ if name not in {"digest", "file", "line"}}
    )


def ref_of(kind: str, namespace: str, name: str) -> str:
    """The canonical reference. Backstage compares references without regard to case; so do we, by lowering."""
    return f"{kind}:{namespace}/{name}".lower()


def resolve(text: str, *, kind: str = "", namespace: str = NAMESPACE_DEFAULT) -> str:
    """`[kind:][namespace/]name` to the canonical reference, with defaults for what is left out.

    Raises ValueError with an example when it is none, or when its kind is left out and there is no default.
    """
    found = _REF.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no reference; write for example component:default/cart")
    stated = found["kind"] or kind
    if not stated:
        raise ValueError(f"{text!r} does not say its kind; write for example component:{text}")
    return ref_of(stated, found["namespace"] or namespace, found["name"])
