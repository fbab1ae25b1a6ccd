"""The first divergence is found where it was planted, and equal optimizers are called equal."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from registry import OLD

import myoptim
from myoptim.lab.compare import compare
from myoptim.lab.errors import UsageError
from myoptim.lab.resolve import takers_of_vectors
from myoptim.lab.ulp import NAN_DISTANCE
from myoptim.optimizer import declaration_of

SHAPES = {"weight": (2, 3), "bias": (4,), "scale": ()}

# An optimizer with all its buffers, in the order in which a step updates them.
FULL = {
    "SGD": ({"momentum": 0.9}, ["momentum_buffer"]),
    "Adagrad": ({}, ["step", "sum"]),
    "RMSprop": (
        {"momentum": 0.9, "centered": True},
        ["step", "square_avg", "grad_avg", "momentum_buffer"],
    ),
    "Adam": ({"amsgrad": True}, ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]),
    "AdamW": ({}, ["step", "exp_avg", "exp_avg_sq"]),
}

HAVE_A_TWIN = [
    name for name in takers_of_vectors() if declaration_of(myoptim.OPTIMIZERS[name]).twin
]


def with_change(name, step, change):
    """An optimizer of torch's that calls `change(optimizer)` after its step number `step`."""

    class Changed(getattr(torch.optim, name)):
        made = 0

        def step(self, closure=None):
            super().step(closure)
            self.made += 1
            if self.made == step:
                change(self)

    return Changed


def nudge(tensor, index):
    """Move one element to the next number."""
    with torch.no_grad():
        tensor[index] = tensor[index].nextafter(torch.tensor(torch.inf))


@st.composite
def places(draw):
    """Where to plant a change: optimizer, step, parameter's number, quantity, element's index."""
    optimizer = draw(st.sampled_from(list(FULL)))
    quantity = draw(st.sampled_from([*FULL[optimizer][1], "param"]))
    param = draw(st.integers(0, 2))
    shape = () if quantity == "step" else list(SHAPES.values())[param]
    index = tuple(draw(st.integers(0, size - 1)) for size in shape)
    return optimizer, draw(st.integers(1, 12)), param, quantity, index


@given(places())
def test_a_planted_change_is_found_where_it_was_planted(place):
    optimizer, step, param, quantity, index = place

    def change(instance):
        target = instance.param_groups[0]["params"][param]
        nudge(target if quantity == "param" else instance.state[target][quantity], index)

    result = compare(
        optimizer, with_change(optimizer, step, change), settings=FULL[optimizer][0], steps=12
    )
    first = result.first_divergence
    assert first is not None
    assert (first.step, first.quantity, first.index) == (step, quantity, index)
    assert first.param == list(SHAPES)[param]
    assert first.ulp == 1
    assert first.b > first.a
    assert all(row.relative == 0 for row in result.growth[: step - 1])
    assert result.growth[step - 1].ulps[quantity] == 1


@pytest.mark.parametrize("optimizer", FULL)
def test_a_change_within_the_tolerance_is_not_reported(optimizer):
    changed = with_change(optimizer, 12, lambda it: nudge(it.param_groups[0]["params"][1], 3))
    result = compare(optimizer, changed, settings=FULL[optimizer][0], steps=12, tolerance=1)
    assert result.equal
    assert result.max_ulp == 1
    assert "equal up to 1 ulp over 12 steps (1 allowed)" in str(result)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", HAVE_A_TWIN)
def test_ours_equal_torchs(name, dtype):
    if OLD and name == "LBFGS":
        pytest.skip("torch warns of the loss's own graph here")
    cls = myoptim.OPTIMIZERS[name]
    declared = declaration_of(cls)
    options = {"settings_b": declared.twin_settings, "dtype": dtype, "steps": 30}
    result = compare(cls, declared.twin, **options)
    assert result.equal
    assert result.max_ulp == 0
    assert result.first_divergence is None
    assert "equal bits over 30 steps" in str(result)
    assert compare(cls, declared.twin, **options, problem="ravine").max_ulp == 0


def test_torchs_fused_adam_rounds_otherwise():
    result = compare("torch.optim:Adam", "torch.optim:Adam", settings_b={"fused": True})
    assert not result.equal
    assert result.only_rounding
    assert 1 <= result.max_ulp < 10_000
    assert compare(
        "torch.optim:Adam",
        "torch.optim:Adam",
        settings_b={"fused": True},
        tolerance=result.max_ulp,
    ).equal


@pytest.mark.parametrize(
    ("a", "b"), [("Adam", "AdamW"), ("SGD", "Nesterov"), ("RMSprop", "Adagrad"), ("SGD", "Adam")]
)
def test_other_rules_differ_by_more_than_rounding(a, b):
    result = compare(a, b)
    assert not result.equal
    assert not result.only_rounding
    assert result.first_divergence.step == 1


def test_nesterovs_overwritten_gradients_reach_nobody_else():
    options = {"nesterov": True, "foreach": True}  # torch's path that overwrites p.grad
    result = compare(
        "Nesterov", "torch.optim:SGD", settings={"weight_decay": 0}, settings_b=options
    )
    assert result.equal
    assert "B (torch.optim:SGD) changed the gradient of weight, first at step 1." in result.notes
    swapped = compare(
        "torch.optim:SGD", "Nesterov", settings={"weight_decay": 0}, settings_a=options
    )
    assert swapped.equal
    assert sum("changed the gradient" in note for note in swapped.notes) == 1


def test_a_removed_gradient_is_noted():
    def clear(instance):
        instance.param_groups[0]["params"][2].grad = None

    result = compare("SGD", with_change("SGD", 5, clear))
    assert result.equal
    assert "removed the gradient of scale, first at step 5" in str(result)


def test_random_numbers_are_each_ones_own():
    class Noisy(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            for p in self.param_groups[0]["params"]:
                p.data += torch.randn_like(p)

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    assert compare(Noisy, Noisy, seed=3).equal
    assert torch.rand(1).equal(expected)


# Buffers ----------------------------------------------------------------------------------------


class Textbook:
    """Adam as in the paper, with names, counters and hyper-parameters of its own."""

    step_of_mistake: int | None = None

    def __init__(self, params, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
        self.param_groups = [{"params": list(params), "lr": lr}]
        self.betas, self.eps, self.state = (beta1, beta2), eps, {}

    @torch.no_grad()
    def step(self):
        beta1, beta2 = self.betas
        for p in self.param_groups[0]["params"]:
            if p.grad is None:
                continue
            s = self.state.setdefault(
                p, {"v": torch.zeros_like(p), "m": torch.zeros_like(p), "t": 0}
            )
            s["t"] += 1
            s["m"] = beta1 * s["m"] + (1 - beta1) * p.grad
            s["v"] = beta2 * s["v"] + (1 - beta2) * p.grad**2
            if s["t"] == self.step_of_mistake:
                s["v"] = s["v"] * 1.5
            m, v = s["m"] / (1 - beta1 ** s["t"]), s["v"] / (1 - beta2 ** s["t"])
            p -= self.param_groups[0]["lr"] * m / (v.sqrt() + self.eps)


SAME = {"settings_a": {"betas": (0.6, 0.8)}, "settings_b": {"beta1": 0.6, "beta2": 0.8}}


def test_buffers_of_other_names_are_matched_by_value():
    result = compare("Adam", Textbook, **SAME, dtype=torch.float64)
    assert result.buffers == {"step": "t", "exp_avg": "m", "exp_avg_sq": "v"}
    assert result.only_rounding
    assert "step is t in B, exp_avg is m in B, exp_avg_sq is v in B" in str(result)


def test_a_mistake_in_a_buffer_of_another_name_is_found_there():
    class Wrong(Textbook):
        step_of_mistake = 6

    result = compare("Adam", Wrong, **SAME, tolerance=10_000)
    first = result.first_divergence
    assert (first.step, first.param, first.quantity) == (6, "weight", "exp_avg_sq")
    assert first.b == pytest.approx(1.5 * first.a, rel=1e-5)
    assert "exp_avg_sq (v in B)" in str(result)


def test_buffers_without_counterpart_are_noted():
    result = compare("Adam", "torch.optim:Adam", settings_a={"amsgrad": True})
    assert "buffers of A without counterpart: max_exp_avg_sq." in result.notes
    assert result.buffers == {name: name for name in ("step", "exp_avg", "exp_avg_sq")}


def test_a_buffer_is_named_before_the_parameter_that_follows_from_it():
    result = compare(
        "Adam", "Adam", settings_b={"betas": (0.6, 0.9)}, settings_a={"betas": (0.6, 0.8)}
    )
    first = result.first_divergence
    assert (first.step, first.quantity, first.index) == (1, "exp_avg_sq", (0, 0))


def test_a_wrong_step_counter_is_named():
    def skip(instance):
        for state in instance.state.values():
            state["step"] += 1

    first = compare("Adam", with_change("Adam", 4, skip)).first_divergence
    assert (first.step, first.quantity, first.index, first.a, first.b) == (4, "step", (), 4, 5)


# Hyper-parameters -------------------------------------------------------------------------------


def test_amplified_values_go_to_those_who_have_them_both():
    result = compare("SGD", "torch.optim:SGD")
    expected = {"lr": 0.1, "momentum": 0.6, "weight_decay": 0.2, "dampening": 0.3}
    assert result.settings_a == result.settings_b == expected
    result = compare("Adam", Textbook)
    assert result.settings_a == result.settings_b == {"lr": 0.1, "eps": 0.1}
    assert "only A (Adam) has betas, weight_decay: left at the default." in result.notes


def test_what_is_given_is_not_amplified():
    result = compare("SGD", "SGD", settings={"lr": 0.5}, settings_a={"momentum": 0.7})
    assert result.settings_a == {"lr": 0.5, "momentum": 0.7, "weight_decay": 0.2, "dampening": 0.3}
    assert result.settings_b == {"lr": 0.5, "weight_decay": 0.2, "dampening": 0.3}


def test_other_defaults_are_noted():
    class Keras(torch.optim.RMSprop):
        def __init__(self, params, lr=1e-3, alpha=0.9, eps=1e-8):
            super().__init__(params, lr=lr, alpha=alpha, eps=eps)

    result = compare("RMSprop", Keras)
    assert result.equal
    assert "the defaults of alpha differ: 0.99 in A, 0.9 in B." in result.notes


def test_without_an_lr_to_change_it_stays():
    class Fixed:
        def __init__(self, params, lr=0.1):
            self.params, self.rate = list(params), lr

        @torch.no_grad()
        def step(self):
            for p in self.params:
                if p.grad is not None:
                    p.add_(p.grad, alpha=-self.rate)

    result = compare("SGD", Fixed)
    assert result.equal
    assert "B (Fixed) has no param_groups with an lr: it stays the same." in result.notes


def test_on_a_problem_both_get_the_same_rate():
    result = compare("Adam", with_change("Adam", 10**9, None), problem="ravine", steps=5)
    assert result.equal
    assert result.settings_a == result.settings_b == {"lr": 0.3}
    assert result.task == "ravine"


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_few_steps(steps):
    result = compare("Adam", "torch.optim:Adam", steps=steps)
    assert result.equal
    assert [row.step for row in result.growth] == list(range(1, steps + 1))


# Results that are no numbers --------------------------------------------------------------------


def test_nan_in_one_is_a_divergence_and_in_both_is_not():
    def poison(instance):
        instance.param_groups[0]["params"][1].data[2] = torch.nan

    poisoned = with_change("SGD", 7, poison)
    result = compare("SGD", poisoned)
    first = result.first_divergence
    assert (first.step, first.param, first.index, first.quantity) == (7, "bias", (2,), "param")
    assert result.max_ulp == first.ulp == NAN_DISTANCE
    assert not result.only_rounding
    assert "NaN in one of them" in str(result)
    result.plot()
    assert compare(poisoned, poisoned).equal


def test_both_diverge_alike():
    options = {"problem": "four_square", "settings": {"lr": 10.0}, "steps": 200}
    assert compare("SGD", "torch.optim:SGD", **options).equal


def test_complex_parameters():
    assert compare("Adam", "torch.optim:Adam", dtype=torch.complex64).equal
    first = compare("Adam", "AdamW", dtype=torch.complex64).first_divergence
    assert len(first.a) == len(first.b) == 2


# What it is printed as --------------------------------------------------------------------------


def test_json_holds_what_was_promised():
    found = json.loads(json.dumps(compare("Adam", "AdamW").as_dict()))
    assert found["equal"] is False
    assert found["max_ulp"] >= found["first_divergence"]["ulp"] > 0
    assert set(found["first_divergence"]) == {"step", "param", "index", "quantity", "a", "b", "ulp"}
    assert found["first_divergence"]["index"] == [0, 0]
    assert compare("Adam", "Adam").as_dict()["first_divergence"] is None


def test_the_table_holds_the_first_divergence_and_the_largest_distance():
    result = compare("torch.optim:Adam", "torch.optim:Adam", settings_b={"fused": True}, steps=70)
    headings, rows = result.table()
    assert headings[0] == "step"
    assert "step" not in headings[1:]  # the counters are equal
    assert len(rows) <= 22
    assert str(result.first_divergence.step) in [row[0] for row in rows]
    assert any(f"{result.max_ulp:,} ulp" in row for row in rows)


def test_the_picture_has_a_line_for_each_quantity_that_differs():
    figure = compare("Adam", "AdamW").plot()
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["exp_avg", "exp_avg_sq", "param", "first divergence"]
    compare("Adam", "Adam").plot()


# Wrong use --------------------------------------------------------------------------------------


def test_which_of_the_two_raised():
    def fail(instance):
        raise RuntimeError("no more")

    with pytest.raises(UsageError, match=r"(?s)^step 4 of B \(Changed\) raised.*no more"):
        compare("Adam", with_change("Adam", 4, fail))
    with pytest.raises(UsageError, match=r"(?s)^step 4 of A \(Changed\) raised.*no more"):
        compare(with_change("Adam", 4, fail), "Adam", problem="ravine")
    with pytest.raises(UsageError, match=r"constructing A \(SGD\) raised"):
        compare("SGD", "SGD", settings_a={"lr": -1.0})
    with pytest.raises(UsageError, match=r"unknown hyper-parameter of B \(Adam\) 'momentum'"):
        compare("SGD", "Adam", settings={"momentum": 0.9})


def test_bad_arguments():
    with pytest.raises(UsageError, match="0 ulp or more; got -1"):
        compare("SGD", "SGD", tolerance=-1)
    with pytest.raises(UsageError, match="at least 1; got 0"):
        compare("SGD", "SGD", steps=0)
    with pytest.raises(UsageError, match="unknown problem 'ravin': did you mean ravine"):
        compare("SGD", "SGD", problem="ravin")
