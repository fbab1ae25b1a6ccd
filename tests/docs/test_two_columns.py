"""The page that sets source beside formula follows the source."""

import importlib
import io
import re
import sys
from html import unescape
from pathlib import Path

import pytest

import myoptim
from myoptim.optimizer import declaration_of

pytest.importorskip("sphinx", reason="needs the extra docs")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))
two_columns = importlib.import_module("two_columns")

RULES_OF_OURS = dict.fromkeys(
    (f"algorithms/{rule.__module__.rpartition('.')[2]}.py", rule.__name__)
    for cls in myoptim.OPTIMIZERS.values()
    if (rule := declaration_of(cls).rule)
)

# What is shown, and at least how many of its lines have a formula.
RULES = [
    *((file, name, 3) for file, name in RULES_OF_OURS),
    ("algorithms/muon.py", "orthogonalized", 5),
    ("algorithms/muon.py", "adjusted", 2),
    ("algorithms/lbfgs.py", "two_loop_recursion", 6),
    ("algorithms/lbfgs.py", "minimum_between", 9),
    ("algorithms/weight_decay.py", "l2", 1),
    ("algorithms/weight_decay.py", "shrink", 1),
    ("rules.py", "TensorRule._update", 1),
]


ROW = r'<tr class="line[^"]*"><td><pre>(.*?)</pre></td><td class="formula" title="(.*?)">(.*?)</td>'


def rows(table: str) -> list[tuple[str, str]]:
    """(code, formula) of every line of the body, the formula as the source has it."""
    return [(text(code), unescape(formula)) for code, formula, _ in re.findall(ROW, table)]


def text(cell: str) -> str:
    return unescape(re.sub("<[^>]*>", "", cell)).strip()


@pytest.mark.parametrize(("file", "name", "formulas"), RULES)
def test_every_line_of_the_rule_and_its_formula_are_there(file, name, formulas):
    source = (ROOT / "myoptim" / file).read_text(encoding="utf-8")
    function = two_columns.find(source, name)
    body = source.splitlines()[function.body[1].lineno - 1 : function.end_lineno]
    wanted = []
    for line in body:
        code, _, comment = line.partition("#")
        wanted.append((code.strip(), comment.partition("#")[0].strip()))
    assert rows(two_columns.render(source, name)) == wanted
    assert sum(bool(formula) for _, formula in wanted) >= formulas


def test_words_are_set_as_words():
    assert two_columns.typeset("nobody can read it now") == "nobody can read it now"
    assert two_columns.typeset("as many rows, or more") == "as many rows, or more"
    assert two_columns.typeset("a b").startswith("<span")


def typeset(table: str) -> list[str]:
    """What a reader sees of each formula."""
    return [text(shown) for _, formula, shown in re.findall(ROW, table) if formula]


@pytest.mark.parametrize(("file", "name", "formulas"), RULES[:4])
def test_every_formula_of_a_rule_is_typeset(file, name, formulas):
    source = (ROOT / "myoptim" / file).read_text(encoding="utf-8")
    shown = typeset(two_columns.render(source, name))
    assert len(shown) >= formulas
    assert all(re.fullmatch(r"\\\(.*\\\)", one) for one in shown)
    assert not [one for one in shown if "√" in one or "←" in one]


def test_adams_last_line_is_a_quotient():
    source = (ROOT / "myoptim" / "algorithms" / "adam.py").read_text(encoding="utf-8")
    last = typeset(two_columns.render(source, "adam"))[-1]
    assert last.startswith(r"\(\displaystyle \theta \leftarrow \theta - \frac{")
    assert r"\sqrt{\hat{v}} + \varepsilon" in last


def test_words_stay_words():
    table = two_columns.render("def rule(x):\n    x.f()  # whatever it <takes>!\n", "rule")
    assert typeset(table) == ["whatever it <takes>!"]


def test_a_formula_that_continues_the_line_above():
    source = (ROOT / "myoptim" / "algorithms" / "sgd.py").read_text(encoding="utf-8")
    assert r"\(\displaystyle \quad{}+ (1 - \tau) g\)" in typeset(two_columns.render(source, "sgd"))


def test_why_stands_below_its_line():
    source = "def rule(x, y):\n    x.f(y)\n    x.g(y)\n"
    table = two_columns.render(source, "rule", ["x.g: Because `g` <is> short."])
    assert 'class="why"><td colspan="2">Because <code>g</code> &lt;is&gt; short.</td>' in table
    assert table.count('class="why"') == 1
    assert table.rindex('class="line') < table.index('class="why"')


@pytest.mark.parametrize("told", ["x.h: No such line.", "x: Two of them.", "x.f without a colon"])
def test_why_of_no_line_is_an_error(told):
    with pytest.raises(LookupError, match="and should one"):
        two_columns.render("def rule(x, y):\n    x.f(y)\n    x.g(y)\n", "rule", [told])


def test_a_hash_in_a_string_is_no_comment():
    source = 'def rule(x):\n    y = "# no"  # yes\n    return y\n'
    assert rows(two_columns.render(source, "rule")) == [('y = "# no"', "yes"), ("return y", "")]


def test_a_word_to_the_type_checker_is_no_formula():
    source = "def rule(x):\n    return -x  #  −x  # pyright: ignore[reportReturnType]\n"
    assert rows(two_columns.render(source, "rule")) == [("return -x", "−x")]


def test_code_cannot_break_the_page():
    source = "def rule(x):\n    return x < 1  # a < b & c\n"
    table = two_columns.render(source, "rule")
    assert "a &lt; b &amp; c" in table
    assert "x < 1" not in table


@pytest.mark.parametrize("name", ["nothing", "Optimizer", "Optimizer.nothing"])
def test_a_wrong_name_is_an_error(name):
    source = (ROOT / "myoptim" / "optimizer.py").read_text(encoding="utf-8")
    with pytest.raises(LookupError, match=name.partition(".")[0]):
        two_columns.render(source, name)


def test_the_page_changes_with_the_source(tmp_path, monkeypatch):
    """Sphinx is run twice on a page that nobody touched; between the runs the rule changes."""
    from sphinx.application import Sphinx

    rule = tmp_path / "some_rule.py"
    adam = (ROOT / "myoptim" / "algorithms" / "adam.py").read_text(encoding="utf-8")
    rule.write_text(adam, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.rst").write_text("Adam\n====\n\n.. two-columns:: some_rule:adam\n")
    (docs / "other.rst").write_text(":orphan:\n\nOther\n=====\n")

    def build() -> list[str]:
        app = Sphinx(
            docs,
            None,
            tmp_path / "html",
            tmp_path / "doctrees",
            "html",
            confoverrides={"extensions": ["two_columns"]},
            status=io.StringIO(),
            warning=io.StringIO(),
            warningiserror=True,
        )
        read: list[str] = []
        app.connect("source-read", lambda app, name, content: read.append(name))
        app.build()
        return read

    build()
    page = Path(tmp_path / "html" / "index.html")
    before = rows(page.read_text(encoding="utf-8"))
    assert build() == []  # nothing has changed, nothing is read again

    line = (
        "param.addcdiv_(exp_avg, root.add_(eps), value=-step_size)  #      θ ← θ − η m̂ / (√v̂ + ε)"
    )
    assert adam.count(line) == 1
    new = "param.sub_(step_size * exp_avg / root)  # θ ← θ − η m̂ / √v̂"
    rule.write_text(adam.replace(line, new), encoding="utf-8")
    assert build() == ["index"]
    after = rows(page.read_text(encoding="utf-8"))
    assert len(after) == len(before)
    assert after[:-1] == before[:-1]
    assert after[-1] == ("param.sub_(step_size * exp_avg / root)", "θ ← θ − η m̂ / √v̂")
