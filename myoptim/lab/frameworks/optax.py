"""optax, on JAX's CPU backend."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from myoptim.lab.frameworks.adapter import Adapter, Array, load


def module() -> Any:
    """`optax`."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    return load("optax", "optax")


def find(name: str) -> Any:
    """A function of `optax`, or of `optax.contrib`; None if neither has it."""
    optax = module()
    return vars(optax).get(name) or vars(optax.contrib).get(name)


class OptaxAdapter(Adapter):
    """A transformation of optax, applied with `optax.apply_updates`."""

    framework = "optax"
    skips_missing = False

    def _begin(self, values: list[Array]) -> None:
        with _double_precision():
            self._state = self._transformation().init(_arrays(values))

    def _transformation(self) -> Any:
        return find(self.entry.name)(**self.arguments)

    def _update(self, values: list[Array], gradients: Sequence[Any]) -> None:
        with _double_precision():
            params, given = _arrays(values), _arrays(gradients)
            # A transformation keeps nothing but its state: a new rate is a new one.
            updates, self._state = self._transformation().update(given, self._state, params)
            after = module().apply_updates(params, updates)
            for index, value in enumerate(after):
                self.write(index, value, dict(_buffers(self._state, len(after), index)))


def _double_precision() -> Any:
    """Without it JAX makes every float64 a float32."""
    return load("jax", "optax").enable_x64(True)


def _arrays(values: Sequence[Any]) -> list[Any]:
    numpy = load("jax.numpy", "optax")
    return [numpy.asarray(value) for value in values]


def _buffers(state: Any, count: int, index: int) -> Iterator[tuple[str, Any]]:
    """Everything in nested states that is a list with an entry for each parameter."""
    for name, value in zip(getattr(state, "_fields", ()), state, strict=False):
        if isinstance(value, list) and len(value) == count:
            yield name, value[index]
        elif isinstance(value, tuple):
            yield from _buffers(value, count, index)
    if isinstance(state, tuple) and not hasattr(state, "_fields"):
        for part in state:
            yield from _buffers(part, count, index)
