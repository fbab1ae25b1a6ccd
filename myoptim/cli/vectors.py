"""`myoptim vectors`: golden vectors for implementers in any language."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myoptim.cli import common


def vectors(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if need be.")],
    optimizers: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Names, as Adam. By default all with vectors."),
    ] = None,
    settings: common.Settings = None,
    as_json: common.Json = False,
) -> None:
    """Write golden vectors: runs to test an optimizer in any language against.

    A file for each optimizer, with start values, gradients and learning rates, and the parameters
    and state that must stand after every step, in float64 and float32. The runs are few, and tell
    every mistake of the catalogue that numbers can tell. The format is described on the site. With
    --set the runs can be made without what an implementation lacks.

    Example: myoptim vectors golden --optimizers Adam,AdamW

    Example: myoptim vectors golden --optimizers Adam --set amsgrad=False
    """
    from myoptim.lab.vectors import write

    files = write(folder, common.parse_names(optimizers), common.parse_settings(settings))
    rows = [
        (path, len(content["runs"]), len(content["runs"][0]["steps"]), path.stat().st_size)
        for path, content in files.items()
    ]
    if as_json:
        keys = ("file", "runs", "steps", "bytes")
        common.print_json(
            {"files": [dict(zip(keys, (str(path), *rest), strict=True)) for path, *rest in rows]}
        )
        return
    headings = ("file", "runs", "steps each", "bytes")
    common.print_table(headings, [(str(p), str(r), str(s), f"{b:,}") for p, r, s, b in rows])
