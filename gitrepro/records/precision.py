"""The precision that a run computed in, and what is worth trying where it went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

NAMES: Final = ("fp32", "bf16", "fp16", "tf32")
SKIPPED_SHARE: Final = 0.05
WARM_UP_STEPS: Final = 20
"""Steps in which a scaler looks for its scale; those that it skips then are no finding."""
_SMALLEST_HALF: Final = 2.0**-24


def findings(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong, and what to try, from the field `precision` of a record alone."""
    scaler, nonfinite = _map(document.get("scaler")), _map(document.get("nonfinite"))
    effective = _map(document.get("effective"))
    steps, skipped = _number(scaler.get("steps")), _number(scaler.get("skipped_after_warm_up"))
    if steps > WARM_UP_STEPS and skipped / (steps - WARM_UP_STEPS) > SKIPPED_SHARE:
        yield (
            f"{skipped:.0f} of {steps - WARM_UP_STEPS:.0f} steps after warm-up were skipped for infinite gradients",
            "bf16, whose range is that of fp32; else a lower learning rate, or clipping after `unscale_`",
        )
    if scaler and _number(scaler.get("lowest")) < 1:
        yield (
            f"the loss scale fell to {scaler.get('lowest')}",
            "bf16; a scale below 1 means that gradients are too large for fp16, or not finite at all",
        )
    if count := _number(nonfinite.get("loss")):
        yield (
            f"{count:.0f} losses were not finite",
            "the step before in fp32: if it is finite there, bf16, or the layer that overflows out of autocast",
        )
    parameters = _map(effective.get("parameters"))
    if "torch.float16" in parameters and 0 < _number(effective.get("optimizer_eps"), 1.0) < _SMALLEST_HALF:
        yield (
            f"the optimizer's eps of {effective['optimizer_eps']} is 0 in fp16",
            "weights in fp32 with autocast, or an eps of 1e-4",
        )
    if set(parameters) & {"torch.float16", "torch.bfloat16"} and "torch.float32" not in parameters:
        yield (
            "the weights themselves have few bits: small updates are lost",
            "weights in fp32 with autocast, or an optimizer that keeps a copy of them in fp32",
        )
    if document.get("asked") in ("bf16", "fp16") and _never_seen(document["asked"], effective):
        yield (
            f"{document['asked']} was asked for, and no operation in it was seen",
            "the forward pass inside `with amp:`",
        )


def _never_seen(asked: str, effective: Mapping[str, Any]) -> bool:
    wanted = {"bf16": "torch.bfloat16", "fp16": "torch.float16"}[asked]
    outputs = _map(effective.get("outputs"))
    return bool(outputs) and wanted not in outputs


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object, default: float = 0.0) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
