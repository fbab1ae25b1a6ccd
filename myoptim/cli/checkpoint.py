"""`myoptim checkpoint`: what is in a checkpoint of an optimizer, and whether it is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myoptim.cli import common


def checkpoint(
    a: Annotated[
        Path, typer.Argument(help="A file of torch.save with an optimizer's state in it.")
    ],
    b: Annotated[
        Path | None, typer.Argument(metavar="[B]", help="Another, to be compared with it.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE:NAME",
            help="What makes the model, as module:factory or file.py:factory: names and shapes of "
            "its parameters are held against the checkpoint's.",
        ),
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Say what is in a checkpoint of an optimizer, and what is wrong with it.

    Finds the state_dicts of optimizers anywhere in a training checkpoint, says of which class of
    torch and ours they are, and looks at every number: moments that are lost, counters in low
    precision, NaN and infinities, parameters in another order. Of two files also what differs; what
    changes as training goes on is no finding. No code in the files is run. Exits with 0 if all is
    well, 1 on a finding, 2 if a file cannot be read.

    Example: myoptim checkpoint run.pt

    Example: myoptim checkpoint before.pt after.pt --model train.py:make_model
    """
    from myoptim.lab.checkpoint import examine

    checkup = examine(a, b, model=model)
    if as_json:
        common.print_json(checkup.as_dict())
    else:
        for path, found in checkup.files():
            for one in found:
                common.say(f"{path}{one.headline()}", indent="    ")
                common.say("\n".join(f"  {line}" for line in one.groups()), indent="    ")
                if one.buffers:
                    common.print_table(*one.table())
        common.say("\n".join(checkup.sentences()), indent="    ")
    if not checkup.fine:
        raise typer.Exit(common.NEGATIVE)
