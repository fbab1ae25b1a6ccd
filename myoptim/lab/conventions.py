"""What rules of one name do differently: the one table of conventions.

A family is rules that could stand for one another. Beside each rule stands what it declares, which
`myoptim translate` says where another of the family does not. A class that is in no family is one
of its own. How weights decay is not said here but read from the class's declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

import myoptim
from myoptim import dialects
from myoptim.algorithms import weight_decay
from myoptim.lab.frameworks.dictionary import CONSTANT_MOMENTUM
from myoptim.lab.resolve import hyperparameters
from myoptim.optimizer import declaration_of

Settings = Mapping[str, Any]
Says = Callable[[Settings], str]
"""What a rule does with some settings; empty where it does not matter."""


def _with(names: str, text: str) -> Says:
    """A sentence that holds where none of these settings is 0."""
    return lambda value: text if all(value.get(name) for name in names.split()) else ""


def _always(text: str) -> Says:
    return lambda value: text


def _warm_up(value: Settings) -> str:
    """How NAdam's momentum begins."""
    decay = value.get("momentum_decay")
    if decay == CONSTANT_MOMENTUM["momentum_decay"]:
        return "the momentum is constant"
    return f"the momentum warms up with ψ = {decay}"


def _start(value: Settings) -> str:
    start = value.get("initial_scale")
    return f"the average of squares starts at {start}" if start else ""


def _rate(value: Settings) -> str:
    """Adafactor's relative step."""
    return {
        "capped": _CAPPED,
        "relative": "lr is not read: the relative step is min(0.01, 1/√t)",
        "given": "lr is the relative step, at every t",
    }[value["rate"]]


def _factored(value: Settings) -> str:
    size = value["min_size_to_factor"]
    return f"only matrices of {size} rows and columns or more are factored" if size > 1 else ""


_CAPPED = "the relative step is min(lr, 1/√t)"
_LR_INSIDE = _with("momentum", "the learning rate is in the buffer")
_IN_ROOT = _with("eps eps_in_root", "ε is inside the root")
_MAXIMUM = _with("amsgrad", "the maximum is over averages before their correction")
_UNCORRECTED = _always("there is no bias correction")
_RMSPROP = (_LR_INSIDE, _IN_ROOT, _start)

_FAMILIES: tuple[Mapping[type, tuple[Says, ...]], ...] = (
    {
        myoptim.SGD: (),
        dialects.KerasSGD: (_LR_INSIDE,),
        dialects.MLXSGD: (_with("momentum dampening", "the first gradient is damped too"),),
    },
    {
        myoptim.Adagrad: (),
        dialects.KerasAdagrad: (_with("eps", "ε is inside the root"),),
    },
    {
        myoptim.RMSprop: (),
        dialects.KerasRMSprop: _RMSPROP,
        dialects.TF1RMSprop: _RMSPROP,
    },
    {
        myoptim.Adam: (_MAXIMUM,),
        myoptim.AdamW: (_MAXIMUM,),
        dialects.KerasAdam: (_MAXIMUM, _with("eps", "ε is added before the correction")),
        dialects.MLXAdam: (_UNCORRECTED,),
        dialects.OptaxAMSGrad: (_always("the maximum is over corrected averages"),),
        dialects.PaperAdamW: (),
    },
    {
        myoptim.Adadelta: (),
        dialects.KerasAdadelta: (),
    },
    {
        myoptim.Adamax: (_with("eps", "ε is added to the gradient in the maximum"),),
        dialects.KerasAdamax: (
            _with("eps", "ε is added after the maximum"),
            lambda value: "" if value["bias_correction"] else _UNCORRECTED(value),
        ),
        dialects.PaddleAdamax: (_with("eps", "ε is added to the past maximum"),),
    },
    {
        myoptim.NAdam: (_warm_up,),
    },
    {
        myoptim.RAdam: (_with("eps", "ε is added before the correction"),),
        dialects.OptaxRAdam: (_with("eps", "ε is added after the correction"),),
    },
    {
        myoptim.Muon: (
            lambda value: f"lr is adjusted as by adjust_lr_fn={value['adjust_lr_fn']!r}",
        ),
    },
    {
        myoptim.Prodigy: (
            lambda value: "" if value["use_bias_correction"] else _UNCORRECTED(value),
        ),
    },
    {
        myoptim.Rprop: (),
        dialects.OptaxRprop: (_always("every step is made one call late"),),
    },
    {
        myoptim.Adafactor: (
            _always("ε₁ bounds what is divided by"),
            _always(_CAPPED),
            _with("weight_decay", "RMS(θ) is taken before the decay"),
        ),
        dialects.PaperAdafactor: (
            _always("ε₁ is added to the squared gradients"),
            _rate,
            _factored,
            _with("weight_decay", "RMS(θ) is taken after the decay"),
        ),
    },
)

_DECAYS: dict[Callable[..., Any], str] = {
    weight_decay.l2: "weight decay joins the gradient (L2)",
    weight_decay.shrink: "weight decay is decoupled",
    dialects.paper_shrink: "λ is not multiplied by lr",
}


def relatives(a: Callable[..., Any], b: Callable[..., Any]) -> bool:
    """Whether two classes are of one family."""
    return a is b or (_family(a) is not None and _family(a) is _family(b))


def _family(cls: Any) -> Mapping[type, tuple[Says, ...]] | None:
    return next((family for family in _FAMILIES if _known(cls, family)), None)


def _known(cls: Any, family: Mapping[type, Any]) -> type | None:
    """The class of a family that a class is, or derives from: Momentum is SGD."""
    return next((base for base in cls.__mro__ if base in family), None)


def declared(cls: Any, settings: Settings) -> list[str]:
    """What a class does by its own convention, as far as it matters with these settings."""
    value = {**hyperparameters(cls), **settings}
    family = _family(cls) or {}
    base = _known(cls, family)
    said = [says(value) for says in (family[base] if base else ())]
    return [text for text in (*said, _decay(cls, value)) if text]


def _decay(cls: Any, value: Settings) -> str:
    """How weights decay, if they do: what the class declares for a group with these settings."""
    if not value.get("weight_decay"):
        return ""
    own = {name: value[name] for name in hyperparameters(cls)}
    group = cls([torch.zeros(2, 2)], **own).param_groups[0]
    rule = declaration_of(cls).weight_decay(group)
    return _DECAYS[rule] if rule else ""


def ways(cls: Any, settings: Settings) -> list[tuple[dict[str, Any], str]]:
    """Settings, and those that say the same in another way, with an explanation."""
    if settings.get("rate") == "relative":
        explained = "lr=0.01 stands for the relative step, which no lr changes."
        return [({**settings, "lr": 0.01, "rate": "capped"}, explained)]
    found = [(dict(settings), "")]
    if cls is dialects.KerasAdagrad:
        start = settings["initial_accumulator_value"] + settings["eps"]
        found.append(
            (
                {**settings, "initial_accumulator_value": start, "eps": 0.0},
                "The sum starts at s₀ + ε, which puts ε into the root.",
            )
        )
    if cls is dialects.PaperAdamW and settings["lr"] > 0:
        found.append(
            (
                {**settings, "weight_decay": settings["weight_decay"] / settings["lr"]},
                "The target multiplies λ by lr, so λ / lr stands for λ.",
            )
        )
    return found
