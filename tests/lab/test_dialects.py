"""The dialects without the frameworks: what each has in common with its namesake, and what not.

That each computes what its framework does is tested in `tests/frameworks`.
"""

import copy
import io

import pytest
import torch

import myoptim
from myoptim import dialects
from myoptim.dialects import DIALECTS
from myoptim.lab.agreement import agreement, telling_schedule
from myoptim.lab.resolve import hyperparameters
from myoptim.optimizer import declaration_of

EPS = 2.0**-7
MOMENTUM = {"lr": 0.125, "momentum": 0.75}
RMSPROP = {"lr": 0.125, "alpha": 0.625}
ADAM = {"lr": 0.125, "betas": (0.625, 0.75)}
ADADELTA = {"lr": 0.125, "rho": 0.625, "eps": EPS}
DECAY = {"weight_decay": 0.1875}
ADAFACTOR = {"lr": 0.75, "eps": (1e-30, 1e-3)}
DAMPED = {"dampening": 0.25}
ADAM_0 = ADAM | {"eps": 0.0}
ADAM_EPS = ADAM | {"eps": EPS}

# A dialect, its namesake, settings with which they are the same at a constant rate, and the
# dialect's settings with which they are not.
NAMESAKES = [
    (dialects.KerasSGD, MOMENTUM, myoptim.SGD, MOMENTUM, MOMENTUM | DECAY),
    (
        dialects.MLXSGD,
        MOMENTUM | DECAY,
        myoptim.SGD,
        MOMENTUM | DECAY,
        MOMENTUM | DAMPED,
    ),
    (
        dialects.KerasAdagrad,
        {"lr": 0.125, "initial_accumulator_value": 0.25, "eps": EPS},
        myoptim.Adagrad,
        {"lr": 0.125, "initial_accumulator_value": 0.25 + EPS, "eps": 0.0},
        {"lr": 0.125, "initial_accumulator_value": 0.0, "eps": EPS},
    ),
    (
        dialects.KerasRMSprop,
        RMSPROP | {"eps": EPS, "eps_in_root": False, "momentum": 0.75, "centered": True},
        myoptim.RMSprop,
        RMSPROP | {"eps": EPS, "momentum": 0.75, "centered": True},
        RMSPROP | {"eps": EPS},
    ),
    (
        dialects.TF1RMSprop,
        RMSPROP | {"eps": EPS, "eps_in_root": False, "initial_scale": 0.0},
        myoptim.RMSprop,
        RMSPROP | {"eps": EPS},
        RMSPROP | {"eps": EPS, "eps_in_root": False},
    ),
    (
        dialects.KerasAdam,
        ADAM_0 | DECAY,
        myoptim.AdamW,
        ADAM_0 | DECAY,
        ADAM_EPS,
    ),
    (
        dialects.MLXAdam,
        {"lr": 0.125, "betas": (0.0, 0.0), "eps": EPS},  # an average of one needs no correction
        myoptim.Adam,
        {"lr": 0.125, "betas": (0.0, 0.0), "eps": EPS},
        ADAM_EPS,
    ),
    (
        dialects.OptaxAMSGrad,
        {"lr": 0.125, "betas": (0.625, 0.0), "eps": EPS},
        myoptim.Adam,
        {"lr": 0.125, "betas": (0.625, 0.0), "eps": EPS, "amsgrad": True},
        ADAM_EPS,
    ),
    (
        dialects.PaperAdamW,
        ADAM | {"eps": EPS, "weight_decay": 0.1875 * 0.125},
        myoptim.AdamW,
        ADAM_EPS | DECAY,
        ADAM_EPS | DECAY,
    ),
    (dialects.KerasAdadelta, ADADELTA, myoptim.Adadelta, ADADELTA, ADADELTA | DECAY),
    (
        dialects.KerasAdamax,
        ADAM_0,
        myoptim.Adamax,
        ADAM_0,
        ADAM_EPS,
    ),
    (
        dialects.PaddleAdamax,
        ADAM_0 | DECAY,
        myoptim.Adamax,
        ADAM_0 | DECAY,
        ADAM_EPS,
    ),
    (
        dialects.PaperAdafactor,
        ADAFACTOR,
        myoptim.Adafactor,
        ADAFACTOR,
        ADAFACTOR | {"eps": (EPS, 1e-3)},
    ),
    (
        dialects.OptaxRAdam,
        ADAM_0,
        myoptim.RAdam,
        ADAM_0,
        ADAM_EPS,
    ),
]

ROWS = pytest.mark.parametrize("row", NAMESAKES, ids=lambda row: row[0].__name__)
CLASSES = pytest.mark.parametrize("cls", DIALECTS.values(), ids=DIALECTS)
# Everything on: every buffer is made and every statement run.
FULL = {"momentum": 0.75, "nesterov": True, "centered": True, "weight_decay": 0.1875, "eps": EPS}


def test_every_dialect_has_a_row():
    assert {row[0] for row in NAMESAKES} | {dialects.OptaxRprop} == set(DIALECTS.values())


def first_difference(a, a_settings, b, b_settings, *, lr_changes):
    schedule = telling_schedule([EPS], lr_changes=lr_changes)
    makers = [lambda ps: a(ps, **a_settings), lambda ps: b(ps, **b_settings)]
    return agreement(*makers, schedule).first


@ROWS
def test_it_is_its_namesake_where_the_docstring_says_so(row):
    dialect, same, namesake, settings, _ = row
    assert first_difference(dialect, same, namesake, settings, lr_changes=False) is None


@ROWS
def test_and_is_another_algorithm_elsewhere(row):
    dialect, _, namesake, settings, apart = row
    known = hyperparameters(namesake)
    shared = {**settings, **{name: value for name, value in apart.items() if name in known}}
    assert first_difference(dialect, apart, namesake, shared, lr_changes=False)


@pytest.mark.parametrize("cls", [dialects.KerasSGD, dialects.KerasRMSprop, dialects.PaperAdamW])
def test_a_changed_rate_tells_those_whose_rate_stands_elsewhere(cls):
    row = next(row for row in NAMESAKES if row[0] is cls)
    assert first_difference(*row[:4], lr_changes=True).step == 5


def test_every_step_of_optax_rprop_is_one_call_late():
    """Gradients of one sign: it is where Rprop was a call before."""
    ends = {}
    for cls in (myoptim.Rprop, dialects.OptaxRprop):
        param = torch.zeros(3, requires_grad=True)
        optimizer = cls([param], lr=0.5)
        ends[cls] = []
        for _ in range(4):
            param.grad = torch.tensor([1.0, -2.0, 0.0])
            optimizer.step()
            ends[cls].append(param.tolist())
    assert ends[dialects.OptaxRprop] == [[0.0, 0.0, 0.0], *ends[myoptim.Rprop][:3]]


def test_optax_rprop_leaves_two_steps_out_where_the_sign_changes():
    param = torch.zeros(1, requires_grad=True)
    optimizer = dialects.OptaxRprop([param], lr=1.0)
    path = []
    for sign in (1.0, 1.0, -1.0, -1.0, -1.0):
        param.grad = torch.tensor([sign])
        optimizer.step()
        path.append(round(param.item(), 6))
    # The second step, of 1.2, is dropped; then the step size is 0.6, and one gradient is ignored.
    assert path == [0.0, -1.0, -1.0, -1.0, -0.4]


def full(cls):
    known = hyperparameters(cls)
    return {
        name: value for name, value in FULL.items() if not isinstance(known.get(name, ()), tuple)
    }


def parameters():
    shapes = [(3, 4), (5,), (5,), ()]
    return [
        torch.linspace(-1, 1, torch.Size(s).numel()).reshape(s).requires_grad_() for s in shapes
    ]


def train(optimizer, params, steps, seed):
    gradients = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for param in params:
            param.grad = torch.randn(param.shape, generator=gradients)
        optimizer.step()


@CLASSES
def test_every_way_of_running_gives_the_same_bits(cls):
    ends = []
    for foreach in (False, True, None):
        params = parameters()
        train(cls([{"params": params, "foreach": foreach}], lr=0.125, **full(cls)), params, 6, 0)
        ends.append(torch.cat([param.detach().flatten() for param in params]))
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])
    assert ends[0].isfinite().all()


@CLASSES
def test_a_checkpoint_goes_on_as_if_nothing_had_been(cls):
    params = parameters()
    optimizer = cls(params, lr=0.125, **full(cls))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    train(optimizer, params, 3, 0)
    schedule.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again = copy.deepcopy(params)
    resumed = cls(again)
    resumed.load_state_dict(torch.load(file))
    for one, of in ((optimizer, params), (resumed, again)):
        train(one, of, 3, 1)
    assert all(map(torch.equal, params, again))
    assert resumed.param_groups[0]["lr"] == 0.0625


@CLASSES
def test_maximize_turns_the_gradient(cls):
    """Without decay, which shrinks either way."""
    settings = full(cls) | ({"weight_decay": 0.0} if "weight_decay" in full(cls) else {})
    down, up = parameters(), parameters()
    optimizers = cls(down, lr=0.125, **settings), cls(up, lr=0.125, maximize=True, **settings)
    for factor, optimizer, params in zip((1.0, -1.0), optimizers, (down, up), strict=True):
        for step in range(1, 4):
            for param in params:
                param.grad = torch.full_like(param, factor * step)
            optimizer.step()
    assert all(map(torch.equal, down, up))


@CLASSES
def test_what_is_out_of_range_is_refused(cls):
    ranges = declaration_of(cls).ranges
    wrong = {"betas": (1.0, 0.5), "rho": 1.5, "dampening": "0.5", "beta2_decay": 1.0}
    assert ranges
    for name in ranges:
        with pytest.raises((ValueError, TypeError), match="(?i)" + name.split("_")[0].rstrip("s")):
            cls(parameters(), **{name: wrong.get(name, -1.0)})
