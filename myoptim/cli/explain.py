"""`myoptim explain`: the catalogue of mistakes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from myoptim.cli import common


def explain(
    mistake: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Its id; without one all are listed.")
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Explain a mistake or dialect of hand-written optimizers, or list them all.

    Example: myoptim explain eps-inside-sqrt
    """
    from myoptim.course.mistakes import CATALOGUE, Mistake, as_diff, find

    def plain(one: Mistake) -> dict[str, Any]:
        return {
            "id": one.id,
            "optimizers": one.optimizers,
            "kind": one.kind,
            "whose": one.whose,
            "what": one.what,
            "hint": one.hint,
            "shows": one.shows,
        }

    if mistake is None:
        if as_json:
            common.print_json({"mistakes": [plain(one) for one in CATALOGUE.values()]})
        else:
            width = max(map(len, CATALOGUE))
            for one in CATALOGUE.values():
                typer.echo(f"{one.id:{width}}  {one.what}")
        return
    one = find(mistake)
    diffs = {optimizer: as_diff(one, optimizer) for optimizer in one.optimizers}
    if as_json:
        common.print_json(plain(one) | {"diff": diffs})
        return
    whose = f" ({one.whose})" if one.whose else ""
    typer.echo(f"{one.id}: {one.kind}{whose}, in {', '.join(one.optimizers)}")
    typer.echo(f"What:  {one.what}\nHint:  {one.hint}\nShows: {one.shows}")
    for diff in dict.fromkeys(diffs.values()):
        names = ", ".join(name for name, other in diffs.items() if other == diff)
        typer.echo(f"\nFor example, in {names}:\n{diff}")
