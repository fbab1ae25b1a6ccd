"""What the page «Same name, different algorithm» says, each sentence as two runs.

Settings are amplified, so that every term counts, and have few binary digits: float32, in which
some frameworks keep some of them, holds them exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any
from unittest import mock

import torch
from torch.optim import Adam

from myoptim.lab import frameworks
from myoptim.lab.agreement import Agreement, agreement, telling_schedule
from myoptim.lab.resolve import construct, resolve

EPS = 2.0**-7
LR = {"lr": 0.125}
MOMENTUM = LR | {"momentum": 0.75}
NESTEROV = MOMENTUM | {"nesterov": True}
DAMPED = MOMENTUM | {"dampening": 0.3125}
DECAYED = MOMENTUM | {"weight_decay": 0.1875}
ADAGRAD = LR | {"initial_accumulator_value": 0.125, "eps": EPS}
RMSPROP = LR | {"alpha": 0.625, "eps": EPS}
RMSPROP_MOMENTUM = RMSPROP | {"momentum": 0.75}
CENTERED = RMSPROP_MOMENTUM | {"centered": True}
ADAM = LR | {"betas": (0.625, 0.75), "eps": EPS}
AMSGRAD = ADAM | {"amsgrad": True}
ADAMW = ADAM | {"weight_decay": 0.1875}
ADADELTA = LR | {"rho": 0.625, "eps": EPS}
LION = LR | {"betas": (0.625, 0.75), "weight_decay": 0.1875}
PRODIGY = ADAMW | {"lr": 0.5, "d0": 2.0**-12, "d_coef": 1.75}
_GUARDED = PRODIGY | {"safeguard_warmup": True}
MUON = LR | {"momentum": 0.75, "weight_decay": 0.1875}
ADAFACTOR = {"lr": 0.75, "beta2_decay": -0.625, "eps": (2.0**-14, 2.0**-7), "d": 1.25}
RPROP = LR | {"etas": (0.625, 1.5)}
_SIZES = (0.09375, 0.25)

SAME = 1e-9
"""Relative distance up to which two runs in float64 are equal."""
FLOAT32 = 1e-5
"""The same where a framework computes some factor in float32."""

CHANGE = 5
"""The first step at which a changed learning rate shows."""

PACKAGES = {
    "torch": "torch",
    "keras": "keras",
    "optax": "optax",
    "mlx": "mlx",
    "tinygrad": "tinygrad",
    "sklearn": "scikit-learn",
    "paddle": "paddlepaddle",
    "tf1": "tensorflow-cpu",
}
"""Which package's version a framework has."""

Side = tuple[str | Callable[..., Any], dict[str, Any]]


@dataclass(frozen=True)
class Claim:
    """Two optimizers, and whether they are the same.

    Attributes:
        id: its name on the page.
        says: the sentence.
        a: an optimizer as `resolve` takes it, or a class, and its settings.
        b: the other.
        differs_at: the step at which they first differ; None: never.
        lr_changes: whether the learning rate changes after step 4.
        missing: whether a gradient is missing at step 3.
        tolerance: the distance up to which they are equal.
        matrices: whether all parameters are matrices.
        lr_rises: whether it rises above its start later.
        steady: whether gradients keep their signs, so that an estimate of the way to go grows.
        needs: the frameworks besides those that a and b name.
    """

    id: str
    says: str
    a: Side
    b: Side
    differs_at: int | None = None
    lr_changes: bool = True
    missing: bool = False
    tolerance: float = SAME
    matrices: bool = False
    lr_rises: bool = False
    steady: bool = False
    needs: tuple[str, ...] = field(default=())

    @property
    def frameworks(self) -> tuple[str, ...]:
        """The frameworks that it is about."""
        named = [spec.partition(":")[0] for spec, _ in (self.a, self.b) if isinstance(spec, str)]
        named = ["torch" if name == "torch.optim" else name for name in named]
        return tuple(dict.fromkeys(n for n in (*named, *self.needs) if n in PACKAGES))

    def run(self) -> Agreement:
        """Run both."""
        epsilons = [_first(s["eps"]) for _, s in (self.a, self.b) if "eps" in s]
        schedule = telling_schedule(epsilons, lr_changes=self.lr_changes, matrices=self.matrices)
        if self.lr_rises:
            schedule = replace(schedule, lr_factors=(*schedule.lr_factors[:8], *(1.5,) * 4))
        if self.steady:
            sizes = tuple(tuple(g.abs() for g in row) for row in schedule.gradients)
            schedule = replace(schedule, gradients=sizes)
        if self.missing:
            schedule = schedule.without_gradient(3, 1)
        return agreement(_maker(self.a), _maker(self.b), schedule, self.tolerance)


def _first(eps: Any) -> float:
    """The ε that stands beside gradients."""
    return eps[0] if isinstance(eps, tuple) else eps


def _maker(side: Side) -> Callable[[list[Any]], Any]:
    spec, settings = side
    cls = resolve(spec) if isinstance(spec, str) else spec
    return lambda params: construct(cls, params, settings, str(spec))


def versions(names: tuple[str, ...]) -> str:
    """The versions of the frameworks, as «keras 3.15.1, torch 2.13.0»."""
    found = {name: metadata.version(PACKAGES[name]).partition("+")[0] for name in names}
    return ", ".join(f"{PACKAGES[name]} {version}" for name, version in found.items())


# Sides that no name stands for -------------------------------------------------------------------


def chain(*parts: Callable[[float], Any]) -> type:
    """An adapter for `optax.chain` of transformations, each made from the learning rate."""

    def make(learning_rate: float) -> Any:
        import optax

        return optax.chain(*(part(learning_rate) for part in parts))

    base = frameworks.adapter_of("optax:sgd")
    return type("Chain", (base,), {"_transformation": lambda self: make(self.lr)})


def keras_as_chain(params: Any, lr: float, momentum: float) -> Any:
    """optax with the learning rate first and the memory second."""
    import optax

    parts = (optax.scale_by_learning_rate, lambda _: optax.trace(decay=momentum))
    return chain(*parts)(params, lr=lr)


def torch_as_chain(params: Any, lr: float, alpha: float, eps: float, momentum: float) -> Any:
    """optax's RMSprop with ε outside the root and the learning rate last."""
    import optax

    return chain(
        lambda _: optax.scale_by_rms(decay=alpha, eps=eps, eps_in_sqrt=False),
        lambda _: optax.trace(decay=momentum),
        optax.scale_by_learning_rate,
    )(params, lr=lr)


class LookAhead:
    """Nesterov's momentum as Sutskever et al. wrote it, at the point where it takes gradients."""

    def __init__(self, params: Any, lr: float, momentum: float) -> None:
        self.lr, self.momentum = lr, momentum
        self.params = list(params)
        self.points = [p.detach().clone() for p in self.params]
        self.velocities = [torch.zeros_like(p) for p in self.points]

    def step(self) -> None:
        for p, point, velocity in zip(self.params, self.points, self.velocities, strict=True):
            velocity.mul_(self.momentum).sub_(self.lr * p.grad)
            point.add_(velocity)
            p.data.copy_(point + self.momentum * velocity)


class AdamWithHat(Adam):
    """torch's Adam, its ε divided by √(1 - β₂ᵗ) at every step."""

    made = 0

    def step(self, closure: Any = None) -> Any:
        self.made += 1
        for group in self.param_groups:
            group["eps"] = self.defaults["eps"] / (1 - group["betas"][1] ** self.made) ** 0.5
        return super().step(closure)


class MuonInFull(getattr(torch.optim, "Muon", object)):
    """torch's Muon, its iteration in the parameters' type instead of bfloat16."""

    def step(self, closure: Any = None) -> Any:
        with mock.patch.object(torch.Tensor, "bfloat16", lambda tensor: tensor, create=True):
            return super().step(closure)


# The claims --------------------------------------------------------------------------------------


def _claim(name: str, says: str, a: str | Any, b: str | Any, *settings: Any, **rest: Any) -> Claim:
    """A claim; settings for both, or one for each."""
    first, second = settings if len(settings) == 2 else settings * 2
    return Claim(name, says, (a, first), (b, second), **rest)


SGD = (
    _claim("optax-sgd", "optax's momentum is torch's, also when the rate changes.",
           "torch.optim:SGD", "optax:sgd", MOMENTUM),
    _claim("optax-nesterov", "optax's Nesterov is torch's.",
           "torch.optim:SGD", "optax:sgd", NESTEROV),
    _claim("keras-sgd", "Without momentum Keras's SGD is torch's.",
           "torch.optim:SGD", "keras:SGD", LR),
    _claim("keras-sgd-constant", "With momentum Keras's is torch's at a constant rate.",
           "torch.optim:SGD", "keras:SGD", MOMENTUM, lr_changes=False),
    _claim("keras-sgd-change", "Once the rate changes Keras's momentum departs.",
           "torch.optim:SGD", "keras:SGD", MOMENTUM, differs_at=CHANGE),
    _claim("keras-nesterov-constant", "Keras's Nesterov is torch's at a constant rate.",
           "torch.optim:SGD", "keras:SGD", NESTEROV, lr_changes=False),
    _claim("keras-nesterov-change", "Once the rate changes Keras's Nesterov departs.",
           "torch.optim:SGD", "keras:SGD", NESTEROV, differs_at=CHANGE),
    _claim("keras-sgd-here", "`KerasSGD` is Keras's, momentum, decay and all.",
           "myoptim.dialects:KerasSGD", "keras:SGD", DECAYED),
    _claim("keras-nesterov-here", "`KerasSGD(nesterov=True)` is Keras's.",
           "myoptim.dialects:KerasSGD", "keras:SGD", NESTEROV | {"weight_decay": 0.1875}),
    _claim("keras-sgd-decay", "Weight decay is decoupled in Keras, and passes through torch's "
           "buffer.", "torch.optim:SGD", "keras:SGD", DECAYED, lr_changes=False, differs_at=2),
    _claim("keras-chain", "Keras's momentum is optax's chain of rate, then trace.",
           keras_as_chain, "keras:SGD", MOMENTUM, needs=("optax",)),
    _claim("sklearn-sgd", "scikit-learn's SGD is Keras's.",
           "keras:SGD", "sklearn:sgd", MOMENTUM | {"nesterov": False}),
    _claim("sklearn-nesterov", "scikit-learn's Nesterov, its default, is Keras's.",
           "keras:SGD", "sklearn:sgd", NESTEROV),
    _claim("sklearn-here", "`KerasSGD` is scikit-learn's SGD.",
           "myoptim.dialects:KerasSGD", "sklearn:sgd", NESTEROV),
    _claim("mlx-sgd", "Without dampening MLX's SGD is torch's, decay (L2) and all.",
           "torch.optim:SGD", "mlx:SGD", DECAYED),
    _claim("mlx-nesterov", "MLX's Nesterov is torch's.",
           "torch.optim:SGD", "mlx:SGD", NESTEROV),
    _claim("mlx-damped", "MLX damps the first gradient, torch does not.",
           "torch.optim:SGD", "mlx:SGD", DAMPED, differs_at=1),
    _claim("mlx-damped-here", "`MLXSGD` is MLX's SGD.",
           "myoptim.dialects:MLXSGD", "mlx:SGD", DAMPED | DECAYED),
    _claim("tinygrad-sgd", "tinygrad's SGD is torch's, decay (L2) and all.",
           "torch.optim:SGD", "tinygrad:SGD", DECAYED),
    _claim("tinygrad-nesterov", "tinygrad's Nesterov is torch's.",
           "torch.optim:SGD", "tinygrad:SGD", NESTEROV),
    _claim("tinygrad-classic", "With `classic=True` tinygrad's rate is in the buffer, as in Keras.",
           "myoptim.dialects:KerasSGD", "tinygrad:SGD(classic=True)",
           DECAYED | {"decoupled_weight_decay": False}, DECAYED),
    _claim("paddle-plain", "PaddlePaddle's SGD is torch's without momentum.",
           "torch.optim:SGD", "paddle:SGD", LR | {"weight_decay": 0.1875}),
    _claim("paddle-sgd", "PaddlePaddle's Momentum is torch's SGD, decay (L2) and all.",
           "torch.optim:SGD", "paddle:Momentum", DECAYED),
    _claim("paddle-nesterov", "PaddlePaddle's Nesterov is torch's.",
           "torch.optim:SGD", "paddle:Momentum", NESTEROV),
    _claim("tf1-sgd", "TensorFlow 1's GradientDescentOptimizer is torch's SGD.",
           "torch.optim:SGD", "tf1:GradientDescentOptimizer", LR),
    _claim("tf1-momentum", "TensorFlow 1's MomentumOptimizer is torch's SGD.",
           "torch.optim:SGD", "tf1:MomentumOptimizer", MOMENTUM),
    _claim("tf1-nesterov", "Its Nesterov is torch's.",
           "torch.optim:SGD", "tf1:MomentumOptimizer", NESTEROV),
    _claim("look-ahead", "torch's parameters under Nesterov are the paper's look-ahead points.",
           "torch.optim:SGD", LookAhead, NESTEROV, MOMENTUM, lr_changes=False),
)  # fmt: skip

_ADAGRAD_TRICK = LR | {"initial_accumulator_value": 0.1 + 1e-7, "eps": 0}

ADAGRADS = (
    _claim("keras-adagrad", "Keras's Adagrad has ε in the root, torch's outside.",
           "torch.optim:Adagrad", "keras:Adagrad", ADAGRAD, differs_at=1),
    _claim("keras-optax-adagrad", "optax's Adagrad is Keras's.",
           "keras:Adagrad", "optax:adagrad", ADAGRAD),
    _claim("keras-adagrad-here", "`KerasAdagrad` is Keras's, decay and all.",
           "myoptim.dialects:KerasAdagrad", "keras:Adagrad", ADAGRAD | {"weight_decay": 0.1875}),
    _claim("optax-adagrad-here", "`KerasAdagrad` is optax's.",
           "myoptim.dialects:KerasAdagrad", "optax:adagrad", ADAGRAD),
    _claim("keras-adagrad-trick",
           "`Adagrad(initial_accumulator_value=0.1 + 1e-7, eps=0)` is Keras's default.",
           "torch.optim:Adagrad", "keras:Adagrad", _ADAGRAD_TRICK, LR),
    _claim("optax-adagrad-trick", "It is optax's default too.",
           "torch.optim:Adagrad", "optax:adagrad", _ADAGRAD_TRICK, LR),
    _claim("mlx-adagrad", "MLX's Adagrad is torch's.",
           "torch.optim:Adagrad", "mlx:Adagrad", LR | {"eps": EPS}),
    _claim("paddle-adagrad", "PaddlePaddle's Adagrad is torch's, decay (L2) and all.",
           "torch.optim:Adagrad", "paddle:Adagrad", ADAGRAD | {"weight_decay": 0.1875}),
    _claim("tf1-adagrad", "TensorFlow 1's Adagrad has no ε.",
           "torch.optim:Adagrad", "tf1:AdagradOptimizer", ADAGRAD | {"eps": 0},
           LR | {"initial_accumulator_value": 0.125}),
    _claim("torch-lr-decay", "torch divides the rate by 1 + (t - 1) κ; Keras's stays.",
           "torch.optim:Adagrad", "keras:Adagrad", _ADAGRAD_TRICK | {"lr_decay": 0.5}, LR,
           differs_at=2),
)  # fmt: skip

RMSPROPS = (
    _claim("keras-rmsprop", "Keras's RMSprop has ε in the root, torch's outside.",
           "torch.optim:RMSprop", "keras:RMSprop", RMSPROP, differs_at=1),
    _claim("keras-centered", "Centred too.",
           "torch.optim:RMSprop", "keras:RMSprop", CENTERED, differs_at=1),
    _claim("keras-optax-rmsprop", "optax's default is Keras's at equal ε, with momentum.",
           "keras:RMSprop", "optax:rmsprop", RMSPROP_MOMENTUM),
    _claim("keras-optax-centered", "Centred too.", "keras:RMSprop", "optax:rmsprop", CENTERED),
    _claim("keras-rmsprop-here", "`KerasRMSprop` is Keras's, centred, with momentum and decay.",
           "myoptim.dialects:KerasRMSprop", "keras:RMSprop", CENTERED | {"weight_decay": 0.1875}),
    _claim("optax-rmsprop-here", "`KerasRMSprop` is optax's default.",
           "myoptim.dialects:KerasRMSprop", "optax:rmsprop", RMSPROP_MOMENTUM),
    _claim("optax-rmsprop", "optax's default differs from torch's in the place of ε.",
           "torch.optim:RMSprop", "optax:rmsprop", RMSPROP, differs_at=1),
    _claim("optax-rmsprop-outside", "`optax.rmsprop(eps_in_sqrt=False)` is torch's.",
           "torch.optim:RMSprop", "optax:rmsprop(1, eps_in_sqrt=False)", RMSPROP),
    _claim("optax-rmsprop-constant", "With momentum it is torch's at a constant rate.",
           "torch.optim:RMSprop", "optax:rmsprop(1, eps_in_sqrt=False)", RMSPROP_MOMENTUM,
           lr_changes=False),
    _claim("optax-rmsprop-change", "Once the rate changes optax's momentum departs.",
           "torch.optim:RMSprop", "optax:rmsprop(1, eps_in_sqrt=False)", RMSPROP_MOMENTUM,
           differs_at=CHANGE),
    _claim("optax-rmsprop-outside-here", "`KerasRMSprop(eps_in_root=False)` is that.",
           "myoptim.dialects:KerasRMSprop", "optax:rmsprop(1, eps_in_sqrt=False)",
           CENTERED | {"eps_in_root": False}, CENTERED),
    _claim("optax-rmsprop-chain", "A chain of scale, trace, rate is torch's at any rate.",
           "torch.optim:RMSprop", torch_as_chain, RMSPROP_MOMENTUM, needs=("optax",)),
    _claim("mlx-rmsprop", "MLX's RMSprop is torch's.",
           "torch.optim:RMSprop", "mlx:RMSprop", RMSPROP),
    _claim("paddle-rmsprop", "PaddlePaddle's RMSProp is Keras's, centred, with momentum.",
           "keras:RMSprop", "paddle:RMSProp", CENTERED),
    _claim("paddle-rmsprop-here", "Its decay joins the gradient (L2).",
           "myoptim.dialects:KerasRMSprop", "paddle:RMSProp",
           CENTERED | {"weight_decay": 0.1875, "decoupled_weight_decay": False},
           CENTERED | {"weight_decay": 0.1875}),
    _claim("tf1-rmsprop", "TensorFlow 1's average of squares starts at 1, Keras's at 0.",
           "keras:RMSprop", "tf1:RMSPropOptimizer", RMSPROP_MOMENTUM, differs_at=1),
    _claim("tf1-optax-rmsprop", "TensorFlow 1's RMSProp is `optax.rmsprop(initial_scale=1)`.",
           "optax:rmsprop(1, initial_scale=1)", "tf1:RMSPropOptimizer", RMSPROP_MOMENTUM),
    _claim("tf1-rmsprop-here", "`TF1RMSprop` is TensorFlow 1's, with momentum.",
           "myoptim.dialects:TF1RMSprop", "tf1:RMSPropOptimizer", RMSPROP_MOMENTUM),
    _claim("tf1-centered-here", "Centred too.",
           "myoptim.dialects:TF1RMSprop", "tf1:RMSPropOptimizer", CENTERED),
)  # fmt: skip

ADAMS = (
    _claim("optax-adam", "optax's Adam is torch's.", "torch.optim:Adam", "optax:adam", ADAM),
    _claim("paddle-adam", "PaddlePaddle's Adam is torch's, decay (L2) and all.",
           "torch.optim:Adam", "paddle:Adam", ADAMW),
    _claim("tinygrad-adam", "tinygrad's Adam is torch's; it keeps powers of β in float32.",
           "torch.optim:Adam", "tinygrad:Adam", ADAM, tolerance=FLOAT32),
    _claim("keras-adam", "Keras's Adam adds ε before the correction.",
           "torch.optim:Adam", "keras:Adam", ADAM, differs_at=1),
    _claim("keras-adam-hat", "It is torch's with ε / √(1 - β₂ᵗ) at every step.",
           AdamWithHat, "keras:Adam", ADAM, needs=("torch",)),
    _claim("keras-adam-here", "`KerasAdam` is Keras's, AMSGrad and all.",
           "myoptim.dialects:KerasAdam", "keras:Adam", AMSGRAD),
    _claim("keras-adam-decay-here", "Weight decay on Keras's Adam is decoupled.",
           "myoptim.dialects:KerasAdam", "keras:Adam", ADAMW),
    _claim("keras-adamw-adam", "So Keras's Adam with decay is Keras's AdamW.",
           "keras:Adam", "keras:AdamW", ADAMW),
    _claim("keras-adamw-here", "`KerasAdam` with decay is Keras's AdamW.",
           "myoptim.dialects:KerasAdam", "keras:AdamW", ADAMW),
    _claim("keras-adam-decay", "Weight decay on torch's Adam is not.",
           "torch.optim:AdamW", "torch.optim:Adam", ADAMW, differs_at=1),
    _claim("tf1-adam", "TensorFlow 1's Adam is Keras's.",
           "keras:Adam", "tf1:AdamOptimizer", ADAM),
    _claim("sklearn-adam", "scikit-learn's Adam is Keras's.",
           "keras:Adam", "sklearn:adam", ADAM),
    _claim("sklearn-adam-here", "`KerasAdam` is scikit-learn's.",
           "myoptim.dialects:KerasAdam", "sklearn:adam", ADAM),
    _claim("mlx-adam", "MLX's Adam has no bias correction.",
           "torch.optim:Adam", "mlx:Adam", ADAM, differs_at=1),
    _claim("mlx-adam-here", "`MLXAdam` is MLX's.", "myoptim.dialects:MLXAdam", "mlx:Adam", ADAM),
    _claim("mlx-adamw-here", "`MLXAdam` with decay is MLX's AdamW.",
           "myoptim.dialects:MLXAdam", "mlx:AdamW", ADAMW),
    _claim("mlx-corrected", "With `bias_correction=True` it is torch's; MLX computes the "
           "correction in float32.",
           "torch.optim:Adam", "mlx:Adam(1, bias_correction=True)", ADAM, tolerance=FLOAT32),
    _claim("keras-amsgrad-hat", "Keras's AMSGrad is torch's with ε / √(1 - β₂ᵗ): both take the "
           "maximum, then correct.", AdamWithHat, "keras:Adam", AMSGRAD, needs=("torch",)),
    _claim("paddle-amsgrad", "PaddlePaddle's AMSGrad is torch's.",
           "torch.optim:Adam", "paddle:Adam", AMSGRAD),
    _claim("optax-amsgrad", "optax takes the maximum over corrected averages.",
           "torch.optim:Adam", "optax:amsgrad", AMSGRAD, ADAM, differs_at=2),
    _claim("optax-amsgrad-here", "`OptaxAMSGrad` is optax's.",
           "myoptim.dialects:OptaxAMSGrad", "optax:amsgrad", ADAM),
    _claim("optax-adamw", "optax's AdamW, w - η(adam + λw), is torch's.",
           "torch.optim:AdamW", "optax:adamw", ADAMW),
    _claim("tinygrad-adamw", "tinygrad's AdamW too.",
           "torch.optim:AdamW", "tinygrad:AdamW", ADAMW, tolerance=FLOAT32),
    _claim("paddle-adamw", "PaddlePaddle's AdamW is torch's.",
           "torch.optim:AdamW", "paddle:AdamW", ADAMW),
    _claim("mlx-adamw", "MLX's AdamW with `bias_correction=True` is torch's.",
           "torch.optim:AdamW", "mlx:AdamW(1, bias_correction=True)", ADAMW, tolerance=FLOAT32),
    _claim("paper-adamw-constant", "The paper's λ is torch's ηλ at a constant rate.",
           "torch.optim:AdamW", "myoptim.dialects:PaperAdamW", ADAMW,
           ADAMW | {"weight_decay": 0.1875 * 0.125}, lr_changes=False),
    _claim("paper-adamw-change", "Once the rate changes the paper's decay stays.",
           "torch.optim:AdamW", "myoptim.dialects:PaperAdamW", ADAMW,
           ADAMW | {"weight_decay": 0.1875 * 0.125}, differs_at=CHANGE),
    _claim("keras-counts", "Keras counts steps for all parameters together, torch for each.",
           AdamWithHat, "keras:Adam", ADAM, missing=True, differs_at=4, needs=("torch",)),
    _claim("mlx-counts", "MLX too.", "torch.optim:Adam", "mlx:Adam(1, bias_correction=True)",
           ADAM, missing=True, differs_at=4, tolerance=FLOAT32),
    _claim("paddle-counts", "PaddlePaddle counts for each, as torch does.",
           "torch.optim:Adam", "paddle:Adam", ADAM, missing=True),
)  # fmt: skip

ADADELTAS = (
    _claim("keras-adadelta", "Keras's Adadelta is torch's.",
           "torch.optim:Adadelta", "keras:Adadelta", ADADELTA),
    _claim("keras-adadelta-decay", "Its weight decay is decoupled, torch's joins the gradient.",
           "torch.optim:Adadelta", "keras:Adadelta", ADADELTA | {"weight_decay": 0.1875},
           differs_at=1),
    _claim("keras-adadelta-here", "`KerasAdadelta` is Keras's, decay and all.",
           "myoptim.dialects:KerasAdadelta", "keras:Adadelta", ADADELTA | {"weight_decay": 0.1875}),
    _claim("optax-adadelta", "optax's is torch's, decay (L2) and all.",
           "torch.optim:Adadelta", "optax:adadelta", ADADELTA | {"weight_decay": 0.1875}),
    _claim("mlx-adadelta", "MLX's is torch's.", "torch.optim:Adadelta", "mlx:AdaDelta", ADADELTA),
    _claim("paddle-adadelta", "PaddlePaddle's is torch's, decay (L2) and all.",
           "torch.optim:Adadelta", "paddle:Adadelta", ADADELTA | {"weight_decay": 0.1875}),
    _claim("tf1-adadelta", "TensorFlow 1's is torch's.",
           "torch.optim:Adadelta", "tf1:AdadeltaOptimizer", ADADELTA),
)  # fmt: skip

ADAMAXES = (
    _claim("optax-adamax", "optax's Adamax is torch's.",
           "torch.optim:Adamax", "optax:adamax", ADAM),
    _claim("keras-adamax", "Keras adds ε after the maximum.",
           "torch.optim:Adamax", "keras:Adamax", ADAM, differs_at=2),
    _claim("keras-adamax-here", "`KerasAdamax` is Keras's, decay and all.",
           "myoptim.dialects:KerasAdamax", "keras:Adamax", ADAMW),
    _claim("mlx-adamax", "MLX's does not correct the average, either.",
           "keras:Adamax", "mlx:Adamax", ADAM, differs_at=1),
    _claim("mlx-adamax-here", "`KerasAdamax(bias_correction=False)` is MLX's.",
           "myoptim.dialects:KerasAdamax", "mlx:Adamax", ADAM | {"bias_correction": False}, ADAM),
    _claim("paddle-adamax", "PaddlePaddle adds ε to the past maximum instead.",
           "torch.optim:Adamax", "paddle:Adamax", ADAM, differs_at=1),
    _claim("paddle-adamax-here", "`PaddleAdamax` is PaddlePaddle's, decay (L2) and all.",
           "myoptim.dialects:PaddleAdamax", "paddle:Adamax", ADAMW),
)  # fmt: skip

NADAMS = (
    _claim("keras-nadam", "Keras's Nadam is torch's with ψ = 1; torch keeps the product of momenta "
           "in float32.", "torch.optim:NAdam", "keras:Nadam", ADAM | {"momentum_decay": 1.0}, ADAM,
           tolerance=FLOAT32),
    _claim("keras-nadam-decay", "Its decay is torch's with `decoupled_weight_decay=True`.",
           "torch.optim:NAdam", "keras:Nadam",
           ADAMW | {"momentum_decay": 1.0, "decoupled_weight_decay": True}, ADAMW,
           tolerance=FLOAT32),
    _claim("keras-nadam-default", "With torch's default ψ = 0.004 they differ.",
           "torch.optim:NAdam", "keras:Nadam", ADAM, differs_at=1),
    _claim("optax-nadam", "optax's momentum is constant: torch's with ψ = 10,000.",
           "torch.optim:NAdam", "optax:nadam", ADAM | {"momentum_decay": 1e4}, ADAM),
    _claim("optax-nadam-default", "With torch's default ψ = 0.004 they differ.",
           "torch.optim:NAdam", "optax:nadam", ADAM, differs_at=1),
    _claim("paddle-nadam", "PaddlePaddle's NAdam is torch's, ψ, decay (L2) and all.",
           "torch.optim:NAdam", "paddle:NAdam", ADAMW | {"momentum_decay": 0.25},
           tolerance=FLOAT32),
    _claim("optax-nadamw", "`optax.nadamw` is that with `decoupled_weight_decay=True`.",
           "torch.optim:NAdam", "optax:nadamw",
           ADAMW | {"momentum_decay": 1e4, "decoupled_weight_decay": True}, ADAMW),
)  # fmt: skip

RADAMS = (
    _claim("paddle-radam", "PaddlePaddle's RAdam is torch's, decay (L2) and all.",
           "torch.optim:RAdam", "paddle:RAdam", ADAMW),
    _claim("optax-radam", "optax adds ε after the correction, torch before it.",
           "torch.optim:RAdam", "optax:radam", ADAM, differs_at=8),
    _claim("optax-radam-no-eps", "Without ε they are the same.",
           "torch.optim:RAdam", "optax:radam", ADAM | {"eps": 0.0}),
    _claim("optax-radam-here", "`OptaxRAdam` is optax's.",
           "myoptim.dialects:OptaxRAdam", "optax:radam", ADAM),
)  # fmt: skip

OTHERS = (
    _claim("paddle-rprop", "PaddlePaddle's Rprop is torch's.",
           "torch.optim:Rprop", "paddle:Rprop", RPROP | {"step_sizes": _SIZES}),
    _claim("optax-rprop", "optax's Rprop makes each step one call late: its first is zero.",
           "torch.optim:Rprop", "optax:rprop(1, eta_minus=0.625, eta_plus=1.5, "
           "min_step_size=0.09375, max_step_size=0.25)",
           RPROP | {"step_sizes": _SIZES}, LR, differs_at=1),
    _claim("optax-rprop-here", "`OptaxRprop` is optax's.",
           "myoptim.dialects:OptaxRprop", "optax:rprop", RPROP | {"step_sizes": _SIZES}),
    _claim("paddle-asgd", "PaddlePaddle's ASGD averages gradients, not points: of one batch it is "
           "SGD.", "torch.optim:SGD", "paddle:ASGD", LR),
)  # fmt: skip

ADAFACTORS = (
    _claim("keras-adafactor", "Keras's Adafactor is torch's where gradients are not tiny; it "
           "computes some factors in float32.",
           "torch.optim:Adafactor", "keras:Adafactor", {"lr": 0.75}, tolerance=FLOAT32),
    _claim("keras-adafactor-eps", "It adds ε₁ to the squares, torch bounds what is divided by.",
           "torch.optim:Adafactor", "keras:Adafactor", ADAFACTOR, differs_at=1, tolerance=FLOAT32),
    _claim("keras-adafactor-here", "`PaperAdafactor` is Keras's, ε₁, clipping, decay and all.",
           "myoptim.dialects:PaperAdafactor", "keras:Adafactor",
           ADAFACTOR | {"weight_decay": 0.1875}, tolerance=FLOAT32),
    _claim("keras-adafactor-relative", "It holds the rate with `relative_step=False` too.",
           "myoptim.dialects:PaperAdafactor", "keras:Adafactor(relative_step=False)", ADAFACTOR,
           tolerance=FLOAT32),
    _claim("keras-adafactor-decay", "It takes RMS(θ) after the decay, torch before it.",
           "torch.optim:Adafactor", "keras:Adafactor", {"lr": 0.75, "weight_decay": 0.1875},
           differs_at=1, tolerance=FLOAT32),
    _claim("optax-adafactor", "optax's is torch's below a rate of 1/√t, told to factor small "
           "matrices too.", "torch.optim:Adafactor", "optax:adafactor(1, min_dim_size_to_factor=1)",
           {"lr": 0.25}, tolerance=FLOAT32),
    _claim("optax-adafactor-factors", "By default it factors large matrices only.",
           "torch.optim:Adafactor", "optax:adafactor", {"lr": 0.25}, differs_at=1),
    _claim("optax-adafactor-rate", "optax does not hold the rate below 1/√t.",
           "torch.optim:Adafactor", "optax:adafactor(1, min_dim_size_to_factor=1)", {"lr": 0.75},
           differs_at=2, tolerance=FLOAT32),
    _claim("optax-adafactor-here", "`PaperAdafactor(rate=\"given\")` is optax's, told to factor "
           "small matrices too.", "myoptim.dialects:PaperAdafactor", "optax:adafactor",
           {"lr": 0.75, "d": 1.25, "rate": "given"},
           {"lr": 0.75, "d": 1.25, "min_size_to_factor": 1}, tolerance=FLOAT32),
    _claim("optax-adafactor-vectors-here", "With `min_size_to_factor=128` it is optax's default.",
           "myoptim.dialects:PaperAdafactor", "optax:adafactor",
           {"lr": 0.75, "rate": "given", "min_size_to_factor": 128}, {"lr": 0.75},
           tolerance=FLOAT32),
    _claim("mlx-adafactor", "MLX's with `relative_step=False` is torch's below a rate of 1/√t.",
           "torch.optim:Adafactor", "mlx:Adafactor(1, relative_step=False)", {"lr": 0.25},
           tolerance=FLOAT32),
    _claim("mlx-adafactor-rate", "It does not hold the rate below 1/√t.",
           "torch.optim:Adafactor", "mlx:Adafactor(1, relative_step=False)", {"lr": 0.75},
           differs_at=2, tolerance=FLOAT32),
    _claim("mlx-adafactor-default", "By default MLX's is torch's at its default rate, 0.01.",
           "torch.optim:Adafactor", "mlx:Adafactor", {"lr": 0.01}, {"lr": 0.25}, lr_changes=False,
           tolerance=FLOAT32),
    _claim("mlx-adafactor-change", "It does not read the rate that it is given.",
           "torch.optim:Adafactor", "mlx:Adafactor", {"lr": 0.01}, differs_at=CHANGE,
           tolerance=FLOAT32),
    _claim("mlx-adafactor-given-here", "`PaperAdafactor(rate=\"given\")` is MLX's with "
           "`relative_step=False`.",
           "myoptim.dialects:PaperAdafactor", "mlx:Adafactor(1, relative_step=False)",
           ADAFACTOR | {"rate": "given"}, ADAFACTOR, tolerance=FLOAT32),
    _claim("mlx-adafactor-here", "`PaperAdafactor(rate=\"relative\")` is MLX's default.",
           "myoptim.dialects:PaperAdafactor", "mlx:Adafactor", {"rate": "relative"}, LR,
           tolerance=FLOAT32),
)  # fmt: skip

LIONS = (
    _claim("keras-lion", "Keras's Lion is `myoptim.Lion`, decay and all.",
           "myoptim:Lion", "keras:Lion", LION),
    _claim("optax-lion", "optax's too, w - η(sign + λw).", "myoptim:Lion", "optax:lion", LION),
    _claim("mlx-lion", "MLX's too.", "myoptim:Lion", "mlx:Lion", LION),
)  # fmt: skip

MODERN = (
    _claim("optax-ademamix", "optax's AdEMAMix is `myoptim.AdEMAMix`, decay and all.",
           "myoptim:AdEMAMix", "optax:ademamix",
           LR | {"betas": (0.625, 0.75, 0.875), "alpha": 2.5, "eps": EPS, "weight_decay": 0.1875}),
    _claim("optax-prodigy", "optax's Prodigy is `myoptim.Prodigy(use_bias_correction=True)`.",
           "myoptim:Prodigy", "optax:prodigy", PRODIGY | {"use_bias_correction": True}, PRODIGY,
           steady=True),
    _claim("optax-prodigy-default", "Without bias correction, its default here, it differs.",
           "myoptim:Prodigy", "optax:prodigy", PRODIGY, differs_at=1, steady=True),
    _claim("optax-prodigy-safeguard", "With `safeguard_warmup=True` too they are the same.",
           "myoptim:Prodigy", "optax:prodigy", _GUARDED | {"use_bias_correction": True}, _GUARDED,
           lr_rises=True, steady=True),
    _claim("optax-schedule-free-sgd", "optax's Schedule-Free SGD is `myoptim.ScheduleFreeSGD`.",
           "myoptim:ScheduleFreeSGD", "optax:schedule_free_sgd",
           MOMENTUM | {"weight_decay": 0.1875, "weight_lr_power": 1.25}, lr_rises=True),
    _claim("optax-schedule-free-adamw",
           "optax's Schedule-Free AdamW is `myoptim.ScheduleFreeAdamW`.",
           "myoptim:ScheduleFreeAdamW", "optax:schedule_free_adamw",
           ADAMW | {"weight_lr_power": 1.25}, lr_rises=True),
    _claim("optax-schedule-free-warm-up", "Its warm-up begins at a rate of 0, ours after it.",
           "myoptim:ScheduleFreeSGD", "optax:schedule_free_sgd(warmup_steps=4)",
           MOMENTUM | {"warmup_steps": 4}, MOMENTUM, differs_at=1),
    _claim("keras-schedule-free", "Keras's Schedule-Free AdamW is another.",
           "myoptim:ScheduleFreeAdamW", "keras:ScheduleFreeAdamW", ADAM, differs_at=2),
)  # fmt: skip

MUONS = (
    _claim("keras-muon", "On matrices Keras's Muon is torch's with "
           "`adjust_lr_fn=\"match_rms_adamw\"`, but for bfloat16, in which torch iterates.",
           MuonInFull, "keras:Muon", MUON | {"adjust_lr_fn": "match_rms_adamw"}, MUON,
           matrices=True, tolerance=FLOAT32, needs=("torch",)),
    _claim("keras-muon-rate", "By default torch adjusts the rate otherwise.",
           MuonInFull, "keras:Muon", MUON, matrices=True, differs_at=1, needs=("torch",)),
    _claim("mlx-muon", "Without decay MLX's Muon is torch's default, but for bfloat16.",
           MuonInFull, "mlx:Muon", MUON | {"weight_decay": 0.0}, matrices=True,
           tolerance=FLOAT32, needs=("torch",)),
    _claim("mlx-muon-decay", "Its decay joins the gradient (L2), torch's is decoupled.",
           MuonInFull, "mlx:Muon", MUON, matrices=True, differs_at=1, needs=("torch",)),
    _claim("optax-muon", "optax adjusts the rate by columns over rows.",
           MuonInFull, "optax:muon", MUON, LR | {"beta": 0.75, "weight_decay": 0.1875},
           matrices=True, differs_at=1, needs=("torch",)),
    _claim("tinygrad-muon", "tinygrad's Muon does not adjust the rate to the shape.",
           MuonInFull, "tinygrad:Muon", MUON, matrices=True, differs_at=1, needs=("torch",)),
)  # fmt: skip

SECTIONS = {
    "SGD with momentum": SGD,
    "Adagrad": ADAGRADS,
    "RMSprop": RMSPROPS,
    "Adam and AdamW": ADAMS,
    "Adadelta": ADADELTAS,
    "Adamax": ADAMAXES,
    "NAdam": NADAMS,
    "RAdam": RADAMS,
    "Rprop, ASGD": OTHERS,
    "Adafactor": ADAFACTORS,
    "Lion": LIONS,
    "AdEMAMix, Prodigy, Schedule-Free": MODERN,
    "Muon": MUONS,
}
"""The claims by the page's sections."""
CLAIMS = {claim.id: claim for claims in SECTIONS.values() for claim in claims}
ANCHOR = "run-"
"""What the page's anchor of a run begins with."""


def outcome(claim: Claim, found: Agreement) -> str:
    """What a run came to, in a word or two."""
    if found.first is None:
        return "equal to rounding" if found.distance == 0 else f"equal to {found.distance:.0e}"
    return f"differ at step {found.first.step}, by {found.distance:.0e}"


def table(outcomes: dict[str, str], used: str) -> str:
    """The tables of the page, in Markdown.

    Args:
        outcomes: what the run of every claim came to.
        used: the versions that ran.
    """
    equal = sum(claim.differs_at is None for claim in CLAIMS.values())
    lines = [
        f"{equal} equalities and {len(CLAIMS) - equal} differences were run with {used}.",
        "",
        "| framework | equalities | differences |",
        "|---|---|---|",
    ]
    for name, package in PACKAGES.items():
        about = [claim for claim in CLAIMS.values() if name in claim.frameworks]
        same = sum(claim.differs_at is None for claim in about)
        lines.append(f"| {package} | {same} | {len(about) - same} |")
    for section, claims in SECTIONS.items():
        lines += [
            "",
            f"### Runs: {section}",
            "",
            "| run | what it shows | outcome |",
            "|---|---|---|",
        ]
        lines += [
            f"| [`{c.id}`]{{#{ANCHOR}{c.id}}} | {c.says} | {outcomes[c.id]} |" for c in claims
        ]
    return "\n".join(lines) + "\n"
