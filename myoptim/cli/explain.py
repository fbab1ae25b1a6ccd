"""`myoptim explain`: the catalogue of mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from myoptim.cli import common

if TYPE_CHECKING:
    from myoptim.course.mistakes import Mistake


def explain(
    mistake: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Its id; without one all are listed.")
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Explain a mistake or dialect of hand-written optimizers, or list them all.

    A bug is wrong by everybody's definition, a dialect is some framework's or paper's convention.

    Example: myoptim explain eps-inside-sqrt
    """
    from myoptim.course.mistakes import CATALOGUE, as_diff, find

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
            _print_list(list(CATALOGUE.values()))
        return
    one = find(mistake)
    diffs = {optimizer: as_diff(one, optimizer) for optimizer in one.optimizers}
    if as_json:
        common.print_json(plain(one) | {"diff": diffs})
        return
    whose = f" ({one.whose})" if one.whose else ""
    common.say(f"{one.id}: {one.kind}{whose}, in {', '.join(one.optimizers)}", indent="    ")
    common.say(f"What:  {one.what}\nHint:  {one.hint}\nShows: {one.shows}", indent="       ")
    for diff in dict.fromkeys(diffs.values()):
        names = ", ".join(name for name, other in diffs.items() if other == diff)
        typer.echo(f"\nFor example, in {names}:\n{diff}")


def _print_list(mistakes: list[Mistake]) -> None:
    """All of them, under the optimizers that they can be made in; those of all come last."""
    from myoptim.course.mistakes import ALL

    def rank(optimizers: tuple[str, ...]) -> tuple[bool, int, int]:
        return set(optimizers) == set(ALL), ALL.index(optimizers[0]), len(optimizers)

    where: dict[tuple[str, ...], list[Mistake]] = {}
    for one in mistakes:
        where.setdefault(tuple(sorted(one.optimizers, key=ALL.index)), []).append(one)
    width = max(len(one.id) for one in mistakes)
    kind = max(len(one.kind) for one in mistakes)
    for number, optimizers in enumerate(sorted(where, key=rank)):
        every = set(optimizers) == set(ALL)
        heading = "In all of them" if every else f"In {', '.join(optimizers)}"
        typer.echo("\n" * bool(number) + heading)
        for one in where[optimizers]:
            common.say(f"  {one.id:{width}}  {one.kind:{kind}}  {one.what}", indent="      ")
