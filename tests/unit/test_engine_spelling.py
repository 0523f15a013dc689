"""A text in stored bytes, however its sender wrote it."""

import json

import pytest

from watchkeeper.engine.spelling import Spelling


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("ann lee", b'{"by":"Ann Lee"}'),
        ("ANN", b'{"by":"ann"}'),
        ("J\u00fcrgen", '{"by":"J\u00dcRGEN"}'.encode()),
        ("J\u00fcrgen", json.dumps({"by": "J\u00fcrgen"}).encode()),
        ("j\u00fcrgen", '{"by":"JU\u0308RGEN"}'.encode()),
        ("ju\u0308rgen", '{"by":"J\u00fcrgen"}'.encode()),
        ("ann & co", b'{"by":"Ann \\u0026 Co"}'),
        ('the "boss"', b'{"by":"The \\"Boss\\""}'),
        ("a/b", b'{"by":"A\\/B"}'),
        ("\U0001f600", json.dumps("\U0001f600").encode()),
        ("ann", b"\xff\xfe Ann"),
        ("J\u00fcrgen", json.dumps({"body": json.dumps({"by": "J\u00fcrgen"})}).encode()),  # a dead letter
        ("J\u00fcrgen", json.dumps({"body": json.dumps([json.dumps("J\u00fcrgen")])}).encode()),
    ],
)
def test_it_is_found(subject: str, body: bytes) -> None:
    assert Spelling(subject).within(body)


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("ann", b'{"by":"bob"}'),
        ("J\u00fcrgen", b'{"by":"Jurgen"}'),
        ("ann", b'{"by":"\\ud83d a"}'),
        ("0026", b"\\u0027"),
    ],
)
def test_it_is_not(subject: str, body: bytes) -> None:
    assert not Spelling(subject).within(body)
