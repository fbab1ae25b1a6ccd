"""The problems that every part of the lab uses, and how to bring your own.

A `Problem` says what it is, where it starts, where its minimum lies, and where to look. It is
a `Surface`, a function of its parameters, a `Fit`, a model fitted to observations, or a `Network`,
trained on minibatches and judged by what it was not trained on.
`problem.start()` begins a fresh run: new parameters, and the loss as a function of them.

    >>> run = get_problem("four_square").start()
    >>> run.params
    {'x': tensor(2., requires_grad=True)}
    >>> run.loss()
    tensor(16., grad_fn=<PowBackward0>)
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.functional import jvp
from torch.func import functional_call
from torch.nn.functional import cross_entropy, linear, mse_loss
from torch.utils.data import DataLoader, TensorDataset

import myoptim
from myoptim.lab import networks
from myoptim.lab.errors import UsageError, unknown
from myoptim.lab.networks import Examples
from myoptim.lab.resolve import hyperparameters, load_object, user_code

Params = dict[str, Tensor]
Window = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Data:
    """The observations of a `Fit`, each of shape (count, 1), and the model `model(x, **params)`."""

    x: Tensor
    y: Tensor
    model: Callable[..., Tensor]


@dataclass(frozen=True)
class Run:
    """One optimization, about to begin.

    Attributes:
        params: the parameters by name: leaf tensors that require gradients.
        function: the loss over everything, `function(**params)`; of a network, over what no
            minibatch has.
        minibatch: the same over the next minibatch; `function` itself where there are none.
        data: what is fitted, for a `Fit`.
        epoch: how many minibatches make one pass over the data.
    """

    params: Params
    function: Callable[..., Tensor]
    minibatch: Callable[..., Tensor]
    data: Data | None = None
    epoch: int = 1

    def loss(self) -> Tensor:
        """The loss to call `backward()` on, a scalar: of a fresh minibatch at every call."""
        return self.minibatch(**self.params)

    def at(self, params: Params) -> float:
        """The loss over everything at these parameters."""
        with torch.no_grad(), user_code("the loss"):
            return float(self.function(**params))


# Rates for a surface of unit scale: what a first try would be.
RATES = {
    "SGD": 0.01,
    "Momentum": 0.01,
    "Nesterov": 0.01,
    "Adagrad": 0.1,
    "RMSprop": 0.01,
    "Adam": 0.05,
    "AdamW": 0.05,
}

# Whose rate those have that are not listed, if not Adam's.
RELATIVES = {"ASGD": "SGD", "ScheduleFreeSGD": "SGD"}

# From this default on, a learning rate is a factor without a unit, as Adadelta's.
WITHOUT_UNIT = 0.5


@dataclass(frozen=True, kw_only=True)
class Problem(ABC):
    """Something to minimize.

    Attributes:
        name: what to call it on the command line.
        title: the heading of its table and pictures.
        formula: the loss, in text.
        source: where it comes from.
        look_at: what there is to see.
        dtype: of the parameters and the data; None keeps that in which they are drawn.
        steps: how many steps show what there is to see.
        full_steps: how many the example was documented with, where that takes long.
        rates: learning rates by class name; others have that of a relative, see `rate`.
        window: the ranges of a picture of the two parameters; None: around the trajectories.
    """

    name: str
    title: str
    formula: str
    source: str
    look_at: str
    dtype: torch.dtype | None = None
    steps: int = 200
    full_steps: int | None = None
    rates: Mapping[str, float] = field(default_factory=lambda: RATES)
    window: Window | None = None

    def rate(self, optimizer: str) -> float | None:
        """The learning rate for one of our optimizers, by its name; None for any other.

        One that is not listed has the rate of a relative, or its own default if that has no unit.
        """
        if optimizer in self.rates or optimizer not in myoptim.OPTIMIZERS:
            return self.rates.get(optimizer)
        default = hyperparameters(myoptim.OPTIMIZERS[optimizer]).get("lr", 0.0)
        if default >= WITHOUT_UNIT and optimizer not in RELATIVES:
            return default
        return self.rates.get(RELATIVES.get(optimizer, "Adam"))

    @abstractmethod
    def start(
        self,
        seed: int = 0,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> Run:
        """Begin a fresh run; equal seeds give equal data and equal first parameters.

        Args:
            seed: for the problems that draw their data or their start.
            dtype: another one than the problem's own.
            device: where the parameters and the data lie.
        """

    @abstractmethod
    def minima(self, seed: int = 0) -> tuple[Params, ...]:
        """The points where the loss is least, in float64; empty where they are not known."""


def _params(
    values: Mapping[str, Any], dtype: torch.dtype | None, device: torch.device | str
) -> Params:
    return {
        name: _floating(value).to(dtype=dtype, device=device).requires_grad_()
        for name, value in values.items()
    }


def _floating(value: Any) -> Tensor:
    """A tensor of one's own, of a dtype that can have gradients."""
    tensor = torch.as_tensor(value).detach().clone()
    differentiable = tensor.is_floating_point() or tensor.is_complex()
    return tensor if differentiable else tensor.to(torch.get_default_dtype())


@dataclass(frozen=True, kw_only=True)
class Surface(Problem):
    """A function of its parameters.

    Attributes:
        function: the loss, a scalar tensor, as a function of the parameters by name.
        initial: draws the parameters' first values, by name, from a generator.
        lowest: the points where it is least, as numbers.
    """

    function: Callable[..., Tensor]
    initial: Callable[[torch.Generator], Mapping[str, Any]]
    lowest: tuple[Mapping[str, Any], ...] = ()

    def start(
        self,
        seed: int = 0,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> Run:
        """Begin a fresh run."""
        generator = torch.Generator().manual_seed(seed)
        params = _params(self.initial(generator), dtype or self.dtype, device)
        return Run(params, self.function, minibatch=self.function)

    def minima(self, seed: int = 0) -> tuple[Params, ...]:
        """The points where the function is least."""
        return tuple(
            {name: torch.tensor(value, dtype=torch.float64) for name, value in point.items()}
            for point in self.lowest
        )


@dataclass(frozen=True, kw_only=True)
class Fit(Problem):
    """A model fitted to observations.

    Attributes:
        observe: draws the observations x and y, each of shape (count, 1), from a generator.
        model: the prediction for y, `model(x, **params)`.
        criterion: the loss of a prediction, `criterion(prediction, y)`, a function of the mean
            squared error, so that least squares is its minimum.
        initial: draws the parameters' first values, by name, from a generator.
        law: the parameters to look for that minimum from: those that y was drawn with.
        batch_size: how many observations a loss is taken over, in their order; None: all.
    """

    observe: Callable[[torch.Generator], tuple[Tensor, Tensor]]
    model: Callable[..., Tensor]
    criterion: Callable[[Tensor, Tensor], Tensor]
    initial: Callable[[torch.Generator], Mapping[str, Any]]
    law: Mapping[str, Any]
    batch_size: int | None = None

    def start(
        self,
        seed: int = 0,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> Run:
        """Begin a fresh run."""
        generator = torch.Generator().manual_seed(seed)
        dtype = dtype or self.dtype
        x, y = (values.to(dtype=dtype, device=device) for values in self.observe(generator))

        def function(**params: Tensor) -> Tensor:
            return self.criterion(self.model(x, **params), y)

        loader = DataLoader(TensorDataset(x, y), batch_size=self.batch_size or len(x))
        batches = _forever(loader)

        def minibatch(**params: Tensor) -> Tensor:
            inputs, targets = next(batches)
            return self.criterion(self.model(inputs, **params), targets)

        return Run(
            params=_params(self.initial(generator), dtype, device),
            function=function,
            minibatch=minibatch if self.batch_size else function,
            data=Data(x, y, self.model),
            epoch=len(loader),
        )

    def minima(self, seed: int = 0) -> tuple[Params, ...]:
        """The least-squares answer for the observations of this seed."""
        x, y = self.observe(torch.Generator().manual_seed(seed))
        law = {name: torch.tensor(value, dtype=torch.float64) for name, value in self.law.items()}
        return (_least_squares(self.model, x.double(), y.double(), law),)


@dataclass(frozen=True, kw_only=True)
class Network(Problem):
    """A network that says to which class examples belong, trained on minibatches.

    Its minimum is not known, and not what is looked for: a run is judged by the cross-entropy of
    examples that no minibatch has.

    Attributes:
        build: makes the network, its first parameters from torch's random numbers.
        examples: draws what to train on and what to judge by, from a generator.
        batch_size: how many examples a minibatch has; they are drawn at random.
    """

    build: Callable[[], nn.Module]
    examples: Callable[[torch.Generator], tuple[Examples, Examples]]
    batch_size: int

    def start(
        self,
        seed: int = 0,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> Run:
        """Begin a fresh run."""
        generator = torch.Generator().manual_seed(seed)
        dtype = dtype or self.dtype
        train, rest = (_cast(examples, dtype, device) for examples in self.examples(generator))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = self.build()

        def loss(examples: Examples, params: Params) -> Tensor:
            inputs, targets = examples
            scores: Tensor = functional_call(network, params, inputs)
            return cross_entropy(scores.flatten(0, -2), targets.flatten())

        def minibatch(**params: Tensor) -> Tensor:
            chosen = torch.randint(len(train[0]), (self.batch_size,), generator=generator)
            inputs, targets = (values[chosen.to(values.device)] for values in train)
            return loss((inputs, targets), params)

        return Run(
            params=_params(dict(network.named_parameters()), dtype, device),
            function=lambda **params: loss(rest, params),
            minibatch=minibatch,
            epoch=len(train[0]) // self.batch_size,
        )

    def minima(self, seed: int = 0) -> tuple[Params, ...]:
        """None is known."""
        return ()


def _cast(examples: Examples, dtype: torch.dtype | None, device: torch.device | str) -> Examples:
    """Numbers in another type; what counts or names something stays whole."""
    inputs, targets = examples
    return inputs.to(device, dtype if inputs.is_floating_point() else None), targets.to(device)


def _forever(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def _least_squares(model: Callable[..., Tensor], x: Tensor, y: Tensor, near: Params) -> Params:
    """The minimum of the squared error near a point, by the Gauss-Newton method."""

    def residual(point: Tensor) -> Tensor:
        return (model(x, **unflatten(point, near)) - y).flatten()

    point = flatten(near)
    axes = torch.eye(len(point), dtype=point.dtype)
    for _ in range(20):  # a linear model needs one, an exponential about five
        columns: list[Any] = [jvp(residual, point, axis)[1] for axis in axes]
        jacobian = torch.stack(columns, dim=1)
        point = point - torch.linalg.lstsq(jacobian, residual(point).unsqueeze(1)).solution[:, 0]
    return unflatten(point, near)


def flatten(params: Mapping[str, Tensor]) -> Tensor:
    """All the parameters' numbers in one new vector, without gradient."""
    return torch.cat([param.detach().reshape(-1) for param in params.values()])


def unflatten(point: Tensor, like: Mapping[str, Tensor]) -> Params:
    """The inverse of `flatten`: a vector cut into parameters of the names and shapes of `like`."""
    pieces = point.split([param.numel() for param in like.values()])
    return {name: piece.view_as(like[name]) for name, piece in zip(like, pieces, strict=True)}


def distance(params: Params, minima: tuple[Params, ...]) -> float | None:
    """The Euclidean distance from parameters to the nearest minimum; None if none is known."""
    here = flatten(params).cpu().double()
    return min((float((here - flatten(point)).norm()) for point in minima), default=None)


def _at(**values: Any) -> Callable[[torch.Generator], Mapping[str, Any]]:
    """A start that is the same for every seed."""
    return lambda generator: values


def _rates(*values: float) -> dict[str, float]:
    return dict(zip(RATES, values, strict=True))


# The documented examples --------------------------------------------------------------------


def _square(x: Tensor) -> Tensor:
    return (x**2).sum()


def _four_square(x: Tensor) -> Tensor:
    return (2 * x) ** 2


def _observe_line(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.arange(-5, 5, 0.1).unsqueeze(1)
    return x, -5 * x + 1 + 0.4 * torch.randn(x.shape, generator=generator)


def _observe_points(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = [3.4, 5.4, 6.71, 6.89, 6.93, 4.16, 9.779, 6.182]
    x += [7.59, 2.167, 7.042, 10.791, 5.31, 7.997, 3.1]
    y = [1.7, 2.76, 2.09, 3.19, 1.694, 1.573, 3.366, 2.596]
    y += [2.53, 1.221, 2.87, 3.45, 1.6, 2.9, 1.3]
    # float64 holds the decimals of x and y, whatever a run rounds them to.
    points = torch.tensor([x, y], dtype=torch.float64)
    return points[0].unsqueeze(1), points[1].unsqueeze(1)


def _linear_init(generator: torch.Generator) -> Params:
    """As `torch.nn.Linear(1, 1)` starts: uniform in (-1, 1)."""
    weight, bias = 2 * torch.rand(2, generator=generator) - 1
    return {"weight": weight.reshape(1, 1), "bias": bias.reshape(1)}


def _observe_decay(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.arange(1000.0).unsqueeze(1)
    noise = 0.02 * torch.randn(x.shape, generator=generator)
    return x, _decay(x, torch.tensor([0.7, 0.01, 0.2])) + noise


def _decay(x: Tensor, weights: Tensor) -> Tensor:
    a, k, b = weights
    return a * torch.exp(-k * x) + b


def _rmse(prediction: Tensor, target: Tensor) -> Tensor:
    return mse_loss(prediction, target).sqrt()


_DOCUMENTED: list[Problem] = [
    Surface(
        name="square",
        title="The square: x₁² + x₂²",
        formula="f(x) = Σ xᵢ², x of two numbers",
        source="The first exercise in gradient descent.",
        look_at="SGD at lr 0.1 multiplies x by 0.8 at every step: a straight line to the minimum.",
        function=_square,
        initial=_at(x=(5.0, 10.0)),
        lowest=({"x": (0.0, 0.0)},),
        dtype=torch.float64,
        steps=30,
        rates=_rates(0.1, 0.1, 0.1, 1.0, 0.3, 0.5, 0.5),
        window=((-7.0, 7.0), (-12.0, 12.0)),
    ),
    Surface(
        name="four_square",
        title="A steep parabola: 4x²",
        formula="f(x) = (2x)²",
        source="An exercise in learning rates and momentum.",
        look_at="Each step of SGD multiplies x by 1 - 8 lr: lr 0.125 lands at once, above 0.25 "
        "it diverges. Momentum overshoots.",
        function=_four_square,
        initial=_at(x=2.0),
        lowest=({"x": 0.0},),
        dtype=torch.float32,
        steps=100,
        rates=_rates(0.01, 0.01, 0.01, 0.3, 0.05, 0.1, 0.1),
    ),
    Fit(
        name="noisy_line",
        title="A noisy line, one observation at a time",
        formula="mean of (weight x + bias - y)², y = -5x + 1 + 0.4 n, n standard normal",
        source="An exercise in linear regression through a DataLoader, 20 epochs of batch size 1.",
        look_at="SGD at lr 0.01 is there after one epoch; Adam, whose steps are about lr long, "
        "is still on its way.",
        observe=_observe_line,
        model=linear,
        criterion=mse_loss,
        law={"weight": [[-5.0]], "bias": [1.0]},
        batch_size=1,
        initial=_at(weight=[[-10.0]], bias=[-20.0]),
        dtype=torch.float32,
        steps=2000,
        rates=_rates(0.01, 0.001, 0.001, 1.0, 0.01, 0.01, 0.01),
    ),
    Fit(
        name="fifteen_points",
        title="A line through fifteen points",
        formula="mean of (weight x + bias - y)²",
        source="An exercise in linear regression, 100,000 epochs of the full batch.",
        look_at="The loss curves 379 times more along one direction than along the other: the "
        "line soon passes through the middle of the points, and turns into place slowly.",
        observe=_observe_points,
        model=linear,
        criterion=mse_loss,
        law={"weight": [[0.3]], "bias": [0.6]},
        initial=_linear_init,
        dtype=torch.float32,
        steps=2000,
        full_steps=100_000,
        rates=_rates(1e-3, 1e-3, 1e-3, 0.03, 1e-3, 1e-3, 1e-3),
    ),
    Fit(
        name="exponential_decay",
        title="An exponential decay",
        formula="√mean of (a exp(-k x) + b - y)², y = 0.7 exp(-0.01 x) + 0.2 + 0.02 n",
        source="An exercise in fitting any formula by gradient descent; weights = (a, k, b).",
        look_at="Adam is flat after some 700 steps; k, a hundred times more sensitive than a, "
        "sets how large a step SGD can bear.",
        observe=_observe_decay,
        model=_decay,
        criterion=_rmse,
        law={"weights": [0.7, 0.01, 0.2]},
        initial=lambda generator: {"weights": 0.1 * torch.rand(3, generator=generator)},
        dtype=torch.float32,
        steps=1000,
        rates=_rates(1e-4, 1e-4, 1e-4, 3e-3, 3e-4, 1e-3, 1e-3),
    ),
]


# Test surfaces ------------------------------------------------------------------------------


def _ravine(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + 50 * y**2) / 2


def _rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _beale(x: Tensor, y: Tensor) -> Tensor:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def _himmelblau(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def _saddle(x: Tensor, y: Tensor) -> Tensor:
    return x**2 - y**2 + y**4 / 2


_SURFACES: list[Problem] = [
    Surface(
        name="ravine",
        title="A ravine: a quadratic of condition number 50",
        formula="f(x, y) = (x² + 50 y²) / 2",
        source="B. T. Polyak, Some methods of speeding up the convergence of iteration methods, "
        "USSR Computational Mathematics and Mathematical Physics 4(5), 1964, is about such.",
        look_at="Gradient descent zigzags across the steep direction and crawls along the other; "
        "momentum averages the zigzag away; adaptive methods rescale it.",
        function=_ravine,
        initial=_at(x=-8.0, y=1.5),
        lowest=({"x": 0.0, "y": 0.0},),
        dtype=torch.float64,
        steps=100,
        rates=_rates(0.035, 0.01, 0.01, 1.0, 0.1, 0.3, 0.3),
        window=((-9.0, 3.0), (-2.2, 2.2)),
    ),
    Surface(
        name="rosenbrock",
        title="Rosenbrock's valley",
        formula="f(x, y) = (1 - x)² + 100 (y - x²)²",
        source="H. H. Rosenbrock, An automatic method for finding the greatest or least value of "
        "a function, The Computer Journal 3(3), 1960.",
        look_at="Everyone finds the curved valley; following its flat floor to (1, 1) is hard.",
        function=_rosenbrock,
        initial=_at(x=-1.2, y=1.0),
        lowest=({"x": 1.0, "y": 1.0},),
        dtype=torch.float64,
        steps=1000,
        rates=_rates(1e-3, 1e-3, 1e-3, 0.3, 0.01, 0.05, 0.05),
        window=((-1.8, 1.6), (-0.6, 2.2)),
    ),
    Surface(
        name="beale",
        title="Beale's function",
        formula="f(x, y) = (1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)²",
        source="J. J. Moré, B. S. Garbow, K. E. Hillstrom, Testing unconstrained optimization "
        "software, ACM Transactions on Mathematical Software 7(1), 1981, problem 5.",
        look_at="A plateau, then a bend into a long flat valley that ends at (3, 0.5).",
        function=_beale,
        initial=_at(x=1.0, y=1.0),
        lowest=({"x": 3.0, "y": 0.5},),
        dtype=torch.float64,
        steps=300,
        rates=_rates(0.01, 0.01, 0.01, 0.3, 0.02, 0.1, 0.1),
        window=((-0.5, 4.5), (-1.5, 1.5)),
    ),
    Surface(
        name="himmelblau",
        title="Himmelblau's function: four minima",
        formula="f(x, y) = (x² + y - 11)² + (x + y² - 7)²",
        source="D. M. Himmelblau, Applied Nonlinear Programming, McGraw-Hill, 1972.",
        look_at="One start, near the hilltop, and two ends: the optimizers that rescale the "
        "gradient come down on another side.",
        function=_himmelblau,
        initial=_at(x=-0.3, y=-0.9),
        lowest=(
            {"x": 3.0, "y": 2.0},
            {"x": -2.805118086952745, "y": 3.131312518250573},
            {"x": -3.779310253377747, "y": -3.28318599128617},
            {"x": 3.58442834033049, "y": -1.848126526964403},
        ),
        dtype=torch.float64,
        steps=100,
        rates=_rates(0.01, 0.01, 0.01, 0.5, 0.1, 0.1, 0.1),
        window=((-5.5, 5.5), (-5.5, 5.5)),
    ),
    Surface(
        name="saddle",
        title="A saddle, with two valleys beyond it",
        formula="f(x, y) = x² - y² + y⁴ / 2",
        source="The normal form x² - y², bent upwards by y⁴ / 2 so that it has minima, at "
        "(0, ±1). On why saddles matter: Y. N. Dauphin et al., Identifying and attacking the "
        "saddle point problem in high-dimensional non-convex optimization, 2014.",
        look_at="Gradient descent lingers at (0, 0), where the gradient vanishes; methods that "
        "divide by its size leave at once.",
        function=_saddle,
        initial=_at(x=1.0, y=0.001),
        lowest=({"x": 0.0, "y": 1.0}, {"x": 0.0, "y": -1.0}),
        dtype=torch.float64,
        steps=100,
        rates=_rates(0.05, 0.05, 0.05, 0.1, 0.02, 0.05, 0.05),
        window=((-1.3, 1.3), (-1.6, 1.6)),
    ),
]


# Networks -----------------------------------------------------------------------------------

#: Rates for a small network in its first few hundred steps, before any of them was tried here:
#: those of the papers, or customary ones.
_NETWORK_RATES = {
    "SGD": 0.1,
    "Momentum": 0.01,
    "Nesterov": 0.01,
    "Adagrad": 0.01,
    "RMSprop": 1e-3,
    "Adam": 3e-3,
    "AdamW": 3e-3,
    "Muon": 0.02,
    "Lion": 1e-3,
    "ScheduleFreeSGD": 1.0,
    "ScheduleFreeAdamW": 1e-2,
}


def _transformer() -> nn.Module:
    _, characters = networks.reference()
    return networks.Transformer(len(characters))


_NETWORKS: list[Problem] = [
    Network(
        name="digits",
        title="Digits of fonts, under noise",
        formula="cross-entropy of 144 → 64 → 64 → 10, without biases, on images of 12 x 12",
        source="Drawn from the fonts that matplotlib brings, so that nothing need be fetched.",
        look_at="Matrices only, so that Muon runs too. The loss is that of a minibatch, and at "
        "the end that of 1,000 images more.",
        build=networks.Classifier,
        examples=networks.digits,
        batch_size=32,
        dtype=torch.float32,
        steps=300,
        rates=_NETWORK_RATES,
    ),
    Network(
        name="transformer",
        title="A small transformer on the text of a manual",
        formula="cross-entropy of the next character; two blocks, 48 wide, 32 characters",
        source="The language reference that ships with Python, pydoc_data.topics: numbers are "
        "of one version of Python.",
        look_at="Embeddings, attention, gains and biases. The loss is that of a minibatch, and "
        "at the end that of pieces from a part of the text that is not trained on.",
        build=_transformer,
        examples=lambda generator: networks.windows(),
        batch_size=16,
        dtype=torch.float32,
        steps=300,
        rates=_NETWORK_RATES,
    ),
]

#: What a race without names goes through: every problem of a few numbers by its name, the
#: documented examples first.
PROBLEMS: dict[str, Problem] = {problem.name: problem for problem in [*_DOCUMENTED, *_SURFACES]}

#: Those that take seconds for a run, by name only.
NETWORKS: dict[str, Problem] = {problem.name: problem for problem in _NETWORKS}

#: The names of the documented examples.
DOCUMENTED = tuple(problem.name for problem in _DOCUMENTED)


def get_problem(name: str) -> Problem:
    """The problem of that name.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    known = PROBLEMS | NETWORKS
    if name not in known:
        raise unknown("problem", name, known)
    return known[name]


def load_problem(spec: str) -> Problem:
    """A problem by its name, or a user's own as `file.py:function` or `module:function`.

    The function takes its parameters by name, their default values being the start (numbers,
    nested sequences of numbers, or tensors), and returns the loss, a tensor of one number:

        def valley(x=-1.5, y=(1.0, 2.0)):
            return (x - 1) ** 2 + (y**2).sum()

    What the name stands for may also be a `Problem`, or a function of no parameters that
    returns one.

    Raises:
        UsageError: there is no such problem; the user's code raises; or the function does not
            give what it should.
    """
    if ":" not in spec:
        return get_problem(spec)
    found = load_object(spec)
    if isinstance(found, Problem):
        return found
    if not callable(found):
        raise UsageError(f"{spec} must be a function or a Problem; it is {found!r}")
    start = _defaults(found, spec)
    if start:
        return _from_function(found, start, spec)
    with user_code(f"calling {spec}"):
        found = found()
    if not isinstance(found, Problem):
        raise UsageError(
            f"{spec} takes no parameters, so it must return a Problem; it returned {found!r}. "
            "Parameters are written with their start: def f(x=1.0, y=2.0)"
        )
    return found


def _defaults(function: Callable[..., Any], spec: str) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    missing = [param.name for param in parameters if param.default is param.empty]
    if missing:
        raise UsageError(
            f"{spec}: {', '.join(missing)} must have a default value, which is the start, "
            f"as in def {spec.rpartition(':')[2]}({missing[0]}=1.0)"
        )
    return {param.name: param.default for param in parameters}


def _from_function(function: Callable[..., Any], start: Mapping[str, Any], spec: str) -> Problem:
    problem = Surface(
        name=spec.rpartition(":")[2],
        title=(inspect.getdoc(function) or spec).partition("\n")[0],
        formula=spec,
        source=spec,
        look_at="Your own problem.",
        function=function,
        initial=_at(**start),
    )
    with user_code(f"the first loss of {spec}"):
        run = problem.start()
        loss: Any = run.loss()
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
        raise UsageError(f"{spec} must return a tensor of one number; it returned {given}")
    if not loss.requires_grad:
        raise UsageError(f"{spec} returned a loss that does not depend on its parameters")
    return problem
