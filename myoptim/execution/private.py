"""Names of torch that are private, each with a public way behind it.

A torch that renames one of them costs speed, never the import or a result. The list kernels
(`torch._foreach_*`) are looked up in `foreach.py`, and what compiles a kernel in `fused.py`, in the
same manner.
"""

# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad, profiler

torch_optimizer: Any = importlib.import_module("torch.optim.optimizer")


def scalar_dtype(fused: bool) -> torch.dtype:
    """The type of step counters."""
    found = getattr(torch_optimizer, "_get_scalar_dtype", None)
    if found is not None:
        return found(is_fused=fused)
    wide = torch.get_default_dtype() == torch.float64 and not fused
    return torch.float64 if wide else torch.float32


def somebody_listens() -> bool:
    """Whether a profiler or a hook for all optimizers wants to hear of a step; True if unknown."""
    before = getattr(torch_optimizer, "_global_optimizer_pre_hooks", True)
    after = getattr(torch_optimizer, "_global_optimizer_post_hooks", True)
    return bool(getattr(profiler, "_is_profiler_enabled", True) or before or after)


def dispatch_modes() -> int:
    """Through how many modes of `__torch_dispatch__` operators go; one, to be safe, if unknown."""
    ask = getattr(torch._C, "_len_torch_dispatch_stack", None)
    return 1 if ask is None else ask()


def is_functional(tensor: Tensor) -> bool:
    """Whether a tensor was made within functionalization; True if unknown."""
    ask = getattr(torch, "_is_functional_tensor", None)
    return True if ask is None else ask(tensor)


def within_forward_mode() -> bool:
    """Whether tensors may have tangents."""
    level = getattr(forward_ad, "_current_level", None)
    return level is None or level >= 0


def list_devices() -> tuple[str, ...]:
    """The devices, beside the CPU, on which list kernels are faster."""
    ask: Any = getattr(torch.utils, "_foreach_utils", None)
    ask = getattr(ask, "_get_foreach_kernels_supported_devices", None)
    return ("cuda",) if ask is None else tuple(ask())


def fused_devices() -> tuple[str, ...]:
    """The devices for which torch has fused optimizers."""
    ask: Any = getattr(torch.utils, "_foreach_utils", None)
    ask = getattr(ask, "_get_fused_kernels_supported_devices", None)
    return ("cpu", "cuda", "mps", "xpu") if ask is None else (*ask(), "cpu")


def capturable_devices() -> tuple[str, ...]:
    """The devices whose graphs can record a step."""
    ask = getattr(torch._C, "_get_privateuse1_backend_name", None)
    return ("cuda", "xpu", "hpu", "xla", *(() if ask is None else (ask(),)))
