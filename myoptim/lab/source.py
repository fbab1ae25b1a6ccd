"""The source of a function as statements, each with its code and the comment that trails it."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

#: Statements that only hold others, or do nothing.
_COMPOUND = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.FunctionDef, ast.ClassDef)
_FOR_TOOLS = ("noqa", "pyright:", "type:", "ruff:", "pragma:", "fmt:")


@dataclass(frozen=True)
class Statement:
    """One statement that computes something, or returns.

    Attributes:
        node: its syntax tree.
        first: the number of its first line in the file.
        last: the number of its last line.
        code: its source without comments, in one line or as it is broken into lines.
        comment: the comment that trails it, or "".
    """

    node: ast.stmt
    first: int
    last: int
    code: str
    comment: str


@dataclass(frozen=True)
class Source:
    """A function's source.

    Attributes:
        node: its syntax tree, with the line numbers of its file.
        statements: its statements in the order of the file, those in branches and loops included.
    """

    node: ast.FunctionDef
    statements: list[Statement]

    def at(self, line: int) -> Statement | None:
        """The statement that a line of the file belongs to."""
        return next((s for s in self.statements if s.first <= line <= s.last), None)


def read_source(function: Callable[..., Any] | CodeType) -> Source:
    """The statements of a function or of its code.

    Raises:
        OSError: its source is not to be found.
    """
    lines, first = inspect.getsourcelines(function)
    text = textwrap.dedent("".join(lines))
    module = ast.parse(text)
    node = module.body[0]
    if not isinstance(node, ast.FunctionDef):
        raise OSError(f"the source of {function!r} is not that of a function")
    shift = max(first, 1) - 1
    comments = comments_of(text)
    lines = text.splitlines()
    statements = [_statement(child, lines, comments, shift) for child in _simple(node.body)]
    ast.increment_lineno(node, shift)
    return Source(node, statements)


def comments_of(text: str) -> dict[int, tuple[int, str]]:
    """For each line its comment: the column where it begins, and the words."""
    return {
        token.start[0]: (token.start[1], token.string[1:].partition("#")[0].strip())
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }


def _simple(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body and of all bodies within, without docstrings and functions."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Pass)) or _is_docstring(node):
            continue
        if isinstance(node, _COMPOUND):
            for name in ("body", "orelse", "finalbody"):
                yield from _simple(getattr(node, name, []))
            for handler in getattr(node, "handlers", []):
                yield from _simple(handler.body)
        else:
            yield node


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _statement(
    node: ast.stmt, lines: list[str], comments: dict[int, tuple[int, str]], shift: int
) -> Statement:
    first, last = node.lineno, node.end_lineno or node.lineno
    own = range(first, last + 1)
    code = [lines[row - 1][: comments.get(row, (None, ""))[0]].rstrip() for row in own]
    words = [comments[row][1] for row in own if row in comments]
    words = [word for word in words if word and not word.startswith(_FOR_TOOLS)]
    joined = textwrap.dedent("\n".join(code)).strip()
    return Statement(node, first + shift, last + shift, joined, " ".join(words))
