"""Texts that look like a secret and texts that do not; the search is fast for every text."""

from __future__ import annotations

import json
import random
import time

import pytest

from ssm_reconcile.secret_detection import DEPTH, LIMIT, name_looks_secret, value_looks_secret

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
A = "Zq7bT1xKp9"
SECRETS = [
    "postgres://app:hunter2@db/x",
    "postgresql+asyncpg://app:p%40ss@db.example.org:5432/app?sslmode=require",
    "redis://:hunter2@cache:6379/0",
    "mysql://app:p/w@host/db",
    "see https://example.org and ftp://bob:hunter2@files.example.org here",
    "https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/2",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN CERTIFICATE-----\\nMIIC",
    "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "a,AKIAIOSFODNN7EXAMPLE,b",
    AWS_SECRET,
    f"aws_secret_access_key = {AWS_SECRET}",
    f"ghp_{A * 4}",
    f"gho_{A * 4}",
    f"ghs_{A * 4}",
    f"github_pat_{A * 4}",
    f"glpat-{A * 2}",
    f"xoxb-{A * 3}",
    f"https://hooks.slack.com/services/T0/B0/{A}",
    f"sk_live_{A * 3}",
    f"AIza{A * 4}",
    f"sk-{A * 4}",
    JWT,
    f"Authorization: Bearer {A * 2}",
    '{"user": "app", "password": "hunter2"}',
    '{"username": "app",\n "token":\n "abc"}',
    '{"db": {"Password": "hunter2"}}',
    '{"clientSecret": "abc", "client_id": "x"}',
    '{"pass\\u0077ord": "hunter2"}',
    '{"config": "{\\"password\\": \\"hunter2\\"}"}',
    '[{"name": "DB_PASSWORD", "value": "hunter2"}]',
    '[{"key": "DB_PASSWORD", "value": "hunter2"}]',
    '{"credentials": {"prod": "hunter2"}}',
    '{"password": 12345}',
    "{'password': 'hunter2'}",
    "DB_HOST=x\nDB_PASSWORD=hunter2\n",
    "export API_TOKEN='abc'",
    "PGPASSWORD=hunter2",
    "db:\n  user: a\n  password: hunter2\n",
    "password: |\n  hunter2",
    "Server=tcp:db;Database=d;User ID=u;Password=hunter2;Encrypt=True",
    "Host=db;Username=u;Pwd=hunter2;",
    "AccountName=a;AccountKey=abcdefgh==;EndpointSuffix=core.windows.net",
    "host=db user=u password=hunter2 dbname=x",
    "jdbc:postgresql://db/x?user=u&password=hunter2",
    "url=//app:hunter2@db.example.org/x",
    "https://api.example.org/v1?api_key=abcdef&x=1",
    "<config><password>hunter2</password></config>",
    '<add key="DbPassword" value="hunter2"/>',
    "- name: DB_PASSWORD\n  value: hunter2",
    "--user app --password hunter2",
    "machine x login y password hunter2",
    "db:5432:app:app:hunter2",
    # a special character at the beginning
    "DB_PASSWORD=&hunter2B",
    "Server=x;UID=u;PWD={hunter2A};",
    "password: {hunter2}",
    "password=[hunter2]",
    "password: '(abc'",
    "password: no&more",
    "password=${a}b",
    "password=https://x",
    "password=<hunter2>",
    "password: $ecret2",
    # a child of a secret, and the words after one
    "PASSWORD_CACHE=hunter2E",
    "API_TOKEN_SERVICE=abcdef",
    "TOKEN_TTL=hunter2",
    '{"passwords": {"cache": "hunter2D"}}',
    '{"tokens": {"service": "abc"}}',
    '{"secret": {"id": "x"}}',
    '{"password": "hunter2", "password": ""}',
    '{"ParameterKey": "Password", "ParameterValue": "hunter2"}',
    # YAML: the value on a line below
    "db:\n  password:\n    hunter2C",
    "tokens:\n  - abc",
    "tokens:\n- abc",
    "password: &a hunter2",
    "password: !!str hunter2",
    "password: |-\n\n    12345",
    "secret:\n  id: x",
    "token: {id: abc}",
    "tokens: {service: abc}",
    # names
    "DB_PW=hunter2",
    '{"pw": "hunter2"}',
    "ROOTPW=hunter2",
    "passkey=hunter2",
    "consumer_key=abc",
    "_auth=dTpodW50ZXIy",
    '["pw=abc"]',
    '\ufeff {"passw\\u006frd": "hunter2"}',
    "YWI9eH4_fj8KREJfUEFTU1dPUkQ9aHVudGVyMg==",
    '{"auths": {"r.example.org": {"auth": "dTpodW50ZXIy"}}}',
    "https://x.blob.core.windows.net/c?sv=2020&sig=abcdEFGH1234%3D",
    "GH_PAT=abc",
    '{"api_key": 12345}',
    "DB_PASS=12345",
    "STRIPE_KEY=rkq1AbCdEfGhIjKlMnOp",
    # encoded
    "postgres%3A%2F%2Fapp%3Ahunter2%40db%2Fx",
    "%7B%22password%22%3A%22hunter2%22%7D",
    "eyJwYXNzd29yZCI6Imh1bnRlcjIifQ==",
    "REJfUEFTU1dPUkQ9aHVudGVyMgo=",
    '{"data": "eyJwYXNzd29yZCI6Imh1bnRlcjIifQ=="}',
    r'CONFIG="{\\\"password\\\": \\\"hunter2\\\"}"',
    # logins without a scheme, and other forms
    "app:hunter2@tcp(db:3306)/x",
    "DSN=app:hunter2@tcp(db:3306)/x",
    "//app:hunter2@db/x",
    "app:hunter2@db.example.org:5432/x",
    "app/hunter2@//db:1521/ORCL",
    "jdbc:oracle:thin:scott/tiger@host:1521:x",
    "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..abcdefgh.abcdefghi.abcdefgh",
    "<password>\n hunter2\n</password>",
    "<password><![CDATA[hunter2]]></password>",
    "curl -u app:hunter2 https://x",
    "requirepass hunter2",
]
ORDINARY = [
    "true",
    "passwords: {}",
    "tokens: [ ]",
    "PASSWORD={",
    "42",
    "us-east-1",
    "10.0.0.0/16,10.1.0.0/16",
    "fe80:0:0:0:1",
    "2026-11-28T12:00:00Z",
    "123e4567-e89b-12d3-a456-426614174000",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "https://example.org:8443/path?x=1&y=2#z",
    "https://example.org/users/a@b.example.org",
    "http://localhost:8080/@scope/pkg",
    "ssh://git@github.com/x/y.git",
    "postgres://db.example.org/app",
    "postgres://app@db.example.org/app",
    "postgres://app:${DB_PASSWORD}@db/x",
    "mongodb://a:27017,b:27017,c:27017/db?replicaSet=rs0",
    "redis://cache.abc.0001.use1.cache.amazonaws.com:6379/0",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db/password-AbCdEf",
    "arn:aws:ssm:us-east-1:123456789012:parameter/prod/db/password",
    "subnet-0a1b2c3d,subnet-0a1b2c3e",
    "ops@example.org",
    '{"enabled": true, "limit": 10, "owner": "team-a"}',
    '{"max_tokens": 4096, "model": "x"}',
    '{"token_url": "https://example.org/oauth/token"}',
    '{"password_policy": {"min_length": 12, "require_symbols": true}}',
    '{"passwordResetEnabled": true, "secretName": "prod/db"}',
    '{"password": "", "token": null, "secret": "${SECRET}"}',
    "PASSWORD=\nUSER=app\n",
    "TOKEN_TTL=3600",
    "response_type=token&grant_type=password",
    "sort_key: created\nprimary_key: id\npublic_key=abc",
    "bypass=all",
    "Enter your password:",
    "Basic authentication is required",
    "auth: no-login!",
    "https://example.org/image:tag@registry:5000/x",
    "sip:ops@example.org:5060",
    "acct:ops@example.org:443",
    "auth: dTpod",
    '{"auth": "aW50ZXI="}',
    "cron(0 12 * * ? *)",
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1.2.3",
    "Applications/Services/Frontend/Settings1",
    "^[a-z]+$",
    # references
    "password: $DB_PASSWORD",
    "password=$(cat /run/x)",
    "password: /run/secrets/db",
    "password: !ENV X",
    "password=#{ENV}",
    "password=@Microsoft.KeyVault(SecretUri=https://x)",
    "token: ${{ secrets.TOKEN }}",
    "{{resolve:secretsmanager:x:SecretString:password}}",
    "password={{resolve:secretsmanager:x}}",
    "password=${A};user=x",
    "password=&user=app",
    "Password=;Server=x",
    # scopes, switches and words about a secret
    "token:read,token:write",
    "secrets:read secrets:write",
    '["secret:read", "token:write"]',
    "permissions:\n  id-token: write",
    "password_hashing=bcrypt",
    '{"token": "bearer"}',
    '{"token_expiry": "1h"}',
    '{"passwordChangeInterval": "P90D"}',
    '{"secretRef": {"name": "db-secret", "key": "password"}}',
    '{"secret": {"arn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:a"}}',
    "PASSWORD_FILE=/run/secrets/pw",
    "password:\nuser: app",
    "partition_key=tenant",
    "encryption_key_id: alias/app",
    "STRIPE_KEY=abc",
    # five fields that are no .pgpass, and ports that are no password
    "v1:2:prod:eu:west",
    "12:30:45:PM:UTC",
    "app:1:2:blue:green",
    "https://example.org:${PORT}/u@x",
    "https://[::1]:8080/x@y",
    '{"url":"https://example.org","mail":"ops@example.org"}',
    '{"url":"https://example.org:8080","mail":"ops@example.org"}',
    "mailto:ops@example.org:25/x",
    "mount=/data@//nas.example.org/share",
    "app/@//db.example.org/x",
    ":latest@registry:5000/x",
    "app:@tcp(db:3306)/x",
    f"{AWS_SECRET}a",
    # names that are a word for a secret in other names
    "pat=abc",
    "key=rkq1AbCdEfGhIjKlMnOp",
    "stripe_key=a\nimage_tag=rkq1AbCdEfGhIjKlMnOp",
    "site_key=123e4567-e89b-12d3-a456-426614174000",
    "auth: dTpo.dW50ZXIy",
    "image:tag@sha256:e3b0c44298fc1c149afbf4c8996fb924",
]


@pytest.mark.parametrize("value", SECRETS)
def test_a_value_with_the_shape_of_a_secret_is_recognised(value: str) -> None:
    assert value_looks_secret(value)


@pytest.mark.parametrize("value", SECRETS[:15])
def test_a_secret_is_recognised_at_the_end_of_a_long_text(value: str) -> None:
    assert value_looks_secret("x = 1\n" * 1200 + value)


@pytest.mark.parametrize("value", ORDINARY)
def test_an_ordinary_value_is_not_hidden(value: str) -> None:
    assert not value_looks_secret(value)


PRINTABLE = "".join(map(chr, range(33, 127)))
TEMPLATES = {
    "env": ("DB_HOST=x\nDB_PASSWORD={}\nDB_PORT=1\n", ""),
    "env, quoted": ('DB_PASSWORD="{}"\n', '"\\'),
    "env, single quotes": ("DB_PASSWORD='{}'\n", "'"),
    "yaml": ("db:\n  user: a\n  password: {}\n", ""),
    "yaml, next line": ("db:\n  password:\n    {}\n", ":"),
    "yaml, quoted": ('password: "{}"', '"\\'),
    "json": ('{{"a": 1, "password": "{}"}}', '"\\'),
    "connection string": ("Server=x;Uid=u;Pwd={};", ";"),
    "connection string, braces": ("Server=x;Uid=u;Pwd={{{}}};Encrypt=yes", "}"),
    "url": ("postgres://app:{}@db.example.org/x", "/?#\"'"),
}


@pytest.mark.parametrize(("template", "left_out"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_random_printable_password_is_recognised_in_every_notation(template: str, left_out: str) -> None:
    choice = random.Random(23)  # noqa: S311 - test data
    alphabet = [one for one in PRINTABLE if one not in left_out]
    passwords = ["".join(choice.choices(alphabet, k=choice.randint(8, 24))) for _ in range(500)]
    assert [one for one in passwords if not value_looks_secret(template.format(one))] == []


def test_every_first_character_of_a_password_is_recognised() -> None:
    lines = [f"DB_PASSWORD={one}hunter2B" for one in PRINTABLE]
    assert [line for line in lines if not value_looks_secret(line)] == []


def test_a_text_that_is_too_long_or_too_deep_to_be_searched_counts_as_a_secret() -> None:
    nested = "plain text"
    for _ in range(DEPTH):
        nested = json.dumps(nested)
    assert not value_looks_secret(nested)
    assert value_looks_secret(json.dumps(nested))
    assert not value_looks_secret("a" * LIMIT)
    assert value_looks_secret("a" * (LIMIT + 1))


@pytest.mark.parametrize(
    "part",
    ["a", "://", "://a:", "://:@", "://a:b ", "eyJ", "eyJ.", "-eyJ", "=", "password", "password: ''\n",
     "token a=", "token<a", "token<a ", "token name=", "token name: a  ", " ", "--a", "token --ab   ", "1",
     "basic ", "login a ", "\n", "a:1:", "[", '{"a":', "AKIA", "SG." + "a" * 64, '\\"', "a" * 40 + " ", "x.",
     "\u00e9", "token A b=", "arn:aws:", "@", "a:b@", "://a:@", "token:\n", "token:\n - a", "token: {a: ",
     "%41", "&", "curl ", "curl -u ", "a:1000:a:aa:", "<password>", "\\", "password=$(", "password=${",
     "password={", "requirepass\t", "sig=", "//a:", "thin:a/"],
)  # fmt: skip
def test_a_text_twice_as_long_takes_about_twice_as_long(part: str) -> None:
    """Quadratic time would make it sixteen times as long; one of three looks leaves out the machine."""

    def seconds(length: int) -> float:
        text = part * (length // len(part))
        started = time.thread_time()
        value_looks_secret(text)
        return time.thread_time() - started

    value_looks_secret(part)
    looks = (seconds(32_768) < max(0.02, 9 * seconds(8_192)) for _ in range(3))
    assert any(looks)


NAMES = {
    "/app/githubPat": True,
    "/app/compat": False,
    "/app/db_password": True,
    "/app/pwd": True,
    "/app/dbpwd": True,
    "/app/passwd": True,
    "/app/dsn": True,
    "/app/SENTRY_DSN": True,
    "/app/sentryDsn": True,
    "/app/jwt": True,
    "/app/tls.pem": True,
    "/app/creds": True,
    "/app/connstr": True,
    "/app/conn_str": True,
    "/app/connection-string": True,
    "/app/ConnectionStrings/main": True,
    "/app/api-key": True,
    "/app/db_pw": True,
    "/app/rootpw": True,
    "/app/passkey": True,
    "/app/consumer_key": True,
    "/app/GH_PAT": True,
    "/secrets/host": True,
    "/app/pass/word": False,
    "/app/api/key": False,
    "/app/path": False,
    "/app/spw": False,
    "/app/adsnetwork": False,
    "/app/tempemail": False,
    "/app/connection_strategy": False,
    "/app/host": False,
    "/App/DbHost": False,
    "/app/logLevel": False,
    "/app/HTTPProxy": False,
}


def test_a_text_is_decoded_once_however_often_it_is_encoded() -> None:
    assert value_looks_secret("password%3Dhunter2")
    assert not value_looks_secret("%" + "25" * 5_000)


@pytest.mark.parametrize(("name", "secret"), NAMES.items())
def test_a_name_looks_secret_by_its_words(name: str, secret: bool) -> None:
    assert name_looks_secret(name) is secret
