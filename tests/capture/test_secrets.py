"""Secrets stay out of records, and ordinary names and lines stay as they are."""

from __future__ import annotations

import random
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.capture.secrets import (
    LineRedactor,
    redact_argv,
    redact_document,
    redact_text,
    redact_tree,
    redact_value,
    secret_file,
    secret_name,
)
from tests.capture.secret_corpora import Planted, draw, ordinary_config, ordinary_lines, planted


def captured(place: Planted) -> str:
    """What a record would hold of this place."""
    if place.form == "flag":
        return "\0".join(redact_argv(shlex.split(place.text)))
    if place.form in ("env", "key"):
        name, value = re.split(r"=|: ", place.text, maxsplit=1)
        nested: dict[str, object] = {name: value}
        if place.form == "key":
            *outer, last = name.split(".")
            nested = {last: value}
            for part in reversed(outer):
                nested = {part: nested}
        return repr(redact_tree(nested)[0])
    return redact_text(place.text)


def test_none_of_300_planted_secrets_is_captured():
    places = planted()
    leaks = [place.text for place in places if any(secret in captured(place) for secret in place.secrets)]

    assert leaks == []
    assert sum(len(place.secrets) for place in places) >= 300


def test_every_planted_place_would_leak_without_the_rules():
    assert all(place.secrets and all(secret in place.text for secret in place.secrets) for place in planted())


def test_none_of_300_common_configuration_keys_is_redacted():
    values = ordinary_config()

    assert len(values) >= 300
    assert redact_tree(values) == (values, [])


def test_the_names_of_common_configuration_keys_are_not_secret():
    secret = [key for key, value in ordinary_config().items() if secret_name(key) and isinstance(value, str)]

    assert secret == []


def test_at_most_one_of_300_ordinary_lines_is_touched():
    lines = ordinary_lines()
    touched = [line for line in lines if redact_text(line) != line]

    assert len(lines) >= 300
    assert len(touched) <= 1, touched


@pytest.mark.parametrize(
    "name",
    """
    password db.userPassword PGPASSWORD DB_PASS smtp-pass passphrase secret client_secret clientSecret api_key
    apiKey APIKey WANDB_API_KEY OPENAI_API_KEY AWS_SECRET_ACCESS_KEY private-key token hf_token HF_TOKEN
    github_token accessToken auth_token credentials dsn SENTRY_DSN cookie Authorization connection_string wandb_key
    github_pat headers.X-Api-Key password2 API_KEY_PROD OAuthToken
    """.split(),
)
def test_a_name_that_says_secret(name):
    assert secret_name(name)


@pytest.mark.parametrize(
    "name",
    """
    max_tokens tokenizer pad_token_id eos_token cls_token num_tokens author authors key keys sort_key session_length
    monkey passes num_passes secretary pass_at_k token_dropout attention keypoint_loss password_file token_url PWD
    passthrough compass forward_pass token_type_ids
    """.split(),
)
def test_a_name_that_only_sounds_like_one(name):
    assert not secret_name(name)


@pytest.mark.parametrize("value", [True, False, None, ""])
def test_a_boolean_none_and_the_empty_string_are_never_redacted(value):
    assert redact_value("password", value) is value


def test_a_number_is_redacted_under_a_strong_name_only():
    assert redact_value("password", 123456) == "<redacted:password>"
    assert redact_value("token", 123456) == 123456


def test_an_ambiguous_name_hides_only_what_looks_random():
    assert redact_value("sort_key", "num_frames") == "num_frames"
    assert (
        redact_value("sort_key", "9fceb02d0ae598e95dc970b74767f19372d61af8")
        == "9fceb02d0ae598e95dc970b74767f19372d61af8"
    )
    assert redact_value("sort_key", "q7Rz2LmX9vKp4TnB8wYd1HsG") == "<redacted:sort_key>"


def test_a_reference_to_a_variable_is_kept():
    assert redact_value("wandb.api_key", "${oc.env:WANDB_API_KEY}") == "${oc.env:WANDB_API_KEY}"
    assert redact_text("password: $DB_PASSWORD") == "password: $DB_PASSWORD"


def test_a_redacted_tree_names_the_paths_and_leaves_the_original_alone():
    values = {"db": {"password": "hunter2", "port": 5432}, "hubs": [{"token": "abcdef123"}], "a.b": {"secret": "s3"}}
    clean, hidden = redact_tree(values)

    assert clean == {
        "db": {"password": "<redacted:password>", "port": 5432},
        "hubs": [{"token": "<redacted:token>"}],
        "a.b": {"secret": "<redacted:secret>"},
    }
    assert hidden == ["db.password", "hubs.0.token", "a\\.b.secret"]
    assert values["db"] == {"password": "hunter2", "port": 5432}


def test_a_value_that_was_overridden_is_as_secret_as_the_one_in_force():
    document = {
        "format": 1,
        "values": {"db": {"password": "hunter3"}},
        "sources": {"db.password": "cli"},
        "overridden": {"db.password": [{"source": "default", "value": "hunter2"}]},
    }
    clean, hidden = redact_document(document)

    assert "hunter" not in repr(clean)
    assert (clean["sources"], hidden) == (document["sources"], ["db.password"])


def test_a_url_keeps_its_scheme_and_host():
    assert redact_text("postgres://ml:hunter2@db:5432/runs") == "postgres://<redacted:userinfo>@db:5432/runs"
    assert redact_text("ssh://git@github.com/lab/x.git") == "ssh://git@github.com/lab/x.git"
    assert redact_text("http://host:8080/@page") == "http://host:8080/@page"


def test_a_bare_git_name_is_kept_and_a_key_beside_a_name_is_not():
    sha = "9fceb02d0ae598e95dc970b74767f19372d61af8"

    assert redact_text(f"at commit {sha}") == f"at commit {sha}"
    assert sha not in redact_text(f"WANDB_API_KEY={sha}")


def test_the_rest_of_a_line_survives_its_secret():
    assert redact_text("epoch 3 password=hunter2, lr=0.1") == "epoch 3 password=<redacted:password>, lr=0.1"
    assert redact_text("--hub_token abc12345 --lr 0.1") == "--hub_token <redacted:hub_token> --lr 0.1"


def test_an_assignment_that_fills_a_line_is_hidden_to_its_end():
    assert redact_text("DB_PASSWORD=a,b;c)d&e") == "DB_PASSWORD=<redacted:DB_PASSWORD>"


def test_a_private_key_that_arrives_line_by_line_is_hidden_whole():
    pem = draw("pem", random.Random(1))
    redactor = LineRedactor()
    out = [redactor.feed(line + "\n") for line in ["before", *pem.splitlines(), "after"]]

    assert (out[0], out[-1]) == ("before\n", "after\n")
    assert not any(line in "".join(out) for line in pem.splitlines()[1:-1])


def test_the_command_line_of_a_record_keeps_its_shape():
    argv = [
        "python",
        "train.py",
        "--hub-token",
        "abc12345",
        "--lr",
        "0.1",
        "+db.password=hunter2",
        "--max_tokens",
        "512",
    ]

    assert redact_argv(argv) == [
        "python", "train.py", "--hub-token", "<redacted:hub-token>", "--lr", "0.1",
        "+db.password=<redacted:db.password>", "--max_tokens", "512",
    ]  # fmt: skip


def test_a_flag_without_a_value_does_not_swallow_the_next_flag():
    assert redact_argv(["--use-token", "--lr", "0.1"]) == ["--use-token", "--lr", "0.1"]


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text):
    once = redact_text(text)

    assert redact_text(once) == once


@pytest.mark.parametrize("index", range(0, 200, 7))
def test_a_planted_place_is_redacted_the_same_twice(index):
    once = redact_text(planted(rounds=1)[index].text)

    assert redact_text(once) == once


@pytest.mark.parametrize(
    "path",
    [
        ".env", "deploy/.env.production", "prod.env", "certs/server.pem", "a.key", "a.p12", "home/id_rsa",
        "id_ed25519.old", "credentials.json", ".aws/credentials", ".netrc", ".pypirc", "my-service-account.json",
        "conf/secrets.yaml",
    ],
)  # fmt: skip
def test_a_file_is_left_out_by_its_name(path):
    assert secret_file(path, b"")


@pytest.mark.parametrize("path", ["train.py", "secrets.py", ".env.example", "id_rsa.pub", "keys.txt", "tokenizer.json"])
def test_a_file_with_an_innocent_name_and_content_is_kept(path):
    assert secret_file(path, b"import torch\nTOKEN = os.environ['HF_TOKEN']\n") is None


@pytest.mark.parametrize("kind", ["pem", "hf", "ghp", "aws_id", "openai", "slack", "stripe"])
def test_a_file_is_left_out_by_what_it_holds(kind):
    value = draw(kind, random.Random(2))

    assert secret_file("notes.txt", f"x = '{value}'\n".encode())


def test_code_that_only_names_a_key_header_is_kept():
    assert secret_file("scan.py", b"if '-----BEGIN RSA PRIVATE KEY-----' in text:\n    refuse()\n") is None


@pytest.mark.parametrize(
    "hostile", ["a" * 200_000, "://" * 60_000, "token=" * 40_000, "eyJ" * 60_000, "password " * 20_000]
)
def test_a_hostile_line_comes_back(hostile):
    assert isinstance(redact_text(hostile), str)
