"""`myoptim compare`: where two optimizers first differ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from myoptim.cli import common


def compare(
    a: Annotated[str, typer.Argument(help="A name, as Adam, or module:Class, or file.py:Class.")],
    b: Annotated[str, typer.Argument(help="The other, written alike.")],
    problem: Annotated[
        str | None,
        typer.Option(help="Let each follow its own path on this problem, or file.py:function."),
    ] = None,
    steps: common.Steps = None,
    seed: common.Seed = 0,
    dtype: common.Dtype = None,
    ulp: Annotated[int, typer.Option(help="Count numbers up to so many ulp apart as equal.")] = 0,
    settings: common.Settings = None,
    settings_a: Annotated[
        list[str] | None,
        typer.Option("--set-a", metavar="KEY=VALUE", help="The same, for A alone."),
    ] = None,
    settings_b: Annotated[
        list[str] | None,
        typer.Option("--set-b", metavar="KEY=VALUE", help="The same, for B alone."),
    ] = None,
    csv: Annotated[
        Path | None, common.output_file("--csv", "Write the distances after every step.")
    ] = None,
    plot: common.Plot = None,
    as_json: common.Json = False,
) -> None:
    """Find the first place where two optimizers differ.

    That is: the step, the parameter, the element, and the buffer or the parameter itself, with
    both values and their distance, and how it grows. Both are given the same prescribed gradients,
    with hyper-parameters at which every term of the rule counts; with --problem each follows its
    own path. A distance of 1 ulp (unit in the last place) is that of two neighbouring numbers.
    Exits with 0 if they are equal, 1 if not.

    Example: myoptim compare Adam torch.optim:Adam

    Example: myoptim compare Adam my_adam.py:MyAdam --ulp 4 --set weight_decay=0
    """
    from myoptim.lab.compare import compare as run_compare

    result = run_compare(
        a,
        b,
        problem=problem,
        steps=steps,
        seed=seed,
        dtype=common.parse_dtype(dtype),
        tolerance=ulp,
        settings=common.parse_settings(settings),
        settings_a=common.parse_settings(settings_a),
        settings_b=common.parse_settings(settings_b),
        progress=common.progress("comparing"),
    )
    if csv:
        result.save_csv(csv)
    if plot:
        result.plot().savefig(plot)
    if as_json:
        common.print_json(result.as_dict())
    else:
        common.say(str(result), indent="    ")
        if result.max_ulp:
            common.print_table(*result.table())
            common.say("\n".join(result.legend()))
    if not result.equal:
        raise typer.Exit(common.NEGATIVE)
