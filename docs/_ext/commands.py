"""The directive `commands`: the help of every command, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def calls(command: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that call a command, or each command of a group."""
    if not hasattr(command, "commands"):
        yield names
        return
    for name, subcommand in command.commands.items():
        yield from calls(subcommand, (*names, name))


def helps() -> Iterator[tuple[str, str]]:
    """Every command line to ask for help, and its answer."""
    from typer.main import get_command
    from typer.testing import CliRunner

    from myoptim import cli

    for call in calls(get_command(cli.app)):
        answer = CliRunner().invoke(cli.app, [*call, "--help"], prog_name="myoptim")
        if answer.exit_code != 0:
            raise RuntimeError(f"myoptim {' '.join(call)} --help failed: {answer.output}")
        yield " ".join(["myoptim", *call]), answer.stdout.strip()


class Commands(SphinxDirective):
    """A section for each command."""

    def run(self) -> list[nodes.Node]:
        sections: list[nodes.Node] = []
        for call, text in helps():
            section = nodes.section(ids=[nodes.make_id(call)])
            section += nodes.title(text=call)
            section += nodes.literal_block(text, text, language="text")
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
