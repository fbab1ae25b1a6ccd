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
from myoptim.optimizer import declaration_of

REQUIRED = inspect.Parameter.empty
"""Stands for the default of an argument that must be given."""

SOME = object()
"""Stands for a default that is an object of the framework's."""

PARAMS = "params"
"""In our words: the parameters to optimize, for frameworks that take them with the settings."""

WITHOUT_EFFECT = frozenset(
    (
        *("foreach", "fused", "capturable", "differentiable", "device", "use_multi_tensor"),
        *("name", "use_locking", "use_own_namescope_for_non_slot_vars", "loss_scale_factor"),
    )
)
"""Arguments that say how to compute or what to call it, not what."""

CONSTANT_MOMENTUM = {"momentum_decay": 1e4}
"""What makes the momentum of NAdam β₁ from the first step on: 0.96^10000 is 0."""

NEUTRAL: dict[str, Any] = {
    "momentum": 0.0,
    "dampening": 0.0,
    "nesterov": False,
    "weight_decay": 0.0,
    "amsgrad": False,
    "centered": False,
    "lr_decay": 0.0,
    "initial_accumulator_value": 0.0,
    "initial_scale": 0.0,
    "maximize": False,
    "warmup_steps": 0.0,
    "r": 0.0,
    "alpha_warmup": 0.0,
    "beta3_warmup": 0.0,
    "safeguard_warmup": False,
}
"""What a setting is where a rule has no such thing."""

Words = dict[str, str | tuple[str, ...]]


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
        remark: a sentence that belongs to every answer about it.
        written: how a call begins.
        without_effect: arguments that say how to compute or what to call it, not what.
    """

    name: str
    arguments: Mapping[str, Any]
    words: Words
    here: Mapping[Any, Reading]
    switch: str | None = None
    positive: tuple[str, ...] = ()
    remark: str = ""
    written: str = ""
    without_effect: frozenset[str] = WITHOUT_EFFECT

    @property
    def place(self) -> str:
        """How it is written without its arguments."""
        return self.written.partition("(")[0]

    @property
    def own_words(self) -> frozenset[str]:
        """The framework's arguments that have a word of ours."""
        words: set[str] = set()
        for ours, theirs in self.words.items():
            if ours != PARAMS:
                words.update((theirs,) if isinstance(theirs, str) else theirs)
        return frozenset(words)

    @property
    def read(self) -> frozenset[str]:
        """The arguments whose value matters here."""
        return self.own_words | ({self.switch} if self.switch else set())

    def settings(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Our names and values for the framework's arguments, as far as they have a word.

        None stands for «no momentum», «no decay», or says nothing.
        """
        settings: dict[str, Any] = {}
        for ours, theirs in self.words.items():
            if isinstance(theirs, str):
                value = arguments.get(theirs)
                if value is not None or (theirs in arguments and ours in NEUTRAL):
                    settings[ours] = NEUTRAL[ours] if value is None else _plain(value)
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
        return {**dict.fromkeys(self.words), **self.settings(self.arguments)}

    def reading(self, arguments: Mapping[str, Any]) -> Reading:
        """What computes a call with these arguments."""
        return self.here[arguments[self.switch] if self.switch else None]


def _plain(value: Any) -> Any:
    """MLX writes its betas as a list."""
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Framework:
    """One framework.

    Attributes:
        name: what it is called here.
        module: what is imported to see whether it is there.
        package: what to install.
        places: how its optimizers' module is written; the first is used in answers.
        entries: its optimizers that have a row, by name.
        others: the rest of what its public modules call an optimizer, and why it has no row.
    """

    name: str
    module: str
    package: str
    places: tuple[str, ...]
    entries: Mapping[str, Entry]
    others: Mapping[str, str]


def _rows(place: str, *entries: tuple[Any, ...]) -> dict[str, Entry]:
    """Entries by name. Each is: name, arguments, words, class or {switch value: reading}, and, if
    there are any, switch, positive settings and remark."""
    rows: dict[str, Entry] = {}
    for name, arguments, words, here, *switch in entries:
        readings = here if isinstance(here, Mapping) else {None: _reading(here)}
        rows[name] = Entry(name, arguments, words, readings, *switch, written=f"{place}.{name}(")
    return rows


def _reading(here: Any) -> Reading:
    return here if isinstance(here, Reading) else Reading(here)


def _same(*names: str, **words: str | tuple[str, ...]) -> Words:
    """Words: those that are the same on both sides, and those that are not."""
    return {**{name: name for name in names}, **words}


def _others(names: str, why: str) -> dict[str, str]:
    """Optimizers without a row, for one reason."""
    return dict.fromkeys(names.split(), why)


NOT_HERE = "no rule of ours computes it"
"""Why most optimizers without a row have none; they can still be run."""
_COMBINES = "it combines or wraps optimizers; translate those by themselves"
_ASKS_THE_LOSS = "its steps evaluate the loss, so that it cannot be run over given gradients"
_SPARSE = "it takes sparse gradients only, so that it cannot be run beside another"
_BASE = "it is what optimizers derive from, and has no step of its own"

# Keras ----------------------------------------------------------------------------------------

# What every optimizer of Keras takes after its own arguments.
_KERAS_COMMON = {
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
    "name": None,
}
_KERAS_BETAS = {"beta_1": 0.9, "beta_2": 0.999}
_KERAS_ADAM = _same(
    "amsgrad", "weight_decay", lr="learning_rate", betas=("beta_1", "beta_2"), eps="epsilon"
)
_KERAS = _rows(
    "keras.optimizers",
    (
        "SGD",
        {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False, "weight_decay": None}
        | _KERAS_COMMON,
        _same("momentum", "nesterov", "weight_decay", lr="learning_rate"),
        dialects.KerasSGD,
    ),
    (
        "RMSprop",
        {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False}
        | {"weight_decay": None, **_KERAS_COMMON},
        _same(
            "momentum", "centered", "weight_decay", lr="learning_rate", alpha="rho", eps="epsilon"
        ),
        dialects.KerasRMSprop,
    ),
    (
        "Adagrad",
        {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7}
        | {"weight_decay": None, **_KERAS_COMMON},
        _same("initial_accumulator_value", "weight_decay", lr="learning_rate", eps="epsilon"),
        dialects.KerasAdagrad,
    ),
    (
        "Adam",
        {"learning_rate": 0.001, **_KERAS_BETAS, "epsilon": 1e-7, "amsgrad": False}
        | {"weight_decay": None, **_KERAS_COMMON},
        _KERAS_ADAM,
        dialects.KerasAdam,
    ),
    (
        "AdamW",
        {"learning_rate": 0.001, "weight_decay": 0.004, **_KERAS_BETAS, "epsilon": 1e-7}
        | {"amsgrad": False, **_KERAS_COMMON},
        _KERAS_ADAM,
        dialects.KerasAdam,
    ),
    (
        "Adadelta",
        {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7, "weight_decay": None}
        | _KERAS_COMMON,
        _same("rho", "weight_decay", lr="learning_rate", eps="epsilon"),
        dialects.KerasAdadelta,
    ),
    (
        "Adamax",
        {"learning_rate": 0.001, **_KERAS_BETAS, "epsilon": 1e-7, "weight_decay": None}
        | _KERAS_COMMON,
        _same("weight_decay", lr="learning_rate", betas=("beta_1", "beta_2"), eps="epsilon"),
        Reading(dialects.KerasAdamax, {"bias_correction": True}),
    ),
    (
        "Nadam",
        {"learning_rate": 0.001, **_KERAS_BETAS, "epsilon": 1e-7, "weight_decay": None}
        | _KERAS_COMMON,
        _same("weight_decay", lr="learning_rate", betas=("beta_1", "beta_2"), eps="epsilon"),
        Reading(myoptim.NAdam, {"momentum_decay": 1.0, "decoupled_weight_decay": True}),
    ),
    (
        "Lion",
        {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99, "weight_decay": None}
        | _KERAS_COMMON,
        _same("weight_decay", lr="learning_rate", betas=("beta_1", "beta_2")),
        myoptim.Lion,
    ),
    (
        "Adafactor",
        {"learning_rate": 0.001, "beta_2_decay": -0.8, "epsilon_1": 1e-30, "epsilon_2": 0.001}
        | {"clip_threshold": 1.0, "relative_step": True, "weight_decay": None, **_KERAS_COMMON},
        _same(
            "weight_decay", lr="learning_rate", beta2_decay="beta_2_decay", d="clip_threshold",
            eps=("epsilon_1", "epsilon_2"),
        ),
        {
            switched: Reading(dialects.PaperAdafactor, {"rate": "capped"})
            for switched in (True, False)  # which Keras reads, but holds the rate either way
        },
        "relative_step",
    ),
    (
        "Muon",
        {"learning_rate": 0.001, "adam_beta_1": 0.9, "adam_beta_2": 0.999}
        | {"adam_weight_decay": 0.004, "epsilon": 1e-7, "weight_decay": 0.004, **_KERAS_COMMON}
        | {"exclude_layers": None, "exclude_embeddings": True, "muon_a": 3.4445}
        | {"muon_b": -4.775, "muon_c": 2.0315, "adam_lr_ratio": 1, "momentum": 0.95}
        | {"ns_steps": 5, "nesterov": True, "rms_rate": 0.2},
        _same(
            "momentum", "nesterov", "ns_steps", "weight_decay", lr="learning_rate",
            ns_coefficients=("muon_a", "muon_b", "muon_c"),
        ),
        Reading(myoptim.Muon, {"adjust_lr_fn": "match_rms_adamw"}),
        None,
        (),
        "Of matrices: Keras gives other parameters to Adam, torch.optim.Muon refuses them; torch "
        "iterates in bfloat16, Keras in the parameters' type.",
    ),
)  # fmt: skip
_KERAS_OTHERS = {
    **_others("Ftrl Lamb", NOT_HERE),
    "ScheduleFreeAdamW": "it is not myoptim.ScheduleFreeAdamW, which is the rule of the package "
    "schedulefree and of optax",
    **_others("LossScaleOptimizer MultiOptimizer OptimizerMap", _COMBINES),
    **_others("Optimizer", _BASE),
}

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
    (
        "lion",
        {"learning_rate": REQUIRED, "b1": 0.9, "b2": 0.99, "mu_dtype": None}
        | {"weight_decay": 1e-3, "mask": None},
        _same("weight_decay", lr="learning_rate", betas=("b1", "b2")),
        myoptim.Lion,
    ),
    (
        "rprop",
        {"learning_rate": REQUIRED, "eta_minus": 0.5, "eta_plus": 1.2, "min_step_size": 1e-6}
        | {"max_step_size": 50.0},
        _same(
            lr="learning_rate",
            etas=("eta_minus", "eta_plus"),
            step_sizes=("min_step_size", "max_step_size"),
        ),
        dialects.OptaxRprop,
    ),
    (
        "adafactor",
        # Without a learning rate it makes steps of its own size.
        {"learning_rate": REQUIRED, "min_dim_size_to_factor": 128, "decay_rate": 0.8}
        | {"decay_offset": 0, "multiply_by_parameter_scale": True, "clipping_threshold": 1.0}
        | {"momentum": None, "dtype_momentum": SOME, "weight_decay_rate": None, "eps": 1e-30}
        | {"factored": True, "weight_decay_mask": None},
        _same(
            lr="learning_rate",
            d="clipping_threshold",
            min_size_to_factor="min_dim_size_to_factor",
        ),
        Reading(
            dialects.PaperAdafactor,
            {"rate": "given", "beta2_decay": -0.8, "eps": (1e-30, 1e-3)},
        ),
    ),
)
_OPTAX_CONTRIB = _rows(
    "optax.contrib",
    (
        "ademamix",
        {"learning_rate": REQUIRED, "b1": 0.9, "b2": 0.999, "b3": 0.9999, "alpha": 5.0}
        | {"eps": 1e-8, "eps_root": 0.0, "mu_dtype": None, "weight_decay": 0.0, "mask": None},
        _same("alpha", "eps", "weight_decay", lr="learning_rate", betas=("b1", "b2", "b3")),
        myoptim.AdEMAMix,
    ),
    (
        "prodigy",
        {"learning_rate": 1.0, "betas": (0.9, 0.999), "beta3": None, "eps": 1e-8}
        | {"estim_lr0": 1e-6, "estim_lr_coef": 1.0, "weight_decay": 0.0}
        | {"safeguard_warmup": False},
        _same(
            *("betas", "eps", "weight_decay", "safeguard_warmup"),
            lr="learning_rate",
            d0="estim_lr0",
            d_coef="estim_lr_coef",
        ),
        Reading(myoptim.Prodigy, {"use_bias_correction": True}),
    ),
    (
        "schedule_free_sgd",
        {"learning_rate": 1.0, "warmup_steps": None, "b1": 0.9, "weight_decay": None}
        | {"weight_lr_power": 2.0, "state_dtype": None},
        _same("weight_decay", "weight_lr_power", lr="learning_rate", momentum="b1"),
        myoptim.ScheduleFreeSGD,
    ),
    (
        "schedule_free_adamw",
        {"learning_rate": 0.0025, "warmup_steps": None, **_OPTAX_BETAS, "eps": 1e-8}
        | {"weight_decay": 0.0, "weight_lr_power": 2.0, "state_dtype": None},
        _same("eps", "weight_decay", "weight_lr_power", lr="learning_rate", betas=("b1", "b2")),
        myoptim.ScheduleFreeAdamW,
    ),
)
_OPTAX_OTHERS = {
    **_others(
        "adabelief adamaxw adan fromage lamb lars noisy_sgd novograd optimistic_adam "
        "optimistic_adam_v2 optimistic_gradient_descent sign_sgd signum sm3 yogi",
        NOT_HERE,
    ),
    **_others("lbfgs polyak_sgd", _ASKS_THE_LOSS),
    **_others(
        "chain named_chain partition multi_transform masked apply_if_finite lookahead MultiSteps "
        "inject_hyperparams flatten",
        _COMBINES,
    ),
    # Those of optax.contrib.
    **_others(
        "acprop adopt cocob dadapt_adamw dog dowg dpsgd galore madgrad simplified_ademamix sophia",
        NOT_HERE,
    ),
    **_others("momo momo_adam", _ASKS_THE_LOSS),
    **_others("reduce_on_plateau mechanize sam schedule_free split_real_and_imaginary", _COMBINES),
    "muon": "it adjusts lr by the columns over the rows of a matrix, torch by the rows over the "
    "columns",
}

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
    (
        "Lion",
        {"learning_rate": REQUIRED, "betas": [0.9, 0.99], "weight_decay": 0.0},
        _same("betas", "weight_decay", lr="learning_rate"),
        myoptim.Lion,
    ),
    (
        "Adafactor",
        {"learning_rate": None, "eps": (1e-30, 0.001), "clip_threshold": 1.0, "decay_rate": -0.8}
        | {"beta_1": None, "weight_decay": 0.0, "scale_parameter": True, "relative_step": True}
        | {"warmup_init": False},
        _same("eps", lr="learning_rate", d="clip_threshold", beta2_decay="decay_rate"),
        {
            True: Reading(dialects.PaperAdafactor, {"rate": "relative"}),
            False: Reading(dialects.PaperAdafactor, {"rate": "given"}),
        },
        "relative_step",
    ),
)
_MLX_OTHERS = {
    "Muon": "its weight decay joins the gradient (L2), as in no rule of ours; without decay it is "
    "torch.optim.Muon on matrices, but for the rounding of bfloat16, in which torch iterates",
    **_others("MultiOptimizer", _COMBINES),
    **_others("Optimizer", _BASE),
}

# tinygrad -------------------------------------------------------------------------------------

_TINYGRAD_COMMON = {"device": None, "fused": SOME}
_TINYGRAD_ADAM = _same(PARAMS, "lr", "eps", betas=("b1", "b2"))
_TINYGRAD = _rows(
    "tinygrad.nn.optim",
    (
        "SGD",
        {PARAMS: REQUIRED, "lr": 0.001, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False}
        | {"classic": False, **_TINYGRAD_COMMON},
        _same(PARAMS, "lr", "momentum", "weight_decay", "nesterov"),
        {
            False: Reading(myoptim.SGD),
            True: Reading(dialects.KerasSGD, {"decoupled_weight_decay": False}),
        },
        "classic",
    ),
    (
        "Adam",
        {PARAMS: REQUIRED, "lr": 0.001, **_OPTAX_BETAS, "eps": 1e-8, **_TINYGRAD_COMMON},
        _TINYGRAD_ADAM,
        myoptim.Adam,
    ),
    (
        "AdamW",
        {PARAMS: REQUIRED, "lr": 0.001, **_OPTAX_BETAS, "eps": 1e-8, "weight_decay": 0.01}
        | _TINYGRAD_COMMON,
        _TINYGRAD_ADAM | _same("weight_decay"),
        myoptim.AdamW,
    ),
)
_TINYGRAD_OTHERS = {
    "Muon": "it does not adjust lr to the shape of a matrix, as every rule of ours does",
    **_others("LAMB LARS", NOT_HERE),
    **_others("OptimizerGroup", _COMBINES),
    **_others("Optimizer", _BASE),
}

# scikit-learn ---------------------------------------------------------------------------------

# Most are arguments of the model, its loss and its data.
_MLP = {
    "hidden_layer_sizes": (100,),
    "activation": "relu",
    "alpha": 0.0001,
    "batch_size": "auto",
    "learning_rate": "constant",
    "learning_rate_init": 0.001,
    "power_t": 0.5,
    "max_iter": 200,
    "shuffle": True,
    "random_state": None,
    "tol": 1e-4,
    "verbose": False,
    "warm_start": False,
    "momentum": 0.9,
    "nesterovs_momentum": True,
    "early_stopping": False,
    "validation_fraction": 0.1,
    **_KERAS_BETAS,
    "epsilon": 1e-8,
    "n_iter_no_change": 10,
    "max_fun": 15000,
}
_SKLEARN = {
    solver: Entry(
        solver,
        _MLP,
        words,
        {None: Reading(cls)},
        written=f"sklearn.neural_network.MLPClassifier(solver='{solver}'",
        without_effect=frozenset(_MLP) - {"learning_rate"},
    )
    for solver, words, cls in (
        (
            "sgd",
            _same("momentum", lr="learning_rate_init", nesterov="nesterovs_momentum"),
            dialects.KerasSGD,
        ),
        (
            "adam",
            _same(lr="learning_rate_init", betas=("beta_1", "beta_2"), eps="epsilon"),
            dialects.KerasAdam,
        ),
    )
}
_SKLEARN_OTHERS = _others("lbfgs", _ASKS_THE_LOSS)

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
        {"learning_rate": 0.001, "parameters": None, "weight_decay": None}
        | {"grad_clip": None, "multi_precision": False, "name": None},
        _same("weight_decay", lr="learning_rate", params="parameters"),
        myoptim.SGD,
    ),
    (
        "Momentum",
        {"learning_rate": 0.001, "momentum": 0.9, "parameters": None, "use_nesterov": False}
        | {"weight_decay": None, "grad_clip": None, "multi_precision": False}
        | {"rescale_grad": 1.0, "use_multi_tensor": False, "name": None},
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
        | {"centered": False, "parameters": None, "weight_decay": None}
        | {"grad_clip": None, "name": None},
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
        | {"use_multi_tensor": False, "amsgrad": False, "name": None},
        _PADDLE_ADAM,
        myoptim.Adam,
    ),
    (
        "AdamW",
        {"learning_rate": 0.001, **_PADDLE_BETAS, "epsilon": 1e-8, "parameters": None}
        | {"weight_decay": 0.01, "use_lowprecision_moment": False, "lr_ratio": None}
        | {"apply_decay_param_fun": None, "grad_clip": None, "lazy_mode": False}
        | {"multi_precision": False, "amsgrad": False, "name": None},
        _PADDLE_ADAM,
        myoptim.AdamW,
    ),
    (
        "Adadelta",
        {"learning_rate": 0.001, "epsilon": 1e-6, "rho": 0.95, "parameters": None}
        | {"weight_decay": None, "grad_clip": None, "name": None},
        _same("rho", "weight_decay", lr="learning_rate", eps="epsilon", params="parameters"),
        myoptim.Adadelta,
    ),
    (
        "NAdam",
        {"learning_rate": 0.002, **_PADDLE_BETAS, "epsilon": 1e-8, "momentum_decay": 0.004}
        | {"parameters": None, "weight_decay": None, "grad_clip": None, "name": None},
        _same(
            "weight_decay", "momentum_decay", lr="learning_rate", betas=("beta1", "beta2"),
            eps="epsilon", params="parameters",
        ),
        Reading(myoptim.NAdam, {"decoupled_weight_decay": False}),
    ),
    (
        "RAdam",
        {"learning_rate": 0.001, **_PADDLE_BETAS, "epsilon": 1e-8, "parameters": None}
        | {"weight_decay": None, "grad_clip": None, "name": None},
        _same(
            "weight_decay", lr="learning_rate", betas=("beta1", "beta2"), eps="epsilon",
            params="parameters",
        ),
        Reading(myoptim.RAdam, {"decoupled_weight_decay": False}),
    ),
    (
        "Rprop",
        {"learning_rate": 0.001, "learning_rate_range": (1e-5, 50), "parameters": None}
        | {"etas": (0.5, 1.2), "grad_clip": None, "multi_precision": False, "name": None},
        _same(
            "etas", lr="learning_rate", step_sizes="learning_rate_range", params="parameters",
        ),
        myoptim.Rprop,
    ),
    (
        "Adamax",
        {"learning_rate": 0.001, **_PADDLE_BETAS, "epsilon": 1e-8, "parameters": None}
        | {"weight_decay": None, "grad_clip": None, "name": None},
        _same(
            "weight_decay", lr="learning_rate", betas=("beta1", "beta2"), eps="epsilon",
            params="parameters",
        ),
        dialects.PaddleAdamax,
    ),
    (
        "ASGD",
        {"learning_rate": 0.001, "batch_num": 1, "parameters": None, "weight_decay": None}
        | {"grad_clip": None, "multi_precision": False, "name": None},
        _same("weight_decay", lr="learning_rate", params="parameters"),
        myoptim.SGD,
    ),
)  # fmt: skip
_PADDLE_OTHERS = {
    **_others("Lamb", NOT_HERE),
    **_others("LBFGS", _ASKS_THE_LOSS),
    **_others("Optimizer", _BASE),
}

# TensorFlow 1 ---------------------------------------------------------------------------------

_TF1 = _rows(
    "tf.compat.v1.train",
    (
        "GradientDescentOptimizer",
        {"learning_rate": REQUIRED, "use_locking": False, "name": "GradientDescent"},
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
        {"learning_rate": REQUIRED, "initial_accumulator_value": 0.1, "use_locking": False}
        | {"name": "Adagrad"},
        _same("initial_accumulator_value", lr="learning_rate"),
        Reading(dialects.KerasAdagrad, {"eps": 0.0}),
        None,
        ("initial_accumulator_value",),
    ),
    (
        "RMSPropOptimizer",
        {"learning_rate": REQUIRED, "decay": 0.9, "momentum": 0.0, "epsilon": 1e-10}
        | {"use_locking": False, "centered": False, "name": "RMSProp"},
        _same("momentum", "centered", lr="learning_rate", alpha="decay", eps="epsilon"),
        Reading(dialects.TF1RMSprop, {"initial_scale": 1.0}),
    ),
    (
        "AdamOptimizer",
        {"learning_rate": 0.001, **_PADDLE_BETAS, "epsilon": 1e-8, "use_locking": False}
        | {"name": "Adam", "use_own_namescope_for_non_slot_vars": False},
        _same(lr="learning_rate", betas=("beta1", "beta2"), eps="epsilon"),
        dialects.KerasAdam,
    ),
    (
        "AdadeltaOptimizer",
        {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-8, "use_locking": False}
        | {"name": "Adadelta"},
        _same("rho", lr="learning_rate", eps="epsilon"),
        myoptim.Adadelta,
    ),
)
_TF1_OTHERS = {
    **_others(
        "AdagradDAOptimizer FtrlOptimizer ProximalAdagradOptimizer "
        "ProximalGradientDescentOptimizer sdca_optimizer",
        NOT_HERE,
    ),
    **_others("SyncReplicasOptimizer", _COMBINES),
    **_others("Optimizer", _BASE),
}

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


def _alone(cls: Callable[..., Any]) -> str:
    """Why a class cannot be run over given dense gradients; empty if it can."""
    declared = declaration_of(cls)
    return _ASKS_THE_LOSS if declared.rule is None else _SPARSE if declared.sparse == "only" else ""


_OURS = tuple(myoptim.OPTIMIZERS.values())
_TWINS = tuple(
    cls
    for name, cls in myoptim.OPTIMIZERS.items()
    if getattr(declaration_of(cls).twin, "__name__", None) == name
)

FRAMEWORKS: dict[str, Framework] = {
    framework.name: framework
    for framework in (
        Framework(
            "torch",
            "torch",
            "torch",
            ("torch.optim", "optim"),
            _of_ours("torch.optim", *(cls for cls in _TWINS if not _alone(cls))),
            _others("Optimizer", _BASE)
            | {cls.__name__: _alone(cls) for cls in _TWINS if _alone(cls)},
        ),
        Framework(
            "keras",
            "keras",
            "keras",
            (
                *("keras.optimizers", "tf.keras.optimizers", "tensorflow.keras.optimizers"),
                *("tf.optimizers", "tensorflow.optimizers"),
            ),
            _KERAS,
            _KERAS_OTHERS,
        ),
        Framework(
            "optax",
            "optax",
            "optax",
            ("optax", "optax.contrib"),
            _OPTAX | _OPTAX_CONTRIB,
            _OPTAX_OTHERS,
        ),
        Framework("mlx", "mlx.optimizers", "mlx mlx-cpu", ("mlx.optimizers",), _MLX, _MLX_OTHERS),
        Framework(
            "tinygrad",
            "tinygrad",
            "tinygrad",
            ("tinygrad.nn.optim", "nn.optim"),
            _TINYGRAD,
            _TINYGRAD_OTHERS,
        ),
        Framework(
            "sklearn",
            "sklearn",
            "scikit-learn",
            ("sklearn.neural_network",),
            _SKLEARN,
            _SKLEARN_OTHERS,
        ),
        Framework(
            "paddle", "paddle", "paddlepaddle", ("paddle.optimizer",), _PADDLE, _PADDLE_OTHERS
        ),
        Framework(
            "tf1",
            "tensorflow",
            "tensorflow-cpu",
            ("tf.compat.v1.train", "tensorflow.compat.v1.train", "tf.train"),
            _TF1,
            _TF1_OTHERS,
        ),
        Framework(
            "myoptim",
            "myoptim",
            "myoptim",
            ("myoptim.dialects", "myoptim"),
            _of_ours("myoptim.dialects", *dialects.DIALECTS.values())
            | _of_ours("myoptim", *(cls for cls in _OURS if not _alone(cls))),
            {cls.__name__: _alone(cls) for cls in _OURS if _alone(cls)},
        ),
    )
}
"""Every framework with a row, by its name."""
