"""The directive `two-columns`: a function's source beside the formulas in its trailing comments.

    ```{two-columns} myoptim.algorithms.adam:adam
    exp_avg.lerp_: Why this statement is written as it is.
    ```

Code and formulas are read from the source file at each build, which Sphinx repeats when the file
changes; the module is not imported. The formulas are typeset from the parse that `myoptim prove`
checks. The content says why, line by line: the beginning of a statement, a colon, a sentence; one
that fits no statement, or two, is an error.
"""

from __future__ import annotations

import ast
import html
import importlib.util
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from myoptim.lab.formulas import FormulaError, continues, parse
from myoptim.lab.source import comments_of


@dataclass(frozen=True)
class Line:
    """One line of source: its code and its formula."""

    number: int
    code: str
    formula: str


def find(source: str, name: str) -> ast.FunctionDef:
    """The function of a dotted name: `adam`, `Optimizer.update`."""
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        children = [
            child
            for child in ast.iter_child_nodes(node)
            if isinstance(child, (ast.ClassDef, ast.FunctionDef)) and child.name == part
        ]
        if not children:
            raise LookupError(f"no function {name}")
        node = children[0]
    if not isinstance(node, ast.FunctionDef):
        raise LookupError(f"{name} is not a function")
    return node


def split(source: str, function: ast.FunctionDef) -> tuple[list[Line], list[Line]]:
    """The lines of a function's signature and of its body, the docstring left out."""
    lines = source.splitlines()
    comments = comments_of(source)
    documented = ast.get_docstring(function) is not None
    first = function.body[1 if documented else 0].lineno
    last = function.end_lineno or first
    head_end = function.body[0].lineno - 1

    def line(row: int) -> Line:
        column, formula = comments.get(row, (len(lines[row - 1]), ""))
        return Line(row, lines[row - 1][:column].rstrip(), formula)

    return (
        [line(row) for row in range(function.lineno, head_end + 1)],
        [line(row) for row in range(first, last + 1)],
    )


def highlighted(lines: list[Line]) -> Iterator[str]:
    """Each line's code as HTML."""
    code = textwrap.dedent("\n".join(line.code for line in lines))
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    yield from highlight(code, lexer, HtmlFormatter(nowrap=True)).rstrip("\n").split("\n")


#: Two words or more, and a remark.
WORDS = re.compile(r"[a-z]{2,}( [a-z]{2,})+(,.*)?")


def typeset(formula: str) -> str:
    """A formula as HTML for MathJax; in plain letters where it is no formula, but words."""
    if not formula:
        return ""
    if WORDS.fullmatch(formula):
        return html.escape(formula)
    try:
        if continues(formula):
            tex = rf"\quad{{}}{formula[0]} {parse(formula[1:]).latex}".replace("−", "-")
        else:
            tex = parse(formula).latex
    except FormulaError:
        return html.escape(formula)
    return (
        f'<span class="math notranslate nohighlight">\\(\\displaystyle {html.escape(tex)}\\)</span>'
    )


def prose(text: str) -> str:
    """A sentence as HTML: code between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def reasons(told: list[str], body: list[Line]) -> dict[int, str]:
    """For each line that is told about its number and the sentence.

    Raises:
        LookupError: a beginning fits no line, or several.
    """
    found: dict[int, str] = {}
    for text in told:
        start, _, sentence = text.partition(": ")
        fitting = [line.number for line in body if line.code.strip().startswith(start)]
        if len(fitting) != 1 or not sentence:
            raise LookupError(f"{start!r} begins {len(fitting)} lines, and should one")
        found[fitting[0]] = sentence
    return found


def render(source: str, name: str, told: list[str] | None = None) -> str:
    """The function as an HTML table of two columns, code and formula; below a line, why."""
    function = find(source, name)
    head, body = split(source, function)
    why = reasons(told or [], body)
    signature = "\n".join(highlighted(head))
    rows = [
        '<tr class="head"><td colspan="2"><details><summary>What '
        f"<code>{function.name}</code> takes</summary><pre>{signature}</pre></details></td></tr>"
    ]
    docstring = ast.get_docstring(function)
    if docstring:
        summary = prose(docstring.split("\n\n")[0].replace("\n", " "))
        rows.append(f'<tr class="symbols"><td colspan="2"><p>{summary}</p></td></tr>')
    for line, code in zip(body, highlighted(body), strict=True):
        kind = "line" if line.formula else "line bare"
        rows.append(
            f'<tr class="{kind}"><td><pre>{code or " "}</pre></td>'
            f'<td class="formula" title="{html.escape(line.formula)}">'
            f"{typeset(line.formula)}</td></tr>"
        )
        if line.number in why:
            rows.append(f'<tr class="why"><td colspan="2">{prose(why[line.number])}</td></tr>')
    return f'<table class="two-columns highlight">{"".join(rows)}</table>'


class TwoColumns(SphinxDirective):
    """`module:function`, as a table."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].partition(":")
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise self.error(f"no module {module}")
        path = Path(spec.origin)
        self.env.note_dependency(path)
        try:
            told = [text for text in self.content if text.strip()]
            table = render(path.read_text(encoding="utf-8"), name, told)
        except LookupError as error:
            raise self.error(f"{module}: {error}") from error
        caption = f"{'/'.join(module.split('.'))}.py, {name}: code left, formula right"
        return [
            nodes.raw(
                "",
                f'<div class="two-columns-frame" role="region" tabindex="0" '
                f'aria-label="{caption}">{table}</div>',
                format="html",
            )
        ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("two-columns", TwoColumns)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
