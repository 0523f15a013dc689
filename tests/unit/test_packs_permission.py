import pytest

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.packs.permission import covered, permitted
from watchkeeper.packs.runbook import Permission
from watchkeeper.packs.scope import runbook_scope
from watchkeeper.packs.template import compile_template


def expression(text):
    return CelCompiler().compile(text, runbook_scope({}, ()), "string")


HTTP = Permission(action="http.request", allowed={"methods": ("POST",), "to": (expression("target.admin"),)})
UNIT = Permission(action="service.restart", allowed={"units": (expression("target.unit"), "cache")})
RUN = Permission(action="command.run", allowed={"programs": ("journalctl",)})
ANY = Permission(action="service.status")
BINDINGS = {"target": {"admin": "http://a:80/api", "unit": "web"}}


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("http.request", {"method": "POST", "url": "http://a:80/api"}),
        ("http.request", {"method": "post", "url": "http://a:80/api/drain?x=1"}),
        ("service.restart", {"unit": "web"}),
        ("service.restart", {"unit": "cache"}),
        ("command.run", {"argv": ["journalctl", "-u", "web"]}),
        ("service.status", {"unit": "anything"}),
    ],
)
def test_what_is_covered(action, arguments):
    assert permitted((HTTP, UNIT, RUN, ANY), action, arguments, BINDINGS) == ""


@pytest.mark.parametrize(
    ("action", "arguments", "words"),
    [
        ("service.stop", {"unit": "web"}, "declares no permission for service.stop"),
        ("http.request", {"url": "http://a:80/api"}, "method 'GET' is not among its methods: POST"),
        ("http.request", {"method": "POST", "url": "http://a:81/api"}, "is not among its to"),
        ("http.request", {"method": "POST", "url": "https://a:80/api"}, "is not among its to"),
        ("http.request", {"method": "POST", "url": "http://a:80/apix"}, "is not among its to"),
        ("http.request", {"method": "POST", "url": "http://b/?http://a:80/api"}, "is not among its to"),
        ("http.request", {"method": "POST", "url": "http://u@a:80/api"}, "is not among its to"),
        ("http.request", {"method": "POST", "url": "http://[:80/api"}, "is not among its to"),
        ("http.request", {"method": "POST"}, "url None is not among its to"),
        ("service.restart", {"unit": "db"}, "unit 'db' is not among its units: web, cache"),
        ("service.restart", {}, "unit"),
        ("command.run", {"argv": ["sh", "-c", "journalctl"]}, "argv 'sh' is not among its programs: journalctl"),
        ("command.run", {"argv": []}, "argv"),
    ],
)
def test_what_is_not(action, arguments, words):
    assert words in permitted((HTTP, UNIT, RUN, ANY), action, arguments, BINDINGS)


def test_a_bound_that_cannot_be_worked_out_covers_nothing():
    assert "none could be worked out" in permitted((HTTP,), "http.request", {"method": "POST", "url": "http://a"}, {})
    empty = {"target": {"unit": ""}}
    only = Permission(action="service.restart", allowed={"units": (expression("target.unit"),)})
    assert permitted((only,), "service.restart", {"unit": ""}, empty) != ""


def test_at_load_only_what_is_certain_is_refused():
    unit = compile_template("${target.unit}", CelCompiler(), runbook_scope({}, ()))
    literal = Permission(action="service.restart", allowed={"units": ("web",)})
    assert covered((UNIT,), "service.restart", {"unit": unit}) == ""
    assert covered((literal,), "service.restart", {"unit": unit}) == ""
    assert covered((literal,), "service.restart", {"unit": "web"}) == ""
    assert "unit 'db' is not among the units" in covered((literal,), "service.restart", {"unit": "db"})
    assert "no permission for kube.drain" in covered((literal,), "kube.drain", {})
    assert covered((RUN,), "command.run", {"argv": [unit, "x"]}) == ""
    assert "argv 'sh'" in covered((RUN,), "command.run", {"argv": ["sh", unit]})


def test_one_of_several_permissions_is_enough():
    two = (
        Permission(action="service.restart", allowed={"units": ("a",)}),
        Permission(action="service.restart", allowed={"units": ("b",)}),
    )
    assert permitted(two, "service.restart", {"unit": "b"}, {}) == ""
    assert permitted(two, "service.restart", {"unit": "c"}, {}) != ""
