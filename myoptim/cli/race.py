"""`myoptim race`: several optimizers on the same problems, ours beside torch's."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myoptim.cli import common
from myoptim.lab.errors import UsageError

if TYPE_CHECKING:
    from myoptim.lab.problems import Problem
    from myoptim.lab.race import Results
    from myoptim.lab.sweep import Sweep


def race(
    optimizers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Names, as Adam; module:Class; file.py:Class. By default all of ours; "
            "SGD and Adam run along with others.",
        ),
    ] = None,
    problems: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Names, as rosenbrock; module:function; file.py:function. By default all but the "
            "networks, digits and transformer.",
        ),
    ] = None,
    steps: common.Steps = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="As many steps as documented: 100,000 for fifteen_points."),
    ] = False,
    lr: Annotated[
        float | None, typer.Option(help="A learning rate for all; by default the problem's.")
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=VALUES",
            help="Run each with every value: lr=0.01,0.1,1 or lr=0.01:0.2:10, ten evenly spaced; "
            "lr=0.1x,1x,10x are multiples of the problem's rate for each.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --sweep: repeat with so many seeds, from --seed on, without the twins; "
            "the table has the best value of each by its median loss, and the spread.",
        ),
    ] = None,
    settings: common.Settings = None,
    seed: common.Seed = 0,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", file_okay=False, help="Where to write pictures and settings.json."
        ),
    ] = Path("race"),
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Draw the pictures.")
    ] = True,
    gif: Annotated[
        bool, typer.Option("--gif", help="Also animate the paths of two parameters.")
    ] = False,
    as_json: common.Json = False,
) -> None:
    """Race optimizers on the same problems, ours beside their twins in torch.

    Prints a table for each problem and writes pictures, with everything needed to run it again
    in settings.json. Ends with exit code 1 if a bit of ours was not torch's.

    Example: myoptim race --optimizers Adam,RMSprop --problems rosenbrock --steps 500 --gif

    Example: myoptim race --problems noisy_line --sweep lr=0.1x,0.3x,1x,3x,10x --seeds 5
    """
    from myoptim.lab.problems import PROBLEMS, load_problem
    from myoptim.lab.race import line_up, versions
    from myoptim.lab.race import race as run_race
    from myoptim.lab.sweep import Sweep
    from myoptim.lab.sweep import sweep as run_sweep

    if full and steps is not None:
        raise UsageError("--full and --steps both say how many steps to make; give one of them")
    if gif and (sweep or not pictures):
        raise UsageError("--gif goes neither with --sweep nor with --no-pictures")
    if seeds and not sweep:
        raise UsageError("--seeds repeats a sweep; give the values too, as in --sweep lr=0.01,0.1")
    given = common.parse_settings(settings) | ({} if lr is None else {"lr": lr})
    swept = _parse_sweep(sweep, given) if sweep else None
    chosen = [load_problem(name) for name in common.parse_names(problems) or PROBLEMS]
    _need_different_names(chosen)
    racers = line_up(common.parse_names(optimizers), given, swept)
    budgets = [_budget(problem, full) if steps is None else steps for problem in chosen]
    repeated = range(seed, common.parse_seed(seed + seeds - 1) + 1) if seeds else None
    twins = sum(racer.twin() is not None for racer in racers)
    runs = len(racers) * seeds if seeds else len(racers) + twins
    kept: dict[str, Any] = {"versions": versions(), "races": []}
    equal = True
    with _folder(out):
        for problem, budget in zip(chosen, budgets, strict=True):
            with _progress(problem.name, runs * budget) as progress:
                how: dict[str, Any] = {"steps": budget, "progress": progress}
                if swept and repeated:
                    results = run_sweep(problem, racers, swept[0], seeds=repeated, **how)
                else:
                    results = run_race(problem, racers, seed=seed, **how)
                drawn = _draw(problem, results, seed, out, gif, bool(swept)) if pictures else []
            kept["races"].append(_record(problem, results, seed, drawn))
            (out / "settings.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
            equal &= isinstance(results, Sweep) or not any(one.difference for one in results)
            if not as_json:
                _print_results(problem, results)

    if as_json:
        common.print_json(kept)
    else:
        written = "Pictures and settings.json are" if pictures else "settings.json is"
        common.say(f"{written} in {out}.")
    if not equal:
        raise typer.Exit(common.NEGATIVE)


@contextlib.contextmanager
def _folder(path: Path) -> Generator[None]:
    """Make a folder before the work is done; what is left empty is removed again."""
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for folder in new:
            with contextlib.suppress(OSError):  # something is in it
                folder.rmdir()


def _need_different_names(problems: list[Problem]) -> None:
    names = [problem.name for problem in problems]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(
            f"two problems are called {' and '.join(sorted(twice))}: the picture of one would "
            "replace that of the other"
        )


def _budget(problem: Problem, full: bool) -> int:
    return (problem.full_steps if full else None) or problem.steps


def _parse_sweep(text: str, settings: dict[str, Any]) -> tuple[str, list[float]]:
    name, _, values = text.partition("=")
    try:
        numbers = _spaced(values) if ":" in values else _listed(values)
    except ValueError:
        raise UsageError(
            f"a sweep is written lr=0.01,0.1,1 or lr=0.01:0.2:10 (from, to, how many); got {text!r}"
        ) from None
    if name in settings:
        raise UsageError(f"{name} is given twice: by --sweep and as a setting of its own")
    if name != "lr" and "x" in values:
        raise UsageError(f"only lr has multiples, as in lr=0.1x,1x,10x; got {text!r}")
    return name, numbers


def _listed(text: str) -> list[float]:
    """Numbers, of which those with an x are multiples."""
    from myoptim.lab.race import Multiple

    return [Multiple(v[:-1]) if v.endswith("x") else float(v) for v in text.split(",")]


def _spaced(text: str) -> list[float]:
    """Evenly spaced numbers, both ends included."""
    low, high, count = text.split(":")
    if int(count) < 2:
        raise ValueError(count)
    width = (float(high) - float(low)) / (int(count) - 1)
    return [float(low) + i * width for i in range(int(count))]


@contextlib.contextmanager
def _progress(name: str, total: int) -> Generator[Callable[[range], Iterable[int]]]:
    """One bar for the steps of all runs on a problem, on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    quiet = not sys.stderr.isatty()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet, redirect_stdout=False) as bar:
        task = bar.add_task(name, total=total)

        def counted(steps: range) -> Iterator[int]:
            left = len(steps)
            try:
                for step in steps:
                    yield step
                    left -= 1
                    bar.advance(task)
            finally:  # a run that diverged ends early
                bar.advance(task, left)

        yield counted


def _draw(
    problem: Problem, results: Results | Sweep, seed: int, out: Path, gif: bool, swept: bool
) -> list[Path]:
    from myoptim.lab import race, sweep

    picture = out / f"{problem.name}.png"
    if isinstance(results, sweep.Sweep):
        sweep.draw(results).savefig(picture)
        return [picture]
    (race.draw_sweep if swept else race.draw)(problem, results, seed).savefig(picture)
    animated = race.film(picture.with_suffix(".gif"), problem, results, seed) if gif else None
    return [picture, animated] if animated else [picture]


def _record(
    problem: Problem, results: Results | Sweep, seed: int, pictures: list[Path]
) -> dict[str, Any]:
    from myoptim.lab.race import record
    from myoptim.lab.sweep import Sweep

    if isinstance(results, Sweep):
        return results.record(pictures)
    return record(problem, results, seed, pictures)


def _print_results(problem: Problem, results: Results | Sweep) -> None:
    from myoptim.lab.sweep import Sweep

    common.say(f"\n{problem.title}   [{problem.name}]\n{problem.formula}\n{problem.look_at}")
    common.print_table(*results.table())
    if isinstance(results, Sweep) and (ends := results.at_an_end()):
        common.say(
            f"Best at an end of the sweep, so that others may be better still: {', '.join(ends)}."
        )
