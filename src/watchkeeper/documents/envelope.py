"""The envelope that every document of a home stands in: apiVersion, kind, metadata, spec."""

import re
from collections.abc import Collection
from typing import Final

from watchkeeper.documents.fields import Fields, suggestion
from watchkeeper.documents.node import Node
from watchkeeper.documents.problem import Problem
from watchkeeper.values import Labels

API_VERSION: Final = "watchkeeper.dev/v1"

NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
NAME_EXPECTED: Final = "a name of at most 63 lower-case letters, digits, '-', '_' and '.', such as restart-instance"
OWNER: Final = re.compile(r"(?:(?:group|user):)?[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
OWNER_EXPECTED: Final = "an owner such as group:payments-sre"


class Envelope:
    """A document's head, read; and its `spec`, to be read by the loader of its kind (which calls `spec.done()`).

    `owner` is a reference as written, empty when nobody is named: whether that is an error is the loader's to say.
    """

    def __init__(self, *, kind: str, name: str, owner: str, labels: Labels, annotations: Labels, spec: Fields) -> None:
        self.kind = kind
        self.name = name
        self.owner = owner
        self.labels = labels
        self.annotations = annotations
        self.spec = spec

    @property
    def node(self) -> Node:
        """The place of the spec, for problems about the document as a whole."""
        return self.spec.node


def envelope(
    node: Node,
    problems: list[Problem],
    *,
    kinds: Collection[str],
    api_versions: Collection[str] = (API_VERSION,),
    owner_required: bool = True,
) -> Envelope | None:
    """The head of one document. None, with the problems added, when it names no kind of ours or has no spec.

    A bad name or a missing owner is reported and the envelope still given, so that the spec is looked at too.
    """
    fields = Fields(node, problems)
    version = fields.text("apiVersion", required=True)
    if version and version not in api_versions:
        fields.wrong("apiVersion", f"expected {' or '.join(sorted(api_versions))}, got {version!r}")
    kind = fields.text("kind", required=True)
    if kind and kind not in kinds:
        fields.wrong("kind", f"expected one of {', '.join(sorted(kinds))}, got {kind!r}{suggestion(kind, kinds)}")
    name, owner, labels, annotations = "", "", {}, {}
    metadata = fields.child("metadata", required=True)
    if metadata is not None:
        name = metadata.text("name", required=True, pattern=NAME, expected=NAME_EXPECTED)
        owner = metadata.text("owner", required=owner_required, pattern=OWNER, expected=OWNER_EXPECTED)
        labels = metadata.labels("labels")
        annotations = metadata.labels("annotations")
        metadata.text("description")
        metadata.done()
    spec = fields.child("spec", required=True)
    fields.done()
    if spec is None or kind not in kinds or version not in api_versions:
        return None
    return Envelope(kind=kind, name=name, owner=owner, labels=labels, annotations=annotations, spec=spec)
