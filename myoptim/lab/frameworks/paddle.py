"""PaddlePaddle, on the CPU."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

from myoptim.lab.errors import UsageError
from myoptim.lab.frameworks.adapter import Adapter, Array, load


def module() -> Any:
    """`paddle.optimizer`.

    Raises:
        UsageError: PaddlePaddle is not installed, or TensorFlow was imported before it.
    """
    if "tensorflow" in sys.modules and "paddle" not in sys.modules:
        # Both bring symbols of the same names; the other way round they get on.
        raise UsageError(
            "PaddlePaddle 3 crashes when it is imported after TensorFlow: name paddle before tf1"
        )
    with warnings.catch_warnings():  # of a compiler cache, and of deprecated syntax
        warnings.simplefilter("ignore")
        paddle = load("paddle", "paddle")
    paddle.set_device("cpu")
    return paddle.optimizer


class PaddleAdapter(Adapter):
    """`paddle.optimizer`."""

    framework = "paddle"

    def _begin(self, values: list[Array]) -> None:
        optimizers = module()
        paddle = load("paddle", "paddle")
        self._params = [
            paddle.create_parameter(list(value.shape), str(value.dtype)) for value in values
        ]
        make = getattr(optimizers, self.entry.name)
        self._optimizer = make(**self.arguments, parameters=self._params)

    def _update(self, values: list[Array], gradients: Sequence[Any]) -> None:
        to_tensor = load("paddle", "paddle").to_tensor
        self._optimizer.set_lr(self.lr)
        for param, value, gradient in zip(self._params, values, gradients, strict=True):
            param.set_value(value)
            param.grad = None if gradient is None else to_tensor(gradient)
        self._optimizer.step()
        for index, param in enumerate(self._params):
            self.write(index, param.numpy(), self._buffers(param))

    def _buffers(self, param: Any) -> dict[str, Any]:
        kept = self._optimizer._accumulators.items()
        return {
            name: by_param[param.name].numpy()
            for name, by_param in kept
            if param.name in by_param and by_param[param.name].shape == param.shape
        }
