"""The optimizers under test: a row for each, and every test is parametrised over the rows.

An optimizer that gets a row here is tested in full.
"""

import inspect
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import papers
import pytest
import torch
from hypothesis import strategies as st
from tensors import DTYPES, Spec, sparse
from torch import Tensor
from torch.optim import Optimizer

import myoptim
from myoptim.optimizer import declaration_of
from myoptim.rules import ElementwiseRule

Options = dict[str, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Range:
    """What a hyper-parameter may be: values at the edge of the range, and values beyond it.

    Attributes:
        says: what the message about the latter must match, where it is not the usual one.
    """

    good: tuple[Any, ...]
    bad: tuple[Any, ...]
    says: str = ""


def not_negative(*good: Any) -> Range:
    return Range(good=(0, 0.0, 1e-30, 0.5, 1, 1e30, *good), bad=(-1, -1e-9, float("-inf")))


def pair_below_one() -> Range:
    good = ((0.0, 0.0), (0.0, 0.999), (0.9, 0.0), (0.5, 0.5), (1 - 1e-16, 1 - 1e-16))
    bad = ((1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, -1e-9), (2.0, 0.9), (float("nan"), 0.9))
    return Range(good, bad)


@dataclass(frozen=True)
class Row:
    """One optimizer.

    Attributes:
        ours: the class under test.
        twin: the torch class that it equals, or a second writing of its paper; see `papers.py`.
        twin_kwargs: what the twin needs to equal the defaults of ours.
        hypers: a strategy for hyper-parameters, by name, that both accept.
        ranges: what each hyper-parameter may be.
        sparse: whether sparse gradients are supported.
        extra: keys that our groups have beyond the twin's.
        breaks: keys that cannot be changed in mid-run, because torch then misses a state tensor.
        ignored: keys that torch ignores where a group overrides them, and ours does not.
        legal: what must be added to hyper-parameters for all conditions among them to hold.
        full: hyper-parameters that need every optional buffer and every statement of the rule.
        variants: those with which gradients through a step are compared.
        unrolled: those with which gradients through several steps are.
        learns_lr: whether torch differentiates through several steps by the learning rate;
            elsewhere it raises, or takes it for a constant.
        overwrites: whether torch overwrites in the second step what the backward pass of the
            first needs.
        tensor_betas: whether betas may be tensors.
        of_one_type: buffers that must be of their parameter's type, since lerp takes no other.
        forgetful: hyper-parameters with which an average keeps nothing.
        shape: the shape that parameters must have, where another was asked for.
        dtypes: what parameters may be of.
        gradient: a gradient of the kind that it takes, made of a dense one.
        waits: how many first steps move nothing.
        closure: whether its step must have a closure.
        groups: whether it takes several groups.
        shards: whether torch's takes tensors that are distributed.
        mend: gives the twin what torch does not copy with it.
        still: hyper-parameters with which a zero gradient moves nothing, nor does lr 0.
    """

    ours: type[Optimizer]
    twin: type[Optimizer]
    hypers: st.SearchStrategy[Options]
    ranges: dict[str, Range]
    twin_kwargs: Options = field(default_factory=dict)
    sparse: bool = False
    extra: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    legal: Callable[[Options, Options], Options] = lambda chosen, defaults: chosen
    full: Options = field(default_factory=dict)
    variants: tuple[Options, ...] = ({},)
    unrolled: tuple[Options, ...] = ({},)
    learns_lr: bool = False
    overwrites: bool = False
    tensor_betas: bool = False
    of_one_type: tuple[str, ...] = ("exp_avg",)
    forgetful: Options | None = None
    shape: Callable[[Shape], Shape] = lambda shape: shape
    dtypes: tuple[torch.dtype, ...] = DTYPES
    gradient: Callable[[Tensor], Tensor] = lambda gradient: gradient
    waits: int = 0
    closure: bool = False
    groups: bool = True
    shards: bool = True
    mend: Callable[[Any], None] = lambda twin: None
    still: Options = field(default_factory=dict)

    def __str__(self) -> str:
        return self.ours.__name__

    @cached_property
    def loop(self) -> Options:
        """The flags with which the twin runs the eager loop: the oracle."""
        flags = {"foreach": False, "fused": False}
        known = inspect.signature(self.twin).parameters
        return {flag: value for flag, value in flags.items() if flag in known}

    @property
    def torchs(self) -> bool:
        """Whether the twin is a class of torch."""
        return self.twin.__module__.startswith("torch.")

    @property
    def counts(self) -> bool:
        """Whether the state has a counter of steps."""
        return "step" in declaration_of(self.ours).numbers

    def decaying(self, weight_decay: float) -> Options:
        """Weight decay, where there is any."""
        return {"weight_decay": weight_decay} if "weight_decay" in self.ranges else {}

    @property
    def elementwise(self) -> bool:
        """Whether the rule runs in every way, over whatever dense tensors."""
        return issubclass(self.ours, ElementwiseRule)

    @property
    def executors(self) -> list[str]:
        """The ways in which ours may be told to run."""
        return [name for name, flags in EXECUTORS.items() if self.flags.issuperset(flags)]

    @property
    def plain(self) -> bool:
        """Whether it takes vectors with dense gradients, and no closure."""
        vector = torch.ones(2)
        free = self.shape(vector.shape) == vector.shape and not self.closure
        return free and not self.gradient(vector).is_sparse

    @property
    def flags(self) -> set[str]:
        """The flags for the ways of running that both know."""
        return {"foreach", "fused"} & set(inspect.signature(self.twin).parameters)

    def fit(self, spec: Spec) -> Spec:
        """The parameter that comes nearest to the one asked for."""
        dtype = spec.dtype if spec.dtype in self.dtypes else torch.float32
        return replace(spec, shape=self.shape(spec.shape), dtype=dtype)

    def step(self, optimizer: Optimizer) -> None:
        """A step on the gradients that are there, made such as it takes."""
        for param in (param for group in optimizer.param_groups for param in group["params"]):
            if param.grad is not None:
                param.grad = self.gradient(param.grad)
        optimizer.step(*([lambda: 1.0] if self.closure else []))

    def make_ours(self, params: Any, options: Options) -> Optimizer:
        return self.ours(params, **deepcopy(options))

    def make_twin(self, params: Any, options: Options) -> Optimizer:
        return self.twin(params, **{**self.twin_kwargs, **self.loop, **deepcopy(options)})


# Hyper-parameters ---------------------------------------------------------------------------------


def near(*usual: Any, low: float = 0.0, high: float = 10.0) -> st.SearchStrategy[Any]:
    """The usual values most of the time, any number of the range otherwise."""
    return st.one_of(st.sampled_from(usual), st.sampled_from(usual), st.floats(low, high))


tensor_lrs = st.builds(
    lambda value, dtype, shape: torch.full(shape, value, dtype=dtype),
    st.sampled_from([0.0, 1e-3, 0.1]),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([(), (1,), (1, 1)]),
)
lrs = near(0, 0.0, 1e-3, 0.01, 0.1, 1, high=100.0)
weight_decays = near(0, 0.0, 0.01, 0.1, 0.5, 2)
epsilons = near(0, 0.0, 1e-10, 1e-8, 0.1, 1, high=2.0)
momenta = near(0, 0.0, 0.5, 0.9, 0.99, 1, high=1.5)
decays = st.one_of(
    st.sampled_from([0.0, 0.3, 0.5, 0.9, 0.999, 1 - 2**-30]),
    st.floats(0.0, 1.0, exclude_max=True),
)


def options(**strategies: st.SearchStrategy[Any] | None) -> st.SearchStrategy[Options]:
    """A choice of hyper-parameters, any of which may be left at its default; None leaves one out
    that most have."""
    common: dict[str, Any] = {"lr": st.one_of(lrs, lrs, tensor_lrs), "weight_decay": weight_decays}
    common["maximize"] = st.booleans()
    chosen = {key: made for key, made in {**common, **strategies}.items() if made is not None}
    return st.fixed_dictionaries({}, optional=chosen)


def nesterov_is_legal(chosen: Options, defaults: Options) -> Options:
    """Nesterov's condition: momentum, and no dampening."""
    given = {"nesterov": False, "momentum": 0, **defaults, **chosen}
    if not given["nesterov"]:
        return chosen
    return {**chosen, "momentum": given["momentum"] or 0.9, "dampening": 0}


sgd_options = {
    "momentum": momenta,
    "dampening": near(0, 0.0, 0.5, 1, low=-1.0, high=2.0),
    "weight_decay": st.one_of(weight_decays, st.just(torch.tensor(0.1))),
}
adam_options = {"betas": st.tuples(decays, decays), "eps": epsilons, "amsgrad": st.booleans()}

LR = not_negative(torch.tensor(0.1), torch.tensor([0.1]), float("inf"))
SGD_RANGES = {"lr": LR, "momentum": not_negative(1.5), "weight_decay": not_negative()}
ADAM_RANGES = {"lr": LR, "betas": pair_below_one()}
ADAM_RANGES |= {"eps": not_negative(), "weight_decay": not_negative()}

ROWS = [
    Row(
        ours=myoptim.SGD,
        twin=torch.optim.SGD,
        hypers=options(**sgd_options, nesterov=st.booleans()),
        legal=nesterov_is_legal,
        ranges=SGD_RANGES,
        sparse=True,
        full={"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1},
        variants=({}, {"weight_decay": 0.2}, {"momentum": 0.9, "dampening": 0.1, "maximize": True}),
        unrolled=({}, {"momentum": 0.9, "dampening": 0.1}, {"momentum": 0.9, "nesterov": True}),
        learns_lr=True,
    ),
    Row(
        ours=myoptim.Momentum,
        twin=torch.optim.SGD,
        twin_kwargs={"momentum": 0.9},
        hypers=options(**sgd_options),
        ranges=SGD_RANGES,
        sparse=True,
        full={"weight_decay": 0.1},
        variants=({"weight_decay": 0.2},),
        unrolled=({}, {"maximize": True}),
    ),
    Row(
        ours=myoptim.Nesterov,
        twin=torch.optim.SGD,
        twin_kwargs={"momentum": 0.9, "nesterov": True},
        hypers=options(
            momentum=near(0.5, 0.9, 1, low=1e-3, high=1.5),
            weight_decay=sgd_options["weight_decay"],
        ),
        ranges=SGD_RANGES,
        sparse=True,
        full={"weight_decay": 0.1, "maximize": True},
        variants=({"weight_decay": 0.2},),
        learns_lr=True,
    ),
    Row(
        ours=myoptim.Adagrad,
        twin=torch.optim.Adagrad,
        hypers=options(
            lr_decay=near(0, 0.1, 0.5),
            initial_accumulator_value=near(0, 0.1, 1),
            eps=epsilons,
        ),
        ranges={
            "lr": LR,
            "lr_decay": not_negative(),
            "weight_decay": not_negative(),
            "initial_accumulator_value": not_negative(),
            "eps": not_negative(),
        },
        sparse=True,
        ignored=("initial_accumulator_value",),
        full={"lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.1},
        variants=({"lr_decay": 0.1, "weight_decay": 0.2}, {"maximize": True}),
        unrolled=({}, {"lr_decay": 0.1, "initial_accumulator_value": 0.1, "maximize": True}),
    ),
    Row(
        ours=myoptim.RMSprop,
        twin=torch.optim.RMSprop,
        hypers=options(
            alpha=near(0, 0.5, 0.9, 0.99, 1, high=1.5),
            eps=epsilons,
            momentum=momenta,
            centered=st.booleans(),
        ),
        ranges={
            "lr": LR,
            "alpha": not_negative(1.5),
            "eps": not_negative(),
            "weight_decay": not_negative(),
            "momentum": not_negative(1.5),
        },
        extra=("fused",),
        breaks=("momentum", "centered"),
        forgetful={"alpha": 0.0, "centered": True},
        full={"momentum": 0.9, "centered": True, "weight_decay": 0.1},
        variants=(
            {"weight_decay": 0.2},
            {"momentum": 0.9, "maximize": True},
            {"centered": True, "momentum": 0.5, "weight_decay": 0.1},
        ),
        unrolled=({}, {"momentum": 0.9, "centered": True, "maximize": True}),
    ),
    Row(
        ours=myoptim.Adam,
        twin=torch.optim.Adam,
        hypers=options(**adam_options, decoupled_weight_decay=st.booleans()),
        ranges=ADAM_RANGES,
        breaks=("amsgrad",),
        tensor_betas=True,
        forgetful={"betas": (0.0, 0.9)},
        full={"amsgrad": True, "weight_decay": 0.1, "betas": (0.5, 0.9)},
        variants=(
            {"weight_decay": 0.2},
            {"amsgrad": True, "maximize": True},
            {"decoupled_weight_decay": True, "weight_decay": 0.2},
        ),
        unrolled=({}, {"amsgrad": True, "maximize": True}, {"decoupled_weight_decay": True}),
        learns_lr=True,
    ),
    Row(
        ours=myoptim.AdamW,
        twin=torch.optim.AdamW,
        hypers=options(**adam_options),
        ranges=ADAM_RANGES,
        breaks=("amsgrad",),
        tensor_betas=True,
        forgetful={"betas": (0.0, 0.9)},
        full={"amsgrad": True, "maximize": True},
        variants=({}, {"amsgrad": True, "weight_decay": 0.2}),
        unrolled=({}, {"amsgrad": True}),
        learns_lr=True,
    ),
    Row(
        ours=myoptim.Adadelta,
        twin=torch.optim.Adadelta,
        hypers=options(rho=st.one_of(decays, st.just(1.0)), eps=epsilons),
        ranges={
            "lr": LR,
            "rho": Range(good=(0, 0.5, 1.0), bad=(-0.1, 1.1, float("nan"))),
            "eps": not_negative(),
            "weight_decay": not_negative(),
        },
        extra=("fused",),
        full={"weight_decay": 0.1, "rho": 0.8, "eps": 1e-3},
        variants=({"weight_decay": 0.2}, {"maximize": True, "eps": 0.1}),
        forgetful={"rho": 0.0},
    ),
    Row(
        ours=myoptim.Adamax,
        twin=torch.optim.Adamax,
        hypers=options(betas=st.tuples(decays, decays), eps=epsilons),
        ranges=ADAM_RANGES,
        extra=("fused",),
        full={"weight_decay": 0.1, "betas": (0.5, 0.9)},
        variants=({"weight_decay": 0.2}, {"maximize": True}),
        forgetful={"betas": (0.0, 0.0)},
        overwrites=True,
    ),
    Row(
        ours=myoptim.NAdam,
        twin=torch.optim.NAdam,
        hypers=options(
            betas=st.tuples(decays, decays),
            eps=epsilons,
            momentum_decay=near(0, 4e-3, 0.1),
            decoupled_weight_decay=st.booleans(),
        ),
        ranges={**ADAM_RANGES, "momentum_decay": not_negative()},
        extra=("fused",),
        full={"weight_decay": 0.1, "betas": (0.5, 0.9), "momentum_decay": 0.1},
        variants=({"weight_decay": 0.2}, {"decoupled_weight_decay": True, "weight_decay": 0.2}),
        forgetful={"betas": (0.0, 0.9)},
    ),
    Row(
        ours=myoptim.RAdam,
        twin=torch.optim.RAdam,
        hypers=options(
            betas=st.tuples(decays, decays), eps=epsilons, decoupled_weight_decay=st.booleans()
        ),
        ranges=ADAM_RANGES,
        extra=("fused",),
        full={"weight_decay": 0.1, "betas": (0.5, 0.9)},
        variants=({"weight_decay": 0.2}, {"decoupled_weight_decay": True, "weight_decay": 0.2}),
        forgetful={"betas": (0.0, 0.9)},
    ),
    Row(
        ours=myoptim.Rprop,
        twin=torch.optim.Rprop,
        hypers=options(
            weight_decay=None,
            etas=st.tuples(near(0.5, 0.9, low=1e-3, high=0.999), near(1.2, 1.001, low=1.001)),
            step_sizes=st.tuples(near(0, 1e-6, 1e-3, high=0.1), near(0.1, 50, low=0.1, high=99.0)),
        ),
        ranges={
            "lr": LR,
            "etas": Range(
                good=((0.5, 1.2), (1e-30, 1e30)),
                bad=((0.0, 1.2), (1.0, 1.2), (0.5, 1.0), (1.2, 0.5), (float("nan"), 1.2)),
            ),
            "step_sizes": Range(good=((0, 50), (1.0, 1.0)), bad=((1, 0.1), (-1e-9, 1))),
        },
        extra=("fused",),
        still={"step_sizes": (0, 50)},
        shards=False,
        overwrites=True,
        full={"etas": (0.4, 1.3), "step_sizes": (1e-3, 0.5)},
    ),
    Row(
        ours=myoptim.ASGD,
        twin=torch.optim.ASGD,
        hypers=options(
            lambd=near(0, 1e-4, 0.1, high=2.0),
            alpha=near(0, 0.5, 0.75, 1, high=2.0),
            t0=near(0, 2, 1e6, low=-5.0),
        ),
        ranges={
            "lr": LR,
            "lambd": not_negative(),
            "alpha": not_negative(),
            "t0": Range(good=(-1, 0, 2.5, 1e30), bad=()),
            "weight_decay": not_negative(),
        },
        extra=("fused",),
        still={"lambd": 0},
        full={"weight_decay": 0.1, "lambd": 0.01, "t0": 1},
        variants=({"weight_decay": 0.2}, {"lambd": 0.1, "t0": 0, "maximize": True}),
    ),
]


# Rules on tensors ---------------------------------------------------------------------------------


def no_empty(shape: Shape) -> Shape:
    """Torch divides by the number of elements."""
    return tuple(size or 1 for size in shape)


def matrix(shape: Shape) -> Shape:
    """The first dimension, and all others in one."""
    first, *others = (*no_empty(shape), 1, 1)[: max(len(shape), 2)]
    return first, math.prod(others)


def with_rows(shape: Shape) -> Shape:
    """At least one dimension, for an index to name."""
    return shape or (1,)


def some(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Options]:
    """A choice of hyper-parameters, where not all have lr, weight decay and maximize."""
    return st.fixed_dictionaries({}, optional=strategies)


def above(low: int, says: str, *good: Any) -> Range:
    return Range((low, low + 0.5, 1e30, *good), (low - 1, low - 1e-9, float("-inf")), says)


def should_be(name: str, *good: Any) -> Range:
    return above(0, rf"{name} should be >= 0 but is: .*\(allowed is 0 <= \S+\)", *good)


def mend_lbfgs(twin: Any) -> None:
    """A copy of torch's has lost its parameters."""
    twin._params = twin.param_groups[0]["params"]
    twin._numel_cache = None


#: torch 2.8 has no Muon, its LBFGS goes beyond max_eval in a line search, its Adagrad completes no
#: state, its Adam keeps the shape of betas that are tensors, and no gradient may have another type.
OLD = torch.torch_version.TorchVersion(torch.__version__) < (2, 9)
SEARCHES = (None,) if OLD else (None, "strong_wolfe")
#: What came with torch 2.14.
ASCENT = () if "maximize" in inspect.signature(torch.optim.LBFGS).parameters else ("maximize",)
ADJUSTMENTS = (None, "original", "match_rms_adamw", *(() if ASCENT else ("spectral_unclamped",)))

REAL = tuple(dtype for dtype in DTYPES if not dtype.is_complex)
POSITIVE = Range((1e-30, 0.5, 1), (0, -1, float("-inf")), r"Invalid .*\(allowed is 0 < \S+\)")
NOT_NAN = r"Invalid \S+ value: nan \(\S+ may be any number but NaN\)"
ANY_LR = st.one_of(lrs, lrs, tensor_lrs)

ROWS += [
    Row(
        ours=myoptim.Adafactor,
        twin=torch.optim.Adafactor,
        full={"weight_decay": 0.1, "maximize": True, "d": 1.5},
        hypers=options(
            beta2_decay=near(0, -0.8, -1.0, low=-3.0, high=0.0),
            eps=st.tuples(st.one_of(st.none(), epsilons), epsilons),
            d=near(1.0, 1.5, low=1.0),
        ),
        ranges={
            "lr": should_be("Learning rate", torch.tensor(0.1)),
            "beta2_decay": Range((0, -0.8, -1e30), (1e-9, 1), r"should be <= 0 but is.*<= 0\)"),
            "eps": Range(
                ((None, 0.0), (0, 0), (1.0, 2.0)),
                ((-1e-30, 1e-3), (None, -1)),
                r"epsilon\d should be >= 0 but is: .*\(allowed is 0 <= \S+",
            ),
            "d": above(1, r"Clipping threshold d should be >= 1 but is: .*\(allowed is 1 <= d\)"),
            "weight_decay": should_be("weight_decay"),
        },
        shape=no_empty,
        dtypes=REAL,
    ),
    Row(
        ours=myoptim.Muon,
        twin=getattr(torch.optim, "Muon", None),
        full={"weight_decay": 0.2, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"},
        hypers=some(
            lr=ANY_LR,
            weight_decay=weight_decays,
            momentum=near(0, 0.5, 0.95, 1, high=1.0),
            nesterov=st.booleans(),
            ns_coefficients=st.sampled_from([(3.4, -4.7, 2.0), (1.5, -0.5, 0.0)]),
            eps=epsilons,
            ns_steps=st.integers(0, 6),
            adjust_lr_fn=st.sampled_from(ADJUSTMENTS),
        ),
        ranges={
            "lr": should_be("Learning rate", torch.tensor(0.1)),
            "weight_decay": should_be("weight decay"),
            "momentum": Range((0, 0.5, 1), (-1, 1.5), r"momentum should be .*0 <= momentum <= 1\)"),
            "ns_coefficients": Range(
                ((1, 0, 0), (-1.0, 1e30, 2.0)), ((1.0, float("nan"), 0.0),), NOT_NAN
            ),
            "eps": not_negative(),
            "ns_steps": Range((0, 99), (-1, 100), r"Invalid ns_steps .*0 <= ns_steps < 100\)"),
        },
        shape=matrix,
        dtypes=REAL,
    ),
    Row(
        ours=myoptim.SparseAdam,
        twin=torch.optim.SparseAdam,
        full={"maximize": True, "betas": (0.5, 0.9)},
        hypers=some(
            lr=near(1e-3, 0.01, 0.1, 1, low=1e-6),
            betas=st.tuples(decays, decays),
            eps=near(1e-8, 0.1, 1, low=1e-30),
            maximize=st.booleans(),
        ),
        ranges={"lr": POSITIVE, "betas": pair_below_one(), "eps": POSITIVE},
        sparse=True,
        shape=with_rows,
        dtypes=REAL,
        gradient=lambda gradient: gradient if gradient.is_sparse else sparse(gradient),
    ),
    Row(
        ours=myoptim.LBFGS,
        twin=torch.optim.LBFGS,
        full={"line_search_fn": SEARCHES[-1], "history_size": 2, "max_iter": 5},
        hypers=some(
            lr=ANY_LR,
            max_iter=st.integers(1, 7),
            max_eval=st.integers(1, 9),
            tolerance_grad=near(0, 1e-7, 0.1, low=-1.0),
            tolerance_change=near(0, 1e-9, 0.1, low=-1.0),
            history_size=st.integers(1, 4),
            line_search_fn=st.sampled_from(SEARCHES),
        ),
        ranges={
            "lr": LR,
            "max_iter": not_negative(),
            "max_eval": not_negative(),
            "tolerance_grad": Range((0, -1, float("inf")), (float("nan"),), NOT_NAN),
            "tolerance_change": Range((0, -1, float("inf")), (float("nan"),), NOT_NAN),
            "history_size": above(1, r"Invalid history_size .*1 <= history_size\)"),
        },
        breaks=("history_size",),
        dtypes=tuple(
            dtype for dtype in DTYPES if dtype != torch.float16
        ),  # overflows, in torch too
        closure=True,
        groups=False,
        extra=ASCENT,
        mend=mend_lbfgs,
    ),
]

# The modern tier ----------------------------------------------------------------------------------

rates = st.one_of(st.sampled_from([0.3, 0.9, 0.9999]), st.floats(1e-3, 1.0, exclude_max=True))
averaging = {
    "warmup_steps": near(0, 3, 100, high=50.0),
    "r": near(0, 1, high=2.0),
    "weight_lr_power": near(2, 0, 1, high=3.0),
}

ROWS += [
    Row(
        ours=myoptim.Lion,
        twin=papers.Lion,
        hypers=options(betas=st.tuples(decays, decays)),
        ranges={"lr": LR, "betas": pair_below_one(), "weight_decay": not_negative()},
        full={"weight_decay": 0.1, "betas": (0.5, 0.9)},
        variants=({"weight_decay": 0.2}, {"maximize": True}),
        forgetful={"betas": (0.0, 0.0)},
    ),
    Row(
        ours=myoptim.AdEMAMix,
        twin=papers.AdEMAMix,
        hypers=options(
            betas=st.tuples(rates, decays, rates),
            alpha=near(0, 2.0, 5.0),
            eps=epsilons,
            alpha_warmup=near(0, 3, 100, high=50.0),
            beta3_warmup=near(0, 3, 100, high=50.0),
        ),
        ranges={
            "lr": LR,
            "betas": Range(
                good=((0.5, 0.0, 0.5), (1e-30, 0.999, 0.9999)),
                bad=((1.0, 0.9, 0.9), (0.9, 0.9, 1.0), (-0.1, 0.9, 0.9), (0.9, 0.9, float("nan"))),
            ),
            **{name: not_negative() for name in ("alpha", "eps", "weight_decay")},
            **{name: not_negative() for name in ("alpha_warmup", "beta3_warmup")},
        },
        full={"weight_decay": 0.1, "betas": (0.5, 0.9, 0.99), "alpha_warmup": 5, "beta3_warmup": 9},
        variants=({"weight_decay": 0.2}, {"maximize": True, "alpha_warmup": 20, "alpha": 2}),
        of_one_type=("exp_avg", "exp_avg_slow"),
    ),
    Row(
        ours=myoptim.ScheduleFreeSGD,
        twin=papers.ScheduleFreeSGD,
        hypers=options(momentum=rates, **averaging),
        ranges={
            "lr": LR,
            "momentum": Range((1e-30, 0.5, 0.999), (0, 1, -1, 1.5, float("nan"))),
            **{name: not_negative() for name in ("weight_decay", *averaging)},
        },
        full={"weight_decay": 0.1, "momentum": 0.5, "warmup_steps": 5, "r": 1, "maximize": True},
        variants=({"weight_decay": 0.2}, {"warmup_steps": 20, "maximize": True}),
        of_one_type=("z",),
    ),
    Row(
        ours=myoptim.ScheduleFreeAdamW,
        twin=papers.ScheduleFreeAdamW,
        hypers=options(betas=st.tuples(rates, decays), eps=epsilons, **averaging),
        ranges={
            "lr": LR,
            "betas": Range(
                good=((0.5, 0.0), (1e-30, 0.999)),
                bad=((1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, float("nan"))),
            ),
            **{name: not_negative() for name in ("eps", "weight_decay", *averaging)},
        },
        full={"weight_decay": 0.1, "betas": (0.5, 0.9), "warmup_steps": 5, "r": 1},
        variants=({"weight_decay": 0.2}, {"warmup_steps": 20, "maximize": True}),
        of_one_type=("z",),
    ),
]

ROWS += [
    Row(
        ours=myoptim.Prodigy,
        twin=papers.Prodigy,
        hypers=options(
            lr=st.sampled_from([0, 0.5, 1.0, 1]),
            betas=st.tuples(decays, decays),
            eps=epsilons,
            d0=near(1e-6, 0.1, low=1e-9, high=1.0),
            d_coef=near(1.0, 0.5, low=0.1),
            growth_rate=st.one_of(st.none(), near(1.02, 2, low=1.0)),
            use_bias_correction=st.booleans(),
            safeguard_warmup=st.booleans(),
        ),
        ranges={
            "lr": LR,
            "betas": pair_below_one(),
            **{name: not_negative() for name in ("eps", "weight_decay")},
            **{name: replace(POSITIVE, says="") for name in ("d0", "d_coef")},
        },
        full={"weight_decay": 0.1, "d0": 0.01, "use_bias_correction": True, "maximize": True},
        dtypes=REAL,
    ),
    Row(
        ours=myoptim.SOAP,
        twin=papers.SOAP,
        hypers=options(
            betas=st.tuples(decays, decays),
            shampoo_beta=st.one_of(st.none(), decays),
            eps=near(1e-8, 0.1, low=1e-10, high=2.0),
            precondition_frequency=st.integers(1, 4),
            max_precondition_dim=st.sampled_from([0, 3, 10_000]),
        ),
        ranges={
            "lr": LR,
            "betas": pair_below_one(),
            **{name: not_negative() for name in ("eps", "weight_decay", "max_precondition_dim")},
            "precondition_frequency": Range((1, 2, 1000), (0, -1)),
        },
        breaks=("max_precondition_dim",),
        waits=1,
        full={"weight_decay": 0.1, "betas": (0.5, 0.9), "precondition_frequency": 2},
        dtypes=REAL,
    ),
]

ROWS = [row for row in ROWS if row.twin is not None]


def each_row(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test once for every optimizer."""
    return pytest.mark.parametrize("row", ROWS, ids=str)(test)


def each_elementwise(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test once for every optimizer whose rule runs in every way, on any dense tensors."""
    return pytest.mark.parametrize("row", [row for row in ROWS if row.elementwise], ids=str)(test)


def kind(row: Row) -> object:
    """What a rule is given, of which not its statements but how it is compiled depends."""
    declared = row.ours._declaration
    numbers = tuple(name for name in (*declared.numbers, "first") if name in declared.takes)
    return numbers, declared.before is None, declared.after is None, declared.complex


def each_compiled(test: Callable[..., None]) -> Callable[..., None]:
    """As `each_elementwise` where compiling takes long: now for the first row of each kind of rule,
    for the others among the slow tests."""
    elementwise = [row for row in ROWS if row.elementwise]
    first = {kind(row): row for row in reversed(elementwise)}
    rows = [
        pytest.param(row, marks=[] if row is first[kind(row)] else pytest.mark.slow)
        for row in elementwise
    ]
    return pytest.mark.parametrize("row", rows, ids=str)(test)


def each_plain(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test once for every optimizer that takes vectors with dense gradients, no closure."""
    return pytest.mark.parametrize("row", [row for row in ROWS if row.plain], ids=str)(test)


# The ways in which ours may run; bits are promised for each.
EXECUTORS: dict[str, Options] = {
    "default": {},
    "loop": {"foreach": False},
    "foreach": {"foreach": True},
}


def runs_with_foreach(chosen: Options) -> bool:
    """Whether `foreach=True` takes these: Adam refuses tensors, in torch and so in ours."""
    values = [chosen.get("lr"), *chosen.get("betas", ())]
    return not any(isinstance(value, torch.Tensor) for value in values)
