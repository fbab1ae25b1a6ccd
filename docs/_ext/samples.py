"""The directive `sample-report`: what `check` and `grade` print, of a class made of the catalogue.

The files are the course's own solutions with a mistake, or without; the commands are run when the
page is read, in a folder that is deleted afterwards.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from myoptim.course import mistakes

#: Who hands in what: a mistake of the catalogue, or nothing where it is right.
CLASS = {
    "anna.py": "",
    "ben.py": "no-bias-correction",
    "chiara.py": "t-frozen",
    "deniz.py": "no-bias-correction",
    "emil.py": "eps-inside-sqrt",
    "farah.py": "",
}
COMMANDS = ("check ben.py --seed 1", "grade . --optimizer Adam --seed 1")
WIDTH = "80"


def output(command: str) -> str:
    """What a command prints. Its exit code says whether all passed, and is no error here."""
    from typer.testing import CliRunner

    from myoptim import cli

    answer = CliRunner(env={"COLUMNS": WIDTH}).invoke(cli.app, command.split())
    if answer.exit_code not in (0, 1):
        raise RuntimeError(f"myoptim {command} failed: {answer.output}")
    return answer.stdout.rstrip()


def outputs() -> dict[str, str]:
    """Every command with what it prints."""
    right = mistakes.source("Adam")
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for name, mistake in CLASS.items():
            text = next(mistakes.forms(mistakes.CATALOGUE[mistake], "Adam")) if mistake else right
            (Path(folder) / name).write_text(text, encoding="utf-8")
        stack.callback(os.chdir, here)
        os.chdir(folder)
        return {command: output(command) for command in COMMANDS}


class SampleReport(SphinxDirective):
    """The commands and what they print, one block each."""

    def run(self) -> list[nodes.Node]:
        blocks: list[nodes.Node] = []
        for command, printed in outputs().items():
            text = f"$ myoptim {command}\n{printed}"
            blocks.append(nodes.literal_block(text, text, language="text"))
        return blocks


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("sample-report", SampleReport)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
