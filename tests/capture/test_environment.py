"""The software environment: equal where environments are equal, and never a reason to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from gitrepro.capture import environment, modules

FILE = Path(environment.__file__)
BY_PATH = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("described", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps({"describe": module.describe(), "frameworks": module.frameworks(), "host": module.host()}))
print([name for name in sys.modules if name.startswith("gitrepro")], file=sys.stderr)
"""


def described(python: str, *, cwd: Path, **variables: str) -> dict[str, dict[str, object]]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    done = subprocess.run(
        [python, "-c", BY_PATH, str(FILE)],
        cwd=cwd,
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "[]"
    return json.loads(done.stdout)


def test_two_runs_in_one_environment_have_one_description(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    first = described(sys.executable, cwd=tmp_path, SLURM_JOB_ID="1", CUDA_VISIBLE_DEVICES="0")
    second = described(sys.executable, cwd=tmp_path / "elsewhere", SLURM_JOB_ID="2", CUDA_VISIBLE_DEVICES="1")

    assert first["describe"] == second["describe"]
    assert first["host"] != second["host"]
    assert first["host"]["launch"] == {"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "1"}


def test_a_setting_that_changes_results_changes_the_description(tmp_path):
    first = described(sys.executable, cwd=tmp_path, OMP_NUM_THREADS="1")
    second = described(sys.executable, cwd=tmp_path, OMP_NUM_THREADS="2")

    assert first["describe"] != second["describe"]


def test_variables_come_from_a_list_and_never_hold_a_credential(tmp_path):
    variables = {
        "NCCL_DEBUG": "INFO", "PYTHONHASHSEED": "0", "HF_HOME": "/hf", "HF_TOKEN": "x", "TORCH_API_KEY": "x",
        "TORCHELASTIC_RUN_ID": "7", "TF_VAR_password": "x", "TF_ENABLE_ONEDNN_OPTS": "0", "DATABASE_URL": "x",
        "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    found = described(sys.executable, cwd=tmp_path, **variables)["describe"]["variables"]

    assert {name: found[name] for name in found if name in variables} == {
        "NCCL_DEBUG": "INFO",
        "HF_HOME": "/hf",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }


def test_packages_are_those_that_importlib_finds():
    expected = {}
    for each in metadata.distributions():
        expected.setdefault(each.metadata["Name"].replace("_", "-").replace(".", "-").lower(), each.version)

    assert environment.packages() == dict(sorted(expected.items()))


def test_names_are_normalised_and_the_first_folder_wins(tmp_path):
    for folder, entry in [
        ("a", "My_Pkg.x-1.0.dist-info"),
        ("b", "my-pkg-x-2.0.dist-info"),
        ("b", "old-3-py3.11.egg-info"),
    ]:
        (tmp_path / folder / entry).mkdir(parents=True)
    path = [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "missing")]

    found = environment.packages(path)
    assert (found["my-pkg-x"], found["old"]) == ("1.0", "3")


def test_a_package_that_did_not_come_from_an_index_is_noted(tmp_path):
    origins = {
        "a-1.dist-info": '{"url": "file:///x", "dir_info": {"editable": true}}',
        "b-1.dist-info": '{"url": "https://u:p@h/x.git", "vcs_info": {"vcs": "git", "commit_id": "9fceb02"}}',
        "c-1.dist-info": '{"url": "https://h/c.whl", "archive_info": {}}',
        "d-1.dist-info": "not json",
    }
    for entry, text in origins.items():
        (tmp_path / entry).mkdir()
        (tmp_path / entry / "direct_url.json").write_text(text)
    (tmp_path / "e-1.dist-info").mkdir()

    assert environment.installed_from([str(tmp_path)]) == {"a": "editable", "b": "git 9fceb02", "c": "archive"}


def test_a_development_install_has_the_version_of_its_metadata(tmp_path):
    (tmp_path / "mine.egg-info").mkdir()
    (tmp_path / "mine.egg-info" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 0.3\n")

    assert environment.packages([str(tmp_path)]) == {"mine": "0.3"}


def test_the_distribution_and_container_are_read_from_the_system(tmp_path, monkeypatch):
    for name in ("KUBERNETES_SERVICE_HOST", "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "container"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\n')
    (tmp_path / ".dockerenv").touch()
    found = environment.describe(root=str(tmp_path))

    assert found["os"]["distribution"] == "debian 12"
    assert found["container"] == "docker"


def test_a_machine_without_any_of_its_files_is_described_all_the_same(tmp_path):
    found = environment.describe(root=str(tmp_path / "nothing"))

    assert "distribution" not in found["os"]
    assert found.get("container") != "docker"
    assert found["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert "boot_id" not in environment.host(root=str(tmp_path / "nothing"))


def test_only_libraries_that_are_imported_already_are_described(tmp_path):
    assert described(sys.executable, cwd=tmp_path)["frameworks"] == {}


def test_torch_says_which_settings_are_in_force():
    torch = pytest.importorskip("torch")
    before = environment.frameworks()["torch"]
    torch.use_deterministic_algorithms(True)
    try:
        after = environment.frameworks()["torch"]
    finally:
        torch.use_deterministic_algorithms(before["deterministic_algorithms"])

    assert after["version"] == torch.__version__
    assert after["threads"] == torch.get_num_threads()
    assert (before["deterministic_algorithms"], after["deterministic_algorithms"]) == (False, True)


def test_the_threads_of_blas_are_described_without_private_paths():
    import numpy as np

    pools = environment.frameworks()["thread_pools"]
    assert any(pool["user_api"] == "blas" for pool in pools)
    assert np.__file__.split("/numpy/")[0] not in json.dumps(pools)


def test_a_module_that_answers_with_an_error_is_passed_over(tmp_path, monkeypatch):
    class Hostile:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

    for name in ("hostile", "torch", "numpy"):
        monkeypatch.setitem(sys.modules, name, Hostile())

    assert modules.local_modules(str(tmp_path)) == []
    assert "torch" not in environment.frameworks()
