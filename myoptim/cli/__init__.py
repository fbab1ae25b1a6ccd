"""The command line: `myoptim COMMAND`, or `python -m myoptim COMMAND`.

One command per module: `cli/NAME.py` defines a function `NAME`, whose signature is the command's
arguments and whose docstring is its help, and is listed in `COMMANDS`; `cli/course.py` has
subcommands, so it defines a Typer application `app` and is listed in `GROUPS`. These modules
import only typer, the standard library and `cli.common` at the top, all else inside the function:
`myoptim --help` is to be quick.

A command returns None for success, raises `typer.Exit(common.NEGATIVE)` for a negative finding,
and lets `myoptim.lab.errors.UsageError` (or `typer.BadParameter`) out for wrong use.
"""

import importlib
import sys
from typing import Annotated

try:
    import typer

    from myoptim.cli.common import Group
    from myoptim.cli.plain import spell_out
except ModuleNotFoundError as error:
    if error.name != "typer":
        raise
    print("myoptim: the command line needs typer: pip install 'myoptim[lab]'", file=sys.stderr)
    raise SystemExit(2) from None

COMMANDS = [
    "trace",
    "compare",
    "checkpoint",
    "translate",
    "vectors",
    "race",
    "bench",
    "prove",
    "explain",
    "check",
    "grade",
]
GROUPS = ["course"]

app = typer.Typer(
    name="myoptim",
    cls=Group,
    epilog="Example: myoptim trace SGD square --lr 0.1 --steps 30",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    """The versions that a report of a difference should name."""
    if not wanted:
        return
    import torch

    import myoptim

    typer.echo(f"myoptim {myoptim.__version__} with torch {torch.__version__}")
    raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the versions and exit."
        ),
    ] = False,
) -> None:
    """See what optimizers do, find where two of them differ, and teach with them."""


for name in COMMANDS:
    app.command(name)(getattr(importlib.import_module(f"myoptim.cli.{name}"), name))
for name in GROUPS:
    app.add_typer(importlib.import_module(f"myoptim.cli.{name}").app, name=name)


def main() -> None:
    """Run the command line on `sys.argv`; always ends in SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        spell_out(stream)
    app(prog_name="myoptim")
