import pytest

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.errors import Malformed
from watchkeeper.packs.expression import Broken, Known, Template, Unknown
from watchkeeper.packs.scope import RULE
from watchkeeper.packs.template import (
    PLACEHOLDERS_MAX,
    VALUE_BYTES_MAX,
    SecretUse,
    compile_template,
    expressions_in,
    render,
    render_argv,
    render_json,
    render_text,
    render_url,
    secrets_in,
)

NAMES = {**RULE, "params.grace": "int", "params.flag": "bool", "steps.drain.output": "map", "intent_at": "timestamp"}


def template(text):
    return compile_template(text, CelCompiler(), NAMES)


def bindings(**target):
    return {
        "target": target,
        "params": {"grace": 30_000, "flag": True},
        "alert": {"labels": {"host": "web-1", "evil": "${target.unit}"}},
        "steps": {"drain": {"output": {"status": 200, "list": [1], "none": None, "ref": {"secret": "admin"}}}},
        "metrics": {},
    }


@pytest.mark.parametrize("text", ["", "plain", "$", "$x", "{}", "100 $ {x}"])
def test_text_without_a_placeholder_stays_text(text):
    assert template(text) == text


def test_a_doubled_dollar_is_a_literal_placeholder():
    assert template("echo $${HOME}") == "echo ${HOME}"
    assert render(template("$${HOME} ${target.unit}"), bindings(unit="web")) == Known("${HOME} web")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${params.grace}", 30_000),
        ("${params.flag}", True),
        ("${ params.grace }", 30_000),
        ("${steps.drain.output.list}", [1]),
        ("${steps.drain.output.none}", None),
        ("${params.grace}ms", "30000ms"),
        ("${params.flag}!", "true!"),
        ("${target.unit}-${target.unit}", "web-web"),
        ('${{"a": 1}.a}', 1),
        ("${'}'}", "}"),
        ('${"{" + "}"}', "{}"),
        ('${"\\"}" + "x"}', '"}x'),
        ("${'''}'''}", "}"),
        ("${r'\\d}'}", "\\d}"),
        ('${target.unit == "web" ? "a}" : "b"}', "a}"),
        ("${alert.labels.evil}", "${target.unit}"),
        ("${alert.labels.absent}", ""),
    ],
)
def test_render(text, value):
    assert render(template(text), bindings(unit="web")) == Known(value)


def test_an_instant_renders_as_rfc_3339_and_a_duration_as_milliseconds():
    from datetime import UTC, datetime

    at = {"intent_at": datetime(2026, 3, 1, 10, tzinfo=UTC)}
    assert render(template("${intent_at}"), at) == Known("2026-03-01T10:00:00.000000Z")
    assert render(template("since ${intent_at}"), at) == Known("since 2026-03-01T10:00:00.000000Z")
    assert render(template('${duration("90s")}'), {}) == Known(90_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a ${target.unit", "column 3 of the text: '${' has no closing brace"),
        ("${'}", "has no closing brace"),
        ("${}", "the expression is empty"),
        ("${tarjet.unit}", "'tarjet.unit' is not in scope"),
        ("${1}" * (PLACEHOLDERS_MAX + 1), "more than 32 placeholders"),
    ],
)
def test_what_does_not_compile(text, words):
    with pytest.raises(Malformed) as refused:
        template(text)
    assert words in refused.value.why


def test_as_many_placeholders_as_are_allowed():
    assert render(template("${1}" * PLACEHOLDERS_MAX), {}) == Known("1" * PLACEHOLDERS_MAX)


def test_a_value_is_bounded_at_4_kib():
    whole, inside = template("${target.unit}"), template("x${target.unit}")
    assert render(whole, bindings(unit="x" * VALUE_BYTES_MAX)) == Known("x" * VALUE_BYTES_MAX)
    for each in (whole, inside):
        broken = render(each, bindings(unit="é" * (VALUE_BYTES_MAX // 2) + "x"))
        assert broken == Broken("'target.unit' answers 4097 bytes, more than 4096")


def test_unknown_and_broken_come_through():
    assert isinstance(render(template("x${metrics.mttr}"), bindings()), Unknown)
    assert isinstance(render(template("${target.unit}"), bindings()), Broken)
    assert isinstance(render_json({"a": [template("${target.unit}")]}, bindings()), Broken)
    assert isinstance(render_argv([template("${metrics.mttr}")], bindings()), Unknown)
    assert isinstance(render_url(template("http://a/${metrics.mttr}"), bindings(), ()), Unknown)


@pytest.mark.parametrize("field", ["list", "none", "ref"])
def test_what_has_no_place_in_a_text(field):
    assert isinstance(render(template("x ${steps.drain.output." + field + "}"), bindings()), Broken)


def test_json_keeps_types_and_secrets_stay_references():
    tree = {
        "grace": template("${params.grace}"),
        "auth": {"bearer": SecretUse("admin")},
        "n": 1,
        "l": [template("a${1}")],
    }
    assert render_json(tree, bindings()) == Known(
        {"grace": 30_000, "auth": {"bearer": {"secret": "admin"}}, "n": 1, "l": ["a1"]}
    )
    assert list(secrets_in(tree)) == ["admin"]
    assert [e.source for e in expressions_in(tree)] == ["params.grace", "1"]


def test_a_value_from_outside_cannot_name_a_secret():
    broken = render_json({"body": template("${steps.drain.output.ref}")}, bindings())
    assert broken == Broken("a value from outside may not hold a reference to a secret")
    assert isinstance(render_json({"body": template("${[steps.drain.output]}")}, bindings()), Broken)


class TestArgv:
    def argv(self, *items, **target):
        return render_argv([template(item) for item in items], bindings(**target))

    def test_each_item_is_exactly_one_element(self):
        assert self.argv("ls", "${target.unit}", unit="a b; rm -rf /") == Known(("ls", "a b; rm -rf /"))
        assert self.argv("ls", "${target.unit}", unit="") == Known(("ls", ""))
        assert self.argv("kill", "${params.grace}") == Known(("kill", "30000"))

    def test_an_answer_may_not_become_an_option(self):
        broken = self.argv("ls", "${target.unit}", unit="--delete")
        assert broken == Broken(
            "'${target.unit}' gives '--delete', which the program would read as an option; put '--' before it"
        )
        assert isinstance(self.argv("ls", "${''}${target.unit}", unit="-x"), Broken)

    def test_after_two_dashes_it_may(self):
        assert self.argv("ls", "--", "${target.unit}", unit="--delete") == Known(("ls", "--", "--delete"))

    def test_a_dash_of_the_text_itself_is_meant(self):
        assert self.argv("ls", "-l", "--on=${target.unit}", unit="-x") == Known(("ls", "-l", "--on=-x"))
        assert self.argv("ls", "-${target.unit}", unit="x") == Known(("ls", "-x"))

    def test_a_list_or_a_zero_byte_is_no_element(self):
        assert isinstance(self.argv("ls", "${steps.drain.output.list}"), Broken)
        assert isinstance(self.argv("ls", "${target.unit}", unit="a\x00b"), Broken)

    def test_a_placeholder_cannot_be_the_two_dashes(self):
        assert isinstance(self.argv("ls", "${target.a}", "${target.b}", a="--", b="-x"), Broken)


class TestUrl:
    def url(self, text, addresses=("admin", "host"), **target):
        return render_url(template(text), bindings(**target), addresses)

    @pytest.mark.parametrize(
        ("text", "target", "url"),
        [
            ("http://a:80/x", {}, "http://a:80/x"),
            ("${target.admin}/drain", {"admin": "http://10.0.0.1:80"}, "http://10.0.0.1:80/drain"),
            ("${target.admin}", {"admin": "https://a.b/base"}, "https://a.b/base"),
            ("http://${target.host}:8080/x", {"host": "web-1"}, "http://web-1:8080/x"),
            ("http://${target.host}/x", {"host": "[::1]:80"}, "http://[::1]:80/x"),
            ("http://a/${target.unit}/x", {"unit": "a/../b?c#d"}, "http://a/a%2F..%2Fb%3Fc%23d/x"),
            ("http://a/?q=${target.unit}&r=1", {"unit": "1&admin=true"}, "http://a/?q=1%26admin%3Dtrue&r=1"),
            ("http://a?q=${target.unit}", {"unit": "@b"}, "http://a?q=%40b"),
            ("http://a/#${target.unit}", {"unit": "é"}, "http://a/#%C3%A9"),
            ("${target.admin}/${params.grace}", {"admin": "http://a"}, "http://a/30000"),
        ],
    )
    def test_what_is_built(self, text, target, url):
        assert self.url(text, **target) == Known(url)

    @pytest.mark.parametrize(
        ("text", "target", "words"),
        [
            ("${target.unit}/x", {"unit": "http://evil"}, "would form the scheme, user, host or port"),
            ("${alert.labels.host}/x", {}, "would form the scheme"),
            ("http://${alert.labels.host}/x", {}, "would form the scheme"),
            ("http://a${target.unit}/x", {"unit": ".evil"}, "would form the scheme"),
            ("http://a:${target.unit}/x", {"unit": "80"}, "would form the scheme"),
            ("${target.unit}://a/x", {"unit": "http"}, "would form the scheme"),
            ("${target.admin}${target.unit}", {"admin": "http://a", "unit": "@evil"}, "would form the scheme"),
            ("${target.admin + target.unit}/x", {"admin": "http://a", "unit": "b"}, "would form the scheme"),
            ("${target.admin + ''}/x", {"admin": "http://a"}, "would form the scheme"),
            ("${target.admin}/x", {"admin": "http://user:pw@a"}, "not an http(s) address"),
            ("${target.admin}/x", {"admin": "file:///etc"}, "not an http(s) address"),
            ("${target.admin}/x", {"admin": "http://a?x"}, "not an http(s) address"),
            ("http://${target.host}/x", {"host": "a/b"}, "not a host"),
            ("http://${target.host}/x", {"host": "u@b"}, "not a host"),
            ("http://u:p@a/x", {}, "a user or password never stands in a URL"),
            ("${target.admin}.evil@b/x", {"admin": "http://a"}, "a user or password never stands in a URL"),
            ("http:///x", {}, "its host cannot be read"),
            ("ftp://a/x", {}, "begins with http:// or https://"),
            ("/x", {}, "begins with http:// or https://"),
            ("http://a/${target.unit}", {"unit": ".."}, "'.' and '..' never stand as a part of a path"),
            ("http://a/x/${target.unit}/y", {"unit": "."}, "'.' and '..' never stand as a part of a path"),
            ("http://a/x/.${target.unit}/y", {"unit": "."}, "'.' and '..' never stand as a part of a path"),
            ("http://a/x/%2e%2E/y", {}, "'.' and '..' never stand as a part of a path"),
            ("http://a/x y", {}, "spaces, backslashes and control characters"),
            ("http://a/x\\y", {}, "spaces, backslashes and control characters"),
        ],
    )
    def test_what_is_refused(self, text, target, words):
        broken = self.url(text, **target)
        assert isinstance(broken, Broken)
        assert words in broken.why

    def test_an_attribute_that_is_no_address_is_only_data(self):
        assert isinstance(self.url("${target.admin}/x", addresses=(), admin="http://a"), Broken)


def test_render_text_spells_out_what_render_keeps():
    assert render_text(template("${params.grace}"), bindings()) == Known("30000")
    assert render_text(True, bindings()) == Known("true")
    assert render_text(5, bindings()) == Known("5")
    assert isinstance(template("${1}"), Template)
