"""What the frameworks call things: their optimizers, arguments and defaults, in our words.

A row says how a call is written and which class of ours computes it. That it does is tested
against the frameworks themselves (`tests/frameworks`), as are names, order and defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import myoptim
from myoptim import dialects

REQUIRED = inspect.Parameter.empty
"""Stands for the default of an argument that must be given."""

PARAMS = "params"
"""In our words: the parameters to optimize, for frameworks that take them with the settings."""

WITHOUT_EFFECT = frozenset(
    ("foreach", "fused", "capturable", "differentiable", "name", "use_locking", "device")
)
"""Arguments that say how to compute or what to call it, not what."""

CONSTANT_MOMENTUM = {"momentum_decay": 1e4}
"""What makes the momentum of NAdam β₁ from the first step on: 0.96^10000 is 0."""

Words = dict[str, str | tuple[str, str]]


@dataclass(frozen=True)
class Reading:
    """The class of ours that computes a framework's optimizer, and what its settings always are.

    A setting that the class does not take says what it is, for other classes that do.
    """

    cls: Callable[..., Any]
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Entry:
    """One optimizer of one framework.

    Attributes:
        name: what the framework calls it.
        arguments: its arguments in order, with their defaults.
        words: our name for each argument that is part of the rule, and theirs; `betas` may be two.
        here: what computes it here; where `switch` is set, by the value of that argument.
        switch: an argument that chooses between two rules.
        positive: settings, in our words, that the framework wants above 0.
        written: how a call begins.
    """

    name: str
    arguments: Mapping[str, Any]
    words: Words
    here: Mapping[Any, Reading]
    switch: str | None = None
    positive: tuple[str, ...] = ()
    written: str = ""

    def settings(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Our names and values for the framework's arguments, as far as they have a word."""
        settings: dict[str, Any] = {}
        for ours, theirs in self.words.items():
            if isinstance(theirs, str):
                if theirs in arguments:
                    settings[ours] = _plain(arguments[theirs])
            elif all(name in arguments for name in theirs):
                settings[ours] = tuple(arguments[name] for name in theirs)
        return settings

    def arguments_of(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The framework's arguments for settings of ours; those without a word are passed on."""
        arguments: dict[str, Any] = {}
        for ours, value in settings.items():
            theirs = self.words.get(ours, ours)
            if isinstance(theirs, str):
                arguments[theirs] = value
            else:
                arguments.update(zip(theirs, value, strict=True))
        return arguments

    @property
    def defaults(self) -> dict[str, Any]:
        """The defaults of what has a word, in our words; `REQUIRED` where there is none."""
        return self.settings(self.arguments)

    def reading(self, arguments: Mapping[str, Any]) -> Reading:
        """What computes a call with these arguments."""
        return self.here[arguments[self.switch] if self.switch else None]


def _plain(value: Any) -> Any:
    """None stands for «no momentum», «no decay»; MLX writes its betas as a list."""
    return 0.0 if value is None else tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Framework:
    """One framework.

    Attributes:
        name: what it is called here.
        module: what is imported to see whether it is there.
        package: what to install.
        places: how its optimizers' module is written; the first is used in answers.
        entries: its optimizers that have a row, by name.
    """

    name: str
    module: str
    package: str
    places: tuple[str, ...]
    entries: Mapping[str, Entry]


def _rows(place: str, *entries: tuple[Any, ...]) -> dict[str, Entry]:
    """Entries by name. Each is: name, arguments, words, class or {switch value: reading}, and, if
    there are any, switch and positive settings."""
    rows: dict[str, Entry] = {}
    for name, arguments, words, here, *switch in entries:
        readings = here if isinstance(here, Mapping) else {None: _reading(here)}
        rows[name] = Entry(name, arguments, words, readings, *switch, written=f"{place}.{name}(")
    return rows


def _reading(here: Any) -> Reading:
    return here if isinstance(here, Reading) else Reading(here)


def _same(*names: str, **words: str | tuple[str, str]) -> Words:
    """Words: those that are the same on both sides, and those that are not."""
    return {**{name: name for name in names}, **words}


# Keras ----------------------------------------------------------------------------------------

_KERAS_BETAS = {"beta_1": 0.9, "beta_2": 0.999}
_KERAS_ADAM = _same(
    "amsgrad", "weight_decay", lr="learning_rate", betas=("beta_1", "beta_2"), eps="epsilon"
)
_KERAS = _rows(
    "keras.optimizers",
    (
        "SGD",
        {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False, "weight_decay": None},
        _same("momentum", "nesterov", "weight_decay", lr="learning_rate"),
        dialects.KerasSGD,
    ),
    (
        "RMSprop",
        {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False}
        | {"weight_decay": None},
        _same(
            "momentum", "centered", "weight_decay", lr="learning_rate", alpha="rho", eps="epsilon"
        ),
        dialects.KerasRMSprop,
    ),
    (
        "Adagrad",
        {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7}
        | {"weight_decay": None},
        _same("initial_accumulator_value", "weight_decay", lr="learning_rate", eps="epsilon"),
        dialects.KerasAdagrad,
    ),
    (
        "Adam",
        {"learning_rate": 0.001, **_KERAS_BETAS, "epsilon": 1e-7, "amsgrad": False}
        | {"weight_decay": None},
        _KERAS_ADAM,
        dialects.KerasAdam,
    ),
    (
        "AdamW",
        {"learning_rate": 0.001, "weight_decay": 0.004, **_KERAS_BETAS, "epsilon": 1e-7}
        | {"amsgrad": False},
        _KERAS_ADAM,
        dialects.KerasAdam,
    ),
    (
        "Adadelta",
        {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7, "weight_decay": None},
        _same("rho", "weight_decay", lr="learning_rate", eps="epsilon"),
        dialects.KerasAdadelta,
    ),
    (
        "Adamax",
        {"learning_rate": 0.001, **_KERAS_BETAS, "epsilon": 1e-7, "weight_decay": None},
        _same("weight_decay", lr="learning_rate", betas=("beta_1", "beta_2"), eps="epsilon"),
        Reading(dialects.KerasAdamax, {"bias_correction": True}),
    ),
    (
        "Nadam",
        {"learning_rate": 0.001, **_KERAS_BETAS, "epsilon": 1e-7, "weight_decay": None},
        _same("weight_decay", lr="learning_rate", betas=("beta_1", "beta_2"), eps="epsilon"),
        Reading(myoptim.NAdam, {"momentum_decay": 1.0, "decoupled_weight_decay": True}),
    ),
)

# optax ----------------------------------------------------------------------------------------

_OPTAX_BETAS = {"b1": 0.9, "b2": 0.999}
_OPTAX_ADAM = _same("eps", lr="learning_rate", betas=("b1", "b2"))
_OPTAX = _rows(
    "optax",
    (
        "sgd",
        {"learning_rate": REQUIRED, "momentum": None, "nesterov": False, "accumulator_dtype": None},
        _same("momentum", "nesterov", lr="learning_rate"),
        myoptim.SGD,
    ),
    (
        "rmsprop",
        {"learning_rate": REQUIRED, "decay": 0.9, "eps": 1e-8, "initial_scale": 0.0}
        | {"eps_in_sqrt": True, "centered": False, "momentum": None, "nesterov": False}
        | {"bias_correction": False},
        _same("eps", "initial_scale", "centered", "momentum", lr="learning_rate", alpha="decay"),
        {
            True: Reading(dialects.KerasRMSprop),
            False: Reading(dialects.KerasRMSprop, {"eps_in_root": False}),
        },
        "eps_in_sqrt",
    ),
    (
        "adagrad",
        {"learning_rate": REQUIRED, "initial_accumulator_value": 0.1, "eps": 1e-7},
        _same("initial_accumulator_value", "eps", lr="learning_rate"),
        dialects.KerasAdagrad,
    ),
    (
        "adam",
        {"learning_rate": REQUIRED, **_OPTAX_BETAS, "eps": 1e-8, "eps_root": 0.0}
        | {"mu_dtype": None, "nesterov": False},
        _OPTAX_ADAM,
        myoptim.Adam,
    ),
    (
        "adamw",
        {"learning_rate": REQUIRED, **_OPTAX_BETAS, "eps": 1e-8, "eps_root": 0.0}
        | {"mu_dtype": None, "weight_decay": 1e-4, "mask": None, "nesterov": False},
        _OPTAX_ADAM | _same("weight_decay"),
        myoptim.AdamW,
    ),
    (
        "amsgrad",
        {"learning_rate": REQUIRED, **_OPTAX_BETAS, "eps": 1e-8, "eps_root": 0.0}
        | {"mu_dtype": None, "bias_correction_mu": True, "bias_correction_nu": True},
        _OPTAX_ADAM,
        Reading(dialects.OptaxAMSGrad, {"amsgrad": True}),
    ),
    (
        "adadelta",
        # Its learning rate is None by default, with which it fails.
        {"learning_rate": REQUIRED, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0}
        | {"weight_decay_mask": None},
        _same("rho", "eps", "weight_decay", lr="learning_rate"),
        myoptim.Adadelta,
    ),
    (
        "adamax",
        {"learning_rate": REQUIRED, **_OPTAX_BETAS, "eps": 1e-8},
        _OPTAX_ADAM,
        myoptim.Adamax,
    ),
    (
        "nadam",
        {"learning_rate": REQUIRED, **_OPTAX_BETAS, "eps": 1e-8, "eps_root": 0.0}
        | {"mu_dtype": None, "nesterov": True},
        _OPTAX_ADAM,
        Reading(myoptim.NAdam, CONSTANT_MOMENTUM),
    ),
    (
        "nadamw",
        {"learning_rate": REQUIRED, **_OPTAX_BETAS, "eps": 1e-8, "eps_root": 0.0}
        | {"mu_dtype": None, "weight_decay": 1e-4, "mask": None, "nesterov": True},
        _OPTAX_ADAM | _same("weight_decay"),
        Reading(myoptim.NAdam, {**CONSTANT_MOMENTUM, "decoupled_weight_decay": True}),
    ),
    (
        "radam",
        {"learning_rate": REQUIRED, **_OPTAX_BETAS, "eps": 1e-8, "eps_root": 0.0}
        | {"threshold": 5.0, "nesterov": False},
        _OPTAX_ADAM,
        dialects.OptaxRAdam,
    ),
)

# MLX ------------------------------------------------------------------------------------------

_MLX_ADAM = _same("betas", "eps", lr="learning_rate")
_MLX = _rows(
    "mlx.optimizers",
    (
        "SGD",
        {"learning_rate": REQUIRED, "momentum": 0.0, "weight_decay": 0.0, "dampening": 0.0}
        | {"nesterov": False},
        _same("momentum", "weight_decay", "dampening", "nesterov", lr="learning_rate"),
        dialects.MLXSGD,
    ),
    (
        "RMSprop",
        {"learning_rate": REQUIRED, "alpha": 0.99, "eps": 1e-8},
        _same("alpha", "eps", lr="learning_rate"),
        myoptim.RMSprop,
        None,
        ("eps",),
    ),
    (
        "Adagrad",
        {"learning_rate": REQUIRED, "eps": 1e-8},
        _same("eps", lr="learning_rate"),
        myoptim.Adagrad,
        None,
        ("eps",),
    ),
    (
        "Adam",
        {"learning_rate": REQUIRED, "betas": [0.9, 0.999], "eps": 1e-8, "bias_correction": False},
        _MLX_ADAM,
        {False: Reading(dialects.MLXAdam), True: Reading(myoptim.Adam)},
        "bias_correction",
    ),
    (
        "AdamW",
        {"learning_rate": REQUIRED, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01}
        | {"bias_correction": False},
        _MLX_ADAM | _same("weight_decay"),
        {False: Reading(dialects.MLXAdam), True: Reading(myoptim.AdamW)},
        "bias_correction",
    ),
    (
        "AdaDelta",
        {"learning_rate": REQUIRED, "rho": 0.9, "eps": 1e-6},
        _same("rho", "eps", lr="learning_rate"),
        myoptim.Adadelta,
        None,
        ("eps",),
    ),
    (
        "Adamax",
        {"learning_rate": REQUIRED, "betas": [0.9, 0.999], "eps": 1e-8},
        _MLX_ADAM,
        Reading(dialects.KerasAdamax, {"bias_correction": False}),
    ),
)

# tinygrad -------------------------------------------------------------------------------------

_TINYGRAD_ADAM = _same(PARAMS, "lr", "eps", betas=("b1", "b2"))
_TINYGRAD = _rows(
    "tinygrad.nn.optim",
    (
        "SGD",
        {PARAMS: REQUIRED, "lr": 0.001, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False}
        | {"classic": False},
        _same(PARAMS, "lr", "momentum", "weight_decay", "nesterov"),
        {
            False: Reading(myoptim.SGD),
            True: Reading(dialects.KerasSGD, {"decoupled_weight_decay": False}),
        },
        "classic",
    ),
    (
        "Adam",
        {PARAMS: REQUIRED, "lr": 0.001, **_OPTAX_BETAS, "eps": 1e-8},
        _TINYGRAD_ADAM,
        myoptim.Adam,
    ),
    (
        "AdamW",
        {PARAMS: REQUIRED, "lr": 0.001, **_OPTAX_BETAS, "eps": 1e-8, "weight_decay": 0.01},
        _TINYGRAD_ADAM | _same("weight_decay"),
        myoptim.AdamW,
    ),
)

# scikit-learn ---------------------------------------------------------------------------------

_SKLEARN = {
    name: Entry(name, arguments, words, {None: Reading(cls)}, written=f"{begin}(solver='{name}'")
    for begin, name, arguments, words, cls in (
        (
            "sklearn.neural_network.MLPClassifier",
            "sgd",
            {"learning_rate_init": 0.001, "momentum": 0.9, "nesterovs_momentum": True},
            _same("momentum", lr="learning_rate_init", nesterov="nesterovs_momentum"),
            dialects.KerasSGD,
        ),
        (
            "sklearn.neural_network.MLPClassifier",
            "adam",
            {"learning_rate_init": 0.001, **_KERAS_BETAS, "epsilon": 1e-8},
            _same(lr="learning_rate_init", betas=("beta_1", "beta_2"), eps="epsilon"),
            dialects.KerasAdam,
        ),
    )
}

# PaddlePaddle ---------------------------------------------------------------------------------

_PADDLE_BETAS = {"beta1": 0.9, "beta2": 0.999}
_PADDLE_ADAM = _same(
    "weight_decay", "amsgrad", lr="learning_rate", betas=("beta1", "beta2"), eps="epsilon",
    params="parameters",
)  # fmt: skip
_PADDLE = _rows(
    "paddle.optimizer",
    (
        "SGD",
        {"learning_rate": 0.001, "parameters": None, "weight_decay": None},
        _same("weight_decay", lr="learning_rate", params="parameters"),
        myoptim.SGD,
    ),
    (
        "Momentum",
        {"learning_rate": 0.001, "momentum": 0.9, "parameters": None, "use_nesterov": False}
        | {"weight_decay": None},
        _same(
            "momentum", "weight_decay", lr="learning_rate", params="parameters",
            nesterov="use_nesterov",
        ),
        myoptim.SGD,
    ),
    (
        "Adagrad",
        {"learning_rate": REQUIRED, "epsilon": 1e-6, "parameters": None, "weight_decay": None}
        | {"grad_clip": None, "name": None, "initial_accumulator_value": 0.0},
        _same(
            "weight_decay", "initial_accumulator_value", lr="learning_rate", params="parameters",
            eps="epsilon",
        ),
        myoptim.Adagrad,
    ),
    (
        "RMSProp",
        {"learning_rate": REQUIRED, "rho": 0.95, "epsilon": 1e-6, "momentum": 0.0}
        | {"centered": False, "parameters": None, "weight_decay": None},
        _same(
            "weight_decay", "momentum", "centered", lr="learning_rate", params="parameters",
            alpha="rho", eps="epsilon",
        ),
        Reading(dialects.KerasRMSprop, {"decoupled_weight_decay": False}),
    ),
    (
        "Adam",
        {"learning_rate": 0.001, **_PADDLE_BETAS, "epsilon": 1e-8, "parameters": None}
        | {"weight_decay": None, "grad_clip": None, "lazy_mode": False, "multi_precision": False}
        | {"use_multi_tensor": False, "amsgrad": False},
        _PADDLE_ADAM,
        myoptim.Adam,
    ),
    (
        "AdamW",
        {"learning_rate": 0.001, **_PADDLE_BETAS, "epsilon": 1e-8, "parameters": None}
        | {"weight_decay": 0.01, "use_lowprecision_moment": False, "lr_ratio": None}
        | {"apply_decay_param_fun": None, "grad_clip": None, "lazy_mode": False}
        | {"multi_precision": False, "amsgrad": False},
        _PADDLE_ADAM,
        myoptim.AdamW,
    ),
    (
        "Adadelta",
        {"learning_rate": 0.001, "epsilon": 1e-6, "rho": 0.95, "parameters": None}
        | {"weight_decay": None},
        _same("rho", "weight_decay", lr="learning_rate", eps="epsilon", params="parameters"),
        myoptim.Adadelta,
    ),
    (
        "NAdam",
        {"learning_rate": 0.002, **_PADDLE_BETAS, "epsilon": 1e-8, "momentum_decay": 0.004}
        | {"parameters": None, "weight_decay": None},
        _same(
            "weight_decay", "momentum_decay", lr="learning_rate", betas=("beta1", "beta2"),
            eps="epsilon", params="parameters",
        ),
        Reading(myoptim.NAdam, {"decoupled_weight_decay": False}),
    ),
    (
        "RAdam",
        {"learning_rate": 0.001, **_PADDLE_BETAS, "epsilon": 1e-8, "parameters": None}
        | {"weight_decay": None},
        _same(
            "weight_decay", lr="learning_rate", betas=("beta1", "beta2"), eps="epsilon",
            params="parameters",
        ),
        Reading(myoptim.RAdam, {"decoupled_weight_decay": False}),
    ),
    (
        "Rprop",
        {"learning_rate": 0.001, "learning_rate_range": (1e-5, 50), "parameters": None}
        | {"etas": (0.5, 1.2)},
        _same(
            "etas", lr="learning_rate", step_sizes="learning_rate_range", params="parameters",
        ),
        myoptim.Rprop,
    ),
)  # fmt: skip

# TensorFlow 1 ---------------------------------------------------------------------------------

_TF1 = _rows(
    "tf.compat.v1.train",
    (
        "GradientDescentOptimizer",
        {"learning_rate": REQUIRED},
        _same(lr="learning_rate"),
        myoptim.SGD,
    ),
    (
        "MomentumOptimizer",
        {"learning_rate": REQUIRED, "momentum": REQUIRED, "use_locking": False}
        | {"name": "Momentum", "use_nesterov": False},
        _same("momentum", lr="learning_rate", nesterov="use_nesterov"),
        myoptim.SGD,
    ),
    (
        "AdagradOptimizer",
        {"learning_rate": REQUIRED, "initial_accumulator_value": 0.1},
        _same("initial_accumulator_value", lr="learning_rate"),
        Reading(dialects.KerasAdagrad, {"eps": 0.0}),
        None,
        ("initial_accumulator_value",),
    ),
    (
        "RMSPropOptimizer",
        {"learning_rate": REQUIRED, "decay": 0.9, "momentum": 0.0, "epsilon": 1e-10}
        | {"use_locking": False, "centered": False},
        _same("momentum", "centered", lr="learning_rate", alpha="decay", eps="epsilon"),
        Reading(dialects.TF1RMSprop, {"initial_scale": 1.0}),
    ),
    (
        "AdamOptimizer",
        {"learning_rate": 0.001, **_PADDLE_BETAS, "epsilon": 1e-8},
        _same(lr="learning_rate", betas=("beta1", "beta2"), eps="epsilon"),
        dialects.KerasAdam,
    ),
    (
        "AdadeltaOptimizer",
        {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-8},
        _same("rho", lr="learning_rate", eps="epsilon"),
        myoptim.Adadelta,
    ),
)

# torch, and ours ------------------------------------------------------------------------------


def _of_ours(place: str, *classes: Callable[..., Any]) -> dict[str, Entry]:
    """Entries for classes whose words are ours."""
    rows: dict[str, Entry] = {}
    for cls in classes:
        arguments = {p.name: p.default for p in inspect.signature(cls).parameters.values()}
        words = _same(*(name for name in arguments if name not in WITHOUT_EFFECT))
        name = cls.__name__
        rows[name] = Entry(name, arguments, words, {None: Reading(cls)}, written=f"{place}.{name}(")
    return rows


FRAMEWORKS: dict[str, Framework] = {
    framework.name: framework
    for framework in (
        Framework(
            "torch",
            "torch",
            "torch",
            ("torch.optim", "optim"),
            _of_ours(
                "torch.optim",
                myoptim.SGD,
                myoptim.Adagrad,
                myoptim.RMSprop,
                myoptim.Adam,
                myoptim.AdamW,
                myoptim.Adadelta,
                myoptim.Adamax,
                myoptim.NAdam,
                myoptim.RAdam,
                myoptim.Rprop,
                myoptim.ASGD,
            ),
        ),
        Framework(
            "keras",
            "keras",
            "keras",
            ("keras.optimizers", "tf.keras.optimizers", "tensorflow.keras.optimizers"),
            _KERAS,
        ),
        Framework("optax", "optax", "optax", ("optax",), _OPTAX),
        Framework("mlx", "mlx.optimizers", "mlx mlx-cpu", ("mlx.optimizers",), _MLX),
        Framework("tinygrad", "tinygrad", "tinygrad", ("tinygrad.nn.optim", "nn.optim"), _TINYGRAD),
        Framework("sklearn", "sklearn", "scikit-learn", ("sklearn.neural_network",), _SKLEARN),
        Framework("paddle", "paddle", "paddlepaddle", ("paddle.optimizer",), _PADDLE),
        Framework(
            "tf1",
            "tensorflow",
            "tensorflow-cpu",
            ("tf.compat.v1.train", "tensorflow.compat.v1.train", "tf.train"),
            _TF1,
        ),
        Framework(
            "myoptim",
            "myoptim",
            "myoptim",
            ("myoptim.dialects", "myoptim"),
            _of_ours("myoptim.dialects", *dialects.DIALECTS.values()),
        ),
    )
}
"""Every framework with a row, by its name."""
