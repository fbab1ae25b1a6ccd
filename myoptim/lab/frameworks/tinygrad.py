"""tinygrad, on the device that DEV names; by default the one in Python, which needs no compiler."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from myoptim.lab.frameworks.adapter import Adapter, Array, load


def module() -> Any:
    """`tinygrad.nn.optim`."""
    os.environ.setdefault("DEV", "PYTHON")
    return load("tinygrad.nn.optim", "tinygrad")


class TinygradAdapter(Adapter):
    """`tinygrad.nn.optim`, with learning rate and state in the parameters' type."""

    framework = "tinygrad"
    skips_missing = False

    def _begin(self, values: list[Array]) -> None:
        self._params = [self._tensor(value).is_param_(True) for value in values]
        make = getattr(module(), self.entry.name)
        self._optimizer = make(self._params, **self.arguments)
        # OPTIM_DTYPE, which says so for a whole program, is read once.
        for tensors in self._buffers():
            tensors[:] = [
                buffer.cast(param.dtype).contiguous().is_param_(False)
                for buffer, param in zip(tensors, self._params, strict=True)
            ]

    @staticmethod
    def _tensor(value: Array) -> Any:
        """A tensor of one dimension: the learning rate is one, so parameters of none do not fit."""
        return load("tinygrad", "tinygrad").Tensor(value.reshape(-1))

    def _buffers(self) -> Iterator[list[Any]]:
        for name in ("b", "m", "v"):
            tensors = getattr(self._optimizer, name, None)
            if tensors:
                yield tensors

    def _update(self, values: list[Array], gradients: Sequence[Any]) -> None:
        helpers = load("tinygrad.helpers", "tinygrad")
        optimizer = self._optimizer
        optimizer.lr = self._tensor(values[0].dtype.type([self.lr]))
        for param, value, gradient in zip(self._params, values, gradients, strict=True):
            param.assign(self._tensor(value))
            param.grad = self._tensor(gradient)
        with helpers.Context(TRAINING=1):
            optimizer.step()
        names = [name for name in ("b", "m", "v") if getattr(optimizer, name, None)]
        for index, param in enumerate(self._params):
            buffers = {name: getattr(optimizer, name)[index].numpy() for name in names}
            self.write(index, param.numpy(), buffers)
