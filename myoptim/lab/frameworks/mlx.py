"""MLX, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from myoptim.lab.frameworks.adapter import Adapter, Array, load


def module() -> Any:
    """`mlx.optimizers`."""
    return load("mlx.optimizers", "mlx")


class MLXAdapter(Adapter):
    """`mlx.optimizers`. Steps are counted for all parameters together, as MLX does."""

    framework = "mlx"

    def _begin(self, values: list[Array]) -> None:
        core = load("mlx.core", "mlx")
        self._type = core.float64 if values[0].dtype == "float64" else core.float32
        with core.stream(core.cpu):
            self._optimizer = getattr(module(), self.entry.name)(**self.arguments)
            self._optimizer.init(self._arrays(values))

    def _arrays(self, values: Sequence[Any]) -> dict[str, Any]:
        array = load("mlx.core", "mlx").array
        return {
            str(index): array(value, dtype=self._type)
            for index, value in enumerate(values)
            if value is not None
        }

    def _update(self, values: list[Array], gradients: Sequence[Any]) -> None:
        core = load("mlx.core", "mlx")
        with core.stream(core.cpu):  # the only device with float64
            # `learning_rate = …` would round it to float32.
            self._optimizer.state["learning_rate"] = core.array(self.lr, dtype=self._type)
            given = self._arrays(gradients)
            after = self._optimizer.apply_gradients(given, self._arrays(values))
            for name, value in after.items():
                self.write(int(name), value, self._optimizer.state[name])
