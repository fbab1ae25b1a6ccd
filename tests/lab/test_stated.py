"""The mathematics of docstrings and pages states what the optimizers do."""

from pathlib import Path

import pytest

import myoptim
from myoptim.lab.formulas import FormulaError
from myoptim.lab.stated import equations, hold, normalized_latex
from myoptim.optimizer import declaration_of
from myoptim.rules import ElementwiseRule

PAGES = Path(__file__).parents[2] / "docs" / "optimizers"
#: Numbers of the state that change after the step belong to the next: that is not read here.
CLASSES = [
    cls
    for cls in myoptim.OPTIMIZERS.values()
    if issubclass(cls, ElementwiseRule) and declaration_of(cls).after is None
]
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def held(cls, text):
    """What becomes of a text's equations; the test is skipped where LaTeX is beyond the reader."""
    stated = hold(cls, text)
    if stated.unread:
        pytest.skip(stated.unread[0])
    return stated


EDITS = [
    (r"- \eta", r"+ \eta"),
    (r"- \frac{\eta}", r"+ \frac{\eta}"),
    (r"- \gamma_t", r"+ \gamma_t"),
    (r"\sqrt", ""),
    (r"(1 - \beta_1^t)", r"(1 - \beta_1)"),
    (r"(1 - \beta_2)", r"(1 - \beta_1)"),
    (r"(1 - \tau)", r"(1 + \tau)"),
    (r"(t-1)\,\kappa", r"t\,\kappa"),
    (r"g_t^2", "g_t"),
    (r"\mu\, b_t", r"2\mu\, b_t"),
    (r"\eta\,\lambda)", r"\lambda)"),
]


@each_class
def test_docstring_states_what_the_optimizer_does(cls):
    stated = held(cls, cls.__doc__)
    assert stated.wrong == []
    assert any(equation.left == "θₜ" for equation in stated.held)


@each_class
def test_page_states_what_the_optimizer_does(cls):
    page = PAGES / f"{cls.__name__.lower()}.md"
    stated = held(cls, page.read_text(encoding="utf-8"))
    assert stated.wrong == []
    assert any(equation.left == "θₜ" for equation in stated.held)


@each_class
def test_an_edit_of_what_is_stated_is_caught(cls):
    assert held(cls, cls.__doc__).held
    mutants = [cls.__doc__.replace(old, new, 1) for old, new in EDITS if old in cls.__doc__]
    assert mutants
    assert [mutant for mutant in mutants if not held(cls, mutant).wrong] == []


def test_most_are_read():
    read = [cls.__name__ for cls in CLASSES if not hold(cls, cls.__doc__).unread]
    assert {"SGD", "Momentum", "Nesterov", "Adagrad", "RMSprop", "Adam", "AdamW"} < set(read)


def test_the_first_block_states_the_optimizer_as_it_is():
    doc = myoptim.Nesterov.__doc__
    plain = doc.replace(r"\mu\, b_t)", r"\mu\, b_{t-1})")  # true of momentum without looking ahead
    assert plain != doc
    assert len(hold(myoptim.Nesterov, plain).wrong) == 1


def test_latex_in_the_signs_of_formulas():
    tex = r"\theta_{t-1} - \frac{\eta}{1 + (t-1)\,\kappa}\, \hat{m}_t^2 / \sqrt{\bar v_t}"
    assert normalized_latex(tex) == "θₜ₋₁ - ((η) / (1 + (t-1) κ))  m̂ₜ^(2) / √(v̄ₜ)"
    with pytest.raises(FormulaError, match=r"what .oint means"):
        normalized_latex(r"\oint x")


def test_equations_are_those_of_letters_with_a_time():
    block = r"m_t &= g_t, \qquad b_1 = g_1 \\ \lambda_\text{paper} = \eta\,\lambda \\ x \ge 0"
    assert [equation.left for equation in equations(block)] == ["mₜ", "b₁"]
