"""The bank of probes: what a submission is put through, and which criterion each probe serves.

All run in float64 on prescribed gradients, at hyper-parameters that make every term count (see
`myoptim.lab.prescribed`); no two values are equal or each other's complement. Eight steps on two
parameters are enough to tell every mistake of the catalogue from the reference.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import torch

from myoptim.course.exercise import Probe
from myoptim.lab.prescribed import AMPLIFIED, Schedule, amplified_schedule

OTHER_VALUES: dict[str, Any] = {
    "lr": 0.07,
    "momentum": 0.83,
    "dampening": 0.29,
    "weight_decay": 0.13,
    "lr_decay": 0.37,
    "initial_accumulator_value": 0.19,
    "eps": 0.23,
    "alpha": 0.58,
    "betas": (0.71, 0.87),
    "warmup_steps": 5,
    "r": 0.43,
    "weight_lr_power": 1.7,
    "ns_steps": 4,
    "ns_coefficients": (3.1, -4.3, 1.9),
    "beta2_decay": -0.47,
    "d": 1.03,
}
"""Of no simple relation to each other or to the amplified values: what is equal by accident at
those is not equal at these too."""

OTHER_PAIRS: dict[str, dict[str, Any]] = {"Adafactor": {"eps": (0.07, 1.7)}}
"""The same for those that mean something else by a name."""

SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {"Muon": ((2, 3), (5, 2))}
"""The parameters of those that do not take any."""

HYPER_PARAMETERS: dict[str, tuple[str, ...]] = {
    "SGD": ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"),
    "Momentum": ("lr", "momentum", "dampening", "weight_decay", "maximize"),
    "Nesterov": ("lr", "momentum", "weight_decay", "maximize"),
    "Adagrad": ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps", "maximize"),
    "RMSprop": ("lr", "alpha", "eps", "weight_decay", "momentum", "centered", "maximize"),
    "Adam": ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize"),
    "AdamW": ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize"),
    "Lion": ("lr", "betas", "weight_decay", "maximize"),
    "ScheduleFreeSGD": (
        *("lr", "momentum", "weight_decay", "warmup_steps", "r", "weight_lr_power", "maximize"),
    ),
    "Muon": (
        *("lr", "weight_decay", "momentum", "nesterov", "ns_coefficients", "eps", "ns_steps"),
        "maximize",
    ),
    "Adafactor": ("lr", "beta2_decay", "eps", "d", "weight_decay", "maximize"),
}
"""What a constructor may take besides the parameters."""

CONTRACT = ("in_place", "lr", "groups", "missing", "gradients", "state")
"""Criteria whose probes must follow the rule that the others show, number by number."""

TINY = "tiny gradients"
"""The variant whose gradients are so small that it shows what bounds them."""
_DECAY = {"weight_decay": 0.2}
_SGD_VARIANTS: dict[str, dict[str, Any]] = {
    "no momentum": {"momentum": 0.0},
    "momentum": {"momentum": 0.6},
    "dampening": {"momentum": 0.6, "dampening": 0.3},
    "Nesterov": {"momentum": 0.6, "nesterov": True},
    "weight decay": _DECAY,
    "Nesterov and weight decay": {"momentum": 0.6, "nesterov": True} | _DECAY,
}
_ADAM_VARIANTS: dict[str, dict[str, Any]] = {
    "basic": {"weight_decay": 0.0},
    "weight decay": _DECAY,
    "AMSGrad": {"amsgrad": True},
}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "SGD": _SGD_VARIANTS,
    "Momentum": {
        "momentum": {},
        "dampening": {"dampening": 0.3},
        "weight decay": _DECAY,
    },
    "Nesterov": {"Nesterov": {}, "weight decay": _DECAY},
    "Adagrad": {
        "basic": {"lr_decay": 0.0},
        "lr decay": {"lr_decay": 0.5},
        "weight decay": _DECAY,
        "initial accumulator": {"initial_accumulator_value": 0.3},
    },
    "RMSprop": {
        "basic": {},
        "weight decay": _DECAY,
        "momentum": {"momentum": 0.6},
        "centered": {"centered": True},
    },
    "Adam": _ADAM_VARIANTS,
    "AdamW": _ADAM_VARIANTS,
    "Lion": {"basic": {"weight_decay": 0.0}, "weight decay": _DECAY},
    "ScheduleFreeSGD": {
        "basic": {"warmup_steps": 0, "r": 0.0, "weight_lr_power": 2.0},
        "warm-up": {"r": 0.0, "weight_lr_power": 2.0},
        "weights": {},
        "weight decay": _DECAY,
    },
    "Muon": {
        "basic": {"weight_decay": 0.0, "nesterov": False},
        "Nesterov": {"weight_decay": 0.0},
        "weight decay": _DECAY,
    },
    "Adafactor": {
        "basic": {"weight_decay": 0.0},
        TINY: {"eps": (None, 1e-3)},
        "weight decay": _DECAY,
    },
}
"""Settings, on top of the amplified ones, that bring every branch of a rule into play."""

EVERY_OPTION: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.6, "dampening": 0.3} | _DECAY,
    "Momentum": {"dampening": 0.3} | _DECAY,
    "Nesterov": _DECAY,
    "Adagrad": {"initial_accumulator_value": 0.3} | _DECAY,
    "RMSprop": {"momentum": 0.6, "centered": True} | _DECAY,
    "Adam": {"amsgrad": True} | _DECAY,
    "AdamW": {"amsgrad": True} | _DECAY,
    "Lion": _DECAY,
    "ScheduleFreeSGD": _DECAY,
    "Muon": _DECAY,
    "Adafactor": _DECAY,
}
"""As many options at once as go together: one may be right by itself and wrong beside another."""

_SECOND: dict[str, dict[str, Any]] = {
    "lr": {"lr": 0.04},
    "momentum": {"momentum": 0.45},
    "alpha": {"alpha": 0.85},
    "betas": {"betas": (0.7, 0.85)},
}
"""What a second group has of its own."""


JOINED_AFTER = 2
"""After how many steps a group is added, in the probe that adds one."""


@dataclass(frozen=True)
class Bank:
    """The probes for one optimizer.

    Attributes:
        optimizer: which.
        by_criterion: what it is asked, by the criterion that the answer serves.
        together: a run with nothing special, which those of the contract are variations of.
        alone: for each probe of the contract, by its name, every parameter in a run of its own.
    """

    optimizer: str
    by_criterion: dict[str, tuple[Probe, ...]]
    together: Probe
    alone: dict[str, tuple[Probe, ...]]

    @property
    def probes(self) -> tuple[Probe, ...]:
        """All of them, each once."""
        asked = (probe for probes in self.by_criterion.values() for probe in probes)
        beside = (probe for probes in self.alone.values() for probe in probes)
        return tuple({probe.name: probe for probe in (*asked, self.together, *beside)}.values())


def alone(probe: Probe, index: int) -> Probe:
    """One parameter of a probe by itself: its own settings, and the gradients that it has."""
    schedule = probe.schedule
    joined = JOINED_AFTER if probe.kind == "added group" and index else 0
    given = [row[index] for row in schedule.gradients[joined:]]
    own = Schedule(
        (schedule.starts[index],),
        tuple((gradient,) for gradient in given if gradient is not None),
        (1.0,) * sum(gradient is not None for gradient in given),
    )
    owns = probe.kind != "reload" and (index == 0) == (probe.kind == "own first group")
    hyper = probe.hyper | (probe.second if owns else {})
    # Many are the same: the name says all that can differ.
    gradients = [gradient.tolist() for (gradient,) in own.gradients if gradient is not None]
    name = f"{own.starts[0].tolist()}, {hyper}, {gradients}"
    return Probe(hashlib.sha256(name.encode()).hexdigest()[:12], "plain", hyper, own, probe.needs)


def bank(optimizer: str, seed: int) -> Bank:
    """The probes for an optimizer, with gradients that depend on the seed."""
    base = AMPLIFIED[optimizer]
    hyper = HYPER_PARAMETERS[optimizer]
    others = OTHER_VALUES | OTHER_PAIRS.get(optimizer, {})
    shapes = SHAPES.get(optimizer, ((2, 3), (4,)))
    small = (3, 2) if optimizer in SHAPES else (3,)
    schedule = amplified_schedule(seed, shapes)
    zeros = amplified_schedule(seed + 1, shapes, zeros=True)
    alike = amplified_schedule(seed + 2, (small, small))
    large = schedule.scaled(1000)
    missing = schedule.without_gradient(3, 1)
    second = {
        name: value for key in _SECOND if key in hyper for name, value in _SECOND[key].items()
    }
    rule = [
        Probe(name, "plain", base | setting, schedule.scaled(1e-9) if name == TINY else schedule,
              _switched_on(setting))
        for name, setting in VARIANTS[optimizer].items()
    ]  # fmt: skip
    deep = [
        Probe("a tensor of three dimensions", "plain", base,
              amplified_schedule(seed + 3, ((2, 3, 2), (3,)))),
    ] if optimizer not in SHAPES else []  # fmt: skip
    main = base | _main_setting(optimizer)
    options = EVERY_OPTION[optimizer]
    needs = _switched_on(options)

    def full(name: str, on: Schedule, kind: str = "plain", **more: Any) -> Probe:
        return Probe(f"{name}, every option", kind, base | options | more, on, (*needs, *more))

    def probe(name: str, kind: str, on: Any, **rest: Any) -> Probe:
        return Probe(name, kind, main, on, **rest)

    by_criterion = {
        "rule": (
            *rule,
            Probe("other values", "plain",
                  {n: v for n, v in others.items() if n in hyper}, schedule),
            full("eight steps", schedule),
            Probe("a zero gradient", "plain", base, zeros),
            Probe("large gradients", "plain", base, large),
            *deep,
            Probe("gradients of zeros at steps 1 and 5", "plain",
                  base | {name: value for name, value in options.items() if name not in _DECAY},
                  schedule.with_zero_gradient(1, 1).with_zero_gradient(5, 1), needs),
            Probe(
                "maximize", "plain", base | _DECAY | {"maximize": True}, schedule, ("maximize",)
            ),
            full("maximize", schedule, maximize=True),
        ),
        "in_place": (probe("a transposed matrix", "transposed", schedule),),
        "lr": (
            probe("lr changed after step 4", "changed lr",
                  amplified_schedule(seed, shapes, lr_change_after=4)),
        ),
        "groups": (
            probe("two groups", "two groups", schedule, second=second),
            Probe("a second group's 0, not the default", "two groups", main | _DECAY, schedule,
                  second={"weight_decay": 0.0}),
            Probe("a first group of its own", "own first group", main | _DECAY, schedule,
                  second=second | {"weight_decay": 0.07}),
            probe("group added after step 2", "added group", schedule, second={"lr": 0.04}),
            probe("parameters from a generator", "generator", schedule),
        ),
        "missing": (
            Probe("a gradient missing at step 3", "plain", main | _DECAY, missing),
            Probe("a gradient missing at step 3, zero at step 4", "plain", main | _DECAY,
                  missing.with_zero_gradient(4, 1)),
            Probe("no first gradient", "plain", main | _DECAY,
                  schedule.without_gradient(1, 0)),
            full("no first gradient", schedule.without_gradient(1, 0)),
        ),
        "gradients": (
            probe("gradients written in place", "plain",
                  replace(schedule, reuse_gradients=True)),
        ),
        "state": (
            probe("parameters of equal shape", "plain", alike),
            probe("saved and loaded after step 4", "reload", schedule),
            full("saved and loaded after step 4", schedule, "reload"),
            probe("loaded into an optimizer of another lr", "reload", schedule,
                  second={"lr": 0.04}),
            probe("after another optimizer", "second optimizer", schedule),
        ),
        "closure": (probe("a closure", "closure", schedule),),
        "counter": (
            Probe("300 steps in bfloat16", "counting", {"lr": 1e-3},
                  amplified_schedule(seed, (small,), steps=300, dtype=torch.bfloat16)),
        ),
        "signature": _defaults(optimizer, base, schedule),
    }  # fmt: skip
    together = probe("as it is", "plain", schedule)
    return Bank(
        optimizer,
        by_criterion,
        together,
        {
            one.name: tuple(alone(one, index) for index in range(len(one.schedule.starts)))
            for one in (together, *(p for name in CONTRACT for p in by_criterion[name]))
        },
    )


def _switched_on(setting: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, value in setting.items() if value)


def _main_setting(optimizer: str) -> dict[str, Any]:
    """What makes state matter where the amplified settings leave it out."""
    return {"RMSprop": {"momentum": 0.6}}.get(optimizer, {})


def _defaults(optimizer: str, base: dict[str, Any], schedule: Any) -> tuple[Probe, ...]:
    """RMSprop's alpha left to its default, on which frameworks disagree."""
    if "alpha" not in base:
        return ()
    given = {name: value for name, value in base.items() if name != "alpha"}
    return (Probe("alpha left to its default", "plain", given, schedule, needs=("alpha",)),)
