"""Tensors on their way to a reader: as arrays, as plain numbers, as text.

>>> shown(torch.arange(6) / 3)
'0, 0.333333, 0.666667, 1, …'
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]

_SHOWN = 4  # so many elements are shown


def as_array(value: Tensor | Array) -> Array:
    """A copy as a numpy array; bfloat16, which numpy lacks, as the same numbers in float32."""
    if not isinstance(value, Tensor):
        return np.array(value)
    value = value.detach().cpu()
    value = value.to_dense() if value.is_sparse else value
    return (value.float() if value.dtype is torch.bfloat16 else value).numpy().copy()


def as_plain(value: Any) -> Any:
    """What JSON holds: a tensor or array as a flat list, or a number if it has no dimension.

    A complex number is a pair, of its real and its imaginary part. Other values stay as they are.
    """
    if not isinstance(value, Tensor | np.ndarray):
        return value
    array = as_array(value)
    numbers = array.ravel()
    if np.iscomplexobj(numbers):
        return np.stack([np.real(numbers), np.imag(numbers)], -1).ravel().tolist()
    return numbers.tolist() if array.ndim else numbers.item()


def shown(value: Any) -> str:
    """A number, or the first numbers of a tensor or array, to six digits."""
    if isinstance(value, Tensor | np.ndarray):
        numbers = as_array(value).ravel()
        rest = ", …" if numbers.size > _SHOWN else ""
        return ", ".join(f"{number:.6g}" for number in numbers[:_SHOWN].tolist()) + rest
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def some(names: Iterable[str], at_most: int = 4) -> str:
    """The first of some names, each once, and how many more there are: "a, b, c and 2 more"."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - at_most:,} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


def counted(count: int, noun: str) -> str:
    """A count and what is counted: "1 step", "2,000 steps"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
