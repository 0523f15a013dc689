"""A catalogue entry drafted from an unmapped alert: what is known filled in, what a person must say left as comments."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from watchkeeper.catalog.entity import NAME

NAME_MAX: Final = 63
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def stub(labels: Mapping[str, str], entity_from: Sequence[str], owner: str = "") -> str:
    """YAML of one Component that the alert's own label will find. Raises ValueError when no label could name one.

    `entity_from` are the labels by which the source names entities, in order; `owner` a group that exists, "" when
    nobody knows one.
    """
    found = next(((label, labels[label]) for label in entity_from if labels.get(label)), None)
    if found is None:
        wanted = ", ".join(entity_from)
        raise ValueError(
            f"the alert has none of the labels {wanted}: say in watchkeeper.yaml which label names the entity"
        )
    label, value = found
    name = name_of(value)
    lines = [
        f"# Drafted from an alert whose label {label} is {json.dumps(value)}. It is only observed until it has a reach.",
        "apiVersion: backstage.io/v1alpha1",
        "kind: Component",
        "metadata:",
        f"  name: {name}",
        "  annotations:",
    ]
    if name != value:
        lines.append(f"    watchkeeper.dev/alias: {json.dumps(value)}")
    lines += [
        *_known(labels),
        "    # watchkeeper.dev/tier: gold",
        "    # watchkeeper.dev/reach: api            # local or api: how steps reach it",
        "    # watchkeeper.dev/attr.url: https://...",
        "    # watchkeeper.dev/address: url           # the attributes that may be dialled",
        "spec:",
        "  type: service",
        "  lifecycle: production",
        f"  owner: {owner or 'group:nobody  # name a group of the catalogue'}",
    ]
    return "\n".join(lines) + "\n"


def _known(labels: Mapping[str, str]) -> list[str]:
    """What other labels commonly say of the same thing."""
    found = []
    for annotation, names in (("environment", ("environment", "env")), ("region", ("region",))):
        value = next((labels[name] for name in names if labels.get(name)), "")
        found.append(
            f"    watchkeeper.dev/{annotation}: {json.dumps(value)}"
            if value
            else f"    # watchkeeper.dev/{annotation}: ..."
        )
    return found


def name_of(value: str) -> str:
    """A name the catalogue accepts; what does not fit becomes a dash, and the alert's own word an alias."""
    fit = _UNFIT.sub("-", value).strip("-_.")[:NAME_MAX].rstrip("-_.")
    return fit if NAME.fullmatch(fit) else "unnamed"
