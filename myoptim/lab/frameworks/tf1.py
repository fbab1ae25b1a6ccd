"""The optimizers of TensorFlow 1, in `tf.compat.v1.train`, run eagerly."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from myoptim.lab.frameworks.adapter import Adapter, Array, load


def module() -> Any:
    """`tf.compat.v1.train`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return load("tensorflow", "tf1").compat.v1.train


class TF1Adapter(Adapter):
    """`tf.compat.v1.train`."""

    framework = "tf1"

    def _begin(self, values: list[Array]) -> None:
        optimizers = module()
        variable = load("tensorflow", "tf1").Variable
        self._variables = [variable(value) for value in values]
        # A variable, so that the rate may change; of the parameters' type, so that none is rounded.
        self._rate = variable(self.lr, dtype=values[0].dtype)
        arguments = {**self.arguments, "learning_rate": self._rate}
        self._optimizer = getattr(optimizers, self.entry.name)(**arguments)

    def _update(self, values: list[Array], gradients: Sequence[Any]) -> None:
        constant = load("tensorflow", "tf1").constant
        self._rate.assign(self.lr)
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
        self._optimizer.apply_gradients(
            (constant(gradient), variable)
            for gradient, variable in zip(gradients, self._variables, strict=True)
            if gradient is not None
        )
        for index, variable in enumerate(self._variables):
            self.write(index, variable.numpy(), self._buffers(variable))

    def _buffers(self, variable: Any) -> dict[str, Any]:
        slots = {
            name: self._optimizer.get_slot(variable, name)
            for name in self._optimizer.get_slot_names()
        }
        return {name: slot.numpy() for name, slot in slots.items() if slot is not None}
