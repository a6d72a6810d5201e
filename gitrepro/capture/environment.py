"""The software a run stands on: Python, packages, operating system, libraries in use.

Standard library only, and nothing of gitrepro: this file is also loaded by its path into the interpreter of the program
that is recorded, where gitrepro may not be installed. Nothing here raises: what cannot be read is left out.

`describe()` holds nothing that differs between two runs in one environment, so equal environments are one record;
what belongs to this run and this machine alone is in `host()`.
"""

# pathlib is an import that the program would pay for.
# ruff: noqa: PTH110, PTH112, PTH118, PTH208
from __future__ import annotations

import os
import re
import sys

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

# Variables that change what a program computes or how fast. Never the whole environment: it holds secrets.
PREFIXES = (
    "BLIS_", "CUBLAS_", "CUDA_", "CUDNN_", "GOMP_", "GOTO_", "HIP_", "HSA_", "JAX_", "KMP_", "MIOPEN_", "MKL_", "NCCL_",
    "NUMEXPR_", "OMP_", "OPENBLAS_", "PYTORCH_", "TORCH", "TRITON_", "VECLIB_", "XLA_",
    # TensorFlow by its own families: Terraform shares the prefix, and its TF_VAR_ variables hold secrets.
    "TF_CPP_", "TF_CUDNN_", "TF_DETERMINISTIC_", "TF_DISABLE_", "TF_ENABLE_", "TF_FORCE_", "TF_GPU_", "TF_NUM_",
    "TF_USE_", "TF_XLA_",
)  # fmt: skip
NAMES = frozenset(
    "HF_DATASETS_CACHE HF_DATASETS_OFFLINE HF_ENDPOINT HF_HOME HF_HUB_CACHE HF_HUB_ENABLE_HF_TRANSFER HF_HUB_OFFLINE "
    "LANG LC_ALL LC_NUMERIC PYTHONOPTIMIZE PYTHONUTF8 PYTHON_GIL TOKENIZERS_PARALLELISM "
    "TRANSFORMERS_OFFLINE TZ".split()
)
# These name a job, a device slot or a peer rather than an environment.
OF_A_JOB = re.compile(
    r"TORCHELASTIC_.*|CUDA_VISIBLE_DEVICES|HIP_VISIBLE_DEVICES|NCCL_COMM_ID|NCCL_HOSTID|CUDA_MPS_.*"
    r"|JAX_COORDINATOR_.*|JAX_PROCESS_ID|JAX_NUM_PROCESSES|TORCH_NCCL_TRACE_.*|TORCH_FR_.*"
)
_SUSPICIOUS = re.compile(r"TOKEN(?!IZER)|SECRET|PASSW|_KEY$|CREDENTIAL", re.IGNORECASE)
_LAUNCH = re.compile(
    r"SLURM_(?:JOB_?ID|STEP_?ID|PROCID|LOCALID|NODEID|NTASKS|NNODES|JOB_NAME|JOB_PARTITION|RESTART_COUNT"
    r"|ARRAY_(?:JOB|TASK)_ID)|TORCHELASTIC_(?:RUN_ID|RESTART_COUNT|MAX_RESTARTS)|(?:LOCAL_|GROUP_)?RANK"
    r"|(?:LOCAL_)?WORLD_SIZE|MASTER_(?:ADDR|PORT)|PBS_JOBID|LSB_JOBID|JOB_ID|SGE_TASK_ID|KUBERNETES_POD_NAME"
    r"|(?:CUDA|HIP|NVIDIA)_VISIBLE_DEVICES|OMPI_COMM_WORLD_(?:RANK|SIZE)|JAX_PROCESS_ID|JAX_NUM_PROCESSES"
)
_LONGEST_VALUE = 1000


def describe(*, root: str = "/") -> dict[str, Any]:
    """The environment of this interpreter; equal environments give equal values.

    Args:
        root: where the system's files are found.
    """
    found = {
        "python": _python(),
        "packages": packages(),
        "installed_from": installed_from(),
        "os": _os(root),
        "container": _container(root),
        "variables": variables(),
    }
    return {name: value for name, value in found.items() if value is not None}


def variables() -> dict[str, str]:
    """The environment variables that are worth a record, by an allow-list."""
    return {name: os.environ[name][:_LONGEST_VALUE] for name in sorted(os.environ) if _is_recorded(name)}


def _is_recorded(name: str) -> bool:
    listed = name in NAMES or name.startswith(PREFIXES)
    return listed and not OF_A_JOB.fullmatch(name) and not _SUSPICIOUS.search(name)


def _python() -> dict[str, Any]:
    return {
        "version": ".".join(str(part) for part in sys.version_info[:3]),
        "implementation": sys.implementation.name,
        "build": sys.version.split("[")[-1].rstrip("]") if "[" in sys.version else "",
        "prefix": _prefix_kind(),
        "flags": {
            name: int(getattr(sys.flags, name, 0))
            for name in ("optimize", "hash_randomization", "utf8_mode", "isolated")
        },
    }


_FLAGS = ("optimize", "hash_randomization", "utf8_mode", "isolated")


def _prefix_kind() -> str:
    if os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        return "conda"
    return "venv" if sys.prefix != getattr(sys, "base_prefix", sys.prefix) else "system"


# --- packages ---------------------------------------------------------------------------------------------------------

_METADATA = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-.*)?\.(?:dist-info|egg-info)")


def packages(path: Iterable[str] | None = None) -> dict[str, str]:
    """Installed distributions and versions, read from the names of their metadata folders alone.

    Args:
        path: the folders to look in, the first found of a name wins; `sys.path` when left out.
    """
    found: dict[str, str] = {}
    for name, version, _ in _distributions(path):
        found.setdefault(name, version)
    return dict(sorted(found.items()))


def installed_from(path: Iterable[str] | None = None) -> dict[str, str]:
    """Distributions that did not come from an index: `editable`, `directory`, `archive`, or `git <commit>`."""
    found: dict[str, str] = {}
    seen = set()
    for name, _, folder in _distributions(path):
        origin = "" if name in seen else _origin(folder)
        seen.add(name)
        if origin:
            found[name] = origin
    return dict(sorted(found.items()))


def _distributions(path: Iterable[str] | None) -> Iterator[tuple[str, str, str]]:
    for folder in dict.fromkeys(sys.path if path is None else path):
        for entry in _listed(folder or "."):
            if not entry.endswith((".dist-info", ".egg-info")):
                continue
            place = os.path.join(folder, entry)
            match = _METADATA.fullmatch(entry)
            name = match["name"] if match else entry.rsplit(".", 1)[0]
            version = match["version"] if match else _version_inside(place)
            if name and version:
                yield re.sub(r"[-_.]+", "-", name).lower(), version, place


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (OSError, ValueError):
        return []


def _version_inside(place: str) -> str:
    """A development install made by setuptools leaves a folder without a version in its name."""
    for name in ("PKG-INFO", "METADATA"):
        match = re.search(r"^Version: *(\S+)", _read(os.path.join(place, name)), re.MULTILINE)
        if match:
            return match[1]
    return ""


def _origin(place: str) -> str:
    text = _read(os.path.join(place, "direct_url.json"))
    if not text:
        return ""
    import json

    try:
        direct = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(direct, dict):
        return ""
    if isinstance(direct.get("vcs_info"), dict):
        return "{} {}".format(direct["vcs_info"].get("vcs", "vcs"), direct["vcs_info"].get("commit_id", ""))
    if isinstance(direct.get("dir_info"), dict):
        return "editable" if direct["dir_info"].get("editable") else "directory"
    return "archive"


# --- system -----------------------------------------------------------------------------------------------------------


def _os(root: str) -> dict[str, str]:
    found = {"system": sys.platform}
    if hasattr(os, "uname"):
        name = os.uname()
        found = {"system": name.sysname, "release": name.release, "machine": name.machine}
    glibc = _quietly(lambda: os.confstr("CS_GNU_LIBC_VERSION"))
    if glibc:
        found["libc"] = glibc
    release = dict(re.findall(r'^(\w+)="?(.*?)"?$', _read(os.path.join(root, "etc/os-release")), re.MULTILINE))
    distribution = " ".join(release[key] for key in ("ID", "VERSION_ID") if release.get(key))
    if distribution:
        found["distribution"] = distribution
    return found


def _container(root: str) -> str | None:
    """The kind of container around this process, when it shows."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    if "APPTAINER_CONTAINER" in os.environ or "SINGULARITY_CONTAINER" in os.environ:
        return "apptainer"
    for kind, mark in (("podman", "run/.containerenv"), ("docker", ".dockerenv")):
        if os.path.exists(os.path.join(root, mark)):
            return kind
    return os.environ.get("container") or None  # noqa: SIM112 - systemd-nspawn and podman write it so


def host(*, root: str = "/") -> dict[str, Any]:
    """What belongs to this run alone: machine, user, process, folder, and the ids a launcher gave.

    Args:
        root: where the system's files are found.
    """
    found = {
        "hostname": os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME"),
        "user": _quietly(_user),
        "pid": os.getpid(),
        "boot_id": _read(os.path.join(root, "proc/sys/kernel/random/boot_id")).strip(),
        "cwd": _quietly(os.getcwd),
        "executable": sys.executable,
        "launch": {name: os.environ[name][:_LONGEST_VALUE] for name in sorted(os.environ) if _LAUNCH.fullmatch(name)},
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _user() -> str:
    import getpass

    return getpass.getuser()


# --- libraries in use -------------------------------------------------------------------------------------------------

_VERSIONS = (
    "accelerate", "datasets", "diffusers", "flax", "jax", "jaxlib", "keras", "lightgbm", "lightning", "numpy", "optax",
    "pandas", "polars", "scipy", "sklearn", "tensorflow", "timm", "tokenizers", "torch", "torchaudio", "torchvision",
    "transformers", "triton", "xgboost",
)  # fmt: skip


def frameworks() -> dict[str, Any]:
    """The numerical libraries that are already imported, with the settings that are in force now.

    Nothing is imported that the program has not imported itself, but threadpoolctl, and no device is woken.
    """
    found: dict[str, Any] = {}
    for name in _VERSIONS:
        version = _quietly(lambda: sys.modules[name].__version__)  # noqa: B023 - called at once
        if isinstance(version, str):
            found[name] = {"version": version}
    for name, settings in (("torch", _torch), ("jax", _jax), ("tensorflow", _tensorflow)):
        if name in found:
            found[name].update(settings(sys.modules[name]))
    threads = _thread_pools() if "numpy" in found else []
    if threads:
        found["thread_pools"] = threads
    return found


def _read_all(readers: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each reader finds; one that fails or finds nothing is left out."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # to read a setting by its old name is no news to the program
        values = {name: _quietly(reader) for name, reader in readers.items()}
    return {name: value for name, value in values.items() if value is not None}


def _torch(torch: Any) -> dict[str, Any]:
    backends = torch.backends
    return _read_all(
        {
            "cuda": lambda: torch.version.cuda,
            "hip": lambda: torch.version.hip,
            "git_version": lambda: torch.version.git_version,
            "cudnn": lambda: backends.cudnn.version(),
            "nccl": lambda: ".".join(map(str, torch.cuda.nccl.version())) if torch.version.cuda else None,
            "threads": torch.get_num_threads,
            "interop_threads": torch.get_num_interop_threads,
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled,
            "deterministic_warn_only": torch.is_deterministic_algorithms_warn_only_enabled,
            "fill_uninitialized_memory": lambda: bool(torch.utils.deterministic.fill_uninitialized_memory),
            "cudnn_benchmark": lambda: bool(backends.cudnn.benchmark),
            "cudnn_deterministic": lambda: bool(backends.cudnn.deterministic),
            "cudnn_allow_tf32": lambda: bool(backends.cudnn.allow_tf32),
            "matmul_allow_tf32": lambda: bool(backends.cuda.matmul.allow_tf32),
            "matmul_precision": torch.get_float32_matmul_precision,
            "default_dtype": lambda: str(torch.get_default_dtype()),
            "cpu_capability": lambda: backends.cpu.get_cpu_capability(),
        }
    )


def _jax(jax: Any) -> dict[str, Any]:
    options = ("jax_default_matmul_precision", "jax_default_prng_impl", "jax_enable_x64", "jax_threefry_partitionable")
    readers: dict[str, Callable[[], Any]] = {
        name: lambda name=name: getattr(jax.config, name)  # type: ignore[misc]
        for name in options
    }
    return _read_all(readers)


def _tensorflow(tensorflow: Any) -> dict[str, Any]:
    return _read_all(
        {
            "tf32": lambda: bool(tensorflow.config.experimental.tensor_float_32_execution_enabled()),
            "op_determinism": lambda: bool(tensorflow.config.experimental.is_op_determinism_enabled()),
            "inter_op_threads": lambda: tensorflow.config.threading.get_inter_op_parallelism_threads(),
            "intra_op_threads": lambda: tensorflow.config.threading.get_intra_op_parallelism_threads(),
        }
    )


def _thread_pools() -> list[dict[str, Any]]:
    """Which BLAS and OpenMP are loaded, on how many threads; the paths of their files are private."""
    kept = ("user_api", "internal_api", "version", "num_threads", "architecture", "threading_layer")

    def info() -> list[dict[str, Any]]:
        import threadpoolctl

        return [
            {key: pool[key] for key in kept if pool.get(key) is not None} for pool in threadpoolctl.threadpool_info()
        ]

    pools = _quietly(info) or []
    return sorted(pools, key=lambda pool: [str(pool.get(key)) for key in kept])


# --- reading without failing ------------------------------------------------------------------------------------------


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except (OSError, ValueError):
        return ""


def _quietly(reader: Callable[[], Any]) -> Any:
    try:
        return reader()
    except Exception:  # noqa: BLE001 - a stranger's library, in a stranger's process: nothing here may stop the program
        return None
