"""Verdicts of `translate`, without any framework: `tests/frameworks` holds them against those."""

import json

import pytest
import torch
from registry import OLD
from typer.testing import CliRunner

import myoptim
from myoptim.cli import app
from myoptim.dialects import DIALECTS
from myoptim.lab.errors import UsageError
from myoptim.lab.frameworks.dictionary import FRAMEWORKS
from myoptim.lab.translate import (
    AT_CONSTANT_LR,
    DIALECT,
    EXACT,
    IMPOSSIBLE,
    TARGETS,
    VERDICTS,
    translate,
)


@pytest.mark.parametrize(
    ("call", "target", "verdict", "answer"),
    [
        ("keras:SGD(0.1)", "torch", EXACT, "torch.optim.SGD(params, lr=0.1)"),
        (
            "keras.optimizers.SGD(0.1, momentum=0.9)",
            "torch",
            AT_CONSTANT_LR,
            "torch.optim.SGD(params, lr=0.1, momentum=0.9)",
        ),
        ("keras:Adam()", "torch", DIALECT, "myoptim.dialects.KerasAdam(params, lr=0.001)"),
        ("optax.adam(1e-3)", "torch", EXACT, "torch.optim.Adam(params, lr=0.001)"),
        (
            "optax.adamw(1e-3)",
            "torch",
            EXACT,
            "torch.optim.AdamW(params, lr=0.001, weight_decay=0.0001)",
        ),
        (
            "optax.rmsprop(1e-3)",
            "torch",
            DIALECT,
            "myoptim.dialects.KerasRMSprop(params, lr=0.001, eps=1e-08)",
        ),
        ("mlx.optimizers.Adam(1e-3)", "torch", DIALECT,
         "myoptim.dialects.MLXAdam(params, lr=0.001)"),
        (
            "keras:Nadam(1e-3)",
            "torch",
            EXACT,
            "torch.optim.NAdam(params, lr=0.001, eps=1e-07, momentum_decay=1.0, "
            "decoupled_weight_decay=True)",
        ),
        ("torch.optim.NAdam(p)", "optax", DIALECT, "optax.nadam(learning_rate=0.002)"),
        (
            "mlx.optimizers.Adamax(1e-3)",
            "torch",
            DIALECT,
            "myoptim.dialects.KerasAdamax(params, lr=0.001, eps=1e-08, bias_correction=False)",
        ),
        ("optax.radam(1e-3)", "torch", DIALECT, "myoptim.dialects.OptaxRAdam(params, lr=0.001)"),
        ("optax.lion(1e-3)", "keras", EXACT,
         "keras.optimizers.Lion(learning_rate=0.001, weight_decay=0.001)"),
        ("mlx.optimizers.Lion(1e-3)", "torch", DIALECT, "myoptim.Lion(params, lr=0.001)"),
        ("optax.rprop(1e-3)", "torch", DIALECT, "myoptim.dialects.OptaxRprop(params, lr=0.001)"),
        ("paddle:Adamax()", "torch", DIALECT, "myoptim.dialects.PaddleAdamax(params, lr=0.001)"),
        ("paddle:ASGD(0.1)", "torch", EXACT, "torch.optim.SGD(params, lr=0.1)"),
        ("keras:Adafactor()", "torch", DIALECT,
         "myoptim.dialects.PaperAdafactor(params, lr=0.001)"),
        ("mlx:Adafactor()", "keras", AT_CONSTANT_LR,
         "keras.optimizers.Adafactor(learning_rate=0.01)"),
        ("torch.optim.Adafactor(p)", "keras", DIALECT,
         "keras.optimizers.Adafactor(learning_rate=0.01)"),
        ("keras:Muon()", "torch", EXACT, "torch.optim.Muon(params, lr=0.001, weight_decay=0.004, "
         "adjust_lr_fn='match_rms_adamw')"),
        ("torch.optim.Muon(p)", "keras", DIALECT,
         "keras.optimizers.Muon(learning_rate=0.001, weight_decay=0.1)"),
        ("myoptim.Momentum(p)", "optax", EXACT,
         "optax.sgd(learning_rate=0.001, momentum=0.9)"),
        ("optax.contrib.prodigy()", "torch", DIALECT,
         "myoptim.Prodigy(params, lr=1.0, use_bias_correction=True)"),
        ("myoptim.ScheduleFreeSGD(p)", "optax", EXACT,
         "optax.contrib.schedule_free_sgd(learning_rate=1.0)"),
        ("myoptim.Prodigy(p)", "optax", DIALECT, "optax.contrib.prodigy(learning_rate=1.0)"),
        ("torch.optim.ASGD(p)", "keras", IMPOSSIBLE, None),
        ("torch.optim.Adam(p, amsgrad=True)", "mlx", IMPOSSIBLE,
         "mlx.optimizers.Adam(learning_rate=0.001, bias_correction=True)"),
        ("optax.adam(1e-3, nesterov=True)", "torch", IMPOSSIBLE, None),
    ],
)  # fmt: skip
def test_verdicts(call, target, verdict, answer):
    if OLD and "Muon" in call:
        pytest.skip("torch has no Muon here")
    found = translate(call, target)
    assert (found.verdict, found.call) == (verdict, answer)
    assert "Filled in" in found.reason
    alone = "has no optimizer of this kind" in found.reason
    assert (found.first_divergence is None) == (verdict == EXACT or answer is None or alone)


def test_json_and_exit_codes():
    result = CliRunner().invoke(app, ["translate", "keras:SGD(0.1)", "torch", "--json"])
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)) == {"verdict", "call", "reason", "first_divergence"}
    result = CliRunner().invoke(app, ["translate", "keras:Adam()", "torch"])
    assert result.exit_code == 1
    assert "First divergence: step 1" in result.stdout


@pytest.mark.parametrize(
    ("call", "target", "said"),
    [
        ("keras:Ftrl()", "torch", "Ftrl of keras is not translated: no rule of ours computes it."),
        ("keras:Ftrl()", "tf1", "myoptim compare keras:Ftrl tf1:FtrlOptimizer runs the two."),
        ("optax.chain(optax.clip(1.0), optax.adam(1e-3))", "torch", "translate those"),
        ("optax.contrib.muon(1e-3)", "torch", "by the columns over the rows"),
        ("optax.contrib.schedule_free_sgd(warmup_steps=9)", "torch", "computes warmup_steps=9."),
        ("torch.optim.LBFGS(p)", "paddle", "its steps evaluate the loss"),
        ("torch.optim.SparseAdam(p)", "optax", "it takes sparse gradients only"),
        (
            "mlx:Muon(1e-3)",
            "torch",
            "its weight decay joins the gradient (L2), as in no rule of ours",
        ),
        ("torch.optim.Muon(p)", "mlx", "mlx.optimizers.Muon has that name, but its weight decay"),
        (
            "keras:Adam(clipnorm=1.0, name=any.code())",
            "torch",
            "Nothing here computes clipnorm=1.0",
        ),
        ("optax.adamw(1e-3, mask=lambda p: p)", "torch", "computes mask=lambda p: p."),
        ("sklearn.neural_network.MLPClassifier(solver='lbfgs')", "torch", "evaluate the loss"),
    ],
)
def test_what_cannot_be_translated_says_why(call, target, said):
    if OLD and "Muon" in call:
        pytest.skip("torch has no Muon here")
    found = translate(call, target)
    assert (found.verdict, found.call, found.first_divergence) == (IMPOSSIBLE, None, None)
    assert said in found.reason


@pytest.mark.parametrize(
    "call",
    [
        "torch.optim.Adam(p, foreach=True, fused=None)",
        "torch.optim.Adam([{'params': a}, {'params': b}])",
        "torch.optim.Adam(params=(p for p in model.parameters()))",
        "optim.Adam",
    ],
)
def test_what_has_no_effect_is_no_hindrance(call):
    assert translate(call, "optax").call == "optax.adam(learning_rate=0.001)"


def test_every_optimizer_of_torch_and_of_ours_is_known():
    """`tests/frameworks` asks the same of the others."""
    classes = {n for n, v in vars(torch.optim).items() if isinstance(v, type)}
    known = FRAMEWORKS["torch"].entries.keys() | FRAMEWORKS["torch"].others.keys()
    assert classes <= known
    known = FRAMEWORKS["myoptim"].entries.keys() | FRAMEWORKS["myoptim"].others.keys()
    assert known == myoptim.OPTIMIZERS.keys() | DIALECTS.keys()


@pytest.mark.parametrize("name", FRAMEWORKS["myoptim"].entries)
def test_ours_are_translated_to_everything(name):
    """No class lacks what the machinery asks of it."""
    for target in TARGETS:
        found = translate(f"myoptim:{name}(lr=0.125)", target)
        assert found.verdict in VERDICTS
        assert found.reason


@pytest.mark.parametrize(
    ("call", "target", "said"),
    [
        ("Adam(1e-3)", "torch", "which framework's optimizer"),
        ("keras:Adm()", "torch", "did you mean Adam"),
        ("keras:Adam()", "jax", "unknown target 'jax'"),
        ("optax.adam()", "torch", "needs learning_rate"),
        ("optax.adam(exit())", "torch", "which is not evaluated"),
        ("optax.adam(optax.cosine_decay_schedule(1e-3, 9))", "torch", "write its first rate"),
        ("keras:SGD(-1.0)", "torch", "Invalid learning rate"),
        ("keras:SGD(1e400)", "torch", "must be a finite number; got inf"),
        (f"keras:SGD({'9' * 400})", "torch", "must be a finite number"),
        ("keras:SGD(np.float32(0.1))", "torch", "which is not evaluated"),
        ("keras:SGD(0)", "torch", "no parameter moves"),
        ("keras:RMSprop(rho=2.0)", "torch", "leaves the range"),
        ("torch.optim.SGD(0.1)", "keras", "params of torch.optim.SGD must be parameters"),
        ("torch.optim.SGD([{'params': p, 'lr': 0.1}])", "keras", r"of their own \(lr\) are not"),
        ("torch.optim.SGD([{'params': [1], 'lr': 0.1}])", "keras", r"of their own \(lr\) are not"),
        ("sklearn.neural_network.MLPClassifier(solver=x)", "torch", "solver must be written"),
        ("keras:Adam(" + "1," * 2000 + ")", "torch", "up to 2000 characters; got one of 4012"),
        ("mlx:Adam(1e-3, betas=0.9)", "torch", r"written like \[0.9, 0.999\]"),
        ("__import__('os').remove('x')", "torch", "expected a call"),
        ("keras:Adam(1e-3).minimize", "torch", "expected a call"),
        ("keras:Adam(); 1", "torch", "expected a call"),
        ("torch.optim.Adam(*a)", "keras", r"\* is not read: write the arguments out"),
        ("keras:Adam(**b)", "torch", r"\*\* is not read: write the arguments out"),
    ],
)
def test_wrong_use(call, target, said):
    with pytest.raises(UsageError, match=said):
        translate(call, target)
