"""Without any one of torch's private names all is as before, if slower: each has another way."""

from typing import Any

import pytest
import torch
from registry import Row, each_elementwise
from tensors import Spec
from twins import Twins

from myoptim.execution import cpu, foreach, fused, numbers, private, workspace
from myoptim.execution.operators import BY_NAME, implement

# Few and small, many, half precision, and one that is cut.
SPECS = [
    *[Spec((3,), torch.float32)] * 40,
    *[Spec((3,), torch.bfloat16)] * 2,
    Spec((700_001,), torch.float32),
]


class Without:
    """A module that lacks one name, at any depth: «_C._len_torch_dispatch_stack»."""

    def __init__(self, module: Any, hidden: str) -> None:
        self._module = module
        self._head, _, self._rest = hidden.partition(".")

    def __getattr__(self, name: str) -> Any:
        if name != self._head:
            return getattr(self._module, name)
        if not self._rest:
            raise AttributeError(name)
        return Without(getattr(self._module, name), self._rest)


HIDDEN = [
    ("torch_optimizer", "_get_scalar_dtype"),
    ("torch_optimizer", "_global_optimizer_pre_hooks"),
    ("torch_optimizer", "_global_optimizer_post_hooks"),
    ("profiler", "_is_profiler_enabled"),
    ("forward_ad", "_current_level"),
    ("torch", "_C._len_torch_dispatch_stack"),
    ("torch", "_C._get_privateuse1_backend_name"),
    ("torch", "_is_functional_tensor"),
    ("torch", "utils._foreach_utils"),
    ("torch", "utils._foreach_utils._get_foreach_kernels_supported_devices"),
    ("torch", "utils._foreach_utils._get_fused_kernels_supported_devices"),
]


def run(row: Row) -> None:
    twins = Twins(row, SPECS, row.full, {})
    for _ in range(3):
        twins.step(twins.random_gradients(missing=0.1))
    assert not twins.failed


@each_elementwise
@pytest.mark.parametrize(("owner", "name"), HIDDEN)
def test_without_a_private_name(
    monkeypatch: pytest.MonkeyPatch, row: Row, owner: str, name: str
) -> None:
    monkeypatch.setattr(private, owner, Without(getattr(private, owner), name))
    run(row)


@each_elementwise
def test_without_any_list_kernel(monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    """Every operator goes tensor by tensor."""
    kernels = [f"_foreach_{name}" for name in BY_NAME if hasattr(torch, f"_foreach_{name}")]
    assert len(kernels) > 30
    bare: Any = torch
    for kernel in kernels:
        bare = Without(bare, kernel)
    for module in (cpu, foreach, workspace):
        monkeypatch.setattr(module, "torch", bare)
    monkeypatch.setattr(numbers, "_add_to_each", None)

    @implement(foreach._method)
    class Bare(foreach.CpuTensorList):
        __slots__ = ()

    monkeypatch.setattr(foreach, "CpuTensorList", Bare)
    run(row)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler about itself
def test_a_kernel_without_the_private_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled with torch.compile, which is public."""

    def gone(*args: Any) -> Any:
        raise ImportError("no such name")

    monkeypatch.setattr(fused, "_compile_without_guards", gone)
    monkeypatch.setattr(fused, "compile_kernel", fused.compile_kernel.__wrapped__)
    params = [torch.linspace(-1, 1, 20_000, requires_grad=True) for _ in range(2)]
    from myoptim import Adam

    optimizers = [Adam([params[0]], fused=True), Adam([params[1]], foreach=False)]
    for step in range(2):
        for param, optimizer in zip(params, optimizers, strict=True):
            param.grad = torch.linspace(step, 1, 20_000)
            optimizer.step()
    torch.testing.assert_close(params[0], params[1], rtol=1e-5, atol=1e-6)
