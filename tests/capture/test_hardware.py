"""The hardware, from the files of a real or a made-up system, and what a process has used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gitrepro.capture import hardware

CPUINFO = "\n\n".join(
    f"processor\t: {n}\nmodel name\t: AMD EPYC 7763 64-Core Processor\nphysical id\t: {n // 4}\ncore id\t\t: {n % 2}"
    for n in range(8)
)


@pytest.fixture
def system(tmp_path):
    """A folder in the shape of a Linux system; each test adds the files it is about."""

    def write(files: dict[str, str]) -> str:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path)

    return write


def test_the_processor_and_the_memory_are_named(system):
    found = hardware.describe(root=system({"proc/cpuinfo": CPUINFO, "proc/meminfo": "MemTotal:       2048 kB\n"}))

    assert found["cpu"]["model"] == "AMD EPYC 7763 64-Core Processor"
    assert found["cpu"]["physical_cores"] == 4
    assert found["cpu"]["logical_cores"] == os.cpu_count()
    assert found["memory"] == {"total_bytes": 2048 * 1024}


def test_a_cgroup_of_version_2_limits_cores_and_memory_by_its_tightest_level(system):
    root = system(
        {
            "proc/self/cgroup": "0::/slurm/job_7/step_0\n",
            "sys/fs/cgroup/slurm/job_7/step_0/cpu.max": "max 100000\n",
            "sys/fs/cgroup/slurm/job_7/cpu.max": "250000 100000\n",
            "sys/fs/cgroup/slurm/job_7/step_0/memory.max": "max\n",
            "sys/fs/cgroup/slurm/job_7/memory.max": "1073741824\n",
            "sys/fs/cgroup/slurm/memory.max": "8589934592\n",
        }
    )
    found = hardware.describe(root=root)

    assert found["cpu"]["quota_cores"] == 2.5
    assert found["memory"]["limit_bytes"] == 1 << 30


def test_a_cgroup_of_version_1_limits_cores_and_memory(system):
    root = system(
        {
            "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
        }
    )
    found = hardware.describe(root=root)

    assert found["cpu"]["quota_cores"] == 1.5
    assert found["memory"]["limit_bytes"] == 512 << 20


def test_a_cgroup_without_limits_is_no_limit(system):
    root = system(
        {
            "proc/self/cgroup": "4:cpu:/\n5:memory:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        }
    )

    assert "quota_cores" not in hardware.describe(root=root)["cpu"]
    assert "memory" not in hardware.describe(root=root)


@pytest.mark.parametrize(
    "version",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.104.05  Release Build  (dvs-builder@U16)\n",
    ],
)
def test_gpus_and_their_driver_are_read_without_a_process(system, version):
    gpu = "Model: \t\t NVIDIA A100-SXM4-80GB\nIRQ:   \t\t 31\nGPU UUID: \t GPU-1\n"
    root = system(
        {
            "proc/driver/nvidia/version": version,
            "proc/driver/nvidia/gpus/0000:07:00.0/information": gpu,
            "proc/driver/nvidia/gpus/0000:0f:00.0/information": gpu,
        }
    )
    found = hardware.describe(root=root)

    assert found["gpus"] == [{"name": "NVIDIA A100-SXM4-80GB"}] * 2
    assert found["gpu_driver"] == "535.104.05"


@pytest.mark.parametrize(
    ("cgroup", "file", "text", "kills"),
    [
        ("0::/job\n", "sys/fs/cgroup/job/memory.events", "low 0\nmax 3\noom 2\noom_kill 2\n", 2),
        ("0::/job\n", "sys/fs/cgroup/memory.events", "oom_kill 1\n", 1),
        ("7:memory:/job\n", "sys/fs/cgroup/memory/job/memory.oom_control", "under_oom 0\noom_kill 3\n", 3),
        ("0::/job\n", "sys/fs/cgroup/job/other", "", None),
        ("", "empty", "", None),
    ],
)
def test_memory_kills_are_counted_by_the_cgroup(system, cgroup, file, text, kills):
    found = hardware.cgroup_oom_kills(root=system({"proc/self/cgroup": cgroup, file: text}))

    assert list(found.values()) == ([] if kills is None else [kills])


def test_a_system_without_any_of_its_files_is_described_all_the_same(tmp_path):
    found = hardware.describe(root=str(tmp_path / "nothing"))

    assert set(found) == {"cpu"}
    assert hardware.cgroup_oom_kills(root=str(tmp_path / "nothing")) == {}


def test_this_machine_is_described():
    found = hardware.describe()

    assert found["cpu"]["logical_cores"] >= 1
    assert found["memory"]["total_bytes"] > 1 << 20


def test_the_use_of_a_process_covers_its_ended_children():
    before = hardware.usage()
    subprocess.run([sys.executable, "-c", "x = bytearray(300 << 20); sum(range(10**6))"], check=True)
    after = hardware.usage()

    assert after["cpu_user_seconds"] > before["cpu_user_seconds"]
    assert after["peak_memory_bytes"] >= 300 << 20


@pytest.mark.parametrize("name", ["environment.py", "hardware.py"])
def test_a_file_loaded_by_path_wakes_nothing_of_gitrepro(name):
    path = Path(hardware.__file__).with_name(name)
    load = (
        "import importlib.util, sys; spec = importlib.util.spec_from_file_location('m', sys.argv[1]); "
        "m = importlib.util.module_from_spec(spec); spec.loader.exec_module(m); m.describe(); "
        "dear = ('gitrepro', 'numpy', 'torch', 'pathlib', 'typing'); "
        "print(sorted(name for name in sys.modules if name.split('.')[0] in dear))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", load, str(path)], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.gpu
def test_torch_names_its_gpus_once_cuda_is_awake():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.zeros(1, device="cuda")

    assert hardware.describe()["gpus"][0]["name"] == torch.cuda.get_device_name(0)
