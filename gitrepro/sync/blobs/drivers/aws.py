"""What people have told the AWS programs already: the files in ~/.aws, which the library for clouds does not read."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ....errors import UsageError

_ASKED_BY_NAME: Final = ("sso_session", "sso_start_url", "credential_process", "role_arn")


def aws_settings(options: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Region, endpoint and keys, as far as they are to be told to the library; it knows the environment itself.

    An option wins over the environment, and that over the files. Keys are read from the files only where the
    environment names none, or where the option `profile` asks for them.

    Raises:
        UsageError: the profile is in neither file, or a file cannot be read.
    """
    profile = options.get("profile") or environ.get("AWS_PROFILE")
    written = _written(profile, environ)
    settings = {}
    if region := options.get("region") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"):
        settings["region"] = region
    elif "region" in written:
        settings["region"] = written["region"]
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or written.get("endpoint_url")
    if endpoint:
        settings["endpoint"] = endpoint
    if "profile" in options or "AWS_ACCESS_KEY_ID" not in environ:
        settings |= _keys(written)
    return settings


def _keys(written: Mapping[str, str]) -> dict[str, str]:
    names = {
        "access_key_id": "aws_access_key_id",
        "secret_access_key": "aws_secret_access_key",
        "token": "aws_session_token",
    }
    if not {"aws_access_key_id", "aws_secret_access_key"} <= written.keys():
        return {}
    return {ours: written[theirs] for ours, theirs in names.items() if theirs in written}


def _written(profile: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    name = profile or "default"
    home = Path(environ.get("HOME") or Path.home()) / ".aws"
    config = _read(Path(environ.get("AWS_CONFIG_FILE") or home / "config"))
    secrets = _read(Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"))
    sections = [(config, "default" if name == "default" else f"profile {name}"), (secrets, name)]
    found = [dict(file.items(section)) for file, section in sections if file.has_section(section)]
    if profile and not found:
        raise UsageError(
            f"there is no profile {profile!r:.80} in ~/.aws", do="`aws configure list-profiles` shows them"
        )
    merged: dict[str, str] = {}
    for each in found:
        merged |= each
    if profile and not _keys(merged) and any(each in merged for each in _ASKED_BY_NAME):
        raise UsageError(
            f"the profile {profile!r:.80} holds no keys, but says where to get some",
            why="gitrepro reads keys and runs no program to get them",
            do=f'`eval "$(aws configure export-credentials --profile {profile} --format env)"; unset AWS_PROFILE`',
        )
    return merged


def _read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(default_section="", strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"cannot read {path}", why=str(error).splitlines()[0], do="correct the file") from error
    return parser
