"""The API's own description: the framework's, with the shapes of our answers and the problem that every route may give.

Source: OpenAPI 3.1.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from watchkeeper.surface.api.door import VERB, Family

TEMPLATE: Final = "#/components/schemas/{name}"
PROBLEM: Final = {
    "title": "HttpProblem",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
OTHERWISE: Final = {
    "description": "A problem, with the reason and what to do next (RFC 9457).",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/HttpProblem"}}},
}
KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same key with the same body is carried out once; its answer is repeated for a day.",
}


def describe(app: FastAPI, families: Iterable[Family], prefix: str) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, routes=app.routes, description=app.description)
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["HttpProblem"] = PROBLEM
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    families = tuple(families)
    wanted = [shape for family in families for _, _, shape in family.shapes.values() if shape is not None]
    made, known = msgspec.json.schema_components(tuple(dict.fromkeys(wanted)), ref_template=TEMPLATE)
    assert not known.keys() & schemas.keys(), "two shapes have one name in the description"
    schemas.update(known)
    by_type = dict(zip(dict.fromkeys(wanted), made, strict=True))
    answers = {key.replace(":path}", "}"): value for family in families for key, value in family.shapes.items()}
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            inside = path.startswith(f"{prefix}/")  # `/metrics` of the node is another route than that of the API
            own = answers.get(f"{method.upper()} {path.removeprefix(prefix)}") if inside else None
            responses = operation["responses"]
            responses.pop("422", None)
            if own is not None:
                status, media, shape = own
                schema = by_type[shape] if shape is not None else {"type": "object"}
                responses[str(status)]["content"] = {media: {"schema": schema if media.endswith("json") else {}}}
                responses["default"] = OTHERWISE
                operation["security"] = [{"bearer": []}]
                if method == "post":
                    operation.setdefault("parameters", []).append(KEY)
            if VERB in operation:
                operation["description"] = f"{operation.get('description', '')}\n\nVerb: `{operation[VERB]}`.".strip()
    return found
