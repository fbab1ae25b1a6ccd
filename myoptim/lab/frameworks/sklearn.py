"""The solvers of scikit-learn's multi-layer perceptrons.

They are private to scikit-learn, which is where `MLPClassifier(solver="adam")` gets them from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from myoptim.lab.errors import UsageError
from myoptim.lab.frameworks.adapter import Adapter, Array, load

_CLASSES = {"sgd": "SGDOptimizer", "adam": "AdamOptimizer"}


def module() -> Any:
    """The module with the solvers."""
    return load("sklearn.neural_network._stochastic_optimizers", "sklearn")


class SklearnAdapter(Adapter):
    """`solver="sgd"` and `solver="adam"` of `MLPClassifier` and `MLPRegressor`."""

    framework = "sklearn"
    skips_missing = False

    def _begin(self, values: list[Array]) -> None:
        arguments = self.arguments
        if loop := sorted(arguments.keys() - self.entry.own_words):
            raise UsageError(
                f"{', '.join(loop)} of {self.entry.place} belongs to its training loop, which is "
                "not run here"
            )
        if "nesterovs_momentum" in arguments:
            arguments["nesterov"] = arguments.pop("nesterovs_momentum")
        # Values of no dimension would not be updated in place.
        flat = [value.reshape(-1) for value in values]
        self._optimizer = getattr(module(), _CLASSES[self.entry.name])(flat, **arguments)

    def _update(self, values: list[Array], gradients: Sequence[Any]) -> None:
        optimizer = self._optimizer
        optimizer.learning_rate = optimizer.learning_rate_init = self.lr
        flat = [value.reshape(-1) for value in values]
        optimizer.update_params(flat, [gradient.reshape(-1) for gradient in gradients])
        names = [name for name in ("velocities", "ms", "vs") if hasattr(optimizer, name)]
        for index, value in enumerate(flat):
            buffers = {name: getattr(optimizer, name)[index] for name in names}
            self.write(index, value, buffers)
