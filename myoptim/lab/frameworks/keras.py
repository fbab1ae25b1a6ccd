"""Keras, on the backend that KERAS_BACKEND names; torch, where it names none."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

from myoptim.lab.frameworks.adapter import Adapter, Array, load


def module() -> Any:
    """`keras.optimizers`."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return load("keras", "keras").optimizers


class KerasAdapter(Adapter):
    """`keras.optimizers`. Steps are counted for all parameters together, as Keras does."""

    framework = "keras"

    def _begin(self, values: list[Array]) -> None:
        optimizers = module()
        keras = load("keras", "keras")
        before = keras.config.floatx()
        # The learning rate is a variable of the default type, which would round it.
        keras.config.set_floatx(str(values[0].dtype))
        try:
            self._variables = [keras.Variable(value, dtype=str(value.dtype)) for value in values]
            self._optimizer = getattr(optimizers, self.entry.name)(**self.arguments)
            self._optimizer.build(self._variables)
        finally:
            keras.config.set_floatx(before)
        self._convert = keras.ops.convert_to_tensor
        self._numpy = keras.ops.convert_to_numpy

    def _update(self, values: list[Array], gradients: Sequence[Any]) -> None:
        self._optimizer.learning_rate = self.lr
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
        given = [None if g is None else self._convert(g, dtype=str(g.dtype)) for g in gradients]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Gradients do not exist")
            # numpy's, of how Keras makes arrays from torch's tensors
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            self._optimizer.apply(given)
            for index, variable in enumerate(self._variables):
                self.write(index, self._numpy(variable), self._buffers(variable))

    def _buffers(self, variable: Any) -> dict[str, Any]:
        """The optimizer's variables that belong to a parameter's: their names begin with its."""
        begin = f"{variable.name}_"
        return {
            own.name.removeprefix(begin): self._numpy(own)
            for own in self._optimizer.variables
            if own.name.startswith(begin) and own.shape == variable.shape
        }
