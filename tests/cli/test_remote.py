"""`gitrepro remote`: which store remotes a clone follows, by its own configuration and by the policy file's offer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitrepro.errors import ConfigError, UsageError
from gitrepro.sync.remotes import add, offered, remotes
from tests.conftest import Cli, Git
from tests.recorded_runs import opened


def offer(repo: Path, text: str) -> None:
    (repo / ".gitrepro.yaml").write_text(f"version: 1\nstore:\n  remotes:\n{text}")


def urls(repo: Path) -> dict[str, str]:
    return {remote.name: remote.url for remote in remotes(opened(repo))}


def test_what_is_added_is_listed_and_what_is_removed_is_not(repo: Path, warm_cli: Cli) -> None:
    assert warm_cli("remote", "add", "team", "/mnt/team", cwd=repo).returncode == 0
    assert warm_cli("remote", "add", "box.2", "ada@box:runs", cwd=repo).returncode == 0

    listed = json.loads(warm_cli("remote", "ls", "--json", cwd=repo).stdout)
    gone = warm_cli("remote", "rm", "team", cwd=repo)

    assert {each["name"]: each["url"] for each in listed} == {"team": "/mnt/team", "box.2": "ada@box:runs"}
    assert gone.stdout == "team\t/mnt/team\n"
    assert urls(repo) == {"box.2": "ada@box:runs"}


def test_it_is_kept_in_the_configuration_of_this_clone(repo: Path, warm_cli: Cli, git: Git) -> None:
    done = warm_cli(
        "remote", "add", "cloud", "s3://bucket/runs", "--region", "eu-1", "--endpoint", "https://s3.example.org",
        cwd=repo,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert git(repo, "config", "--local", "gitrepro-remote.cloud.url") == "s3://bucket/runs"
    [remote] = remotes(opened(repo))
    assert remote.options == {"region": "eu-1", "endpoint": "https://s3.example.org"}


def test_added_again_it_is_the_new_one_and_nothing_of_the_old(repo: Path) -> None:
    found = opened(repo)
    add(found, "team", "s3://bucket/runs", {"region": "eu-1"})
    add(found, "team", "/mnt/team")

    assert [(each.url, each.options) for each in remotes(found)] == [("/mnt/team", {})]


def test_a_folder_is_kept_as_an_absolute_path(repo: Path, warm_cli: Cli) -> None:
    assert warm_cli("remote", "add", "near", "../near", cwd=repo).returncode == 0

    assert urls(repo) == {"near": str(repo.parent / "near")}


BAD = (
    "ext::sh -c touch% canary",
    "-oProxyCommand=canary",
    "--upload-pack=canary",
    "ssh://-oProxyCommand=canary/x",
    "s3://KEY:SECRET@bucket/x",
    "https://ada:secret@example.org/x",
    "ssh://ada:secret@box/x",
    "az://container/x?sig=abc",
    "ftp://example.org/x",
    "box:",
    "",
    "/mnt/te\nam",
)


@pytest.mark.parametrize("url", BAD)
def test_what_could_do_harm_or_holds_a_secret_is_refused(repo: Path, url: str, warm_cli: Cli) -> None:
    done = warm_cli("remote", "add", "team", "--", url, cwd=repo)

    assert done.returncode == 2
    assert "SECRET" not in done.stderr and "ada:secret" not in done.stderr
    assert urls(repo) == {}


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "..", 'x"\n'])
def test_a_name_is_plain(repo: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name"):
        add(opened(repo), name, "/mnt/team")


def test_an_option_that_nobody_knows_is_refused_with_the_nearest(repo: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'region'"):
        add(opened(repo), "team", "s3://bucket", {"regoin": "eu-1"})


def test_what_somebody_wrote_into_the_configuration_is_judged_too(repo: Path, git: Git, warm_cli: Cli) -> None:
    git(repo, "config", "gitrepro-remote.team.url", "ext::touch canary")

    assert warm_cli("remote", "ls", cwd=repo).returncode == 2


def test_nobody_can_remove_what_is_not_there(repo: Path, warm_cli: Cli) -> None:
    done = warm_cli("remote", "rm", "team", cwd=repo)

    assert done.returncode == 3
    assert "this clone has none" in done.stderr


def test_what_the_policy_file_offers_is_not_followed_by_itself(repo: Path, warm_cli: Cli) -> None:
    offer(repo, "    team: /mnt/team\n")

    done = warm_cli("remote", "ls", cwd=repo)

    assert "team\t/mnt/team\t\toffered" in done.stdout
    assert "`gitrepro remote add team` follows it" in done.stderr
    assert urls(repo) == {}


def test_an_offer_is_taken_over_by_its_name(repo: Path, warm_cli: Cli) -> None:
    offer(repo, "    team: {url: 's3://bucket/x', region: eu-1, anonymous: true}\n")

    assert warm_cli("remote", "add", "team", cwd=repo).returncode == 0

    [remote] = remotes(opened(repo))
    assert (remote.url, remote.options) == ("s3://bucket/x", {"region": "eu-1", "anonymous": "true"})
    assert [each.same for each in offered(opened(repo))] == [True]


def test_a_url_that_changed_in_the_file_is_told_of_and_not_followed(repo: Path, warm_cli: Cli) -> None:
    offer(repo, "    team: /mnt/team\n")
    warm_cli("remote", "add", "team", cwd=repo)
    offer(repo, "    team: ssh://enemy.example.org/loot\n")

    done = warm_cli("remote", "ls", cwd=repo)

    assert "takes over the new one" in done.stderr
    assert urls(repo) == {"team": "/mnt/team"}


def test_an_offer_that_nobody_made_is_not_found(repo: Path, warm_cli: Cli) -> None:
    offer(repo, "    team: /mnt/team\n")

    done = warm_cli("remote", "add", "box", cwd=repo)

    assert done.returncode == 3
    assert "it names team" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "    team: 'ext::touch canary'\n",
        "    team: {url: /x, key: abc}\n",
        "    team: {url: 'box:runs', helper: touch canary}\n",
        "    -x: /x\n",
        "    team: [/x]\n",
        "    team: {region: eu-1}\n",
    ],
)
def test_a_policy_file_with_a_bad_offer_is_refused_by_name(repo: Path, text: str) -> None:
    offer(repo, text)

    with pytest.raises(ConfigError, match=r"store\.remotes|has no URL"):
        offered(opened(repo))
