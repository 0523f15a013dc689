"""Credentials in files: the shapes that are refused, and the references that are not."""

import pytest

from watchkeeper.documents import Problem, looks_like_credential, parse, refuse_credentials

LETTERS = "Zx81kQ0vNf3LrT7mWp2YbH9sJd4GcA6eUi5o"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("AKIA" + "IOSFODNN7EXAMPLE", "an AWS access key id"),
        ("-----BEGIN RSA PRIVATE" + " KEY-----\nMIIE", "a private key"),
        ("-----BEGIN PRIVATE" + " KEY-----", "a private key"),
        ("ghp_" + LETTERS, "a GitHub token"),
        ("glpat-" + LETTERS[:20], "a GitLab token"),
        ("xoxb-" + "123456789012-abc", "a Slack token"),
        ("sk_live_" + LETTERS[:16], "a Stripe key"),
        ("eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0.abc", "a JSON Web Token"),
        ("postgres://app:hunter2@db/x", "a URL with a password"),
        ("redis://:hunter2@cache", "a URL with a password"),
        ("mysql --password=hunter2", "a password in text"),
        ("Server=db;Pwd=hunter2", "a password in text"),
        ("https://x/?api_key=abcd1234", "a password in text"),
        ("Authorization: Bearer " + LETTERS[:20], "a credential in a header"),
    ],
)
def test_what_looks_like_a_credential(text, what):
    assert looks_like_credential(text) == what


@pytest.mark.parametrize(
    "text",
    [
        "payments/restart-instance",
        "postgres://app@db/x",
        "postgres://app:${secrets.db}@db/x",
        "https://example.com/a:b@c",
        "http://[::1]:8080/",
        "mysql --password=${params.password}",
        "password=<redacted>",
        "Bearer ${secrets.admin}",
        "bearer of bad news was here today",
        "secret:vault/kv/admin",
        "AKIA",
    ],
)
def test_references_and_plain_words_are_fine(text):
    assert looks_like_credential(text) is None


@pytest.mark.parametrize("key", ["token", "apiKey", "api_key", "admin-password", "client.secret", "AccessToken"])
def test_a_long_random_text_under_a_telling_key(key):
    assert looks_like_credential(LETTERS[:20], key) == f"a secret under {key!r}"
    assert looks_like_credential(LETTERS[:19], key) is None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("token", "kv/payments/production/admin"),
        ("token", "secret:kv/payments/v2/admin1"),
        ("token", "${steps.login2.output.token}"),
        ("token", "a1a1a1a1a1a1a1a1a1a1a1a1"),
        ("token_digest", LETTERS),
        ("token", "a sentence of more than 20 letters"),
        ("path", LETTERS),
    ],
)
def test_a_name_a_reference_or_another_key_is_fine(key, text):
    assert looks_like_credential(text, key) is None


def test_a_tree_is_looked_through_and_the_value_never_repeated():
    (node,) = parse(
        "a.yaml",
        f"spec:\n  steps:\n  - auth: {{bearer: {{secret: admin}}}}\n    tokens: [x]\n    token: [ok, {LETTERS}]\n"
        f"    env: {{ghp_{LETTERS}: 1}}\n".encode(),
    )
    problems: list[Problem] = []
    refuse_credentials(node, problems)
    assert [(p.line, p.column, p.field) for p in problems] == [
        (5, 17, "spec.steps[0].token[1]"),
        (6, 10, "spec.steps[0].env"),
    ]
    assert all(LETTERS not in str(p) for p in problems)
    assert "keep it in a secret store and name it here" in str(problems[0])
