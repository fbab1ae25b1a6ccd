"""Verdicts of `translate`, without any framework: `tests/frameworks` holds them against those."""

import json

import pytest
from typer.testing import CliRunner

from myoptim.cli import app
from myoptim.lab.errors import UsageError
from myoptim.lab.translate import AT_CONSTANT_LR, DIALECT, EXACT, IMPOSSIBLE, translate


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
        ("torch.optim.ASGD(p)", "keras", IMPOSSIBLE, None),
        ("torch.optim.Adam(p, amsgrad=True)", "mlx", IMPOSSIBLE,
         "mlx.optimizers.Adam(learning_rate=0.001, bias_correction=True)"),
        ("optax.adam(1e-3, nesterov=True)", "torch", IMPOSSIBLE, None),
    ],
)  # fmt: skip
def test_verdicts(call, target, verdict, answer):
    found = translate(call, target)
    assert (found.verdict, found.call) == (verdict, answer)
    assert "Filled in" in found.reason
    assert (found.first_divergence is None) == (verdict == EXACT or answer is None)


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
        ("Adam(1e-3)", "torch", "which framework's optimizer"),
        ("keras:Adm()", "torch", "did you mean Adam"),
        ("keras:Adam()", "jax", "unknown target 'jax'"),
        ("optax.adam()", "torch", "needs learning_rate"),
        ("optax.adam(exit())", "torch", "which is not evaluated"),
        ("keras:SGD(-1.0)", "torch", "Invalid learning rate"),
    ],
)
def test_wrong_use(call, target, said):
    with pytest.raises(UsageError, match=said):
        translate(call, target)
