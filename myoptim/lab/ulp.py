"""The distance between floating-point numbers in units in the last place (ulp)."""

from __future__ import annotations

import torch
from torch import Tensor

NAN_DISTANCE = torch.iinfo(torch.int64).max
"""The distance between NaN and a number: larger than between any two numbers."""

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def ulp_distance(a: Tensor, b: Tensor) -> Tensor:
    """How many representable numbers apart `a` and `b` are, element by element.

    Consecutive floats of one sign have consecutive bit patterns, read as integers. Counting the
    negative ones downwards from zero gives every float an integer k(x), in the order of the
    numbers, and the distance is |k(a) - k(b)|. So 0 means the same bits, 1 neighbours; +0 and -0
    are neighbours, and so are the largest finite number and infinity.

    NaN is 0 from NaN, whatever its payload, and `NAN_DISTANCE` from a number. Complex numbers are
    as far apart as the farther of their parts. Distances that int64 cannot hold (between float64
    numbers of opposite signs) are given as `NAN_DISTANCE - 1`. Integers are |a - b| apart.

    Args:
        a: a tensor of any shape.
        b: a tensor of the same shape and dtype.

    Returns:
        An int64 tensor of that shape.

    Raises:
        ValueError: the shapes or dtypes differ.
    """
    if a.shape != b.shape or a.dtype != b.dtype:
        raise ValueError(
            f"distances are between tensors of one shape and dtype; "
            f"got {tuple(a.shape)} {a.dtype} and {tuple(b.shape)} {b.dtype}"
        )
    if a.is_complex():
        parts = ulp_distance(torch.view_as_real(a), torch.view_as_real(b))
        return parts.amax(dim=-1)
    if not a.is_floating_point():
        return (a.long() - b.long()).abs()
    k_a, k_b = _order(a), _order(b)
    distance = torch.maximum(k_a, k_b) - torch.minimum(k_a, k_b)
    distance = torch.where(distance < 0, NAN_DISTANCE - 1, distance)  # int64 wrapped around
    distance = torch.where(a.isnan() | b.isnan(), NAN_DISTANCE, distance)
    return torch.where(a.isnan() & b.isnan(), 0, distance)


def _order(x: Tensor) -> Tensor:
    """The integers k(x), in the order of the numbers x: k(+0) = 0, k(-0) = -1."""
    bits = x.contiguous().view(_BITS[x.element_size()])
    magnitude = (bits & torch.iinfo(bits.dtype).max).long()
    return torch.where(bits < 0, -1 - magnitude, magnitude)
