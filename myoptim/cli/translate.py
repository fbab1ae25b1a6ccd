"""`myoptim translate`: one framework's optimizer, written in another."""

from __future__ import annotations

from typing import Annotated

import typer

from myoptim.cli import common


def translate(
    call: Annotated[
        str,
        typer.Argument(
            help="A call, as keras.optimizers.SGD(0.1) or keras:SGD(0.1); it is not evaluated."
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(help="torch, keras, optax, mlx, tinygrad, sklearn, paddle or tf1."),
    ],
    as_json: common.Json = False,
) -> None:
    """Write a framework's optimizer in another framework.

    The verdict is found by running both rules: exact; exact at constant lr; dialect, when the
    target computes something else, with the class of ours that computes it; or impossible. Defaults
    that the call leaves out are filled in. Where the two differ, the first step, parameter and
    element are shown. Exits with 0 for the first two verdicts, 1 for the others. No framework needs
    to be installed.

    Example: myoptim translate "keras.optimizers.RMSprop(1e-3, momentum=0.9)" torch

    Example: myoptim translate "torch.optim.AdamW(model.parameters(), lr=3e-4)" optax
    """
    from myoptim.lab.translate import AT_CONSTANT_LR, EXACT
    from myoptim.lab.translate import translate as run_translate

    result = run_translate(call, target)
    if as_json:
        common.print_json(result.as_dict())
    else:
        typer.echo(str(result))
    if result.verdict not in (EXACT, AT_CONSTANT_LR):
        raise typer.Exit(common.NEGATIVE)
