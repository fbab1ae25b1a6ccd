import pytest
from course import fresh, in_process, wrong

from myoptim.course import check
from myoptim.course.check import explanation

SEEDS = (3, 4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", wrong.OPTIMIZERS)
def test_right_ones_pass_in_any_style(name, seed):
    verdict = in_process.verdict(wrong.right(name), wrong.OPTIMIZERS[name], seed)
    assert verdict.passed, verdict.reason
    assert verdict.score == verdict.max_score


@pytest.mark.parametrize(
    ("every", "at_least"),
    [pytest.param(1, 130, marks=pytest.mark.slow), (16, 10)],
    ids=["all", "some"],
)
def test_no_wrong_one_passes_and_nearly_all_are_named(every, at_least):
    misnamed = []
    total = 0
    for name, mistakes in wrong.MISTAKES.items():
        for mistake, edits in mistakes[::every]:
            verdict = in_process.verdict(wrong.wrong(name, edits), wrong.OPTIMIZERS[name], SEEDS[0])
            assert not verdict.passed, (name, mistake)
            total += 1
            if verdict.diagnosis != [mistake]:
                misnamed.append((name, mistake, verdict.diagnosis))
    assert total >= at_least
    assert len(misnamed) <= max(1, total * 0.05), misnamed


@pytest.mark.parametrize(
    ("name", "old", "new", "mistake", "criterion"),
    [
        ("sgd_inplace", "torch.clone(d_p).detach()", "d_p", "aliases-grad", "gradients"),
        ("sgd_inplace", "torch.clone(d_p).detach()", "d_p.detach()", "aliases-grad", "gradients"),
        ("sgd_inplace", "= d_p.add(p,", "= d_p.add_(p,", "mutates-grad", "gradients"),
        ("adam_inplace", "self.state[p]", "self.state[tuple(p.shape)]", "state-by-shape", "state"),
        ("rmsprop_inplace", "value=-1).sqrt_", "value=0).sub_(grad_avg).clamp_(min=0).sqrt_",
         "centered-unsquared", "rule"),
        ("nesterov_floats", 'group["weight_decay"]', 'self.param_groups[0]["weight_decay"]',
         "one-group-for-all", "groups"),
    ],
)  # fmt: skip
def test_a_mistake_fails_its_own_criterion_alone(name, old, new, mistake, criterion):
    text = wrong.right(name)
    assert text.count(old) == 1
    verdict = in_process.verdict(text.replace(old, new), wrong.OPTIMIZERS[name], SEEDS[0])
    assert [(r.criterion, r.diagnosis.ids) for r in verdict.failures] == [(criterion, (mistake,))]


def test_a_scratch_list_of_gradients_is_no_alias():
    """Who keeps the gradients and changes them has changed them, not remembered by them."""
    text = wrong.right("sgd_inplace")
    right = text.replace(
        "        return loss",
        "        self.kept = [p.grad for p in group['params']]\n        return loss",
    )
    assert in_process.verdict(right, "SGD").passed
    verdict = in_process.verdict(right.replace("= d_p.add(p,", "= d_p.add_(p,"), "SGD")
    assert verdict.diagnosis == ["mutates-grad"]


def test_arrays_in_the_state_cost_nothing_and_it_is_said_what_was_not_probed():
    verdict = in_process.verdict(wrong.right("adam_numpy_state"), "Adam")
    result = next(r for r in verdict.results if r.criterion == "state")
    assert verdict.score == verdict.max_score
    assert result.diagnosis.ids == ()
    assert "load_state_dict" in result.message
    assert "numpy arrays" in result.message


def test_a_state_that_cannot_be_loaded_is_told_by_its_exception():
    own = "    def load_state_dict(self, saved):\n        raise KeyError('m')\n\n"
    text = wrong.right("adam_inplace").replace("    def step(", own + "    def step(")
    verdict = in_process.verdict(text, "Adam")
    (result,) = verdict.failures
    assert result.criterion == "state"
    assert result.diagnosis.ids == ()
    assert result.message.startswith("KeyError")


def test_text_in_the_state_is_not_brought_back():
    text = fresh.RIGHT["adam_book"][1].replace("if len(st) == 0:", 'if st.get("is") != "begun":')
    text = text.replace('st["t"] = 0', 'st["t"], st["is"] = 0, "begun"')
    (result,) = in_process.verdict(text, "Adam").failures
    assert (result.criterion, result.diagnosis.ids) == ("state", ())
    assert "does not bring back text: state['is']" in result.message


@pytest.mark.slow
def test_two_mistakes_are_named_together():
    text = wrong.right("adam_numpy").replace("np.square(g)", "np.abs(g)")
    text = text.replace("self.m[i] / (1 - self.beta1 ** t)", "self.m[i]")
    verdict = in_process.verdict(text, "Adam")
    assert set(verdict.diagnosis) == {"not-squared", "bc-second-only"}
    assert next(r for r in verdict.results if r.criterion == "rule").diagnosis.together


@pytest.mark.parametrize(
    ("old", "new", "begins"),
    [
        ("np.square(g)", "np.abs(np.sin(g))", "the second moment"),
        ("+ (1 - self.beta1) * g\n", "+ (1 - self.beta1) * np.cos(g)\n", "the first moment"),
        ("theta -= self.lr * m_hat", "theta -= self.lr * np.cos(m_hat)", "the update"),
    ],
)
@pytest.mark.slow
def test_an_unknown_mistake_is_placed(old, new, begins):
    verdict = in_process.verdict(wrong.right("adam_numpy").replace(old, new), "Adam")
    result = next(r for r in verdict.results if r.criterion == "rule")
    assert verdict.diagnosis == []
    assert str(result.diagnosis).startswith(f"unknown, but it begins in {begins}")


def test_float32_inside_is_no_mistake():
    text = wrong.right("adam_inplace")
    text = text.replace("torch.zeros_like(p)", "torch.zeros_like(p, dtype=torch.float32)")
    text = text.replace("grad = p.grad if", "grad = p.grad.float() if").replace(
        "-p.grad", "-p.grad.float()"
    )
    text = text.replace("add(p, alpha", "add(p.float(), alpha")
    verdict = in_process.verdict(text, "Adam")
    assert verdict.passed, verdict.reason


def test_what_the_signature_lacks_is_said():
    verdict = in_process.verdict(wrong.right("adam_numpy"), "Adam")
    assert any("not probed" in note and "amsgrad" in note for note in verdict.notes)
    assert "beta1 and beta2 is betas" in verdict.notes


@pytest.mark.parametrize("hints", ["none", "hint", "name"])
def test_hints_give_no_more_than_the_teacher_allows(hints):
    text = wrong.right("adam_floats").replace(" + self.eps)", ")")
    result = next(r for r in in_process.verdict(text, "Adam").results if r.criterion == "rule")
    told = "\n".join(explanation(result, hints))
    assert ("no-eps" in told) == (hints == "name")
    assert ("Send a zero gradient." in told) == (hints != "none")
    assert "first difference" in told


def test_a_fault_of_the_checker_is_said_of_the_file_and_ends_nothing(monkeypatch):
    def stumble(self):
        raise RuntimeError("stumbled")

    monkeypatch.setattr(check._Judgement, "all", stumble)
    verdict = in_process.verdict(wrong.right("adam_inplace"), "Adam")
    assert not verdict.passed
    assert (
        "not graded: the checker itself fails on this file (RuntimeError: stumbled)"
        in verdict.reason
    )


TWO_GROUPS_AT_FAULT = """
import torch
from torch.optim import Optimizer

class Adagrad(Optimizer):
    def __init__(self, params, lr=1e-2, lr_decay=0, eps=1e-10):
        super().__init__(params, dict(lr=lr, lr_decay=lr_decay, eps=eps))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        for group in self.param_groups:
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"], state["sum"] = 0, torch.zeros_like(p)
                group["lr"] = group["lr"] / (1 + state["step"] * group["lr_decay"] + 0.01)
                state["step"] += 1
                state["sum"] += p.grad ** 2
                p -= group["lr"] * p.grad / (state["sum"].sqrt() + group["eps"])
        return loss
"""


def test_a_rule_without_a_name_in_which_parameters_disturb_each_other():
    """What a missing gradient changes is then compared with nothing, instead of with tensors."""
    verdict = in_process.verdict(TWO_GROUPS_AT_FAULT, "Adagrad")
    failed = {result.criterion: result for result in verdict.failures}
    assert "rule" in failed
    assert "the checker itself" not in verdict.reason
    assert failed["closure"].diagnosis.ids == ("closure-repeated",)
