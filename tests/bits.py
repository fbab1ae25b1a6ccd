"""Equality in bits: of tensors, of optimizer state, of parameter groups.

Two NaN are equal whatever their payload, because the payload is not a result of the arithmetic.
Everything else must agree to the last bit, and 0.0 is not -0.0.
"""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

# How the work is done, not what is computed: the only values in which ours and torch's differ.
EXECUTOR_FLAGS = ("foreach", "fused")


def bits(tensor: Tensor) -> Tensor:
    """The raw bits of a dense tensor, as integers."""
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    return tensor.contiguous().view(INTEGERS[tensor.element_size()])


def same_bits(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two dense tensors of equal dtype and shape hold the same bits."""
    a, b = bits(ours), bits(theirs)
    if torch.equal(a, b):
        return True
    if not (ours.is_floating_point() or ours.is_complex()):
        return False
    a, b = a.view(ours.dtype.to_real()), b.view(ours.dtype.to_real())
    both_nan = a.isnan() & b.isnan()
    return torch.equal(bits(a.masked_fill(both_nan, 0)), bits(b.masked_fill(both_nan, 0)))


def assert_same_tensor(ours: Tensor, theirs: Tensor, what: str) -> None:
    """Dtype, shape, device, layout and bits."""
    for name in ("dtype", "shape", "device", "layout"):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert a == b, f"{what}: {name} is {a}, torch's is {b}"
    if theirs.is_sparse:
        assert_same_sparse(ours, theirs, what)
    elif not same_bits(ours, theirs):
        raise AssertionError(f"{what}: {first_difference(ours, theirs)}")


def assert_same_sparse(ours: Tensor, theirs: Tensor, what: str) -> None:
    assert ours.is_coalesced() == theirs.is_coalesced(), f"{what}: coalesced?"
    assert_same_tensor(ours._indices(), theirs._indices(), f"{what}, indices")
    assert_same_tensor(ours._values(), theirs._values(), f"{what}, values")


def first_difference(ours: Tensor, theirs: Tensor) -> str:
    a, b = bits(ours).flatten(), bits(theirs).flatten()
    different = (a != b).nonzero().flatten()
    at = int(different[0])
    dtype = ours.dtype.to_real() if ours.is_complex() else ours.dtype
    return (
        f"{len(different)} of {len(a)} numbers differ, the first at flat index {at}: "
        f"{a[at].view(dtype).item()!r}, torch's is {b[at].view(dtype).item()!r}"
    )


def dense_strides(tensor: Tensor) -> list[int]:
    """The strides that mean something: those of dimensions longer than 1."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return [stride for size, stride in sizes if size > 1] if tensor.numel() else []


def assert_same_value(ours: Any, theirs: Any, what: str) -> None:
    """Any value of a group or a state: the same type, and equal in bits where it is a tensor."""
    assert type(ours) is type(theirs), f"{what}: {ours!r}, torch's is {theirs!r}"
    if isinstance(theirs, Tensor):
        assert_same_tensor(ours, theirs, what)
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs), f"{what}: {ours!r}, torch's is {theirs!r}"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_same_value(a, b, f"{what}[{i}]")
    elif isinstance(theirs, dict):
        assert_same_value(list(ours.items()), list(theirs.items()), what)
    elif theirs != theirs:
        assert ours != ours, f"{what}: {ours!r}, torch's is {theirs!r}"
    else:
        assert ours == theirs, f"{what}: {ours!r}, torch's is {theirs!r}"


def assert_same_state(ours: dict[str, Any], theirs: dict[str, Any], what: str) -> None:
    """The state of one parameter: keys in torch's order, values, and how tensors lie in memory."""
    assert list(ours) == list(theirs), f"{what}: state keys {list(ours)}, torch's {list(theirs)}"
    for key, b in theirs.items():
        a = ours[key]
        assert_same_value(a, b, f"{what}, state {key!r}")
        if not isinstance(b, Tensor) or b.is_sparse:
            continue
        assert dense_strides(a) == dense_strides(b), (
            f"{what}, state {key!r}: strides {a.stride()}, torch's {b.stride()}"
        )
        # A view of a larger tensor would drag that whole tensor into every checkpoint.
        sizes = a.untyped_storage().nbytes(), b.untyped_storage().nbytes()
        assert sizes[0] == sizes[1], f"{what}, state {key!r}: {sizes[0]} bytes, torch's {sizes[1]}"


def assert_same_groups(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]], extra: Collection[str] = ()
) -> None:
    """Keys and values of parameter groups, but for `params` and the executor flags.

    Args:
        extra: keys that ours may have beyond torch's.
    """
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert_same_options(a, b, f"group {i}", extra)


def assert_same_options(
    ours: dict[str, Any], theirs: dict[str, Any], what: str, extra: Collection[str] = ()
) -> None:
    """One group, or the defaults."""
    keys = set(ours) - set(extra)
    expected = set(theirs) - set(extra)
    assert keys == expected, f"{what}: keys {sorted(ours)}, torch's {sorted(theirs)}"
    for key in keys - {"params", *EXECUTOR_FLAGS}:
        assert_same_value(ours[key], theirs[key], f"{what}, {key!r}")


def parameters(optimizer: Optimizer) -> list[Tensor]:
    """Every parameter of an optimizer, in order."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def assert_same_optimizers(
    ours: Optimizer,
    theirs: Optimizer,
    extra: Collection[str] = (),
) -> None:
    """Parameters, state, groups and defaults.

    Args:
        extra: keys that our groups may have beyond torch's.
    """
    for i, (p, q) in enumerate(zip(parameters(ours), parameters(theirs), strict=True)):
        assert_same_tensor(p, q, f"parameter {i} {tuple(q.shape)} {q.dtype}")
        assert (p in ours.state) == (q in theirs.state), f"parameter {i}: has state?"
        if q in theirs.state:
            what = f"parameter {i} {tuple(q.shape)} {q.dtype}"
            assert_same_state(ours.state[p], theirs.state[q], what)
    assert len(ours.state) == len(theirs.state)
    assert_same_groups(ours.param_groups, theirs.param_groups, extra)
    assert_same_options(ours.defaults, theirs.defaults, "defaults", extra)
