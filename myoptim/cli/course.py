"""`myoptim course`: make a course, its Gradescope autograder, and an audit of its tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from myoptim.cli import common

app = typer.Typer(
    help="Make a course on optimizers: handout, skeletons, tests, autograder.",
    epilog="Example: myoptim course new mycourse --optimizers sgd,adam",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(help="The course's folder.")]


@app.command()
def new(
    folder: Folder,
    optimizers: Annotated[
        str, typer.Option(help="What students are to write, separated by commas.")
    ] = "sgd,adam",
    own: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Optimizers of your own; a copy goes along."),
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Write a new course: course.toml, a handout, tests, and a skeleton per optimizer.

    Example: myoptim course new mycourse --optimizers sgd,adam
    """
    from myoptim.course import kit
    from myoptim.course.own import register
    from myoptim.course.settings import check_optimizer

    if own:
        register(own)
    names = [check_optimizer(name.strip()) for name in optimizers.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter("name one optimizer or more, as in --optimizers sgd,adam")
    written = kit.new(folder, tuple(dict.fromkeys(names)), own)
    if as_json:
        common.print_json({"files": [str(path) for path in written]})
    else:
        typer.echo("\n".join(str(path) for path in written))


@app.command()
def gradescope(
    folder: Folder,
    output: Annotated[
        Path | None,
        common.output_file("--output", "The zip to write; by default autograder.zip in FOLDER."),
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Build the autograder that Gradescope asks for, as a zip.

    Example: myoptim course gradescope mycourse
    """
    from myoptim.course import kit

    path = output or folder / "autograder.zip"
    kit.gradescope(folder, path)
    if as_json:
        common.print_json({"file": str(path)})
    else:
        typer.echo(f"wrote {path}: upload it under Configure Autograder")


@app.command()
def audit(
    folder: Folder,
    mistake: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Audit this mistake alone. May be repeated."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Submissions at a time; by default one per core.")
    ] = os.cpu_count() or 1,
    as_json: common.Json = False,
) -> None:
    """Show that every mistake of the catalogue fails a course's tests.

    Each mistake is handed in as a submission; dialects that the course accepts should pass.

    Example: myoptim course audit mycourse --mistake no-eps
    """
    from rich.console import Console
    from rich.progress import Progress

    from myoptim.course import kit
    from myoptim.course.mistakes import find

    settings = kit.settings_of(folder)
    ids = [find(name).id for name in mistake or ()]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("auditing", total=None)
        audited = kit.audit(
            settings,
            ids,
            jobs,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    wrong = [one for one in audited if not one.right]
    if as_json:
        rows = [
            {
                "mistake": one.mistake,
                "optimizer": one.optimizer,
                "should_pass": one.should_pass,
                "passed": one.verdict.passed,
                "diagnosis": one.verdict.diagnosis,
            }
            for one in audited
        ]
        common.print_json({"audited": rows, "wrong": len(wrong)})
    else:
        for one in audited:
            verdict = "passes" if one.verdict.passed else "fails"
            named = ", ".join(one.verdict.diagnosis)
            remark = "" if one.right else "  <- should be otherwise"
            typer.echo(f"{one.optimizer:9} {one.mistake:26} {verdict}  {named}{remark}")
        typer.echo(f"{len(audited) - len(wrong)} of {len(audited)} as they should be")
    if wrong:
        raise typer.Exit(common.NEGATIVE)
