"""What can be judged is judged, whether or not the rule has a name; and wrong code fails."""

import pytest
from course import in_process, wrong
from course.fresh import RIGHT

from myoptim.course.check import NOT_JUDGED, PASSED

ADAM = RIGHT["adam_book"][1]
NAMELESS = ("vhat.sqrt()", "vhat.sqrt().tanh()")
"""A mistake that neither the catalogue nor a search knows."""
NUMPY = wrong.right("adam_numpy").replace("np.square(g)", "np.abs(np.sin(g))")


def judged(text, *edits, optimizer="Adam"):
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return in_process.verdict(text, optimizer)


def failed(verdict):
    return [result.criterion for result in verdict.failures]


def test_a_mistake_without_a_name_costs_what_one_with_a_name_costs():
    nameless = in_process.verdict(NUMPY, "Adam")
    named = judged(wrong.right("adam_numpy"), ("np.square(g)", "np.abs(g)"))
    assert named.diagnosis == ["not-squared"]
    assert nameless.diagnosis == []
    assert failed(nameless) == failed(named) == ["rule"]
    assert nameless.score == named.score == 65


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edits", "others"),
    [
        ((), []),
        ((('group["lr"]', 'self.defaults["lr"]'),), ["lr", "groups"]),
        ((("self.state[p]", 'vars(self).setdefault("kept", {}).setdefault(p, {})'),), ["state"]),
        ((("self.state[p]", 'globals().setdefault("kept", {}).setdefault(p, {})'),), ["state"]),
        ((("g = p.grad\n", "g = p.grad.mul_(1.1)\n"),), ["gradients"]),
    ],
    ids=["nothing", "defaults", "attribute", "global", "gradient"],
)
def test_beside_a_nameless_rule_the_contract_is_judged(edits, others):
    verdict = judged(ADAM, NAMELESS, *edits)
    assert failed(verdict) == ["rule", *others]
    by_name = {result.criterion: result.status for result in verdict.results}
    assert set(by_name.values()) <= {"failed", PASSED}


def test_where_nothing_moves_there_is_nothing_to_judge():
    verdict = judged(ADAM, ("p.addcdiv_(", "p = p.addcdiv("))
    by_name = {result.criterion: result.status for result in verdict.results}
    assert by_name["rule"] == by_name["groups"] == by_name["state"] == NOT_JUDGED
    assert verdict.score <= 40


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("adam_book", "betas=(0.9, 0.999)", "betas=(0.9, 0.99)", "(0.9, 0.99), torch's is (0.9,"),
        ("adam_lists", "beta1=0.9", "beta1=0.999", "the default of betas is (0.999, 0.999)"),
        ("adam_book", "eps=1e-8", "eps=1e-7", "the default of eps is 1e-07, torch's is 1e-08"),
    ],
)
def test_defaults_of_every_kind_are_checked(name, old, new, told):
    verdict = judged(RIGHT[name][1], (old, new))
    assert failed(verdict) == ["signature"]
    assert told in verdict.reason


def test_state_that_a_second_optimizer_finds_is_named():
    verdict = judged(ADAM, ("self.state[p]", 'globals().setdefault("kept", {}).setdefault(p, {})'))
    assert (failed(verdict), verdict.diagnosis) == (["state"], ["state-outlives"])


def test_a_zero_gradient_is_a_gradient():
    verdict = judged(ADAM, ("p.grad is None:", "p.grad is None or not p.grad.any():"))
    assert failed(verdict) == ["missing"]


def test_a_name_is_given_only_if_it_agrees_with_all_that_was_seen():
    """Counters outside of state_dict look like one counter for all, after a checkpoint alone."""
    verdict = judged(
        ADAM,
        ('                    st["t"] = 0\n', ""),
        ('st["t"] += 1', "self.t = getattr(self, 't', {}); self.t[p] = self.t.get(p, 0) + 1"),
        ('st["t"]', "self.t[p]"),
    )
    assert (failed(verdict), verdict.diagnosis) == (["state"], ["state-attribute"])
