"""Golden vectors: what a right optimizer does, number by number, for implementers in any language.

Each file holds a few runs of one optimizer: start values, gradients, learning rates, and the
parameters and state that must stand after each step. The runs are the smallest set, of those
tried, that tells every mistake of the catalogue which numbers alone can tell from the reference
(`tests/course/test_vectors.py`); of an optimizer without mistakes in the catalogue, every small
change of its rule that a longer run tells (`tests/lab/test_vectors.py`). The schema is described on
the site's page «Golden vectors».
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import myoptim
from myoptim.lab.errors import UsageError, unknown
from myoptim.lab.prescribed import AMPLIFIED, amplified_schedule, read_state
from myoptim.lab.resolve import hyperparameters
from myoptim.optimizer import declaration_of

SCHEMA = "myoptim-vectors/v0"

SHAPES = {"a": (1, 2, 2), "b": (2,), "c": (2,), "late": (2,)}
"""The parameters. b, c and late are of one shape, so that state keyed by shape is found out; a is a
matrix, and of three dimensions."""

_NOT_OF_THE_RULE = ("foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay")
_STEPS = 8
_LR_CHANGE_AFTER, _LR_FACTOR = 4, 0.4
_MISSING = ((1, "c"), (3, "b"), (6, "a"))
_ZERO = ((6, "b"),)
"""A gradient of zeros says something else than a missing one."""
_JOINS = {"late": 3}
"""The step from which a parameter takes part, as a group of its own."""
_GROUPS = (("a", "c"), ("b",), ("late",))
_SECOND: dict[str, Any] = {"lr": 0.04, "momentum": 0.45, "alpha": 0.85, "betas": (0.7, 0.85)}
"""What the second group has of its own, of what the optimizer takes."""


@dataclass(frozen=True)
class Plan:
    """One run: its name, and what its settings have beyond the amplified ones."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


_TURNED = {"weight_decay": 0.2, "maximize": True}
_ADAM = {"lr": 0.1, "betas": (0.6, 0.8), "eps": 0.1}
PLANS: dict[str, tuple[Plan, ...]] = {
    "SGD": (
        Plan("dampening", {"dampening": 0.3}),
        Plan("dampening, weight decay", {"dampening": 0.3, "weight_decay": 0.2}),
        Plan("Nesterov, weight decay, maximize", {"nesterov": True, **_TURNED}),
    ),
    "Momentum": (
        Plan("momentum"),
        Plan("dampening, weight decay, maximize", {"dampening": 0.3, **_TURNED}),
    ),
    "Nesterov": (
        Plan("Nesterov"),
        Plan("weight decay, maximize", _TURNED),
    ),
    "Adagrad": (
        Plan("lr decay"),
        Plan(
            "lr decay, initial accumulator, weight decay, maximize",
            {"initial_accumulator_value": 0.3, **_TURNED},
        ),
    ),
    "RMSprop": (
        Plan("neither centered nor with momentum"),
        Plan(
            "centered, momentum, weight decay, maximize",
            {"centered": True, "momentum": 0.6, **_TURNED},
        ),
    ),
    "Adam": (Plan("AMSGrad, weight decay, maximize", {"amsgrad": True, **_TURNED}),),
    "AdamW": (Plan("AMSGrad, maximize", {"amsgrad": True, "maximize": True}),),
    "Lion": (Plan("weight decay, maximize", _TURNED),),
    "ScheduleFreeSGD": (Plan("warm-up, weights, weight decay, maximize", _TURNED),),
    "Adadelta": (Plan("weight decay, maximize", {"lr": 0.1, "rho": 0.7, "eps": 0.1, **_TURNED}),),
    "Adamax": (Plan("weight decay, maximize", {**_ADAM, **_TURNED}),),
    "NAdam": (Plan("weight decay, maximize", {**_ADAM, "momentum_decay": 3.0, **_TURNED}),),
    "RAdam": (Plan("weight decay, maximize", {**_ADAM, **_TURNED}),),
    "Rprop": (
        Plan(
            "maximize",
            {"lr": 0.1, "etas": (0.6, 1.3), "step_sizes": (0.05, 0.16), "maximize": True},
        ),
    ),
    "ASGD": (
        Plan(
            "weight decay, maximize",
            {"lr": 0.1, "lambd": 0.3, "alpha": 0.6, "t0": 2.0, **_TURNED},
        ),
    ),
    "Adafactor": (
        Plan(
            "weight decay, maximize",
            {"lr": 0.7, "beta2_decay": -0.7, "eps": (0.1, 0.8), "d": 1.1, **_TURNED},
        ),
    ),
}
"""The runs of each optimizer, with settings at which every term counts. Muon has none: it computes
in bfloat16, of which no two programs agree in many digits."""


def vectors(optimizer: str, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The golden vectors of one of our optimizers, as JSON holds them.

    Args:
        optimizer: its name.
        settings: hyper-parameters that take the place of those of the runs, for implementations
            that lack something: `{"amsgrad": False}`. What the runs tell is then not known.

    Raises:
        UsageError: there is no such optimizer or hyper-parameter.
    """
    if optimizer not in PLANS:
        raise unknown("optimizer with vectors", optimizer, PLANS)
    declared = declaration_of(myoptim.OPTIMIZERS[optimizer])
    twin: Any = declared.twin
    plans = [Plan(plan.name, {**plan.settings, **(settings or {})}) for plan in PLANS[optimizer]]
    return {
        "schema": SCHEMA,
        "optimizer": optimizer,
        "equals": twin
        and {
            "class": f"torch.optim.{twin.__name__}",
            "settings": dict(declared.twin_settings),
        },
        "torch": torch.__version__.partition("+")[0],
        "runs": [
            run(optimizer, plan, dtype)
            for plan in plans
            for dtype in (torch.float64, torch.float32)
        ],
    }


def write(
    folder: Path | str,
    optimizers: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[Path, dict[str, Any]]:
    """Write a file for each optimizer.

    Args:
        folder: made if it is not there.
        optimizers: names of ours; by default all that have vectors.
        settings: as for `vectors`.

    Returns:
        What was written, by file.

    Raises:
        UsageError: there is no such optimizer or hyper-parameter, or the folder is a file.
    """
    folder = Path(folder)
    files = {
        folder / f"{name.lower()}.json": vectors(name, settings) for name in optimizers or PLANS
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"{folder} is a file; vectors are written into a folder") from None
    for path, content in files.items():
        path.write_text("".join(_text(content)) + "\n", encoding="utf-8")
    return files


def run(optimizer: str, plan: Plan, dtype: torch.dtype) -> dict[str, Any]:
    """One run, as JSON holds it: ours, tensor by tensor."""
    start, gradients = _prescribed(dtype)
    params = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    groups = _groups(optimizer, plan)

    def of_torch(group: Mapping[str, Any]) -> dict[str, Any]:
        return {"params": [params[name] for name in group["params"]], **group["settings"]}

    first = [of_torch(group) for group in groups if group["from_step"] == 1]
    _check_names(optimizer, plan)
    cls: Any = myoptim.OPTIMIZERS[optimizer]
    instance = cls(first)
    steps: list[dict[str, Any]] = []
    for number, row in enumerate(gradients, 1):
        for group in groups:
            if group["from_step"] == number > 1:
                instance.add_param_group(of_torch(group))
        rates = _rates(groups, number)
        for group, lr in zip(instance.param_groups, rates, strict=True):
            group["lr"] = lr
        for name, gradient in row.items():
            params[name].grad = gradient
        instance.step()
        there = [n for group in groups if group["from_step"] <= number for n in group["params"]]
        steps.append(
            {
                "lr": rates,
                "gradients": {name: _array(row[name]) for name in there},
                "parameters": {name: _array(params[name]) for name in there},
                "state": {name: _state(read_state(instance, params[name])) for name in there},
            }
        )
    return {
        "name": plan.name,
        "dtype": str(dtype).removeprefix("torch."),
        "shapes": {name: list(shape) for name, shape in SHAPES.items()},
        "groups": groups,
        "start": {name: _array(value) for name, value in start.items()},
        "steps": steps,
    }


def _check_names(optimizer: str, plan: Plan) -> None:
    known = hyperparameters(myoptim.OPTIMIZERS[optimizer])
    for name in plan.settings:
        if name not in known:
            raise unknown(f"hyper-parameter of {optimizer}", name, known)


def _prescribed(dtype: torch.dtype) -> tuple[dict[str, Tensor], list[dict[str, Tensor | None]]]:
    """Start values, and for every step the gradients, by parameter."""
    schedule = amplified_schedule(
        seed=0, shapes=tuple(SHAPES.values()), steps=_STEPS, dtype=dtype, zeros=True
    )
    rows: list[dict[str, Tensor | None]] = [
        dict(zip(SHAPES, row, strict=True)) for row in schedule.gradients
    ]
    for step, name in _MISSING:
        rows[step - 1][name] = None
    for step, name in _ZERO:
        rows[step - 1][name] = torch.zeros(SHAPES[name], dtype=dtype)
    for name, first in _JOINS.items():
        for row in rows[: first - 1]:
            row[name] = None
    return dict(zip(SHAPES, schedule.starts, strict=True)), rows


def _groups(optimizer: str, plan: Plan) -> list[dict[str, Any]]:
    known = hyperparameters(myoptim.OPTIMIZERS[optimizer])
    defaults = {name: value for name, value in known.items() if name not in _NOT_OF_THE_RULE}
    settings = {**defaults, **AMPLIFIED.get(optimizer, {}), **plan.settings}
    second = {name: value for name, value in _SECOND.items() if name in settings}
    return [
        {
            "params": list(names),
            "from_step": _JOINS.get(names[0], 1),
            "settings": settings if number == 0 else {**settings, **second},
        }
        for number, names in enumerate(_GROUPS)
    ]


def _rates(groups: Sequence[Mapping[str, Any]], step: int) -> list[float]:
    """The learning rate of each group that takes part, at a step."""
    factor = 1.0 if step <= _LR_CHANGE_AFTER else _LR_FACTOR
    return [g["settings"]["lr"] * factor for g in groups if g["from_step"] <= step]


def _array(tensor: Tensor | None) -> dict[str, Any] | None:
    """A tensor's numbers, flat: as decimals that read back as themselves, and as hexadecimals."""
    if tensor is None:
        return None
    numbers = tensor.detach().double().reshape(-1).tolist()
    return {"dec": numbers, "hex": [number.hex() for number in numbers]}


def _state(buffers: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: _array(buffer) for name, buffer in buffers.items()}


def _text(value: Any, depth: int = 0) -> Iterator[str]:
    """JSON with a line for each array of numbers, which `indent` would give a line a number."""
    if not isinstance(value, dict | list) or not _is_deep(value):
        yield json.dumps(value, allow_nan=False)
        return
    items: Any = value.items() if isinstance(value, dict) else enumerate(value)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield opening
    for number, (key, item) in enumerate(items):
        yield ("," if number else "") + "\n" + " " * (depth + 1)
        if isinstance(value, dict):
            yield json.dumps(key) + ": "
        yield from _text(item, depth + 1)
    yield "\n" + " " * depth + closing


def _is_deep(value: Any) -> bool:
    """Whether there is a dictionary inside, or a list of lists."""
    inner = list(value.values()) if isinstance(value, dict) else value
    return any(isinstance(item, dict) for item in inner) or any(
        isinstance(part, dict | list) for item in inner if isinstance(item, list) for part in item
    )
