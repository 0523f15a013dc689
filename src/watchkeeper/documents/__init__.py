"""Located documents: bytes of YAML to trees that know their place, and readers that collect every problem."""

from watchkeeper.documents.credentials import looks_like_credential, refuse_credentials
from watchkeeper.documents.envelope import API_VERSION, Envelope, envelope
from watchkeeper.documents.fields import (
    Fields,
    path_join,
    percent_ppm,
    percent_text,
    plain_of,
    suggestion,
    text_of,
    wrong,
)
from watchkeeper.documents.node import Entry, Kind, Node, Unreadable, parse, read, seen
from watchkeeper.documents.problem import Problem, ProblemSeverity, errors, in_order

__all__ = [
    "API_VERSION",
    "Entry",
    "Envelope",
    "Fields",
    "Kind",
    "Node",
    "Problem",
    "ProblemSeverity",
    "Unreadable",
    "envelope",
    "errors",
    "in_order",
    "looks_like_credential",
    "parse",
    "path_join",
    "percent_ppm",
    "percent_text",
    "plain_of",
    "read",
    "refuse_credentials",
    "seen",
    "suggestion",
    "text_of",
    "wrong",
]
