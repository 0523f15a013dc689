"""Laws of the home: whatever stands in its files, loading reports and never raises, and says the same twice."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.errors import Malformed
from watchkeeper.home.configuration import compile_home
from watchkeeper.home.plan import difference
from watchkeeper.home.starter import starter
from watchkeeper.packs.expression import Broken, Known, Unknown
from watchkeeper.packs.scope import RULE
from watchkeeper.packs.template import compile_template, render, render_argv, render_url

COMPILER = CelCompiler()
FILES = starter()
PATHS = [path for path in sorted(FILES) if path.endswith(".yaml")]
FEW = settings(max_examples=60, deadline=None)
SOME = settings(max_examples=100, deadline=None)


def well(found):
    """The form of every answer: an error or a configuration, each problem with its file and in words."""
    assert (found.configuration is None) == bool(found.errors)
    for problem in found.problems:
        assert problem.message
        assert problem.line >= 0
        assert "Traceback" not in problem.message


@FEW
@given(st.sampled_from(PATHS), st.integers(0, 2**32), st.integers(1, 6))
def test_mutated_bytes_never_crash_the_loader(path, seed, count):
    dice = random.Random(seed)
    data = bytearray(FILES[path])
    for _ in range(count):
        at = dice.randrange(len(data))
        match dice.randrange(4):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                del data[at : at + dice.randrange(1, 12)]
            case 2:
                data[at:at] = dice.choice(
                    [
                        b"{",
                        b"}",
                        b"[",
                        b"]",
                        b": ",
                        b"\n",
                        b"- ",
                        b'"',
                        b"${",
                        b"&a ",
                        b"*a",
                        b"!",
                        b"|\n",
                        b"5",
                        b"\x00",
                        b"\xff",
                    ]
                )
            case _:
                other = dice.randrange(len(data))
                data[at:at] = data[other : other + dice.randrange(1, 40)]
        data = data or bytearray(b" ")
    well(compile_home({**FILES, path: bytes(data)}, COMPILER))


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def yaml(value):
    """JSON is YAML."""
    import json

    return json.dumps(value).encode()


@FEW
@given(st.sampled_from(PATHS), json_like)
def test_any_document_at_all_is_reported_on(path, value):
    well(compile_home({**FILES, path: yaml(value)}, COMPILER))


@FEW
@given(st.data())
def test_a_field_replaced_by_anything_is_reported_on_or_fits(data):
    """Structure-aware: one leaf or branch of a valid document becomes another value."""
    from watchkeeper.documents import parse, plain_of

    path = data.draw(st.sampled_from([path for path in PATHS if path.startswith("packs/")]))
    document = plain_of(parse(path, FILES[path])[0], [], "")
    places = list(walk(document))
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(json_like)
    well(compile_home({**FILES, path: yaml(document)}, COMPILER))


def walk(value):
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from walk(inner)


def free(place):
    """Whether a mapping holds the writer's own names: labels, arguments, schemas, parameters."""
    return any(
        name in place
        for name in ("with", "match", "labels", "annotations", "params", "expect", "by", "permissions", "findings")
    )


@FEW
@given(st.data())
def test_an_unknown_field_is_always_reported(data):
    from watchkeeper.documents import parse, plain_of

    path = data.draw(st.sampled_from([path for path in PATHS if path.startswith("packs/")]))
    document = plain_of(parse(path, FILES[path])[0], [], "")
    holders = [(holder, place) for holder, place in mappings(document, ()) if not free(place)]
    holder, _ = data.draw(st.sampled_from(holders))
    holder["zzz_unknown"] = 1
    found = compile_home({**FILES, path: yaml(document)}, COMPILER)
    assert any("unknown field" in problem.message and problem.field.endswith("zzz_unknown") for problem in found.errors)


def mappings(value, place):
    if isinstance(value, dict):
        yield value, place
        for key, inner in value.items():
            yield from mappings(inner, (*place, key))
    elif isinstance(value, list):
        for inner in value:
            yield from mappings(inner, place)


@FEW
@given(st.permutations(sorted(FILES)))
def test_the_order_of_files_does_not_matter(order):
    one = compile_home(FILES, COMPILER).configuration
    other = compile_home({path: FILES[path] for path in order}, COMPILER).configuration
    assert (one.digest, one.rulebook.digest, one.catalog.digest) == (
        other.digest,
        other.rulebook.digest,
        other.catalog.digest,
    )
    assert difference(one, other).empty


texts = st.text(max_size=40)
ADDRESSES = ("admin", "host")


@SOME
@given(st.text(alphabet="abc ${}\"'\\.[]()+=&|!<>?:,\n", max_size=60))
def test_any_text_is_a_template_or_malformed(text):
    try:
        template = compile_template(text, COMPILER, RULE)
    except Malformed:
        return
    assert isinstance(render(template, {}), (Known, Unknown, Broken))


@SOME
@given(st.text(max_size=80))
def test_any_text_is_an_expression_or_malformed(text):
    try:
        expression = COMPILER.compile(text, RULE, "dyn")
    except Malformed:
        return
    assert isinstance(expression.evaluate({}), (Known, Unknown, Broken))


URL = compile_template(
    "http://api.example:8080/v1/${alert.labels.a}/x?q=${alert.labels.b}#${alert.labels.c}", COMPILER, RULE
)
ADDRESSED = compile_template("${target.admin}/${alert.labels.a}", COMPILER, RULE)


@SOME
@given(texts, texts, texts)
def test_no_label_ever_forms_scheme_user_host_or_port(one, two, three):
    from urllib.parse import urlsplit

    bindings = {"alert": {"labels": {"a": one, "b": two, "c": three}}}
    answer = render_url(URL, bindings, ADDRESSES)
    if isinstance(answer, Known):
        parts = urlsplit(answer.value)
        assert (parts.scheme, parts.netloc) == ("http", "api.example:8080")
        assert parts.path.startswith("/v1/")
        assert parts.path.endswith("/x")
        assert parts.path.count("/") == 3


@SOME
@given(texts, texts)
def test_no_attribute_but_an_http_address_is_dialled(admin, label):
    answer = render_url(ADDRESSED, {"target": {"admin": admin}, "alert": {"labels": {"a": label}}}, ADDRESSES)
    if isinstance(answer, Known):
        assert answer.value.startswith(admin + "/")
        assert admin.startswith(("http://", "https://"))
        assert "@" not in admin.split("/")[2]


ARGV = [
    compile_template(text, COMPILER, RULE)
    for text in ("tool", "${alert.labels.a}", "-f${alert.labels.b}", "--", "${alert.labels.c}")
]


@SOME
@given(texts, texts, texts)
def test_a_command_keeps_its_number_of_elements_and_its_options(one, two, three):
    answer = render_argv(ARGV, {"alert": {"labels": {"a": one, "b": two, "c": three}}})
    if isinstance(answer, Known):
        assert answer.value == ("tool", one, f"-f{two}", "--", three)
        assert not one.startswith("-")
    else:
        assert one.startswith("-") or any("\0" in each or not each.isprintable() for each in (one, two, three))


@SOME
@given(st.dictionaries(st.sampled_from(["tier", "region", "other"]), st.text(max_size=6)), st.text(max_size=6))
def test_an_absent_label_and_an_empty_one_are_the_same(labels, value):
    expression = COMPILER.compile(
        'alert.labels.tier == alert.labels.region || alert.labels.tier != "gold"', RULE, "bool"
    )
    filled = {"tier": "", "region": "", **labels}
    assert expression.evaluate({"alert": {"labels": labels}}) == expression.evaluate({"alert": {"labels": filled}})
    assert value is not None


def test_the_first_home_is_the_one_that_is_mutated():
    assert compile_home(FILES, COMPILER).problems == ()
    with pytest.raises(Malformed):
        COMPILER.compile("", RULE, "bool")
