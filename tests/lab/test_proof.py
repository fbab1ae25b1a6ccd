"""Formulas beside statements: read, proven, and caught where they lie."""

import importlib
import importlib.util
import inspect
import json
import pkgutil
import re

import annotated_rules
import pytest
import sympy
import torch
from typer.testing import CliRunner

import myoptim
from myoptim.cli import app
from myoptim.dialects import DIALECTS
from myoptim.lab.formulas import FormulaError, parse, read_letters
from myoptim.lab.proof import OPERATORS, WrongFormula, equal, evaluate, prove, with_formulas
from myoptim.lab.resolve import rule_of
from myoptim.lab.source import read_source

CLASSES = (*myoptim.OPTIMIZERS.values(), *DIALECTS.values())
OURS = list(dict.fromkeys(rule for cls in CLASSES for rule in with_formulas(cls)))
OTHERS = [
    function
    for function in vars(annotated_rules).values()
    if inspect.isfunction(function) and function.__module__ == annotated_rules.__name__
]
RULES = [pytest.param(rule, id=rule.__name__) for rule in OURS + OTHERS]


def load(path, source):
    """Write a module and import it."""
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rule_with(tmp_path, *statements, letters="θ = param, g = grad, η = lr"):
    """A rule of these statements."""
    body = "\n    ".join([f'"""A step: {letters}."""', *statements])
    source = f"import math\nimport torch\ndef rule(param, grad, *, lr):\n    {body}\n"
    return load(tmp_path / "written_rule.py", source).rule


# Every rule is proven ---------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_every_formula_is_proven(rule):
    proofs = prove(rule)
    lines = {proof.line for proof in proofs.proofs}
    assert len(lines) == proofs.formulas > 0
    assert len(proofs.proofs) >= proofs.formulas


def test_every_optimizer_with_a_rule_is_among_them():
    names = {rule.__name__ for rule in OURS}
    assert names >= {"sgd", "adagrad", "rmsprop", "adam", "l2", "shrink", "paper_shrink"}
    assert names >= {rule_of(cls).__name__ for cls in DIALECTS.values()}


def test_no_comment_beside_a_statement_of_an_algorithm_is_left_out():
    """Of all functions, whoever calls them: what trails a statement is a formula, and proven."""
    for module in pkgutil.iter_modules(myoptim.algorithms.__path__, "myoptim.algorithms."):
        for name, function in vars(importlib.import_module(module.name)).items():
            if inspect.isfunction(function) and function not in OURS:
                trailing = [s.comment for s in read_source(function).statements if s.comment]
                assert not trailing, (module.name, name, trailing)


def test_a_function_of_the_code_is_called_where_a_formula_names_it(tmp_path):
    source = """
import torch
def length(x, *, lr):
    '''What is stepped by: η = lr.'''
    return lr * x.norm()  # η ‖x‖
def rule(param, grad, *, lr):
    '''A step: θ = param, g = grad, LEN = length.'''
    param.add_(grad, alpha=-length(grad, lr=lr))  # θ ← θ − LEN(g) g
"""
    rule = load(tmp_path / "of_its_own.py", source).rule
    assert prove(rule).formulas == 1
    assert [function.__name__ for function in with_formulas(rule)] == ["rule", "length"]
    wrong = source.replace("LEN(g) g", "LEN(θ) g")
    with pytest.raises(WrongFormula, match="says"):
        prove(load(tmp_path / "of_another.py", wrong).rule)
    missing = source.replace("LEN = length", "LEN = size")
    with pytest.raises(FormulaError, match="size in the docstring is no argument, and no function"):
        prove(load(tmp_path / "of_nothing.py", missing).rule)


def test_algebra_of_matrices(tmp_path):
    letters = "Θ = param, G = grad, η = lr"
    lines = ["x = (grad @ param.T).T  # X = Θ @ Gᵀ", "y = (2 * x).T @ param  # Y = 2 G @ Θᵀ @ Θ"]
    lines += ["z = torch.tensordot(y, grad, dims=([0], [1]))  # Z = Yᵀ @ Gᵀ"]
    lines += ["n = z.norm()  # √(sum(Z²))", "m = grad.square().mean(-1)  # sum(G²) / sum(G²)"]
    assert prove(rule_with(tmp_path, *lines[:4], letters=letters)).formulas == 4
    with pytest.raises(WrongFormula, match="says"):
        prove(rule_with(tmp_path, *lines[:4], lines[4], letters=letters))
    with pytest.raises(WrongFormula, match="says"):
        prove(rule_with(tmp_path, "x = grad @ param  # X = Θ @ G", letters=letters))


def test_every_way_through_is_taken():
    assert len(prove(rule_of(myoptim.Adam)).cases) == 2  # amsgrad
    assert len(prove(rule_of(myoptim.RMSprop)).cases) == 4  # centred, momentum
    assert len(prove(rule_of(myoptim.SGD)).cases) == 8  # momentum, first, Nesterov
    cases = prove(annotated_rules.radam).cases
    assert [case[-4:] for case in cases] == [" > 5", " ≤ 5"]
    assert "λ = 0" in " ".join(prove(annotated_rules.scaled).cases)


# A wrong formula is caught ----------------------------------------------------------------------

EDITS = [
    ("−", "+"),
    ("+", "−"),
    ("²", ""),
    ("β₁", "β₂"),
    ("β₂", "β₁"),
    ("√", ""),
    (" + ε", ""),
    ("ᵗ", ""),
    ("θ ← θ", "θ ← 2 θ"),
    ("max", "min"),
    ("← g", "← 2 g"),
    ("← M", "← 2 M"),
    (" g", " θ"),
]


def mutants(rule):
    """The source of a rule's module with one edit in one of its formulas, for each there is."""
    source = inspect.getsource(inspect.getmodule(rule))
    lines = source.splitlines(keepends=True)
    _, first = inspect.getsourcelines(rule)
    last = first + len(inspect.getsource(rule).splitlines())
    for number in range(first - 1, last - 1):
        code, mark, comment = lines[number].partition("  # ")
        if not mark or not code.strip() or code.rstrip().endswith(":"):
            continue
        for old, new in EDITS:
            if old in comment:
                edited = comment.replace(old, new, 1)
                yield "".join([*lines[:number], code + mark + edited, *lines[number + 1 :]])


@pytest.mark.parametrize("rule", RULES)
def test_every_edit_of_a_formula_is_caught(rule, tmp_path):
    caught = 0
    for number, source in enumerate(mutants(rule)):
        edited = getattr(load(tmp_path / f"edited{number}.py", source), rule.__name__)
        with pytest.raises(FormulaError):
            prove(edited)
        caught += 1
    assert caught >= 1


def test_message_says_what_the_formula_says_and_what_the_statement_does(tmp_path):
    rule = rule_with(tmp_path, "param.add_(grad, alpha=-lr)  # θ ← θ + η g")
    with pytest.raises(WrongFormula, match=re.escape("«θ ← θ + η g» says g*η + θ, but it makes")):
        prove(rule)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("param.add_(grad, alpha=-lr)", "computes, and has no formula"),
        ("half = lr / 2", "computes, and has no formula"),
        ("param.add_(grad.mul_(2), alpha=-lr)  # θ ← θ − 2 η g", "changes g, and does not say so"),
        ("param.add_(grad)  # g ← g", "changes θ, and does not say so"),
        ("param.add_(grad)  # θ ← θ + ĝ", "nothing says what ĝ stands for"),
        ("grad = grad.neg()  # g = −g", "write ← where it is changed"),
        ("param.erf_()  # θ ← 1", "no operator 'erf_'"),
        ("a = grad.neg()  # −g where g > 0", "need an «else»"),
    ],
)
def test_what_a_formula_must_say(tmp_path, statement, said):
    with pytest.raises((FormulaError, AttributeError)) as caught:
        prove(rule_with(tmp_path, statement))
    assert said in str(caught.value).replace("g\u0302", "ĝ")


def test_what_computes_several_values_needs_formulas_and_an_assertion_none(tmp_path):
    rule = rule_with(tmp_path, "assert len([lr]) == 1", "param.sub_(grad)  # θ ← θ − g")
    assert prove(rule).formulas == 1
    with pytest.raises(WrongFormula, match="computes, and has no formula"):
        prove(rule_with(tmp_path, "a, b = 2 * grad, grad", "param.sub_(a)  # θ ← θ − 2 g"))


def test_renaming_needs_no_formula(tmp_path):
    rule = rule_with(tmp_path, "update = grad", "param.add_(update, alpha=-lr)  # θ ← θ − η g")
    proofs = prove(rule)
    assert (proofs.statements, proofs.formulas) == (2, 1)


def test_a_statement_that_is_never_run_is_an_error(tmp_path):
    rule = rule_with(tmp_path, "if lr is None:", "    param.neg_()  # θ ← −θ")
    with pytest.raises(FormulaError, match="never run"):
        prove(rule)


def test_root_of_a_square_is_no_plain_value(tmp_path):
    rule = rule_with(tmp_path, "root = grad.square().sqrt()  # g")
    with pytest.raises(WrongFormula):
        prove(rule)
    prove(rule_with(tmp_path, "root = grad.square().sqrt()  # |g|"))


def test_operators_mean_what_torch_computes():
    """The table of operators, held to torch on numbers."""
    x, y, z = (torch.tensor(v, dtype=torch.float64) for v in (0.7, -1.3, 2.5))
    symbols = sympy.symbols("x y z")
    calls = {
        "add": ((x, y), {"alpha": 3}), "sub": ((x, y), {"alpha": 3}), "rsub": ((x, y), {}),
        "mul": ((x, y), {}), "div": ((x, y), {}), "pow": ((x, y), {}), "neg": ((y,), {}),
        "abs": ((y,), {}), "sign": ((y,), {}), "sqrt": ((x,), {}), "rsqrt": ((x,), {}),
        "square": ((y,), {}), "reciprocal": ((y,), {}), "exp": ((x,), {}), "log": ((x,), {}),
        "tanh": ((x,), {}), "lerp": ((x, y, z), {}), "addcmul": ((x, y, z), {"value": 3}),
        "addcdiv": ((x, y, z), {"value": 3}), "maximum": ((x, y), {}), "minimum": ((x, y), {}),
        "clamp": ((z, y, x), {}), "clamp_min": ((y, x), {}), "clamp_max": ((z, x), {}),
    }  # fmt: skip
    numbers = dict(zip(symbols, (0.7, -1.3, 2.5), strict=True))
    names = {id(x): symbols[0], id(y): symbols[1], id(z): symbols[2]}
    for name, (args, kwargs) in calls.items():
        expected = getattr(torch, name)(*args, **kwargs).item()
        made = OPERATORS[name](*[names[id(arg)] for arg in args], **kwargs)
        assert float(made.subs(numbers)) == pytest.approx(expected, rel=1e-12), name


# Reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        (
            "θ ← θ − η m̂ / (√v̂ + ε)",
            r"\theta \leftarrow \theta - \frac{\eta \hat{m}}{\sqrt{\hat{v}} + \varepsilon}",
        ),
        (
            "v̄ ← max(v̄, v), and use it as v",
            r"\bar{v} \leftarrow \operatorname{max}\left(\bar{v}, v\right) =: v",
        ),
        ("b ← g, undamped", r"b \leftarrow g\text{, undamped}"),
        ("η′ = η / (1 + lr_decay)", r"\eta^{\prime} = \frac{\eta}{1 + \mathtt{lr\_decay}}"),
        ("β₁ᵗ⁻¹ ρ∞ η⁺", r"{\beta_{1}}^{t - 1} \rho_{\infty} \eta^{+}"),
        ("(a + b)² |x|³ 2 · 3", r"{\left(a + b\right)}^{2} {\left|x\right|}^{3} \cdot 2 \cdot 3"),
        (
            "g ← 0 where s < 0, else −½",
            r"g \leftarrow \begin{cases} 0 & \text{where } s < 0 \\ "
            r"-\tfrac{1}{2} & \text{else} \end{cases}",
        ),
        ("A = X @ Xᵀ", r"A = X {X}^{\top}"),
        ("1e-8 ‖g‖", r"1 \cdot 10^{-8} \left\lVert g \right\rVert"),
    ],
)
def test_latex(text, latex):
    assert parse(text).latex == latex


def test_a_function_of_the_codes_own_is_typeset_and_not_evaluated():
    formula = parse("α = RMS(θ) ρ")
    assert formula.latex == r"\alpha = \operatorname{RMS}\left(\theta\right) \rho"
    with pytest.raises(FormulaError, match="RMS is a function of the code's own"):
        evaluate(formula.value, sympy.Symbol)
    assert parse("RMS θ").latex == r"\mathtt{RMS} \theta"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a / b c", "one factor stands right of /"),
        ("a / b / c", "one factor stands right of /"),
        ("√x²", "write (√x)² or √(x²)"),
        ("2 θ ← g", "left of ← stands one name"),
        ("(a + b", "expected «)»"),
        ("max(a)", "max takes 2 to 9 arguments, not 1"),
        ("a + ", "expected a name"),
        ("sign(…)", "'…' is not a sign of formulas"),
        ("a b)", "a formula ends here"),
        ("a where b", "expected one of"),
    ],
)
def test_what_cannot_be_read(text, said):
    with pytest.raises(FormulaError, match=re.escape(said)):
        parse(text)


def test_precedence():
    a, b, c, t = sympy.symbols("a b c t", positive=True)
    value = evaluate(
        parse("−a b² / (c + 1) + √a b^(t c) − 2 a").value,
        lambda name: sympy.Symbol(name, positive=True),
    )
    assert equal(value, -a * b**2 / (c + 1) + sympy.sqrt(a) * b ** (t * c) - 2 * a)


def test_docstring_says_what_letters_mean():
    letters = read_letters(
        """One step: θ = param, v̄ = best (with amsgrad), (β₁, β₂) = betas, t = step (1 at
        first); m̂ = m / (1 − β₁ᵗ). Some words, and more.

        x = nothing here
        """,
        ["param", "best", "betas", "step"],
    )
    names = {"θ": "param", "v\u0304": "best", "t": "step"}
    pairs = {"β₁": ("betas", 0), "β₂": ("betas", 1)}
    assert letters.arguments == {k: (v, None) for k, v in names.items()} | pairs
    assert set(letters.abbreviations) == {"m\u0302"}
    with pytest.raises(FormulaError, match="momentum is no argument"):
        read_letters("A step: μ = momentum.", ["param"])


# The command ------------------------------------------------------------------------------------


def run(*args):
    return CliRunner().invoke(app, ["prove", *map(str, args)])


def test_command_proves_all_rules():
    shown = json.loads(run("--json").stdout)
    assert {proofs["rule"] for proofs in shown["rules"]} >= {rule.__name__ for rule in OURS}
    assert shown["wrong"] == []
    assert {proofs["rule"] for proofs in shown["rules"]} >= {"orthogonalized", "adjusted", "rms"}
    assert shown["not proven"] == []
    assert all(proof["latex"] for proofs in shown["rules"] for proof in proofs["proofs"])


def test_command_finds_the_wrong_formula(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        'def rule(param, grad, *, lr):\n    "η: η = lr"\n    param.add_(grad)  # param ← grad\n'
    )
    result = run(f"{path}:rule")
    assert result.exit_code == 1
    assert "«param ← grad» says grad, but it makes grad + param" in result.stdout
    assert run("Adm").exit_code == 2
    assert run(f"{path}:missing").exit_code == 2
