import base64
import json
import pickle
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.report.scrub import Scrubber
from work import ends

SECRET = "Tr0ub4dor&3/ß"
NOBODY = Scrubber()


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET, safe="").replace("%C3%9F", "%c3%9f").replace("%2F", "%2f"),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET).replace("/", "\\/")[1:-1],
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"a:{SECRET}".encode()).decode(),
        base64.b64encode(f"ab:{SECRET}:rest".encode()).decode(),
        base64.urlsafe_b64encode(f"abc:{SECRET}?".encode()).decode(),
    ],
)
def test_a_live_secret_goes_however_it_is_written(written):
    assert Scrubber([SECRET]).text(f"before {written} after") == "before [scrubbed:secret] after"


def test_a_secret_of_four_characters_is_scrubbed_and_one_of_three_is_not():
    assert Scrubber(["x9!q"]).text("pin x9!q") == "pin [scrubbed:secret]"
    assert Scrubber(["x9!"]).text("pin x9!") == "pin x9!"


def test_of_two_secrets_the_longer_one_is_taken_whole():
    assert Scrubber(["hunter", "hunter2-long"]).text("a hunter2-long b") == "a [scrubbed:secret] b"


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("https://bob:pw@db.example/x", "https://[scrubbed:url]@db.example/x"),
        ("https://bob:p@w@db.example/x", "https://[scrubbed:url]@db.example/x"),
        ("https://0123456789abcdef@db.example", "https://[scrubbed:url]@db.example"),
        ("id AKIAIOSFODNN7EXAMPLE.", "id [scrubbed:aws]."),
        ("ghp_" + "a1B2" * 9 + " x", "[scrubbed:github] x"),
        ("github_pat_" + "a1_B2" * 9, "[scrubbed:github]"),
        ("say xoxb-123456789-abcdef", "say [scrubbed:slack]"),
        ("https://hooks.slack.com/services/T0/B0/abcdefgh", "https://[scrubbed:slack]"),
        ("sk_live_abcdefghijklmnop1", "[scrubbed:token]"),
        ("glpat-abcdefghijklmnop1234", "[scrubbed:token]"),
        ("AIza" + "x" * 35, "[scrubbed:token]"),
        ("got eyJhbGciOiJI.eyJzdWIiOiIx.c2ln end", "got [scrubbed:jwt] end"),
        ("a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b", "a [scrubbed:pem] b"),
        ("a -----BEGIN PRIVATE KEY-----\nMIIcut", "a [scrubbed:pem]"),
        ("Authorization: Digest username=x, response=y\nnext", "Authorization: [scrubbed:header]\nnext"),
        ("{'Authorization': 'Basic dTpw'}", "{'Authorization': '[scrubbed:header]'}"),
        ("Cookie: session=1; other=2", "Cookie: [scrubbed:header]"),
        ("sent bearer abcDEF123456", "sent bearer [scrubbed:header]"),
        ("password=hunter2 next", "password=[scrubbed:password] next"),
        ("DB_PASSWORD: hunter2", "DB_PASSWORD: [scrubbed:password]"),
        ("aws_secret_access_key = abc/def+g", "aws_secret_access_key = [scrubbed:password]"),
        ("?api_key=1a2b&x=1", "?api_key=[scrubbed:password]&x=1"),
        ("x-api-key: 1a2b", "x-api-key: [scrubbed:password]"),
        ("mysql --password hunter2 -h db", "mysql --password [scrubbed:password] -h db"),
        ('{"password":"a\\"b","x":1}', '{"password":"[scrubbed:password]","x":1}'),
        ('{\\"token\\":\\"abc\\",\\"x\\":1}', '{\\"token\\":\\"[scrubbed:password]\\",\\"x\\":1}'),
        ('{"pin_token": 1234}', '{"pin_token": "[scrubbed:password]"}'),
        ("pwd='never closed", "pwd='[scrubbed:password]"),
        ("passphrase => open-sesame", "passphrase => [scrubbed:password]"),
    ],
)
def test_what_looks_like_a_secret_is_scrubbed_and_its_surroundings_stay(text, scrubbed):
    assert NOBODY.text(text) == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "https://git@host.example/x and mail a@b.example",
        "https://host.example/@path?q=a@b",
        "basic authentication failed; bearer tokens expired",
        "the password is wrong, 3 passed, passenger: bob",
        "token_bucket is full; keyspace: 3; key=value",
        '{"password": null, "token": false}',
        "AKIAIOSFODNN7EXAMPLEX7 xAKIAIOSFODNN7EXAMPLE AKIAIOSFODNN7EXAMPL",
        "ghp_short eyJ.eyJ. xoxb-1 glpat-1",
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
        "İstanbul: no secret at all",
    ],
)
def test_what_is_no_secret_stays_and_is_the_very_same_object(text):
    assert NOBODY.text(text) is text


def test_a_letter_that_grows_in_lower_case_does_not_shift_what_is_cut():
    assert NOBODY.text("İİİ password=hunter2 İ") == "İİİ password=[scrubbed:password] İ"


def test_labels_lose_values_and_values_of_telling_names():
    scrubber = Scrubber(["s3cr3t-live"])
    assert scrubber.labels(
        {"service": "pay", "note": "uses s3cr3t-live", "db_password": "x", "secret": "db-credentials", "token": ""}
    ) == {
        "service": "pay",
        "note": "uses [scrubbed:secret]",
        "db_password": "[scrubbed:password]",
        "secret": "db-credentials",
        "token": "",
    }


def test_bytes_that_are_not_text_pass_unchanged_around_what_is_scrubbed():
    assert NOBODY.bytes(b"\xff\xfe password=x9 \x80") == b"\xff\xfe password=[scrubbed:password] \x80"
    data = b"\xff nothing \x80"
    assert NOBODY.bytes(data) is data


def test_json_stays_json_when_a_live_secret_is_a_number_or_crosses_a_quote():
    assert json.loads(Scrubber(["123456"]).bytes(b'{"a": 123456, "b": "x"}')) == {"a": "[scrubbed:secret]", "b": "x"}
    assert json.loads(Scrubber(['a","b']).bytes(b'["a","b", "x"]')) == ["a", "b", "x"]


@pytest.mark.parametrize("opened", ['password="', "password='", 'password=\\"', "api_key: '"])
def test_an_open_quote_in_one_alert_hides_no_other_alert(opened):
    alerts = [{"summary": f"bad {opened}oops"}, {"summary": "disk full"}, {"summary": f"it's {opened}again"}, {"n": 1}]
    after = json.loads(NOBODY.bytes(json.dumps(alerts).encode()))
    assert len(after) == 4
    assert after[1] == {"summary": "disk full"}
    assert "oops" not in after[0]["summary"]
    assert "again" not in after[2]["summary"]
    assert after[3] == {"n": 1}


def test_it_shows_and_lends_no_secret():
    scrubber = Scrubber(["hunter2-live"]).knowing(["other-live"])
    assert repr(scrubber) == "Scrubber(2 secrets)"
    with pytest.raises(AttributeError):
        scrubber._secrets = frozenset()
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(scrubber)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12) | st.sampled_from(["pw=1", "a\\b"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["password", "token", "x", "api_key", "cookie"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(JSON.filter(lambda value: isinstance(value, dict | list)))
def test_what_was_json_is_json_and_no_named_password_is_left(value):
    after = json.loads(NOBODY.bytes(json.dumps(value).encode()))
    again = json.loads(NOBODY.bytes(json.dumps({"body": json.dumps(value)}).encode()))
    assert isinstance(json.loads(again["body"]), type(value))
    assert type(after) is type(value)
    if isinstance(value, dict) and isinstance(value.get("password"), str) and value["password"]:
        assert after["password"] == "[scrubbed:password]"


PIECES = st.sampled_from(
    [
        "password=",
        "token:",
        '"',
        "\\",
        " ",
        "eyJ",
        "abcdefgh1.",
        "://",
        "a:b@",
        "-----BEGIN PRIVATE KEY-----",
        "x",
        "\n",
        "Authorization: ",
        "Bearer ",
        "AKIA",
        "[",
        "]",
        "live-secret-1",
        "--token ",
        "key",
    ]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=20).map("".join))
def test_no_live_secret_is_left_in_any_text(text):
    assert "live-secret-1" not in Scrubber(["live-secret-1"]).text(text)


@pytest.mark.parametrize(
    "piece",
    [
        "password=",
        'secret="\\',
        "eyJaaaaaaaaaaaa.",
        "://a:",
        "-----BEGIN PRIVATE KEY-----",
        "passpass_",
        "key",
        "--token ",
        "github_pat_",
        'pwd\\\\\\"',
        "Bearer ",
        "cookie",
        "://a@a@",
        "TVlTRUNSRVQxMj",
    ],
)
def test_a_mebibyte_made_to_be_slow_is_read_in_linear_time(piece):
    scrubber = Scrubber(["MYSECRET12345"])
    with ends():  # it takes some 0.03 s; what is quadratic in the pieces takes minutes
        scrubber.text(piece * (2**20 // len(piece)))


def test_a_batch_without_secrets_comes_back_uncopied():
    alert = {"labels": {"alertname": "InstanceWedged", "service": "checkout"}, "annotations": {"summary": "no answer"}}
    body = json.dumps([alert] * 185).encode()
    assert Scrubber(["q9X-live-secret"]).bytes(body) is body
