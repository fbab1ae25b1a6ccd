"""The shape that `compare`, `trace` and `race` need, around a framework's optimizer.

An adapter is constructed from parameters and settings, has `param_groups` with an `lr` that may be
changed, a `state` and a `step()`. Each framework's file says how to begin and how to update; the
framework's own code does the arithmetic, in the parameters' own type, on the bits of their values.
"""

from __future__ import annotations

import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from myoptim.lab.errors import UsageError
from myoptim.lab.frameworks.dictionary import FRAMEWORKS, PARAMS, REQUIRED, Entry

Array = NDArray[Any]

_DTYPES = (torch.float32, torch.float64)


def load(module: str, framework: str) -> Any:
    """Import a framework's module.

    Raises:
        UsageError: it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        known = FRAMEWORKS[framework]
        raise UsageError(
            f"{framework} is not installed (no module {error.name}): "
            f"pip install {known.package}, or pip install 'myoptim[frameworks]' for all frameworks"
        ) from None


class Adapter(ABC):
    """A framework's optimizer of some parameters, in torch's shape.

    Args:
        params: the parameters, tensors of float32 or float64 on the CPU.
        settings: hyper-parameters in our words (`lr`, `betas`, `eps`, …) where there is one, else
            in the framework's.

    Raises:
        UsageError: a parameter is of another kind, or the framework is not installed.
    """

    #: What the adapter is for, and how the framework's optimizer is made and written.
    framework: ClassVar[str]
    entry: ClassVar[Entry]
    #: What the call named, as settings in our words: `optax:adam(1e-3)` gives lr.
    given: ClassVar[Mapping[str, Any]] = {}
    #: Whether a parameter without a gradient is left alone; otherwise all need one.
    skips_missing: ClassVar[bool] = True

    def __init__(self, params: Iterable[Tensor], **settings: Any) -> None:
        self.params = list(params)
        for param in self.params:
            _check(param, self.framework)
        defaults = {
            name: value
            for name, value in self.entry.defaults.items()
            if value is not REQUIRED and name != PARAMS
        }
        group: dict[str, Any] = {**defaults, **self.given, **settings}
        self.param_groups = [{PARAMS: self.params, **group}]
        self.state: dict[Tensor, dict[str, Tensor]] = {param: {} for param in self.params}
        self._begin([_array(param) for param in self.params])

    @property
    def arguments(self) -> dict[str, Any]:
        """The framework's arguments for the settings as they are now, without its defaults."""
        defaults = self.entry.defaults
        settings = {
            name: value
            for name, value in self.param_groups[0].items()
            if name != PARAMS and (name == "lr" or value != defaults.get(name, REQUIRED))
        }
        return self.entry.arguments_of(settings)

    @property
    def lr(self) -> float:
        """The learning rate as it is now."""
        return float(cast("Any", self.param_groups[0]["lr"]))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Let the framework update every parameter from its gradient.

        Raises:
            UsageError: a gradient is missing and the framework needs all.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        gradients = [None if p.grad is None else _array(p.grad) for p in self.params]
        if not self.skips_missing and any(gradient is None for gradient in gradients):
            raise UsageError(
                f"{self.framework} needs a gradient for every parameter, "
                f"and {sum(g is None for g in gradients)} of {len(gradients)} have none"
            )
        self._update([_array(param) for param in self.params], gradients)
        return loss

    @abstractmethod
    def _begin(self, values: list[Array]) -> None:
        """Make the framework's optimizer for parameters of these values."""

    @abstractmethod
    def _update(self, values: list[Array], gradients: Sequence[Any]) -> None:
        """Make one step from these values, and `write` what comes out."""

    def write(self, index: int, value: Any, buffers: Mapping[str, Any]) -> None:
        """Put a parameter's new value, and its buffers by the framework's names, where they belong.

        Args:
            index: the parameter's place.
            value: an array of its type and as many elements.
            buffers: arrays; those of as many elements are given its shape.
        """
        param = self.params[index]
        with torch.no_grad():
            param.copy_(_tensor(value, param))
        self.state[param] = {name: _tensor(buffer, param) for name, buffer in buffers.items()}


def _check(param: Any, framework: str) -> None:
    if not isinstance(param, Tensor):
        raise UsageError(f"{framework} takes one group of tensors; got a {type(param).__name__}")
    if param.dtype not in _DTYPES or param.device.type != "cpu":
        raise UsageError(
            f"{framework} is run on float32 and float64 parameters on the CPU; "
            f"got {param.dtype} on {param.device}"
        )


def _array(tensor: Tensor) -> Array:
    """A copy, bit for bit."""
    return tensor.detach().numpy().copy()


def _tensor(value: Any, param: Tensor) -> Tensor:
    """A copy of an array, in the parameter's shape if it fits; the type stays the framework's."""
    copy = torch.from_numpy(np.array(value))
    return copy.reshape(param.shape) if copy.numel() == param.numel() else copy


def signature(entry: Entry) -> inspect.Signature:
    """How an adapter's constructor reads: the parameters, then the settings with their defaults."""
    kind = inspect.Parameter.KEYWORD_ONLY
    settings = [
        inspect.Parameter(name, kind, default=default)
        for name, default in entry.defaults.items()
        if name != PARAMS
    ]
    first = inspect.Parameter(PARAMS, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Signature([first, *settings])
