"""A framework's optimizer in the shape that compare, trace and race need."""

import json

import pytest
import torch
from typer.testing import CliRunner

from myoptim.cli import app
from myoptim.lab import frameworks
from myoptim.lab.compare import compare
from myoptim.lab.errors import UsageError
from myoptim.lab.frameworks.dictionary import FRAMEWORKS
from myoptim.lab.resolve import hyperparameters, resolve
from myoptim.lab.trace import trace

SGDS = {
    "keras": "keras:SGD",
    "optax": "optax:sgd",
    "mlx": "mlx:SGD",
    "tinygrad": "tinygrad:SGD",
    "sklearn": "sklearn:sgd(momentum=0.0)",
    "paddle": "paddle:SGD",
    "tf1": "tf1:GradientDescentOptimizer",
}
each_framework = pytest.mark.parametrize("framework", frameworks.ADAPTERS)


def run(*args):
    return CliRunner().invoke(app, list(args))


@each_framework
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_handed_over_and_back_bit_for_bit(framework, dtype, installed):
    """With rate 1, zero becomes minus the gradient; with rate 0 the parameter stays."""
    installed([framework])
    bits = torch.rand(1000, dtype=torch.float64).sub_(0.5).mul_(1e3).to(dtype)
    for start, gradient, lr, expected in (
        (torch.zeros_like(bits), bits, 1.0, -bits),
        (bits, torch.ones_like(bits), 0.0, bits),
    ):
        param = start.clone().requires_grad_()
        param.grad = gradient.clone()
        resolve(SGDS[framework])([param], lr=lr, **momentum(framework)).step()
        assert param.dtype == dtype
        assert torch.equal(param.detach(), expected)
        assert torch.equal(param.grad, gradient)


def momentum(framework):
    return {"momentum": 0.0} if framework == "sklearn" else {}


@each_framework
def test_a_parameter_without_a_gradient(framework, installed):
    """It is left alone, or refused where the framework needs all; never taken for zero."""
    installed([framework])
    params = [torch.ones(2, requires_grad=True) for _ in range(2)]
    optimizer = resolve(SGDS[framework])(params, lr=0.5, **momentum(framework))
    params[0].grad = torch.ones(2)
    if optimizer.skips_missing:
        optimizer.step()
        assert params[0].tolist() == [0.5, 0.5]
        assert params[1].tolist() == [1.0, 1.0]
        return
    with pytest.raises(UsageError, match="needs a gradient for every parameter, and 1 of 2"):
        optimizer.step()


@each_framework
def test_the_learning_rate_can_change_and_a_closure_is_called(framework, installed):
    installed([framework])
    param = torch.zeros(1, requires_grad=True)
    optimizer = resolve(SGDS[framework])([param], lr=1.0, **momentum(framework))
    for lr in (1.0, 0.5, 0.25):
        optimizer.param_groups[0]["lr"] = lr

        def closure():
            param.grad = torch.ones(1)
            return 7.0

        assert optimizer.step(closure) == 7.0
    assert param.tolist() == [-1.75]


@pytest.mark.parametrize("param", [torch.zeros(1, dtype=torch.bfloat16), {"params": []}])
def test_what_cannot_be_handed_over_is_refused(param, installed):
    installed(["optax"])
    with pytest.raises(UsageError, match="optax"):
        resolve("optax:sgd")([param], lr=0.1)


@each_framework
def test_buffers_are_seen(framework, installed):
    installed([framework])
    spec = {
        "optax": "optax:adam",
        "sklearn": "sklearn:adam",
        "tf1": "tf1:AdamOptimizer",
    }.get(framework, f"{framework}:Adam")
    param = torch.zeros(2, 3, requires_grad=True)
    param.grad = torch.ones(2, 3)
    optimizer = resolve(spec)([param], lr=0.5)
    optimizer.step()
    buffers = optimizer.state[param]
    assert {tuple(buffer.shape) for buffer in buffers.values()} == {(2, 3)}
    values = sorted({round(float(b.flatten()[0]), 6) for b in buffers.values()})
    assert values[:2] == [0.001, 0.1]


def test_compare_names_the_buffers_of_both(installed):
    installed(["keras"])
    found = compare("Adam", "keras:Adam", dtype=torch.float64, settings={"weight_decay": 0.0},
                    tolerance=1000)  # fmt: skip
    assert not found.equal
    assert not found.only_rounding
    assert found.buffers == {"exp_avg": "momentum", "exp_avg_sq": "velocity"}
    assert found.first_divergence.quantity == "param"


def test_compare_on_the_command_line(installed):
    installed(["optax"])
    result = run("compare", "Adam", "optax:adam(1e-3)", "--dtype", "float64", "--ulp", "1000",
                 "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["only_rounding"]
    assert found["settings_b"]["lr"] == 1e-3
    assert any("needs every gradient" in note for note in found["notes"])


def test_trace_and_race_take_the_problems_rate(installed, tmp_path, monkeypatch):
    installed(["keras", "optax"])
    ours = trace("Adam", "square", steps=3)
    theirs = trace("keras:Adam", "square", steps=3, settings={"eps": 1e-8})
    assert theirs.settings["lr"] == ours.settings["lr"]
    assert abs(theirs.losses - ours.losses).max() < 1e-4
    monkeypatch.chdir(tmp_path)
    result = run("race", "--problems", "square", "--optimizers",
                 "Adam, optax:adam(0.25, b1=0.5), keras:Adam", "--steps", "5")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "optax:adam(0.25, b1=0.5)" in result.stdout
    assert "keras:Adam" in result.stdout


def test_optimizers_without_a_row_run_too(installed):
    """Their words are read from their signatures."""
    installed(["optax", "keras"])
    for spec in ("optax:lamb(0.5)", "keras:Lamb(0.5)"):
        cls = resolve(spec)
        assert {"lr", "betas", "eps", "weight_decay"} <= hyperparameters(cls).keys()
        assert cls.given == {"lr": 0.5}
        param = torch.full((4,), 2.0, requires_grad=True)
        param.grad = torch.ones(4)
        cls([param], **cls.given, weight_decay=0.0).step()
        # The step has the size of the parameter, times the learning rate.
        assert param.tolist() == pytest.approx([1.0] * 4)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("optax:adm", "unknown optimizer of optax 'adm': did you mean"),
        ("keras:adam", "did you mean Adam"),
        ("sklearn:lbfgs", "Known: sgd, adam"),
        ("optax:adam(beta=1)", "unknown argument of optax.adam 'beta'"),
        ("optax:adam(1, 2, 3, 4, 5, 6, 7, 8)", "takes 7 arguments"),
        ("optax:adam(1e-3, learning_rate=1)", "learning_rate of optax.adam is given twice"),
        ("optax:adam(__import__('os'))", "which is not evaluated"),
        ("optax:adam(**x)", "write the arguments out"),
        ("optax:adam(", "expected a call"),
        ("optax:adam('a')", "must be a finite number; got 'a'"),
        ("keras:SGD(clipnorm=x)", "clipnorm of keras.optimizers.SGD must be written as a literal"),
        ("keras:SGD(nesterov=1)", "must be True or False; got 1"),
    ],
)
def test_wrong_use(spec, said, installed):
    installed([spec.partition(":")[0]])
    with pytest.raises(UsageError) as error:
        resolve(spec)
    assert said in str(error.value)


def test_what_belongs_to_the_model_is_left_out_and_to_the_loop_refused(installed):
    installed(["sklearn"])
    resolve("sklearn:sgd(hidden_layer_sizes=(3,))")([torch.ones(1)], lr=0.1)
    with pytest.raises(UsageError, match=r"learning_rate of .* belongs to its training loop"):
        resolve("sklearn:sgd(learning_rate='adaptive')")([torch.ones(1)], lr=0.1)


def test_all_frameworks_have_an_adapter_or_need_none():
    assert set(FRAMEWORKS) - set(frameworks.ADAPTERS) == {"torch", "myoptim"}
