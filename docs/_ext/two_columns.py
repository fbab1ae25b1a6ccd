"""The directive `two-columns`: a function's source beside the formulas in its trailing comments.

    ```{two-columns} myoptim.algorithms.adam:adam
    ```

Everything is read from the source file at each build, which Sphinx repeats when the file changes.
The module is not imported.
"""

from __future__ import annotations

import ast
import html
import importlib.util
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


@dataclass(frozen=True)
class Line:
    """One line of source: its code, its formula, and how far the formula is indented."""

    number: int
    code: str
    formula: str
    indent: int


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
    comments = {
        token.start[0]: (token.start[1], token.string)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    documented = ast.get_docstring(function) is not None
    first = function.body[1 if documented else 0].lineno
    last = function.end_lineno or first
    head_end = function.body[0].lineno - 1
    formula_columns = [
        column + len(text) - len(text[1:].lstrip())
        for row, (column, text) in comments.items()
        if first <= row <= last
    ]
    margin = min(formula_columns, default=0)

    def line(row: int) -> Line:
        column, text = comments.get(row, (len(lines[row - 1]), ""))
        formula = text[1:].partition("#")[0].strip()  # what follows is for a type checker
        start = column + len(text) - len(text[1:].lstrip())
        code = lines[row - 1][:column].rstrip()
        return Line(row, code, formula, start - margin if formula else 0)

    return (
        [line(row) for row in range(function.lineno, head_end + 1)],
        [line(row) for row in range(first, last + 1)],
    )


def highlighted(lines: list[Line]) -> Iterator[str]:
    """Each line's code as HTML."""
    code = textwrap.dedent("\n".join(line.code for line in lines))
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    yield from highlight(code, lexer, HtmlFormatter(nowrap=True)).rstrip("\n").split("\n")


def render(source: str, name: str) -> str:
    """The function as an HTML table of two columns, code and formula."""
    function = find(source, name)
    head, body = split(source, function)
    rows = [
        f'<tr class="head"><td colspan="2"><pre>{code}</pre></td></tr>'
        for code in highlighted(head)
    ]
    docstring = ast.get_docstring(function)
    if docstring:
        summary = html.escape(docstring.split("\n\n")[0].replace("\n", " "))
        summary = re.sub(r"`([^`]+)`", r"<code>\1</code>", summary)
        rows.append(f'<tr class="symbols"><td colspan="2"><p>{summary}</p></td></tr>')
    for line, code in zip(body, highlighted(body), strict=True):
        formula = html.escape(line.formula)
        style = f' style="padding-left: {line.indent * 0.5:g}em"' if line.indent else ""
        kind = "line" if formula else "line bare"
        rows.append(
            f'<tr class="{kind}"><td><pre>{code or " "}</pre></td>'
            f'<td class="formula"><span{style}>{formula}</span></td></tr>'
        )
    return f'<table class="two-columns highlight">{"".join(rows)}</table>'


class TwoColumns(SphinxDirective):
    """`module:function`, as a table."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].partition(":")
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise self.error(f"no module {module}")
        path = Path(spec.origin)
        self.env.note_dependency(path)
        try:
            table = render(path.read_text(encoding="utf-8"), name)
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
